//! STUB: interface of the store.
use std::fs::File;
use std::path::{Path, PathBuf};

use crate::digest::{ActionKey, Digest, OciDigest};
use crate::layer::{Codec, PackInfo};
use crate::package::Format;
use crate::tree::Tree;

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("placeholder")]
    Placeholder,
}

pub struct Store {
    _root: PathBuf,
}

/// How a store is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Make it when it is not there.
    Create,
    /// It must exist.
    Existing,
}

/// Anything that gc can keep or collect, and that something else can refer to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectRef {
    /// A kept source by its SHA-256.
    Source(OciDigest),
    /// A tree by its name; its facts go with it.
    Tree(Digest),
    /// A package: source it came from.
    Package(OciDigest),
    /// A pack by its key.
    Pack(ActionKey),
    /// A remembered outcome.
    Action(ActionKey),
    /// A small blob kept in the index (config, manifest, index).
    Blob(OciDigest),
}

/// A package as the index knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageRecord {
    pub source: OciDigest,
    /// Bytes of the source.
    pub source_size: u64,
    pub tree: Digest,
    pub format: Format,
    pub name: String,
    pub version: String,
    /// In the format's own words.
    pub architecture: String,
    /// Entries and content bytes of the tree, for listings.
    pub entries: u64,
    pub content_size: u64,
    /// Newest date of what is not a folder (Tree::date).
    pub date: u64,
}

/// A pack to publish: its bytes lie in a staged file, complete.
pub struct NewPack {
    pub key: ActionKey,
    pub parts: Vec<Digest>,
    pub info: PackInfo,
    pub staged: PathBuf,
}
pub struct NewSource {
    pub sha256: OciDigest,
    pub size: u64,
    pub staged: PathBuf,
}
pub struct NewTree {
    pub digest: Digest,
    pub encoded: Vec<u8>,
}
/// Facts of a tree: kind (with version, "elf 1") and data.
pub struct NewFact {
    pub tree: Digest,
    pub kind: String,
    pub data: Vec<u8>,
}
pub struct NewAction {
    pub key: ActionKey,
    pub kind: String,
    pub value: Vec<u8>,
    pub refs: Vec<ObjectRef>,
}
pub struct NewBlob {
    pub digest: OciDigest,
    pub media_type: String,
    pub data: Vec<u8>,
}

/// Everything that one publication adds, content before what refers to it. All or nothing.
#[derive(Default)]
pub struct Batch {
    pub sources: Vec<NewSource>,
    pub trees: Vec<NewTree>,
    pub facts: Vec<NewFact>,
    /// `None` as source when sources are not kept.
    pub packages: Vec<PackageRecord>,
    pub packs: Vec<NewPack>,
    pub blobs: Vec<NewBlob>,
    pub actions: Vec<NewAction>,
    /// Roots to set: name -> what it keeps.
    pub roots: Vec<(String, Vec<ObjectRef>)>,
}

/// A living claim: what was published or held under it is not collected while it lives.
pub struct Lease {
    _private: (),
}

impl Store {
    pub fn open(_root: &Path, _access: Access) -> Result<Self, StoreError> {
        todo!()
    }
    pub fn root(&self) -> &Path {
        &self._root
    }

    // -- reading: no lease, no write
    pub fn package_by_source(&self, _source: &OciDigest) -> Result<Option<PackageRecord>, StoreError> {
        todo!()
    }
    /// All packages, sorted by format, name, architecture, version text, source.
    pub fn packages(&self) -> Result<Vec<PackageRecord>, StoreError> {
        todo!()
    }
    pub fn packages_named(&self, _format: Format, _name: &str) -> Result<Vec<PackageRecord>, StoreError> {
        todo!()
    }
    pub fn tree(&self, _digest: &Digest) -> Result<Option<Tree>, StoreError> {
        todo!()
    }
    pub fn fact(&self, _tree: &Digest, _kind: &str) -> Result<Option<Vec<u8>>, StoreError> {
        todo!()
    }
    pub fn pack(&self, _key: &ActionKey) -> Result<Option<PackInfo>, StoreError> {
        todo!()
    }
    /// Opens a pack's bytes after the cheap check (inode, size, mtime as recorded; re-hash when they differ). None: a miss.
    pub fn open_pack(&self, _info: &PackInfo) -> Result<Option<File>, StoreError> {
        todo!()
    }
    /// The path of a pack's bytes, for hard links (checked as open_pack).
    pub fn pack_path(&self, _info: &PackInfo) -> Result<Option<PathBuf>, StoreError> {
        todo!()
    }
    pub fn open_source(&self, _sha256: &OciDigest) -> Result<Option<File>, StoreError> {
        todo!()
    }
    pub fn action(&self, _key: &ActionKey) -> Result<Option<Vec<u8>>, StoreError> {
        todo!()
    }
    pub fn blob(&self, _digest: &OciDigest) -> Result<Option<Vec<u8>>, StoreError> {
        todo!()
    }
    pub fn root_target(&self, _name: &str) -> Result<Option<Vec<ObjectRef>>, StoreError> {
        todo!()
    }

    // -- writing
    pub fn lease(&self, _note: &str) -> Result<Lease, StoreError> {
        todo!()
    }
    /// Publishes by the write protocol of store.md; on return everything in the batch is durable, visible and held by the lease.
    pub fn publish(&self, _lease: &Lease, _batch: Batch) -> Result<(), StoreError> {
        todo!()
    }
    /// Holds existing objects under the lease; false when one is no longer there (the caller goes the long way).
    pub fn hold(&self, _lease: &Lease, _objects: &[ObjectRef]) -> Result<bool, StoreError> {
        todo!()
    }
}

impl Lease {
    /// A new file path inside the stage of this lease: never the same twice.
    pub fn stage_path(&self) -> PathBuf {
        todo!()
    }
    /// Ends the lease (also on drop).
    pub fn release(self) -> Result<(), StoreError> {
        todo!()
    }
}

#[allow(unused)]
fn _types(_: Codec) {}
pub fn default_root(_env: impl Fn(&str) -> Option<std::ffi::OsString>) -> Option<PathBuf> {
    todo!()
}
