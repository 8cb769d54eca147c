//! What good packages give.

use super::*;
use crate::archive::decompress::Compression;
use crate::package::fixture::{ApkBuilder, DebBuilder, MTIME, TarEntry, TarWriter, ar_archive, compress};
use dlstore_model::relation::Operator;
use dlstore_model::version::Version;

fn deb() -> DebBuilder {
    DebBuilder::new("hello", "1:2.0-1", "amd64")
        .directory("usr", 0o755)
        .file("usr/bin/hello", b"#!/bin/sh\necho hello\n", 0o4755)
        .owner(0, 42)
        .hard_link("usr/bin/again", "usr/bin/hello")
        .hard_link("usr/bin/third", "usr/bin/again")
        .symlink("usr/bin/hi", "hello")
        .file(&format!("usr/share/{}/x", "long".repeat(60)), b"", 0o644)
        .mtime(1)
        .file("etc/hello.conf", b"a=b\n", 0o600)
        .control_file("conffiles", b"/etc/hello.conf\n")
        .control_field("Source", "greetings")
        .md5sums()
}

#[test]
fn a_deb_gives_its_control_and_all_entries_in_every_compression() {
    let (_, expected) = read(Format::Deb, &deb().build()).unwrap();
    assert_eq!(
        list(&expected),
        [
            "/usr d 755 0:0".to_owned(),
            "/usr/bin d 755 0:0".into(),
            "/usr/bin/hello f21 4755 0:42".into(),
            "/usr/bin/again h/usr/bin/hello 644 0:0".into(),
            "/usr/bin/third h/usr/bin/hello 644 0:0".into(),
            "/usr/bin/hi lhello 777 0:0".into(),
            "/usr/share d 755 0:0".into(),
            format!("/usr/share/{} d 755 0:0", "long".repeat(60)),
            format!("/usr/share/{}/x f0 644 0:0", "long".repeat(60)),
            "/etc d 755 0:0".into(),
            "/etc/hello.conf f4 600 0:0".into(),
        ]
    );
    assert_eq!((expected[2].0.meta.mtime, expected[8].0.meta.mtime), (MTIME, 1));
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd, Compression::Bzip2, Compression::Lzma]
    {
        let (control, entries) = read(Format::Deb, &deb().compression(compression).build()).unwrap();
        let Control { metadata, .. } = &control;
        assert_eq!((&*metadata.name, &*metadata.version, &*metadata.origin), ("hello", "1:2.0-1", "greetings"));
        assert_eq!(control.members.keys().collect::<Vec<_>>(), ["conffiles", "control", "md5sums"]);
        assert!(String::from_utf8_lossy(&control.members["md5sums"]).contains("  usr/bin/hello\n"));
        assert!(!String::from_utf8_lossy(&control.members["md5sums"]).contains("hello.conf"));
        assert_eq!(entries, expected, "{compression:?}");
    }
}

#[test]
fn members_of_a_deb_may_have_slashes_and_ignored_ones_between_them() {
    let (data, control) = (deb().data_tar(), deb().control_tar());
    let bytes = ar_archive(&[
        ("debian-binary/".into(), b"2.1\nmore\n".to_vec()),
        ("_gpgbuilder".into(), b"odd".to_vec()),
        ("control.tar/".into(), control),
        ("_x".into(), b"".to_vec()),
        ("data.tar/".into(), data),
        ("control.tar.gz".into(), b"never read".to_vec()),
    ]);
    assert_eq!(read(Format::Deb, &bytes).unwrap(), read(Format::Deb, &deb().build()).unwrap());
    assert!(read(Format::Deb, &[bytes.as_slice(), b"trailing garbage"].concat()).is_ok());
}

fn apk() -> ApkBuilder {
    ApkBuilder::new("hello", "2.0-r1", "x86_64")
        .file("usr/bin/hello", b"#!/bin/sh\n", 0o755)
        .owner(1000, 2_000_000_000)
        .xattr("security.capability", b"\x01\0\0\x02")
        .xattr("user.note", b"line\n")
        .symlink("usr/bin/hi", "hello")
        .hard_link("usr/bin/again", "usr/bin/hello")
        .device("dev/null", 1, 3)
        .directory("tmp", 0o1777)
        .replaces("other<3")
        .depend("so:libc.musl-x86_64.so.1")
        .control_file(".post-install", b"#!/bin/sh\n")
}

#[test]
fn an_apk_gives_its_control_and_all_entries() {
    for bytes in [
        apk().build(),
        apk().signature(".SIGN.RSA256.key.rsa.pub", &[7; 256]).build(),
        apk()
            .signature(".SIGN.RSA.key.rsa.pub", b"x")
            .signature(".SIGN.RSA256.key.rsa.pub", b"y")
            .data_members(4)
            .build(),
    ] {
        let (control, entries) = read(Format::Apk, &bytes).unwrap();
        let Control { metadata, .. } = &control;
        assert_eq!((&*metadata.name, &*metadata.version), ("hello", "2.0-r1"));
        assert_eq!(metadata.replaces[0].constraint, Some((Operator::Earlier, Version::new(Format::Apk, "3").unwrap())));
        assert_eq!(control.members.keys().collect::<Vec<_>>(), [".PKGINFO", ".post-install"]);
        assert_eq!(
            list(&entries),
            [
                "/usr d 755 0:0",
                "/usr/bin d 755 0:0",
                "/usr/bin/hello f10 755 1000:2000000000",
                "/usr/bin/hi lhello 777 0:0",
                "/usr/bin/again h/usr/bin/hello 644 0:0",
                "/dev d 755 0:0",
                "/dev/null c1,3 644 0:0",
                "/tmp d 1777 0:0",
            ]
        );
        let hello = &entries[2].0;
        assert!(hello.sha1.is_some());
        assert_eq!(hello.xattrs.get(&b"security.capability"[..]).map(Vec::as_slice), Some(&b"\x01\0\0\x02"[..]));
        assert_eq!(hello.xattrs.len(), 2);
    }
}

#[test]
fn the_identity_of_an_apk_is_the_sha1_of_its_raw_control_member() {
    use sha1::Digest as _;
    let unsigned = apk().build();
    let signed = apk().signature(".SIGN.RSA.k", b"s").build();
    // gzip members of the fixture begin with the same ten bytes, and nothing in them looks so.
    let starts: Vec<_> =
        unsigned.windows(10).enumerate().filter(|(_, w)| *w == &unsigned[..10]).map(|(at, _)| at).collect();
    let expected = <[u8; 20]>::from(sha1::Sha1::digest(&unsigned[..starts[1]]));
    for bytes in [unsigned, signed] {
        let reader = open(Format::Apk, &bytes).unwrap();
        assert_eq!(reader.control().metadata.apk_identity, Some(expected));
    }
}

#[test]
fn a_tar_is_named_by_its_file() {
    let mut tar = TarWriter::default();
    tar.entry(&TarEntry::new(b'5', "./"), b"")
        .entry(&TarEntry::new(b'0', "./b"), b"x")
        .entry(&TarEntry::new(b'6', "a"), b"");
    let raw = tar.finish();
    for (name, compression) in [
        ("site-1.0.tar", Compression::None),
        ("directory/site-1.0.tar.gz", Compression::Gzip),
        ("site-1.0.tar.xz", Compression::Xz),
        ("site-1.0.tar.zst", Compression::Zstd),
        ("site-1.0.tar.bz2", Compression::Bzip2),
    ] {
        let bytes = compress(compression, &raw);
        let input: Box<dyn Read + Send + '_> = Box::new(bytes.as_slice());
        let reader = PackageReader::open(Format::Tar, name, input, Limits::default()).unwrap();
        let (control, entries) = read_from(reader).unwrap();
        assert_eq!(
            (&*control.metadata.name, &*control.metadata.version, &*control.metadata.architecture),
            ("site-1.0", "0", "all")
        );
        assert_eq!(list(&entries), ["/b f1 644 0:0", "/a p 644 0:0"]);
    }
    for name in ["x.tar.lzma", "x.tar.lz4", "x.tgz", "x", ".tar", "-x.tar", "x y.tar", "../.tar", "x.tar."] {
        let input: Box<dyn Read + Send + '_> = Box::new(raw.as_slice());
        assert!(PackageReader::open(Format::Tar, name, input, Limits::default()).is_err(), "{name}");
    }
}

#[test]
fn a_reader_can_go_to_another_thread() {
    fn check<T: Send>(_: &T) {}
    let bytes = deb().build();
    check(&open(Format::Deb, &bytes).unwrap());
}
