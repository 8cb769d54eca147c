//! Leases: a living claim on what a command works with.
//!
//! A lease is a lock file with a random name, held by `flock`: the kernel lets go when the process
//! dies, in whatever container. What it holds is kept in rows, which count as long as the lock does.
//! The rows are written together with the first thing held and not before: a lease that holds
//! nothing needs none, and a transaction of its own would cost as much as all the rest.
//!
//! At the end the stage goes first, then the rows, then the lock file: as long as the file exists
//! and is not locked, the collector knows that there is something to sweep.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};

use super::{Inner, ObjectRef, Store, StoreError, now};
use crate::index::{ASK_AGAIN, Commit, IndexError, LeaseName, Writer};
use dlstore_fsx::file;
use dlstore_fsx::lock::LockFile;
use dlstore_fsx::{FsError, stop};

/// How often a name is tried: each try fails only when a collector runs at that very moment.
const TRIES: usize = 100;

/// Objects that a lease lets go of in one write: some 20 ms.
pub(super) const LET_GO: u32 = 10_000;

/// A living claim: what was published or held under it is not collected while it lives.
pub struct Lease {
    store: Arc<Inner>,
    name: LeaseName,
    note: String,
    stage: PathBuf,
    next: AtomicU64,
    has_rows: AtomicBool,
    lock: Option<LockFile>,
}

impl Store {
    /// Takes a lease; the note says what for.
    ///
    /// # Errors
    /// When the lock file or the stage cannot be made.
    pub fn lease(&self, note: &str) -> Result<Lease, StoreError> {
        self.0.check_writable()?;
        let sharing = self.0.sharing;
        for _ in 0..TRIES {
            let name = LeaseName::new(file::random_bits()?);
            let path = self.0.layout.lock(name);
            let Some(lock) = LockFile::create(&path, sharing.file_mode(), note)? else {
                file::unlink(&path)?;
                continue;
            };
            self.0.own_leases.lock().unwrap_or_else(PoisonError::into_inner).insert(name);
            stop::point("lease.locked");
            let stage = self.0.layout.stage(name);
            file::make_directory(&stage, sharing.directory_mode())?;
            stop::point("lease.staged");
            return Ok(Lease {
                store: Arc::clone(&self.0),
                name,
                note: note.to_owned(),
                stage,
                next: AtomicU64::new(0),
                has_rows: AtomicBool::new(false),
                lock: Some(lock),
            });
        }
        let path = self.0.layout.leases();
        Err(FsError::new("keep a lock file in", &path, std::io::ErrorKind::ResourceBusy).into())
    }

    /// Holds existing objects under the lease; false when one is no longer there (the caller goes the
    /// long way), and then none is held.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn hold(&self, lease: &Lease, objects: &[ObjectRef]) -> Result<bool, StoreError> {
        self.0.check_writable()?;
        lease.check_store(&self.0)?;
        // Relaxed: a power cut ends the process that holds.
        self.0.index.write(Commit::Relaxed, |writer| {
            let mut ids = Vec::with_capacity(objects.len());
            for object in objects {
                match writer.live(object)? {
                    Some(row) if self.0.has_file(writer, object, &row)? => ids.push(row.id),
                    _ => return Ok(false),
                }
            }
            let row = lease.row(writer)?;
            for id in ids {
                writer.hold(row, id)?;
            }
            Ok(true)
        })
    }
}

impl Lease {
    /// Gives a new file path inside the stage of this lease: never the same twice.
    #[must_use]
    pub fn stage_path(&self) -> PathBuf {
        self.stage.join(self.next.fetch_add(1, Ordering::Relaxed).to_string())
    }

    /// Ends the lease (also on drop).
    ///
    /// # Errors
    /// When something stays behind; the collector sweeps it.
    pub fn release(mut self) -> Result<(), StoreError> {
        self.end()
    }

    pub(super) fn check_store(&self, store: &Inner) -> Result<(), StoreError> {
        if self.store.layout == store.layout { Ok(()) } else { Err(StoreError::ForeignLease(self.name.to_string())) }
    }

    /// Gives the row that objects are held under, within a write.
    pub(super) fn row(&self, writer: &Writer<'_>) -> Result<i64, IndexError> {
        // Set before the commit: a row that was rolled back is removed in vain, which costs nothing.
        self.has_rows.store(true, Ordering::Relaxed);
        writer.put_lease(self.name, &self.note, now())
    }

    pub(super) fn stage(&self) -> &std::path::Path {
        &self.stage
    }

    fn end(&mut self) -> Result<(), StoreError> {
        let Some(lock) = self.lock.take() else { return Ok(()) };
        file::remove_all(&self.stage)?;
        stop::point("release.stage-removed");
        if self.has_rows.load(Ordering::Relaxed) {
            // In parts, so that nobody waits long behind a command that held very much.
            while !self.store.index.write(Commit::Relaxed, |writer| writer.remove_lease(self.name, LET_GO))? {
                std::thread::sleep(2 * ASK_AGAIN);
            }
        }
        stop::point("release.rows-deleted");
        lock.remove()?;
        self.store.own_leases.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
        stop::point("release.unlinked");
        Ok(())
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // Whatever stays behind is a leftover that the collector knows how to sweep.
        let _left = self.end();
    }
}
