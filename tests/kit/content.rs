//! Small content for stores: everything about a piece of it follows from one number.
//!
//! What the tests of the store and those of collecting have in common; each adds what else it wants of a package.
//! Stores are opened in the process of the test.

use std::path::PathBuf;
use std::time::Duration;

use dlstore_formats::layer::{self, Codec, PackInfo, Piece, PieceKind};
use dlstore_model::digest::{ActionKey, Digest, OciDigest};
use dlstore_model::format::Format;
use dlstore_model::path::TreePath;
use dlstore_model::tree::{Entry, Meta, Node, Tree};
use dlstore_store::{
    Access, Depth, FactRef, GcOptions, Lease, NewFact, NewPack, NewSource, NewTree, PackageRecord, Store,
    VerifyOptions, VerifyReport,
};

/// A directory of one's own for a store.
#[derive(Debug)]
pub struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    /// An empty one.
    #[expect(clippy::new_without_default, reason = "it makes a directory")]
    pub fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    /// The store, which may not be there yet.
    pub fn path(&self) -> PathBuf {
        self.directory.path().join("store")
    }

    /// Opens the store, or makes it.
    pub fn open(&self) -> Store {
        Store::open(&self.path(), Access::Create).unwrap()
    }

    /// Opens the index as SQLite sees it, to damage it.
    pub fn index(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.path().join("index.db")).unwrap()
    }
}

/// A tree of ten files.
pub fn tree(number: u32) -> Tree {
    let name = format!("file-{number}");
    let content = Node::File { content: Digest::of(name.as_bytes()), size: 100 };
    let entries = (0..10)
        .map(|at| (TreePath::new(format!("{name}-{at}").as_bytes()).unwrap(), Entry::new(content.clone(), Meta::FILE)));
    Tree::new(entries.collect()).unwrap()
}

/// The same, to be published.
pub fn new_tree(number: u32) -> NewTree {
    NewTree::new(&tree(number))
}

/// The bytes of a source.
pub fn source_bytes(number: u32) -> Vec<u8> {
    format!("source {number} ").repeat(50).into_bytes()
}

/// The name of a source.
pub fn source(number: u32) -> OciDigest {
    OciDigest::of(&source_bytes(number))
}

fn staged(lease: &Lease, bytes: &[u8]) -> PathBuf {
    let path = lease.stage_path();
    std::fs::write(&path, bytes).unwrap();
    path
}

/// A source, staged and to be published.
pub fn new_source(lease: &Lease, number: u32) -> NewSource {
    let bytes = source_bytes(number);
    NewSource { sha256: OciDigest::of(&bytes), size: bytes.len() as u64, staged: staged(lease, &bytes) }
}

/// A fact to be published.
pub fn new_fact(data: Vec<u8>) -> NewFact {
    NewFact { digest: Digest::of(&data), data: data.into() }
}

/// A package with the source and the tree of its number, and with these facts: kinds and bytes.
pub fn record_with(number: u32, facts: &[(String, Vec<u8>)]) -> PackageRecord {
    let tree = tree(number);
    PackageRecord {
        source: source(number),
        source_size: source_bytes(number).len() as u64,
        decoder: dlstore_store::decoder(),
        given: String::new(),
        tree: tree.digest(),
        facts: facts.iter().map(|(kind, data)| FactRef { kind: kind.clone(), digest: Digest::of(data) }).collect(),
        format: Format::Deb,
        name: format!("package-{number:06}"),
        version: "1.0-1".into(),
        architecture: "amd64".into(),
        entries: tree.len() as u64,
        content_size: tree.content_size(),
        date: tree.date(),
    }
}

/// The name of a root that keeps a package.
pub fn root_name(number: u32) -> String {
    format!("package/deb/package-{number}/1.0-1/amd64")
}

/// The key of a pack: that of its layer tree.
pub fn pack_key(number: u32) -> ActionKey {
    layer::pack_key(Codec::Gzip, &[tree(number).digest()])
}

/// The bytes of the file of a pack.
pub fn pack_bytes(file: u32) -> Vec<u8> {
    format!("pack {file} ").repeat(50).into_bytes()
}

/// What is known of the file of a pack.
pub fn pack_info(file: u32) -> PackInfo {
    let bytes = pack_bytes(file);
    PackInfo {
        codec: Codec::Gzip,
        blob: OciDigest::of(&bytes),
        size: bytes.len() as u64,
        diff_id: OciDigest::of(&[&bytes[..], b"raw"].concat()),
        raw_size: 1000 + 1024,
        pieces: vec![
            Piece { kind: PieceKind::Body, raw: 1000, packed: bytes.len() as u64 - 30, crc32: file, packed_crc32: 1 },
            Piece { kind: PieceKind::End, raw: 1024, packed: 10, crc32: 2, packed_crc32: 3 },
        ],
    }
}

/// A pack of its own, whose bytes lie in a file that packs may share.
pub fn new_pack(lease: &Lease, number: u32, file: u32) -> NewPack {
    let staged = staged(lease, &pack_bytes(file));
    NewPack { key: pack_key(number), parts: vec![tree(number).digest()], info: pack_info(file), staged }
}

/// Seconds since 1970.
pub fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

/// Collects without grace.
pub fn gc_without_grace() -> GcOptions {
    GcOptions { grace: Duration::ZERO, ..GcOptions::new(now()) }
}

/// Looks at everything in a store.
pub fn verify(store: &Store) -> VerifyReport {
    store.verify(&VerifyOptions::new(Depth::Full)).unwrap()
}

/// Asserts that nothing is wrong with a store, and nothing odd.
pub fn assert_spotless(store: &Store) {
    let report = verify(store);
    assert_eq!((report.findings, report.notes), (Vec::new(), Vec::new()));
}
