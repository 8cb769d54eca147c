//! The program: everything is in the library.
//!
//! `dlstore::cli` reads the arguments, prints, and gives the exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    dlstore::cli::main(std::env::args_os())
}
