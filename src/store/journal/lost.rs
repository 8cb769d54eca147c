//! The journal held against the index: what one of them knows and the other does not.
//!
//! Roots that only the journal knows were lost, or their change was never committed. What they keep and what lies
//! here is spared by the collector, and brought back by a repair.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::{Inner, Journal, Kept, Line, Named, each_line, set, write_line};
use crate::index::{Directory, PackageRow, Reader, State};
use crate::{Depth, ObjectRef, StoreError};
use dlstore_fsx::FsError;
use dlstore_fsx::file::{self, Found};
use dlstore_model::digest::{Digest, OciDigest};

impl Inner {
    /// Finds what roots keep that the journal knows and the index does not: every change of a root is written
    /// down, so the index lost them, or the program ended before its commit. Only what no other root keeps and what can
    /// still be had counts: what is here, and what a source that lies here can be decoded to.
    pub(super) fn lost_roots(&self) -> Result<BTreeMap<String, Vec<Kept>>, StoreError> {
        if !self.is_journal_stale()? {
            return Ok(BTreeMap::new());
        }
        let path = self.layout.journal();
        let Found::File(journal) = file::open_regular(&path)? else { return Ok(BTreeMap::new()) };
        let end = journal.metadata().map_err(|source| FsError::new("look at", &path, source))?.len();
        // Afterwards: what was set meanwhile is no loss.
        let known = self.index.read(|reader| Ok::<_, StoreError>(reader.root_names()?))?;
        let mut roots: BTreeMap<String, Vec<Kept>> = BTreeMap::new();
        each_line(&path, journal.take(end), |line, _| {
            // Of most lines only the name is wanted.
            let Ok(Named { set, remove }) = serde_json::from_slice(line) else { return };
            if let Some(name) = remove {
                roots.remove(&*name);
            } else if let Some(name) = set.filter(|name| !known.contains(&**name))
                && let Ok(Line::Set { keeps, .. }) = serde_json::from_slice(line)
            {
                roots.insert(name.into_owned(), keeps);
            }
        })?;
        let mut lost = BTreeMap::new();
        for (name, keeps) in roots {
            if self.is_loss(&keeps)? {
                lost.insert(name, keeps);
            }
        }
        Ok(lost)
    }

    /// Says whether something of what a root kept can be had and is kept by no other root: neither as it was kept itself,
    /// nor, of the packages that an image names, by another image.
    fn is_loss(&self, keeps: &[Kept]) -> Result<bool, StoreError> {
        for kept in keeps {
            if self.is_unkept(kept, Keeper::Root)? {
                return Ok(true);
            }
            for package in &kept.packages {
                if self.is_unkept(package, Keeper::RootOrOutcome)? {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    fn is_unkept(&self, kept: &Kept, by: Keeper) -> Result<bool, StoreError> {
        let Some(object) = kept.object() else { return Ok(false) };
        self.index.read(|reader| {
            let is_below = || if by == Keeper::Root { Ok(false) } else { reader.is_below_root(&object) };
            let is_kept = reader.is_rooted(&object)? || is_below()?;
            Ok(!is_kept && self.can_be_had(reader, kept)?)
        })
    }

    /// Says whether what a line keeps is here, or its source is.
    fn can_be_had(&self, reader: &Reader<'_>, kept: &Kept) -> Result<bool, StoreError> {
        let Some(object) = kept.object() else { return Ok(false) };
        if reader.object(&object)?.is_some_and(|row| row.state != State::Dead) {
            return Ok(true);
        }
        let source = match object {
            ObjectRef::Source(source) => Some(source),
            _ => kept.package().map(|package| package.source),
        };
        Ok(match source {
            Some(source) => file::exists(&self.layout.file(Directory::Sources, &source))?,
            None => false,
        })
    }

    /// Says whether there may be packages that the index does not find: sources without one, rows that are damaged,
    /// roots that the index lost. What is chosen by name must not be chosen from what is left then.
    pub(crate) fn misses_packages(&self, reader: &Reader<'_>) -> Result<bool, StoreError> {
        if reader.packages()?.iter().any(|row| matches!(row, PackageRow::Damaged(_)))
            || reader.has_packages_astray()?
            || !reader.unused_files(1)?.is_empty()
        {
            return Ok(true);
        }
        let known = file::list(&self.layout.directory(Directory::Sources))?;
        let mut sources: Vec<OciDigest> =
            known.iter().filter_map(|name| OciDigest::from_hex(name.to_str()?).ok()).collect();
        sources.sort_unstable();
        if !reader.without_row(Directory::Sources, &sources)?.is_empty() {
            return Ok(true);
        }
        let journal = Journal::read(&self.layout.journal())?.unwrap_or_default();
        for kept in journal.roots.values().flatten().flat_map(Kept::all) {
            if let Some(object @ ObjectRef::Package(_)) = kept.object()
                && reader.live(&object)?.is_none()
                && !is_here_again(reader, kept)?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Says whether the journal has a root of this name.
    pub(crate) fn has_line(&self, name: &str) -> Result<bool, StoreError> {
        Ok(Journal::read(&self.layout.journal())?.is_some_and(|journal| journal.roots.contains_key(name)))
    }

    /// Of objects that are about to go, gives the places of those that the last lines of roots name, and of the sources
    /// of packages that they name. `dropped` are roots that go themselves.
    ///
    /// Every change of a root is written down before its commit. So what the index does not know of it was lost, or
    /// its commit never came; either way nothing else may know of the package any more.
    pub(crate) fn named_in_journal<T: Ord>(
        &self,
        going: impl Fn(&ObjectRef) -> Option<T>,
        dropped: &BTreeSet<&str>,
    ) -> Result<BTreeSet<T>, StoreError> {
        let path = self.layout.journal();
        let Found::File(journal) = file::open_regular(&path)? else { return Ok(BTreeSet::new()) };
        let mut named: BTreeMap<String, Vec<T>> = BTreeMap::new();
        each_line(&path, journal, |line, _| match serde_json::from_slice(line) {
            Ok(Line::Set { set, keeps, .. }) => {
                let mut places = Vec::new();
                for kept in keeps.iter().flat_map(Kept::all) {
                    let source = kept.package().map(|package| ObjectRef::Source(package.source));
                    places.extend(kept.object().into_iter().chain(source).filter_map(|object| going(&object)));
                }
                if places.is_empty() || dropped.contains(set.as_str()) {
                    named.remove(&set);
                } else {
                    named.insert(set, places);
                }
            }
            Ok(Line::Remove { remove, .. }) => {
                named.remove(&remove);
            }
            Err(_) => {}
        })?;
        Ok(named.into_values().flatten().collect())
    }

    /// Gives what a root keeps by both records: what the index says, and what its last line says beyond that and can
    /// still be had. What one of them does not tell of a package, the other does.
    pub(super) fn with_lost(&self, reader: &Reader<'_>, line: Line, last: &LastLines) -> Result<Line, StoreError> {
        let Line::Set { set, at, mut keeps } = line else { return Ok(line) };
        for mut said in last.keeps(&set)?.unwrap_or_default() {
            let packages = std::mem::take(&mut said.packages);
            let known = keeps.iter().position(|kept| kept.is(&said));
            let is_here = known.is_some() || self.can_be_had(reader, &said)?;
            let place = known.unwrap_or(keeps.len());
            match keeps.get_mut(place) {
                Some(kept) => kept.learn(said),
                None => keeps.push(said),
            }
            let named = &mut keeps[place].packages;
            for package in packages {
                match named.iter().position(|one| one.is(&package)) {
                    Some(known) => named[known].learn(package),
                    None if self.can_be_had(reader, &package)? => named.push(package),
                    None => {}
                }
            }
            named.sort();
            if !is_here && named.is_empty() {
                keeps.pop();
            }
        }
        keeps.sort();
        Ok(Line::Set { set, at, keeps })
    }

    /// Says what in the journal is not as the index has it; empty when all is. A quick look compares the names of the
    /// roots, a full one also what they keep.
    pub(crate) fn compare_journal(&self, depth: Depth) -> Result<Vec<String>, StoreError> {
        let path = self.layout.journal();
        // The journal first: what is appended afterwards is in the index or will be.
        let Found::File(opened) = file::open_regular(&path)? else {
            let roots = self.index.read(|reader| Ok::<_, StoreError>(reader.root_count()?))?;
            return Ok(if roots == 0 { Vec::new() } else { vec!["it is not there".to_owned()] });
        };
        let (mut said, mut unreadable) = (BTreeMap::new(), 0_usize);
        each_line(&path, opened, |line, _| match serde_json::from_slice(line) {
            Ok(Named { set: Some(name), .. }) => {
                // A hash: what all roots of a large store keep is more than is kept in memory.
                let keeps = (depth == Depth::Full).then(|| said_of(line)).flatten();
                said.insert(name.into_owned(), keeps);
            }
            Ok(Named { remove: Some(name), .. }) => {
                said.remove(&*name);
            }
            _ => unreadable += usize::from(!line.is_empty()),
        })?;
        let known = self.index.read(|reader| Ok::<_, StoreError>(reader.root_names()?))?;
        let mut found = Vec::new();
        if unreadable > 0 {
            found.push(format!("{unreadable} of its lines cannot be read"));
        }
        self.index.read(|reader| {
            let packages = self.known(reader);
            for name in &known {
                match said.get(name) {
                    None => found.push(format!("it lacks the root {name}")),
                    Some(_) if depth == Depth::Quick => {}
                    Some(said) => {
                        let Some(keeps) = reader.root(name)? else { continue };
                        if Some(hash_of(&set(&packages, name, 0, &keeps)?)?) != *said {
                            found.push(format!("its entry for the root {name} differs"));
                        }
                    }
                }
            }
            Ok::<_, StoreError>(())
        })?;
        let mut gone = said.keys().filter(|name| !known.contains(*name)).peekable();
        // No finding: a command that was killed between its line and its commit leaves just that. Nothing of it is in
        // danger, because a collection keeps what the line keeps.
        let lost = if gone.peek().is_some() { self.lost_roots()? } else { BTreeMap::new() };
        found.extend(gone.map(|name| {
            let help = if lost.contains_key(name) {
                ": `dlstore store verify --repair` sets it again, `dlstore store roots remove` drops it"
            } else {
                ": add what it kept again, or drop it by `dlstore store roots remove`"
            };
            format!("it has a root {name}, which is not there{help}")
        }));
        Ok(found)
    }
}

/// Where the last line of each root stands in a journal that does not fit in memory.
pub(super) struct LastLines {
    path: PathBuf,
    journal: Option<File>,
    places: HashMap<String, (u64, usize)>,
}

impl LastLines {
    /// Finds them.
    pub(super) fn read(path: &Path) -> Result<Self, FsError> {
        let mut last = Self { path: path.to_path_buf(), journal: None, places: HashMap::new() };
        let Found::File(journal) = file::open_regular(path)? else { return Ok(last) };
        let mut at = 0;
        each_line(path, &journal, |line, _| {
            match serde_json::from_slice(line) {
                Ok(Named { set: Some(name), .. }) => {
                    last.places.insert(name.into_owned(), (at, line.len()));
                }
                Ok(Named { remove: Some(name), .. }) => {
                    last.places.remove(&*name);
                }
                _ => {}
            }
            at += line.len() as u64 + 1;
        })?;
        last.journal = Some(journal);
        Ok(last)
    }

    /// Gives what the last line of a root says that it keeps.
    pub(super) fn keeps(&self, name: &str) -> Result<Option<Vec<Kept>>, FsError> {
        let (Some(journal), Some((at, length))) = (&self.journal, self.places.get(name)) else { return Ok(None) };
        let mut line = vec![0; *length];
        journal.read_exact_at(&mut line, *at).map_err(|source| FsError::new("read", &self.path, source))?;
        Ok(match serde_json::from_slice(&line) {
            Ok(Line::Set { keeps, .. }) => Some(keeps),
            _ => None,
        })
    }
}

/// What else may keep what a line keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keeper {
    /// A root.
    Root,
    /// A root, or an outcome that a root keeps.
    RootOrOutcome,
}

/// Says whether what a line keeps is here under another key: another version of the program made it again.
fn is_here_again(reader: &Reader<'_>, kept: &Kept) -> Result<bool, StoreError> {
    let Some(package) = kept.package() else { return Ok(false) };
    let is_it = |row: &PackageRow| matches!(row, PackageRow::Whole(record) if record.given == package.given);
    Ok(reader.packages_of(&package.source)?.iter().any(is_it))
}

/// Gives the hash of what a line says that a root keeps; `None` when it cannot be read.
fn said_of(line: &[u8]) -> Option<Digest> {
    let Ok(Line::Set { set, keeps, .. }) = serde_json::from_slice(line) else { return None };
    hash_of(&Line::Set { set, at: 0, keeps }).ok()
}

fn hash_of(line: &Line) -> Result<Digest, StoreError> {
    let mut text = Vec::new();
    write_line(&mut text, line)?;
    Ok(Digest::of(&text))
}
