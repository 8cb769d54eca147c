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

use super::StoreError;
use crate::index::Index;
use dlstore_fsx::file::{self, Found, Stamp};
use dlstore_fsx::place::Writing;
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
fn has_log(index: &Path) -> Result<bool, FsError> {
    Ok(Stamp::at(&log_of(index))?.is_some_and(|stamp| stamp.size > 0))
}

/// Opens an index in a directory that this process cannot write to; a copy has to stay for as long as it is used.
pub(super) fn open(index: &Path, writing: Writing) -> Result<(Index, Option<Copy>), StoreError> {
    if writing == Writing::ReadOnly && !has_log(index)? {
        return Ok((Index::open_immutable(index)?, None));
    }
    let copy = Copy::of(index)?;
    match Index::open_copied(&copy.index()) {
        Err(error) if error.is_full() => Err(temporary(index, error.into())),
        opened => Ok((opened?, Some(copy))),
    }
}

/// Says of an error that it came up where the copy of an index lies.
fn temporary(index: &Path, error: StoreError) -> StoreError {
    let (directory, source) = (std::env::temp_dir(), Box::new(error));
    if !source.is_full() {
        return StoreError::Temporary { directory, source };
    }
    let size = |path: &Path| Stamp::at(path).ok().flatten().map_or(0, |stamp| stamp.size);
    StoreError::TemporaryFull { directory, needed: size(index) + size(&log_of(index)), source }
}

/// A copy of an index; its directory goes with it.
pub(super) struct Copy {
    directory: PathBuf,
}

impl Copy {
    /// Copies an index with its log.
    fn of(index: &Path) -> Result<Self, StoreError> {
        let name = file::random_name()?;
        let directory = std::env::temp_dir().join(format!("dlstore-index-{name}"));
        file::make_directory(&directory, 0o700).map_err(|error| temporary(index, error.into()))?;
        let copy = Self { directory };
        match copy.fill(index) {
            Err(error) if error.path.starts_with(&copy.directory) => Err(temporary(index, error.into())),
            outcome => Ok(outcome.map(|()| copy)?),
        }
    }

    /// Gives where the copied index lies.
    fn index(&self) -> PathBuf {
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
