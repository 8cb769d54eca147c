//! Small content for stores: everything about a piece of it follows from one number.

use std::path::PathBuf;
use std::time::Duration;

use dlstore_formats::layer::{self, Codec, PackInfo, Piece, PieceKind};
use dlstore_model::digest::{ActionKey, Digest, OciDigest};
use dlstore_model::format::Format;
use dlstore_model::path::TreePath;
use dlstore_model::tree::{Entry, Meta, Node, Tree};
use dlstore_store::{
    Access, Batch, Depth, FactRef, GcOptions, Lease, NewFact, NewPack, NewPackage, NewSource, NewTree, ObjectRef,
    PackageRecord, Store, VerifyOptions, VerifyReport,
};

pub(crate) struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("store")
    }

    pub(crate) fn open(&self) -> Store {
        Store::open(&self.path(), Access::Create).unwrap()
    }

    /// Opens the index as SQLite sees it, to damage it.
    pub(crate) fn index(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.path().join("index.db")).unwrap()
    }
}

pub(crate) fn tree(number: u32) -> Tree {
    let name = format!("file-{number}");
    let content = Node::File { content: Digest::of(name.as_bytes()), size: 100 };
    let entries = (0..10)
        .map(|at| (TreePath::new(format!("{name}-{at}").as_bytes()).unwrap(), Entry::new(content.clone(), Meta::FILE)));
    Tree::new(entries.collect()).unwrap()
}

pub(crate) fn new_tree(number: u32) -> NewTree {
    NewTree::new(&tree(number))
}

pub(crate) fn source_bytes(number: u32) -> Vec<u8> {
    format!("source {number} ").into_bytes()
}

pub(crate) fn source(number: u32) -> OciDigest {
    OciDigest::of(&source_bytes(number))
}

pub(crate) fn facts(number: u32) -> Vec<(String, Vec<u8>)> {
    (0..5).map(|at| (format!("kind {at}"), format!("fact {at} of {number}").into_bytes())).collect()
}

pub(crate) fn record(number: u32) -> PackageRecord {
    let facts = facts(number).into_iter().map(|(kind, data)| FactRef { kind, digest: Digest::of(&data) });
    PackageRecord {
        source: source(number),
        source_size: source_bytes(number).len() as u64,
        decoder: dlstore_store::decoder(),
        given: String::new(),
        tree: tree(number).digest(),
        facts: facts.collect(),
        format: Format::Deb,
        name: format!("package-{number:06}"),
        version: "1.0-1".into(),
        architecture: "amd64".into(),
        entries: tree(number).len() as u64,
        content_size: tree(number).content_size(),
        date: tree(number).date(),
    }
}

pub(crate) fn pack_key(number: u32) -> ActionKey {
    layer::pack_key(Codec::Gzip, &[tree(number).digest()])
}

pub(crate) fn pack_bytes(file: u32) -> Vec<u8> {
    format!("pack {file} ").repeat(50).into_bytes()
}

pub(crate) fn pack_info(file: u32) -> PackInfo {
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
pub(crate) fn new_pack(lease: &Lease, number: u32, file: u32) -> NewPack {
    let staged = lease.stage_path();
    std::fs::write(&staged, pack_bytes(file)).unwrap();
    NewPack { key: pack_key(number), parts: vec![tree(number).digest()], info: pack_info(file), staged }
}

/// Source, tree, facts and package.
pub(crate) fn add_package(batch: &mut Batch, lease: &Lease, number: u32) {
    let staged = lease.stage_path();
    std::fs::write(&staged, source_bytes(number)).unwrap();
    let size = source_bytes(number).len() as u64;
    batch.sources.push(NewSource { sha256: source(number), size, staged });
    batch.trees.push(new_tree(number));
    let facts = facts(number).into_iter();
    batch.facts.extend(facts.map(|(_, data)| NewFact { digest: Digest::of(&data), data: data.into() }));
    batch.packages.push(NewPackage { record: record(number), sonames: vec![format!("lib{number}.so").into()] });
}

pub(crate) fn root_name(number: u32) -> String {
    format!("package/deb/package-{number}/1.0-1/amd64")
}

/// Publishes a package with a pack, kept by a root or not.
pub(crate) fn publish(store: &Store, number: u32, with_root: bool) {
    let lease = store.lease("test").unwrap();
    let mut batch = Batch::default();
    add_package(&mut batch, &lease, number);
    batch.packs.push(new_pack(&lease, number, number));
    if with_root {
        batch.roots.push((root_name(number), vec![record(number).object(), ObjectRef::Pack(pack_key(number))]));
    }
    store.publish(&lease, batch).unwrap();
    lease.release().unwrap();
}

pub(crate) fn is_whole(store: &Store, number: u32) -> bool {
    let record = record(number);
    let facts = record.facts.iter().all(|fact| store.fact(&fact.digest).unwrap().is_some());
    store.package(&record.key()).unwrap().as_ref() == Some(&record)
        && facts
        && store.tree(&record.tree).unwrap() == Some(tree(number))
        && store.open_source(&record.source).unwrap().is_some()
        && store.pack(&pack_key(number)).unwrap().is_some_and(|info| store.open_pack(&info).unwrap().is_some())
}

pub(crate) fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

/// Collects without grace.
pub(crate) fn gc_now() -> GcOptions {
    GcOptions { grace: Duration::ZERO, ..GcOptions::new(now()) }
}

pub(crate) fn verify(store: &Store) -> VerifyReport {
    store.verify(&VerifyOptions::new(Depth::Full)).unwrap()
}

pub(crate) fn assert_spotless(store: &Store) {
    let report = verify(store);
    assert_eq!((report.findings, report.notes), (Vec::new(), Vec::new()));
}
