//! A file written beside the one whose place it takes: however large it is, nobody waits while it is written.
//!
//! Whoever writes holds a lock of the new file. It dies with its owner, and what a dead one left is written over.

use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::FsError;
use super::file::{Stamp, exists, is_directory, remove_all, rename, sync_directory, unlink};

/// A file in the making, under a name of its own in the same directory.
#[derive(Debug)]
pub struct Replacement {
    path: PathBuf,
    file: BufWriter<File>,
    is_put: bool,
}

impl Replacement {
    /// Begins one; `None` when somebody else is at it.
    ///
    /// # Errors
    /// When the file cannot be made or locked.
    pub fn begin(path: &Path, mode: u32) -> Result<Option<Self>, FsError> {
        let failed = |source| FsError::new("write", path, source);
        if Stamp::at(path)?.is_none() && exists(path)? {
            // No file: whatever lies there is none of ours, and would be in the way for ever.
            if is_directory(path)? {
                remove_all(path)?
            } else {
                unlink(path)?
            };
        }
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(mode);
        // What came between the two looks: a link is not followed, and a fifo does not wait.
        let file = match options.custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed()).open(path) {
            Ok(file) => file,
            // Of another user who shares the store, and dead or alive: it is not ours to write.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let new = Self { path: path.to_path_buf(), file: BufWriter::with_capacity(256 << 10, file), is_put: false };
        // Between opening and locking it may have taken its place: then it is no more what nobody needs.
        if !new.is_in_place()? {
            return Ok(None);
        }
        let file = new.file.get_ref();
        file.set_len(0).map_err(failed)?;
        file.set_permissions(Permissions::from_mode(mode)).map_err(failed)?;
        Ok(Some(new))
    }

    /// Brings what was written to the disk.
    ///
    /// # Errors
    /// When it does not get there.
    pub fn sync(&mut self) -> Result<(), FsError> {
        let Self { path, file, .. } = self;
        let failed = |source| FsError::new("write", path, source);
        file.flush().map_err(failed)?;
        file.get_ref().sync_all().map_err(failed)
    }

    fn is_in_place(&self) -> Result<bool, FsError> {
        let ours = self.file.get_ref().metadata().map_err(|source| FsError::new("look at", &self.path, source))?;
        let found = Stamp::at(&self.path)?;
        Ok(found.is_some_and(|found| (found.device, found.inode) == (ours.dev(), ours.ino())))
    }

    /// Brings it to the disk and puts it in the place of a file; what was there is gone then.
    ///
    /// # Errors
    /// When a step fails; before the last one the old file is untouched.
    pub fn put(mut self, place: &Path) -> Result<(), FsError> {
        self.sync()?;
        rename(&self.path, place)?;
        self.is_put = true;
        place.parent().map_or(Ok(()), sync_directory)
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        if !self.is_put && self.is_in_place().unwrap_or(false) {
            // What stays is written over by the next one.
            let _ = unlink(&self.path);
        }
    }
}

impl Write for Replacement {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_and_what_a_dead_one_left_is_written_over() {
        let directory = tempfile::tempdir().unwrap();
        let (path, place) = (directory.path().join("new"), directory.path().join("place"));
        std::fs::write(&path, "what a dead one left").unwrap();
        let mut first = Replacement::begin(&path, 0o600).unwrap().unwrap();
        assert!(Replacement::begin(&path, 0o600).unwrap().is_none());
        first.write_all(b"first").unwrap();
        first.put(&place).unwrap();
        assert_eq!(std::fs::read(&place).unwrap(), b"first");
        assert!(!path.exists());
    }

    #[test]
    fn what_is_no_file_is_not_in_the_way_and_no_link_is_followed() {
        let directory = tempfile::tempdir().unwrap();
        let (path, other) = (directory.path().join("new"), directory.path().join("other"));
        let ways: [&dyn Fn(); 3] = [
            &|| std::fs::create_dir_all(path.join("x")).unwrap(),
            &|| std::os::unix::fs::symlink(&other, &path).unwrap(),
            &|| assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success()),
        ];
        for way in ways {
            way();
            Replacement::begin(&path, 0o600).unwrap().unwrap().put(&directory.path().join("place")).unwrap();
            assert!(!other.exists());
        }
    }

    #[test]
    fn one_that_is_given_up_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("new");
        drop(Replacement::begin(&path, 0o600).unwrap().unwrap());
        assert!(!path.exists());
    }
}
