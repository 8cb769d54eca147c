//! The journal written anew: a line for each root, when it holds more or less than that.
//!
//! Others append to it meanwhile, and nobody waits: the new one is written beside it, root by root, and takes its
//! place under the write lock with what was appended since.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::io::{self, Seek as _, SeekFrom};

use super::lost::LastLines;
use super::{Inner, Line, Named, each_line, set, write_line};
use crate::StoreError;
use crate::index::Commit;
use dlstore_fsx::file::{self, Found};
use dlstore_fsx::replace::Replacement;
use dlstore_fsx::{FsError, stop};

/// When the journal is written anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Even {
    /// When it holds more or less than a line for each root.
    Stale,
    /// In any case.
    Sound,
}

impl Inner {
    /// Says whether the journal is something else than a line for each root.
    pub(super) fn is_journal_stale(&self) -> Result<bool, StoreError> {
        let path = self.layout.journal();
        let Found::File(journal) = file::open_regular(&path)? else { return Ok(true) };
        // Hashes: the names of all roots of a large store are long together.
        let (mut said, mut is_sound) = (HashSet::new(), true);
        each_line(&path, journal, |line, is_ended| {
            is_sound &= is_ended
                && matches!(serde_json::from_slice(line), Ok(Named { set: Some(name), .. }) if said.insert(hash(&name)));
        })?;
        let mut roots = 0;
        self.index.read(|reader| {
            reader.each_root_name(|name| {
                roots += 1;
                is_sound &= said.contains(&hash(name));
            })
        })?;
        Ok(!is_sound || said.len() != roots)
    }

    /// Writes the journal anew: a line for each root, and what was appended meanwhile.
    ///
    /// The lock is held only to look where the journal ends and for the last step, so nobody waits while the roots
    /// of a large store are read. Lines that are said again after the state that they led to change nothing.
    pub(crate) fn compact_journal(&self, even: Even) -> Result<(), StoreError> {
        if even == Even::Stale && !self.is_journal_stale()? {
            return Ok(());
        }
        let path = self.layout.journal();
        // Who was let read the old one may read the new one.
        let readers = file::Stamp::at(&path)?.map_or(0, |stamp| stamp.mode & 0o444);
        let mode = self.sharing.file_mode() | readers;
        let Some(mut new) = Replacement::begin(&self.layout.compacted_journal(), mode)? else {
            // Another collector is at it.
            return Ok(());
        };
        let stamp = || -> Result<Option<file::Stamp>, StoreError> { Ok(file::Stamp::at(&path)?) };
        // Under the lock, so that no line before this place waits for its commit.
        let (before, is_answered) = self.index.write(Commit::Relaxed, |writer| {
            Ok::<_, StoreError>((stamp()?, self.names_unanswered(writer)?.is_empty()))
        })?;
        // Of what the index lost no other record is left: healing and rebuilding go by these lines.
        let last = LastLines::read(&path)?;
        self.index.read(|reader| {
            let known = self.known(reader);
            reader.each_root(|root| {
                let line = set(&known, &root.name, root.set_at, &root.targets)?;
                write_line(&mut new, &self.with_lost(reader, line, &last)?)
            })
        })?;
        let lost = self.lost_roots()?;
        let is_whole = is_answered && lost.is_empty();
        // Nor of what nothing can be made again of: whoever asks for it is told so as long as its line is there.
        let gone = self.index.read(|reader| {
            let mut gone = self.roots_gone(reader)?;
            for name in std::mem::take(&mut gone) {
                if reader.root(&name)?.is_none() && !lost.contains_key(&name) {
                    gone.insert(name);
                }
            }
            Ok::<_, StoreError>(gone)
        })?;
        for name in gone {
            if let Some(keeps) = last.keeps(&name)? {
                write_line(&mut new, &Line::Set { set: name, at: 0, keeps })?;
            }
        }
        for (name, keeps) in lost {
            write_line(&mut new, &Line::Set { set: name, at: 0, keeps })?;
        }
        // All but the rest is on the disk before the lock is taken.
        new.sync()?;
        stop::point("journal.written");
        self.index.write(Commit::Relaxed, |writer| {
            if let (Some(before), Found::File(mut journal)) = (before, file::open_regular(&path)?)
                && let now = file::Stamp::of(&journal, &path)?
                && (before.device, before.inode) == (now.device, now.inode)
            {
                let copied = journal.seek(SeekFrom::Start(before.size)).and_then(|_| io::copy(&mut journal, &mut new));
                copied.map_err(|source| FsError::new("copy the end of", &path, source))?;
                let is_whole = is_whole && !self.lacks_what_follows(writer, before.size)?;
                new.put(&path)?;
                // Lines of what the index lost are answered for by nobody until a repair has set those roots again.
                return if is_whole { self.answer_for_all(writer) } else { Ok(()) };
            }
            // It was lost and written anew, or is no file: what the index says now is all there is.
            if matches!(file::open_regular(&path)?, Found::Other) {
                self.quarantine(&path)?;
            }
            self.write_journal_now(writer)
        })?;
        stop::point("journal.compacted");
        Ok(())
    }
}

fn hash(name: &str) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(name)
}
