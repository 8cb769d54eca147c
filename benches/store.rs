//! The store: opening it, publishing into it, and trees as bytes.
//!
//! Inputs are made here and lie in memory before the clock starts. Publishing is measured beside its
//! floor, writing the same bytes into as many files and one `syncfs`; its packs are staged outside of
//! the time, as they are in a command, where making them takes far longer.

use std::fs::{self, File};
use std::hint::black_box;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use dlstore_formats::layer::{Codec, Contents, pack_key, write_pack};
use dlstore_model::digest::{Digest, OciDigest, PackageKey};
use dlstore_model::path::TreePath;
use dlstore_model::tree::{Entry, Meta, Node, Tree};
use dlstore_store::session::Session;
use dlstore_store::{Access, Store};

/// Entries of the tree that is encoded: about those of a package of time zones.
const ENTRIES: usize = 2000;
/// Packs of one publication: about those of an image for eight architectures.
const PACKS: u32 = 20;
/// Bytes of the one file of each pack.
const SIZE: usize = 100_000;

fn path(text: &str) -> TreePath {
    TreePath::new(text.as_bytes()).expect("it is a plain path")
}

fn tree_of(files: impl IntoIterator<Item = (String, Vec<u8>)>) -> Tree {
    let mut entries = vec![(path("usr"), Entry::new(Node::Directory, Meta::DIRECTORY))];
    for (name, bytes) in files {
        let node = Node::File { content: Digest::of(&bytes), size: bytes.len() as u64 };
        entries.push((path(&format!("usr/{name}")), Entry::new(node, Meta::FILE)));
    }
    Tree::new(entries).expect("names differ")
}

struct One(Vec<u8>);

impl Contents for One {
    fn read_at(&self, _: &TreePath, _: &Digest, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let from = usize::try_from(offset).map_err(io::Error::other)?;
        buffer.copy_from_slice(&self.0[from..from + buffer.len()]);
        Ok(())
    }
}

/// Bytes that hardly shrink, other ones for each number.
fn noise(number: u32) -> Vec<u8> {
    let mut bytes = vec![0; SIZE];
    blake3::Hasher::new().update(&number.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

fn tree(c: &mut Criterion) {
    let tree = tree_of((0..ENTRIES).map(|number| (format!("zone-{number}"), number.to_le_bytes().to_vec())));
    let encoded = tree.encode();
    let mut group = c.benchmark_group("tree, 2000 entries");
    group.throughput(Throughput::Elements(ENTRIES as u64));
    group.bench_function("encode", |b| b.iter(|| black_box(&tree).encode()));
    group.bench_function("decode", |b| b.iter(|| Tree::decode(black_box(&encoded)).expect("it was encoded")));
    group.bench_function("digest", |b| b.iter(|| black_box(&tree).digest()));
    group.finish();
}

fn open(c: &mut Criterion) {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let root = directory.path().join("store");
    let absent = OciDigest::of(b"absent");
    drop(Store::open(&root, Access::Create).expect("a store"));
    c.bench_function("open, one row, close", |b| {
        b.iter(|| {
            let store = Store::open(&root, Access::Existing).expect("a store");
            store.package(&PackageKey::new(&absent, 0, "")).expect("an index")
        });
    });
}

fn publish(c: &mut Criterion) {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let store = Store::open(&directory.path().join("store"), Access::Create).expect("a store");
    let mut next = 0;
    let mut group = c.benchmark_group("20 packs of 100 kB");
    group.sample_size(20).throughput(Throughput::Bytes(u64::from(PACKS) * SIZE as u64));
    group.bench_function("floor: files, syncfs", |b| {
        let copies = directory.path().join("copies");
        b.iter_batched(
            || {
                next += 1;
                let directory: PathBuf = copies.join(next.to_string());
                fs::create_dir_all(&directory).expect("a directory");
                (directory, (0..PACKS).map(noise).collect::<Vec<_>>())
            },
            |(directory, packs)| {
                for (number, bytes) in packs.iter().enumerate() {
                    fs::write(directory.join(number.to_string()), bytes).expect("room");
                }
                rustix::fs::syncfs(File::open(directory).expect("a directory")).expect("a disk");
            },
            BatchSize::PerIteration,
        );
    });
    group.bench_function("publish", |b| {
        b.iter_batched(
            || {
                let session = Session::new(&store, "bench");
                for _ in 0..PACKS {
                    next += 1;
                    stage(&session, next);
                }
                session
            },
            |session| session.finish().expect("a store"),
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

/// Makes a tree and its pack, pending in the session.
fn stage(session: &Session<'_>, number: u32) {
    let bytes = noise(number);
    let tree = tree_of([("file".to_owned(), bytes.clone())]);
    let staged = session.stage_path().expect("a lease");
    let mut file = File::create_new(&staged).expect("a fresh path");
    let info = write_pack(&tree, &One(bytes), Codec::Gzip, &mut file).expect("a pack");
    let parts = vec![session.add_tree(&Arc::new(tree))];
    session.add_pack(pack_key(Codec::Gzip, &parts), parts, info, staged);
}

criterion_group!(benches, tree, open, publish);
criterion_main!(benches);
