//! Layers: writing against libdeflate alone, merging against SHA-256 of the raw bytes.
//!
//! Synthetic packages of the size of a C library's: binaries of 1 to 2 MB and many small files of
//! text, which compress to about 0.36. Print ratios, not times: `write/gzip` against `write/floor`
//! (libdeflate level 6 on the same pieces), `merge/gzip` against `merge/floor` (SHA-256 of raw).

#![expect(clippy::cast_precision_loss, clippy::print_stderr, reason = "it says how well its inputs compress")]

use std::collections::HashMap;
use std::fs::File;
use std::hint::black_box;
use std::io::{self, Write};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use dlstore_formats::layer::{Codec, Contents, StoredPack, merge_packs, verify_pack, write_pack, write_tar};
use dlstore_kit::Dice;
use dlstore_model::digest::{Digest, OciDigest};
use dlstore_model::path::TreePath;
use dlstore_model::tree::{Entry, Meta, Node, Tree};

struct Memory(HashMap<Digest, Vec<u8>>);

impl Contents for Memory {
    fn read_at(&self, _: &TreePath, content: &Digest, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let from = usize::try_from(offset).map_err(io::Error::other)?;
        let bytes = self.0.get(content).and_then(|bytes| bytes.get(from..from + buffer.len()));
        buffer.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// Bytes as machine code has them: instructions of a skewed choice with operands, some of which
/// are random, and runs that came before.
fn binary(dice: &mut Dice, length: usize) -> Vec<u8> {
    let mut out: Vec<u8> = Vec::with_capacity(length + 64);
    while out.len() < length {
        match dice.below(10) {
            0 if out.len() > 40_000 => {
                let from = out.len() - 1 - dice.below(30_000) as usize;
                let until = (from + 4 + dice.below(24) as usize).min(out.len());
                out.extend_from_within(from..until);
            }
            1..=3 => out.extend_from_slice(&[0x48, 0x8b, (dice.below(16) * 8) as u8]),
            4..=5 => out.extend_from_slice(&[0xe8, dice.below(256) as u8, dice.below(256) as u8, 0xff, 0xff]),
            6 => out.extend_from_slice(&[0; 8]),
            _ => {
                let skewed = dice.below(16) * dice.below(16);
                out.extend_from_slice(&[0x0f, skewed as u8, dice.below(8) as u8]);
            }
        }
    }
    out.truncate(length);
    out
}

/// Bytes as documents have them: few words, and numbers.
fn text(dice: &mut Dice, length: usize) -> Vec<u8> {
    const WORDS: [&str; 16] = [
        "the ",
        "library ",
        "of ",
        "and ",
        "version ",
        "license ",
        "\n",
        "copyright ",
        "zone ",
        "time ",
        "in ",
        "to ",
        "file ",
        "for ",
        "with ",
        "locale ",
    ];
    let mut out = Vec::with_capacity(length + 16);
    while out.len() < length {
        match dice.below(6) {
            0 => out.extend_from_slice(dice.below(100_000).to_string().as_bytes()),
            _ => out.extend_from_slice(WORDS[dice.below(16) as usize].as_bytes()),
        }
    }
    out.truncate(length);
    out
}

fn package(seed: u64) -> (Tree, Memory) {
    let mut dice = Dice::new(seed);
    let mut contents = HashMap::new();
    let mut entries = vec![];
    let directories = ["usr", "usr/lib", "usr/share", "usr/share/doc"];
    for directory in directories {
        entries
            .push((TreePath::new(directory.as_bytes()).expect("a path"), Entry::new(Node::Directory, Meta::DIRECTORY)));
    }
    let mut add = |path: String, bytes: Vec<u8>| {
        let content = Digest::of(&bytes);
        let node = Node::File { content, size: bytes.len() as u64 };
        contents.insert(content, bytes);
        entries.push((TreePath::new(path.as_bytes()).expect("a path"), Entry::new(node, Meta::FILE)));
    };
    for number in 0..7 {
        let length = 1_000_000 + dice.below(1_000_000) as usize;
        add(format!("usr/lib/lib{seed}-{number}.so"), binary(&mut dice, length));
    }
    for number in 0..250 {
        let length = 1000 + dice.below(40_000) as usize;
        let bytes = if number % 3 == 0 { binary(&mut dice, length) } else { text(&mut dice, length) };
        add(format!("usr/share/doc/{seed}-{number}"), bytes);
    }
    (Tree::new(entries).expect("a tree"), Memory(contents))
}

fn stored(tree: &Tree, contents: &Memory, codec: Codec) -> StoredPack {
    let mut bytes = Vec::new();
    let info = write_pack(tree, contents, codec, &mut bytes).expect("a pack");
    let mut file: File = tempfile::tempfile().expect("a file");
    file.write_all(&bytes).expect("room");
    StoredPack { info, file }
}

fn write(c: &mut Criterion) {
    let (tree, contents) = package(1);
    let mut raw = Vec::new();
    write_tar(&tree, &contents, &mut raw).expect("a tar");
    let info = stored(&tree, &contents, Codec::Gzip).info;
    eprintln!("raw {} packed {} ({:.3})", info.raw_size, info.size, info.size as f64 / info.raw_size as f64);
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a pool");
    let mut group = c.benchmark_group("write");
    group.throughput(Throughput::Bytes(info.raw_size)).sample_size(15);
    group.bench_function("floor: libdeflate 6", |b| {
        let mut compressor = libdeflater::Compressor::new(libdeflater::CompressionLvl::default());
        let mut out = vec![0; 5 << 20];
        b.iter(|| {
            let mut rest = raw.as_slice();
            for piece in &info.pieces {
                let (own, behind) = rest.split_at(piece.raw as usize);
                black_box(compressor.deflate_compress(own, &mut out).expect("room"));
                rest = behind;
            }
        });
    });
    for (name, codec) in [("gzip", Codec::Gzip), ("zstd", Codec::Zstd)] {
        group.bench_function(format!("{name}, 1 thread"), |b| {
            b.iter(|| one.install(|| write_pack(&tree, &contents, codec, &mut io::sink()).expect("a pack")));
        });
        group.bench_function(format!("{name}, all threads"), |b| {
            b.iter(|| write_pack(&tree, &contents, codec, &mut io::sink()).expect("a pack"));
        });
    }
    group.finish();
}

fn merge(c: &mut Criterion) {
    let packages: Vec<(Tree, Memory)> = (1..9).map(package).collect();
    let parts: Vec<_> = packages.iter().map(|(tree, contents)| stored(tree, contents, Codec::Gzip)).collect();
    let directories: Vec<_> = packages[0].0.iter().filter(|item| item.1.is_directory()).cloned().collect();
    let directories = Tree::new(directories).expect("a tree");
    let raw_size: u64 = parts.iter().map(|part| part.info.raw_size).sum();
    let raw: Vec<u8> = vec![7; raw_size as usize];
    let trees: Vec<Tree> = packages.iter().map(|(tree, _)| tree.clone()).collect();
    let mut bytes = Vec::new();
    let info = merge_packs(&directories, &parts, Codec::Gzip, &mut bytes).expect("a layer");
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(&bytes).expect("room");
    let merged = StoredPack { info, file };
    let mut group = c.benchmark_group("merge");
    group.throughput(Throughput::Bytes(raw_size)).sample_size(15);
    group.bench_function("floor: SHA-256 of raw", |b| b.iter(|| OciDigest::of(black_box(&raw))));
    group.bench_function("gzip", |b| {
        b.iter(|| merge_packs(&directories, &parts, Codec::Gzip, &mut io::sink()).expect("a layer"));
    });
    group.bench_function("verify", |b| b.iter(|| assert!(verify_pack(&trees, &merged).expect("a file"))));
    group.finish();
}

criterion_group!(benches, write, merge);
criterion_main!(benches);
