//! Compressing ahead: pieces of a pack that are made while the package is still being read.
//!
//! What a piece is compressed to depends on its raw bytes alone. So whoever sees entries go by may guess which pieces
//! their layer tree will be cut into, and have them compressed before the tree is known. A guess is found again by the
//! BLAKE3 of its raw bytes; one that was wrong is never found, and has cost the time of a thread that had nothing else
//! to do.
//!
//! ```text
//! entries as they come ► guessed pieces ► pool: compressed      (while the package is read)
//!                                             │ by raw bytes
//! layer tree ► pieces ► raw bytes ────────────┴► pack           (behind it)
//! ```

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::gzip;
use super::piece::{GROUP, MAX_PIECE};
use super::rule::{Class, content_size, headers, padding};
use dlstore_model::digest::Digest;
use dlstore_model::path::TreePath;
use dlstore_model::tree::Entry;

/// Work of the process that has a thread of its own.
static BUSY: AtomicUsize = AtomicUsize::new(0);

/// Says, as long as it lives, that a thread is at work that has much to do itself. While there are as many as processors
/// nothing is begun ahead.
pub struct Busy(());

impl Busy {
    /// Says that this thread is at work.
    #[must_use]
    pub fn begin() -> Self {
        BUSY.fetch_add(1, Ordering::Relaxed);
        Self(())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        BUSY.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Says whether fewer threads are at work than there are processors for.
fn has_idle() -> bool {
    BUSY.load(Ordering::Relaxed) < rayon::current_num_threads()
}

/// Bytes of guessed pieces, raw or compressed, that wait in memory: what is beyond is not guessed.
const MOST: usize = 8 << 20;

/// Guesses the pieces of one package's gzip pack, and has them compressed.
#[derive(Default)]
pub struct Ahead {
    pieces: Arc<Pieces>,
    /// Raw length of the group of small entries that is open.
    length: u64,
    /// Its raw bytes, where it is to be compressed.
    group: Option<Vec<u8>>,
}

impl Ahead {
    /// Takes the next entry by the path where it will stand, with its content. Nothing comes of it while no thread is idle.
    ///
    /// # Panics
    /// When the content has another length than the entry says.
    pub fn take(&mut self, path: &TreePath, entry: &Entry, content: &[u8]) {
        assert_eq!(content.len() as u64, content_size(entry), "an entry comes with its content");
        let class = Class::of(entry);
        if matches!(class, Class::Directory | Class::HardLink) {
            return;
        }
        let headers = headers(path, entry);
        let zeros = padding(content.len() as u64) as usize;
        let length = headers.len() + content.len() + zeros;
        let write = |raw: &mut Vec<u8>| {
            raw.extend_from_slice(&headers);
            raw.extend_from_slice(content);
            raw.resize(raw.len() + zeros, 0);
        };
        if class == Class::Large {
            if has_idle() && self.pieces.has_room(length) {
                let mut raw = Vec::with_capacity(length);
                write(&mut raw);
                self.pieces.cut(raw);
            }
            return;
        }
        if self.length + length as u64 > GROUP {
            self.end();
        }
        if self.length == 0 && has_idle() && self.pieces.has_room(GROUP as usize) {
            self.group = Some(Vec::new());
        }
        self.length += length as u64;
        self.group.as_mut().map(write);
    }

    /// Ends the guessing: no entry comes any more.
    pub fn end(&mut self) {
        self.length = 0;
        if let Some(raw) = self.group.take() {
            self.pieces.cut(raw);
        }
    }

    /// Gives what a piece is compressed to, once, if it was guessed. One that is being compressed is waited for.
    #[must_use]
    pub fn find(&self, raw: &[u8]) -> Option<Vec<u8>> {
        self.pieces.take(raw)
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        // What nobody has begun is compressed for nobody.
        self.pieces.lock().by_raw.clear();
    }
}

/// Guessed pieces by the digest of their raw bytes.
#[derive(Default)]
struct Pieces {
    slots: Mutex<Slots>,
    is_done: Condvar,
}

#[derive(Default)]
struct Slots {
    by_raw: HashMap<Digest, Slot>,
    /// Bytes in them.
    bytes: usize,
}

/// How far a piece is.
enum Slot {
    /// Nobody has begun with these raw bytes.
    Raw(Vec<u8>),
    /// A thread is at it.
    Begun,
    /// It is compressed.
    Packed(Vec<u8>),
}

impl Pieces {
    fn lock(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_room(&self, more: usize) -> bool {
        self.lock().bytes + more <= MOST
    }

    /// Cuts the raw bytes of a section as it will be cut, and hands the pieces to the pool.
    fn cut(self: &Arc<Self>, raw: Vec<u8>) {
        if raw.len() as u64 <= MAX_PIECE {
            return self.give(raw);
        }
        raw.chunks(MAX_PIECE as usize).for_each(|piece| self.give(piece.to_vec()));
    }

    fn give(self: &Arc<Self>, raw: Vec<u8>) {
        let digest = Digest::of(&raw);
        let mut slots = self.lock();
        if slots.by_raw.contains_key(&digest) {
            return;
        }
        slots.bytes += raw.len();
        slots.by_raw.insert(digest, Slot::Raw(raw));
        drop(slots);
        let pieces = Arc::clone(self);
        rayon::spawn(move || pieces.compress(&digest));
    }

    fn compress(&self, digest: &Digest) {
        let mut slots = self.lock();
        // Whoever needed it before has taken it, or nobody needs it any more.
        let Some(slot @ Slot::Raw(_)) = slots.by_raw.get_mut(digest) else { return };
        let Slot::Raw(raw) = std::mem::replace(slot, Slot::Begun) else { return };
        drop(slots);
        let packed = gzip::compress(&raw);
        let mut slots = self.lock();
        slots.bytes = slots.bytes + packed.len() - raw.len();
        if let Some(slot) = slots.by_raw.get_mut(digest) {
            *slot = Slot::Packed(packed);
        }
        drop(slots);
        self.is_done.notify_all();
    }

    fn take(&self, raw: &[u8]) -> Option<Vec<u8>> {
        if self.lock().by_raw.is_empty() {
            return None;
        }
        let digest = Digest::of(raw);
        // Only what a thread has begun is waited for: that thread waits for nobody.
        let begun = |slots: &mut Slots| matches!(slots.by_raw.get(&digest), Some(Slot::Begun));
        let mut slots = self.is_done.wait_while(self.lock(), begun).unwrap_or_else(PoisonError::into_inner);
        match slots.by_raw.remove(&digest)? {
            Slot::Packed(packed) => {
                slots.bytes -= packed.len();
                Some(packed)
            }
            // The one who asks is as fast as anybody.
            Slot::Raw(raw) => {
                slots.bytes -= raw.len();
                None
            }
            Slot::Begun => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::{Codec, Contents, write_pack};
    use dlstore_model::tree::{Meta, Node, Tree};
    use std::collections::BTreeMap;
    use std::io;

    /// Contents with what was compressed ahead, which counts how often that was of use.
    struct Guessed {
        contents: BTreeMap<Digest, Vec<u8>>,
        ahead: Ahead,
        found: AtomicUsize,
    }

    impl Contents for Guessed {
        fn read_at(&self, path: &TreePath, content: &Digest, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
            self.contents.read_at(path, content, offset, buffer)
        }

        fn packed(&self, raw: &[u8]) -> Option<Vec<u8>> {
            let packed = self.ahead.find(raw)?;
            self.found.fetch_add(1, Ordering::Relaxed);
            Some(packed)
        }
    }

    /// Small files for three groups, a link, and large files of which one has two pieces.
    fn entries() -> Vec<(TreePath, Entry, Vec<u8>)> {
        let sizes = (0..40).map(|at| (at, 30_000 + at)).chain([(50, 70_000), (51, 5 << 20)]);
        let file = |(at, size): (usize, usize)| {
            let content: Vec<u8> = (0..size).map(|byte| (byte / 7 % 251 + at) as u8).collect();
            let node = Node::File { content: Digest::of(&content), size: size as u64 };
            (TreePath::new(format!("file-{at:02}").as_bytes()).unwrap(), Entry::new(node, Meta::FILE), content)
        };
        let mut all: Vec<_> = sizes.map(file).collect();
        let link = Entry::new(Node::Symlink { target: b"file-00".to_vec() }, Meta::LINK);
        all.insert(3, (TreePath::new(b"file-02-link").unwrap(), link, Vec::new()));
        all
    }

    /// Packs the same tree twice, with what was guessed of entries in this order and without; gives how many guesses were
    /// of use.
    fn pack_both_ways(order: &[usize]) -> usize {
        let entries = entries();
        let tree = Tree::new(entries.iter().map(|(path, entry, _)| (path.clone(), entry.clone())).collect()).unwrap();
        let mut ahead = Ahead::default();
        for at in order {
            let (path, entry, content) = &entries[*at];
            ahead.take(path, entry, content);
        }
        ahead.end();
        let contents = entries.iter().map(|(.., content)| (Digest::of(content), content.clone())).collect();
        let guessed = Guessed { contents, ahead, found: AtomicUsize::new(0) };
        // Every guess is compressed before it is asked for.
        while guessed.ahead.pieces.lock().by_raw.values().any(|slot| !matches!(slot, Slot::Packed(_))) {
            std::thread::yield_now();
        }
        let (mut with, mut without) = (Vec::new(), Vec::new());
        let info = write_pack(&tree, &guessed, Codec::Gzip, &mut with).unwrap();
        assert_eq!(info, write_pack(&tree, &guessed.contents, Codec::Gzip, &mut without).unwrap());
        assert_eq!(with, without);
        guessed.found.into_inner()
    }

    #[test]
    fn a_pack_has_the_same_bytes_whether_its_pieces_were_guessed_or_not() {
        let all: Vec<usize> = (0..entries().len()).collect();
        // Three groups, one large file of one piece and one of two.
        assert_eq!(pack_both_ways(&all), 6);
        // In another order the small files make other groups.
        let reversed: Vec<usize> = all.into_iter().rev().collect();
        assert_eq!(pack_both_ways(&reversed), 3);
        assert_eq!(pack_both_ways(&[]), 0);
    }

    #[test]
    fn what_nobody_has_begun_is_not_waited_for() {
        let pieces = Pieces::default();
        let raw = vec![7; 1000];
        pieces.lock().by_raw.insert(Digest::of(&raw), Slot::Raw(raw.clone()));
        pieces.lock().bytes = raw.len();
        assert_eq!(pieces.take(&raw), None);
        assert_eq!(pieces.lock().bytes, 0);
        // Its turn in the pool comes later, and finds nothing to do.
        pieces.compress(&Digest::of(&raw));
        assert!(pieces.lock().by_raw.is_empty());
    }
}
