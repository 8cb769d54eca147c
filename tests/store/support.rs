//! Small content for stores: everything about a piece of it follows from one number.

use std::path::{Path, PathBuf};
use std::time::Duration;

use dlstore_formats::layer::{Codec, PackInfo, Piece, PieceKind};
use dlstore_formats::package::Format;
use dlstore_model::digest::{ActionKey, Digest, KeyBuilder, OciDigest};
use dlstore_model::path::TreePath;
use dlstore_model::tree::{Entry, Meta, Node, Tree};
use dlstore_store::{
    Access, Batch, Depth, FactRef, GcOptions, Lease, Leftover, NewAction, NewBlob, NewFact, NewPack, NewPackage,
    NewSource, NewTree, ObjectRef, PackageRecord, Store, VerifyOptions, VerifyReport,
};

pub(crate) struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    pub(crate) fn open(&self) -> Store {
        Store::open(&self.path(), Access::Create).unwrap()
    }
}

pub(crate) fn tree(number: u32) -> Tree {
    let name = format!("file-{number}");
    let content = Node::File { content: Digest::of(name.as_bytes()), size: 100 };
    let entries = (0..10)
        .map(|at| (TreePath::new(format!("{name}-{at}").as_bytes()).unwrap(), Entry::new(content.clone(), Meta::FILE)));
    Tree::new(entries.collect()).unwrap()
}

pub(crate) fn source_bytes(number: u32) -> Vec<u8> {
    format!("source {number} ").repeat(50).into_bytes()
}

pub(crate) fn pack_bytes(number: u32) -> Vec<u8> {
    format!("pack {number} ").repeat(50).into_bytes()
}

pub(crate) fn source(number: u32) -> OciDigest {
    OciDigest::of(&source_bytes(number))
}

/// The key of a thing; a pack's is that of its layer tree.
pub(crate) fn key(kind: &str, number: u32) -> ActionKey {
    if kind == "pack" {
        return dlstore_formats::layer::pack_key(Codec::Gzip, &[tree(number).digest()]);
    }
    KeyBuilder::new(kind).number(u64::from(number)).finish()
}

pub(crate) fn pack_info(number: u32) -> PackInfo {
    let bytes = pack_bytes(number);
    PackInfo {
        codec: Codec::Gzip,
        blob: OciDigest::of(&bytes),
        size: bytes.len() as u64,
        diff_id: OciDigest::of(&[&bytes[..], b"raw"].concat()),
        raw_size: 1000 + 1024,
        pieces: vec![
            Piece { kind: PieceKind::Body, raw: 1000, packed: bytes.len() as u64 - 30, crc32: number, packed_crc32: 1 },
            Piece { kind: PieceKind::End, raw: 1024, packed: 10, crc32: 2, packed_crc32: 3 },
        ],
    }
}

pub(crate) fn fact_bytes(number: u32) -> Vec<u8> {
    format!("fact {number}").into_bytes()
}

pub(crate) fn new_package(number: u32) -> NewPackage {
    NewPackage { record: record(number), sonames: vec![b"liba.so.1".to_vec()] }
}

pub(crate) fn record(number: u32) -> PackageRecord {
    PackageRecord {
        source: source(number),
        source_size: source_bytes(number).len() as u64,
        decoder: dlstore_store::decoder(),
        given: String::new(),
        tree: tree(number).digest(),
        facts: vec![FactRef { kind: "elf".into(), digest: Digest::of(&fact_bytes(number)) }],
        format: Format::Deb,
        name: format!("package-{number:03}"),
        version: "1.0-1".into(),
        architecture: "amd64".into(),
        entries: 10,
        content_size: 1000,
        date: tree(number).date(),
    }
}

pub(crate) fn new_source(lease: &Lease, number: u32) -> NewSource {
    let (staged, bytes) = (lease.stage_path(), source_bytes(number));
    std::fs::write(&staged, &bytes).unwrap();
    NewSource { sha256: OciDigest::of(&bytes), size: bytes.len() as u64, staged }
}

pub(crate) fn new_tree(number: u32) -> NewTree {
    NewTree::new(&tree(number))
}

pub(crate) fn new_pack(lease: &Lease, number: u32) -> NewPack {
    let staged = lease.stage_path();
    std::fs::write(&staged, pack_bytes(number)).unwrap();
    NewPack { key: key("pack", number), parts: vec![tree(number).digest()], info: pack_info(number), staged }
}

pub(crate) fn blob_bytes(number: u32) -> Vec<u8> {
    format!("{{\"blob\": {number}}}").into_bytes()
}

/// Source, tree, facts, package and pack, with a blob and an action that refers to the pack and the blob.
pub(crate) fn package_batch(lease: &Lease, number: u32) -> Batch {
    let blob = OciDigest::of(&blob_bytes(number));
    Batch {
        sources: vec![new_source(lease, number)],
        trees: vec![new_tree(number)],
        facts: vec![NewFact { digest: Digest::of(&fact_bytes(number)), data: fact_bytes(number).into() }],
        packages: vec![new_package(number)],
        packs: vec![new_pack(lease, number)],
        blobs: vec![NewBlob { digest: blob, media_type: "application/json".into(), data: blob_bytes(number) }],
        actions: vec![NewAction {
            key: key("action", number),
            kind: "test 1".into(),
            value: number.to_le_bytes().to_vec(),
            refs: vec![ObjectRef::Pack(key("pack", number)), ObjectRef::Blob(blob)],
        }],
        roots: Vec::new(),
    }
}

pub(crate) fn all_objects(number: u32) -> Vec<ObjectRef> {
    vec![
        ObjectRef::Source(source(number)),
        ObjectRef::Tree(tree(number).digest()),
        record(number).object(),
        ObjectRef::Pack(key("pack", number)),
        ObjectRef::Action(key("action", number)),
        ObjectRef::Blob(OciDigest::of(&blob_bytes(number))),
        ObjectRef::Fact(Digest::of(&fact_bytes(number))),
    ]
}

/// What keeps all of a package.
pub(crate) fn top_objects(number: u32) -> Vec<ObjectRef> {
    vec![record(number).object(), ObjectRef::Action(key("action", number))]
}

pub(crate) fn root_name(number: u32) -> String {
    format!("package/deb/package-{number}/1.0-1/amd64")
}

pub(crate) fn publish(store: &Store, number: u32, with_root: bool) {
    let lease = store.lease("test").unwrap();
    let mut batch = package_batch(&lease, number);
    if with_root {
        batch.roots.push((root_name(number), top_objects(number)));
    }
    store.publish(&lease, batch).unwrap();
    lease.release().unwrap();
}

/// Says which of a package's objects can be read, in the order of [`all_objects`].
pub(crate) fn readable(store: &Store, number: u32) -> [bool; 7] {
    let read = |file: Option<std::fs::File>| {
        file.map(|mut file| {
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut file, &mut bytes).unwrap();
            bytes
        })
    };
    let tree = tree(number);
    let info = store.pack(&key("pack", number)).unwrap();
    let bytes = info.and_then(|info| read(store.open_pack(&info).unwrap()));
    [
        read(store.open_source(&source(number)).unwrap()) == Some(source_bytes(number)),
        store.tree(&tree.digest()).unwrap() == Some(tree),
        store.package(&record(number).key()).unwrap() == Some(record(number)),
        bytes == Some(pack_bytes(number)),
        store.action(&key("action", number)).unwrap() == Some(number.to_le_bytes().to_vec()),
        store.blob(&OciDigest::of(&blob_bytes(number))).unwrap() == Some(blob_bytes(number)),
        store.fact(&Digest::of(&fact_bytes(number))).unwrap() == Some(fact_bytes(number)),
    ]
}

/// Collects without grace.
pub(crate) fn gc_now() -> GcOptions {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    // A killed publication leaves its source without a row, and these tests want nothing left.
    GcOptions { grace: Duration::ZERO, orphan_sources: Leftover::Remove, ..GcOptions::new(now) }
}

pub(crate) fn verify(store: &Store) -> VerifyReport {
    store.verify(&VerifyOptions::new(Depth::Full)).unwrap()
}

pub(crate) fn assert_spotless(store: &Store) {
    let report = verify(store);
    assert_eq!((report.findings, report.notes), (Vec::new(), Vec::new()));
}

pub(crate) fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
