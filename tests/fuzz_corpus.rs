//! The corpora of the fuzz targets, and damaged copies of them, through the functions that are fuzzed.

use std::path::{Path, PathBuf};

use dlstore::package::fuzzing;

/// A target's name with what it calls.
type Target = (&'static str, fn(&[u8]));

const TARGETS: [Target; 5] = [
    ("deb", fuzzing::fuzz_deb),
    ("apk", fuzzing::fuzz_apk),
    ("tar", fuzzing::fuzz_tar),
    ("tree", fuzzing::fuzz_tree),
    ("version", fuzzing::fuzz_version),
];

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = fuzz().join("corpus").join(target);
    let mut paths: Vec<_> = std::fs::read_dir(&folder)
        .unwrap_or_else(|_| panic!("{}", folder.display()))
        .map(|item| item.unwrap().path())
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "{target} has a corpus");
    paths.into_iter().map(|path| std::fs::read(path).unwrap()).collect()
}

#[test]
fn every_target_has_a_corpus_and_every_corpus_a_target() {
    let stems = |folder: &Path| -> Vec<String> {
        let items = std::fs::read_dir(folder).unwrap();
        let mut names: Vec<_> =
            items.map(|item| item.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()).collect();
        names.sort();
        names
    };
    let targets = stems(&fuzz().join("fuzz_targets"));
    assert_eq!(targets, stems(&fuzz().join("corpus")));
    for (name, _) in TARGETS {
        assert!(targets.contains(&name.to_owned()), "{name}");
    }
}

#[test]
fn corpora_and_their_damaged_copies_come_back() {
    for (name, target) in TARGETS {
        for bytes in corpus(name) {
            target(&bytes);
            for at in 0..bytes.len().min(400) {
                // Spread over the whole: headers stand at the beginning, middle and end.
                let place = at * bytes.len() / bytes.len().min(400);
                let mut damaged = bytes.clone();
                damaged[place] ^= 1 << (at % 8);
                target(&damaged);
                target(&bytes[..place]);
            }
        }
    }
}
