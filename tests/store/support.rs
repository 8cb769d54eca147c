//! What the tests of the store want of a package beside its source, its tree and its pack: one fact, a blob, an outcome.

use dlstore_model::digest::{ActionKey, Digest, KeyBuilder, OciDigest};
use dlstore_store::{
    Batch, GcOptions, Lease, Leftover, NewAction, NewBlob, NewPackage, ObjectRef, PackageRecord, Store,
};

pub(crate) use dlstore_kit::content::*;
pub(crate) use dlstore_kit::names;

/// The key of a thing; a pack's is that of its layer tree.
pub(crate) fn key(kind: &str, number: u32) -> ActionKey {
    if kind == "pack" { pack_key(number) } else { KeyBuilder::new(kind).number(u64::from(number)).finish() }
}

pub(crate) fn fact_bytes(number: u32) -> Vec<u8> {
    format!("fact {number}").into_bytes()
}

pub(crate) fn new_package(number: u32) -> NewPackage {
    NewPackage { record: record(number), sonames: vec![b"liba.so.1".to_vec()] }
}

pub(crate) fn record(number: u32) -> PackageRecord {
    record_with(number, &[("elf".into(), fact_bytes(number))])
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
        facts: vec![new_fact(fact_bytes(number))],
        packages: vec![new_package(number)],
        packs: vec![new_pack(lease, number, number)],
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

/// Collects without grace, and what a killed publication left without a row: these tests want nothing left.
pub(crate) fn gc_now() -> GcOptions {
    GcOptions { orphan_sources: Leftover::Remove, ..gc_without_grace() }
}
