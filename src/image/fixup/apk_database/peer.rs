//! The database against the one that the real apk-tools write, on real packages.
//!
//! `../shared/bin/apk` is the program, `../shared/data` has a repository of Alpine 3.20 with its keys
//! (`ARCH/NAME-VERSION.apk`); without them this says so and proves nothing.

use std::ffi::OsStr;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use dlstore_kit::workspace;
use sha1::{Digest as _, Sha1};

use super::*;

struct Package {
    info: Vec<(String, String)>,
    identity: [u8; 20],
    size: u64,
    entries: Vec<ApkEntry>,
}

fn read(path: &Path) -> Package {
    let bytes = std::fs::read(path).unwrap();
    let (mut rest, mut segments) = (bytes.as_slice(), Vec::new());
    while !rest.is_empty() {
        let mut decoder = flate2::bufread::GzDecoder::new(rest);
        let mut plain = Vec::new();
        decoder.read_to_end(&mut plain).unwrap();
        let left = decoder.into_inner();
        segments.push((&rest[..rest.len() - left.len()], plain));
        rest = left;
    }
    // Signature, control, data.
    let identity = Sha1::digest(segments[1].0).into();
    let mut info = Vec::new();
    for entry in tar::Archive::new(segments[1].1.as_slice()).entries().unwrap() {
        let mut entry = entry.unwrap();
        if &*entry.path_bytes() == b".PKGINFO" {
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            let lines = text.lines().filter_map(|line| line.split_once(" = "));
            info.extend(lines.map(|(key, value)| (key.to_owned(), value.to_owned())));
        }
    }
    let mut entries = Vec::new();
    for entry in tar::Archive::new(segments[2].1.as_slice()).entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = TreePath::from_archive(&entry.path_bytes()).unwrap().unwrap();
        let header = entry.header().clone();
        let meta = Meta {
            mode: u16::try_from(header.mode().unwrap() & 0o7777).unwrap(),
            uid: u32::try_from(header.uid().unwrap()).unwrap(),
            gid: u32::try_from(header.gid().unwrap()).unwrap(),
            mtime: 0,
        };
        let kind = if header.entry_type().is_dir() {
            ApkEntryKind::Directory
        } else if let Some(target) = entry.link_name_bytes() {
            ApkEntryKind::File(Some(Sha1::digest(&target).into()))
        } else {
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            ApkEntryKind::File(Some(Sha1::digest(&content).into()))
        };
        entries.push(ApkEntry { path, meta, kind });
    }
    Package { info, identity, size: bytes.len() as u64, entries }
}

#[test]
fn the_database_is_that_of_the_real_apk() {
    let Some(apk) = workspace::shared("bin/apk").map(PathBuf::into_os_string) else { return };
    let Some(repository) = &workspace::shared("data/apk/alpine/v3.20") else { return };
    // Packages of an image, then some with scripts, triggers and dependencies.
    let image = ["alpine-baselayout-data", "ca-certificates-bundle", "musl"];
    let more = ["alpine-baselayout", "apk-tools", "musl-utils", "zlib"];
    for arch in Arch::ALL {
        compare(&apk, repository, arch, &image, &["installed", "scripts.tar", "triggers", "world", "arch"]);
        compare(&apk, repository, arch, &more, &["installed", "world", "arch"]);
    }
}

/// Installs `names` with the real apk, and compares the files of the database that have one of the given
/// names.
fn compare(apk: &OsStr, repository: &Path, arch: Arch, names: &[&str], files: &[&str]) {
    let root = tempfile::tempdir().unwrap();
    let mut command = Command::new(apk);
    command.arg("add").arg("--root").arg(root.path()).args(["--initdb", "--arch", arch.apk()]);
    command.arg("--keys-dir").arg(repository).args(["--no-scripts", "--no-cache", "--repository"]).arg(repository);
    let output = command.args(names).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let theirs = std::fs::read_to_string(root.path().join("lib/apk/db/installed")).unwrap();
    // Theirs says which packages came in which order.
    let field = |stanza: &str, key: &str| stanza.lines().find_map(|line| line.strip_prefix(key)).unwrap().to_owned();
    let packages: Vec<Package> = theirs
        .split("\n\n")
        .filter(|text| !text.is_empty())
        .map(|stanza| format!("{}-{}.apk", field(stanza, "P:"), field(stanza, "V:")))
        .map(|name| read(&repository.join(arch.apk()).join(name)))
        .collect();
    let views: Vec<ApkPackage<'_>> = packages
        .iter()
        .map(|one| ApkPackage { info: &one.info, identity: one.identity, size: one.size, entries: &one.entries })
        .collect();
    let world: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let made = apk_database(arch, Place::Lib, &views, &world, 0).unwrap();
    let wanted = made.entries.iter().filter(|(path, _)| files.iter().any(|name| path.name() == name.as_bytes()));
    let mut compared = 0;
    for (path, _) in wanted {
        let theirs = std::fs::read(root.path().join(path.to_string().trim_start_matches('/'))).unwrap();
        let ours = made.bytes(path).unwrap();
        if ours != theirs {
            let (ours, theirs) = (String::from_utf8_lossy(ours), String::from_utf8_lossy(&theirs));
            let differing: Vec<_> = ours.lines().zip(theirs.lines()).filter(|(a, b)| a != b).take(5).collect();
            panic!("{arch} {path}: {differing:?}");
        }
        compared += 1;
    }
    assert_eq!(compared, files.len());
}
