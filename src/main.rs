//! The program: everything is in the library.
//!
//! `dlstore::cli` reads the arguments, prints, and gives the exit code.

mod allocator;

use std::process::ExitCode;

fn main() -> ExitCode {
    allocator::give_back();
    dlstore::cli::main(std::env::args_os())
}
