//! Staged files on their way into `packs/` and `sources/`.
//!
//! Everything here that renames runs within a write of the index: the one lock rule.

use std::path::{Path, PathBuf};

use super::{Inner, Kind, ObjectRef, StoreError};
use crate::index::{Commit, Directory, FileRow, ObjectRow, Reader, Writer};
use dlstore_fsx::file::{self, Found, Stamp};
use dlstore_fsx::{FsError, stop};
use dlstore_model::digest::OciDigest;

/// Published files may not be written to, not even by their owner.
pub(super) const PUBLISHED: u32 = 0o444;

/// Up to this many files one `fdatasync` each is cheaper than a `syncfs`, which also writes what
/// neighbours left (22 files of 52 KB: 15 ms against 1.9).
pub(super) const SYNCED_SINGLY: usize = 3;

/// A file that its maker says is complete.
pub(super) struct Staged {
    pub(super) directory: Directory,
    pub(super) sha256: OciDigest,
    pub(super) size: u64,
    pub(super) path: PathBuf,
    /// Whether its bytes are on the disk.
    is_synced: bool,
    /// Whether a file of its name lay there before, with a row or without one.
    was_there: bool,
}

impl Inner {
    /// Looks at a staged file and finds out whether it will be needed.
    ///
    /// The answer may be outdated when the lock is taken; [`Inner::place`] asks again.
    pub(super) fn stage_file(
        &self,
        directory: Directory,
        sha256: OciDigest,
        size: u64,
        path: &Path,
    ) -> Result<(Staged, bool), StoreError> {
        let row = self.index.read(|reader| reader.file(directory, &sha256))?;
        let published = Stamp::at(&self.layout.file(directory, &sha256))?;
        let was_there = published.is_some();
        let is_needed = row.is_none_or(|row| published != Some(row.stamp));
        let found = Stamp::at(path)?;
        if let Some(found) = found.filter(|found| found.size != size) {
            return Err(StoreError::StagedSize { path: path.to_path_buf(), expected: size, found: found.size });
        }
        if is_needed && found.is_none() {
            return Err(StoreError::StagedMissing(path.to_path_buf()));
        }
        Ok((Staged { directory, sha256, size, path: path.to_path_buf(), is_synced: false, was_there }, is_needed))
    }

    /// Brings the bytes of staged files to the disk, before anything refers to them.
    pub(super) fn sync_staged(&self, stage: &Path, files: &mut [&mut Staged]) -> Result<(), StoreError> {
        self.make_reserve()?;
        for staged in &*files {
            file::set_mode(&staged.path, PUBLISHED)?;
        }
        if files.len() <= SYNCED_SINGLY {
            for staged in &*files {
                file::sync_data(&staged.path)?;
            }
        } else {
            file::sync_file_system(stage)?;
        }
        for staged in files {
            staged.is_synced = true;
        }
        Ok(())
    }

    /// Makes sure that a staged file's bytes are published, and gives the row of the file.
    ///
    /// A good file of that name stays and the staged one is not used; a bad one goes to quarantine.
    pub(super) fn place(&self, writer: &Writer<'_>, staged: &Staged) -> Result<i64, StoreError> {
        let path = self.layout.file(staged.directory, &staged.sha256);
        if let Some(row) = writer.file(staged.directory, &staged.sha256)? {
            match file::open_regular(&path)? {
                Found::File(opened) if Stamp::of(&opened, &path)? == row.stamp => return Ok(row.id),
                // Another inode or date, as after restoring a backup: the bytes decide.
                Found::File(opened) => {
                    let stamp = Stamp::of(&opened, &path)?;
                    let is_right = file::sha256(&opened, &path)? == row.sha256;
                    if is_right && self.restamp(writer, &row, &path, stamp)?.is_some() {
                        return Ok(row.id);
                    }
                    self.quarantine(&path)?;
                }
                Found::Other => self.quarantine(&path)?,
                Found::Nothing => {}
            }
        } else if matches!(file::open_regular(&path)?, Found::Other) {
            self.quarantine(&path)?;
        }
        if !staged.is_synced {
            // It was published a moment ago and has been collected since.
            file::set_mode(&staged.path, PUBLISHED)?;
            file::sync_data(&staged.path)?;
        }
        file::rename(&staged.path, &path)?;
        stop::point("publish.renamed");
        let stamp = Stamp::at(&path)?.ok_or_else(|| FsError::new("find", &path, std::io::ErrorKind::NotFound))?;
        Ok(writer.put_file(staged.directory, &staged.sha256, stamp)?)
    }

    /// Removes what was placed for a publication that did not come to its end: on a full disk it would take the room
    /// that is missing, and a source without a row stays for ever.
    pub(super) fn unplace<'s>(&self, files: impl Iterator<Item = &'s Staged>) -> Result<(), StoreError> {
        let placed: Vec<&Staged> = files.filter(|staged| !staged.was_there).collect();
        self.index.write(Commit::Relaxed, |writer| {
            for staged in placed {
                // Somebody else may have published it meanwhile.
                if writer.file(staged.directory, &staged.sha256)?.is_none() {
                    file::unlink(&self.layout.file(staged.directory, &staged.sha256))?;
                }
            }
            Ok(())
        })
    }

    /// Moves bad bytes out of the way; the caller holds the write lock.
    pub(super) fn quarantine(&self, path: &Path) -> Result<(), StoreError> {
        let mut name = path.file_name().unwrap_or_default().to_os_string();
        name.push(".");
        name.push(file::random_name()?);
        file::rename(path, &self.layout.quarantine().join(name))?;
        stop::point("publish.quarantined");
        Ok(())
    }

    /// Says whether the file that an object lies in is there. A source and a pack lie in one: without it they are not
    /// here, whatever their rows say.
    pub(super) fn has_file(
        &self,
        reader: &Reader<'_>,
        object: &ObjectRef,
        row: &ObjectRow,
    ) -> Result<bool, StoreError> {
        let Some(file) = row.file else { return Ok(!matches!(object.kind(), Kind::Source | Kind::Pack)) };
        let Some(row) = reader.file_by_id(file)? else { return Ok(false) };
        Ok(Stamp::at(&self.layout.file(row.directory, &row.sha256))?.is_some_and(|stamp| stamp.size == row.stamp.size))
    }
}

/// Says whether a published file's bytes are what its name says.
pub(super) fn is_whole(path: &Path, row: &FileRow) -> Result<bool, FsError> {
    match file::open_regular(path)? {
        Found::File(opened) => Ok(file::sha256(&opened, path)? == row.sha256),
        Found::Nothing | Found::Other => Ok(false),
    }
}
