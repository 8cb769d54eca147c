//! Opening what somebody else may have put there: without waiting, regular files only, up to a limit.
//!
//! A fifo where a file is expected would stop the program for ever, a device could be anything, and a file
//! may have any length. So a file is opened without blocking, looked at by its descriptor, so that nothing
//! can take its place in between, and read up to a limit.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use super::FsError;

/// Opens a regular file for reading; symbolic links are followed.
///
/// # Errors
/// When it cannot be opened, or is a directory, a fifo, a socket or a device.
pub fn open_regular(path: &Path) -> Result<File, FsError> {
    let failed = |source: io::Error| FsError::new("read", path, source);
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty()).map_err(|error| failed(error.into()))?);
    let found = file.metadata().map_err(failed)?;
    if found.is_dir() {
        return Err(failed(io::ErrorKind::IsADirectory.into()));
    }
    if !found.is_file() {
        return Err(failed(io::Error::other("not a regular file")));
    }
    Ok(file)
}

/// Reads a regular file of at most `limit` bytes; `None` when nothing is there.
///
/// # Errors
/// When it cannot be read, is no regular file, or is larger.
pub fn read_regular(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, FsError> {
    let file = match open_regular(path) {
        Err(error) if error.is_missing() => return Ok(None),
        opened => opened?,
    };
    let failed = |source: io::Error| FsError::new("read", path, source);
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > limit {
        return Err(failed(io::Error::other(format!("larger than {limit} bytes"))));
    }
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_regular_file_within_its_limit_is_read_and_nothing_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("file"), b"12345").unwrap();
        std::os::unix::fs::symlink("file", at("link")).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, at("fifo"), rustix::fs::FileType::Fifo, Mode::RWXU, 0).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        for name in ["file", "link"] {
            assert_eq!(read_regular(&at(name), 5).unwrap().unwrap(), b"12345");
            assert!(read_regular(&at(name), 4).is_err());
        }
        assert_eq!(read_regular(&at("absent"), 5).unwrap(), None);
        for path in [at("fifo"), at("socket"), folder.path().to_owned(), "/dev/null".into()] {
            assert!(read_regular(&path, 5).is_err(), "{}", path.display());
        }
    }
}
