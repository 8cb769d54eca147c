//! The alpine flavors have what the real apk installs.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use dlstore_kit::images::{self, ARCHITECTURES};
use dlstore_kit::inputs::{apk_tool, apks, superuser};
use dlstore_kit::layers::{Item, Tree, flatten};
use dlstore_kit::{lifetime, program, roots, succeed};

/// Paths in which an image differs from an installed system, and why.
const DIFFERENCES: [(&str, &str); 17] = [
    ("/etc/passwd", "the accounts fix-up adds nonroot"),
    ("/etc/group", "the accounts fix-up adds nonroot, and staff"),
    ("/etc/shadow", "the accounts fix-up adds nonroot"),
    ("/home", "the accounts fix-up makes the home of nonroot"),
    ("/home/nonroot", "the accounts fix-up makes the home of nonroot"),
    ("/root", "the accounts fix-up makes the home of root"),
    ("/usr", "for os-release"),
    ("/usr/lib", "for os-release"),
    ("/usr/lib/os-release", "made: alpine-release is not among the packages"),
    ("/etc/os-release", "made: alpine-release is not among the packages"),
    ("/dev/*", "apk makes device nodes for the scripts that it runs; runtimes mount their own"),
    ("/run", "the flavor has it, as alpine-baselayout does"),
    ("/sys", "the flavor has it, as alpine-baselayout does"),
    ("/var/cache", "only for apk's cache"),
    ("/var/cache/*", "apk's cache: nothing is installed later"),
    ("/lib/apk/db/lock", "apk's lock: nothing is installed later"),
    ("/lib/apk/db/installed", "order of packages, and no sums of the files that the fix-ups replace: compared below"),
];

fn is_expected(path: &str) -> bool {
    DIFFERENCES.iter().any(|(known, _)| match known.strip_suffix('*') {
        Some(directory) => path.starts_with(directory),
        None => path == *known,
    })
}

/// The stanzas of a database, without the records of files that a fix-up replaces.
fn records(database: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(database).unwrap();
    text.split("\n\n")
        .filter(|stanza| !stanza.trim().is_empty())
        .map(|stanza| {
            let mut kept: Vec<&str> = Vec::new();
            let mut directory = "";
            let mut replaced = false;
            for line in stanza.trim().lines() {
                match line.split_once(':').unwrap() {
                    ("F", name) => (directory, replaced) = (name, false),
                    ("R", name) => replaced = is_expected(&format!("/{directory}/{name}")),
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

/// Compares on all architectures; `unneeded` are the differences that this image does not have.
fn compare(reference: &str, packages: &[&str], unneeded: &[&str]) {
    let (Some(set), Some(apk), Some(()), Some(_)) = (images::alpine(program!()), apk_tool(), superuser(), apks())
    else {
        return;
    };
    let mut unseen: BTreeSet<&str> = DIFFERENCES.iter().map(|(path, _)| *path).collect();
    for arch in ARCHITECTURES {
        let at = format!("{reference} on {}", arch.oci);
        let directory = lifetime::temporary();
        let (root, keys) = (directory.path().join("root"), directory.path().join("keys"));
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
        // What is not in the signed repository is one of ours, which nobody signs.
        let own = directory.path().join("own").join(arch.apk);
        fs::create_dir_all(&own).unwrap();
        let tzdata = own.join("tzdata-2024a-r1.apk");
        fs::copy(set.from[1].join(arch.apk).join("tzdata-2024a-r1.apk"), &tzdata).unwrap();
        let mut index = Command::new(&apk);
        index.args(["index", "--allow-untrusted", "--quiet", "-o"]).arg(own.join("APKINDEX.tar.gz"));
        succeed(index.arg(&tzdata).arg("--keys-dir").arg(&keys));
        command.arg("--allow-untrusted").arg("-X").arg(directory.path().join("own")).args(packages);
        succeed(&mut command);
        // An installation does not keep the dates of all.
        let undated =
            |tree: Tree| -> Tree { tree.into_iter().map(|(path, item)| (path, Item { mtime: 0, ..item })).collect() };
        let theirs = undated(roots::walk(&root));
        let ours = undated(flatten(set, set.image(reference), arch.oci));
        let all: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
        for path in all {
            let (our, their) = (ours.get(path), theirs.get(path));
            if our != their {
                assert!(is_expected(path), "{at}: {path}\n  {our:?}\n  {their:?}");
                unseen.retain(|known| match known.strip_suffix('*') {
                    Some(directory) => !path.starts_with(directory),
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
        assert_eq!(dlstore_kit::layers::entries(scripts), []);
        // The real apk takes the image's database for its own.
        let mut command = Command::new(&apk);
        command.args(["info", "--no-network", "--root"]).arg(&unpacked).arg("--keys-dir").arg(&keys);
        let mut listed: Vec<String> = succeed(&mut command).lines().map(str::to_owned).collect();
        listed.sort_unstable();
        assert_eq!(listed, packages, "{at}");
    }
    // And no difference is only written down.
    assert_eq!(unseen, unneeded.iter().copied().collect(), "{reference}");
}

#[test]
fn musl_dynamic_is_what_apk_installs() {
    compare("musl-dynamic:alpine", &["alpine-baselayout-data", "ca-certificates-bundle", "musl"], &[]);
}

#[test]
fn static_is_what_apk_installs() {
    compare("static:alpine", &["alpine-baselayout-data", "ca-certificates-bundle", "tzdata"], &["/usr"]);
}
