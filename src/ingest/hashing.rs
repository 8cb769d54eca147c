//! Hashing on the way: one reader and one writer that know the SHA-256 of what went through them.
//!
//! What is decoded is what was hashed: a source is read once, and its name is compared with what was read before
//! anything that came out of it counts.

use std::fs::File;
use std::io::{self, Read, Seek as _, Write};
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest as _, Sha256};

use dlstore_model::digest::OciDigest;

/// Bytes that are read at once: hashing runs at full speed, and the buffer stays in the second cache.
const BUFFER: usize = 256 << 10;

/// What went through a [`HashingReader`], for whoever holds on to it after the reader was given away.
#[derive(Clone)]
pub(super) struct Passed(Arc<Mutex<(Sha256, File)>>);

/// Hands a file's bytes on and hashes them.
pub(super) struct HashingReader(Passed);

impl HashingReader {
    /// Reads `file` from where it stands; the second value outlives the reader.
    pub(super) fn new(file: File) -> (Self, Passed) {
        let passed = Passed(Arc::new(Mutex::new((Sha256::new(), file))));
        (Self(passed.clone()), passed)
    }
}

impl Read for HashingReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = state.1.read(buffer)?;
        state.0.update(&buffer[..count]);
        Ok(count)
    }
}

impl Passed {
    /// Reads what nobody asked for to the end of the file, and gives the name of all of it.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(super) fn finish(&self) -> io::Result<OciDigest> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut buffer = vec![0; BUFFER];
        loop {
            match state.1.read(&mut buffer)? {
                0 => return Ok(OciDigest::from_hasher(state.0.clone())),
                count => state.0.update(&buffer[..count]),
            }
        }
    }
}

/// Writes through and hashes what it writes.
pub(super) struct HashingWriter {
    file: File,
    hasher: Sha256,
    size: u64,
}

impl HashingWriter {
    pub(super) fn new(file: File) -> Self {
        Self { file, hasher: Sha256::new(), size: 0 }
    }

    /// Gives the name and the length of what was written.
    pub(super) fn finish(self) -> (OciDigest, u64) {
        (OciDigest::from_hasher(self.hasher), self.size)
    }
}

impl Write for HashingWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        self.size += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Which side of a copy failed.
#[derive(Debug)]
pub(super) enum CopyError {
    /// What is copied cannot be read.
    Read(io::Error),
    /// The copy cannot be written.
    Write(io::Error),
}

/// Copies a file from where it stands, and gives its name and length.
pub(super) fn copy(input: &mut File, out: &mut dyn Write) -> Result<(OciDigest, u64), CopyError> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; BUFFER];
    let mut size = 0;
    loop {
        match input.read(&mut buffer) {
            Ok(0) => return Ok((OciDigest::from_hasher(hasher), size)),
            Ok(count) => {
                hasher.update(&buffer[..count]);
                out.write_all(&buffer[..count]).map_err(CopyError::Write)?;
                size += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(CopyError::Read(error)),
        }
    }
}

/// A file that was read to know its name, and whose bytes are wanted again.
pub(super) enum Hashed {
    /// They are here.
    Whole(Vec<u8>),
    /// They are too many: the file is read again.
    Again,
}

/// Bytes of a file up to which they are kept while it is decided whether they are wanted.
const WHOLE: u64 = 4 << 20;

/// Hashes a file of about `length` bytes from where it stands, and gives its name and length and, if there are few, the bytes.
pub(super) fn hash_to_keep(input: &mut File, length: u64) -> io::Result<((OciDigest, u64), Hashed)> {
    if length > WHOLE {
        return Ok((hash(input)?, Hashed::Again));
    }
    let mut bytes = Vec::with_capacity(length as usize + 1);
    // One byte more tells a file that grew from one that did not.
    input.take(length + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > length {
        input.rewind()?;
        return Ok((hash(input)?, Hashed::Again));
    }
    Ok(((OciDigest::of(&bytes), length.min(bytes.len() as u64)), Hashed::Whole(bytes)))
}

/// Hashes a file from where it stands, and gives its name and length.
pub(super) fn hash(input: &mut File) -> io::Result<(OciDigest, u64)> {
    copy(input, &mut io::sink()).map_err(|error| match error {
        CopyError::Read(error) | CopyError::Write(error) => error,
    })
}
