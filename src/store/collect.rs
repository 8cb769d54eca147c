//! Collecting: a plan is carried out, beside any number of readers, writers and other collectors.
//!
//! - Phase 0: leases whose lock can be taken, or has no file any more, are dead; their rows, stages
//!   and lock files go.
//! - Phase 1: one write marks the dead. It is on the disk before the first unlink.
//! - Phase 2: batches of the dead are looked up again, and their files and rows removed, under the
//!   lock. A writer that wanted one of them has revived it by then, or publishes it anew later.
//! - Phase 3: files without a row go, again under the lock.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::gc::{GcOptions, GcPlan, Orphan, SourcePolicy, choose, still_doomed};
use super::layout::{ROOTS, folder_name, lease_of_lock};
use super::place::RESERVE;
use super::{Inner, Store, StoreError};
use crate::index::{Commit, FileRow, Folder, State};
use dlstore_fsx::file::{self, Stamp};
use dlstore_fsx::lock::{LockFile, Taken};
use dlstore_fsx::{place, stop};
use dlstore_model::digest::OciDigest;

/// Dead objects, or files, that leave under one hold of the lock: 10 ms of others waiting.
const BATCH: u32 = 256;

/// What a collection did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GcReport {
    /// Leases of the dead that were removed.
    pub leases: u64,
    /// Roots that were removed.
    pub roots: u64,
    /// Objects that were removed, dead ones of earlier collections among them.
    pub objects: u64,
    /// Files that were removed, orphans among them.
    pub files: u64,
    /// Bytes of those files.
    pub freed: u64,
}

impl Store {
    /// Finds out what a collection would do.
    ///
    /// # Errors
    /// When the store cannot be read.
    #[expect(clippy::redundant_closure_for_method_calls, reason = "a path is not general enough in its lifetime")]
    pub fn plan_gc(&self, options: &GcOptions) -> Result<GcPlan, StoreError> {
        let leases = self.0.dead_leases()?;
        let graph = self.0.index.snapshot(|reader| reader.graph())?;
        let room = match options.keep_free {
            Some(wanted) => Some(wanted.saturating_sub(place::available(&self.0.layout.root)?)),
            None => None,
        };
        let most = [room, options.max_freed].into_iter().flatten().min();
        let (roots, objects) = choose(&graph, options, &leases, most);
        let orphans = self.0.orphans()?.into_iter().map(|(_, _, orphan)| orphan).collect::<Vec<_>>();
        let dead = graph.objects.iter().filter(|node| node.state == State::Dead).count() as u64;
        let kept = graph.objects.len() as u64 - dead - objects.len() as u64;
        let freed = objects.iter().map(|doomed| doomed.bytes).chain(orphans.iter().map(|orphan| orphan.bytes)).sum();
        let leases = leases.into_iter().collect();
        Ok(GcPlan { leases, roots, sources: options.sources, objects, orphans, dead, kept, freed })
    }

    /// Carries a plan out. What was claimed or came since the plan was made stays.
    ///
    /// # Errors
    /// When a step fails; what was done so far is sound, and the next collection goes on.
    pub fn execute_gc(&self, plan: &GcPlan) -> Result<GcReport, StoreError> {
        let store = &self.0;
        store.check_writable()?;
        stop::point("gc.begun");
        if place::available(&store.layout.root)? < RESERVE {
            file::unlink(&store.layout.reserve())?;
        }
        let mut report = GcReport::default();
        store.bury_leases(&mut report)?;
        store.mark(plan, &mut report)?;
        store.remove_dead(&mut report)?;
        store.remove_orphans(&mut report)?;
        store.index.shrink()?;
        stop::point("gc.shrunk");
        store.note_root_change();
        store.mirror_roots()?;
        Ok(report)
    }

    /// Plans and collects at once.
    ///
    /// # Errors
    /// As [`Store::plan_gc`] and [`Store::execute_gc`].
    pub fn gc(&self, options: &GcOptions) -> Result<GcReport, StoreError> {
        self.execute_gc(&self.plan_gc(options)?)
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

    /// Phase 0.
    fn bury_leases(&self, report: &mut GcReport) -> Result<(), StoreError> {
        for name in self.dead_leases()? {
            let lock = match LockFile::take(&self.layout.lock(&name))? {
                Taken::Dead(lock) => Some(lock),
                Taken::Gone => None,
                Taken::Alive => continue,
            };
            self.index.write(Commit::Relaxed, |writer| writer.remove_lease(&name))?;
            stop::point("gc.lease-rows-deleted");
            file::remove_all(&self.layout.stage(&name))?;
            stop::point("gc.lease-stage-removed");
            if let Some(lock) = lock {
                lock.remove()?;
            }
            stop::point("gc.lease-unlinked");
            report.leases += 1;
        }
        Ok(())
    }

    /// Phase 1.
    fn mark(&self, plan: &GcPlan, report: &mut GcReport) -> Result<(), StoreError> {
        if plan.objects.is_empty() && plan.roots.is_empty() {
            return Ok(());
        }
        self.index.write(Commit::Durable, |writer| {
            if plan.sources == SourcePolicy::Drop {
                writer.forget_sources()?;
            }
            for root in &plan.roots {
                report.roots += u64::from(writer.remove_root(&root.name, Some(root.used_at))?);
            }
            let doomed = still_doomed(&writer.graph()?, plan);
            writer.bury(&doomed)?;
            stop::point("gc.marked");
            Ok::<_, StoreError>(())
        })?;
        stop::point("gc.mark-committed");
        Ok(())
    }

    /// Phase 2.
    fn remove_dead(&self, report: &mut GcReport) -> Result<(), StoreError> {
        loop {
            // Relaxed: a commit that a power cut takes back leaves dead rows without files.
            let (objects, files) = self.index.write(Commit::Relaxed, |writer| {
                let (objects, mut files) = writer.remove_dead(BATCH)?;
                if objects == 0 {
                    files = writer.unused_files(BATCH)?;
                }
                for row in &files {
                    file::unlink(&self.layout.file(row.folder, &row.sha256))?;
                    stop::point("gc.unlinked");
                    writer.remove_file_row(row.id)?;
                }
                stop::point("gc.rows-deleted");
                Ok::<_, StoreError>((objects, files))
            })?;
            stop::point("gc.batch-committed");
            report.objects += objects as u64;
            report.files += files.len() as u64;
            report.freed += files.iter().map(|row| row.stamp.size).sum::<u64>();
            if objects == 0 && files.is_empty() {
                return Ok(());
            }
        }
    }

    /// Lists files in `packs/` and `sources/` that have names of ours and no row.
    pub(super) fn orphans(&self) -> Result<Vec<(Folder, OciDigest, Orphan)>, StoreError> {
        let mut orphans = Vec::new();
        for folder in Folder::ALL {
            let path = self.layout.folder(folder);
            // Files first: what is published between the two looks has a row.
            let names = file::list(&path)?;
            let known: BTreeSet<OciDigest> = self.index.read(|reader| {
                let rows = reader.files()?.into_iter();
                Ok::<_, StoreError>(rows.filter(|row| row.folder == folder).map(|row: FileRow| row.sha256).collect())
            })?;
            for name in names {
                let Some(sha256) = name.to_str().and_then(|name| OciDigest::from_hex(name).ok()) else { continue };
                if known.contains(&sha256) {
                    continue;
                }
                let bytes = Stamp::at(&path.join(&name))?.map_or(0, |stamp| stamp.size);
                let path = format!("{}/{}", folder_name(folder), sha256.to_hex());
                orphans.push((folder, sha256, Orphan { path, bytes }));
            }
        }
        Ok(orphans)
    }

    /// Phase 3: files.
    fn remove_orphans(&self, report: &mut GcReport) -> Result<(), StoreError> {
        for batch in self.orphans()?.chunks(BATCH as usize) {
            self.index.write(Commit::Relaxed, |writer| {
                for (folder, sha256, orphan) in batch {
                    if writer.file(*folder, sha256)?.is_none() && file::unlink(&self.layout.file(*folder, sha256))? {
                        stop::point("gc.orphan-unlinked");
                        report.files += 1;
                        report.freed += orphan.bytes;
                    }
                }
                Ok::<_, StoreError>(())
            })?;
        }
        for name in self.unfinished_mirrors()? {
            file::unlink(&self.layout.root.join(name))?;
        }
        Ok(())
    }

    /// Lists copies of the roots that were not finished.
    pub(super) fn unfinished_mirrors(&self) -> Result<Vec<PathBuf>, StoreError> {
        let mut names = file::list(&self.layout.root)?;
        names.retain(|name| name.to_string_lossy().starts_with(&format!("{ROOTS}.")));
        Ok(names)
    }
}
