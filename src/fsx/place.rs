//! Where a path lies: which kind of file system, whose directory, how much room.
//!
//! A store is refused on a network file system, whose locks and whose memory maps SQLite cannot trust,
//! and in a directory that others may write, since its bytes would be theirs to change.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::{FsError, stop};

/// What a kind of file system means for locks and shared memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileSystem {
    /// Seen by this host alone.
    Local,
    /// Shared between hosts: locks and memory maps do not reach the others.
    Network(&'static str),
    /// Served by a program of unknown quality.
    Fuse,
    /// A directory of the host that a virtual machine sees: its locks may not reach the host.
    Virtual,
}

/// Names the variable with which a test says on which file system every path lies.
pub const TEST_MAGIC: &str = "DLSTORE_TEST_MAGIC";

/// Says what the file system of `path` is, by its magic number (statfs(2)).
///
/// # Errors
/// When the system cannot say.
pub fn file_system(path: &Path) -> Result<FileSystem, FsError> {
    let kind = kind_of(magic_of(path)?);
    Ok(if kind == FileSystem::Fuse && is_virtiofs(path) { FileSystem::Virtual } else { kind })
}

fn magic_of(path: &Path) -> Result<u32, FsError> {
    let found = rustix::fs::statfs(path).map_err(|error| FsError::new("ask for the file system of", path, error))?;
    // The type of the field differs between targets; magic numbers are 32 bits wide.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "magic numbers are 32 bits wide")]
    Ok(stop::number(TEST_MAGIC).unwrap_or(found.f_type as u32))
}

/// Numbers of statfs(2) and `linux/magic.h`; those of file systems outside of the kernel's tree (GPFS, `BeeGFS`,
/// Lustre, Panfs) as GNU coreutils' `stat -f` knows them; 0x6a656a63 is what Docker Desktop shows of the host's
/// directories (`fakeowner`). GFS and GFS2 have one number.
const fn kind_of(magic: u32) -> FileSystem {
    match magic {
        0x6969 => FileSystem::Network("NFS"),
        0x517b | 0xff53_4d42 | 0xfe53_4d42 => FileSystem::Network("SMB"),
        0x564c => FileSystem::Network("NCP"),
        0x0102_1997 => FileSystem::Network("9p"),
        0x00c3_6400 => FileSystem::Network("CephFS"),
        0x0bd0_0bd0 => FileSystem::Network("Lustre"),
        0x4750_4653 => FileSystem::Network("GPFS"),
        0x1983_0326 => FileSystem::Network("BeeGFS"),
        0x0116_1970 => FileSystem::Network("GFS2"),
        0x7461_636f => FileSystem::Network("OCFS2"),
        0x2003_0528 => FileSystem::Network("OrangeFS"),
        0xaad7_aaea => FileSystem::Network("Panfs"),
        0x5346_414f | 0x6b41_4653 => FileSystem::Network("AFS"),
        0x7375_7245 => FileSystem::Network("Coda"),
        0x6573_5546 => FileSystem::Fuse,
        0x6a65_6a63 => FileSystem::Virtual,
        _ => FileSystem::Local,
    }
}

/// Says whether the change time of a file tells on this file system of every change: whoever changes a file cannot set
/// it, every host sees the same, and it is not made of another time. FAT's is the modification time, that of images and
/// of network file systems is somebody else's. File systems that are not known are not believed.
///
/// # Errors
/// When the system cannot say.
pub fn tells_changes(path: &Path) -> Result<bool, FsError> {
    let magic = magic_of(path)?;
    // ext2 to ext4, XFS, Btrfs, tmpfs, ramfs, overlayfs, ZFS, F2FS, bcachefs (`linux/magic.h`, and GNU coreutils' `stat -f`).
    let known = [
        0xef53,
        0x5846_5342,
        0x9123_683e,
        0x0102_1994,
        0x8584_58f6,
        0x794c_7630,
        0x2fc1_2fc1,
        0xf2f5_2010,
        0xca45_1a4e,
    ];
    Ok(known.contains(&magic))
}

/// virtiofs has the number of FUSE, and only the table of mounts tells it (`proc_pid_mountinfo(5)`).
fn is_virtiofs(path: &Path) -> bool {
    let (Ok(found), Ok(table)) = (fs::metadata(path), fs::read_to_string("/proc/self/mountinfo")) else { return false };
    let device = format!("{}:{}", rustix::fs::major(found.dev()), rustix::fs::minor(found.dev()));
    mount_type(&table, &device) == Some("virtiofs")
}

/// Finds the type of the file system of a device: `ID PARENT MAJOR:MINOR ROOT POINT OPTIONS [FIELDS] - TYPE ...`.
fn mount_type<'t>(table: &'t str, device: &str) -> Option<&'t str> {
    let line = table.lines().find(|line| line.split(' ').nth(2) == Some(device))?;
    line.split_once(" - ")?.1.split(' ').next()
}

/// Whether this process may write to a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writing {
    /// It may.
    Allowed,
    /// Nobody may: the file system is mounted read-only.
    ReadOnly,
    /// Others may, this user may not.
    Denied,
}

/// Says whether this process may write to a directory.
///
/// # Errors
/// When the system cannot say.
pub fn writing(path: &Path) -> Result<Writing, FsError> {
    use rustix::fs::{Access, AtFlags, CWD, StatVfsMountFlags};
    let found = rustix::fs::statvfs(path).map_err(|error| FsError::new("ask for the file system of", path, error))?;
    if found.f_flag.contains(StatVfsMountFlags::RDONLY) {
        return Ok(Writing::ReadOnly);
    }
    match rustix::fs::accessat(CWD, path, Access::WRITE_OK, AtFlags::EACCESS) {
        Ok(()) => Ok(Writing::Allowed),
        Err(rustix::io::Errno::ROFS) => Ok(Writing::ReadOnly),
        Err(rustix::io::Errno::ACCESS | rustix::io::Errno::PERM) => Ok(Writing::Denied),
        Err(error) => Err(FsError::new("ask whether one may write to", path, error)),
    }
}

/// Gives a directory to a group.
///
/// # Errors
/// When this user is not a member of it, or does not own the directory.
pub fn give_to_group(path: &Path, group: u32) -> Result<(), FsError> {
    std::os::unix::fs::chown(path, None, Some(group)).map_err(|source| FsError::new("give to the group", path, source))
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

/// Who owns something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// This process's user.
    Us,
    /// The administrator.
    Root,
    /// Another user.
    Other,
}

/// Whose a directory is and who may write to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ownership {
    /// Who owns it.
    pub owner: Owner,
    /// Whether a group that is not the owner may write.
    pub group_may_write: bool,
    /// Whether everybody may write.
    pub others_may_write: bool,
}

/// Says whose a directory is; `None` when it is not there.
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
        return Err(FsError::new("use as a directory", path, rustix::io::Errno::NOTDIR));
    }
    Ok(Some(Ownership {
        owner: match found.uid() {
            user if user == own_user() => Owner::Us,
            0 => Owner::Root,
            _ => Owner::Other,
        },
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
            (0x00c3_6400, FileSystem::Network("CephFS")),
            (0x0bd0_0bd0, FileSystem::Network("Lustre")),
            (0x4750_4653, FileSystem::Network("GPFS")),
            (0x1983_0326, FileSystem::Network("BeeGFS")),
            (0x0116_1970, FileSystem::Network("GFS2")),
            (0x7461_636f, FileSystem::Network("OCFS2")),
            (0x6a65_6a63, FileSystem::Virtual),
            (0x6573_5546, FileSystem::Fuse),
            (0xef53, FileSystem::Local),
        ] {
            assert_eq!(kind_of(magic), kind);
        }
    }

    #[test]
    fn the_table_of_mounts_tells_virtiofs_from_fuse() {
        let table = "22 1 0:19 / /proc rw,nosuid - proc proc rw\n\
            41 22 0:45 / /work rw,relatime shared:7 master:1 - virtiofs shared rw\n\
            42 22 0:46 /a /b ro - fuse.sshfs x rw\n";
        let found = ["0:19", "0:45", "0:46", "8:1"].map(|device| mount_type(table, device));
        assert_eq!(found, [Some("proc"), Some("virtiofs"), Some("fuse.sshfs"), None]);
    }

    #[test]
    fn a_temporary_directory_may_be_written_to() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(writing(directory.path()).unwrap(), Writing::Allowed);
        assert!(writing(&directory.path().join("absent")).is_err());
    }

    #[test]
    fn a_temporary_directory_is_ours_and_has_room() {
        let directory = tempfile::tempdir().unwrap();
        let found = ownership(directory.path()).unwrap().unwrap();
        assert_eq!((found.owner, found.others_may_write), (Owner::Us, false));
        assert_eq!(ownership(&directory.path().join("no")).unwrap(), None);
        assert!(available(directory.path()).unwrap() > 0);
    }
}
