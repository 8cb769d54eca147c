//! Bad packages through `add`: one line with file and reason, the good ones beside them are added,
//! nothing is registered, nothing is written elsewhere, and memory stays bounded.

use std::path::PathBuf;

use dlstore_formats::archive::decompress::Compression;
use dlstore_formats::package::fixture::{ApkBuilder, DebBuilder, TarEntry, TarWriter, ar_archive, compress, record};

use dlstore_kit::{finish_measured, names, packages, place, snapshot};

/// What no input may make the program exceed.
const MEMORY: u64 = 200 << 20;

fn deb() -> DebBuilder {
    DebBuilder::new("bad", "1.0", "amd64").file("usr/share/bad/file", b"content\n", 0o644)
}

fn apk() -> ApkBuilder {
    ApkBuilder::new("bad", "1.0-r0", "x86_64").file("usr/share/bad/file", b"content\n", 0o644)
}

/// A `.deb` with a good control member and this data member.
fn deb_of(data: &str, bytes: Vec<u8>) -> Vec<u8> {
    packages::deb_of(&deb(), data, bytes)
}

fn tar_of(entries: &[TarEntry]) -> Vec<u8> {
    let mut tar = TarWriter::default();
    tar.entry(&TarEntry::new(b'5', "./"), b"");
    for entry in entries {
        tar.entry(entry, if entry.kind == b'0' { b"pwned\n" } else { b"" });
    }
    tar.finish()
}

fn deb_with(entries: &[TarEntry]) -> Vec<u8> {
    deb_of("data.tar", tar_of(entries))
}

fn file(path: &str) -> TarEntry {
    TarEntry::new(b'0', path)
}

fn link(path: &str, target: &str) -> TarEntry {
    TarEntry::link(b'2', path, target)
}

fn hard_link(path: &str, target: &str) -> TarEntry {
    TarEntry::link(b'1', path, target)
}

fn with_control(name: &str, version: &str, arch: &str) -> Vec<u8> {
    DebBuilder::new(name, version, arch).file("a", b"", 0o644).build()
}

/// Every kind of bad package: file name, bytes, and words of the reason.
fn kinds() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let good = deb().compression(Compression::Xz).build();
    let good_apk = apk().build();
    let page = b"<!DOCTYPE html>\n<html><title>404 Not Found</title></html>".to_vec();
    let mut flipped = good.clone();
    let at = flipped.len() - 40;
    flipped[at] ^= 0xff;
    let mut wrong_hash = good_apk.clone();
    wrong_hash.extend(compress(Compression::Gzip, b"more"));
    let mut wrong_size = good.clone();
    let size = wrong_size.windows(11).position(|bytes| bytes == b"control.tar").unwrap() + 48;
    wrong_size[size..size + 10].copy_from_slice(b"0000000007");
    let no_control = ar_archive(&[("debian-binary".into(), b"2.0\n".to_vec()), ("data.tar".into(), vec![0; 1024])]);
    let long_line = DebBuilder::new("bad", "1.0", "amd64").control_field("X-Long", &"x".repeat(9_000_000));
    vec![
        ("empty.deb", vec![], "an empty file"),
        ("empty.apk", vec![], "an empty file"),
        ("page.deb", page.clone(), "an HTML page"),
        ("page.apk", page.clone(), "an HTML page"),
        ("page.tar.gz", page, "an HTML page"),
        ("cut.deb", good[..good.len() / 2].to_vec(), ""),
        ("cut-at-the-end.deb", good[..good.len() - 5].to_vec(), ""),
        ("cut.apk", good_apk[..good_apk.len() - 9].to_vec(), ""),
        ("flipped.deb", flipped, ""),
        ("other-hash.apk", wrong_hash, ""),
        ("v3.apk", b"ADB.pckg\0\0".to_vec(), "version 3"),
        ("apk.deb", good_apk, "not a .deb"),
        ("deb.apk", good, "not an .apk"),
        ("size.deb", wrong_size, ""),
        ("no-control.deb", no_control, "data.tar"),
        ("lz4.deb", deb_of("data.tar.lz4", vec![0; 100]), "unknown compression"),
        ("up.deb", deb_with(&[file("../../escaped")]), ".."),
        ("deep-up.deb", deb_with(&[file("usr/../../../escaped")]), ".."),
        ("absolute.deb", deb_with(&[file("/tmp/escaped")]), ""),
        ("through-link.deb", deb_with(&[link("usr", "/tmp"), file("usr/escaped")]), "usr"),
        ("hard-out.deb", deb_with(&[hard_link("passwd", "/etc/passwd")]), "absolute"),
        ("hard-up.deb", deb_with(&[hard_link("passwd", "../../etc/passwd")]), ""),
        ("hard-early.deb", deb_with(&[hard_link("a", "./b"), file("b")]), "hard link"),
        ("hard-self.deb", deb_with(&[hard_link("a", "./a")]), "hard link"),
        ("device.deb", deb_with(&[TarEntry { device: (1, 3), ..TarEntry::new(b'3', "null") }]), "device"),
        ("block.deb", deb_with(&[TarEntry { device: (8, 0), ..TarEntry::new(b'4', "sda") }]), "device"),
        ("pipe.deb", deb_with(&[TarEntry::new(b'6', "pipe")]), "pipe"),
        ("whiteout.deb", deb_with(&[file("etc/.wh.passwd")]), ".wh."),
        ("opaque.deb", deb_with(&[file("etc/.wh..wh..opq")]), ".wh."),
        ("whiteout-above.deb", deb_with(&[file(".wh.etc/passwd")]), ".wh."),
        ("whiteout.apk", ApkBuilder::new("bad", "1-r0", "x86_64").file("etc/.wh.x", b"", 0o644).build(), ".wh."),
        ("twice.deb", deb_with(&[file("a"), TarEntry { mode: 0o600, ..file("a") }]), "/a"),
        ("empty-link.deb", deb_with(&[link("a", "")]), ""),
        ("control-name.apk", ApkBuilder::new("bad", "1-r0", "x86_64").file(".PKGINFO", b"", 0o644).build(), "control"),
        ("name.deb", with_control("../../escaped", "1.0", "amd64"), "name"),
        ("name-newline.deb", with_control("a b", "1.0", "amd64"), "name"),
        ("version.deb", with_control("bad", "../1", "amd64"), "version"),
        ("arch.deb", with_control("bad", "1.0", "../x"), "rchitecture"),
        ("long-line.deb", long_line.build(), "a line of a control file"),
        ("overlay.deb", deb().xattr("trusted.overlay.opaque", b"y").build(), "trusted.overlay.opaque"),
        (
            "name-nul.deb",
            deb_of("data.tar", {
                let mut tar = TarWriter::default();
                tar.extension(b'x', &record("path", b"a\0b")).header(&file("a"), 0);
                tar.finish()
            }),
            "",
        ),
        ("future.deb", deb().mtime(1 << 40).build(), "time"),
    ]
}

#[test]
fn each_kind_of_bad_package_is_refused_by_name_and_the_good_ones_are_added() {
    let place = place!();
    let kinds = kinds();
    for (name, bytes, _) in &kinds {
        place.package(name, bytes);
    }
    place.package("a-good.deb", &packages::deb("good", 1, "amd64").build());
    place.package("z-good.apk", &packages::apk("good", 1, "x86_64").build());
    let tar = kinds.iter().find(|(name, ..)| *name == "page.tar.gz").unwrap().0;
    let before = (snapshot(&place.project()), snapshot(&place.path().join("home")), snapshot(&place.packages()));
    let arguments = ["add".into(), place.packages(), place.packages().join(tar)];
    let (done, memory) = finish_measured(place.command(&arguments));
    assert_eq!(done.code(), Some(1), "{done:?}");
    assert!(memory < MEMORY, "{memory}");
    let errors = done.lines("error:");
    for (name, _, words) in &kinds {
        let of: Vec<_> = errors.iter().filter(|line| line.contains(&format!("/{name}: "))).collect();
        assert_eq!(of.len(), 1, "{name}: {errors:#?}");
        assert!(of[0].contains(words), "{name}: {}", of[0]);
        println!("{}", of[0].rsplit_once('/').unwrap().1);
    }
    assert_eq!(errors.len(), kinds.len(), "{errors:#?}");
    assert!(done.err.contains("added 2 packages") && done.err.contains(&format!("{} failed", kinds.len())));
    let listed = place.json(&["list"]);
    let listed: Vec<_> = listed["packages"].as_array().unwrap().iter().map(|one| one["name"].clone()).collect();
    assert_eq!(listed, ["good", "good"], "nothing of the bad ones is registered");
    let after = (snapshot(&place.project()), snapshot(&place.path().join("home")), snapshot(&place.packages()));
    assert_eq!(before, after, "nothing is written outside of the store");
    assert_eq!(place.verified(), (vec![], vec![]), "nor left in it");
    assert_eq!(names(&place.store().join("sources")).len(), 2);
    assert!(!PathBuf::from("/tmp/escaped").exists());
    assert_eq!(names(place.path()), ["home", "packages", "project", "store"]);
}

#[test]
fn a_bad_package_alone_leaves_an_empty_store() {
    let place = place!();
    for (name, bytes, _) in kinds() {
        let path = place.package(name, &bytes);
        let done = place.run(["add".as_ref(), path.as_os_str()]);
        assert_eq!((done.code(), done.out.as_str()), (Some(1), ""), "{name}: {done:?}");
        assert_eq!(done.lines("error:").len(), 1, "{name}: {done:?}");
    }
    assert_eq!(place.json(&["list"])["packages"], serde_json::json!([]));
    assert!(place.left().is_empty(), "{:?}", place.left());
    assert_eq!(place.json(&["store", "info"])["trees"], 0);
}

/// Adds one package that asks for too much, and gives its error.
fn bomb(name: &str, bytes: &[u8]) -> String {
    let place = place!();
    let path = place.package(name, bytes);
    let (done, memory) = finish_measured(place.command(["add".as_ref(), path.as_os_str()]));
    println!(
        "{name}: {} bytes, {} MiB of memory, {}",
        bytes.len(),
        memory >> 20,
        done.err.lines().next().unwrap_or("")
    );
    assert!(memory < MEMORY, "{name}: {} MiB", memory >> 20);
    let left = place.left();
    if done.code() == Some(0) {
        return String::new();
    }
    assert!(left.is_empty(), "{name}: {left:?}");
    done.error()
}

#[test]
fn a_million_entries_are_refused_in_bounded_memory() {
    let one = TarWriter::default().entry(&TarEntry::new(b'0', "a"), b"").segment();
    let raw = [one.repeat(1_000_000), vec![0; 1024]].concat();
    let error = bomb("entries.deb", &deb_of("data.tar.zst", compress(Compression::Zstd, &raw)));
    assert!(error.contains("entries"), "{error}");
}

#[test]
fn many_long_names_are_refused_in_bounded_memory() {
    let mut raw = Vec::new();
    let long = "n".repeat(200);
    for at in 0..200_000 {
        let path = format!("{long}/{long}/{at}");
        let mut tar = TarWriter::default();
        raw.extend(tar.entry(&TarEntry::new(b'0', path), b"").segment());
    }
    raw.extend([0; 1024]);
    let error = bomb("names.deb", &deb_of("data.tar.zst", compress(Compression::Zstd, &raw)));
    assert!(error.contains("paths"), "{error}");
}

#[test]
fn as_many_entries_as_the_largest_real_package_has_fit_into_memory() {
    let mut raw = Vec::new();
    // A package like the largest real one, with half of the allowed entries.
    let directory = "p".repeat(93);
    for at in 0..119_990 {
        raw.extend(TarWriter::default().entry(&TarEntry::new(b'0', format!("{directory}/{at:010}")), b"").segment());
    }
    raw.extend([0; 1024]);
    assert_eq!(bomb("allowed.deb", &deb_of("data.tar.zst", compress(Compression::Zstd, &raw))), "");
}

#[test]
fn a_file_of_many_zeros_is_added_or_refused_in_bounded_memory() {
    let mut tar = TarWriter::default();
    tar.entry(&TarEntry::new(b'0', "zeros"), &vec![0; 600 << 20]);
    for compression in [Compression::Zstd, Compression::Gzip] {
        let name = if compression == Compression::Gzip { "data.tar.gz" } else { "data.tar.zst" };
        bomb("zeros.deb", &deb_of(name, compress(compression, &tar.finish())));
    }
}

#[test]
fn claims_of_size_cost_nothing() {
    let claim = |kind, size| TarWriter::default().header(&TarEntry::new(kind, "x"), size).segment();
    for (name, tar) in [
        ("huge.deb", claim(b'0', 1 << 60)),
        ("pax.deb", claim(b'x', 1 << 40)),
        ("global.deb", claim(b'g', 1 << 40)),
        ("long-name.deb", claim(b'L', 1 << 40)),
        ("long-link.deb", claim(b'K', 1 << 40)),
    ] {
        assert!(!bomb(name, &deb_of("data.tar", tar)).is_empty(), "{name}");
    }
    let control = DebBuilder::new("bad", "1.0", "all").control_file("postinst", &vec![b'#'; 64 << 20]);
    assert!(bomb("control.deb", &control.build()).contains("exceeds the limit"));
}
