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
use super::gc::{GcOptions, Leftover, Lies, Orphan, SourcePolicy, total};
use super::layout::{directory_name, lease_of_lock, lease_of_stage};
use super::{Inner, ObjectRef, StoreError};
use crate::index::{Directory, LeaseName, Reader};
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
    pub(super) fn dead_leases(&self) -> Result<BTreeSet<LeaseName>, StoreError> {
        // Rows first: a row is written only after its lock file, and goes before it.
        let mut names: BTreeSet<LeaseName> =
            self.index.read(|reader| reader.leases())?.into_iter().filter_map(|lease| lease.name).collect();
        names.extend(file::list(&self.layout.leases())?.iter().filter_map(|name| lease_of_lock(name)));
        names.extend(file::list(&self.layout.stages())?.iter().filter_map(|name| lease_of_stage(name)));
        let mut dead = BTreeSet::new();
        for name in names {
            if !matches!(LockFile::take(&self.layout.lock(name))?, Taken::Alive) {
                dead.insert(name);
            }
        }
        Ok(dead)
    }

    /// Adds up what lies in the stages of leases.
    pub(super) fn staged(&self, leases: &BTreeSet<LeaseName>) -> Result<u64, StoreError> {
        let each = leases.iter().map(|name| Ok(file::weight(&self.layout.stage(*name))?));
        Ok(total(each.collect::<Result<Vec<_>, StoreError>>()?))
    }

    /// Lists files in `packs/` and `sources/` that have names of ours and no row.
    pub(super) fn orphans(&self) -> Result<Vec<Orphan>, StoreError> {
        let mut orphans = Vec::new();
        for directory in Directory::ALL {
            let path = self.layout.directory(directory);
            // Files first: what is published between the two looks has a row.
            let names = file::list_digests(&path)?;
            let unknown = self.index.read(|reader| Ok::<_, StoreError>(reader.without_row(directory, &names)?))?;
            for sha256 in unknown {
                let bytes = Stamp::at(&self.layout.file(directory, &sha256))?.map_or(0, |stamp| stamp.size);
                let path = format!("{}/{}", directory_name(directory), sha256.to_hex());
                orphans.push(Orphan { path, bytes, place: Lies::In(directory, sha256) });
            }
        }
        Ok(orphans)
    }

    /// Of the orphans, lists those that a collection takes. A source of a package that is here stays, and one that a
    /// line of the journal names: a row was lost, and a repair brings it back.
    pub(super) fn old_orphans(&self, options: &GcOptions) -> Result<Vec<Orphan>, StoreError> {
        let mut old = Vec::new();
        for orphan in self.orphans()? {
            let Lies::In(directory, sha256) = orphan.place else { continue };
            if directory == Directory::Sources && options.orphan_sources == Leftover::Keep {
                continue;
            }
            let since = file::lies_since(&self.layout.file(directory, &sha256))?;
            // A time in the future says nothing about the age: then the lock alone has to protect a publication.
            let is_old = |since| since > options.now || options.now - since >= options.grace.as_secs();
            if since.is_some_and(is_old) {
                old.push(orphan);
            }
        }
        if options.sources == SourcePolicy::Keep && options.orphan_sources == Leftover::Remove {
            let going: BTreeSet<OciDigest> = old.iter().filter_map(Orphan::source).collect();
            let find = |object: &ObjectRef| match object {
                ObjectRef::Source(source) if going.contains(source) => Some(*source),
                _ => None,
            };
            let named = self.named_in_journal(find, &BTreeSet::new())?;
            let mut needed = BTreeSet::new();
            for source in old.iter().filter_map(Orphan::source) {
                if named.contains(&source) || self.index.read(|reader| is_of_package(reader, &source))? {
                    needed.insert(source);
                }
            }
            old.retain(|orphan| orphan.source().is_none_or(|source| !needed.contains(&source)));
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
                let path = Path::new("quarantine").join(&name).to_string_lossy().into_owned();
                Ok(Orphan { path, bytes, place: Lies::InQuarantine(name) })
            })
            .collect()
    }
}

/// Says whether a package that is here came in this source.
pub(super) fn is_of_package(reader: &Reader<'_>, source: &OciDigest) -> Result<bool, StoreError> {
    Ok(!reader.packages_of(source)?.is_empty())
}
