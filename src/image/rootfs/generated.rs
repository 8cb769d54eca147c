//! Content that is made and not found: entries with their bytes, out of fix-ups and of the data in the program.
//!
//! Dates are those of whoever makes it; directories are always at 0. The parents of an entry are not generated unless
//! their mode or owner is the point.

use std::collections::{BTreeMap, BTreeSet};

use dlstore_model::digest::Digest;
use dlstore_model::path::TreePath;
use dlstore_model::tree::{Entry, Meta, Node};

/// What was made. Two that are the same are equal, whatever they made it of.
#[derive(Debug, Clone, Default)]
pub(crate) struct Generated {
    /// Entries, parents not included unless the fix-up means to set their mode or owner.
    pub(crate) entries: Vec<(TreePath, Entry)>,
    /// Bytes of the files among them.
    pub(crate) contents: BTreeMap<Digest, Vec<u8>>,
    /// Files of the image that an entry was made of, where the fix-up looks at the image.
    pub(crate) sources: BTreeMap<TreePath, BTreeSet<TreePath>>,
    /// Packages that an entry was made of: what runs the fix-ups says it.
    pub(crate) packages: BTreeMap<TreePath, BTreeSet<String>>,
}

impl PartialEq for Generated {
    fn eq(&self, other: &Self) -> bool {
        self.entries == other.entries && self.contents == other.contents
    }
}

impl Eq for Generated {}

impl Generated {
    /// Says that all entries were made of some packages.
    pub(crate) fn made_of(&mut self, packages: &BTreeSet<String>) {
        for (path, _) in &self.entries {
            self.packages.entry(path.clone()).or_default().extend(packages.iter().cloned());
        }
    }

    /// Adds a file.
    pub(crate) fn file(&mut self, path: TreePath, meta: Meta, bytes: Vec<u8>) {
        let content = Digest::of(&bytes);
        self.entries.push((path, Entry::new(Node::File { content, size: bytes.len() as u64 }, meta)));
        self.contents.insert(content, bytes);
    }

    /// Adds a directory.
    pub(crate) fn directory(&mut self, path: TreePath, meta: Meta) {
        self.entries.push((path, Entry::new(Node::Directory, meta)));
    }

    /// Adds a symbolic link.
    pub(crate) fn link(&mut self, path: TreePath, target: &[u8], date: u64) {
        self.entries
            .push((path, Entry::new(Node::Symlink { target: target.to_vec() }, Meta { mtime: date, ..Meta::LINK })));
    }

    /// Gives the bytes of the file at `path`, when it is among the entries.
    #[cfg(test)]
    pub(crate) fn bytes(&self, path: &TreePath) -> Option<&[u8]> {
        let (_, entry) = self.entries.iter().find(|(own, _)| own == path)?;
        match &entry.node {
            Node::File { content, .. } => self.contents.get(content).map(Vec::as_slice),
            _ => None,
        }
    }
}

/// Takes a path that is written in this program.
pub(crate) fn fixed(path: &str) -> TreePath {
    TreePath::new(path.as_bytes()).expect("paths in the program are written in canonical form")
}

/// A plain file of root, 0644.
pub(crate) const fn plain(date: u64) -> Meta {
    Meta { mtime: date, ..Meta::FILE }
}
