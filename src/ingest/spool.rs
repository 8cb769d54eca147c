//! The spool: content that was decoded and waits to be packed, in memory as long as there is room.
//!
//! All jobs of a process share one budget of raw bytes. What does not fit goes to a file in the
//! stage, so a package of any size costs bounded memory. Content is found by its BLAKE3, so equal
//! files are kept once.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use super::select::merged_usr::MergedUsr;
use dlstore_formats::layer::{Ahead, Contents};
use dlstore_model::digest::Digest;
use dlstore_model::path::TreePath;
use dlstore_model::tree::{Entry as TreeEntry, Node};

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

/// Bytes of a chunk of memory that small contents share.
const CHUNK: usize = 256 << 10;

/// Where a content lies: in the file, or in memory, where `at` has [`IN_CHUNK`] set and says chunk and place.
#[derive(Clone, Copy)]
struct Slot {
    at: u64,
    length: u64,
}

/// Marks a place in memory; no file is so long.
const IN_CHUNK: u64 = 1 << 63;

/// The first half of a content's name. A package may have hundreds of thousands of contents, and whoever packs them
/// hashes them again.
type Key = [u8; 16];

fn key(content: &Digest) -> Key {
    *content.as_bytes().first_chunk().expect("a digest has 32 bytes")
}

/// Decoded content of one package.
pub struct Spool {
    slots: HashMap<Key, Slot>,
    /// Contents in memory, one behind the other.
    chunks: Vec<Vec<u8>>,
    room: Room,
    path: Box<dyn Fn() -> io::Result<PathBuf> + Send + Sync>,
    file: Option<File>,
    end: u64,
    ahead: Option<(MergedUsr, Ahead)>,
}

impl Spool {
    /// Makes an empty spool; `path` names a file in the stage when one is needed.
    pub fn new(path: impl Fn() -> io::Result<PathBuf> + Send + Sync + 'static) -> Self {
        let (slots, chunks, room) = (HashMap::new(), Vec::new(), Room(0));
        Self { slots, chunks, room, path: Box::new(path), file: None, end: 0, ahead: None }
    }

    /// Has the pieces of a gzip pack compressed while entries are still coming, whenever a thread is idle; `merged` says
    /// where entries land.
    #[must_use]
    pub fn packing_ahead(self, merged: MergedUsr) -> Self {
        Self { ahead: Some((merged, Ahead::default())), ..self }
    }

    /// Sees an entry that will be packed go by; its content is here.
    pub fn see(&mut self, path: &TreePath, entry: &TreeEntry) {
        let Some((merged, mut ahead)) = self.ahead.take() else { return };
        let content =
            if let Node::File { content, .. } = &entry.node { self.in_memory(content) } else { Some(&[][..]) };
        if let Some(content) = content {
            ahead.take(&merged.resolve(path, entry), entry, content);
        }
        self.ahead = Some((merged, ahead));
    }

    /// Says that all entries went by.
    pub fn seen_all(&mut self) {
        if let Some((_, ahead)) = &mut self.ahead {
            ahead.end();
        }
    }

    /// Says whether the content is here already.
    #[must_use]
    pub fn contains(&self, content: &Digest) -> bool {
        self.slots.contains_key(&key(content))
    }

    /// Sets room aside for content that will be read into memory. `None`: there is none, and the
    /// content goes to the stage piece by piece ([`Spool::put_large`]).
    #[must_use]
    pub fn room(&self, size: u64) -> Option<Room> {
        let room = Room(size);
        (IN_MEMORY.fetch_add(size, Ordering::Relaxed).saturating_add(size) <= BUDGET).then_some(room)
    }

    /// Takes content that was read as a whole into room that was set aside for it.
    pub fn put(&mut self, content: Digest, mut bytes: Vec<u8>, mut room: Room) {
        let Entry::Vacant(slot) = self.slots.entry(key(&content)) else { return };
        // Room and contents go together, and all of it at once.
        self.room.0 += std::mem::take(&mut room.0);
        let length = bytes.len();
        match self.chunks.last_mut().filter(|chunk| chunk.len() + length <= CHUNK) {
            Some(chunk) => chunk.append(&mut bytes),
            None => self.chunks.push(bytes),
        }
        let start = self.chunks.last().map_or(0, Vec::len) - length;
        let at = IN_CHUNK | ((self.chunks.len() - 1) as u64) << 32 | start as u64;
        slot.insert(Slot { at, length: length as u64 });
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
        self.slots.entry(key(&content)).or_insert(Slot { at: offset, length });
        Ok(content)
    }

    fn file(&mut self) -> io::Result<&mut File> {
        if self.file.is_none() {
            let path = (self.path)()?;
            self.file = Some(OpenOptions::new().read(true).write(true).create_new(true).open(&path)?);
            // It needs no name any more, and without one it is never brought to the disk for good.
            dlstore_fsx::file::unlink(&path).map_err(|error| error.source)?;
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
        let Slot { at, length } = *self.slots.get(&key(content)).ok_or(io::ErrorKind::NotFound)?;
        if offset.checked_add(buffer.len() as u64).is_none_or(|end| end > length) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if at & IN_CHUNK == 0 {
            let file = self.file.as_ref().ok_or(io::ErrorKind::NotFound)?;
            return file.read_exact_at(buffer, at + offset);
        }
        let start = offset as usize;
        buffer.copy_from_slice(&self.chunk(at, length)[start..start + buffer.len()]);
        Ok(())
    }

    /// Gives a content that lies in memory.
    fn in_memory(&self, content: &Digest) -> Option<&[u8]> {
        let Slot { at, length } = *self.slots.get(&key(content))?;
        (at & IN_CHUNK != 0).then(|| self.chunk(at, length))
    }

    fn chunk(&self, at: u64, length: u64) -> &[u8] {
        let start = (at & u64::from(u32::MAX)) as usize;
        &self.chunks[(at & !IN_CHUNK) as usize >> 32][start..start + length as usize]
    }
}

impl Contents for Spool {
    fn read_at(&self, _path: &TreePath, content: &Digest, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.read_content(content, offset, buffer)
    }

    fn packed(&self, raw: &[u8]) -> Option<Vec<u8>> {
        self.ahead.as_ref()?.1.find(raw)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_beyond_the_budget_is_read_back_from_the_stage() {
        let directory = tempfile::tempdir().unwrap();
        let stage = directory.path().join("spool");
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
        assert!(!directory.path().join("spool").exists(), "its file has no name");
    }
}
