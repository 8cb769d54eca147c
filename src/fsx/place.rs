//! Where a path lies: which kind of file system, whose folder, how much room.
//!
//! A store is refused on a network file system, whose locks and whose memory maps SQLite cannot trust,
//! and in a folder that others may write, since its bytes would be theirs to change.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::FsError;

/// What a kind of file system means for locks and shared memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileSystem {
    /// Seen by this host alone.
    Local,
    /// Shared between hosts: locks and memory maps do not reach the others.
    Network(&'static str),
    /// Served by a program of unknown quality.
    Fuse,
}

/// Says what the file system of `path` is, by its magic number (statfs(2)).
///
/// # Errors
/// When the system cannot say.
pub fn file_system(path: &Path) -> Result<FileSystem, FsError> {
    let found = rustix::fs::statfs(path).map_err(|error| FsError::new("ask for the file system of", path, error))?;
    // The type of the field differs between targets; magic numbers are 32 bits wide.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "magic numbers are 32 bits wide")]
    let magic = found.f_type as u32;
    Ok(kind_of(magic))
}

const fn kind_of(magic: u32) -> FileSystem {
    match magic {
        0x6969 => FileSystem::Network("NFS"),
        0x517b | 0xff53_4d42 | 0xfe53_4d42 => FileSystem::Network("SMB"),
        0x0102_1997 => FileSystem::Network("9p"),
        0x00c3_6400 => FileSystem::Network("Ceph"),
        0x0bd0_0bd0 => FileSystem::Network("Lustre"),
        0x5346_414f | 0x6b41_4653 => FileSystem::Network("AFS"),
        0x6573_5546 => FileSystem::Fuse,
        _ => FileSystem::Local,
    }
}

/// Says how many bytes an ordinary user may still write.
///
/// # Errors
/// When the system cannot say.
pub fn available(path: &Path) -> Result<u64, FsError> {
    let found = rustix::fs::statvfs(path).map_err(|error| FsError::new("ask for the room of", path, error))?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

/// Says how many bytes the file system of `path` holds in all, used or not.
///
/// # Errors
/// When the system cannot say.
pub fn capacity(path: &Path) -> Result<u64, FsError> {
    let found = rustix::fs::statvfs(path).map_err(|error| FsError::new("ask for the room of", path, error))?;
    Ok(found.f_blocks.saturating_mul(found.f_frsize))
}

/// Gives the number of the user that this process acts as.
#[must_use]
pub fn own_user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Whose a folder is and who may write to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ownership {
    /// Whether this process's user owns it.
    pub is_ours: bool,
    /// Whether a group that is not the owner may write.
    pub group_may_write: bool,
    /// Whether everybody may write.
    pub others_may_write: bool,
}

/// Says whose a folder is; `None` when it is not there.
///
/// # Errors
/// When the system cannot say, or it is something else.
pub fn ownership(path: &Path) -> Result<Option<Ownership>, FsError> {
    let found = match fs::metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(FsError::new("look at", path, error)),
    };
    if !found.is_dir() {
        return Err(FsError::new("use as a folder", path, rustix::io::Errno::NOTDIR));
    }
    Ok(Some(Ownership {
        is_ours: found.uid() == rustix::process::geteuid().as_raw(),
        group_may_write: found.mode() & 0o020 != 0,
        others_may_write: found.mode() & 0o002 != 0,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_file_systems_are_known_by_their_magic() {
        for (magic, kind) in [
            (0x6969, FileSystem::Network("NFS")),
            (0xff53_4d42, FileSystem::Network("SMB")),
            (0x6573_5546, FileSystem::Fuse),
            (0xef53, FileSystem::Local),
        ] {
            assert_eq!(kind_of(magic), kind);
        }
    }

    #[test]
    fn a_temporary_folder_is_ours_and_has_room() {
        let folder = tempfile::tempdir().unwrap();
        let found = ownership(folder.path()).unwrap().unwrap();
        assert_eq!((found.is_ours, found.others_may_write), (true, false));
        assert_eq!(ownership(&folder.path().join("no")).unwrap(), None);
        assert!(available(folder.path()).unwrap() > 0);
    }
}
