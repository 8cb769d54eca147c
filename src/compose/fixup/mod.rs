//! Generated content: small pure functions from their inputs to entries and their bytes.
//! STUB interface; one file per fix-up.
use std::collections::BTreeMap;

use crate::arch::Arch;
use crate::digest::Digest;
use crate::elf::Elf;
use crate::path::TreePath;
use crate::tree::{Entry, Meta, Node};

/// What a fix-up makes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Generated {
    /// Entries, parents not included unless the fix-up means to set their mode or owner.
    pub entries: Vec<(TreePath, Entry)>,
    /// Bytes of the files among them.
    pub contents: BTreeMap<Digest, Vec<u8>>,
}

impl Generated {
    /// Adds a file.
    pub fn file(&mut self, path: TreePath, meta: Meta, bytes: Vec<u8>) {
        let content = Digest::of(&bytes);
        self.entries.push((path, Entry::new(Node::File { content, size: bytes.len() as u64 }, meta)));
        self.contents.insert(content, bytes);
    }
}

pub const FIXUPS: &[&str] = &[
    "accounts",
    "ca-bundle",
    "os-release",
    "nsswitch",
    "ld-musl-path",
    "usr-merge",
    "ld-so-cache",
    "dpkg-database",
    "apk-database",
];

#[allow(unused)]
fn _t(_: Arch, _: Elf) {}
