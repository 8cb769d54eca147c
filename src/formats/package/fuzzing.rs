//! What the fuzz targets call: each takes any bytes and must come back, with a result or an error.
//!
//! The targets themselves are one line each, in `fuzz/`; a test replays their corpora. Limits are
//! small, so that a fuzzer that finds a slow input has found a missing bound.

use std::collections::BTreeMap;
use std::io::Read;

use super::control::parse_control;
use super::pkginfo::parse_package_info;
use super::reader::PackageReader;
use super::{Format, Limits, PackageError};
use dlstore_model::tree::Tree;
use dlstore_model::version;

/// Bounds that keep one run short and small.
pub const LIMITS: Limits = Limits {
    entries: 1000,
    path_bytes: 1 << 20,
    control_bytes: 1 << 20,
    raw_bytes: 16 << 20,
    decoder_memory: 16 << 20,
    ..Limits::DEFAULT
};

/// Reads a package to its end; the contents of every second file are skipped.
///
/// # Errors
/// When the package is refused.
pub fn read_all(format: Format, name: &str, data: &[u8], limits: Limits) -> Result<usize, PackageError> {
    let input: Box<dyn Read + Send + '_> = Box::new(data);
    let mut reader = PackageReader::open(format, name, input, limits)?;
    let mut buffer = vec![0; 8 << 10];
    let mut entries = 0;
    while let Some(header) = reader.next_entry()? {
        entries += 1;
        if entries % 2 == 1 {
            let mut size = 0;
            loop {
                match reader.read(&mut buffer)? {
                    0 => break,
                    read => size += read as u64,
                }
            }
            assert_eq!(size, header.size, "a content has the length that its header says");
        }
    }
    Ok(entries)
}

/// Reads any bytes as a `.deb`.
pub fn fuzz_deb(data: &[u8]) {
    let _ = read_all(Format::Deb, "", data, LIMITS);
}

/// Reads any bytes as an `.apk`.
pub fn fuzz_apk(data: &[u8]) {
    let _ = read_all(Format::Apk, "", data, LIMITS);
}

/// Reads any bytes as a tar without compression.
pub fn fuzz_tar(data: &[u8]) {
    let _ = read_all(Format::Tar, "fuzz.tar", data, LIMITS);
}

/// Decodes any bytes as a tree; what decodes must encode to the same bytes.
pub fn fuzz_tree(data: &[u8]) {
    if let Ok(tree) = Tree::decode(data) {
        assert_eq!(tree.encode(), data, "a tree has one encoding");
    }
}

/// Reads any bytes as the control file of a `.deb`.
pub fn fuzz_control(data: &[u8]) {
    let members = BTreeMap::from([("control".to_owned(), data.to_vec())]);
    if parse_control(members).is_ok() {
        assert!(is_plain(data), "what is read has no control characters");
    }
}

/// Reads any bytes as `.PKGINFO`.
pub fn fuzz_pkginfo(data: &[u8]) {
    let members = BTreeMap::from([(".PKGINFO".to_owned(), data.to_vec())]);
    if parse_package_info(members, [0; 20]).is_ok() {
        assert!(is_plain(data), "what is read has no control characters");
    }
}

fn is_plain(data: &[u8]) -> bool {
    data.iter().all(|byte| !byte.is_ascii_control() || matches!(byte, b'\t' | b'\n'))
}

/// Compares the first three lines as versions of each format: the order must be one, and transitive.
pub fn fuzz_version(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut lines = text.lines();
    let (a, b) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    for format in [Format::Deb, Format::Apk] {
        let order = version::compare(format, a, b);
        assert_eq!(order, version::compare(format, b, a).reverse(), "the order has two sides");
        assert!(version::compare(format, a, a).is_eq(), "a version equals itself");
        let _ = version::is_valid(format, a);
        let c = lines.clone().next().unwrap_or_default();
        let mut sorted = [a, b, c];
        // Three are in order in one way only, when the order is one.
        sorted.sort_by(|one, other| version::compare(format, one, other));
        for (one, other) in [(0, 1), (1, 2), (0, 2)] {
            assert!(version::compare(format, sorted[one], sorted[other]).is_le(), "the order is transitive");
        }
        let equal = |one: &str, other: &str| version::compare(format, one, other).is_eq();
        assert!(!(equal(a, b) && equal(b, c)) || equal(a, c), "what equals the same is equal");
    }
}
