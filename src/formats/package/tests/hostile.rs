//! Bad input: every kind of it is an error that fits one line, and nothing comes out of it.

use super::*;
use crate::archive::decompress::Compression;
use crate::package::fixture::{ApkBuilder, DebBuilder, TarEntry, TarWriter, ar_archive, compress};
use dlstore_model::digest::OciDigest;

fn deb() -> DebBuilder {
    DebBuilder::new("hello", "1.0", "all").file("usr/share/hello", b"hello, world\n", 0o644).symlink("usr/hi", "share")
}

fn apk() -> ApkBuilder {
    ApkBuilder::new("hello", "1.0-r0", "noarch")
        .file("usr/share/hello", b"hello, world\n", 0o644)
        .symlink("usr/hi", "share")
}

fn deb_of(tar: &[u8]) -> Vec<u8> {
    ar_archive(&[
        ("debian-binary".into(), b"2.0\n".to_vec()),
        ("control.tar".into(), deb().control_tar()),
        ("data.tar".into(), tar.to_vec()),
    ])
}

#[test]
fn a_deb_cut_at_any_byte_is_refused() {
    for compression in [Compression::None, Compression::Gzip, Compression::Xz, Compression::Zstd, Compression::Bzip2] {
        let bytes = deb().compression(compression).build();
        assert!(read(Format::Deb, &bytes).is_ok());
        // The byte that evens the length stands behind the last member, where nothing is read.
        let end = if bytes.ends_with(b"\n") { bytes.len() - 1 } else { bytes.len() };
        for cut in 0..end {
            assert!(read(Format::Deb, &bytes[..cut]).is_err(), "{compression:?} {cut} of {}", bytes.len());
        }
    }
}

#[test]
fn an_apk_cut_at_any_byte_is_refused() {
    for bytes in [apk().build(), apk().signature(".SIGN.RSA.k", b"s").data_members(3).build()] {
        assert!(read(Format::Apk, &bytes).is_ok());
        for cut in 0..bytes.len() {
            assert!(read(Format::Apk, &bytes[..cut]).is_err(), "{cut} of {}", bytes.len());
        }
    }
}

#[test]
fn a_tar_cut_at_any_byte_is_refused() {
    let raw = deb().data_tar();
    for (name, compression, step) in [
        ("x.tar", Compression::None, 64),
        ("x.tar.gz", Compression::Gzip, 1),
        ("x.tar.xz", Compression::Xz, 1),
        ("x.tar.zst", Compression::Zstd, 1),
    ] {
        let bytes = compress(compression, &raw);
        let read = |bytes: &[u8]| {
            let input: Box<dyn Read + Send + '_> = Box::new(bytes);
            PackageReader::open(Format::Tar, name, input, Limits::default()).and_then(read_from).is_ok()
        };
        assert!(read(&bytes), "{name}");
        for cut in (0..bytes.len()).step_by(step) {
            assert!(!read(&bytes[..cut]), "{name} {cut}");
        }
    }
}

#[test]
fn a_changed_byte_of_an_apk_is_refused() {
    let bytes = apk().build();
    let (good, _) = read(Format::Apk, &bytes).unwrap();
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 0x40;
        if let Ok((control, _)) = read(Format::Apk, &changed) {
            // Dates of gzip headers and the unused bits behind a stream are in the identity alone.
            assert_ne!(control.metadata.apk_identity, good.metadata.apk_identity, "{at}");
        }
    }
}

#[test]
fn what_is_no_package_is_called_by_its_name() {
    let page = b"<!DOCTYPE html>\n<html><title>404 Not Found</title></html>";
    for (format, bytes, sentence) in [
        (Format::Deb, &b""[..], "not a .deb, but an empty file"),
        (Format::Deb, page, "not a .deb, but an HTML page, not a package: did the download fail?"),
        (Format::Apk, page, "not an .apk, but an HTML page, not a package: did the download fail?"),
        (Format::Apk, b"ADB.pckg\0\0", "not an .apk, but an apk of version 3, which is not read yet: version 2 is"),
        (Format::Apk, b"!<arch>\ndebian", "not an .apk, but an ar archive, as a .deb is"),
        (Format::Deb, b"\x1f\x8b\x08\0", "not a .deb, but data compressed with gzip, as an .apk is"),
        (Format::Deb, b"hello", "not a .deb: it does not begin like one"),
        (Format::Tar, page, "not a .tar, but an HTML page, not a package: did the download fail?"),
    ] {
        assert_eq!(error(format, bytes), sentence);
    }
}

#[test]
fn a_deb_with_wrong_members_is_refused() {
    let (control, data) = (deb().control_tar(), deb().data_tar());
    let (binary, xz) = (b"2.0\n".to_vec(), compress(Compression::Xz, b"x"));
    for (members, sentence) in [
        (vec![], "the .deb ends early: it must hold debian-binary, control.tar and data.tar"),
        (vec![("debian-binary", &binary)], "the .deb ends early: it must hold debian-binary, control.tar and data.tar"),
        (vec![("control.tar", &control)], "the first member of the .deb is control.tar, not debian-binary"),
        (vec![("debian-binary", &binary), ("data.tar", &data)], "the .deb holds data.tar where control.tar must be"),
        (
            vec![("debian-binary", &binary), ("control.tar", &control)],
            "the .deb ends early: it must hold debian-binary, control.tar and data.tar",
        ),
        (
            vec![("debian-binary", &binary), ("control.tar", &control), ("x", &data)],
            "the .deb holds x where data.tar must be",
        ),
        (
            vec![("debian-binary", &binary), ("control.tar", &control), ("data.tar.lz4", &data)],
            "data.tar.lz4: an unknown compression",
        ),
        (
            vec![("debian-binary", &binary), ("control.tar", &control), ("data.tar.", &data)],
            "data.tar.: an unknown compression",
        ),
        (vec![("debian-binary", &binary), ("control.tar.bz2", &control)], "control.tar.bz2: an unknown compression"),
        (vec![("debian-binary", &b"3.0\n".to_vec())], "a .deb of the version \"3.0\", which is not read: 2.0 is"),
        (vec![("debian-binary", &b"2.0".to_vec())], "a .deb of the version \"2.0\", which is not read: 2.0 is"),
        (vec![("debian-binary", &b"2.x\n".to_vec())], "a .deb of the version \"2.x\", which is not read: 2.0 is"),
        (vec![("debian-binary", &vec![b'2'; 5000])], "the length of debian-binary exceeds the limit of 4096"),
        (
            vec![("debian-binary", &binary), ("control.tar.xz", &xz)],
            "cannot read control.tar.xz: the input ends inside a tar header",
        ),
    ] {
        let members: Vec<_> = members.into_iter().map(|(name, body)| (name.to_owned(), body.clone())).collect();
        assert_eq!(error(Format::Deb, &ar_archive(&members)), sentence);
    }
}

#[test]
fn a_data_member_that_goes_on_behind_its_end_is_refused() {
    for compression in [Compression::Gzip, Compression::Xz, Compression::Zstd, Compression::Bzip2, Compression::Lzma] {
        let mut data = compress(compression, &deb().data_tar());
        data.extend_from_slice(b"more");
        let name = match compression {
            Compression::Gzip => "data.tar.gz",
            Compression::Xz => "data.tar.xz",
            Compression::Zstd => "data.tar.zst",
            Compression::Bzip2 => "data.tar.bz2",
            _ => "data.tar.lzma",
        };
        let control = ("control.tar".into(), deb().control_tar());
        let bytes = ar_archive(&[("debian-binary".into(), b"2.0\n".to_vec()), control, (name.into(), data)]);
        assert!(read(Format::Deb, &bytes).is_err(), "{name}");
    }
    let tar = [deb().data_tar(), b"more".to_vec()].concat();
    assert_eq!(error(Format::Deb, &deb_of(&tar)), "data.tar: data follow the end of the tar");
}

#[test]
fn paths_and_links_that_lead_elsewhere_are_refused_in_every_format() {
    let hard = |path: &str, target: &str| TarEntry::link(b'1', path, target);
    let cases: Vec<(&str, Vec<TarEntry>)> = vec![
        ("leads outside", vec![TarEntry::new(b'0', "../x")]),
        ("leads outside", vec![TarEntry::new(b'0', "usr/../../x")]),
        ("is absolute", vec![TarEntry::new(b'0', "/etc/passwd")]),
        ("has an empty component", vec![TarEntry::new(b'0', "usr//x")]),
        ("the path is empty", vec![TarEntry::new(b'0', "")]),
        ("has a whiteout name", vec![TarEntry::new(b'0', "usr/.wh.x")]),
        ("has a whiteout name", vec![TarEntry::new(b'0', "usr/.wh..wh..opq")]),
        ("is too long", vec![TarEntry::new(b'0', "x".repeat(256))]),
        ("is too long", vec![TarEntry::new(b'0', "x/".repeat(2100) + "x")]),
        ("the root is not a directory", vec![TarEntry::new(b'0', "./.")]),
        ("is absolute", vec![hard("a", "/etc/passwd")]),
        ("leads outside", vec![hard("a", "../a")]),
        ("which is not a file that comes before it", vec![hard("a", "b"), TarEntry::new(b'0', "b")]),
        ("which is not a file that comes before it", vec![hard("a", "a")]),
        ("which is not a file that comes before it", vec![TarEntry::new(b'0', "a"), hard("a", "a")]),
        ("which is not a file that comes before it", vec![TarEntry::new(b'5', "b"), hard("a", "b")]),
        ("which is not a file that comes before it", vec![TarEntry::link(b'2', "b", "/"), hard("a", "b")]),
        ("is a symbolic link without a usable target", vec![TarEntry::link(b'2', "a", "")]),
        ("out of range", vec![TarEntry { mtime: 1 << 33, ..TarEntry::new(b'0', "a") }]),
    ];
    for (sentence, entries) in cases {
        let mut tar = TarWriter::default();
        for entry in &entries {
            tar.entry(entry, b"");
        }
        let tar = tar.finish();
        for (format, bytes) in
            [(Format::Deb, deb_of(&tar)), (Format::Apk, apk().build_with_data(&tar)), (Format::Tar, tar.clone())]
        {
            let said = error(format, &bytes);
            assert!(said.contains(sentence), "{format:?} {entries:?}: {said}");
        }
    }
}

#[test]
fn what_a_deb_must_not_hold_other_formats_may() {
    for kind in [b'3', b'4', b'6'] {
        let mut tar = TarWriter::default();
        tar.entry(&TarEntry::new(kind, "x"), b"");
        let tar = tar.finish();
        assert_eq!(error(Format::Deb, &deb_of(&tar)), "data.tar: /x is a device or a pipe, which a .deb must not hold");
        assert!(read(Format::Tar, &tar).is_ok() && read(Format::Apk, &apk().build_with_data(&tar)).is_ok());
    }
}

#[test]
fn a_control_archive_holds_plain_files_once() {
    let good = deb().control_tar();
    let with = |entry: &TarEntry| {
        let tar = [&good[..good.len() - 1024], &TarWriter::default().entry(entry, b"").finish()].concat();
        ar_archive(&[("debian-binary".into(), b"2.0\n".to_vec()), ("control.tar".into(), tar)])
    };
    for (entry, sentence) in [
        (TarEntry::new(b'0', "./control"), "control.tar holds ./control, twice"),
        (TarEntry::new(b'5', "./directory"), "control.tar holds ./directory, which is not a file"),
        (TarEntry::new(b'0', "a/b"), "control.tar: /a/b is not a file name"),
        (TarEntry::link(b'2', "x", "/etc/passwd"), "control.tar holds x, which is not a file"),
        (TarEntry::link(b'1', "x", "y"), "control.tar holds x, which links to nothing before it"),
    ] {
        assert_eq!(error(Format::Deb, &with(&entry)), sentence);
    }
    let linked = with(&TarEntry::link(b'1', "prerm", "./control"));
    assert!(error(Format::Deb, &linked).contains("the .deb ends early"), "a link inside the archive is followed");
}

#[test]
fn an_apk_whose_data_are_not_those_it_was_made_of_is_refused() {
    let good = apk().build();
    let more = [
        good.clone(),
        compress(Compression::Gzip, &TarWriter::default().entry(&TarEntry::new(b'0', "x"), b"").segment()),
    ];
    assert!(read(Format::Apk, &more.concat()).is_err());
    let zeros = [good, compress(Compression::Gzip, &[0; 512])];
    assert_eq!(
        error(Format::Apk, &zeros.concat()),
        "the data do not have the checksum that .PKGINFO states (datahash)"
    );
}

#[test]
fn an_apk_with_wrong_members_is_refused() {
    let data = compress(Compression::Gzip, &apk().data_tar());
    let hash = OciDigest::of(&data).to_hex();
    let control = apk().control_segment(&hash);
    let segment = |names: &[&str]| {
        let mut tar = TarWriter::default();
        for name in names {
            tar.entry(&TarEntry::new(b'0', *name), b"");
        }
        tar.segment()
    };
    let gzip = |raw: &[u8]| compress(Compression::Gzip, raw);
    for (package, sentence) in [
        (vec![gzip(&control)], "cannot read the data member: unexpected end of file"),
        (vec![gzip(&segment(&[".SIGN.RSA.k"]))], "the .apk ends before its control member"),
        (
            vec![gzip(&segment(&[".SIGN.RSA.k", ".PKGINFO"])), gzip(&control), data.clone()],
            "a signature member of the .apk holds .PKGINFO, which is no signature",
        ),
        (
            vec![gzip(&[control.clone(), segment(&[".SIGN.RSA.k"])].concat()), data.clone()],
            "a signature member of the .apk holds .PKGINFO, which is no signature",
        ),
        (
            vec![gzip(&[control.clone(), segment(&["etc"])].concat()), data.clone()],
            "the control member of the .apk holds etc, which is no control file",
        ),
        (vec![gzip(&[control.clone(), segment(&[".PKGINFO"])].concat())], "the control member holds .PKGINFO, twice"),
        (vec![gzip(&segment(&[])), data.clone()], "the control member holds no .PKGINFO"),
        (vec![gzip(&apk().control_segment("0")), data.clone()], "the datahash of .PKGINFO is not a SHA-256: \"0\""),
        (vec![vec![gzip(&segment(&[".SIGN.k"])); 20].concat()], "the number of signatures exceeds the limit of 16"),
    ] {
        assert_eq!(error(Format::Apk, &package.concat()), sentence);
    }
    for name in [".PKGINFO", ".post-install", "./.trigger", ".SIGN.RSA.k", ".directory/"] {
        let said = error(
            Format::Apk,
            &apk().build_with_data(&TarWriter::default().entry(&TarEntry::new(b'0', name), b"").finish()),
        );
        assert!(said.contains("is named like a control file"), "{said}");
    }
}

#[test]
fn a_content_that_is_not_what_its_sha1_says_is_refused_read_or_skipped() {
    let wrong = TarEntry { sha1: Some([1; 20]), ..TarEntry::new(b'0', "x") };
    let bytes = apk().entry(wrong, b"content").file("y", b"", 0o644).build();
    assert_eq!(error(Format::Apk, &bytes), "/x does not have the SHA-1 that the archive states for it");
    let mut reader = open(Format::Apk, &bytes).unwrap();
    let skipped = loop {
        match reader.next_entry() {
            Ok(Some(_)) => {}
            Ok(None) => break false,
            Err(_) => break true,
        }
    };
    assert!(skipped);
    assert!(reader.next_entry().is_err(), "after an error there is nothing more to read");
    let link = TarEntry { sha1: Some([1; 20]), ..TarEntry::link(b'2', "l", "target") };
    assert!(read(Format::Apk, &apk().entry(link, b"").build()).is_err());
}
