//! The journal written anew: a line for each root, when it holds more or less than that.
//!
//! Others append to it meanwhile, and nobody waits: the new one is written beside it, root by root, and takes its
//! place under the write lock with what was appended since.

use std::io::{self, Seek as _, SeekFrom};

use super::{Inner, Line, each_line, write_line, write_roots};
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
    /// In any case, and only what the index has: it was made from this journal.
    Anew,
}

impl Inner {
    /// Says whether the journal holds more lines, or fewer, than there are roots.
    pub(super) fn is_journal_stale(&self) -> Result<bool, StoreError> {
        let roots = self.index.read(|reader| Ok::<_, StoreError>(reader.root_count()?))?;
        let path = self.layout.journal();
        let Found::File(journal) = file::open_regular(&path)? else { return Ok(true) };
        let (mut lines, mut is_whole) = (0, true);
        each_line(&path, journal, |line, is_ended| {
            lines += u64::from(!line.is_empty());
            is_whole = is_ended;
        })?;
        Ok(lines != roots || !is_whole)
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
        let Some(mut new) = Replacement::begin(&self.layout.compacted_journal(), self.sharing.file_mode())? else {
            // Another collector is at it.
            return Ok(());
        };
        let stamp = || -> Result<Option<file::Stamp>, StoreError> { Ok(file::Stamp::at(&path)?) };
        // Under the lock, so that no line before this place waits for its commit.
        let before = self.index.write(Commit::Relaxed, |_| stamp())?;
        self.index.read(|reader| write_roots(reader, &mut new))?;
        if even != Even::Anew {
            // No other record of them is left: healing and rebuilding go by these lines.
            for (name, keeps) in self.lost_roots()? {
                write_line(&mut new, &Line::Set { set: name, at: 0, keeps })?;
            }
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
                return Ok(new.put(&path)?);
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
