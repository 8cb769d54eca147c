//! Who finds which library: loaders, the directories that they look through, and what stands there.
//!
//! ```text
//! configuration   what ld.so.conf says                ─► directories   where each loader looks at last ─┐
//! run_path        what the environment and a file say                                                  ├─► libraries
//! machine         for which machine a file is                                                          ─┘
//! libraries       what a file needs and lacks, whoever loads it ─► loading   all that a loader loads for a program
//! loaded          what it has because of who loads it
//! precedence      what a loader would take for the libc, which is nobody's but libc's
//! provided        which of the built-in images has which library
//! ```
//!
//! It looks at a rootfs through its view and changes nothing.

pub(crate) mod configuration;
mod directories;
pub(crate) mod libraries;
pub(crate) mod loaded;
pub(crate) mod loading;
pub(crate) mod machine;
pub(crate) mod precedence;
pub mod provided;
mod run_path;

use self::configuration::TooMuch;
use dlstore_model::diagnose::{Diagnose, Hint, Kind};
use dlstore_model::path::TreePath;

/// Tells why nobody can say what a loader finds.
#[derive(Debug, thiserror::Error)]
pub enum LinkerError {
    /// An ELF file that has its loader look through too many directories.
    #[error("{path} has a run path of {count} directories; at most {most} are searched")]
    RunPath {
        /// The file.
        path: TreePath,
        /// How many different entries it has.
        count: usize,
        /// How many are looked through.
        most: usize,
    },
    /// An environment that has loaders look through too many directories.
    #[error("LD_LIBRARY_PATH has {count} directories; at most {most} are searched")]
    LibraryPath {
        /// How many different parts it has.
        count: usize,
        /// How many are looked through.
        most: usize,
    },
    /// A configuration of the loader that asks for more than is looked at.
    #[error(transparent)]
    Configuration(#[from] TooMuch),
}

impl Diagnose for LinkerError {
    fn kind(&self) -> Kind {
        Kind::Input
    }

    fn hint(&self) -> Option<Hint> {
        None
    }
}
