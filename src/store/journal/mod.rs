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
//! An image may be all that keeps a package. So the line of an image says which packages it refers to: which source
//! belongs to it, and of a tar or a directory the name, stands nowhere else once rows of the index are lost.
//!
//! Ordinary work looks only at where it ends. A line is appended for each change, under the index's write lock and before its
//! commit, and is on the disk before the change is: what the index lost, `store rebuild` takes from here, above all
//! the names of packages that say none themselves. So a line whose commit never came is possible and harmless, and
//! a line that was not finished is no line. The collector writes the journal anew when it holds more than it has to.
//!
//! A journal that is gone is written whole by the next change.
//!
//! - here: lines, appended and read;
//! - [`compact`]: written anew;
//! - [`known`]: what else tells the name and the source of a package;
//! - [`lost`]: held against the index;
//! - [`tail`]: what no commit of the index answers for.

mod compact;
mod known;
mod lost;
mod tail;

pub(super) use compact::Even;
pub(super) use known::Known;
pub(super) use tail::{Lacking, Tail};

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead as _, BufReader, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::root_name::check_name;
use super::{Inner, ObjectRef, StoreError};
use crate::index::Writer;
use dlstore_fsx::file::{self, Found};
use dlstore_fsx::replace::Replacement;
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
    /// Of an outcome: the packages that it refers to.
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
    fn plain(object: &ObjectRef) -> Self {
        let (kind, key) = (object.kind().name().to_owned(), dlstore_model::digest::to_hex(object.key()));
        Self { kind, key, format: None, name: None, given: None, source: None, packages: Vec::new() }
    }

    /// The same with what it can be made again from.
    fn named(self, package: KeptPackage) -> Self {
        Self {
            format: Some(package.format.name().to_owned()),
            name: Some(package.name),
            given: Some(package.given),
            source: Some(package.source.to_hex()),
            ..self
        }
    }

    /// Gives it, and the packages that are named with it.
    pub fn all(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(&self.packages)
    }

    /// Says whether it is the same object, or the same package as another decoder knew it.
    fn is(&self, other: &Self) -> bool {
        (&self.kind, &self.key) == (&other.kind, &other.key)
            || (self.source.is_some() && (&self.source, &self.given) == (&other.source, &other.given))
    }

    /// Takes over what it can be made again from, where that is not known.
    fn learn(&mut self, other: Self) {
        if self.package().is_none()
            && let Some(package) = other.package()
        {
            *self = std::mem::replace(self, other).named(package);
        }
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
        let Found::File(opened) = file::open_regular(path)? else { return Ok(None) };
        let mut journal = Self::default();
        each_line(path, opened, |line, _| match serde_json::from_slice(line) {
            Ok(Line::Set { set, keeps, .. }) => {
                journal.packages.extend(keeps.iter().flat_map(Kept::all).filter_map(Kept::package));
                journal.roots.insert(set, keeps);
            }
            Ok(Line::Remove { remove, .. }) => {
                journal.roots.remove(&remove);
            }
            Err(_) => journal.unreadable += usize::from(!line.is_empty()),
        })?;
        Ok(Some(journal))
    }

    /// Leaves roots out that have names that no root can have: a line of theirs is damaged.
    #[must_use]
    pub(super) fn with_root_names(mut self) -> Self {
        self.roots.retain(|name, _| check_name(name).is_ok());
        self
    }
}

/// Reads line by line, and says of each whether it was ended: the journal of a large store does not fit in memory.
fn each_line(path: &Path, text: impl io::Read, mut take: impl FnMut(&[u8], bool)) -> Result<(), FsError> {
    let (mut text, mut line) = (BufReader::with_capacity(256 << 10, text), Vec::new());
    while text.read_until(b'\n', &mut line).map_err(|source| FsError::new("read", path, source))? > 0 {
        let is_ended = line.last() == Some(&b'\n');
        take(line.strip_suffix(b"\n").unwrap_or(&line), is_ended);
        line.clear();
    }
    Ok(())
}

fn write_line(out: &mut impl Write, line: &Line) -> Result<(), StoreError> {
    let failed = |error| FsError::new("write", Path::new("roots.journal"), error);
    serde_json::to_writer(&mut *out, line).map_err(|error| failed(error.into()))?;
    Ok(out.write_all(b"\n").map_err(failed)?)
}

/// Says what the index says that a root keeps.
fn set(known: &Known<'_>, name: &str, at: u64, keeps: &[ObjectRef]) -> Result<Line, StoreError> {
    let mut keeps = keeps.iter().map(|object| known.kept(object)).collect::<Result<Vec<_>, _>>()?;
    keeps.sort();
    keeps.dedup();
    Ok(Line::Set { set: name.to_owned(), at, keeps })
}

impl Inner {
    /// Writes changes of roots down; run under the write lock, after their rows and before the commit.
    pub(super) fn write_journal(&self, writer: &Writer<'_>, at: u64, changes: &[Change<'_>]) -> Result<(), StoreError> {
        if changes.is_empty() || !self.has_journal {
            return Ok(());
        }
        let path = self.layout.journal();
        let is_answered_for = self.is_answered_for(writer)?;
        match file::open_regular(&path)? {
            Found::File(_) => {
                let (mut text, known) = (Vec::new(), self.known(writer));
                for change in changes {
                    let line = match change {
                        Change::Set(name, keeps) => set(&known, name, at, keeps)?,
                        Change::Remove(name) => Line::Remove { remove: (*name).to_owned(), at },
                    };
                    write_line(&mut text, &line)?;
                }
                file::append_lines(&path, &text)?;
                // Lines before that nobody answers for are not answered for by this one.
                if is_answered_for {
                    self.answer_for_all(writer)?;
                }
            }
            found => {
                if matches!(found, Found::Other) {
                    self.quarantine(&path)?;
                }
                self.write_journal_now(writer)?;
            }
        }
        stop::point("journal.appended");
        Ok(())
    }

    /// Writes a journal of what the index says into the place of what is there; the caller holds the write lock.
    fn write_journal_now(&self, writer: &Writer<'_>) -> Result<(), StoreError> {
        let temporary = self.layout.new_journal();
        // Only somebody who died can have left it: whoever writes it holds the lock.
        file::unlink(&temporary)?;
        let Some(mut new) = Replacement::begin(&temporary, self.sharing.file_mode())? else {
            return Err(FsError::new("write", &temporary, std::io::ErrorKind::PermissionDenied).into());
        };
        let known = self.known(writer);
        writer.each_root(|root| write_line(&mut new, &set(&known, &root.name, root.set_at, &root.targets)?))?;
        new.put(&self.layout.journal())?;
        self.answer_for_all(writer)
    }
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
