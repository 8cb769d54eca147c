//! Fix-ups: what maintainer scripts would make and an image needs, made by small pure functions.
//!
//! Scripts of packages never run. Each file here makes one thing that they would have left behind, out
//! of nothing but its arguments: no file system, no clock, no environment, no foreign program. So a
//! fix-up is a derivation: the same inputs under the same `VERSION` give the same bytes on every
//! machine, and what it made is kept under (name, `VERSION`, inputs, parameters).
//!
//! Every `VERSION` is pinned by golden tests beside it: whoever changes output must bump it, else old
//! outcomes would be taken for new ones.
//!
//! `date` arguments are the newest date of what the caller took as inputs (0 when there is none); they
//! become the modification time of files and links. Folders are always at 0. The parents of an entry
//! are not generated unless their mode or owner is the point.

pub mod accounts;
pub mod apk_database;
pub mod ca_bundle;
pub mod dpkg_database;
pub mod ld_musl_path;
pub mod ld_so_cache;
pub mod made;
pub mod nsswitch;
pub mod os_release;
pub mod run;
pub mod usr_merge;

use std::collections::{BTreeMap, BTreeSet};

pub use crate::definition::FIXUPS;
use dlstore_model::digest::Digest;
use dlstore_model::path::TreePath;
use dlstore_model::tree::{Entry, Meta, Node};

/// What a fix-up makes. Two that make the same are equal, whatever they made it of.
#[derive(Debug, Clone, Default)]
pub struct Generated {
    /// Entries, parents not included unless the fix-up means to set their mode or owner.
    pub entries: Vec<(TreePath, Entry)>,
    /// Bytes of the files among them.
    pub contents: BTreeMap<Digest, Vec<u8>>,
    /// Files of the image that an entry was made of, where the fix-up looks at the image.
    pub sources: BTreeMap<TreePath, BTreeSet<TreePath>>,
    /// Packages that an entry was made of: what runs the fix-ups says it.
    pub packages: BTreeMap<TreePath, BTreeSet<String>>,
}

impl PartialEq for Generated {
    fn eq(&self, other: &Self) -> bool {
        self.entries == other.entries && self.contents == other.contents
    }
}

impl Eq for Generated {}

impl Generated {
    /// Says that all entries were made of some packages.
    pub fn made_of(&mut self, packages: &BTreeSet<String>) {
        for (path, _) in &self.entries {
            self.packages.entry(path.clone()).or_default().extend(packages.iter().cloned());
        }
    }

    /// Adds a file.
    pub fn file(&mut self, path: TreePath, meta: Meta, bytes: Vec<u8>) {
        let content = Digest::of(&bytes);
        self.entries.push((path, Entry::new(Node::File { content, size: bytes.len() as u64 }, meta)));
        self.contents.insert(content, bytes);
    }

    /// Adds a folder.
    pub fn folder(&mut self, path: TreePath, meta: Meta) {
        self.entries.push((path, Entry::new(Node::Folder, meta)));
    }

    /// Adds a symbolic link.
    pub fn link(&mut self, path: TreePath, target: &[u8], date: u64) {
        self.entries
            .push((path, Entry::new(Node::Symlink { target: target.to_vec() }, Meta { mtime: date, ..Meta::LINK })));
    }

    /// Adds another name of a file that was added before.
    pub fn hard_link(&mut self, path: TreePath, target: TreePath, meta: Meta) {
        self.entries.push((path, Entry::new(Node::HardLink { target }, meta)));
    }

    /// Gives the bytes of the file at `path`, when it is among the entries.
    #[must_use]
    pub fn bytes(&self, path: &TreePath) -> Option<&[u8]> {
        let (_, entry) = self.entries.iter().find(|(own, _)| own == path)?;
        match &entry.node {
            Node::File { content, .. } => self.contents.get(content).map(Vec::as_slice),
            _ => None,
        }
    }
}

/// Gives the version of the fix-up of that name: part of the key of what it made.
#[must_use]
pub fn version(name: &str) -> Option<u32> {
    Some(match name {
        "accounts" => accounts::VERSION,
        "ca-bundle" => ca_bundle::VERSION,
        "os-release" => os_release::VERSION,
        "nsswitch" => nsswitch::VERSION,
        "ld-musl-path" => ld_musl_path::VERSION,
        "usr-merge" => usr_merge::VERSION,
        "ld-so-cache" => ld_so_cache::VERSION,
        "dpkg-database" => dpkg_database::VERSION,
        "apk-database" => apk_database::VERSION,
        _ => return None,
    })
}

/// Takes a path that is written in this program.
pub(crate) fn fixed(path: &str) -> TreePath {
    TreePath::new(path.as_bytes()).expect("paths in the program are written in canonical form")
}

/// A plain file of root, 0644.
pub(crate) const fn plain(date: u64) -> Meta {
    Meta { mtime: date, ..Meta::FILE }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Names everything that was generated in one digest: for golden tests.
    pub(crate) fn fingerprint(generated: &Generated) -> String {
        let tree = dlstore_model::tree::Tree::new(generated.entries.clone()).unwrap();
        for (_, entry) in &tree {
            if let Node::File { content, size } = entry.node {
                assert_eq!(generated.contents[&content].len() as u64, size);
            }
        }
        tree.digest().to_hex()
    }

    /// Gives the text of a generated file.
    pub(crate) fn text<'a>(generated: &'a Generated, path: &str) -> &'a str {
        std::str::from_utf8(generated.bytes(&fixed(path)).unwrap_or_else(|| panic!("no file {path}"))).unwrap()
    }

    #[test]
    fn every_fix_up_has_a_version() {
        assert!(FIXUPS.iter().all(|name| version(name).is_some()));
        assert_eq!(version("ldconfig"), None);
    }
}
