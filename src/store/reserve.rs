//! The reserve: room for the collector when there is none.
//!
//! Collecting writes before it frees: marks have to be in the log, and on the disk, before the first file goes.
//! So a file that holds nothing is made by the first publication, and again at the end of each collection. It is
//! let go only when a commit of a collection fails for lack of room. What lies in its place and is no file goes to
//! quarantine when the reserve is made.

use std::io::ErrorKind::{AlreadyExists, FileTooLarge};

use super::{Inner, StoreError};
use crate::index::Commit;
use dlstore_fsx::file::{self, Stamp};
use dlstore_fsx::{place, stop};

/// 32 MiB: the log of a big mark.
const MOST: u64 = 32 << 20;

/// 512 KiB: the log of marking a few objects one after the other.
const LEAST: u64 = 512 << 10;

/// Of a small file system one part in a hundred.
const PART: u64 = 100;

/// So many times the reserve must be free when it is made: it is not made of the last room there is.
const FREE: u64 = 4;

impl Inner {
    /// Sets room aside if that was not done yet and there is plenty of it.
    pub(super) fn make_reserve(&self) -> Result<(), StoreError> {
        let path = self.layout.reserve();
        // Of whatever size: the file system may have grown since.
        if Stamp::at(&path)?.is_some_and(|stamp| stamp.size > 0) {
            return Ok(());
        }
        let root = &self.layout.root;
        let size = (place::capacity(root)? / PART).clamp(LEAST, MOST);
        if place::available(root)? < FREE * size {
            return Ok(());
        }
        if file::exists(&path)? && Stamp::at(&path)?.is_none() {
            self.index.write(Commit::Relaxed, |_| {
                // Another process may have been faster, and made a reserve.
                if file::exists(&path)? && Stamp::at(&path)?.is_none() { self.quarantine(&path) } else { Ok(()) }
            })?;
        }
        file::unlink(&path)?;
        match file::preallocate(&path, self.sharing.file_mode(), size) {
            // Full, or larger than this user's files may be, or another process made it: nothing can be done about any.
            Err(error) if error.is_full() || matches!(error.source.kind(), FileTooLarge | AlreadyExists) => {}
            outcome => outcome?,
        }
        stop::point("reserve.made");
        Ok(())
    }

    /// Gives the bytes of the reserve.
    pub(super) fn reserved(&self) -> Result<u64, StoreError> {
        Ok(Stamp::at(&self.layout.reserve())?.map_or(0, |stamp| stamp.size))
    }

    /// Lets the room go, and makes what can be made of the log.
    pub(super) fn spend_reserve(&self) -> Result<(), StoreError> {
        let path = self.layout.reserve();
        // Whatever else lies there holds no room of ours.
        if Stamp::at(&path)?.is_some() {
            file::unlink(&path)?;
        }
        match self.index.fold() {
            // Folding needs room as well, and is only worth a try.
            Err(error) if error.is_full() => Ok(()),
            outcome => Ok(outcome?),
        }
    }
}
