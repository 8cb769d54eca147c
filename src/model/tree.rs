//! A tree: the entries of a package or of an image, and their one canonical encoding.
//!
//! A tree carries everything that a tar header can say and a runtime can see. Its name is the BLAKE3
//! of its encoding, so the same files have the same name whatever archive or compression they came
//! in. The encoding is documented byte by byte in `store-schema/README.md`.
//!
//! Invariants, checked by [`Tree::new`] and thus true of every tree:
//! - entries are in bytewise path order, each path once;
//! - no entry lies below something that is not a directory (parents may be absent: packages leave out
//!   directories that others own; a *layer tree* has them all);
//! - a hard link's target is a regular file of the same tree that comes before it in path order:
//!   the bytewise first name of a hard-link group is the file, the others link to it.

use std::collections::BTreeMap;

use crate::digest::Digest;
use crate::encoding::{DecodeError, Decoder, Encoder};
use crate::path::TreePath;

/// Greatest modification time that is accepted: what an octal tar field can say, in seconds.
pub const MAX_MTIME: u64 = 1 << 33;

const MAGIC: &str = "dlstore tree 1\n";

/// Bytes of an encoding that are handed on at once, about.
const PIECE: usize = 256 << 10;

/// Owner, mode and date of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Meta {
    /// The twelve permission bits, setuid, setgid and sticky included.
    pub mode: u16,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// Whole seconds since 1970, below [`MAX_MTIME`].
    pub mtime: u64,
}

impl Meta {
    /// A directory that nobody described: 0755, root's, at the epoch.
    pub const DIRECTORY: Self = Self { mode: 0o755, uid: 0, gid: 0, mtime: 0 };
    /// A plain file that nobody described: 0644, root's, at the epoch.
    pub const FILE: Self = Self { mode: 0o644, uid: 0, gid: 0, mtime: 0 };
    /// A symbolic link: 0777, root's, at the epoch.
    pub const LINK: Self = Self { mode: 0o777, uid: 0, gid: 0, mtime: 0 };
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Node {
    /// A directory.
    Directory,
    /// A regular file, by its content.
    File {
        /// BLAKE3 of the content.
        content: Digest,
        /// Length of the content in bytes.
        size: u64,
    },
    /// A symbolic link with the bytes of its target, which may point anywhere.
    Symlink {
        /// The target, not empty, without NUL.
        target: Vec<u8>,
    },
    /// Another name of a regular file of the same tree.
    HardLink {
        /// The bytewise first name of the group.
        target: TreePath,
    },
    /// A character device.
    CharDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
}

/// Extended attributes by name, for example `security.capability`.
pub type Xattrs = BTreeMap<Vec<u8>, Vec<u8>>;

/// One entry of a tree.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Entry {
    /// What it is.
    pub node: Node,
    /// Owner, mode and date.
    pub meta: Meta,
    /// Extended attributes; empty for nearly every entry.
    pub xattrs: Xattrs,
}

impl Entry {
    /// Gives the size of a regular file in bytes, and 0 for all else: another name of a file counts where that stands.
    #[must_use]
    pub const fn content_size(&self) -> u64 {
        if let Node::File { size, .. } = self.node { size } else { 0 }
    }

    /// Makes an entry without extended attributes.
    #[must_use]
    pub const fn new(node: Node, meta: Meta) -> Self {
        Self { node, meta, xattrs: Xattrs::new() }
    }

    /// Says whether this is a directory.
    #[must_use]
    pub const fn is_directory(&self) -> bool {
        matches!(self.node, Node::Directory)
    }
}

/// Tells which invariant entries break.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// The same path twice.
    #[error("{0} occurs twice")]
    Duplicate(TreePath),
    /// An entry below something that is not a directory.
    #[error("{path} is below {parent}, which is not a directory")]
    BelowNonDirectory {
        /// The entry.
        path: TreePath,
        /// What holds it.
        parent: TreePath,
    },
    /// A hard link to something that is not a file of the tree before it.
    #[error("{path} is a hard link to {target}, which is not a file that comes before it")]
    HardLink {
        /// The link.
        path: TreePath,
        /// Where it points.
        target: TreePath,
    },
    /// A date outside `[0, 2^33)`.
    #[error("{0} has a modification time that is out of range")]
    Mtime(TreePath),
    /// A symbolic link with an empty target or a NUL byte in it.
    #[error("{0} is a symbolic link without a usable target")]
    Target(TreePath),
}

/// Entries in path order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tree {
    entries: Vec<(TreePath, Entry)>,
}

impl Tree {
    /// Sorts the entries and checks the invariants.
    ///
    /// # Errors
    /// When an invariant of this module does not hold.
    pub fn new(mut entries: Vec<(TreePath, Entry)>) -> Result<Self, TreeError> {
        // Two of one path are an error, so their order says nothing; this way needs no memory.
        entries.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        let tree = Self { entries };
        tree.check()?;
        Ok(tree)
    }

    /// Gives the entries in path order.
    pub fn iter(&self) -> std::slice::Iter<'_, (TreePath, Entry)> {
        self.entries.iter()
    }

    /// Gives the entries themselves.
    #[must_use]
    pub fn into_entries(self) -> Vec<(TreePath, Entry)> {
        self.entries
    }

    /// Finds an entry.
    #[must_use]
    pub fn get(&self, path: &TreePath) -> Option<&Entry> {
        self.entries.binary_search_by(|probe| probe.0.cmp(path)).ok().map(|at| &self.entries[at].1)
    }

    /// Says how many entries there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.entries.len()
    }

    /// Says whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Adds up the sizes of the regular files, each hard-link group once, in bytes.
    #[must_use]
    pub fn content_size(&self) -> u64 {
        self.iter().map(|(_, entry)| entry.content_size()).sum()
    }

    /// Gives the newest modification time of what is not a directory, in seconds.
    #[must_use]
    pub fn date(&self) -> u64 {
        self.iter().filter(|(_, entry)| !entry.is_directory()).map(|(_, entry)| entry.meta.mtime).max().unwrap_or(0)
    }

    /// Writes the canonical encoding.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        // About what is needed: a large tree must not be copied while it grows.
        let mut encoded = Vec::with_capacity(self.iter().map(|(path, _)| path.as_bytes().len() + 72).sum());
        self.encode_to(|bytes| encoded.extend_from_slice(bytes));
        encoded
    }

    /// Hands the canonical encoding on in pieces: that of a large tree is larger than the tree.
    ///
    /// # Panics
    /// When there are 2^32 entries; readers stop far below.
    pub fn encode_to(&self, mut take: impl FnMut(&[u8])) {
        let mut out = Encoder::new(MAGIC);
        out.u32(u32::try_from(self.entries.len()).expect("readers stop far below 2^32 entries"));
        for (path, entry) in &self.entries {
            encode_entry(&mut out, path, entry);
            if out.written().len() >= PIECE {
                take(out.written());
                out.clear();
            }
        }
        take(out.written());
    }

    /// Reads the canonical encoding.
    ///
    /// # Errors
    /// When the bytes are not what [`Tree::encode`] writes, broken invariants among them.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Decoder::new(bytes, MAGIC)?;
        let count = input.u32()? as usize;
        if count > input.left() / 24 {
            return Err(DecodeError("more entries than bytes"));
        }
        let mut entries = Vec::with_capacity(count);
        for _ in 0..count {
            entries.push(decode_entry(&mut input)?);
        }
        input.finish()?;
        let tree = Self { entries };
        tree.check().map_err(|_| DecodeError("a tree's invariant does not hold"))?;
        Ok(tree)
    }

    /// Gives the tree's name: BLAKE3 of its encoding.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut hasher = blake3::Hasher::new();
        self.encode_to(|bytes| {
            hasher.update(bytes);
        });
        Digest::from_hasher(&hasher)
    }

    fn check(&self) -> Result<(), TreeError> {
        // Entries are sorted, so what holds an entry is the nearest entry before it that is a prefix.
        let mut open: Vec<&(TreePath, Entry)> = Vec::new();
        let mut previous: Option<&TreePath> = None;
        for item in &self.entries {
            let (path, entry) = item;
            match previous.map(|before| before.cmp(path)) {
                None | Some(std::cmp::Ordering::Less) => {}
                Some(_) => return Err(TreeError::Duplicate(path.clone())),
            }
            previous = Some(path);
            // "a-b" sorts between "a" and "a/b": a prefix by bytes stays open, only others close.
            while open.last().is_some_and(|(top, _)| !path.as_bytes().starts_with(top.as_bytes())) {
                open.pop();
            }
            if let Some((parent, holder)) = open.iter().rev().find(|(top, _)| path.is_below(top))
                && !holder.is_directory()
            {
                return Err(TreeError::BelowNonDirectory { path: path.clone(), parent: parent.clone() });
            }
            self.check_entry(path, entry)?;
            open.push(item);
        }
        Ok(())
    }

    fn check_entry(&self, path: &TreePath, entry: &Entry) -> Result<(), TreeError> {
        if entry.meta.mtime >= MAX_MTIME {
            return Err(TreeError::Mtime(path.clone()));
        }
        match &entry.node {
            Node::Symlink { target } if target.is_empty() || target.contains(&0) => {
                Err(TreeError::Target(path.clone()))
            }
            Node::HardLink { target }
                if target >= path || !matches!(self.get(target), Some(Entry { node: Node::File { .. }, .. })) =>
            {
                Err(TreeError::HardLink { path: path.clone(), target: target.clone() })
            }
            _ => Ok(()),
        }
    }
}

impl<'a> IntoIterator for &'a Tree {
    type Item = &'a (TreePath, Entry);
    type IntoIter = std::slice::Iter<'a, (TreePath, Entry)>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

fn encode_entry(out: &mut Encoder, path: &TreePath, entry: &Entry) {
    let kind = match entry.node {
        Node::Directory => 0,
        Node::File { .. } => 1,
        Node::Symlink { .. } => 2,
        Node::HardLink { .. } => 3,
        Node::CharDevice { .. } => 4,
        Node::BlockDevice { .. } => 5,
        Node::Fifo => 6,
    };
    out.u8(kind).u16(entry.meta.mode).u32(entry.meta.uid).u32(entry.meta.gid).u64(entry.meta.mtime);
    out.bytes(path.as_bytes());
    match &entry.node {
        Node::Directory | Node::Fifo => {}
        Node::File { content, size } => {
            out.raw(content.as_bytes()).u64(*size);
        }
        Node::Symlink { target } => {
            out.bytes(target);
        }
        Node::HardLink { target } => {
            out.bytes(target.as_bytes());
        }
        Node::CharDevice { major, minor } | Node::BlockDevice { major, minor } => {
            out.u32(*major).u32(*minor);
        }
    }
    out.u8(u8::try_from(entry.xattrs.len()).expect("readers accept at most 255 extended attributes"));
    for (name, value) in &entry.xattrs {
        out.bytes(name).bytes(value);
    }
}

fn decode_entry(input: &mut Decoder<'_>) -> Result<(TreePath, Entry), DecodeError> {
    let kind = input.u8()?;
    let meta = Meta { mode: input.u16()?, uid: input.u32()?, gid: input.u32()?, mtime: input.u64()? };
    if meta.mode > 0o7777 {
        return Err(DecodeError("mode has more than twelve bits"));
    }
    let path = TreePath::new(input.bytes()?).map_err(|_| DecodeError("bad path"))?;
    let node = match kind {
        0 => Node::Directory,
        1 => Node::File { content: Digest::from_bytes(input.digest()?), size: input.u64()? },
        2 => Node::Symlink { target: input.bytes()?.to_vec() },
        3 => Node::HardLink { target: TreePath::new(input.bytes()?).map_err(|_| DecodeError("bad path"))? },
        4 => Node::CharDevice { major: input.u32()?, minor: input.u32()? },
        5 => Node::BlockDevice { major: input.u32()?, minor: input.u32()? },
        6 => Node::Fifo,
        _ => return Err(DecodeError("unknown kind of entry")),
    };
    let mut xattrs = Xattrs::new();
    for _ in 0..input.u8()? {
        let name = input.bytes()?.to_vec();
        if xattrs.last_key_value().is_some_and(|(last, _)| *last >= name) {
            return Err(DecodeError("extended attributes out of order"));
        }
        xattrs.insert(name, input.bytes()?.to_vec());
    }
    Ok((path, Entry { node, meta, xattrs }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> TreePath {
        TreePath::new(text.as_bytes()).unwrap()
    }

    fn file(text: &str) -> (TreePath, Entry) {
        (path(text), Entry::new(Node::File { content: Digest::of(text.as_bytes()), size: 1 }, Meta::FILE))
    }

    fn sample() -> Tree {
        let link = Entry::new(Node::Symlink { target: b"b".to_vec() }, Meta::LINK);
        let hard = Entry::new(Node::HardLink { target: path("a/b") }, Meta::FILE);
        let mut tagged = file("a/x");
        tagged.1.xattrs.insert(b"security.capability".to_vec(), vec![1, 0, 2]);
        let directory = (path("a"), Entry::new(Node::Directory, Meta { mode: 0o1777, uid: 1, gid: 2, mtime: 9 }));
        let device = (path("dev"), Entry::new(Node::CharDevice { major: 1, minor: 3 }, Meta::FILE));
        Tree::new(vec![file("a/b"), (path("a/c"), link), (path("a/d"), hard), tagged, directory, device]).unwrap()
    }

    #[test]
    fn the_encoding_gives_back_the_tree_and_only_whole() {
        let tree = sample();
        let bytes = tree.encode();
        assert_eq!(Tree::decode(&bytes), Ok(tree));
        for end in 0..bytes.len() {
            assert!(Tree::decode(&bytes[..end]).is_err());
        }
        assert!(Tree::decode(&[bytes.as_slice(), b"x"].concat()).is_err());
    }

    #[test]
    fn the_name_of_a_tree_does_not_move() {
        assert_eq!(
            sample().digest().to_hex(),
            "4ae34bcd34ca19a1c2f82424b0d7b8e880189c1944aec1407ac565c37ddccd89",
            "the tree encoding changed: every store would lose its contents"
        );
    }

    #[test]
    fn what_lies_below_a_link_or_a_file_is_refused() {
        let link = (path("a"), Entry::new(Node::Symlink { target: b"/etc".to_vec() }, Meta::LINK));
        assert!(matches!(Tree::new(vec![file("a/b/c"), link, file("a-b")]), Err(TreeError::BelowNonDirectory { .. })));
        assert!(matches!(Tree::new(vec![file("a"), file("a")]), Err(TreeError::Duplicate(_))));
    }

    #[test]
    fn a_hard_link_points_at_an_earlier_file() {
        let hard = |from: &str, to: &str| (path(from), Entry::new(Node::HardLink { target: path(to) }, Meta::FILE));
        assert!(Tree::new(vec![file("a"), hard("b", "a")]).is_ok());
        assert!(Tree::new(vec![file("b"), hard("a", "b")]).is_err());
        assert!(Tree::new(vec![hard("b", "a")]).is_err());
    }
}
