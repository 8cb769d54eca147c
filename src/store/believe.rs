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

use super::place::PUBLISHED;
use super::{Inner, ObjectRef, Sharing, StoreError};
use crate::index::{Commit, FileRow, Folder, State, Writer};
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
    pub(super) fn believe(&self, folder: Folder, sha256: &OciDigest) -> Result<Option<StoredFile>, StoreError> {
        let Some(row) = self.index.read(|reader| reader.file(folder, sha256))? else { return Ok(None) };
        let path = self.layout.file(folder, sha256);
        if let Some(stamp) = Stamp::at(&path)?
            && self.is_trusted(&row, stamp)
        {
            return Ok(Some(StoredFile { path, stamp }));
        }
        Ok(self.look_closer(&row, &path)?.map(|(_, stamp)| StoredFile { path, stamp }))
    }

    /// Opens a file that can be believed; `None` when it is not known, gone or bad.
    pub(super) fn open_file(&self, folder: Folder, sha256: &OciDigest) -> Result<Option<File>, StoreError> {
        let Some(row) = self.index.read(|reader| reader.file(folder, sha256))? else { return Ok(None) };
        let path = self.layout.file(folder, sha256);
        if let Found::File(opened) = file::open_regular(&path)?
            && self.is_trusted(&row, Stamp::of(&opened, &path)?)
        {
            return Ok(Some(opened));
        }
        Ok(self.look_closer(&row, &path)?.map(|(opened, _)| opened))
    }

    fn is_trusted(&self, row: &FileRow, stamp: Stamp) -> bool {
        let hashed = || self.hashed.lock().unwrap_or_else(PoisonError::into_inner);
        stamp == row.stamp || hashed().get(&(row.folder, row.sha256)) == Some(&stamp)
    }

    /// Hashes what does not look as it was recorded.
    fn look_closer(&self, row: &FileRow, path: &Path) -> Result<Option<(File, Stamp)>, StoreError> {
        let is_right = match file::open_regular(path)? {
            Found::Nothing => return Ok(None),
            Found::Other => false,
            Found::File(opened) => file::sha256(&opened, path)? == row.sha256,
        };
        if self.check_writable().is_err() {
            return if is_right { self.reopen(row, path).map(Some) } else { Ok(None) };
        }
        // What was seen is only a suspicion until the lock is held: a collector or a healer may be at work.
        let settled = self.index.write(Commit::Relaxed, |writer| {
            let Some(row) = writer.file(row.folder, &row.sha256)? else { return Ok(false) };
            if is_right { self.restamp(writer, &row, path) } else { self.set_aside(writer, &row).map(|()| false) }
        });
        match settled {
            Ok(true) => self.reopen(row, path).map(Some),
            Ok(false) => Ok(None),
            // It was right, and cannot be recorded (a full disk, a read-only file system): believe it for now.
            Err(_) if is_right => self.reopen(row, path).map(Some),
            Err(error) => Err(error),
        }
    }

    fn reopen(&self, row: &FileRow, path: &Path) -> Result<(File, Stamp), StoreError> {
        let Found::File(mut opened) = file::open_regular(path)? else {
            return Err(FsError::new("open", path, std::io::ErrorKind::NotFound).into());
        };
        let stamp = Stamp::of(&opened, path)?;
        opened.rewind().map_err(|source| FsError::new("read", path, source))?;
        self.hashed.lock().unwrap_or_else(PoisonError::into_inner).insert((row.folder, row.sha256), stamp);
        Ok((opened, stamp))
    }

    /// Records what a file looks like whose bytes are right; `false` when it is gone.
    pub(super) fn restamp(&self, writer: &Writer<'_>, row: &FileRow, path: &Path) -> Result<bool, StoreError> {
        let Some(found) = Stamp::at(path)? else { return Ok(false) };
        if !self.is_published(found) {
            self.renew(row, path)?;
        }
        let Some(stamp) = Stamp::at(path)? else { return Ok(false) };
        writer.put_file(row.folder, &row.sha256, stamp)?;
        Ok(true)
    }

    /// Says whether nobody but members of the store could write to a file.
    fn is_published(&self, stamp: Stamp) -> bool {
        stamp.mode == PUBLISHED && (self.sharing == Sharing::Group || stamp.uid == dlstore_fsx::place::own_user())
    }

    /// Gives a file an inode of its own again, with the mode and owner of a published one.
    fn renew(&self, row: &FileRow, path: &Path) -> Result<(), StoreError> {
        let temporary = self.layout.quarantine().join(format!("{}.{}", row.sha256.to_hex(), file::random_name()?));
        let Found::File(mut from) = file::open_regular(path)? else { return Ok(()) };
        link::copy(&mut from, &temporary)?;
        file::set_mode(&temporary, PUBLISHED)?;
        file::sync_data(&temporary)?;
        Ok(file::rename(&temporary, path)?)
    }

    /// Forgets what the file of an object looked like, whose bytes are bad though it looks the same: whoever uses
    /// it next hashes it, and makes it again.
    pub(super) fn doubt(&self, writer: &Writer<'_>, object: &ObjectRef) -> Result<(), StoreError> {
        let Some(id) = writer.object(object)?.and_then(|row| row.file) else { return Ok(()) };
        let Some(row) = writer.file_by_id(id)? else { return Ok(()) };
        if Stamp::at(&self.layout.file(row.folder, &row.sha256))? == Some(row.stamp) && self.check_writable().is_ok() {
            // No file is that old.
            let stamp = Stamp { mtime_ns: i64::MIN, ..row.stamp };
            writer.put_file(row.folder, &row.sha256, stamp)?;
        }
        Ok(())
    }

    /// Takes a bad file out of the way, and marks what lies in it; the caller holds the write lock.
    pub(super) fn set_aside(&self, writer: &Writer<'_>, row: &FileRow) -> Result<(), StoreError> {
        let path = self.layout.file(row.folder, &row.sha256);
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
