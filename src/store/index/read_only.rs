//! An index that cannot be written to: opened as it lies there, or copied first.
//!
//! SQLite wants to write even to read: beside a database with a write-ahead log it keeps shared memory. Where it may
//! not write there are two ways:
//!
//! - on a read-only file system without a log nothing changes, so the file is opened as immutable: no lock, no log, no
//!   shared memory;
//! - else the index and its log are copied to a temporary directory and opened there. The log holds what was committed
//!   last, and others may be writing at this moment: a copy counts only when the index did not change meanwhile. The
//!   log may: what is added to it is behind the end of the copy, and a torn end is not believed by SQLite.
//!
//! A process that is killed leaves its copy in the temporary directory.

use std::path::{Path, PathBuf};

use super::IndexError;
use dlstore_fsx::file::{self, Found, Stamp};
use dlstore_fsx::{FsError, link};

/// How often an index that changes is copied anew: it changes only when a log is folded, every few seconds at most.
const TRIES: usize = 20;

/// Gives the path of the write-ahead log.
fn log_of(index: &Path) -> PathBuf {
    let mut path = index.as_os_str().to_owned();
    path.push("-wal");
    path.into()
}

/// Says whether a log with anything in it lies beside an index.
pub(super) fn has_log(index: &Path) -> Result<bool, IndexError> {
    let stamp = Stamp::at(&log_of(index)).map_err(IndexError::Copy)?;
    Ok(stamp.is_some_and(|stamp| stamp.size > 0))
}

/// A copy of an index; its directory goes with it.
pub(super) struct Copy {
    directory: PathBuf,
}

impl Copy {
    /// Copies an index with its log.
    pub(super) fn of(index: &Path) -> Result<Self, IndexError> {
        let name = file::random_name().map_err(IndexError::Copy)?;
        let directory = std::env::temp_dir().join(format!("dlstore-index-{name}"));
        file::make_folder(&directory, 0o700).map_err(IndexError::Copy)?;
        let copy = Self { directory };
        copy.fill(index).map_err(IndexError::Copy)?;
        Ok(copy)
    }

    /// Gives where the copied index lies.
    pub(super) fn index(&self) -> PathBuf {
        self.directory.join("index.db")
    }

    fn fill(&self, index: &Path) -> Result<(), FsError> {
        for _ in 0..TRIES {
            let before = Stamp::at(index)?;
            for (from, to) in [(index.to_owned(), self.index()), (log_of(index), log_of(&self.index()))] {
                file::unlink(&to)?;
                match file::open_regular(&from)? {
                    Found::File(mut opened) => drop(link::copy(&mut opened, &to)?),
                    Found::Nothing | Found::Other => {}
                }
            }
            if before.is_some() && Stamp::at(index)? == before {
                return Ok(());
            }
        }
        Err(FsError::new("copy while it changes", index, std::io::ErrorKind::ResourceBusy))
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        // What stays is a file in a temporary directory.
        let _stays = file::remove_all(&self.directory);
    }
}
