//! Bounds: what claims to be large is refused before memory is spent on it.

use super::*;
use crate::archive::decompress::Compression;
use crate::package::fixture::{ApkBuilder, DebBuilder, TarEntry, TarWriter, ar_archive, compress};

fn deb_of(name: &str, data: Vec<u8>) -> Vec<u8> {
    let control = DebBuilder::new("hello", "1.0", "all").control_tar();
    ar_archive(&[("debian-binary".into(), b"2.0\n".to_vec()), ("control.tar".into(), control), (name.into(), data)])
}

fn limited(format: Format, bytes: &[u8], limits: Limits) -> Result<Whole, PackageError> {
    let input: Box<dyn Read + Send + '_> = Box::new(bytes);
    read_from(PackageReader::open(format, "x.tar", input, limits)?)
}

#[test]
fn each_limit_is_one_that_a_package_may_just_reach() {
    let bytes = ApkBuilder::new("x", "1", "noarch").file("a", &[7; 1000], 0o644).symlink("b", "aaa").build();
    // Header, checksum record and content for one file; two blocks of a link and its record; the end.
    let raw = (512 + 512 + 512 + 1024) + (512 + 512 + 512) + 1024;
    let good = Limits { entries: 2, path_bytes: 5, raw_bytes: raw, ..Limits::default() };
    assert!(limited(Format::Apk, &bytes, good).is_ok());
    for bad in [
        Limits { entries: 1, ..good },
        Limits { path_bytes: 4, ..good },
        Limits { raw_bytes: raw - 1, ..good },
        Limits { control_bytes: 512, ..good },
    ] {
        assert!(matches!(limited(Format::Apk, &bytes, bad), Err(PackageError::Limit { .. })), "{bad:?}");
    }
}

#[test]
fn claims_of_great_lengths_are_refused_before_anything_is_allocated() {
    let header = |kind: u8, size: u64| TarWriter::default().header(&TarEntry::new(kind, "x"), size).segment();
    for (raw, sentence) in [
        (header(b'0', 1 << 60), "the raw length of the archive exceeds the limit of 68719476736"),
        (header(b'0', u64::MAX), "the raw length of the archive exceeds the limit of 68719476736"),
        (header(b'x', 1 << 60), "the length of a pax header exceeds the limit of 1048576"),
        (header(b'g', 1 << 21), "the length of a pax header exceeds the limit of 1048576"),
        (header(b'L', 1 << 60), "the length of a path exceeds the limit of 65536"),
        (header(b'K', (64 << 10) + 1), "the length of a path exceeds the limit of 65536"),
        (
            TarWriter::default().extension(b'x', b"9223372036854775807 path=x\n").finish(),
            "data.tar: a pax header is malformed",
        ),
        (
            TarWriter::default()
                .extension(b'x', &crate::package::fixture::record("size", b"9223372036854775807"))
                .header(&TarEntry::new(b'0', "x"), 0)
                .finish(),
            "the raw length of the archive exceeds the limit of 68719476736",
        ),
    ] {
        assert_eq!(error(Format::Deb, &deb_of("data.tar", raw)), sentence);
    }
    // An ar member that claims ten gigabytes ends early, and nothing was allocated for it.
    let mut bytes = deb_of("data.tar", Vec::new());
    let at = bytes.len() - 12;
    bytes[at..at + 10].copy_from_slice(b"9999999999");
    assert!(error(Format::Deb, &bytes).contains("the input ends inside"));
}

#[test]
fn a_control_archive_that_unpacks_to_more_than_its_bound_is_refused() {
    let big = DebBuilder::new("hello", "1.0", "all").control_file("postinst", &vec![b'#'; 11 << 20]);
    assert_eq!(error(Format::Deb, &big.build()), "the raw length of the archive exceeds the limit of 10485760");
    let big = ApkBuilder::new("hello", "1.0", "x86").control_file(".trigger", &vec![b'#'; 11 << 20]);
    assert_eq!(error(Format::Apk, &big.build()), "the raw length of the archive exceeds the limit of 10485760");
}

#[test]
fn control_lines_of_megabytes_are_refused() {
    let line = "x".repeat(9_000_000);
    let deb = DebBuilder::new("hello", "1.0", "all").control_field("X-Long", &line).build();
    assert_eq!(error(Format::Deb, &deb), "a line of a control file exceeds the limit of 1048576");
    let apk = ApkBuilder::new("hello", "1.0", "x86").provides(&line).build();
    assert_eq!(error(Format::Apk, &apk), "a line of a control file exceeds the limit of 1048576");
}

#[test]
fn a_million_entries_are_refused() {
    let one = TarWriter::default().entry(&TarEntry::new(b'5', "a"), b"").segment();
    let raw = [one.repeat(120_001), vec![0; 1024]].concat();
    let bytes = deb_of("data.tar.zst", compress(Compression::Zstd, &raw));
    assert!(bytes.len() < 100_000);
    assert_eq!(error(Format::Deb, &bytes), "the number of entries exceeds the limit of 120000");
}

#[test]
fn zeros_behind_the_end_count_too() {
    let mut raw = TarWriter::default().entry(&TarEntry::new(b'5', "a"), b"").finish();
    raw.resize(4 << 20, 0);
    let bytes = deb_of("data.tar.xz", compress(Compression::Xz, &raw));
    assert!(read(Format::Deb, &bytes).is_ok());
    let limits = Limits { raw_bytes: 3 << 20, ..Limits::default() };
    assert!(matches!(limited(Format::Deb, &bytes, limits), Err(PackageError::Limit { .. })));
}

#[test]
fn a_tiny_xz_with_a_huge_dictionary_is_refused() {
    let mut data = compress(Compression::Xz, &TarWriter::default().finish());
    data[16] = 37; // a dictionary of 1.5 GiB (xz file format, 5.3.1)
    let crc = crc32fast::hash(&data[12..20]);
    data[20..24].copy_from_slice(&crc.to_le_bytes());
    assert!(error(Format::Deb, &deb_of("data.tar.xz", data)).contains("memory"));
    // A frame that claims a window of 2 GiB (RFC 8878, 3.1.1.1.2).
    let window = b"\x28\xb5\x2f\xfd\x00\xa8\x01\0\0".to_vec();
    assert!(error(Format::Deb, &deb_of("data.tar.zst", window)).contains("memory"));
}
