//! Distrust: bytes that turned out bad while they were used leave for quarantine.
//!
//! A stamp can be intact above bytes that are not. Whoever reads a file whole and finds another name than it should
//! have says so here: the file is hashed once more under the write lock, set aside, and what lies in it is marked,
//! so that everybody sees a miss. Healing is publishing again.

use super::{Store, StoreError};
use crate::index::{Commit, Directory};
use dlstore_model::digest::OciDigest;

impl Store {
    /// Sets a kept source aside if it is bad; does nothing in a store that cannot be written to.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn distrust_source(&self, sha256: &OciDigest) -> Result<(), StoreError> {
        self.distrust(Directory::Sources, sha256)
    }

    /// Sets the blob of a pack aside if it is bad; does nothing in a store that cannot be written to.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn distrust_pack(&self, blob: &OciDigest) -> Result<(), StoreError> {
        self.distrust(Directory::Packs, blob)
    }

    fn distrust(&self, directory: Directory, sha256: &OciDigest) -> Result<(), StoreError> {
        if self.0.check_writable().is_err() {
            return Ok(());
        }
        self.0.index.write(Commit::Durable, |writer| match writer.file(directory, sha256)? {
            Some(row) => self.0.set_aside(writer, &row),
            None => Ok(()),
        })
    }
}
