//! Root directories of images, unpacked by GNU tar, and programs run in them.
//!
//! Owners and modes are those of the layers, so this takes root. An image is unpacked once for a test binary; a
//! test that changes its root takes a copy.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock};

use crate::command::succeed;
use crate::images::{Names, Set};
use crate::layers::{Item, Kind, Tree};
use crate::{inputs, lifetime};

/// Unpacks an image with its owners and modes, once. Tests that change it take a [`copy`].
pub fn of(set: &Set, reference: &str, arch: Names) -> PathBuf {
    static KNOWN: OnceLock<Mutex<HashMap<(String, &'static str), PathBuf>>> = OnceLock::new();
    let mut known = KNOWN.get_or_init(Mutex::default).lock().unwrap();
    known
        .entry((reference.to_owned(), arch.oci))
        .or_insert_with(|| {
            let name = format!("root-{}-{}", reference.replace(':', "-"), arch.tag);
            let root = lifetime::directory().join(name);
            unpack(set, reference, arch, &root);
            root
        })
        .clone()
}

/// Unpacks an image into a new directory.
pub fn unpack(set: &Set, reference: &str, arch: Names, root: &Path) {
    fs::create_dir(root).unwrap();
    for layer in &set.image(reference).platform(arch.oci).layers {
        let mut command = Command::new("tar");
        command.args(["--extract", "--gzip", "--numeric-owner", "--same-owner", "--same-permissions"]);
        succeed(command.arg("--file").arg(set.layout.file(&layer.digest)).arg("-C").arg(root));
    }
}

/// Unpacks an image into a directory of one test's own.
pub fn copy(set: &Set, reference: &str, arch: Names) -> (tempfile::TempDir, PathBuf) {
    let directory = lifetime::temporary();
    let root = directory.path().join("root");
    unpack(set, reference, arch, &root);
    (directory, root)
}

/// Runs a program in a root, emulated where it is foreign, and gives what it printed.
pub fn run(arch: Names, root: &Path, options: &[&str], program: &[&str]) -> String {
    let mut command = Command::new(inputs::script("in-root"));
    succeed(command.args(options).arg(arch.debian).arg(root).args(program))
}

/// Puts a file into a root.
pub fn place(from: &Path, root: &Path, to: &str) {
    let to = root.join(to.trim_start_matches('/'));
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    fs::copy(from, &to).unwrap_or_else(|error| panic!("{} to {}: {error}", from.display(), to.display()));
}

/// Reads a directory as a tree: what a layer says of it, but for hard links, which are files.
pub fn walk(root: &Path) -> Tree {
    let mut tree = Tree::new();
    walk_into(root, root, &mut tree);
    tree
}

fn walk_into(root: &Path, directory: &Path, tree: &mut Tree) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let meta = fs::symlink_metadata(&path).unwrap();
        let kind = if meta.is_dir() {
            walk_into(root, &path, tree);
            Kind::Directory
        } else if meta.is_symlink() {
            Kind::Link(fs::read_link(&path).unwrap().to_str().unwrap().to_owned())
        } else if meta.is_file() {
            let content = fs::read(&path).unwrap();
            Kind::File { size: meta.len(), blake3: blake3::hash(&content).to_hex().to_string() }
        } else {
            Kind::Other(0)
        };
        let (uid, gid, mode) = (meta.uid().into(), meta.gid().into(), meta.mode() & 0o7777);
        let name = format!("/{}", path.strip_prefix(root).unwrap().to_str().unwrap());
        let mtime = meta.mtime().try_into().unwrap();
        tree.insert(name, Item { kind, mode, uid, gid, mtime, extra: BTreeMap::new() });
    }
}
