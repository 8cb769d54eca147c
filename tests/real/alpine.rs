//! The alpine flavors have what the real apk installs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;

use crate::support::images::{self, ARCHITECTURES};
use crate::support::inputs::{apk_tool, apks, superuser};
use crate::support::layers::{Item, Kind, Tree, flatten};
use crate::support::program::succeed;
use crate::support::{lifetime, roots};

/// Paths in which an image differs from an installed system, and why.
const DIFFERENCES: [(&str, &str); 19] = [
    ("/etc/passwd", "the accounts fix-up adds nonroot"),
    ("/etc/group", "the accounts fix-up adds nonroot, and staff"),
    ("/etc/shadow", "the accounts fix-up adds nonroot"),
    ("/home", "the accounts fix-up makes the home of nonroot"),
    ("/home/nonroot", "the accounts fix-up makes the home of nonroot"),
    ("/root", "the accounts fix-up makes the home of root"),
    ("/usr", "for os-release"),
    ("/usr/lib", "for os-release"),
    ("/usr/lib/os-release", "made: Alpine 3.20 has no package alpine-release"),
    ("/etc/os-release", "made: Alpine 3.20 has no package alpine-release"),
    ("/dev", "apk makes device nodes for the scripts that it runs; runtimes mount their own"),
    ("/dev/*", "apk makes device nodes for the scripts that it runs; runtimes mount their own"),
    ("/proc", "apk mounts it for the scripts that it runs; runtimes mount their own"),
    ("/var", "only for apk's cache"),
    ("/var/cache", "only for apk's cache"),
    ("/var/cache/*", "apk's cache: nothing is installed later"),
    ("/lib/apk/db/lock", "apk's lock: nothing is installed later"),
    ("/lib/apk/db/installed", "order of packages, and no sums of the files that the fix-ups replace: compared below"),
    ("/lib/apk/db/scripts.tar", "no scripts, in a tar of the canonical shape"),
];

fn is_expected(path: &str) -> bool {
    DIFFERENCES.iter().any(|(known, _)| match known.strip_suffix('*') {
        Some(folder) => path.starts_with(folder),
        None => path == *known,
    })
}

/// A folder as a tree, without dates, which an installation does not keep for all.
fn walk(root: &Path, folder: &Path, tree: &mut Tree) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let meta = fs::symlink_metadata(&path).unwrap();
        let kind = if meta.is_dir() {
            walk(root, &path, tree);
            Kind::Folder
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
        tree.insert(name, Item { kind, mode, uid, gid, mtime: 0, extra: BTreeMap::new() });
    }
}

/// The stanzas of a database, without the records of files that a fix-up replaces.
fn records(database: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(database).unwrap();
    text.split("\n\n")
        .filter(|stanza| !stanza.trim().is_empty())
        .map(|stanza| {
            let mut kept: Vec<&str> = Vec::new();
            let mut folder = "";
            let mut replaced = false;
            for line in stanza.trim().lines() {
                match line.split_once(':').unwrap() {
                    ("F", name) => (folder, replaced) = (name, false),
                    ("R", name) => replaced = is_expected(&format!("/{folder}/{name}")),
                    _ => {}
                }
                if !replaced || line.starts_with("F:") {
                    kept.push(line);
                }
            }
            kept.join("\n")
        })
        .collect()
}

fn compare(reference: &str, packages: &[&str]) {
    let (Some(set), Some(apk), Some(()), Some(_)) = (images::alpine(), apk_tool(), superuser(), apks()) else {
        return;
    };
    let mut unseen: BTreeSet<&str> = DIFFERENCES.iter().map(|(path, _)| *path).collect();
    for arch in ARCHITECTURES {
        let at = format!("{reference} on {}", arch.oci);
        let folder = lifetime::temporary();
        let (root, keys) = (folder.path().join("root"), folder.path().join("keys"));
        fs::create_dir(&keys).unwrap();
        for file in fs::read_dir(&set.from[0]).unwrap().map(|file| file.unwrap().path()) {
            if file.extension().is_some_and(|extension| extension == "pub") {
                fs::copy(&file, keys.join(file.file_name().unwrap())).unwrap();
            }
        }
        let mut command = Command::new(&apk);
        command.args(["add", "--initdb", "--no-network", "--no-cache", "--no-scripts", "--quiet", "--arch", arch.apk]);
        command.args(["--repositories-file", "/dev/null", "--root"]).arg(&root).arg("--keys-dir").arg(&keys);
        command.arg("-X").arg(&set.from[0]);
        for package in packages {
            // What is not in the signed repository is a file of ours.
            let own = set.from[1].join(arch.apk).join(format!("{package}-2024a-r1.apk"));
            if own.exists() {
                command.arg("--allow-untrusted").arg(own);
            } else {
                command.arg(package);
            }
        }
        succeed(&mut command);
        let mut theirs = Tree::new();
        walk(&root, &root, &mut theirs);
        let ours: Tree = flatten(set, set.image(reference), arch.oci)
            .into_iter()
            .map(|(path, item)| (path, Item { mtime: 0, ..item }))
            .collect();
        let all: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
        for path in all {
            let (our, their) = (ours.get(path), theirs.get(path));
            if our != their {
                assert!(is_expected(path), "{at}: {path}\n  {our:?}\n  {their:?}");
                unseen.retain(|known| match known.strip_suffix('*') {
                    Some(folder) => !path.starts_with(folder),
                    None => path != known,
                });
            }
        }
        let unpacked = roots::of(set, reference, arch);
        let [our, their] = [&unpacked, &root].map(|root| records(&root.join("lib/apk/db/installed")));
        assert_eq!(our, their, "{at}");
        // The same accounts, and more.
        for file in ["etc/passwd", "etc/group", "etc/shadow"] {
            let [our, their] = [&unpacked, &root].map(|root| fs::read_to_string(root.join(file)).unwrap());
            assert!(our.starts_with(&their), "{at}: {file}: {our}");
        }
        let scripts = File::open(unpacked.join("lib/apk/db/scripts.tar")).unwrap();
        assert_eq!(crate::support::layers::entries(scripts), []);
        // The real apk takes the image's database for its own.
        let mut command = Command::new(&apk);
        command.args(["info", "--no-network", "--root"]).arg(&unpacked).arg("--keys-dir").arg(&keys);
        let mut listed: Vec<String> = succeed(&mut command).lines().map(str::to_owned).collect();
        listed.sort_unstable();
        assert_eq!(listed, packages, "{at}");
    }
    println!("{reference}: differences that were not seen: {unseen:?}");
}

#[test]
fn musl_dynamic_is_what_apk_installs() {
    compare("musl-dynamic:alpine", &["alpine-baselayout-data", "ca-certificates-bundle", "musl"]);
}

#[test]
fn static_is_what_apk_installs() {
    compare("static:alpine", &["alpine-baselayout-data", "ca-certificates-bundle", "tzdata"]);
}
