//! Bounds: what claims to be large is refused before memory is spent on it.

use super::*;
use crate::archive::decompress::Compression;
use crate::package::fixture::{ApkBuilder, DebBuilder, TarEntry, TarWriter, ar_archive, compress};
use dlstore_model::quantity::Size;

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
    let big = DebBuilder::new("hello", "1.0", "all").control_file("postinst", &vec![b'#'; 17 << 20]);
    assert_eq!(error(Format::Deb, &big.build()), "the raw length of the archive exceeds the limit of 16777216");
    let big = ApkBuilder::new("hello", "1.0", "x86").control_file(".trigger", &vec![b'#'; 17 << 20]);
    assert_eq!(error(Format::Apk, &big.build()), "the raw length of the archive exceeds the limit of 16777216");
}

#[test]
fn a_control_member_of_twelve_megabytes_is_read() {
    let deb = DebBuilder::new("hello", "1.0", "all").control_file("preinst", &vec![b'#'; 12 << 20]).build();
    let (control, _) = read(Format::Deb, &deb).unwrap();
    assert_eq!(control.members["preinst"].len(), 12 << 20);
}

#[test]
fn hard_links_in_a_control_archive_cost_their_body_again() {
    let control = |links: usize| {
        let mut tar = TarWriter::default();
        let text = b"Package: hello\nVersion: 1.0\nArchitecture: all\nDescription: it\n";
        tar.entry(&TarEntry::new(b'0', "./control"), text);
        tar.entry(&TarEntry::new(b'0', "./preinst"), &vec![b'#'; 1 << 20]);
        for at in 0..links {
            tar.entry(&TarEntry::link(b'1', format!("./script-{at}"), "./preinst"), b"");
        }
        let data = TarWriter::default().finish();
        let members = [("debian-binary", b"2.0\n".to_vec()), ("control.tar", tar.finish()), ("data.tar", data)];
        ar_archive(&members.map(|(name, bytes)| (name.to_owned(), bytes)))
    };
    assert_eq!(read(Format::Deb, &control(14)).unwrap().0.members.len(), 16);
    let long = error(Format::Deb, &control(16));
    assert_eq!(long, "the length of all control files exceeds the limit of 16777216");
}

#[test]
fn extended_attributes_count_into_one_bound_for_the_package() {
    let attributes = |entries: usize| {
        let mut tar = TarWriter::default();
        for at in 0..entries {
            let xattrs = (0..15).map(|at| (format!("user.{at:02}"), vec![0; 64 << 10])).collect();
            tar.entry(&TarEntry { xattrs, ..TarEntry::new(b'0', format!("{at}")) }, b"");
        }
        deb_of("data.tar.zst", compress(Compression::Zstd, &tar.finish()))
    };
    assert_eq!(read(Format::Deb, &attributes(17)).unwrap().1.len(), 17);
    let long = error(Format::Deb, &attributes(18));
    assert_eq!(long, "the length of all extended attributes exceeds the limit of 16777216");
}

#[test]
fn content_is_held_against_the_size_of_the_file_and_what_it_declares() {
    let deb = |size: usize, installed: Option<usize>| {
        let mut deb = DebBuilder::new("hello", "1.0", "all").compression(Compression::Zstd);
        if let Some(kib) = installed {
            deb = deb.control_field("Installed-Size", &kib.to_string());
        }
        deb.file("zeros", &vec![0; size], 0o644).build()
    };
    let apk = |size: usize, installed: usize| {
        let apk = ApkBuilder::new("hello", "1.0", "noarch").info("size", &installed.to_string());
        apk.file("zeros", &vec![0; size], 0o644).build()
    };
    let read = |format, bytes: &[u8], source: u64, max_size| {
        let limits = Limits { source_size: Some(source), max_size, ..Limits::default() };
        limited(format, bytes, limits).err().map(|error| error.to_string())
    };
    let sentence = |limit: u64| {
        Some(format!(
            "it unpacks to more than {}, which is more than its size allows (`add --max-size` allows more)",
            Size(limit)
        ))
    };
    let (small, large) = (60 << 20, 80 << 20);
    // Up to 64 MiB nobody asks.
    assert_eq!(read(Format::Deb, &deb(small, Some(0)), 1, None), None);
    // Above it the file counts, and where it says less than that, what it declares.
    assert_eq!(read(Format::Deb, &deb(large, None), 1000, None), sentence(64 << 20));
    assert_eq!(read(Format::Deb, &deb(large, None), 400_000, None), sentence(80_000_000));
    assert_eq!(read(Format::Deb, &deb(large, None), 500_000, None), None);
    assert_eq!(read(Format::Deb, &deb(large, Some(30 << 10)), 500_000, None), sentence(64 << 20));
    assert_eq!(read(Format::Deb, &deb(large, Some(40 << 10)), 500_000, None), sentence(80 << 20));
    assert_eq!(read(Format::Deb, &deb(large, Some(80 << 10)), 500_000, None), None);
    assert_eq!(read(Format::Apk, &apk(large, 30 << 20), 500_000, None), sentence(64 << 20));
    assert_eq!(read(Format::Apk, &apk(large, large), 500_000, None), None);
    // Whoever knows better says so.
    assert_eq!(read(Format::Deb, &deb(large, Some(1)), 1, Some(100 << 20)), None);
    assert_eq!(read(Format::Deb, &deb(large, Some(80 << 10)), 500_000, Some(1 << 20)), sentence(1 << 20));
}

#[test]
fn zeros_behind_the_end_and_extended_headers_are_content_too() {
    let mut zeros = TarWriter::default().finish();
    zeros.resize(70 << 20, 0);
    let comment = crate::package::fixture::record("comment", &vec![b'x'; 1_000_000]);
    let one = TarWriter::default().extension(b'x', &comment).entry(&TarEntry::new(b'0', "a"), b"").segment();
    let headers = [one.repeat(80), vec![0; 1024]].concat();
    let entries = TarWriter::default().entry(&TarEntry::new(b'0', "a"), b"x").segment();
    let entries = [entries.repeat(100_000), vec![0; 1024]].concat();
    assert!(entries.len() > 70 << 20);
    for (raw, is_good) in [(zeros, false), (headers, false), (entries, true)] {
        let bytes = deb_of("data.tar.zst", compress(Compression::Zstd, &raw));
        let limits = Limits { source_size: Some(1), ..Limits::default() };
        let found = limited(Format::Deb, &bytes, limits);
        assert_eq!(!matches!(found, Err(PackageError::Size { .. })), is_good);
    }
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
    let raw = [one.repeat(250_001), vec![0; 1024]].concat();
    let bytes = deb_of("data.tar.zst", compress(Compression::Zstd, &raw));
    assert!(bytes.len() < 100_000);
    assert_eq!(error(Format::Deb, &bytes), "the number of entries exceeds the limit of 250000");
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
