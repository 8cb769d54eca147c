//! What the fuzz target of the whole way calls: any bytes through everything that `add` does with them.
//!
//! Bytes that begin like a `.deb`, an `.apk` or a tar are read as one. All others are a script of which a
//! tar is made: a mutation of a real archive mostly breaks its checksums, and what lies behind the readers
//! (hard-link groups, directories that nobody lists, names that land on each other) would never be reached.
//!
//! Nothing of it may panic, and what was decoded must select, land and pack.

use std::io;
use std::sync::Arc;

use super::IngestError;
use super::decode::{Package, decode};
use super::landed::{self, Selection};
use super::select::merged_usr::MergedUsr;
use super::select::select;
use super::spool::Spool;
use dlstore_formats::elf;
use dlstore_formats::layer::{Codec, write_pack};
use dlstore_formats::package::fixture::{TarEntry, TarWriter};
use dlstore_formats::package::reader::PackageReader;
use dlstore_formats::package::{Format, fuzzing};
use dlstore_model::arch::Arch;
use dlstore_model::digest::KeyBuilder;
use dlstore_model::glob::Pattern;
use dlstore_model::path::TreePath;
use dlstore_model::tree::Tree;

/// Names that land on each other, sort around `/`, are texts or libraries.
const NAMES: [&str; 16] = [
    "a",
    "a-b",
    "b",
    "lib",
    "lib64",
    "usr",
    "bin",
    "x",
    "etc",
    "passwd",
    "ld.so.conf.d",
    "usr/lib",
    "a/x/z",
    "usr/bin",
    "lib/x",
    "c",
];

/// Decodes bytes as a package, selects of it in four ways, lands and packs what is left.
///
/// # Panics
/// When what was decoded cannot be selected or packed.
pub fn fuzz_whole(data: &[u8]) {
    let (format, bytes) = if data.starts_with(b"!<arch>\n") {
        (Format::Deb, data.to_vec())
    } else if data.starts_with(b"\x1f\x8b") {
        (Format::Apk, data.to_vec())
    } else if data.get(257..262) == Some(b"ustar") {
        (Format::Tar, data.to_vec())
    } else {
        (Format::Tar, archive(data))
    };
    let seed = data.first().copied().unwrap_or_default();
    for way in 0..4 {
        let keeps = move |path: &TreePath| match way {
            0 => true,
            1 => !path.as_bytes().starts_with(b"a"),
            2 => path.as_bytes().iter().fold(seed, |sum, byte| sum.wrapping_mul(31) ^ byte) & 1 == 0,
            _ => path.as_bytes().ends_with(b"z"),
        };
        let Ok((package, spool)) = read(format, &bytes, &keeps) else { return };
        let decoded = package.decoded;
        assert_eq!(Tree::decode(&decoded.tree.encode()).as_ref(), Ok(&decoded.tree));
        assert!(elf::decode_facts(&elf::encode_facts(&decoded.elf)).is_ok());
        let selected = select(&decoded.tree, &keeps).expect("what is left of a tree is one");
        for merged in
            [MergedUsr::default(), MergedUsr::usual(Format::Deb, Some(Arch::Amd64)), MergedUsr::of([&selected])]
        {
            let selection = Selection {
                keeps: Arc::new(keeps),
                key: KeyBuilder::new("fuzz").finish(),
                patterns: Pattern::new("/a/**").into_iter().enumerate().collect(),
            };
            // Two entries that differ may land on one path, and then the package is refused.
            let Ok((remembered, layer)) = landed::land(decoded.tree.clone(), &selection, &merged) else { continue };
            write_pack(&layer, &spool, Codec::Gzip, &mut io::sink()).expect("what was selected is in the spool");
            landed::check_recall(&remembered, &layer, decoded.tree.clone(), &selection, &merged);
        }
    }
}

fn read<'a>(
    format: Format,
    bytes: &'a [u8],
    keeps: &dyn Fn(&TreePath) -> bool,
) -> Result<(Package, Spool), IngestError> {
    let open = || -> Result<PackageReader<'a>, IngestError> {
        Ok(PackageReader::open(format, "fuzz.tar", Box::new(bytes), fuzzing::LIMITS)?)
    };
    let mut spool = Spool::new(|| Err(io::Error::other("no stage")));
    let package = decode(&open, keeps, &mut spool)?;
    Ok((package, spool))
}

/// Makes a tar of a script: four bytes an entry, its kind, two names and what it links to or holds.
fn archive(script: &[u8]) -> Vec<u8> {
    let name = |byte: u8| NAMES[usize::from(byte & 15)];
    let path = |one: u8, other: u8| match other {
        0..=85 => name(one).to_owned(),
        86..=170 => format!("{}/{}", name(one), name(other)),
        _ => format!("{}/{}/{}", name(one), name(other), name(other >> 4)),
    };
    let mut tar = TarWriter::default();
    for step in script.chunks_exact(4).take(500) {
        let [kind, one, other, last] = [step[0], step[1], step[2], step[3]];
        let at = path(one, other);
        let target = path(last, kind.wrapping_mul(11));
        let mut entry = match kind % 6 {
            0 | 1 => TarEntry::new(b'0', at),
            2 => TarEntry::new(b'5', at),
            3 => TarEntry::link(b'2', at, format!("/{target}")),
            _ => TarEntry::link(b'1', at, target),
        };
        if kind & 0x40 != 0 {
            entry.xattrs.push(("user.x".to_owned(), vec![last; usize::from(other)]));
        }
        let content = match kind % 6 {
            0 => vec![last; usize::from(last)],
            1 => [&b"\x7fELF\x02\x01\x01"[..], &[last; 60]].concat(),
            _ => Vec::new(),
        };
        tar.entry(&entry, &content);
    }
    tar.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archives_made_of_any_script_go_all_the_way() {
        let mut state = 1_u64;
        for _ in 0..300 {
            let script: Vec<u8> = (0..64)
                .map(|_| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    (state >> 33).to_le_bytes()[0]
                })
                .collect();
            fuzz_whole(&script);
        }
    }

    #[test]
    fn a_script_reaches_hard_links_and_directories_that_nobody_lists() {
        // A file a, a link b to it, and a/x/z in a directory nobody lists beside it.
        let script = [0, 2, 0, 9, 4, 15, 0, 2, 2, 12, 0, 0];
        let (package, _) = read(Format::Tar, &archive(&script), &|_| true).unwrap();
        let names: Vec<String> = package.decoded.tree.iter().map(|(path, _)| path.to_string()).collect();
        assert_eq!(names, ["/a/x/z", "/b", "/c"]);
        fuzz_whole(&script);
    }
}
