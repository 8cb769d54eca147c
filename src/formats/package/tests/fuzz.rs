//! The corpora of the fuzz targets, replayed; and the program that writes them.

use std::path::PathBuf;

use crate::archive::decompress::Compression;
use crate::package::fixture::{ApkBuilder, DebBuilder, TarEntry, TarWriter, ar_archive, record};
use crate::package::fuzzing;
use dlstore_kit::workspace;
use dlstore_model::path::TreePath;
use dlstore_model::tree::{Entry, Meta, Node, Tree};

type Target = (&'static str, fn(&[u8]));

const TARGETS: [Target; 5] = [
    ("deb", fuzzing::fuzz_deb),
    ("apk", fuzzing::fuzz_apk),
    ("tar", fuzzing::fuzz_tar),
    ("tree", fuzzing::fuzz_tree),
    ("version", fuzzing::fuzz_version),
];

fn corpus(target: &str) -> PathBuf {
    workspace::own("fuzz/corpus").join(target)
}

#[test]
fn the_corpora_are_read_without_a_panic() {
    for (target, run) in TARGETS {
        let files: Vec<_> = std::fs::read_dir(corpus(target)).unwrap().flatten().collect();
        assert!(!files.is_empty(), "the corpus of {target} is empty");
        for file in files {
            run(&std::fs::read(file.path()).unwrap());
        }
    }
}

#[test]
fn changed_corpora_are_read_without_a_panic() {
    for (target, files) in files() {
        let run = TARGETS.iter().find(|(name, _)| *name == target).unwrap().1;
        for (_, bytes) in files {
            for at in 0..bytes.len().min(3000) {
                for value in [0, 0xff, bytes[at] ^ 1] {
                    let mut changed = bytes.clone();
                    changed[at] = value;
                    run(&changed);
                }
                run(&bytes[..at]);
            }
        }
    }
}

/// `cargo test --lib package::tests::fuzz::write -- --ignored`
#[test]
#[ignore = "writes fuzz/corpus"]
fn write_the_corpora() {
    for (target, files) in files() {
        std::fs::create_dir_all(corpus(target)).unwrap();
        for (name, bytes) in files {
            std::fs::write(corpus(target).join(name), bytes).unwrap();
        }
    }
}

type Files = Vec<(&'static str, Vec<u8>)>;

fn files() -> Vec<(&'static str, Files)> {
    let deb =
        || DebBuilder::new("x", "1", "all").file("a", b"x", 0o644).hard_link("b", "a").symlink("c", "a").md5sums();
    let apk = || ApkBuilder::new("x", "1", "noarch").file("a", b"x", 0o644).xattr("user.a", b"b").symlink("c", "a");
    let mut tar = TarWriter::default();
    tar.extension(b'x', &[record("path", b"a"), record("mtime", b"1.5")].concat())
        .extension(b'L', b"long/name\0")
        .entry(&TarEntry::new(b'0', "y"), b"x")
        .extension(b'g', &record("comment", b"x"))
        .entry(&TarEntry { device: (1, 3), ..TarEntry::new(b'3', "n") }, b"");
    let entry = |node| Entry::new(node, Meta::FILE);
    let path = |text: &str| TreePath::new(text.as_bytes()).unwrap();
    let tree = Tree::new(vec![
        (path("a"), entry(Node::Directory)),
        (path("a/b"), entry(Node::File { content: dlstore_model::digest::Digest::of(b""), size: 0 })),
        (path("a/c"), entry(Node::HardLink { target: path("a/b") })),
        (path("l"), entry(Node::Symlink { target: b"a".to_vec() })),
    ])
    .unwrap();
    vec![
        (
            "deb",
            vec![
                ("xz", deb().build()),
                ("zstd", deb().compression(Compression::Zstd).build()),
                ("gzip", deb().compression(Compression::Gzip).build()),
                ("empty", ar_archive(&[("debian-binary".into(), b"2.0\n".to_vec())])),
            ],
        ),
        (
            "apk",
            vec![("plain", apk().build()), ("signed", apk().signature(".SIGN.RSA.k", b"s").data_members(2).build())],
        ),
        ("tar", vec![("extended", tar.finish()), ("empty", vec![0; 1024])]),
        ("tree", vec![("small", tree.encode())]),
        (
            "version",
            vec![
                ("deb", b"1:1.2~rc1-1+b2\n1.2-1\n".to_vec()),
                ("apk", b"1.05a_rc1_p2-r3\n1.4_git20240101~0a-r0\n".to_vec()),
            ],
        ),
    ]
}
