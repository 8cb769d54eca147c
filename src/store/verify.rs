//! Verifying: damage has a name, and is confirmed before it is reported.
//!
//! Rows are checked against their names and checksums, against each other, and against what a caller reads out of
//! them ([`Reading`]): the store does not know what a fact or an outcome says. An error of SQLite is damage too and
//! ends no more than the look at the row or table that it came from.
//!
//! Three kinds of outcome: a *finding* is damage; a *note* is what a killed process left behind,
//! harmless and swept by the collector; all else is sound. The store lives while it is verified: what
//! looks bad is looked at again under the write lock, where rows and files cannot disagree.

use std::fs::File;

use rayon::prelude::*;

use super::finding::{Finding, FindingKind, Note, NoteKind, as_finding};
use super::gc::{Orphan, total};
use super::journal::Journal;
use super::layout::DIRECTORIES;
use super::strange::strange_rows;
use super::{Inner, ObjectRef, PackageRecord, Store, StoreError};
use crate::index::{Commit, Dangling, Directory, Kind, NameList, Named, PackageRow, Reader, State};
use dlstore_formats::layer::PackInfo;
use dlstore_fsx::file::{self, Stamp};
use dlstore_model::digest::OciDigest;
use dlstore_model::format::Format;
use dlstore_model::tree::Tree;

/// Bytes of trees and facts up to which an object is looked at beside others: a tree of some 5,000 entries.
const SMALL: u64 = 512 << 10;

/// Decodes a pack and says whether it holds its layer trees.
pub type PackCheck<'a> = &'a (dyn Fn(&PackInfo, File, &[Tree]) -> bool + Sync);

/// Says what an outcome names, by its kind and value; `None` when the value cannot be read.
pub type NamedBy<'a> = &'a (dyn Fn(&str, &[u8]) -> Option<Vec<ObjectRef>> + Sync);

/// Says what the facts of a package say, each found by its kind; `None` when they cannot be read.
pub type StatedBy<'a> = &'a (dyn Fn(&PackageRecord, FactsOf<'_>) -> Option<Stated> + Sync);

/// Hears of what kind the object was that was looked at, and of how many will be.
pub type Step<'a> = &'a (dyn Fn(Kind, usize) + Sync);

/// Objects that are listed at once.
const AT_ONCE: u32 = 10_000;

/// What a caller reads out of what the store only keeps.
#[derive(Clone, Copy)]
pub struct Reading<'a> {
    /// What an outcome names.
    pub action: NamedBy<'a>,
    /// What the facts of a package say.
    pub package: StatedBy<'a>,
}

/// Finds a fact of a package by its kind.
pub type FactsOf<'f> = &'f dyn Fn(&str) -> Option<Vec<u8>>;

/// What a package's facts say of it, to be compared with its row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stated {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its architecture.
    pub architecture: String,
    /// The names under which it has libraries, sorted.
    pub sonames: Vec<Vec<u8>>,
}

/// How deep to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Whether everything lies where the index says, and whether files look as they did when their bytes were last
    /// known; those that do not are hashed.
    Quick,
    /// What every row says as well, and every byte.
    Full,
}

/// One slice of the objects, by their names: part `number` of `count`, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Which slice.
    pub number: u32,
    /// Of how many.
    pub count: u32,
}

impl Part {
    fn holds(self, object: &ObjectRef) -> bool {
        let (start, _) =
            object.key().split_first_chunk::<4>().map_or(([0; 4], &[][..]), |(start, rest)| (*start, rest));
        u32::from_be_bytes(start) % self.count.max(1) == self.number.saturating_sub(1)
    }
}

/// What to verify.
#[derive(Clone, Copy)]
pub struct VerifyOptions<'a> {
    /// How deep to look.
    pub depth: Depth,
    /// Which objects; all when `None`.
    pub part: Option<Part>,
    /// How packs are decoded; with `None`, or when their layer trees are gone, they are only hashed.
    pub check_pack: Option<PackCheck<'a>>,
    /// How facts and outcomes are read; with `None` they are only hashed.
    pub reading: Option<Reading<'a>>,
    /// Hears of each object that was looked at, and of how many there are.
    pub progress: Option<Step<'a>>,
}

impl VerifyOptions<'_> {
    /// Looks at everything, packs hashed and not decoded.
    #[must_use]
    pub const fn new(depth: Depth) -> Self {
        Self { depth, part: None, check_pack: None, reading: None, progress: None }
    }
}

/// What verifying found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// Damage, sorted; empty when the store is sound.
    pub findings: Vec<Finding>,
    /// Leftovers, sorted.
    pub notes: Vec<Note>,
    /// Objects that were looked at.
    pub checked: u64,
}

impl Store {
    /// Looks for damage. Changes nothing but what is recorded of files: of those that look different and are right, what
    /// they look like; of those whose bytes are bad, that they are not to be believed.
    ///
    /// # Errors
    /// When the store cannot be read at all.
    pub fn verify(&self, options: &VerifyOptions<'_>) -> Result<VerifyReport, StoreError> {
        let store = &self.0;
        let mut findings = store.places()?;
        findings.extend(store.name_strange_files()?);
        findings.extend(store.confirmed(&|reader| store.lost_targets(reader))?);
        let mut looked = Looked { findings, suspects: Vec::new() };
        let (checked, leftovers) = rayon::join(
            || match options.depth {
                Depth::Quick => store.survey(options, &mut looked),
                Depth::Full => store.walk(options, &mut looked),
            },
            || store.leftovers(options.depth),
        );
        let checked = checked?;
        let Looked { mut findings, suspects } = looked;
        findings.extend(store.look_again(&suspects, &|reader, object| store.examine(reader, object, options))?);
        store.record_right();
        findings.sort();
        findings.dedup();
        let is_listable = !findings.iter().any(|finding| finding.kind == FindingKind::NotAFile);
        let notes = leftovers.and_then(|mut notes| {
            let note = |orphan: Orphan| Note { kind: NoteKind::OrphanFile, detail: orphan.path };
            notes.extend(store.orphans()?.into_iter().map(note));
            Ok(notes)
        });
        let mut notes = match notes {
            // What cannot be looked through is a finding.
            Err(error) if error.is_damage() => Vec::new(),
            Err(StoreError::File(_)) if !is_listable => Vec::new(),
            outcome => outcome?,
        };
        notes.sort();
        Ok(VerifyReport { findings, notes, checked })
    }
}

fn broken(detail: String) -> Finding {
    Finding { kind: FindingKind::IndexDamaged, object: None, detail }
}

/// What was found so far.
struct Looked {
    findings: Vec<Finding>,
    /// What looks bad to somebody who cannot take the write lock.
    suspects: Vec<ObjectRef>,
}

/// A look at the index as a whole.
type Look<'l> = &'l (dyn Fn(&Reader<'_>) -> Result<Vec<Finding>, StoreError> + Sync);

impl Inner {
    /// Looks at where everything lies, at each table once; only what seems wrong is looked at closely. Gives how many
    /// objects there are.
    ///
    /// Tables, files, and what stands beside both are looked at at the same time: each by a connection of its own, and
    /// so what comes or goes meanwhile may seem wrong. It is looked at again.
    fn survey(&self, options: &VerifyOptions<'_>, looked: &mut Looked) -> Result<u64, StoreError> {
        let (surveyed, (changed, beside)) = rayon::join(
            || self.index.snapshot(|reader| Ok::<_, StoreError>(reader.survey()?)),
            || {
                rayon::join(
                    || self.changed_files(options),
                    || self.all_confirmed(&[&definitions, &strange_rows, &counters_beside]),
                )
            },
        );
        let (survey, changed) = match (surveyed, changed) {
            // A table that cannot be read through: then each question by itself, and each row.
            (Err(error), _) | (_, Err(error)) if error.is_damage() => return self.walk(options, looked),
            (surveyed, changed) => (surveyed?, changed?),
        };
        looked.findings.extend(beside?);
        let asked: [(bool, Look<'_>); 3] = [
            (survey.is_dangling, &dangling),
            (survey.has_strays, &content),
            (survey.is_miscounted, &counters_of_objects),
        ];
        let looks = asked.into_iter().filter_map(|(is_asked, look)| is_asked.then_some(look));
        looked.findings.extend(self.all_confirmed(&looks.collect::<Vec<_>>())?);
        let suspects = self.index.read(|reader| {
            let mut rows = survey.suspects;
            for file in changed {
                rows.extend(reader.objects_in(file)?);
            }
            let objects = rows.into_iter().map(|row| Ok(reader.audit_object(row)?.map(|(object, _)| object)));
            objects.filter_map(Result::transpose).collect::<Result<Vec<_>, StoreError>>()
        })?;
        self.look_closely(&suspects, options, None, looked)?;
        Ok(survey.objects)
    }

    /// Lists the files that do not look as they did, by row.
    fn changed_files(&self, options: &VerifyOptions<'_>) -> Result<Vec<i64>, StoreError> {
        let files = self.index.read(|reader| Ok::<_, StoreError>(reader.files()?))?;
        let changed = files.par_iter().filter_map(|row| {
            let stamp = Stamp::at(&self.layout.file(row.directory, &row.sha256));
            if let Some(progress) = options.progress {
                progress(if row.directory == Directory::Packs { Kind::Pack } else { Kind::Source }, files.len());
            }
            (stamp.ok().flatten() != Some(row.stamp)).then_some(row.id)
        });
        Ok(changed.collect())
    }

    /// Looks closely at everything, object by object. Gives at how many.
    fn walk(&self, options: &VerifyOptions<'_>, looked: &mut Looked) -> Result<u64, StoreError> {
        let integrity = |reader: &Reader<'_>| {
            let lines = if options.depth == Depth::Full { reader.integrity_check()? } else { reader.quick_check()? };
            Ok(lines.into_iter().map(broken).collect())
        };
        let looks: [Look<'_>; 9] = [
            &definitions,
            &integrity,
            &strange_rows,
            &dangling,
            &content,
            &rest,
            &names,
            &counters_of_objects,
            &counters_beside,
        ];
        looked.findings.extend(self.all_confirmed(&looks)?);
        // For the progress only: a damaged counter is found by itself.
        let total = self.index.read(|reader| Ok::<_, StoreError>(reader.totals()?)).map_or(0, |totals| {
            let objects = total(totals.objects.into_iter().chain([totals.damaged]));
            usize::try_from(objects / u64::from(options.part.map_or(1, |part| part.count.max(1)))).unwrap_or(0)
        });
        let (mut checked, mut behind) = (0, i64::MIN);
        loop {
            let audit = self.index.read(|reader| Ok::<_, StoreError>(reader.audit_objects(behind, AT_ONCE)))?;
            let strange = audit.rows.iter().filter(|row| row.is_unknown());
            looked.findings.extend(strange.map(|row| Finding {
                kind: FindingKind::RowDamaged,
                object: row.object,
                detail: format!("the row {} of the table object has an unknown kind, key or state", row.id),
            }));
            let known = audit.rows.iter().filter(|row| row.state.is_some_and(|state| state != State::Dead));
            let chosen: Vec<ObjectRef> = known
                .filter_map(|row| row.object)
                .filter(|object| options.part.is_none_or(|part| part.holds(object)))
                .collect();
            checked += chosen.len() as u64;
            self.look_closely(&chosen, options, Some(total), looked)?;
            looked.findings.extend(audit.broken.map(broken));
            match audit.rows.last() {
                Some(last) => behind = last.id,
                None => return Ok(checked),
            }
        }
    }

    /// Looks at objects, many at once; what looks bad is looked at again under the write lock.
    fn look_closely(
        &self,
        objects: &[ObjectRef],
        options: &VerifyOptions<'_>,
        total: Option<usize>,
        looked: &mut Looked,
    ) -> Result<(), StoreError> {
        let look = |object: &ObjectRef| {
            let looked = self.index.read(|reader| self.examine(reader, object, options));
            if let (Some(progress), Some(total)) = (options.progress, total) {
                progress(object.kind(), total);
            }
            match looked {
                Ok(found) if found.is_empty() => None,
                Ok(_) => Some(Ok(*object)),
                Err(error) if error.is_damage() => Some(Ok(*object)),
                Err(error) => Some(Err(error)),
            }
        };
        let is_small = |object: &&ObjectRef| {
            // One that cannot be read is looked at as damage.
            let weighed = self.weight(object, options);
            !weighed.is_ok_and(|weight| weight > SMALL)
        };
        let (small, large): (Vec<&ObjectRef>, Vec<&ObjectRef>) = objects.par_iter().partition(is_small);
        let mut suspects = small.into_par_iter().filter_map(look).collect::<Result<Vec<ObjectRef>, StoreError>>()?;
        // Of the large ones there is one in memory at a time.
        suspects.extend(large.into_iter().filter_map(look).collect::<Result<Vec<_>, _>>()?);
        suspects.sort_unstable();
        if self.check_writable().is_err() {
            looked.suspects.extend(suspects);
            return Ok(());
        }
        for object in suspects {
            let found = self.index.write(Commit::Relaxed, |writer| {
                let found = self.examine(writer, &object, options)?;
                if found.iter().any(|one| one.kind == FindingKind::ObjectDigestMismatch) {
                    self.doubt(writer, &object)?;
                }
                Ok::<_, StoreError>(found)
            });
            looked.findings.extend(as_finding(found, Some(object))?);
        }
        Ok(())
    }

    /// Asks one question of the index as a whole, and again under the write lock when the answer is a bad one; one
    /// that cannot be answered is a finding too, and hides no other.
    fn confirmed(&self, look: Look<'_>) -> Result<Vec<Finding>, StoreError> {
        let suspected = as_finding(self.index.snapshot(look), None)?;
        // In one snapshot no writer is between two rows, and files are looked at by objects.
        if suspected.is_empty() || self.check_writable().is_err() {
            return Ok(suspected);
        }
        as_finding(self.index.write(Commit::Relaxed, |writer| look(writer)), None)
    }

    fn all_confirmed(&self, looks: &[Look<'_>]) -> Result<Vec<Finding>, StoreError> {
        let mut findings = Vec::new();
        for look in looks {
            findings.extend(self.confirmed(look)?);
        }
        Ok(findings)
    }

    /// Finds roots that keep nothing and of which the journal says what they kept.
    fn lost_targets(&self, reader: &Reader<'_>) -> Result<Vec<Finding>, StoreError> {
        let empty = reader.empty_roots()?;
        if empty.is_empty() {
            return Ok(Vec::new());
        }
        let journal = Journal::read(&self.layout.journal())?.unwrap_or_default();
        let lost = empty.into_iter().filter(|name| journal.roots.get(name).is_some_and(|keeps| !keeps.is_empty()));
        let finding = |detail| Finding { kind: FindingKind::RootDangling, object: None, detail };
        Ok(lost.map(|name| finding(format!("the root {name} has lost everything it kept"))).collect())
    }

    /// Checks that what the store consists of are directories and files.
    fn places(&self) -> Result<Vec<Finding>, StoreError> {
        let finding = |detail: &str| Finding { kind: FindingKind::NotAFile, object: None, detail: detail.to_owned() };
        let mut found = Vec::new();
        for name in DIRECTORIES {
            let path = self.layout.root.join(name);
            // A link to a directory elsewhere is how people give a store more room.
            if !std::fs::metadata(&path).is_ok_and(|found| found.is_dir()) {
                found.push(finding(&format!("{name} is not a directory")));
            }
        }
        for (name, path) in [("roots.journal", self.layout.journal()), ("reserve", self.layout.reserve())] {
            if file::exists(&path)? && file::Stamp::at(&path)?.is_none() {
                found.push(finding(&format!("{name} is not a file")));
            }
        }
        Ok(found)
    }

    /// Lists what killed processes left behind.
    fn leftovers(&self, depth: Depth) -> Result<Vec<Note>, StoreError> {
        let mut notes = Vec::new();
        let mut note = |kind, detail: String| notes.push(Note { kind, detail });
        for directory in crate::index::Directory::ALL {
            for name in file::list(&self.layout.directory(directory))? {
                let name = name.to_string_lossy();
                if OciDigest::from_hex(&name).is_err() {
                    note(NoteKind::UnknownFile, format!("{}/{name}", super::layout::directory_name(directory)));
                }
            }
        }
        let (dead, unused) = self
            .index
            .snapshot(|reader| Ok::<_, StoreError>((reader.totals()?.dead, reader.unused_files(u32::MAX)?)))?;
        if dead > 0 {
            note(NoteKind::DeadObjects, dead.to_string());
        }
        for row in unused {
            note(
                NoteKind::UnusedFile,
                format!("{}/{}", super::layout::directory_name(row.directory), row.sha256.to_hex()),
            );
        }
        for lease in self.dead_leases()? {
            note(NoteKind::StaleLease, lease.to_string());
        }
        for said in self.compare_journal(depth)? {
            note(NoteKind::RootsJournal, said);
        }
        for name in file::list(&self.layout.quarantine())? {
            note(NoteKind::Quarantined, name.to_string_lossy().into_owned());
        }
        Ok(notes)
    }
}

fn definitions(reader: &Reader<'_>) -> Result<Vec<Finding>, StoreError> {
    Ok(reader.strange_definitions()?.into_iter().map(broken).collect())
}

fn dangling(reader: &Reader<'_>) -> Result<Vec<Finding>, StoreError> {
    let finding = |kind, object, detail| Finding { kind, object, detail };
    let found = reader.dangling()?.into_iter().map(|dangling| match dangling {
        Dangling::Edge { from, to } => finding(FindingKind::EdgeDangling, Some(from), format!("refers to {to}")),
        Dangling::Root { name, to } => finding(FindingKind::RootDangling, Some(to), format!("kept by the root {name}")),
        Dangling::Row { table, parent } => {
            finding(FindingKind::RowDangling, None, format!("a row of {table} names none of {parent}"))
        }
    });
    Ok(found.collect())
}

/// Compares the counters of objects with what there is.
fn counters_of_objects(reader: &Reader<'_>) -> Result<Vec<Finding>, StoreError> {
    Ok(miscounted(&reader.counters()?.of_objects().differences(&reader.counted_objects()?)))
}

/// Compares the other counters with what there is.
fn counters_beside(reader: &Reader<'_>) -> Result<Vec<Finding>, StoreError> {
    let counted = reader.counted_beside()?;
    let mut wrong = reader.counters()?.beside_objects().differences(&counted.counters);
    if counted.is_content_wrong {
        wrong.push("how many packages have a tree".to_owned());
    }
    Ok(miscounted(&wrong))
}

fn miscounted(wrong: &[String]) -> Vec<Finding> {
    let finding = |detail| Finding { kind: FindingKind::CountersWrong, object: None, detail };
    if wrong.is_empty() { Vec::new() } else { vec![finding(wrong.join(", "))] }
}

/// Looks for rows of content that belong to no object of their kind.
#[expect(clippy::unnecessary_wraps, reason = "one of several looks, of which others fail")]
fn content(reader: &Reader<'_>) -> Result<Vec<Finding>, StoreError> {
    let mut found = Vec::new();
    for audit in reader.audit_content() {
        found.extend(audit.rows.into_iter().map(|(table, id)| Finding {
            kind: FindingKind::RowDangling,
            object: None,
            detail: format!("the row {id} of {table} belongs to no {table}"),
        }));
        found.extend(audit.broken.map(broken));
    }
    Ok(found)
}

#[expect(clippy::unnecessary_wraps, reason = "one of several looks, of which others fail")]
fn rest(reader: &Reader<'_>) -> Result<Vec<Finding>, StoreError> {
    Ok(reader.audit_rest().into_iter().filter_map(|audit| audit.broken).map(broken).collect())
}

/// Compares the lists of names with the packages that they list; the other way is a package's own look.
fn names(reader: &Reader<'_>) -> Result<Vec<Finding>, StoreError> {
    let audit = reader.audit_names();
    let mut found: Vec<Finding> = audit.broken.map(broken).into_iter().collect();
    for (format, name) in audit.rows {
        let damaged = |object, detail| Finding { kind: FindingKind::NameDamaged, object, detail };
        let list = match Format::from_name(&format) {
            Some(known) => reader.names(known, &name)?,
            None => NameList::Damaged,
        };
        let NameList::Whole(list) = list else {
            found.push(damaged(None, format!("the list of {format} packages named {name}")));
            continue;
        };
        for named in list {
            if !is_as_listed(reader, &format, &name, &named)? {
                let object = Some(ObjectRef::Package(named.key));
                found.push(damaged(object, format!("listed under the name {name}, and not there as listed")));
            }
        }
    }
    Ok(found)
}

/// Says whether a package is there under the name that lists it; one whose row is damaged is found by itself.
fn is_as_listed(reader: &Reader<'_>, format: &str, name: &str, named: &Named) -> Result<bool, StoreError> {
    Ok(match reader.package(&named.key)? {
        Some(PackageRow::Whole(record)) => {
            (record.format.name(), record.name.as_str(), record.source) == (format, name, named.source)
        }
        Some(PackageRow::Damaged(_)) => true,
        // An object without its row, or one that is marked as damaged, is found by itself.
        None => reader.object(&ObjectRef::Package(named.key))?.is_some_and(|row| row.state != State::Dead),
    })
}
