//! A file given away: a hard link where possible, else a reflink, else a copy.
//!
//! Hard links fail across file systems (EXDEV), on files of others (EPERM by
//! `fs.protected_hardlinks`, proc(5)), and after 65,000 links on ext4 (EMLINK): all three fall back.
//! A file that comes *into* a store is never hard-linked, because its owner could still write to it.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::FsError;

/// How a file was given away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Given {
    /// Another name of the same inode.
    HardLink,
    /// An inode of its own that shares blocks.
    Reflink,
    /// Bytes of its own.
    Copy,
}

/// Gives `from` the name `to` as well, by the cheapest way that works.
///
/// # Errors
/// When `to` exists, or no way works.
pub fn give(from: &Path, to: &Path) -> Result<Given, FsError> {
    use rustix::io::Errno;
    match fs::hard_link(from, to) {
        Ok(()) => return Ok(Given::HardLink),
        Err(error) => match Errno::from_io_error(&error) {
            Some(Errno::XDEV | Errno::PERM | Errno::MLINK | Errno::OPNOTSUPP | Errno::ACCESS) => {}
            _ => return Err(FsError::new("link", from, error)),
        },
    }
    let mut source = File::open(from).map_err(|error| FsError::new("open", from, error))?;
    copy(&mut source, to)
}

/// Copies an open file from its beginning to a new file: a reflink where the file system can.
///
/// # Errors
/// When `to` exists, or the bytes cannot be read or written.
pub fn copy(source: &mut File, to: &Path) -> Result<Given, FsError> {
    let failed = |error: io::Error| FsError::new("copy to", to, error);
    let mut target = OpenOptions::new().write(true).create_new(true).mode(0o644).open(to).map_err(failed)?;
    if rustix::fs::ioctl_ficlone(&target, &*source).is_ok() {
        return Ok(Given::Reflink);
    }
    io::Seek::rewind(source).map_err(failed)?;
    io::copy(source, &mut target).map_err(failed)?;
    Ok(Given::Copy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_has_the_bytes_and_never_replaces() {
        let directory = tempfile::tempdir().unwrap();
        let (a, b, c) = (directory.path().join("a"), directory.path().join("b"), directory.path().join("c"));
        fs::write(&a, b"bytes").unwrap();
        assert_eq!(give(&a, &b).unwrap(), Given::HardLink);
        assert_ne!(copy(&mut File::open(&a).unwrap(), &c).unwrap(), Given::HardLink);
        assert_eq!((fs::read(&b).unwrap(), fs::read(&c).unwrap()), (b"bytes".to_vec(), b"bytes".to_vec()));
        assert!(give(&a, &b).is_err());
        assert!(copy(&mut File::open(&a).unwrap(), &b).is_err());
    }
}
