//! Leftovers: what killed processes and lost rows leave in the store's directories.
//!
//! - A *dead lease*: its lock can be taken, or there is only its row or its stage. Everything of it goes.
//! - An *orphan*: a file in `packs/` or `sources/` that no row knows. A pack can be made again and goes when it has
//!   lain for the grace. A source may be all that is left of a package, and of a store whose index was lost, so it
//!   stays unless somebody asks.
//! - What lies in *quarantine* stays until somebody asks.
//!
//! What cannot be removed, like a directory in the place of a file, is a finding, and the collection goes on.

use std::collections::BTreeSet;
use std::path::Path;

use super::finding::{Finding, FindingKind};
use super::gc::{GcOptions, Leftover, Orphan};
use super::layout::{folder_name, lease_of_lock};
use super::{Inner, StoreError};
use crate::index::Folder;
use dlstore_fsx::FsError;
use dlstore_fsx::file::{self, Stamp};
use dlstore_fsx::lock::{LockFile, Taken};
use dlstore_model::digest::OciDigest;

/// What an attempt to remove something gave.
pub(super) type Attempt = Result<bool, Finding>;

/// Tells a full disk, after which there is another try, from what will not change.
pub(super) fn attempt(outcome: Result<bool, FsError>) -> Result<Attempt, StoreError> {
    match outcome {
        Ok(was_there) => Ok(Ok(was_there)),
        Err(error) if error.is_full() => Err(error.into()),
        Err(error) => Ok(Err(Finding {
            kind: FindingKind::NotRemoved,
            object: None,
            detail: format!("{error}: {}", error.source),
        })),
    }
}

impl Inner {
    /// Names the leases whose owners are dead: by lock files that can be taken, and by rows and stages
    /// without a lock file.
    #[expect(clippy::redundant_closure_for_method_calls, reason = "a path is not general enough in its lifetime")]
    pub(super) fn dead_leases(&self) -> Result<BTreeSet<String>, StoreError> {
        // Rows first: a row is written only after its lock file, and goes before it.
        let mut names: BTreeSet<String> =
            self.index.read(|reader| reader.leases())?.into_iter().map(|lease| lease.name).collect();
        names.extend(self.lock_names()?);
        names.extend(file::list(&self.layout.stages())?.iter().filter_map(|name| name.to_str()).map(str::to_owned));
        let mut dead = BTreeSet::new();
        for name in names {
            if !matches!(LockFile::take(&self.layout.lock(&name))?, Taken::Alive) {
                dead.insert(name);
            }
        }
        Ok(dead)
    }

    fn lock_names(&self) -> Result<Vec<String>, StoreError> {
        let names = file::list(&self.layout.leases())?;
        Ok(names.iter().filter_map(|name| lease_of_lock(name)).map(str::to_owned).collect())
    }

    /// Adds up what lies in the stages of leases.
    pub(super) fn staged(&self, leases: &BTreeSet<String>) -> Result<u64, StoreError> {
        leases.iter().map(|name| Ok(file::weight(&self.layout.stage(name))?)).sum()
    }

    /// Lists files in `packs/` and `sources/` that have names of ours and no row.
    pub(super) fn orphans(&self) -> Result<Vec<(Folder, OciDigest, Orphan)>, StoreError> {
        let mut orphans = Vec::new();
        for folder in Folder::ALL {
            let path = self.layout.folder(folder);
            // Files first: what is published between the two looks has a row.
            let names = file::list_digests(&path)?;
            let unknown = self.index.read(|reader| Ok::<_, StoreError>(reader.without_row(folder, &names)?))?;
            for sha256 in unknown {
                let bytes = Stamp::at(&self.layout.file(folder, &sha256))?.map_or(0, |stamp| stamp.size);
                let path = format!("{}/{}", folder_name(folder), sha256.to_hex());
                orphans.push((folder, sha256, Orphan { path, bytes }));
            }
        }
        Ok(orphans)
    }

    /// Of the orphans, lists those that a collection takes.
    pub(super) fn old_orphans(&self, options: &GcOptions) -> Result<Vec<Orphan>, StoreError> {
        let mut old = Vec::new();
        for (folder, sha256, orphan) in self.orphans()? {
            if folder == Folder::Sources && options.orphan_sources == Leftover::Keep {
                continue;
            }
            let since = file::lies_since(&self.layout.file(folder, &sha256))?;
            // A time in the future says nothing about the age: then the lock alone has to protect a publication.
            let is_old = |since| since > options.now || options.now - since >= options.grace.as_secs();
            if since.is_some_and(is_old) {
                old.push(orphan);
            }
        }
        Ok(old)
    }

    /// Lists what lies in quarantine, with sizes.
    pub(super) fn quarantined(&self) -> Result<Vec<Orphan>, StoreError> {
        let directory = self.layout.quarantine();
        let names = file::list(&directory)?.into_iter();
        names
            .map(|name| {
                let bytes = file::weight(&directory.join(&name))?;
                Ok(Orphan { path: Path::new("quarantine").join(&name).to_string_lossy().into_owned(), bytes })
            })
            .collect()
    }
}

/// Reads the place of a file out of its path below the store.
pub(super) fn place_of(path: &str) -> Option<(Folder, OciDigest)> {
    let (folder, name) = path.split_once('/')?;
    let folder = Folder::ALL.into_iter().find(|known| folder_name(*known) == folder)?;
    OciDigest::from_hex(name).ok().map(|sha256| (folder, sha256))
}
