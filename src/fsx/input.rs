//! What a person names as an input, opened so that nothing can hang: never blocking, regular files only.
//!
//! A path is foreign: it may name a fifo that nobody writes, a socket, a device that answers when it is
//! opened, or a file without an end. Everything that reads what a person named comes through here:
//! - it is looked at before it is opened, so that no device is ever touched;
//! - it is opened without blocking, and looked at again through the open file, which cannot be
//!   exchanged behind it any more;
//! - what is read whole has a limit, and the limit counts what is read, not what was announced.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use dlstore_model::escape::Escaped;
use dlstore_model::quantity::Size;
use rustix::fs::OFlags;

use crate::FsError;

/// Tells why an input was not opened or read.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// The system said no.
    #[error(transparent)]
    Fs(#[from] FsError),
    /// It is there and is something else.
    #[error("{} is {found}, not a regular file", Escaped::path(path))]
    NotRegular {
        /// Which path.
        path: PathBuf,
        /// What lies there: `a directory`, `a fifo`.
        found: &'static str,
    },
    /// It is longer than what is read of such a file.
    #[error("{} is longer than {}", Escaped::path(path), Size(*limit))]
    TooLong {
        /// Which path.
        path: PathBuf,
        /// The limit in bytes.
        limit: u64,
    },
}

/// Opens a regular file; symbolic links are followed.
///
/// # Errors
/// When it cannot be opened or is anything else: a fifo, a socket or a device is an error at once.
pub fn open_regular(path: &Path) -> Result<File, InputError> {
    Ok(open(path)?.0)
}

/// Opens a regular file, and says how long it is.
fn open(path: &Path) -> Result<(File, u64), InputError> {
    let failed = |source: io::Error| FsError::new("open", path, source);
    check(path, &std::fs::metadata(path).map_err(failed)?)?;
    let flags = i32::try_from((OFlags::NONBLOCK | OFlags::NOCTTY).bits()).unwrap_or_default();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(failed)?;
    let found = file.metadata().map_err(failed)?;
    check(path, &found)?;
    Ok((file, found.len()))
}

/// Most that is made room for by what a file says of its length: it may have no bytes behind that.
const MOST_AT_ONCE: u64 = 1 << 20;

/// Reads a regular file whole.
///
/// # Errors
/// As [`open_regular`], and when it is longer than `limit` bytes.
pub fn read_regular(path: &Path, limit: u64) -> Result<Vec<u8>, InputError> {
    let (file, length) = open(path)?;
    // With room for a byte more, the end is found without asking for more room.
    let room = length.min(limit).min(MOST_AT_ONCE) + 1;
    let mut bytes = Vec::with_capacity(usize::try_from(room).unwrap_or_default());
    let failed = |source: io::Error| FsError::new("read", path, source);
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > limit {
        return Err(InputError::TooLong { path: path.to_owned(), limit });
    }
    Ok(bytes)
}

fn check(path: &Path, meta: &Metadata) -> Result<(), InputError> {
    let kind = meta.file_type();
    let found = if kind.is_file() {
        return Ok(());
    } else if kind.is_dir() {
        "a directory"
    } else if kind.is_fifo() {
        "a fifo"
    } else if kind.is_socket() {
        "a socket"
    } else if kind.is_char_device() || kind.is_block_device() {
        "a device"
    } else {
        "something else"
    };
    Err(InputError::NotRegular { path: path.to_owned(), found })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{CWD, FileType, Mode, mknodat};

    #[test]
    fn a_fifo_a_socket_a_device_and_a_directory_are_errors_at_once() {
        let place = tempfile::tempdir().unwrap();
        let fifo = place.path().join("fifo");
        mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let socket = place.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let link = place.path().join("link");
        std::os::unix::fs::symlink(&fifo, &link).unwrap();
        for (path, word) in [
            (fifo.as_path(), "a fifo"),
            (&socket, "a socket"),
            (&link, "a fifo"),
            (Path::new("/dev/zero"), "a device"),
            (place.path(), "a directory"),
        ] {
            let error = read_regular(path, 10).unwrap_err().to_string();
            assert!(error.contains(&format!(" is {word}, not a regular file")), "{error}");
        }
        assert!(matches!(open_regular(&place.path().join("absent")), Err(InputError::Fs(error)) if error.is_missing()));
    }

    #[test]
    fn a_file_is_read_up_to_its_limit_and_not_a_byte_further() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("file");
        std::fs::write(&path, b"12345").unwrap();
        assert_eq!(read_regular(&path, 5).unwrap(), b"12345");
        assert!(matches!(read_regular(&path, 4), Err(InputError::TooLong { limit: 4, .. })));
        // Files of the kernel say that they are empty and are not.
        assert!(matches!(read_regular(Path::new("/proc/self/status"), 4), Err(InputError::TooLong { .. })));
    }
}
