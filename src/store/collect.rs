//! Collecting: a plan is carried out, beside any number of readers, writers and other collectors.
//!
//! - Phase 0: leases whose lock can be taken, or has no file any more, are dead; their rows, stages
//!   and lock files go.
//! - Phase 1: the doomed are marked dead, each after a look at who claims it now, and leave the lists of names. All
//!   of that is on the disk before the first unlink.
//! - Phase 2: the dead are looked up again, and their files and rows removed. A writer that wanted one of them
//!   has revived it by then, or publishes it anew later.
//! - Phase 3: files without a row or without a use go; what is kept beside the rows is set right.
//!
//! All of it happens under the write lock, in turns (`turns`). What cannot be removed is a finding, and the
//! collection goes on.

use std::collections::{BTreeMap, BTreeSet};

use super::finding::{Finding, FindingKind, Stays};
use super::gc::{Doomed, DroppedRoot, GcOptions, GcPlan, Lies, SourcePolicy};
use super::journal::{Change, Even};
use super::lease::LET_GO;
use super::leftover::{attempt, is_of_package};
use super::needed::{Dependents, Needed};
use super::strange::{name_strange_leases, name_strange_roots};
use super::verify::Step;
use super::{Inner, ObjectRef, Store, StoreError};
use crate::index::{Commit, Directory, Listed, NameList, PackageRow, Reader, Removal, State, Writer};
use dlstore_fsx::lock::{LockFile, Taken};
use dlstore_fsx::{file, stop};
use dlstore_model::digest::{OciDigest, PackageKey};
use dlstore_model::format::Format;

/// Dead objects that are looked up at once.
const DEAD: u32 = 4096;

/// What a collection did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GcReport {
    /// Leases of the dead that were removed.
    pub leases: u64,
    /// Roots that were removed.
    pub roots: u64,
    /// Objects that were removed, dead ones of earlier collections among them.
    pub objects: u64,
    /// Files that were removed: orphans and what lay in quarantine among them, what lay in stages not.
    pub files: u64,
    /// Bytes of those files, and of what lay in stages.
    pub freed: u64,
    /// What could not be removed.
    pub findings: Vec<Finding>,
    /// Sources that were to go and stay.
    pub stays: Stays,
}

impl Store {
    /// Carries a plan out. What was claimed or came since the plan was made stays.
    ///
    /// # Errors
    /// When a step fails; what was done so far is sound, and the next collection goes on.
    pub fn execute_gc(&self, plan: &GcPlan) -> Result<GcReport, StoreError> {
        self.execute_gc_heard(plan, &|_, _| ())
    }

    /// Does the same, and lets `step` hear of each object that was looked at once more and let go of, or not.
    ///
    /// # Errors
    /// As [`Store::execute_gc`].
    pub fn execute_gc_heard(&self, plan: &GcPlan, step: Step<'_>) -> Result<GcReport, StoreError> {
        let store = &self.0;
        store.check_writable()?;
        stop::point("gc.begun");
        let mut report = GcReport { stays: plan.stays.clone(), ..GcReport::default() };
        report.findings.extend(store.name_strange_files()?);
        report.findings.extend(store.index.read(name_strange_leases)?);
        let recount = || store.with_reserve(Commit::Relaxed, |writer, _| Ok::<_, StoreError>(writer.recount()?));
        // First, if there is room: a counter at its end lets no row go.
        let is_counted = !plan.miscounted
            || match recount() {
                Err(error) if error.is_full() => false,
                outcome => outcome.map(|()| true)?,
            };
        store.bury_leases(&mut report)?;
        let listed = store.mark(plan, step, &mut report)?;
        store.remove_dead(plan, &listed, &mut report)?;
        store.remove_files(plan, &listed, &mut report)?;
        if !is_counted {
            recount()?;
        }
        store.shrink()?;
        stop::point("gc.shrunk");
        let strange = store.index.read(name_strange_roots)?;
        // The right names of such roots stand in the journal, and nowhere else.
        if strange.is_empty() {
            let changed = plan.sources == SourcePolicy::Drop || report.roots > 0;
            match store.compact_journal(if changed { Even::Sound } else { Even::Stale }) {
                // What the old one says too much does no harm.
                Err(error) if error.is_full() => {}
                outcome => outcome?,
            }
        }
        report.findings.extend(strange);
        store.make_reserve()?;
        report.findings.sort();
        report.findings.dedup();
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
    /// Phase 0.
    fn bury_leases(&self, report: &mut GcReport) -> Result<(), StoreError> {
        for name in self.dead_leases()? {
            let path = self.layout.lock(name);
            let lock = match LockFile::take(&path)? {
                Taken::Dead(lock) => Some(lock),
                Taken::Gone => None,
                Taken::Alive => continue,
            };
            while !self.with_reserve(Commit::Relaxed, |writer, most| {
                Ok(writer.remove_lease(name, u32::try_from(most).map_or(LET_GO, |most| most.min(LET_GO)))?)
            })? {
                self.pause(true);
            }
            stop::point("gc.lease-rows-deleted");
            let stage = self.layout.stage(name);
            let bytes = file::weight(&stage)?;
            match attempt(file::remove_all(&stage))? {
                Ok(_) => report.freed = report.freed.saturating_add(bytes),
                Err(finding) => {
                    // Its lock stays as well, so that the next collection tries again.
                    report.findings.push(finding);
                    continue;
                }
            }
            stop::point("gc.lease-stage-removed");
            let removed = match lock {
                Some(lock) => attempt(lock.remove().map(|()| true))?,
                // Whatever lies there is no lock.
                None => attempt(file::unlink(&path))?,
            };
            stop::point("gc.lease-unlinked");
            match removed {
                Ok(_) => report.leases += 1,
                Err(finding) => report.findings.push(finding),
            }
        }
        Ok(())
    }

    /// Phase 1. Gives the packages that the lists of names and the journal have of each source, where sources are dropped.
    fn mark(&self, plan: &GcPlan, step: Step<'_>, report: &mut GcReport) -> Result<Dependents, StoreError> {
        let unborn = |writer: &Writer<'_>, id: &i64| Ok(writer.clamp_birth(*id, plan.now)?);
        self.in_turns(&plan.unborn_rows, unborn, |_| ())?;
        let unjournal = |writer: &Writer<'_>, gone: &[Option<String>]| self.unjournal(writer, gone, plan.now);
        let drop = |writer: &Writer<'_>, root: &DroppedRoot| {
            Ok(writer.remove_root(&root.name, Some(root.used_at))?.then(|| root.name.clone()))
        };
        self.in_closed_turns(&plan.roots, drop, unjournal, |gone| report.roots += u64::from(gone.is_some()))?;
        let lists = self.lists_of(&plan.objects)?;
        let listed = self.listed_but(plan)?;
        if plan.sources == SourcePolicy::Drop {
            // Before the lock: what does not look as it did is read, and what outcomes lack is found out.
            self.believe_packs()?;
            for doomed in &plan.objects {
                if let ObjectRef::Source(sha256) = doomed.object {
                    self.index.read(|reader| self.who_needs(reader, &sha256, Some(doomed.id), &listed))?;
                }
            }
        }
        let bury = |writer: &Writer<'_>, doomed: &Doomed| {
            match (plan.sources, doomed.object) {
                (SourcePolicy::Drop, ObjectRef::Source(sha256)) => {
                    if let Some(why) = self.who_needs(writer, &sha256, Some(doomed.id), &listed)? {
                        return Ok(Buried::Needed(sha256, why));
                    }
                    writer.forget_source(doomed.id)?;
                }
                // Whatever the references say: a package that is here is made again from its source.
                (SourcePolicy::Keep, ObjectRef::Source(sha256)) if is_of_package(writer, &sha256)? => {
                    return Ok(Buried::No);
                }
                _ => {}
            }
            let is_buried = writer.bury(doomed.id, doomed.born)?;
            if let (true, ObjectRef::Package(key)) = (is_buried, doomed.object) {
                unlist(writer, &key, &lists)?;
            }
            stop::point("gc.marked");
            step(doomed.object.kind(), plan.objects.len());
            Ok(if is_buried { Buried::Yes } else { Buried::No })
        };
        let mut buried = false;
        // Sources last: what needs one may be among what goes.
        let (sources, others): (Vec<Doomed>, Vec<Doomed>) =
            plan.objects.iter().copied().partition(|doomed| matches!(doomed.object, ObjectRef::Source(_)));
        for objects in [others, sources] {
            self.in_turns(&objects, &bury, |outcome| match outcome {
                Buried::Yes => buried = true,
                Buried::No => {}
                Buried::Needed(source, why) => report.stays.add(&source, &why),
            })?;
        }
        if plan.sources == SourcePolicy::Drop {
            // Roots that kept nothing but sources keep nothing any more.
            let empty = self.index.read(|reader| Ok::<_, StoreError>(reader.empty_roots()?))?;
            let drop = |writer: &Writer<'_>, name: &String| {
                let is_gone =
                    writer.root(name)?.is_some_and(|keeps| keeps.is_empty()) && writer.remove_root(name, None)?;
                Ok(is_gone.then(|| name.clone()))
            };
            self.in_closed_turns(&empty, drop, unjournal, |_| ())?;
        }
        // Those that an earlier collection marked, and did not come to remove, are not known to be on the disk either.
        let is_dead = |reader: &Reader<'_>| Ok::<_, StoreError>(!reader.dead(0, 1)?.is_empty());
        if buried || self.index.read(is_dead)? {
            // Nothing of the turns need be on the disk yet. Waiting for one more write waits for all of them.
            self.with_reserve(Commit::Durable, |writer, _| Ok(writer.count_collection()?))?;
        }
        stop::point("gc.mark-committed");
        Ok(listed)
    }

    /// Gives who may need the sources that a plan drops: the packages that are listed, but for those that the plan takes
    /// too. Roots that it drops are gone already.
    fn listed_but(&self, plan: &GcPlan) -> Result<Dependents, StoreError> {
        if plan.sources == SourcePolicy::Keep {
            return Ok(Dependents::default());
        }
        let going = plan.objects.iter().map(|doomed| doomed.object).collect();
        self.index.snapshot(|reader| self.listed_by_source(reader, &going))
    }

    /// Writes down which roots of a turn are gone, all with one wait for the disk; on a full disk the journal may
    /// say too much.
    fn unjournal(&self, writer: &Writer<'_>, gone: &[Option<String>], now: u64) -> Result<(), StoreError> {
        let changes: Vec<Change<'_>> = gone.iter().flatten().map(|name| Change::Remove(name)).collect();
        match self.write_journal(writer, now, &changes) {
            Err(error) if error.is_full() => Ok(()),
            outcome => outcome,
        }
    }

    /// Looks for what the rows of packages that go do not tell of their lists.
    fn lists_of(&self, objects: &[Doomed]) -> Result<Lists, StoreError> {
        let packages = objects.iter().filter_map(|doomed| match doomed.object {
            ObjectRef::Package(key) => Some(key),
            _ => None,
        });
        let (found, is_damaged) = self.index.snapshot(|reader| {
            let (mut nameless, mut is_damaged) = (BTreeSet::new(), false);
            for key in packages {
                match reader.name_of(&key)? {
                    Some((format, name)) => is_damaged |= reader.names(format, &name)? == NameList::Damaged,
                    None => {
                        nameless.insert(key);
                    }
                }
            }
            Ok::<(Vec<Listed>, _), StoreError>((reader.lists_with(&nameless)?, is_damaged))
        })?;
        let mut lists = Lists { of: BTreeMap::new(), may_remake: false };
        if is_damaged {
            lists.may_remake = !self.index.read(|reader| self.misses_packages(reader))?;
        }
        for (format, name, key) in found {
            lists.of.entry(key).or_default().push((format, name));
        }
        Ok(lists)
    }

    /// Phase 2.
    fn remove_dead(&self, plan: &GcPlan, listed: &Dependents, report: &mut GcReport) -> Result<(), StoreError> {
        // Of those that an earlier collection marked nobody has asked today who needs them.
        let asked: BTreeSet<i64> = match plan.sources {
            SourcePolicy::Drop => plan.objects.iter().map(|doomed| doomed.id).collect(),
            SourcePolicy::Keep => BTreeSet::new(),
        };
        let mut last = 0;
        loop {
            let dead = self.index.read(|reader| Ok::<_, StoreError>(reader.dead(last, DEAD)?))?;
            let Some(end) = dead.last() else { return Ok(()) };
            last = *end;
            let remove = |writer: &Writer<'_>, id: &i64| {
                if !asked.contains(id) && self.revive_source(writer, *id, plan.sources, listed)? {
                    return Ok((*id, Removal::Revived, None));
                }
                let object = writer.audit_object(*id)?.map(|(object, _)| object);
                let removal = writer.remove_dead(*id)?;
                let file = match (removal, object) {
                    // A damaged row: the file is another's, and what is its own is an orphan.
                    (Removal::Gone(Some(row)), Some(ObjectRef::Source(sha256))) if row.sha256 != sha256 => None,
                    (Removal::Gone(Some(row)), _) => Some(self.take_away(writer, row)?),
                    _ => None,
                };
                stop::point("gc.rows-deleted");
                Ok((*id, removal, file))
            };
            self.in_turns(&dead, remove, |(id, removal, file)| {
                stop::point("gc.batch-committed");
                match removal {
                    Removal::Gone(_) => report.objects += 1,
                    Removal::Revived => {}
                    Removal::Claimed => report.findings.push(Finding {
                        kind: FindingKind::NotRemoved,
                        object: None,
                        detail: format!("the unused object {id} is kept: something still refers to it"),
                    }),
                }
                if let Some(outcome) = file {
                    report.count(outcome);
                }
            })?;
            self.pause(true);
        }
    }

    /// Takes a dead source back of which a package is live: it was made again from it after the source was marked. Where
    /// sources are dropped on purpose, only one that a package cannot be had without.
    fn revive_source(
        &self,
        writer: &Writer<'_>,
        id: i64,
        policy: SourcePolicy,
        listed: &Dependents,
    ) -> Result<bool, StoreError> {
        let Some((source @ ObjectRef::Source(sha256), State::Dead)) = writer.audit_object(id)? else {
            return Ok(false);
        };
        if policy == SourcePolicy::Drop && self.who_needs(writer, &sha256, Some(id), listed)?.is_none() {
            return Ok(false);
        }
        let mut packages = Vec::new();
        for row in writer.packages_of(&sha256)? {
            if let PackageRow::Whole(record) = row {
                packages.extend(writer.live(&record.object())?.map(|row| row.id));
            }
        }
        let Some(row) = writer.object(&source)?.filter(|_| policy == SourcePolicy::Drop || !packages.is_empty()) else {
            return Ok(false);
        };
        if !self.has_file(writer, &source, &row)? {
            return Ok(false);
        }
        writer.set_state(id, State::Live)?;
        packages.iter().try_for_each(|package| writer.add_edge(*package, id))?;
        Ok(true)
    }

    /// Removes a file that nothing lies in, and its row; the caller holds the write lock.
    fn take_away(&self, writer: &Writer<'_>, row: crate::index::FileRow) -> Result<Result<u64, Finding>, StoreError> {
        let outcome = attempt(file::unlink(&self.layout.file(row.directory, &row.sha256)))?;
        stop::point("gc.unlinked");
        match outcome {
            Ok(_) => {
                writer.remove_file_row(row.id)?;
                Ok(Ok(row.stamp.size))
            }
            // The row stays, so that the next collection tries again.
            Err(finding) => Ok(Err(finding)),
        }
    }

    /// Phase 3.
    fn remove_files(&self, plan: &GcPlan, listed: &Dependents, report: &mut GcReport) -> Result<(), StoreError> {
        // A pack that does not know its file may lie in one of those that nobody seems to use: a repair knows.
        let may_be_theirs = !plan.unused.is_empty()
            || plan.orphans.iter().any(|orphan| matches!(orphan.place, Lies::In(Directory::Packs, _)));
        let are_packs_lost =
            may_be_theirs && self.index.read(|reader| Ok::<_, StoreError>(reader.has_packs_without_file()?))?;
        let unused = |writer: &Writer<'_>, id: &i64| match writer.file_by_id(*id)? {
            // What cannot be had again is not removed because a row of the index is missing: it is an orphan now.
            Some(row) if row.directory == Directory::Sources && !writer.is_used(row.id)? => {
                writer.remove_file_row(row.id)?;
                Ok(None)
            }
            Some(row) if row.directory == Directory::Packs && are_packs_lost => Ok(None),
            Some(row) if !writer.is_used(row.id)? => self.take_away(writer, row).map(Some),
            _ => Ok(None),
        };
        self.in_turns(&plan.unused, unused, |outcome| outcome.into_iter().for_each(|outcome| report.count(outcome)))?;
        let orphan = |writer: &Writer<'_>, orphan: &super::Orphan| {
            let Lies::In(directory, sha256) = orphan.place else { return Ok(None) };
            if directory == Directory::Packs && are_packs_lost {
                return Ok(None);
            }
            if directory == Directory::Sources {
                match plan.sources {
                    SourcePolicy::Keep if is_of_package(writer, &sha256)? => return Ok(None),
                    SourcePolicy::Drop => {
                        if let Some(why) = self.who_needs(writer, &sha256, None, listed)? {
                            return Ok(Some(Orphaned::Needed(sha256, why)));
                        }
                    }
                    SourcePolicy::Keep => {}
                }
            }
            if writer.file(directory, &sha256)?.is_some() {
                return Ok(None);
            }
            let outcome = attempt(file::unlink(&self.layout.file(directory, &sha256)))?;
            stop::point("gc.orphan-unlinked");
            Ok(match outcome {
                Ok(was_there) => was_there.then_some(Orphaned::Tried(Ok(orphan.bytes))),
                Err(finding) => Some(Orphaned::Tried(Err(finding))),
            })
        };
        self.in_turns(&plan.orphans, orphan, |outcome| match outcome {
            Some(Orphaned::Tried(outcome)) => report.count(outcome),
            Some(Orphaned::Needed(source, why)) => report.stays.add(&source, &why),
            None => {}
        })?;
        // Under the lock too: a file that is made new lies here for a moment, while its maker holds it.
        let quarantined = |_: &Writer<'_>, orphan: &super::Orphan| {
            let Lies::InQuarantine(name) = &orphan.place else { return Ok(Ok(0)) };
            let path = self.layout.quarantine().join(name);
            let outcome = match file::unlink(&path) {
                Err(error) if error.source.kind() == std::io::ErrorKind::IsADirectory => file::remove_all(&path),
                outcome => outcome,
            };
            Ok(attempt(outcome)?.map(|_| orphan.bytes))
        };
        self.in_turns(&plan.quarantined, quarantined, |outcome| report.count(outcome))?;
        Ok(())
    }
}

impl GcReport {
    fn count(&mut self, outcome: Result<u64, Finding>) {
        match outcome {
            Ok(bytes) => {
                self.files += 1;
                self.freed = self.freed.saturating_add(bytes);
            }
            Err(finding) => self.findings.push(finding),
        }
    }
}

/// What came of an object that was to be marked dead.
enum Buried {
    Yes,
    /// It was claimed, or is gone already.
    No,
    /// A source that something needs.
    Needed(OciDigest, Needed),
}

/// What came of a file that no row knows.
enum Orphaned {
    /// Its bytes are freed, or it cannot be removed.
    Tried(Result<u64, Finding>),
    /// A source that something needs.
    Needed(OciDigest, Needed),
}

/// What the rows of packages do not tell of the lists that they are on.
struct Lists {
    /// Where those packages are listed whose rows do not say their names any more.
    of: BTreeMap<PackageKey, Vec<(Format, String)>>,
    /// Whether a list that is damaged can be made again from the packages that are here, because no others can be lost.
    may_remake: bool,
}

/// Takes a package that was buried off the lists of names: its own, or those where it was found.
fn unlist(writer: &Writer<'_>, key: &PackageKey, lists: &Lists) -> Result<(), StoreError> {
    if let Some((format, name)) = writer.name_of(key)?
        && !writer.remove_names(format, &name, &[*key])?
        && lists.may_remake
    {
        writer.remake_names(format, &name)?;
    }
    for (format, name) in lists.of.get(key).into_iter().flatten() {
        writer.remove_names(*format, name, &[*key])?;
    }
    Ok(())
}
