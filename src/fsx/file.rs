//! Single effects on files and directories.
//!
//! Each function does one thing, says in its error what and on which path, and treats the outcome
//! that a second process may have brought about (already there, already gone) as an answer.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::FsError;
use dlstore_model::digest::OciDigest;

/// What tells cheaply that a file is still the one that was recorded.
///
/// The change time is no part of it: a hard link changes that, and links are what layouts are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Number of the device that the file system lies on.
    pub device: u64,
    /// Number of the inode.
    pub inode: u64,
    /// Length in bytes.
    pub size: u64,
    /// Modification time in nanoseconds since 1970.
    pub mtime_ns: i64,
    /// The twelve permission bits.
    pub mode: u32,
    /// The user who owns it.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
}

impl Stamp {
    /// Takes the stamp of an open file.
    ///
    /// # Errors
    /// When the system cannot say.
    pub fn of(file: &File, path: &Path) -> Result<Self, FsError> {
        file.metadata().map(|found| Self::from(&found)).map_err(|source| FsError::new("look at", path, source))
    }

    /// Takes the stamp of what a path names, links not followed; `None` unless it is a regular file.
    ///
    /// # Errors
    /// When the system cannot say.
    pub fn at(path: &Path) -> Result<Option<Self>, FsError> {
        match fs::symlink_metadata(path) {
            Ok(found) if found.is_file() => Ok(Some(Self::from(&found))),
            Ok(_) => Ok(None),
            Err(error) if is_nothing(&error) => Ok(None),
            Err(error) => Err(FsError::new("look at", path, error)),
        }
    }
}

impl From<&fs::Metadata> for Stamp {
    fn from(found: &fs::Metadata) -> Self {
        let mtime_ns = found.mtime().saturating_mul(1_000_000_000).saturating_add(found.mtime_nsec());
        Self {
            device: found.dev(),
            inode: found.ino(),
            size: found.len(),
            mtime_ns,
            mode: found.mode() & 0o7777,
            uid: found.uid(),
            gid: found.gid(),
        }
    }
}

/// Whether a change has to survive a power cut before the call returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// On the disk, with its name.
    Synced,
    /// Whenever the system gets to it.
    Eventual,
}

/// Says whether nothing lies at a path: no such name, or a file where its directory should be.
fn is_nothing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Opens for reading; `None` when nothing is there.
///
/// # Errors
/// When it is there and cannot be opened.
pub fn open(path: &Path) -> Result<Option<File>, FsError> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if is_nothing(&error) => Ok(None),
        Err(error) => Err(FsError::new("open", path, error)),
    }
}

/// Says whether a path names anything at all, links not followed.
///
/// # Errors
/// When the system cannot say.
pub fn exists(path: &Path) -> Result<bool, FsError> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if is_nothing(&error) => Ok(false),
        Err(error) => Err(FsError::new("look at", path, error)),
    }
}

/// Says whether a path names a directory, links not followed.
///
/// # Errors
/// When the system cannot say.
pub fn is_directory(path: &Path) -> Result<bool, FsError> {
    match fs::symlink_metadata(path) {
        Ok(found) => Ok(found.is_dir()),
        Err(error) if is_nothing(&error) => Ok(false),
        Err(error) => Err(FsError::new("look at", path, error)),
    }
}

/// What a path names.
#[derive(Debug)]
pub enum Found {
    /// A regular file, open for reading.
    File(File),
    /// Nothing.
    Nothing,
    /// A directory, a pipe, a device, a link: nothing that holds bytes of its own.
    Other,
}

/// Opens a regular file for reading, links not followed. A pipe that nobody writes to does not make it wait.
///
/// # Errors
/// When it is there and cannot be opened.
pub fn open_regular(path: &Path) -> Result<Found, FsError> {
    use rustix::fs::{Mode, OFlags};
    use rustix::io::Errno;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOFOLLOW;
    let opened: File = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(opened) => opened.into(),
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(Found::Nothing),
        // A symbolic link; a socket or a device without a driver.
        Err(Errno::LOOP | Errno::NXIO | Errno::NODEV) => return Ok(Found::Other),
        Err(error) => return Err(FsError::new("open", path, error)),
    };
    let found = opened.metadata().map_err(|source| FsError::new("look at", path, source))?;
    Ok(if found.is_file() { Found::File(opened) } else { Found::Other })
}

/// Hashes a file from where it stands to its end.
///
/// # Errors
/// When it cannot be read.
pub fn sha256(mut file: &File, path: &Path) -> Result<OciDigest, FsError> {
    use sha2::Digest as _;
    // 256 KiB: hashing runs at full speed, and the buffer stays in the second cache.
    let mut buffer = vec![0; 256 << 10];
    let mut hasher = sha2::Sha256::new();
    loop {
        match io::Read::read(&mut file, &mut buffer) {
            Ok(0) => return Ok(OciDigest::from_hasher(hasher)),
            Ok(length) => hasher.update(&buffer[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(FsError::new("read", path, error)),
        }
    }
}

/// Reads a small file whole; `None` when nothing is there.
///
/// # Errors
/// When it is there and cannot be read.
pub fn read(path: &Path) -> Result<Option<Vec<u8>>, FsError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if is_nothing(&error) => Ok(None),
        Err(error) => Err(FsError::new("read", path, error)),
    }
}

/// Makes a directory with exactly this mode; `false` when it was there.
///
/// # Errors
/// When it cannot be made.
pub fn make_directory(path: &Path, mode: u32) -> Result<bool, FsError> {
    match fs::DirBuilder::new().mode(mode).create(path) {
        Ok(()) => {
            set_mode(path, mode)?;
            Ok(true)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(FsError::new("make the directory", path, error)),
    }
}

/// Sets the permission bits, whatever the umask says.
///
/// # Errors
/// When they cannot be set.
pub fn set_mode(path: &Path, mode: u32) -> Result<(), FsError> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .map_err(|source| FsError::new("set the mode of", path, source))
}

/// Lists the names in a directory, sorted; empty when the directory is not there.
///
/// # Errors
/// When it cannot be read.
pub fn list(path: &Path) -> Result<Vec<PathBuf>, FsError> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if is_nothing(&error) => return Ok(Vec::new()),
        Err(error) => return Err(FsError::new("list", path, error)),
    };
    let mut names = entries
        .map(|entry| entry.map(|entry| PathBuf::from(entry.file_name())))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|source| FsError::new("list", path, source))?;
    // Names have no directories: bytes are compared, and not what paths are made of.
    names.sort_unstable_by(|a, b| a.as_os_str().cmp(b.as_os_str()));
    Ok(names)
}

/// Lists the SHA-256 names in a directory, sorted; other names are left out.
///
/// # Errors
/// When it cannot be read.
pub fn list_digests(path: &Path) -> Result<Vec<OciDigest>, FsError> {
    let failed = |error| FsError::new("list", path, error);
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if is_nothing(&error) => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(failed)?.file_name();
        names.extend(name.to_str().and_then(|name| OciDigest::from_hex(name).ok()));
    }
    names.sort_unstable();
    Ok(names)
}

/// Says since when something lies at a path, in seconds since 1970: the earlier of its modification and its change,
/// of which nobody can set the second one. `None` when nothing is there. Links are not followed.
///
/// # Errors
/// When the system cannot say.
pub fn lies_since(path: &Path) -> Result<Option<u64>, FsError> {
    match fs::symlink_metadata(path) {
        Ok(found) => Ok(Some(u64::try_from(found.mtime().min(found.ctime())).unwrap_or(0))),
        Err(error) if is_nothing(&error) => Ok(None),
        Err(error) => Err(FsError::new("look at", path, error)),
    }
}

/// Adds up the lengths of all files at and below a path; 0 when nothing is there. Links are not followed.
///
/// # Errors
/// When a directory cannot be read.
pub fn weight(path: &Path) -> Result<u64, FsError> {
    let mut waiting = vec![path.to_path_buf()];
    let mut bytes = 0_u64;
    while let Some(path) = waiting.pop() {
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_dir() => waiting.extend(list(&path)?.into_iter().map(|name| path.join(name))),
            Ok(found) => bytes = bytes.saturating_add(found.len()),
            // Its owner took it away meanwhile.
            Err(error) if is_nothing(&error) => {}
            Err(error) => return Err(FsError::new("look at", &path, error)),
        }
    }
    Ok(bytes)
}

/// Renames within one file system, replacing what is there.
///
/// # Errors
/// When the system refuses.
pub fn rename(from: &Path, to: &Path) -> Result<(), FsError> {
    fs::rename(from, to).map_err(|source| FsError::new("rename", from, source))
}

/// Unlinks a file; `false` when it was gone.
///
/// # Errors
/// When it is there and stays.
pub fn unlink(path: &Path) -> Result<bool, FsError> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if is_nothing(&error) => Ok(false),
        Err(error) => Err(FsError::new("remove", path, error)),
    }
}

/// Removes a directory with all it holds; `false` when it was gone.
///
/// # Errors
/// When some of it stays.
pub fn remove_all(path: &Path) -> Result<bool, FsError> {
    match fs::remove_dir_all(path) {
        Ok(()) => Ok(true),
        Err(error) if is_nothing(&error) => Ok(false),
        Err(error) => Err(FsError::new("remove the directory", path, error)),
    }
}

/// Waits until a file's bytes are on the disk.
///
/// # Errors
/// When the disk reports an error: the bytes may be lost.
pub fn sync_data(path: &Path) -> Result<(), FsError> {
    File::open(path).and_then(|file| file.sync_data()).map_err(|source| FsError::new("sync", path, source))
}

/// Waits until the names in a directory are on the disk.
///
/// # Errors
/// When the disk reports an error.
pub fn sync_directory(path: &Path) -> Result<(), FsError> {
    File::open(path)
        .and_then(|directory| directory.sync_all())
        .map_err(|source| FsError::new("sync the directory", path, source))
}

/// Waits until everything on the file system of `path` is on the disk: one wait for many files.
///
/// # Errors
/// When the disk reports an error.
pub fn sync_file_system(path: &Path) -> Result<(), FsError> {
    let failed = |source: io::Error| FsError::new("sync the file system of", path, source);
    let directory = File::open(path).map_err(failed)?;
    rustix::fs::syncfs(&directory).map_err(|error| failed(error.into()))
}

/// Writes a small file so that a reader sees the old bytes or the new ones, never a part.
///
/// `temporary` is a name of the writer's own in the same directory.
///
/// # Errors
/// When a step fails; the old file is then untouched.
pub fn write_whole(
    path: &Path,
    temporary: &Path,
    mode: u32,
    bytes: &[u8],
    durability: Durability,
) -> Result<(), FsError> {
    write_new(temporary, mode, bytes, durability)?;
    rename(temporary, path)?;
    match (durability, path.parent()) {
        (Durability::Synced, Some(directory)) => sync_directory(directory),
        _ => Ok(()),
    }
}

/// Writes a file that must not exist.
///
/// # Errors
/// When it exists or a step fails.
pub fn write_new(path: &Path, mode: u32, bytes: &[u8], durability: Durability) -> Result<(), FsError> {
    let failed = |source| FsError::new("write", path, source);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path).map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    // By its descriptor: a collector may have swept the name of a file that nobody has renamed yet.
    file.set_permissions(std::fs::Permissions::from_mode(mode)).map_err(failed)?;
    if durability == Durability::Synced {
        file.sync_all().map_err(failed)?;
    }
    Ok(())
}

/// Adds lines to the end of a file, in one write, and waits until they are on the disk.
///
/// An unfinished line that a killed process left is ended first.
///
/// # Errors
/// When the file is not there or a step fails; a part of the lines may be there then.
pub fn append_lines(path: &Path, lines: &[u8]) -> Result<(), FsError> {
    use std::os::unix::fs::FileExt as _;
    let failed = |source| FsError::new("append to", path, source);
    let mut file = OpenOptions::new().read(true).append(true).open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    let mut last = [b'\n'];
    if length > 0 {
        file.read_exact_at(&mut last, length - 1).map_err(failed)?;
    }
    if last == [b'\n'] {
        file.write_all(lines).map_err(failed)?;
    } else {
        file.write_all(&[b"\n", lines].concat()).map_err(failed)?;
    }
    file.sync_data().map_err(failed)
}

/// Makes a file whose bytes are allocated now, so that removing it gives room back later.
///
/// # Errors
/// When there is no room, or the file exists.
pub fn preallocate(path: &Path, mode: u32, size: u64) -> Result<(), FsError> {
    let failed = |source: io::Error| FsError::new("allocate", path, source);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path).map_err(failed)?;
    let allocated = match rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, size) {
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {
            io::copy(&mut io::Read::take(io::repeat(0), size), &mut file).map(|_| ()).map_err(failed)
        }
        outcome => outcome.map_err(|error| failed(error.into())),
    };
    let allocated = allocated.and_then(|()| file.set_permissions(fs::Permissions::from_mode(mode)).map_err(failed));
    if allocated.is_err() {
        unlink(path)?;
    }
    allocated
}

/// Makes a name out of 128 random bits: 32 hex digits.
///
/// # Errors
/// When the system has no randomness to give.
pub fn random_name() -> Result<String, FsError> {
    random_bits().map(|bits| format!("{bits:032x}"))
}

/// Gives 128 random bits.
///
/// # Errors
/// When the system has no randomness to give.
pub fn random_bits() -> Result<u128, FsError> {
    let mut bytes = [0; 16];
    let mut filled = 0;
    while filled < bytes.len() {
        filled += rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty())
            .map_err(|error| FsError::new("read random bytes for", Path::new("a name"), error))?;
    }
    Ok(u128::from_be_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_written_whole_and_its_stamp_tells_it_apart() {
        let directory = tempfile::tempdir().unwrap();
        let (path, temporary) = (directory.path().join("a"), directory.path().join("a.new"));
        assert_eq!(Stamp::at(&path).unwrap(), None);
        write_whole(&path, &temporary, 0o600, b"one", Durability::Synced).unwrap();
        let first = Stamp::at(&path).unwrap().unwrap();
        write_whole(&path, &temporary, 0o600, b"two", Durability::Eventual).unwrap();
        assert_ne!(Stamp::at(&path).unwrap(), Some(first));
        assert_eq!(read(&path).unwrap().unwrap(), b"two");
        assert_eq!(list(directory.path()).unwrap(), [PathBuf::from("a")]);
        assert!(unlink(&path).unwrap() && !unlink(&path).unwrap());
    }

    #[test]
    fn a_directory_gets_its_mode_whatever_the_umask() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("shared");
        assert!(make_directory(&path, 0o2770).unwrap());
        assert!(!make_directory(&path, 0o2770).unwrap());
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o2770);
    }

    #[test]
    fn a_preallocated_file_takes_its_room_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("reserve");
        preallocate(&path, 0o600, 1 << 20).unwrap();
        assert!(fs::metadata(&path).unwrap().blocks() * 512 >= 1 << 20);
        assert!(preallocate(&path, 0o600, 1).is_err());
    }
}
