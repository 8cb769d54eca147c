//! The tail of the journal: lines that no commit of the index answers for.
//!
//! Each change of a root appends its line and says in its commit where the journal ends now. Where the journal goes on
//! after that, a command was killed between the two, or the index is older than it was: its log was lost or cut, or an
//! older copy took its place. SQLite takes such an index for a whole one, and its lists of names are whole and old. So
//! before a package is chosen by its name, the tail is asked whether it names another one of that name; if it does,
//! what the journal knows is brought back first, which is right after a killed command as well.
//!
//! A journal is known by its last bytes before that place: where others stand there, all of it is the tail.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::FileExt as _;
use std::sync::PoisonError;

use super::{Inner, Kept, Line, each_line};
use crate::StoreError;
use crate::again::PAUSES;
use crate::index::{Commit, Directory, JournalEnd, NameList, Reader, Writer};
use dlstore_fsx::FsError;
use dlstore_fsx::file::{self, Found};
use dlstore_model::digest::Digest;
use dlstore_model::format::Format;

/// Bytes of a tail from which it is worth a write not to read it again.
const LONG: u64 = 64 << 10;

/// Bytes by which a journal is known.
const MARK: u64 = 4096;

/// Packages that a tail names and the index lacks, by format and name.
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    /// Those whose sources lie here.
    here: BTreeSet<(Format, String)>,
    /// Those that nothing is left of, each with a root that names it.
    gone: BTreeMap<(Format, String), String>,
}

impl Names {
    /// Says whether the index lacks nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.here.is_empty() && self.gone.is_empty()
    }

    /// Gives one that is wanted: of a name, or any.
    fn of(&self, wanted: Option<(Format, &str)>) -> Option<Lacking> {
        let is_wanted = |(format, name): &&(Format, String)| {
            wanted.is_none_or(|(of, called)| *format == of && name.as_str() == called)
        };
        if let Some((format, name)) = self.here.iter().find(is_wanted) {
            return Some(Lacking { format: *format, name: name.clone(), root: None });
        }
        let ((format, name), root) = self.gone.iter().find(|(key, _)| is_wanted(key))?;
        Some(Lacking { format: *format, name: name.clone(), root: Some(root.clone()) })
    }
}

/// A package that the journal names and the index lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lacking {
    /// Its format.
    pub(crate) format: Format,
    /// Its name.
    pub(crate) name: String,
    /// A root that names it, when nothing is left that it could be made again from.
    pub(crate) root: Option<String>,
}

/// The tail as it was when it was read last, and what it names that the index lacks.
#[derive(Debug)]
pub(crate) struct Tail {
    from: u64,
    journal: JournalEnd,
    names: Names,
}

/// An open journal.
struct Opened {
    file: File,
    length: u64,
}

impl Inner {
    /// Says whether the journal names a package that the index does not know: of a name, or of any.
    pub(crate) fn lacks(&self, wanted: Option<(Format, &str)>) -> Result<Option<Lacking>, StoreError> {
        // The journal first: what is committed meanwhile answers for more than was there.
        let Some(journal) = self.open_journal()? else { return Ok(None) };
        let known = self.index.read(|reader| Ok::<_, StoreError>(reader.journal_end()?))?;
        let Some(from) = self.start_of_tail(known, &journal)? else { return Ok(None) };
        let end = self.end_of(&journal.file, journal.length)?;
        let names = self.tail_of(from, end, &journal)?;
        if names.is_empty() && journal.length - from > LONG && self.check_writable().is_ok() {
            // It is read by the next command if somebody else is writing, or nobody can.
            let _ = self.index.write_at_once(|writer| writer.set_journal_end(end));
        }
        let lacking = names.of(wanted);
        if lacking.is_none() {
            return Ok(None);
        }
        if self.check_writable().is_err() {
            return self.lacks_still(wanted);
        }
        // Under the lock nobody is between his line and his commit.
        self.index.write(Commit::Relaxed, |writer| Ok(self.names_unanswered(writer)?.of(wanted)))
    }

    /// Asks the same some times more, for somebody who cannot take the lock: a writer is between his line and his commit
    /// for a moment, and an index that was copied then stays as it was.
    fn lacks_still(&self, wanted: Option<(Format, &str)>) -> Result<Option<Lacking>, StoreError> {
        let mut lacking = None;
        for pause in PAUSES {
            std::thread::sleep(pause);
            let Some(journal) = self.open_journal_now()? else { return Ok(None) };
            let anew = self.index_anew()?;
            let index = anew.as_ref().map_or(&self.index, |(index, _)| index);
            let known = index.read(|reader| Ok::<_, StoreError>(reader.journal_end()?))?;
            let Some(from) = self.start_of_tail(known, &journal)? else { return Ok(None) };
            lacking = index.read(|reader| self.names_behind(reader, &journal, from))?.of(wanted);
            if lacking.is_none() {
                break;
            }
        }
        Ok(lacking)
    }

    /// Gives what the tail names that the index lacks, read once while it is the same.
    fn tail_of(&self, from: u64, journal: JournalEnd, opened: &Opened) -> Result<Names, StoreError> {
        let mut last = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tail) = last.as_ref().filter(|tail| (tail.from, tail.journal) == (from, journal)) {
            return Ok(tail.names.clone());
        }
        let names = self.index.read(|reader| self.names_behind(reader, opened, from))?;
        *last = Some(Tail { from, journal, names: names.clone() });
        Ok(names)
    }

    /// Gives what lines name that no commit answers for, and that the index lacks; under the write lock.
    pub(super) fn names_unanswered(&self, writer: &Writer<'_>) -> Result<Names, StoreError> {
        let Some(journal) = self.open_journal()? else { return Ok(Names::default()) };
        match self.start_of_tail(writer.journal_end()?, &journal)? {
            Some(from) => self.names_behind(writer, &journal, from),
            None => Ok(Names::default()),
        }
    }

    /// Says whether lines that were appended behind a place name what the index lacks.
    pub(super) fn lacks_what_follows(&self, writer: &Writer<'_>, place: u64) -> Result<bool, StoreError> {
        let Some(journal) = self.open_journal()? else { return Ok(false) };
        Ok(!self.names_behind(writer, &journal, place)?.is_empty())
    }

    /// Says whether every line is answered for; under the write lock.
    pub(super) fn is_answered_for(&self, writer: &Writer<'_>) -> Result<bool, StoreError> {
        let Some(journal) = self.open_journal()? else { return Ok(true) };
        Ok(self.start_of_tail(writer.journal_end()?, &journal)?.is_none())
    }

    /// Says in the commit of a change that the journal ends where it does now.
    pub(super) fn answer_for_all(&self, writer: &Writer<'_>) -> Result<(), StoreError> {
        if let Some(journal) = self.open_journal()? {
            writer.set_journal_end(self.end_of(&journal.file, journal.length)?)?;
        }
        Ok(())
    }

    /// Opens the journal as long as it was when the index was copied, where it had to be.
    fn open_journal(&self) -> Result<Option<Opened>, StoreError> {
        // What was appended since is not in the copy.
        let shorten = |Opened { file, length }| {
            let length = self.journal_when_copied.map_or(length, |copied| copied.min(length));
            Opened { file, length }
        };
        Ok(self.open_journal_now()?.map(shorten))
    }

    /// Opens the journal as long as it is.
    fn open_journal_now(&self) -> Result<Option<Opened>, StoreError> {
        let path = self.layout.journal();
        let Found::File(file) = file::open_regular(&path)? else { return Ok(None) };
        let length = file.metadata().map_err(|source| FsError::new("look at", &path, source))?.len();
        Ok(Some(Opened { file, length }))
    }

    /// Gives where the tail of a journal begins; `None` when it has none.
    fn start_of_tail(&self, known: Option<JournalEnd>, journal: &Opened) -> Result<Option<u64>, StoreError> {
        let mut answered_for = 0;
        if let Some(known) = known.filter(|known| known.length <= journal.length)
            && self.end_of(&journal.file, known.length)? == known
        {
            answered_for = known.length;
        }
        Ok((answered_for < journal.length).then_some(answered_for))
    }

    /// Gives the end that a journal has at a place.
    fn end_of(&self, journal: &File, length: u64) -> Result<JournalEnd, StoreError> {
        let start = length.saturating_sub(MARK);
        let mut bytes = vec![0; usize::try_from(length - start).unwrap_or(0)];
        let read = journal.read_exact_at(&mut bytes, start);
        read.map_err(|source| FsError::new("read", &self.layout.journal(), source))?;
        let digest = *Digest::of(&bytes).as_bytes();
        let mark = digest.first_chunk().map_or(0, |first| u64::from_le_bytes(*first) >> 1);
        Ok(JournalEnd { mark, length })
    }

    /// Reads from somewhere in the journal to its end what roots keep, and gives the packages of it that the index does not
    /// know and whose sources lie here.
    fn names_behind(&self, reader: &Reader<'_>, journal: &Opened, from: u64) -> Result<Names, StoreError> {
        let mut roots: BTreeMap<String, Vec<Kept>> = BTreeMap::new();
        self.lines_behind(journal, from, |line| match line {
            Line::Set { set, keeps, .. } => {
                roots.insert(set, keeps);
            }
            Line::Remove { remove, .. } => {
                roots.remove(&remove);
            }
        })?;
        let mut names = Names::default();
        for (root, kept) in roots.iter().flat_map(|(root, keeps)| keeps.iter().map(move |kept| (root, kept))) {
            for package in kept.all().filter_map(Kept::package) {
                let is_known = match reader.names(package.format, &package.name)? {
                    NameList::Whole(list) => list.iter().any(|named| named.source == package.source),
                    // Nothing is chosen from it before it is made again.
                    NameList::Damaged => true,
                };
                let key = (package.format, package.name);
                if is_known {
                    continue;
                }
                if file::exists(&self.layout.file(Directory::Sources, &package.source))? {
                    names.here.insert(key);
                } else {
                    // Roots of packages come after those of images.
                    names.gone.insert(key, root.clone());
                }
            }
        }
        Ok(names)
    }

    /// Says whether a line that no commit of the index answers for is about a root.
    pub(crate) fn tail_names_root(&self, name: &str) -> Result<bool, StoreError> {
        let Some(journal) = self.open_journal()? else { return Ok(false) };
        let known = self.index.read(|reader| Ok::<_, StoreError>(reader.journal_end()?))?;
        let Some(from) = self.start_of_tail(known, &journal)? else { return Ok(false) };
        let mut is_named = false;
        self.lines_behind(&journal, from, |line| {
            is_named |= match line {
                Line::Set { set, .. } => set == name,
                Line::Remove { remove, .. } => remove == name,
            };
        })?;
        Ok(is_named)
    }

    /// Reads the lines from somewhere in the journal to its end; those that cannot be read are left out.
    fn lines_behind(&self, journal: &Opened, from: u64, mut step: impl FnMut(Line)) -> Result<(), StoreError> {
        let path = self.layout.journal();
        let mut file = &journal.file;
        file.seek(SeekFrom::Start(from)).map_err(|source| FsError::new("read", &path, source))?;
        each_line(&path, file.take(journal.length.saturating_sub(from)), |line, _| {
            if let Ok(line) = serde_json::from_slice(line) {
                step(line);
            }
        })?;
        Ok(())
    }

    /// Gives the roots that a tail names and whose packages nothing is left of: their lines are all that is known of them.
    pub(super) fn roots_gone(&self, writer: &Reader<'_>) -> Result<BTreeSet<String>, StoreError> {
        let Some(journal) = self.open_journal()? else { return Ok(BTreeSet::new()) };
        match self.start_of_tail(writer.journal_end()?, &journal)? {
            Some(from) => Ok(self.names_behind(writer, &journal, from)?.gone.into_values().collect()),
            None => Ok(BTreeSet::new()),
        }
    }
}
