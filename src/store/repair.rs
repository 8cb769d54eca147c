//! Healing: what `store verify --repair` does with findings, as far as rows and files are enough for it.
//!
//! - What is made from packages (packs, outcomes, documents) is let go, with everything that refers to it: composing
//!   makes it again. A root that kept an outcome keeps the packages of it until then.
//! - What belongs to a package is marked, and the package is named: whoever can decode makes it again from its
//!   source. Its name, format and source are taken from its row, else from the list of its name, else from the
//!   roots' journal. One that nobody can make again is given up, and said.
//! - A source that is bad leaves for quarantine; the package lives on without it, and is said.
//! - Lists of names, edges, roots and the journal are set right from what is left.
//!
//! Everything here happens under the write lock, on what is found then; a finding only says where to look.

mod adopt;
mod lists;
mod revive;

use std::collections::{BTreeMap, BTreeSet};

use super::finding::{Finding, FindingKind};
use super::journal::{Change, Even, Journal, Kept, KeptPackage, Known};
use super::layout::DIRECTORIES;
use super::strange::mend_rows;
use super::verify::{Depth, Reading, VerifyOptions};
use super::{Inner, ObjectRef, Store, StoreError, generator, now};
use crate::index::{Commit, Directory, NewObject, PackageRow, State, Writer};
use dlstore_fsx::file::{self, Found};
use dlstore_model::digest::{Digest, OciDigest, PackageKey};
use dlstore_model::format::Format;

/// A package that has to be made again, with what is known of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unhealed {
    /// Its format.
    pub format: Format,
    /// Its name.
    pub name: String,
    /// Its version, empty when that is lost.
    pub version: String,
    /// The name that it got from outside; of a tar that says none itself its name.
    pub given: String,
    /// Its source.
    pub source: OciDigest,
    /// The key under which it was known.
    pub key: PackageKey,
}

/// What healing did, and what it leaves to who can decode.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Healing {
    /// Packages to be made again.
    pub packages: BTreeSet<Unhealed>,
    /// Packages whose source is lost and that are otherwise whole.
    pub without_source: BTreeSet<Unhealed>,
    /// Packages of which not even the source is known.
    pub nameless: BTreeSet<PackageKey>,
    /// What was let go: composing makes it again.
    pub dropped: BTreeSet<ObjectRef>,
    /// Roots that kept any of it.
    pub roots: BTreeSet<String>,
}

impl Store {
    /// Heals what rows and files are enough for, and names what has to be decoded again.
    ///
    /// # Errors
    /// When the index cannot be written, as where it is damaged itself: only making it anew helps then.
    pub fn heal(&self, findings: &[Finding], reading: Reading<'_>) -> Result<Healing, StoreError> {
        let store = &self.0;
        store.check_writable()?;
        store.heal_places()?;
        if findings.iter().any(|finding| finding.kind == FindingKind::IndexDamaged) {
            // Whether that was enough is what looking again says.
            let _ = store.index.write(Commit::Durable, |writer| Ok::<_, StoreError>(writer.remake_indexes()?));
        }
        // Before the lock: what is adopted is read.
        for source in store.index.read(|reader| store.adoptable(reader))? {
            store.hash_source(&source)?;
        }
        let is_miscounted = findings.iter().any(|finding| finding.kind == FindingKind::CountersWrong);
        let healing = store.index.write(Commit::Durable, |writer| {
            // Under the lock: what is removed meanwhile is not lost.
            let journal = Journal::read(&store.layout.journal())?.unwrap_or_default().with_root_names();
            let now = now();
            let origin = writer.origin("", &generator())?;
            let done = Healing::default();
            if is_miscounted {
                // Before anything is counted: a counter at its end lets no row go or come.
                writer.recount()?;
            }
            mend_rows(writer, &journal)?;
            let (known, wanted) = (store.known(writer), Vec::new());
            let (again, seen) = (BTreeSet::new(), BTreeSet::new());
            let mut healer =
                Healer { store, writer, reading, journal: &journal, known, origin, now, wanted, again, seen, done };
            healer.run(findings)?;
            Ok::<_, StoreError>(healer.done)
        })?;
        store.compact_journal(Even::Sound)?;
        Ok(healing)
    }

    /// Lets go of a package that cannot be made again: its row, its place in the list of its name, its roots.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn give_up(&self, package: &Unhealed) -> Result<(), StoreError> {
        self.0.check_writable()?;
        self.0.index.write(Commit::Durable, |writer| self.0.let_go(writer, package))
    }

    /// Lets go of a record that another one took the place of: what kept it keeps the other one.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn supersede(&self, old: &Unhealed, new: &PackageKey) -> Result<(), StoreError> {
        if old.key == *new {
            return Ok(());
        }
        self.0.check_writable()?;
        self.0.index.write(Commit::Durable, |writer| {
            let rows = (writer.object(&ObjectRef::Package(old.key))?, writer.live(&ObjectRef::Package(*new))?);
            if let (Some(old), Some(new)) = rows {
                let above = writer.referrers(old.id)?;
                for id in above.into_iter().map(|(id, _)| id).chain([old.id]) {
                    writer.roots_of(id)?.iter().try_for_each(|root| writer.keep_too(root, new.id))?;
                }
            }
            self.0.let_go(writer, old)
        })
    }
}

impl Inner {
    /// Makes directories that are not there, and moves away what lies in the place of files and directories, and what
    /// has the name of no lease and lies among theirs.
    pub(super) fn heal_places(&self) -> Result<(), StoreError> {
        let quarantine = self.layout.quarantine();
        if file::exists(&quarantine)? && !file::is_directory(&quarantine)? {
            // There is no other place to move it to.
            file::unlink(&quarantine)?;
        }
        file::make_directory(&quarantine, self.sharing.directory_mode())?;
        for name in DIRECTORIES {
            let path = self.layout.root.join(name);
            // A link to a directory elsewhere is how people give a store more room.
            if !std::fs::metadata(&path).is_ok_and(|found| found.is_dir()) {
                if file::exists(&path)? {
                    self.quarantine(&path)?;
                }
                file::make_directory(&path, self.sharing.directory_mode())?;
            }
        }
        self.move_strange_files()?;
        for path in [self.layout.journal(), self.layout.reserve()] {
            if matches!(file::open_regular(&path)?, Found::Other) {
                self.quarantine(&path)?;
            }
        }
        Ok(())
    }

    /// Lets go of a package: its row, its place in the list of its name, its roots.
    fn let_go(&self, writer: &Writer<'_>, package: &Unhealed) -> Result<(), StoreError> {
        let mut roots = Vec::new();
        if let Some(row) = writer.object(&ObjectRef::Package(package.key))? {
            roots = writer.unroot(row.id)?;
            writer.write_off(row.id)?;
        }
        writer.remove_names(package.format, &package.name, &[package.key])?;
        self.settle_roots(writer, roots, now())
    }

    /// Writes down what roots keep now that something left them; those that keep nothing any more go.
    fn settle_roots(&self, writer: &Writer<'_>, mut names: Vec<String>, now: u64) -> Result<(), StoreError> {
        names.sort();
        names.dedup();
        for name in &names {
            match writer.root(name)? {
                Some(keeps) if !keeps.is_empty() => {
                    self.write_journal(writer, now, &[Change::Set(name, &keeps)])?;
                }
                Some(_) => {
                    writer.remove_root(name, None)?;
                    self.write_journal(writer, now, &[Change::Remove(name)])?;
                }
                None => {}
            }
        }
        Ok(())
    }
}

/// One healing, under the write lock.
struct Healer<'h> {
    store: &'h Inner,
    writer: &'h Writer<'h>,
    reading: Reading<'h>,
    journal: &'h Journal,
    origin: i64,
    now: u64,
    /// What else tells a package whose row does not.
    known: Known<'h>,
    /// Packages that roots keep in the place of an outcome that was let go, and that are not here yet.
    wanted: Vec<(String, PackageKey)>,
    /// Packages that have to be made again.
    again: BTreeSet<PackageKey>,
    /// Packages that were dealt with.
    seen: BTreeSet<PackageKey>,
    done: Healing,
}

impl Healer<'_> {
    fn run(&mut self, findings: &[Finding]) -> Result<(), StoreError> {
        self.revive()?;
        let mut roots = self.writer.inherit_lost()?;
        self.writer.sweep_dangling(&self.writer.unknown_objects())?;
        let mut drop = Vec::new();
        for finding in findings {
            let Some(object) = finding.object else { continue };
            let Some(row) = self.writer.object(&object)? else {
                continue;
            };
            match (finding.kind, object) {
                (FindingKind::RootDangling, _) if row.state == State::Live => {}
                (FindingKind::RootDangling, _) => roots.extend(self.writer.unroot(row.id)?),
                (FindingKind::NameDamaged, _) => {}
                (FindingKind::EdgeMissing, ObjectRef::Action(_) | ObjectRef::Package(_)) => {
                    self.join(&object, row.id)?;
                }
                (FindingKind::SonameDamaged, ObjectRef::Package(key)) => roots.extend(self.sonames(&key, row.id)?),
                (_, ObjectRef::Source(sha256)) => roots.extend(self.source(&sha256, row.id)?),
                // Only what it led to was damaged, and is right again.
                (kind, _) if is_of_numbers(kind) && self.is_sound(&object, row.id)? => {}
                (_, ObjectRef::Package(key)) => roots.extend(self.package(&key)?),
                (_, ObjectRef::Tree(_) | ObjectRef::Fact(_)) => {
                    let mut is_needed = false;
                    for (_, from) in self.writer.referrers(row.id)? {
                        match from {
                            ObjectRef::Package(key) => {
                                is_needed = true;
                                roots.extend(self.package(&key)?);
                            }
                            // It holds the bytes, and needs no layer tree for them.
                            ObjectRef::Pack(_) => {}
                            other => drop.push(other),
                        }
                    }
                    if is_needed {
                        self.writer.set_state(row.id, State::Damaged)?;
                    } else {
                        drop.push(object);
                    }
                }
                (kind, ObjectRef::Pack(key)) if kind != FindingKind::PackTreeMismatch && self.adopt_pack(&key)? => {}
                (_, ObjectRef::Pack(_) | ObjectRef::Action(_) | ObjectRef::Blob(_)) => drop.push(object),
            }
        }
        roots.extend(self.drop(drop)?);
        self.adopt_all()?;
        // First everything that a list can hold, then the lists: one that is whole and lacks a package would let an
        // older one be chosen, if nothing of what follows came to be.
        let mut lists = self.listed()?;
        roots.extend(self.roots()?);
        self.unlisted(&mut lists)?;
        self.remake_lists(&lists)?;
        self.store.settle_roots(self.writer, roots, self.now)?;
        Ok(self.writer.recount()?)
    }

    /// Says whether an object is there now, with all that it refers to, and nothing is wrong with it.
    fn is_sound(&self, object: &ObjectRef, id: i64) -> Result<bool, StoreError> {
        for to in self.writer.edges(id)? {
            if self.writer.live(&to)?.is_none() {
                return Ok(false);
            }
        }
        let options = VerifyOptions { reading: Some(self.reading), ..VerifyOptions::new(Depth::Full) };
        let is_live = self.writer.live(object)?.is_some();
        Ok(is_live && self.store.examine(self.writer, object, &options)?.is_empty())
    }

    /// Says again what an outcome or a package refers to.
    fn join(&self, object: &ObjectRef, id: i64) -> Result<(), StoreError> {
        let names: Vec<ObjectRef> = match object {
            ObjectRef::Action(key) => {
                let row = self.writer.action(key)?;
                let said = row.as_ref().and_then(|row| (self.reading.action)(&row.kind, &row.value));
                row.into_iter().flat_map(|row| row.names).chain(said.unwrap_or_default()).collect()
            }
            ObjectRef::Package(key) => match self.writer.package(key)? {
                Some(PackageRow::Whole(record)) => {
                    if self.writer.object(&ObjectRef::Source(record.source))?.is_none() {
                        self.adopt(&record.source)?;
                    }
                    let facts = record.facts.iter().map(|fact| ObjectRef::Fact(fact.digest));
                    facts.chain([ObjectRef::Tree(record.tree), ObjectRef::Source(record.source)]).collect()
                }
                _ => Vec::new(),
            },
            _ => Vec::new(),
        };
        for name in names {
            if let Some(row) = self.writer.live(&name)? {
                self.writer.add_edge(id, row.id)?;
            }
        }
        Ok(())
    }

    /// Says again which libraries a package has, as its facts say; one whose facts do not is made again.
    fn sonames(&mut self, key: &PackageKey, id: i64) -> Result<Vec<String>, StoreError> {
        let Some(PackageRow::Whole(record)) = self.writer.package(key)? else { return self.package(key) };
        let mut facts = BTreeMap::new();
        for fact in &record.facts {
            match self.writer.fact(&fact.digest)?.filter(|data| Digest::of(data) == fact.digest) {
                Some(data) => facts.insert(fact.kind.as_str(), data),
                None => return self.package(key),
            };
        }
        let Some(stated) = (self.reading.package)(&record, &|kind| facts.get(kind).cloned()) else {
            return self.package(key);
        };
        self.writer.forget_sonames(id)?;
        self.writer.put_package(id, &record, &stated.sonames)?;
        Ok(Vec::new())
    }

    /// Takes a source over again whose bytes are right, or lets it go; gives the roots that kept it.
    fn source(&mut self, sha256: &OciDigest, id: i64) -> Result<Vec<String>, StoreError> {
        if self.adopt(sha256)? {
            return Ok(Vec::new());
        }
        let path = self.store.layout.file(Directory::Sources, sha256);
        if file::exists(&path)? {
            self.store.quarantine(&path)?;
        }
        self.name_those_without(sha256)?;
        let roots = self.writer.unroot(id)?;
        self.writer.write_off(id)?;
        self.done.dropped.insert(ObjectRef::Source(*sha256));
        Ok(roots)
    }

    /// Names the packages of a source that is lost.
    fn name_those_without(&mut self, source: &OciDigest) -> Result<(), StoreError> {
        for row in self.writer.packages_of(source)? {
            if let PackageRow::Whole(record) = row {
                let (key, given) = (record.key(), record.given.clone());
                let (format, name, version) = (record.format, record.name, record.version);
                self.done.without_source.insert(Unhealed { format, name, version, given, source: *source, key });
            }
        }
        Ok(())
    }

    /// Marks a package to be made again; gives the roots of one that nobody knows any more.
    fn package(&mut self, key: &PackageKey) -> Result<Vec<String>, StoreError> {
        if !self.seen.insert(*key) {
            return Ok(Vec::new());
        }
        let row = self.writer.object(&ObjectRef::Package(*key))?;
        let Some(package) = self.identify(key)? else {
            self.done.nameless.insert(*key);
            let Some(row) = row else { return Ok(Vec::new()) };
            let roots = self.writer.unroot(row.id)?;
            self.writer.write_off(row.id)?;
            return Ok(roots);
        };
        if let Some(row) = row {
            self.writer.forget_sonames(row.id)?;
            self.writer.set_state(row.id, State::Damaged)?;
        }
        self.make_again(package);
        Ok(Vec::new())
    }

    /// Names a package to be made again, once.
    fn make_again(&mut self, package: Unhealed) {
        if self.again.insert(package.key) {
            self.done.packages.insert(package);
        }
    }

    /// Finds out what a package was: from its row, from the lists of names, from the journal.
    fn identify(&self, key: &PackageKey) -> Result<Option<Unhealed>, StoreError> {
        if let Some(PackageRow::Whole(record)) = self.writer.package_in_any_state(key)? {
            let (given, source) = (record.given.clone(), record.source);
            let (format, name, version) = (record.format, record.name, record.version);
            return Ok(Some(Unhealed { format, name, version, given, source, key: *key }));
        }
        Ok(self.known.package(key)?.map(|package| package.unhealed(*key)))
    }

    /// Lets things go with all that refers to them; gives the roots that kept any of it.
    fn drop(&mut self, mut objects: Vec<ObjectRef>) -> Result<Vec<String>, StoreError> {
        let mut going: BTreeMap<i64, ObjectRef> = BTreeMap::new();
        while let Some(object) = objects.pop() {
            let Some(row) = self.writer.object(&object)? else { continue };
            if row.state == State::Dead || going.insert(row.id, object).is_some() {
                continue;
            }
            let referrers = self.writer.referrers(row.id)?.into_iter().map(|(_, from)| from);
            let may_stay = |from: &ObjectRef| match from {
                ObjectRef::Package(_) => true,
                // It holds the bytes, and needs no layer tree for them.
                ObjectRef::Pack(_) => matches!(object, ObjectRef::Tree(_)),
                _ => false,
            };
            objects.extend(referrers.filter(|from| !may_stay(from)));
            if let Some(file) = row.file.map(|file| self.writer.file_by_id(file)).transpose()?.flatten() {
                self.store.set_aside(self.writer, &file)?;
                // Several packs may lie in one file; those that were marked go too.
                for id in self.writer.objects_in(file.id)? {
                    let shared = self.writer.audit_object(id)?;
                    objects.extend(shared.filter(|(_, state)| *state == State::Damaged).map(|(object, _)| object));
                }
            }
        }
        let mut roots = Vec::new();
        for (id, object) in &going {
            let names = self.writer.unroot(*id)?;
            if let ObjectRef::Action(key) = object {
                let mut made_of = self.writer.edges(*id)?;
                made_of.extend(self.writer.action(key)?.into_iter().flat_map(|row| row.names));
                for kept in made_of {
                    let row = self.writer.object(&kept)?.filter(|row| row.state != State::Dead);
                    match (kept, row) {
                        // Its layers too: they hold what may be had from nowhere else.
                        (ObjectRef::Pack(_), Some(row)) if !going.contains_key(&row.id) => {
                            names.iter().try_for_each(|name| self.writer.keep_too(name, row.id))?;
                        }
                        (ObjectRef::Package(_), Some(row)) => {
                            names.iter().try_for_each(|name| self.writer.keep_too(name, row.id))?;
                        }
                        (ObjectRef::Package(key), None) => {
                            self.wanted.extend(names.iter().map(|name| (name.clone(), key)));
                        }
                        _ => {}
                    }
                }
            }
            roots.extend(names);
        }
        for id in going.keys() {
            self.writer.write_off(*id)?;
        }
        self.done.dropped.extend(going.into_values());
        self.done.roots.extend(roots.iter().cloned());
        Ok(roots)
    }

    /// Sets roots again that the journal has and the index lost, or lost a part of; packages that they kept have to be
    /// made again. Gives the roots that keep something else now.
    fn roots(&mut self) -> Result<Vec<String>, StoreError> {
        let mut changed = Vec::new();
        for (name, keeps) in &self.journal.roots {
            let mut rows = Vec::new();
            for kept in keeps {
                let named = self.named_with(kept)?;
                match self.placed(kept)? {
                    Some(row) => rows.push(row),
                    None => rows.extend(named),
                }
            }
            rows.sort_unstable();
            rows.dedup();
            let found = self.writer.root(name)?.unwrap_or_default();
            let has_lost = found.len() < rows.len() && found.iter().all(|one| rows.iter().any(|(kept, _)| kept == one));
            if has_lost {
                self.writer.set_root(name, &rows, self.now)?;
                changed.push(name.clone());
            }
        }
        for (root, key) in std::mem::take(&mut self.wanted) {
            if self.again.contains(&key) {
                let row = self.room_for(key)?;
                self.writer.keep_too(&root, row)?;
            }
        }
        let mut empty = self.writer.empty_roots()?;
        empty.retain(|name| self.journal.roots.get(name).is_some_and(|keeps| !keeps.is_empty()));
        changed.extend(empty);
        Ok(changed)
    }

    /// Finds the packages that a line names with an image: until it is composed again, its root keeps what it is made of.
    fn named_with(&mut self, image: &Kept) -> Result<Vec<(ObjectRef, i64)>, StoreError> {
        let mut rows = Vec::new();
        for package in &image.packages {
            rows.extend(self.placed(package)?);
        }
        Ok(rows)
    }

    /// Finds what a line says is kept; of a package that has to be made again the place that it will have.
    fn placed(&mut self, kept: &Kept) -> Result<Option<(ObjectRef, i64)>, StoreError> {
        let Some(object) = kept.object() else { return Ok(None) };
        if let Some(row) = self.writer.live(&object)? {
            return Ok(Some((object, row.id)));
        }
        self.kept(kept)?;
        let ObjectRef::Package(key) = object else { return Ok(None) };
        if self.again.contains(&key) { Ok(Some((object, self.room_for(key)?))) } else { Ok(None) }
    }

    /// Gives the row of a package that has to be made again; it is damaged until then.
    fn room_for(&self, key: PackageKey) -> Result<i64, StoreError> {
        let object = ObjectRef::Package(key);
        let new = NewObject { size: 0, file: None, origin: self.origin, now: self.now };
        let known = self.writer.object(&object)?.map(|row| row.id);
        let id = known.map_or_else(|| self.writer.put_object(&object, new), Ok)?;
        self.writer.set_state(id, State::Damaged)?;
        Ok(id)
    }

    /// Sees to it that a package that the journal says is kept is made again, if its source is here.
    fn kept(&mut self, kept: &Kept) -> Result<(), StoreError> {
        let (Some(package), Some(ObjectRef::Package(key))) = (kept.package(), kept.object()) else { return Ok(()) };
        let is_it = |known: &Unhealed| (&known.source, &known.given) == (&package.source, &package.given);
        if self.done.packages.iter().any(is_it) {
            return Ok(());
        }
        // A collection lets go of packages that no root keeps; one that a root keeps has its source, or had none.
        if self.writer.live(&ObjectRef::Source(package.source))?.is_none() && !self.adopt(&package.source)? {
            // Bytes that are bad would be taken for what could be had.
            let path = self.store.layout.file(Directory::Sources, &package.source);
            if let Found::File(opened) = file::open_regular(&path)?
                && file::sha256(&opened, &path)? != package.source
            {
                self.store.quarantine(&path)?;
            }
            return Ok(());
        }
        for row in self.writer.packages_of(&package.source)? {
            if matches!(row, PackageRow::Whole(record) if record.given == package.given) {
                return Ok(());
            }
        }
        self.make_again(package.unhealed(key));
        Ok(())
    }
}

/// Says whether a finding may be of the numbers of a row, its own or that of something it refers to: those may be right
/// again.
const fn is_of_numbers(kind: FindingKind) -> bool {
    use FindingKind::{EdgeDangling, ObjectDamaged, ObjectMissing, RowDamaged};
    matches!(kind, EdgeDangling | ObjectDamaged | ObjectMissing | RowDamaged)
}

impl KeptPackage {
    fn unhealed(self, key: PackageKey) -> Unhealed {
        let Self { source, format, given, name } = self;
        Unhealed { format, name, version: String::new(), given, source, key }
    }
}
