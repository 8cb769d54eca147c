//! The roots' journal: what the roots keep, readable when the index is not.
//!
//! ```text
//! roots.journal   {"set":"package/deb/one/1.0-1/amd64/…","at":SECONDS,"keeps":[{"kind":"package","key":"<64 hex>",
//!                  "format":"deb","name":"one","given":"","source":"<64 hex>"}]}
//!                 {"set":"image/own/…","at":SECONDS,"keeps":[{"kind":"action","key":"<64 hex>","packages":[
//!                  {"kind":"package","key":"<64 hex>","format":"tar","name":"two","given":"two","source":"<64 hex>"}]}]}
//!                 {"remove":"image/static/embedded","at":SECONDS}
//! ```
//!
//! An image may be all that keeps a package. So the line of an image says which packages it refers to that do not
//! say their names themselves: of a tar or a directory the name stands nowhere else once the index is lost. A .deb
//! and an .apk have theirs in their source, which is kept as long.
//!
//! Nothing reads it in ordinary work. A line is appended for each change, under the index's write lock and before its
//! commit, and is on the disk before the change is: what the index lost, `store rebuild` takes from here, above all
//! the names of packages that say none themselves. So a line whose commit never came is possible and harmless, and
//! a line that was not finished is no line. The collector writes the journal anew when it holds more than it has to.
//!
//! A journal that is gone is written whole by the next change.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Inner, ObjectRef, StoreError};
use crate::index::{Commit, Folder, IndexError, PackageRecord, PackageRow, Reader, RootRow, Writer};
use dlstore_fsx::file::{self, Durability, Found};
use dlstore_fsx::{FsError, stop};
use dlstore_model::digest::{Digest, OciDigest};
use dlstore_model::format::Format;

/// Something that a root keeps, as the journal says it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Kept {
    /// The kind of the object.
    pub kind: String,
    /// Its key: 64 hex digits.
    pub key: String,
    /// Of a package: its format.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// Of a package: its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Of a package: the name that it got from outside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given: Option<String>,
    /// Of a package: its source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Of an outcome: the packages that it refers to and that got their names from outside.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<Kept>,
}

/// A package as the journal names it: what it can be made again from, and under which name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeptPackage {
    /// The archive that it came in.
    pub source: OciDigest,
    /// Its format.
    pub format: Format,
    /// The name that it got from outside; empty when it says one itself.
    pub given: String,
    /// Its name.
    pub name: String,
}

impl Kept {
    fn new(reader: &Reader<'_>, object: &ObjectRef) -> Result<Self, IndexError> {
        let mut kept = Self::plain(object);
        match object {
            // A damaged row says nothing.
            ObjectRef::Package(key) => {
                if let Some(PackageRow::Whole(record)) = reader.package(key)? {
                    kept = Self::of_package(&record);
                }
            }
            ObjectRef::Action(_) => {
                if let Some(row) = reader.object(object)? {
                    kept.packages = reader.given_packages_below(row.id)?.iter().map(Self::of_package).collect();
                }
            }
            _ => {}
        }
        Ok(kept)
    }

    fn plain(object: &ObjectRef) -> Self {
        let (kind, key) = (object.kind().name().to_owned(), dlstore_model::digest::to_hex(object.key()));
        Self { kind, key, format: None, name: None, given: None, source: None, packages: Vec::new() }
    }

    fn of_package(record: &PackageRecord) -> Self {
        Self {
            format: Some(record.format.name().to_owned()),
            name: Some(record.name.clone()),
            given: Some(record.given.clone()),
            source: Some(record.source.to_hex()),
            ..Self::plain(&record.object())
        }
    }

    /// Gives it, and the packages that are named with it.
    pub fn all(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(&self.packages)
    }

    /// Gives the object, if this program knows its kind.
    #[must_use]
    pub fn object(&self) -> Option<ObjectRef> {
        ObjectRef::from_name(&self.kind, *Digest::from_hex(&self.key).ok()?.as_bytes())
    }

    /// Gives the package that is kept, if it is one.
    #[must_use]
    pub fn package(&self) -> Option<KeptPackage> {
        Some(KeptPackage {
            source: OciDigest::from_hex(self.source.as_deref()?).ok()?,
            format: Format::from_name(self.format.as_deref()?)?,
            given: self.given.clone()?,
            name: self.name.clone()?,
        })
    }
}

/// One line.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Line {
    Set { set: String, at: u64, keeps: Vec<Kept> },
    Remove { remove: String, at: u64 },
}

/// Whose root a line is about.
#[derive(Deserialize)]
struct Named<'l> {
    #[serde(borrow, default)]
    set: Option<Cow<'l, str>>,
    #[serde(borrow, default)]
    remove: Option<Cow<'l, str>>,
}

/// A change of a root that is about to be committed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Change<'c> {
    Set(&'c str, &'c [ObjectRef]),
    Remove(&'c str),
}

/// What a journal says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Journal {
    /// What the roots keep, by name.
    pub roots: BTreeMap<String, Vec<Kept>>,
    /// Every package that any line names, those of removed roots too: a source may outlive its root.
    pub packages: BTreeSet<KeptPackage>,
    /// Lines that cannot be read.
    pub unreadable: usize,
}

impl Journal {
    /// Reads a journal; `None` when it is not there, or no file.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn read(path: &Path) -> Result<Option<Self>, FsError> {
        let Some(bytes) = read_file(path)? else { return Ok(None) };
        let mut journal = Self::default();
        for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            match serde_json::from_slice(line) {
                Ok(Line::Set { set, keeps, .. }) => {
                    journal.packages.extend(keeps.iter().flat_map(Kept::all).filter_map(Kept::package));
                    journal.roots.insert(set, keeps);
                }
                Ok(Line::Remove { remove, .. }) => {
                    journal.roots.remove(&remove);
                }
                Err(_) => journal.unreadable += 1,
            }
        }
        Ok(Some(journal))
    }
}

fn read_file(path: &Path) -> Result<Option<Vec<u8>>, FsError> {
    match file::open_regular(path)? {
        Found::File(mut opened) => {
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut opened, &mut bytes).map_err(|source| FsError::new("read", path, source))?;
            Ok(Some(bytes))
        }
        Found::Nothing | Found::Other => Ok(None),
    }
}

fn write_line(out: &mut Vec<u8>, line: &Line) -> Result<(), StoreError> {
    let path = Path::new("roots.journal");
    serde_json::to_writer(&mut *out, line).map_err(|error| FsError::new("write", path, error))?;
    out.push(b'\n');
    Ok(())
}

fn set(reader: &Reader<'_>, name: &str, at: u64, keeps: &[ObjectRef]) -> Result<Line, StoreError> {
    let mut keeps = keeps.iter().map(|object| Kept::new(reader, object)).collect::<Result<Vec<_>, _>>()?;
    keeps.sort();
    keeps.dedup();
    Ok(Line::Set { set: name.to_owned(), at, keeps })
}

fn lines_of(reader: &Reader<'_>, roots: &[RootRow]) -> Result<Vec<u8>, StoreError> {
    let mut text = Vec::new();
    for root in roots {
        write_line(&mut text, &set(reader, &root.name, root.set_at, &root.targets)?)?;
    }
    Ok(text)
}

/// Says whether what a line keeps is here under another key: another version of the program made it again.
fn is_here_again(reader: &Reader<'_>, kept: &Kept) -> Result<bool, StoreError> {
    let Some(package) = kept.package() else { return Ok(false) };
    let is_it = |row: &PackageRow| matches!(row, PackageRow::Whole(record) if record.given == package.given);
    Ok(reader.packages_of(&package.source)?.iter().any(is_it))
}

impl Inner {
    /// Writes changes of roots down; run under the write lock, after their rows and before the commit.
    pub(super) fn write_journal(&self, writer: &Writer<'_>, at: u64, changes: &[Change<'_>]) -> Result<(), StoreError> {
        if changes.is_empty() || !self.has_journal {
            return Ok(());
        }
        let path = self.layout.journal();
        match file::open_regular(&path)? {
            Found::File(_) => {
                let mut text = Vec::new();
                for change in changes {
                    let line = match change {
                        Change::Set(name, keeps) => set(writer, name, at, keeps)?,
                        Change::Remove(name) => Line::Remove { remove: (*name).to_owned(), at },
                    };
                    write_line(&mut text, &line)?;
                }
                file::append_lines(&path, &text)?;
            }
            found => {
                if matches!(found, Found::Other) {
                    self.quarantine(&path)?;
                }
                let text = lines_of(writer, &writer.roots()?)?;
                self.replace_journal(&text)?;
            }
        }
        stop::point("journal.appended");
        Ok(())
    }

    /// Puts a journal in the place of what is there; the caller holds the write lock.
    fn replace_journal(&self, text: &[u8]) -> Result<(), StoreError> {
        let temporary = self.layout.new_journal();
        // Only somebody who died can have left it: whoever writes it holds the lock.
        file::unlink(&temporary)?;
        let mode = self.sharing.file_mode();
        Ok(file::write_whole(&self.layout.journal(), &temporary, mode, text, Durability::Synced)?)
    }

    /// Says whether the journal holds more lines, or fewer, than there are roots.
    fn is_journal_stale(&self) -> Result<bool, StoreError> {
        let roots = self.index.read(|reader| Ok::<_, StoreError>(reader.root_count()?))?;
        let Some(bytes) = read_file(&self.layout.journal())? else { return Ok(true) };
        let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count() as u64;
        Ok(lines != roots || bytes.last().is_some_and(|byte| *byte != b'\n'))
    }

    /// Finds what roots keep that the journal knows and the index does not: every change of a root is written
    /// down, so the index lost them, or the program ended before its commit. Only what cannot be had again counts:
    /// packages and sources that no other root keeps, and whose bytes lie here.
    fn lost_roots(&self) -> Result<BTreeMap<String, Vec<Kept>>, StoreError> {
        if !self.is_journal_stale()? {
            return Ok(BTreeMap::new());
        }
        let path = self.layout.journal();
        let Found::File(journal) = file::open_regular(&path)? else { return Ok(BTreeMap::new()) };
        let end = journal.metadata().map_err(|source| FsError::new("look at", &path, source))?.len();
        // Afterwards: what was set meanwhile is no loss.
        let known = self.index.read(|reader| Ok::<_, StoreError>(reader.root_names()?))?;
        let mut roots: BTreeMap<String, Vec<Kept>> = BTreeMap::new();
        for line in BufReader::new(journal.take(end)).split(b'\n') {
            let line = line.map_err(|source| FsError::new("read", &path, source))?;
            // Of most lines only the name is wanted.
            let Ok(Named { set, remove }) = serde_json::from_slice(&line) else { continue };
            if let Some(name) = remove {
                roots.remove(&*name);
            } else if let Some(name) = set.filter(|name| !known.contains(&**name))
                && let Ok(Line::Set { keeps, .. }) = serde_json::from_slice(&line)
            {
                roots.insert(name.into_owned(), keeps);
            }
        }
        let mut lost = BTreeMap::new();
        for (name, keeps) in roots {
            if self.is_loss(&keeps)? {
                lost.insert(name, keeps);
            }
        }
        Ok(lost)
    }

    /// Says whether something of what a root kept cannot be had again, lies here, and is kept by no other root: neither
    /// as it was kept itself, nor, of the packages that an image names, by another image.
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
        let source = match kept.object() {
            Some(ObjectRef::Source(source)) => Some(source),
            _ => kept.package().map(|package| package.source),
        };
        let (Some(source), Some(object)) = (source, kept.object()) else { return Ok(false) };
        let is_rooted = self.index.read(|reader| {
            let is_below = || if by == Keeper::Root { Ok(false) } else { reader.is_below_root(&object) };
            Ok::<_, StoreError>(reader.is_rooted(&object)? || is_below()?)
        })?;
        Ok(!is_rooted && file::exists(&self.layout.file(Folder::Sources, &source))?)
    }

    /// Says whether there may be packages that the index does not find: sources without one, rows that are damaged,
    /// roots that the index lost. What is chosen by name must not be chosen from what is left then.
    pub(super) fn misses_packages(&self, reader: &Reader<'_>) -> Result<bool, StoreError> {
        if reader.packages()?.iter().any(|row| matches!(row, PackageRow::Damaged(_)))
            || reader.has_packages_astray()?
            || !reader.unused_files(1)?.is_empty()
        {
            return Ok(true);
        }
        let known = file::list(&self.layout.folder(Folder::Sources))?;
        let mut sources: Vec<OciDigest> =
            known.iter().filter_map(|name| OciDigest::from_hex(name.to_str()?).ok()).collect();
        sources.sort_unstable();
        if !reader.without_row(Folder::Sources, &sources)?.is_empty() {
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
    pub(super) fn has_line(&self, name: &str) -> Result<bool, StoreError> {
        Ok(Journal::read(&self.layout.journal())?.is_some_and(|journal| journal.roots.contains_key(name)))
    }

    /// Gives what such roots keep.
    pub(super) fn kept_by_lost_roots(&self) -> Result<BTreeSet<ObjectRef>, StoreError> {
        let mut kept = BTreeSet::new();
        for one in self.lost_roots()?.values().flatten().flat_map(Kept::all) {
            kept.extend(one.object());
            kept.extend(one.package().map(|package| ObjectRef::Source(package.source)));
        }
        Ok(kept)
    }

    /// Writes the journal anew: a line for each root, and what was appended meanwhile.
    ///
    /// The lock is held only to look where the journal ends and for the last step, so nobody waits while the roots
    /// of a large store are read. Lines that are said again after the state that they led to change nothing.
    pub(super) fn compact_journal(&self, even: Even) -> Result<(), StoreError> {
        if even == Even::Stale && !self.is_journal_stale()? {
            return Ok(());
        }
        let path = self.layout.journal();
        let stamp = || -> Result<Option<file::Stamp>, StoreError> { Ok(file::Stamp::at(&path)?) };
        // Under the lock, so that no line before this place waits for its commit.
        let before = self.index.write(Commit::Relaxed, |_| stamp())?;
        let mut roots = self.index.read(|reader| lines_of(reader, &reader.roots()?))?;
        if even != Even::Anew {
            // No other record of them is left: healing and rebuilding go by these lines.
            for (name, keeps) in self.lost_roots()? {
                write_line(&mut roots, &Line::Set { set: name, at: 0, keeps })?;
            }
        }
        stop::point("journal.written");
        self.index.write(Commit::Relaxed, |writer| {
            if let (Some(before), Some(now)) = (before, stamp()?)
                && (before.device, before.inode) == (now.device, now.inode)
            {
                let text = read_file(&path)?.unwrap_or_default();
                let rest = usize::try_from(before.size).ok().and_then(|before| text.get(before..)).unwrap_or_default();
                return self.replace_journal(&[&roots[..], rest].concat());
            }
            // It was lost, or another collector was faster: what the index says now is all there is.
            if matches!(file::open_regular(&path)?, Found::Other) {
                self.quarantine(&path)?;
            }
            let roots = lines_of(writer, &writer.roots()?)?;
            self.replace_journal(&roots)
        })?;
        stop::point("journal.compacted");
        Ok(())
    }

    /// Says what in the journal is not as the index has it; empty when all is.
    pub(super) fn compare_journal(&self) -> Result<Vec<String>, StoreError> {
        // The journal first: what is appended afterwards is in the index or will be.
        let Some(journal) = Journal::read(&self.layout.journal())? else {
            let roots = self.index.read(|reader| Ok::<_, StoreError>(reader.root_count()?))?;
            return Ok(if roots == 0 { Vec::new() } else { vec!["it is not there".to_owned()] });
        };
        let rows = self.index.read(|reader| {
            let roots = reader.roots()?.into_iter();
            roots
                .map(|root| match set(reader, &root.name, 0, &root.targets)? {
                    Line::Set { set, keeps, .. } => Ok((set, keeps)),
                    Line::Remove { remove, .. } => Ok((remove, Vec::new())),
                })
                .collect::<Result<BTreeMap<_, _>, StoreError>>()
        })?;
        let mut found = Vec::new();
        if journal.unreadable > 0 {
            found.push(format!("{} of its lines cannot be read", journal.unreadable));
        }
        for (name, keeps) in &rows {
            match journal.roots.get(name) {
                None => found.push(format!("it lacks the root {name}")),
                Some(known) if known != keeps => found.push(format!("it says other things of the root {name}")),
                Some(_) => {}
            }
        }
        // No finding: a command that was killed between its line and its commit leaves just that. Nothing of it is in
        // danger, because a collection keeps what the line keeps.
        for (name, keeps) in journal.roots.iter().filter(|(name, _)| !rows.contains_key(*name)) {
            let help = if self.is_loss(keeps)? {
                ": `dlstore store verify --repair` sets it again, `dlstore store roots remove` drops it"
            } else {
                ""
            };
            found.push(format!("it has a root {name}, which is not there{help}"));
        }
        Ok(found)
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

/// When the journal is written anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Even {
    /// When it holds more or less than a line for each root.
    Stale,
    /// In any case.
    Sound,
    /// In any case, and only what the index has: it was made from this journal.
    Anew,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Journal {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("roots.journal");
        assert_eq!(Journal::read(&path).unwrap(), None);
        std::fs::write(&path, text).unwrap();
        Journal::read(&path).unwrap().unwrap()
    }

    #[test]
    fn the_last_line_of_a_root_counts_and_a_torn_one_is_no_line() {
        let source = OciDigest::of(b"source").to_hex();
        let package = format!(
            "{{\"kind\":\"package\",\"key\":\"{source}\",\"format\":\"tar\",\"name\":\"x\",\"given\":\"x\",\"source\":\"{source}\"}}"
        );
        let text = format!(
            "{{\"set\":\"a\",\"at\":1,\"keeps\":[{package}]}}\n{{\"set\":\"b\",\"at\":2,\"keeps\":[]}}\n\
             {{\"remove\":\"a\",\"at\":3}}\n{{\"set\":\"c\",\"at\":4,\"kee"
        );
        let journal = read(&text);
        assert_eq!(journal.roots, BTreeMap::from([("b".to_owned(), Vec::new())]));
        assert_eq!(journal.unreadable, 1);
        let named =
            KeptPackage { source: OciDigest::of(b"source"), format: Format::Tar, given: "x".into(), name: "x".into() };
        assert_eq!(journal.packages, BTreeSet::from([named]), "the name of a source outlives its root");
    }

    #[test]
    fn lines_are_appended_behind_one_that_was_torn() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("roots.journal");
        std::fs::write(&path, "{\"set\":\"a\",\"a").unwrap();
        file::append_lines(&path, b"{\"set\":\"b\",\"at\":1,\"keeps\":[]}\n").unwrap();
        let journal = Journal::read(&path).unwrap().unwrap();
        assert_eq!((journal.roots.len(), journal.unreadable), (1, 1));
    }
}
