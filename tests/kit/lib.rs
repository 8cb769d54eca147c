//! What tests and benches have in common, compiled once: one of each thing.
//!
//! ```text
//! workspace  where the workspace and ../shared lie      run       the program, in a place of its own
//! inputs     packages, peers and rights of a machine    command   any command: how it ended, what it said
//! source     the sources, read as text                  layout    OCI layouts on disk
//! hints      errors that have a hint, by the source     layers    layers and other tars, read entry by entry
//! dice       numbers that look random                   files     what lies in directories, and damage to it
//! elf        ELF files of a few hundred bytes           disk      a small file system
//! packages   packages that tests make                   images    all built-in images of real packages
//! many       very many tiny packages                    roots     their root directories, unpacked
//! tzdata     an .apk that is not among the real ones    engines   docker and podman
//! alpine_release  another one                           lifetime  what is gone when a test binary ends
//! content    content for stores, by number              handmade  images blob by blob, as others make them
//! ```
//! A test that fails panics, and so does this. Where the program under test is, only cargo knows, and only while it
//! compiles a test or a bench: [`place!`] and [`program!`] hand it in from there.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::missing_errors_doc,
    clippy::must_use_candidate,
    clippy::return_self_not_must_use,
    reason = "what goes wrong here fails a test, which says what it skips; to look at something is to check it"
)]

pub mod alpine_release;
mod command;
pub mod content;
pub mod dice;
pub mod disk;
pub mod elf;
pub mod engines;
pub mod files;
pub mod handmade;
pub mod hints;
pub mod images;
pub mod inputs;
pub mod layers;
mod layout;
pub mod lifetime;
pub mod many;
pub mod packages;
pub mod roots;
mod run;
pub mod source;
pub mod tzdata;
pub mod workspace;

pub use command::{Done, done, finish, finish_measured, succeed, watched, without_lines};
pub use dice::Dice;
pub use files::{hex, names, sha256, snapshot};
pub use layout::Layout;
pub use run::Place;

/// The path of the program under test, as cargo tells it to tests and benches of its package.
#[macro_export]
macro_rules! program {
    () => {
        env!("CARGO_BIN_EXE_dlstore")
    };
}

/// A new [`Place`] for the program under test.
#[macro_export]
macro_rules! place {
    () => {
        $crate::Place::new($crate::program!())
    };
}
