//! The same content gives the same facts, whatever it came in, and no name of a file is forgotten.

use std::fs;

use super::*;
use crate::directory::read_directory;
use dlstore_formats::layer::Contents;
use dlstore_formats::package::fixture::{ApkBuilder, DebBuilder, TarEntry, TarWriter};

fn path(text: &str) -> TreePath {
    TreePath::new(text.as_bytes()).unwrap()
}

fn read(format: Format, bytes: &[u8], wanted: &dyn Fn(&TreePath) -> bool) -> Result<(Package, Spool), IngestError> {
    let open = || -> Result<PackageReader<'_>, IngestError> {
        Ok(PackageReader::open(format, "x.tar", Box::new(bytes), Limits::default())?)
    };
    let stage = tempfile::tempdir().unwrap();
    let mut spool = Spool::new(move || Ok(stage.path().join("spool")));
    let package = decode(&open, wanted, &mut spool)?;
    Ok((package, spool))
}

/// A program at a fixed address that needs nothing: headers alone.
fn program() -> Vec<u8> {
    let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
    bytes.resize(64 + 56, 0);
    (bytes[16], bytes[18], bytes[20], bytes[32], bytes[54]) = (2, 62, 1, 64, 56);
    // One program header: the whole file is loaded.
    (bytes[56], bytes[64], bytes[64 + 32], bytes[64 + 40]) = (1, 1, 120, 120);
    bytes
}

fn files() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("etc/group", vec![b'x'; (1 << 20) + 1]),
        ("etc/ld.so.conf.d/x.conf", b"/opt/lib\n".to_vec()),
        ("etc/passwd", b"root:x:0:0::/root:/bin/sh\n".to_vec()),
        ("usr/bin/cut", b"\x7fELF\x02\x01\x01".to_vec()),
        ("usr/bin/program", program()),
        ("usr/share/ca-certificates/one.crt", b"PEM".to_vec()),
    ]
}

#[test]
fn a_directory_a_tar_and_a_package_with_the_same_content_give_the_same_facts() {
    let host = tempfile::tempdir().unwrap();
    let (mut tar, mut deb) = (TarWriter::default(), DebBuilder::new("x", "1", "all"));
    let mut apk = ApkBuilder::new("x", "1", "noarch");
    for (at, content) in files() {
        let place = host.path().join(at);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(place, &content).unwrap();
        tar.entry(&TarEntry::new(b'0', at), &content);
        deb = deb.file(at, &content, 0o644);
        apk = apk.file(at, &content, 0o644);
    }
    let directory = read_directory(host.path(), &Limits::default()).unwrap();
    assert_eq!(directory.elf.iter().map(|(path, _)| path.to_string()).collect::<Vec<_>>(), ["/usr/bin/program"]);
    let texts: Vec<String> = directory.texts.keys().map(ToString::to_string).collect();
    assert_eq!(texts, ["/etc/ld.so.conf.d/x.conf", "/etc/passwd", "/usr/share/ca-certificates/one.crt"]);
    let mut notes = directory.notes.clone();
    notes.sort();
    assert_eq!(notes.len(), 2, "{notes:?}");
    assert!(notes[0].starts_with("/etc/group: not read, its 1048577 bytes exceed the limit"), "{notes:?}");
    assert!(notes[1].starts_with("/usr/bin/cut: the ELF file cannot be read"), "{notes:?}");
    for (format, bytes) in [(Format::Tar, tar.finish()), (Format::Deb, deb.build()), (Format::Apk, apk.build())] {
        for wanted in [true, false] {
            let (package, _) = read(format, &bytes, &|_| wanted).unwrap();
            let mut found = package.decoded;
            found.notes.sort();
            assert_eq!((&found.elf, &found.texts), (&directory.elf, &directory.texts), "{format:?}");
            assert_eq!(found.notes, notes, "{format:?}");
        }
    }
}

#[test]
fn facts_stand_under_the_first_name_of_a_hard_link_group_and_texts_under_those_that_are_read() {
    let deb = DebBuilder::new("x", "1", "all")
        .file("usr/bin/z", &program(), 0o755)
        .hard_link("usr/bin/a", "usr/bin/z")
        .hard_link("usr/bin/m", "usr/bin/z")
        .file("opt/text", b"root", 0o644)
        .hard_link("etc/passwd", "opt/text")
        .hard_link("etc/group", "opt/text");
    for wanted in [true, false] {
        let found = read(Format::Deb, &deb.build(), &|_| wanted).unwrap().0.decoded;
        assert_eq!(found.elf.iter().map(|(path, _)| path.to_string()).collect::<Vec<_>>(), ["/usr/bin/a"]);
        let text = b"root".to_vec();
        assert_eq!(found.texts, Texts::from([(path("etc/passwd"), text.clone()), (path("etc/group"), text)]));
        assert!(matches!(found.tree.get(&path("usr/bin/a")).unwrap().node, Node::File { .. }));
        let link = Node::HardLink { target: path("usr/bin/a") };
        assert_eq!(found.tree.get(&path("usr/bin/z")).unwrap().node, link);
    }
}

#[test]
fn content_that_only_a_later_name_wants_is_there() {
    let deb = DebBuilder::new("x", "1", "all")
        .file("opt/a", b"content", 0o644)
        .file("opt/other", b"not wanted", 0o644)
        .hard_link("opt/b", "opt/a");
    let (package, spool) = read(Format::Deb, &deb.build(), &|path| path.as_bytes() == b"opt/b").unwrap();
    let Node::File { content, .. } = package.decoded.tree.get(&path("opt/a")).unwrap().node.clone() else {
        panic!("the first name is the file")
    };
    let mut bytes = [0; 7];
    spool.read_at(&path("opt/b"), &content, 0, &mut bytes).unwrap();
    assert_eq!(&bytes, b"content");
    assert!(!spool.contains(&Digest::of(b"not wanted")));
}
