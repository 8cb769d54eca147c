//! Locks that die with their owner: `flock` on a file with a random name.
//!
//! A process number says nothing in a container; a lock that the kernel holds for an open file does.
//! Whoever can take the lock knows that the owner is dead and may remove the file. So a file can be
//! created by one process, locked and removed by a collector, and only then locked by its creator,
//! who would then own a lock that nobody can see. Therefore a lock counts only when, after locking,
//! the file still has one name and the path still names the same inode.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::file::{self, Found};
use super::{FsError, stop};

/// A lock file that is held; letting it go removes nothing.
#[derive(Debug)]
pub struct LockFile {
    path: PathBuf,
    _locked: File,
}

/// What trying to take another's lock gave.
#[derive(Debug)]
pub enum Taken {
    /// The owner is dead: the lock is ours now.
    Dead(LockFile),
    /// The owner lives.
    Alive,
    /// The file is gone, or became another while it was taken.
    Gone,
}

impl LockFile {
    /// Makes a lock file and holds it; `None` when somebody was faster: try another name. The note in it tells
    /// others who holds it; it is never synced, and nothing but sentences for people depends on it.
    ///
    /// # Errors
    /// When the file cannot be made or locked.
    pub fn create(path: &Path, mode: u32, note: &str) -> Result<Option<Self>, FsError> {
        let failed = |source| FsError::new("make the lock file", path, source);
        let opened = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
        let locked = match opened {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        // Members of the store's group look at it, too, whatever the umask says.
        locked.set_permissions(fs::Permissions::from_mode(mode)).map_err(failed)?;
        stop::point("lease.created");
        match locked.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        // A full disk must not keep anybody from working with what is there.
        let _noted = io::Write::write_all(&mut &locked, note.as_bytes());
        Ok(is_named(&locked, path).map_err(failed)?.then(|| Self { path: path.to_path_buf(), _locked: locked }))
    }

    /// Tries to take a lock whose owner may be dead. Never waits. One that this user may not open belongs to somebody
    /// who may live.
    ///
    /// # Errors
    /// When the file is there and cannot be looked at or locked.
    pub fn take(path: &Path) -> Result<Taken, FsError> {
        let failed = |source| FsError::new("take the lock", path, source);
        let found = match file::open_regular(path) {
            Ok(Found::File(found)) => found,
            // Whatever else lies there is nobody's lock.
            Ok(_) => return Ok(Taken::Gone),
            Err(error) if error.source.kind() == io::ErrorKind::PermissionDenied => return Ok(Taken::Alive),
            Err(error) => return Err(error),
        };
        match found.try_lock() {
            Ok(()) if is_named(&found, path).map_err(failed)? => {
                Ok(Taken::Dead(Self { path: path.to_path_buf(), _locked: found }))
            }
            Ok(()) => Ok(Taken::Gone),
            Err(TryLockError::WouldBlock) => Ok(Taken::Alive),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    /// Removes the file while the lock is still held, then lets go.
    ///
    /// # Errors
    /// When the file stays.
    pub fn remove(self) -> Result<(), FsError> {
        file::unlink(&self.path).map(|_| ())
    }
}

/// Says what the holder of a lock noted and since when it holds it; `None` when nobody does any more.
///
/// # Errors
/// When the file is there and cannot be read.
pub fn holder(path: &Path) -> Result<Option<(String, SystemTime)>, FsError> {
    let failed = |source| FsError::new("look at the lock", path, source);
    let Found::File(found) = file::open_regular(path)? else { return Ok(None) };
    match found.try_lock_shared() {
        // Nobody holds it, and this look must not be taken for a living owner's.
        Ok(()) => return Ok(None),
        Err(TryLockError::WouldBlock) => {}
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    let since = found.metadata().and_then(|found| found.modified()).map_err(failed)?;
    let mut note = String::new();
    // Only a part of a note that somebody else wrote is of use, and what is not text is no note.
    let _partial = io::Read::take(found, 256).read_to_string(&mut note);
    Ok(Some((note, since)))
}

/// Waits for the one lock of a directory; held until the value is dropped.
///
/// # Errors
/// When the directory cannot be opened or locked.
pub fn directory(path: &Path) -> Result<File, FsError> {
    let locked = File::open(path).and_then(|directory| directory.lock().map(|()| directory));
    locked.map_err(|source| FsError::new("lock the directory", path, source))
}

/// Takes the one lock of a directory; `None` when anybody has it or shares it.
///
/// # Errors
/// When the directory cannot be opened or locked.
pub fn directory_now(path: &Path) -> Result<Option<File>, FsError> {
    try_directory(path, File::try_lock)
}

/// Shares the lock of a directory with all others who share it; `None` when somebody has it alone.
///
/// # Errors
/// When the directory cannot be opened or locked.
pub fn directory_shared(path: &Path) -> Result<Option<File>, FsError> {
    try_directory(path, File::try_lock_shared)
}

fn try_directory(path: &Path, lock: fn(&File) -> Result<(), TryLockError>) -> Result<Option<File>, FsError> {
    let failed = |source| FsError::new("lock the directory", path, source);
    let directory = File::open(path).map_err(failed)?;
    match lock(&directory) {
        Ok(()) => Ok(Some(directory)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

fn is_named(locked: &File, path: &Path) -> io::Result<bool> {
    let ours = locked.metadata()?;
    match fs::symlink_metadata(path) {
        Ok(named) => Ok(ours.nlink() == 1 && named.ino() == ours.ino() && named.dev() == ours.dev()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_taken_only_from_the_dead() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.lock");
        let held = LockFile::create(&path, 0o600, "add").unwrap().unwrap();
        assert!(LockFile::create(&path, 0o600, "add").unwrap().is_none());
        assert!(matches!(LockFile::take(&path).unwrap(), Taken::Alive));
        assert_eq!(holder(&path).unwrap().map(|(note, _)| note), Some("add".to_owned()));
        drop(held);
        assert_eq!(holder(&path).unwrap(), None);
        let Taken::Dead(lock) = LockFile::take(&path).unwrap() else { panic!("the owner is dead") };
        lock.remove().unwrap();
        assert!(matches!(LockFile::take(&path).unwrap(), Taken::Gone));
    }

    #[test]
    fn a_lock_on_a_file_that_lost_its_name_does_not_count() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.lock");
        fs::write(&path, b"").unwrap();
        let opened = File::open(&path).unwrap();
        fs::remove_file(&path).unwrap();
        assert!(!is_named(&opened, &path).unwrap());
        fs::write(&path, b"").unwrap();
        assert!(!is_named(&opened, &path).unwrap());
    }
}
