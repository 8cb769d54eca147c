//! What is read from a package is what dpkg-deb and tar read from it: every path, mode, owner, date,
//! link and content.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::content::listed_item;
use dlstore_kit::files::with_extension;
use dlstore_kit::inputs::{apks, debs, peer};
use dlstore_kit::layers::{self, Tree, assert_same};
use dlstore_kit::{Place, lifetime, program};

/// Adds packages, and gives the tree of each by `FORMAT:NAME=VERSION/ARCHITECTURE`.
fn added(from: &Path) -> BTreeMap<String, Tree> {
    let place = Place::within(program!(), lifetime::directory());
    place.ok([OsStr::new("add"), from.as_os_str()]);
    let list = place.json(&["list"]);
    let mut names: Vec<&str> =
        list["packages"].as_array().unwrap().iter().map(|package| package["name"].as_str().unwrap()).collect();
    names.dedup();
    let mut trees = BTreeMap::new();
    for name in names {
        let value = place.json(&["files", name, "--arch", "all"]);
        for listing in value["listings"].as_array().unwrap() {
            let files = listing["files"].as_array().unwrap().iter();
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            trees.insert(text(&listing["of"]), files.map(|file| (text(&file["path"]), listed_item(file))).collect());
        }
    }
    trees
}

/// A list of tar entries as a tree: the root goes, owners by name do not count.
fn tree(entries: Vec<(String, layers::Item)>) -> Tree {
    let mut tree = Tree::new();
    for (path, mut item) in entries.into_iter().filter(|(path, _)| path != "/") {
        item.extra.retain(|key, _| !key.starts_with("APK-TOOLS."));
        assert!(tree.insert(path.clone(), item).is_none(), "{path} twice");
    }
    tree
}

#[test]
fn debian_packages_are_read_as_dpkg_deb_reads_them() {
    let (Some(debs), Some(())) = (debs(), peer("dpkg-deb")) else { return };
    let added = added(&debs);
    let found = with_extension(&debs, "deb");
    assert_eq!(added.len(), found.len());
    for file in found {
        let name = file.file_stem().unwrap().to_str().unwrap().replace("%3a", ":");
        let [name, version, arch] = name.split('_').collect::<Vec<_>>().try_into().unwrap();
        let heading = format!("deb:{name}={version}/{arch}");
        let mut child =
            Command::new("dpkg-deb").arg("--fsys-tarfile").arg(&file).stdout(Stdio::piped()).spawn().unwrap();
        let theirs = tree(layers::entries(BufReader::new(child.stdout.take().unwrap())));
        assert!(child.wait().unwrap().success());
        assert_same(&added[&heading], &without_dates_of_directories(&added[&heading], theirs), &heading);
    }
}

#[test]
fn alpine_packages_are_read_as_tar_reads_them() {
    let Some(apks) = apks() else { return };
    let added = added(&apks);
    let found = with_extension(&apks, "apk");
    assert_eq!(added.len(), found.len());
    for file in found {
        let arch = file.parent().unwrap().file_name().unwrap().to_str().unwrap();
        let name = file.file_stem().unwrap().to_str().unwrap();
        let at = name.rmatch_indices('-').nth(1).unwrap().0;
        let heading = format!("apk:{}={}/{arch}", &name[..at], &name[at + 1..]);
        // Signature, control and data are one tar: only the last has an end.
        let decoder = flate2::bufread::MultiGzDecoder::new(BufReader::new(File::open(&file).unwrap()));
        let mut entries = layers::entries(decoder);
        entries.retain(|(path, _)| !path.starts_with("/."));
        let theirs = tree(entries);
        assert_same(&added[&heading], &without_dates_of_directories(&added[&heading], theirs), &heading);
    }
}

/// The dates of directories are kept or zero; either is fine, because layers do not have them.
fn without_dates_of_directories(ours: &Tree, mut theirs: Tree) -> Tree {
    for (path, item) in &mut theirs {
        if item.kind == layers::Kind::Directory {
            item.mtime = ours.get(path).map_or(item.mtime, |item| item.mtime);
        }
    }
    theirs
}
