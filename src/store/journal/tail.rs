//! The tail of the journal: lines that no commit of the index answers for.
//!
//! Each change of a root appends its line and says in its commit where the journal ends now. Where the journal goes on
//! after that, a command was killed between the two, or the index is older than it was: its log was lost or cut, or an
//! older copy took its place. SQLite takes such an index for a whole one, and its lists of names are whole and old. So
//! before a package is chosen by its name, the tail is asked whether it names another one of that name; if it does,
//! what the journal knows is brought back first, which is right after a killed command as well.
//!
//! A journal is known by its inode: the end of another file says nothing, and all of it is the tail then.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Seek as _, SeekFrom};
use std::sync::PoisonError;

use super::{Inner, Kept, Line, each_line};
use crate::StoreError;
use crate::index::{Commit, Directory, JournalEnd, PackageRow, Reader, Writer};
use dlstore_fsx::FsError;
use dlstore_fsx::file::{self, Found, Stamp};
use dlstore_model::format::Format;

/// Bytes of a tail from which it is worth a write not to read it again.
const LONG: u64 = 64 << 10;

/// Packages that a tail names, by format and name.
type Names = BTreeSet<(Format, String)>;

/// The tail as it was when it was read last, and what it names that the index lacks.
#[derive(Debug)]
pub(crate) struct Tail {
    from: u64,
    journal: JournalEnd,
    names: Names,
}

impl Inner {
    /// Says whether the journal names a package that could be had, and that the index does not know.
    pub(crate) fn is_behind(&self, format: Format, name: &str) -> Result<bool, StoreError> {
        // The journal first: what is committed meanwhile answers for more than was there.
        let Some(journal) = self.journal_end()? else { return Ok(false) };
        let known = self.index.read(|reader| Ok::<_, StoreError>(reader.journal_end()?))?;
        let Some(from) = start_of_tail(known, journal) else { return Ok(false) };
        let is_named = |names: &Names| names.contains(&(format, name.to_owned()));
        let is_long = journal.length - from > LONG;
        match self.tail_of(from, journal)?.map(|names| (is_named(&names), names.is_empty())) {
            // A short tail costs less to read than a write.
            Some((false, is_empty)) if !is_empty || !is_long => return Ok(false),
            said if self.check_writable().is_err() => return Ok(said.is_none_or(|(is_named, _)| is_named)),
            _ => {}
        }
        // Under the lock nobody is between his line and his commit.
        self.index.write(Commit::Relaxed, |writer| {
            let Some(journal) = self.journal_end()? else { return Ok(false) };
            let Some(from) = start_of_tail(writer.journal_end()?, journal) else { return Ok(false) };
            let names = self.names_in_tail(writer, from)?;
            if names.is_empty() {
                writer.set_journal_end(journal)?;
            }
            Ok(is_named(&names))
        })
    }

    /// Gives what the tail names that the index lacks, read once while it is the same; `None` when somebody wrote the
    /// journal anew meanwhile.
    fn tail_of(&self, from: u64, journal: JournalEnd) -> Result<Option<Names>, StoreError> {
        let mut last = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tail) = last.as_ref().filter(|tail| (tail.from, tail.journal) == (from, journal)) {
            return Ok(Some(tail.names.clone()));
        }
        let names = self.index.read(|reader| self.names_in_tail(reader, from))?;
        let is_same = self.journal_end()?.is_some_and(|now| now.inode == journal.inode);
        *last = is_same.then(|| Tail { from, journal, names: names.clone() });
        Ok(is_same.then_some(names))
    }

    /// Says where the journal ends; `None` when there is none.
    pub(super) fn journal_end(&self) -> Result<Option<JournalEnd>, StoreError> {
        let stamp = Stamp::at(&self.layout.journal())?;
        Ok(stamp.map(|stamp| JournalEnd { inode: stamp.inode, length: stamp.size }))
    }

    /// Says in the commit of a change that the journal ends here now, if it ended `before` where the index knew it to end:
    /// else lines between that nobody answers for would be answered for.
    pub(super) fn answer_for(&self, writer: &Writer<'_>, before: Option<JournalEnd>) -> Result<(), StoreError> {
        if let Some(now) = self.journal_end()?
            && before.is_none_or(|before| start_of_tail(writer.journal_end().ok().flatten(), before).is_none())
        {
            writer.set_journal_end(now)?;
        }
        Ok(())
    }

    /// Reads from somewhere in the journal to its end what roots keep, and gives the packages of it that the index does not
    /// know and whose sources lie here.
    fn names_in_tail(&self, reader: &Reader<'_>, from: u64) -> Result<Names, StoreError> {
        let path = self.layout.journal();
        let Found::File(mut journal) = file::open_regular(&path)? else { return Ok(Names::new()) };
        journal.seek(SeekFrom::Start(from)).map_err(|source| FsError::new("read", &path, source))?;
        let mut roots: BTreeMap<String, Vec<Kept>> = BTreeMap::new();
        each_line(&path, journal, |line, _| match serde_json::from_slice(line) {
            Ok(Line::Set { set, keeps, .. }) => {
                roots.insert(set, keeps);
            }
            Ok(Line::Remove { remove, .. }) => {
                roots.remove(&remove);
            }
            Err(_) => {}
        })?;
        let mut names = Names::new();
        for package in roots.values().flatten().flat_map(Kept::all).filter_map(Kept::package) {
            let mut rows = reader.packages_of(&package.source)?.into_iter();
            let is_known = rows.any(|row| match row {
                PackageRow::Whole(record) => record.given == package.given,
                // It is made again when it is chosen.
                PackageRow::Damaged(_) => true,
            });
            if !is_known && file::exists(&self.layout.file(Directory::Sources, &package.source))? {
                names.insert((package.format, package.name));
            }
        }
        Ok(names)
    }
}

/// Gives where the tail of a journal begins; `None` when it has none.
fn start_of_tail(known: Option<JournalEnd>, journal: JournalEnd) -> Option<u64> {
    let answered_for = known.filter(|known| known.inode == journal.inode).map_or(0, |known| known.length);
    (answered_for < journal.length).then_some(answered_for)
}
