//! The corpora of all fuzz targets, replayed: every one, and every one with its bytes changed.

#![cfg(test)]

use dlstore_kit::{names, workspace};

type Target = (&'static str, fn(&[u8]));

/// A name below `fuzz/fuzz_targets`, and what that target calls.
const TARGETS: [Target; 14] = [
    ("apk", dlstore_formats::package::fuzzing::fuzz_apk),
    ("control", dlstore_formats::package::fuzzing::fuzz_control),
    ("deb", dlstore_formats::package::fuzzing::fuzz_deb),
    ("definition", dlstore_image::definition::fuzz_definition),
    ("elf", dlstore_formats::elf::fuzz_elf),
    ("facts", dlstore_ingest::facts::fuzz_facts),
    ("layout_index", dlstore_oci::fuzz_layout_index),
    ("loader_cache", dlstore_image::fixup::ld_so_cache::read::fuzz_ld_so_cache),
    ("pack", dlstore_formats::layer::fuzz_pack),
    ("pkginfo", dlstore_formats::package::fuzzing::fuzz_pkginfo),
    ("tar", dlstore_formats::package::fuzzing::fuzz_tar),
    ("tree", dlstore_formats::package::fuzzing::fuzz_tree),
    ("version", dlstore_formats::package::fuzzing::fuzz_version),
    ("whole", dlstore_ingest::fuzzing::fuzz_whole),
];

#[test]
fn every_target_is_replayed_and_has_a_corpus() {
    let fuzz = workspace::own("fuzz");
    let known: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
    let targets: Vec<String> =
        names(&fuzz.join("fuzz_targets")).iter().map(|name| name.trim_end_matches(".rs").to_owned()).collect();
    assert_eq!(targets, known);
    assert_eq!(names(&fuzz.join("corpus")), known);
}

#[test]
fn no_corpus_makes_a_reader_panic_not_even_with_a_byte_changed_or_cut() {
    let corpus = workspace::own("fuzz/corpus");
    for (name, run) in TARGETS {
        for file in names(&corpus.join(name)) {
            let bytes = std::fs::read(corpus.join(name).join(&file)).expect("it was listed");
            run(&bytes);
            for at in 0..bytes.len().min(2000) {
                let mut changed = bytes.clone();
                for value in [0, 0xff, bytes[at] ^ 1] {
                    changed[at] = value;
                    run(&changed);
                }
                run(&bytes[..at]);
            }
        }
    }
}
