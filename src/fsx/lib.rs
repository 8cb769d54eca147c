//! Every effect on the file system that could lose data: in this directory and nowhere else.
//!
//! rename, unlink, sync, flock, hard links, reflinks, preallocation and `statfs` are called here, so
//! that the order in which they happen can be read in one place, and a test greps that no other
//! module calls them. Nothing here knows what a pack, a lease or an index is.
//!
//! - [`mod@file`]: single effects on files and directories, each an error with path and attempt;
//! - [`input`]: what a person names, opened without blocking, regular files only;
//! - [`link`]: a file given away: hard link, else reflink, else copy;
//! - [`lock`]: locks that die with their owner;
//! - [`output`]: what is written outside of the store, whole or not at all;
//! - [`place`]: what file system a path lies on, whose it is, how much room it has;
//! - [`replace`]: a large file that takes the place of another;
//! - [`process`]: settings of the process: what the umask takes, what a limit on file sizes does;
//! - [`stop`]: named points at which a test can end the process.

#![forbid(unsafe_code)]

use std::io;
use std::path::{Path, PathBuf};

mod diagnose;
pub mod file;
pub mod input;
pub mod link;
pub mod lock;
pub mod output;
pub mod place;
pub mod process;
pub mod replace;
pub mod stop;

/// Tells which effect on which path failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {attempt} {}", dlstore_model::escape::Escaped::bytes(path.as_os_str().as_encoded_bytes()))]
pub struct FsError {
    /// What was attempted, as a verb: `rename`, `make the directory`.
    pub attempt: &'static str,
    /// On what.
    pub path: PathBuf,
    /// What the system said.
    #[source]
    pub source: io::Error,
}

impl FsError {
    /// Wraps what the system said.
    pub fn new(attempt: &'static str, path: &Path, source: impl Into<io::Error>) -> Self {
        Self { attempt, path: path.to_path_buf(), source: source.into() }
    }

    /// Says whether the path is not there.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        self.source.kind() == io::ErrorKind::NotFound
    }

    /// Says whether the disk, or the user's share of it, is full.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self.source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }
}
