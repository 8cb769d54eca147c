//! Believing files: by their stamp, else by their bytes, and then by a new stamp.
//!
//! A published file is believed when device, inode, length, modification time, mode and owner are those recorded
//! when its bytes were last known to be right. Any difference means that it is hashed:
//!
//! - the bytes are right, and it is a published file of ours: the stamp is recorded anew, so that a store that was
//!   copied or unpacked elsewhere is hashed once and not at each use;
//! - the bytes are right, but somebody changed its mode or owner: it gets an inode of its own again, because what
//!   others may write to is not to be believed tomorrow;
//! - anything else (other bytes, a directory, a pipe, a link) is *damage*: it leaves for quarantine, what lies in
//!   it is marked, and the caller sees a miss. Whoever needs the bytes then makes them again.
//!
//! A store that cannot be written to remembers what it hashed for as long as the process lives.

use std::fs::File;
use std::io::Seek as _;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use super::place::{PUBLISHED, is_whole};
use super::{Inner, ObjectRef, Sharing, StoreError};
use crate::index::{Commit, Directory, FileRow, State, Writer};
use dlstore_fsx::file::{self, Found, Stamp};
use dlstore_fsx::{FsError, link};
use dlstore_model::digest::OciDigest;

/// A file of the store that is believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredFile {
    /// Where it lies.
    pub path: PathBuf,
    /// What it looks like; another name of the same file looks the same.
    pub stamp: Stamp,
}

impl Inner {
    /// Finds a file that can be believed; `None` when it is not known, gone or bad.
    pub(super) fn believe(&self, directory: Directory, sha256: &OciDigest) -> Result<Option<StoredFile>, StoreError> {
        let Some(row) = self.index.read(|reader| reader.file(directory, sha256))? else { return Ok(None) };
        let path = self.layout.file(directory, sha256);
        if let Some(stamp) = Stamp::at(&path)?
            && self.is_trusted(&row, stamp)
        {
            return Ok(Some(StoredFile { path, stamp }));
        }
        Ok(self.look_closer(&row, &path)?.map(|(_, stamp)| StoredFile { path, stamp }))
    }

    /// Opens a file that can be believed; `None` when it is not known, gone or bad.
    pub(super) fn open_file(&self, directory: Directory, sha256: &OciDigest) -> Result<Option<File>, StoreError> {
        let Some(row) = self.index.read(|reader| reader.file(directory, sha256))? else { return Ok(None) };
        let path = self.layout.file(directory, sha256);
        if let Found::File(opened) = file::open_regular(&path)?
            && self.is_trusted(&row, Stamp::of(&opened, &path)?)
        {
            return Ok(Some(opened));
        }
        Ok(self.look_closer(&row, &path)?.map(|(opened, _)| opened))
    }

    fn is_trusted(&self, row: &FileRow, stamp: Stamp) -> bool {
        let hashed = || self.hashed.lock().unwrap_or_else(PoisonError::into_inner);
        stamp == row.stamp || hashed().get(&(row.directory, row.sha256)) == Some(&stamp)
    }

    /// Hashes what does not look as it was recorded.
    fn look_closer(&self, row: &FileRow, path: &Path) -> Result<Option<(File, Stamp)>, StoreError> {
        let right = match file::open_regular(path)? {
            Found::Nothing => return Ok(None),
            Found::Other => None,
            Found::File(mut opened) => {
                // What it looked like before its bytes were read: one that is changed meanwhile looks different.
                let stamp = Stamp::of(&opened, path)?;
                let is_right = file::sha256(&opened, path)? == row.sha256;
                opened.rewind().map_err(|source| FsError::new("read", path, source))?;
                is_right.then_some((opened, stamp))
            }
        };
        if let (Some((_, stamp)), true) = (&right, self.check_writable().is_err()) {
            self.remember_right(row, *stamp);
        }
        if self.check_writable().is_err() {
            return Ok(right);
        }
        // What was seen is only a suspicion until the lock is held: a collector or a healer may be at work.
        let settled = self.index.write(Commit::Relaxed, |writer| {
            let Some(row) = writer.file(row.directory, &row.sha256)? else { return Ok(None) };
            match &right {
                Some((_, stamp)) => self.restamp(writer, &row, path, *stamp),
                None => self.set_aside(writer, &row).map(|()| None),
            }
        });
        match (settled, right) {
            (Ok(Some(recorded)), _) => match file::open_regular(path)? {
                Found::File(opened) if Stamp::of(&opened, path)? == recorded => Ok(Some((opened, recorded))),
                _ => Ok(None),
            },
            (Ok(None), _) => Ok(None),
            // It was right, and cannot be recorded (a full disk, a read-only file system): believe it for now.
            (Err(_), Some((opened, stamp))) => {
                self.remember_right(row, stamp);
                Ok(Some((opened, stamp)))
            }
            (Err(error), None) => Err(error),
        }
    }

    /// Says whether this process hashed a file that looked like this, and found it right.
    pub(super) fn is_hashed(&self, row: &FileRow) -> bool {
        let hashed = self.hashed.lock().unwrap_or_else(PoisonError::into_inner);
        hashed.get(&(row.directory, row.sha256)) == Some(&row.stamp)
    }

    /// Remembers that a file was hashed and right when it looked like this.
    pub(super) fn remember_right(&self, row: &FileRow, stamp: Stamp) {
        self.hashed.lock().unwrap_or_else(PoisonError::into_inner).insert((row.directory, row.sha256), stamp);
    }

    /// Records what the files look like that this process hashed and found right, so that nobody hashes them again.
    /// A store that cannot be written to stays as it is.
    pub(super) fn record_right(&self) {
        let hashed: Vec<_> = {
            let hashed = self.hashed.lock().unwrap_or_else(PoisonError::into_inner);
            hashed.iter().map(|(file, stamp)| (*file, *stamp)).collect()
        };
        if hashed.is_empty() || self.check_writable().is_err() {
            return;
        }
        // What cannot be recorded is hashed again by the next one.
        let _ = self.index.write(Commit::Relaxed, |writer| {
            for ((directory, sha256), stamp) in hashed {
                let path = self.layout.file(directory, &sha256);
                if let Some(row) = writer.file(directory, &sha256)?
                    && row.stamp != stamp
                {
                    self.restamp(writer, &row, &path, stamp)?;
                }
            }
            Ok::<_, StoreError>(())
        });
    }

    /// Records what a file looks like that looked like `hashed` when its bytes were read and found right; gives
    /// what is recorded, `None` when it is gone or looks different by now.
    pub(super) fn restamp(
        &self,
        writer: &Writer<'_>,
        row: &FileRow,
        path: &Path,
        hashed: Stamp,
    ) -> Result<Option<Stamp>, StoreError> {
        let Some(found) = Stamp::at(path)? else { return Ok(None) };
        if found != hashed {
            // Somebody else may have recorded it meanwhile.
            return Ok((found == row.stamp).then_some(found));
        }
        let stamp = if self.is_published(found) { Some(found) } else { self.renew(row, path)? };
        if let Some(stamp) = stamp {
            writer.put_file(row.directory, &row.sha256, stamp)?;
        }
        Ok(stamp)
    }

    /// Says whether nobody but members of the store could write to a file.
    fn is_published(&self, stamp: Stamp) -> bool {
        stamp.mode == PUBLISHED && (self.sharing == Sharing::Group || stamp.uid == dlstore_fsx::place::own_user())
    }

    /// Gives a file an inode of its own again, with the mode and owner of a published one; `None` when its bytes
    /// were changed meanwhile by whoever could write to it.
    fn renew(&self, row: &FileRow, path: &Path) -> Result<Option<Stamp>, StoreError> {
        let temporary = self.layout.quarantine().join(format!("{}.{}", row.sha256.to_hex(), file::random_name()?));
        let Found::File(mut from) = file::open_regular(path)? else { return Ok(None) };
        link::copy(&mut from, &temporary)?;
        file::set_mode(&temporary, PUBLISHED)?;
        if !is_whole(&temporary, row)? {
            file::unlink(&temporary)?;
            return Ok(None);
        }
        file::sync_data(&temporary)?;
        file::rename(&temporary, path)?;
        Ok(Stamp::at(path)?)
    }

    /// Forgets what the file of an object looked like, whose bytes are bad though it looks the same: whoever uses
    /// it next hashes it, and makes it again.
    pub(super) fn doubt(&self, writer: &Writer<'_>, object: &ObjectRef) -> Result<(), StoreError> {
        let Some(id) = writer.object(object)?.and_then(|row| row.file) else { return Ok(()) };
        let Some(row) = writer.file_by_id(id)? else { return Ok(()) };
        if Stamp::at(&self.layout.file(row.directory, &row.sha256))? == Some(row.stamp) && self.check_writable().is_ok()
        {
            // No file is that old.
            let stamp = Stamp { mtime_ns: i64::MIN, ..row.stamp };
            writer.put_file(row.directory, &row.sha256, stamp)?;
        }
        Ok(())
    }

    /// Takes a bad file out of the way, and marks what lies in it; the caller holds the write lock.
    pub(super) fn set_aside(&self, writer: &Writer<'_>, row: &FileRow) -> Result<(), StoreError> {
        let path = self.layout.file(row.directory, &row.sha256);
        match file::open_regular(&path)? {
            // Healed since it was looked at.
            Found::File(opened) if file::sha256(&opened, &path)? == row.sha256 => return Ok(()),
            Found::Nothing => {}
            Found::File(_) | Found::Other => self.quarantine(&path)?,
        }
        for id in writer.objects_in(row.id)? {
            writer.set_state(id, State::Damaged)?;
        }
        Ok(())
    }
}
