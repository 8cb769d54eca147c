//! The spool: content that was decoded and waits to be packed, in memory as long as there is room.
//!
//! All jobs of a process share one budget of raw bytes. What does not fit goes to a file in the
//! stage, so a package of any size costs bounded memory. Content is found by its BLAKE3, so equal
//! files are kept once.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use dlstore_formats::layer::Contents;
use dlstore_model::digest::Digest;
use dlstore_model::path::TreePath;

/// Raw bytes that all spools of a process may hold in memory together.
const BUDGET: u64 = 32 << 20;

static IN_MEMORY: AtomicU64 = AtomicU64::new(0);

/// Room in memory that was set aside for one content.
pub struct Room(u64);

impl Drop for Room {
    fn drop(&mut self) {
        IN_MEMORY.fetch_sub(self.0, Ordering::Relaxed);
    }
}

enum Slot {
    Memory(Vec<u8>, #[expect(dead_code, reason = "held as long as the bytes are")] Room),
    File { offset: u64, length: u64 },
}

/// Decoded content of one package.
pub struct Spool {
    slots: HashMap<Digest, Slot>,
    path: Box<dyn Fn() -> io::Result<PathBuf> + Send + Sync>,
    file: Option<File>,
    end: u64,
}

impl Spool {
    /// Makes an empty spool; `path` names a file in the stage when one is needed.
    pub fn new(path: impl Fn() -> io::Result<PathBuf> + Send + Sync + 'static) -> Self {
        Self { slots: HashMap::new(), path: Box::new(path), file: None, end: 0 }
    }

    /// Says whether the content is here already.
    #[must_use]
    pub fn contains(&self, content: &Digest) -> bool {
        self.slots.contains_key(content)
    }

    /// Sets room aside for content that will be read into memory. `None`: there is none, and the
    /// content goes to the stage piece by piece ([`Spool::put_large`]).
    #[must_use]
    pub fn room(&self, size: u64) -> Option<Room> {
        let room = Room(size);
        (IN_MEMORY.fetch_add(size, Ordering::Relaxed).saturating_add(size) <= BUDGET).then_some(room)
    }

    /// Takes content that was read as a whole into room that was set aside for it.
    pub fn put(&mut self, content: Digest, bytes: Vec<u8>, room: Room) {
        self.slots.entry(content).or_insert(Slot::Memory(bytes, room));
    }

    /// Takes content in pieces, straight to the stage: `copy` writes all of it and returns its name.
    ///
    /// # Errors
    /// When the stage cannot be written, or what `copy` says.
    pub fn put_large<E: From<io::Error>>(
        &mut self,
        copy: impl FnOnce(&mut dyn Write) -> Result<(Digest, u64), E>,
    ) -> Result<Digest, E> {
        let offset = self.end;
        let file = self.file()?;
        let (content, length) = copy(file)?;
        self.end += length;
        self.slots.entry(content).or_insert(Slot::File { offset, length });
        Ok(content)
    }

    fn file(&mut self) -> io::Result<&mut File> {
        if self.file.is_none() {
            let path = (self.path)()?;
            self.file = Some(OpenOptions::new().read(true).write(true).create_new(true).open(path)?);
        }
        let file = self.file.as_mut().expect("it was opened above");
        file.seek(SeekFrom::Start(self.end))?;
        Ok(file)
    }
}

impl Spool {
    /// Fills `buffer` with bytes of `content` from `offset` on.
    ///
    /// # Errors
    /// When the content is not here, or ends before.
    pub fn read_content(&self, content: &Digest, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        match self.slots.get(content) {
            Some(Slot::Memory(bytes, _)) => {
                let start = usize::try_from(offset).map_err(io::Error::other)?;
                let wanted = bytes.get(start..start + buffer.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
                buffer.copy_from_slice(wanted);
                Ok(())
            }
            Some(Slot::File { offset: start, length }) if offset + buffer.len() as u64 <= *length => {
                let file = self.file.as_ref().ok_or(io::ErrorKind::NotFound)?;
                file.read_exact_at(buffer, start + offset)
            }
            Some(Slot::File { .. }) => Err(io::ErrorKind::UnexpectedEof.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

impl Contents for Spool {
    fn read_at(&self, _path: &TreePath, content: &Digest, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.read_content(content, offset, buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_beyond_the_budget_is_read_back_from_the_stage() {
        let folder = tempfile::tempdir().unwrap();
        let stage = folder.path().join("spool");
        let mut spool = Spool::new(move || Ok(stage.clone()));
        let small = b"small".to_vec();
        let large = vec![7; usize::try_from(BUDGET).unwrap() + 1];
        let names = [Digest::of(&small), Digest::of(&large)];
        let room = spool.room(small.len() as u64).unwrap();
        spool.put(names[0], small.clone(), room);
        assert!(spool.room(BUDGET + 1).is_none(), "no more is held than the budget");
        let put = |out: &mut dyn Write| out.write_all(&large).map(|()| (names[1], BUDGET + 1));
        spool.put_large(put).unwrap();
        let path = TreePath::new(b"x").unwrap();
        let mut buffer = [0; 5];
        spool.read_at(&path, &names[0], 0, &mut buffer).unwrap();
        assert_eq!(buffer.as_slice(), small);
        spool.read_at(&path, &names[1], BUDGET - 4, &mut buffer).unwrap();
        assert_eq!(buffer, [7; 5]);
        assert!(spool.read_at(&path, &names[0], 1, &mut buffer).is_err());
        assert!(folder.path().join("spool").exists());
    }
}
