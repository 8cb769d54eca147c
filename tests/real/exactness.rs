//! The same digests, whoever composes, where, and in which surroundings.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use dlstore_kit::files::with_extension;
use dlstore_kit::images::{Image, sets};
use dlstore_kit::inputs::superuser;
use dlstore_kit::{Layout, Place, lifetime, names, program, succeed};

/// All digests, but for how the images were named.
fn assert_equal(left: &[Image], right: &[Image], at: &str) {
    assert_eq!(left.len(), right.len());
    for (left, right) in left.iter().zip(right) {
        assert_eq!(left, right, "{at}");
    }
}

#[test]
fn another_store_and_other_surroundings_give_the_same_digests() {
    for set in sets(program!()) {
        let references: Vec<&str> = set.images.iter().map(|image| image.reference.as_str()).collect();
        let directory = lifetime::temporary();
        let long = directory.path().join("a store elsewhere, with a longer path");
        let place = Place::at(program!(), &long);
        // A shell sets the umask; the rest is the environment's.
        let mut command = Command::new("bash");
        command.args(["-c", r#"umask 000; exec "$0" "$@""#, program!()]);
        command.args(["compose", "--json", "--arch", "all", "--jobs", "5", "-o", "oci:layout"]);
        command.args(&references).arg("--from").args(&set.from).current_dir(place.project());
        command.env("DLSTORE_ROOT", place.store()).env("TZ", "Pacific/Kiritimati").env("LANG", "tr_TR.UTF-8");
        command.env("LC_ALL", "tr_TR.UTF-8").env("HOME", "/nonexistent").env("SOURCE_DATE_EPOCH", "1");
        command.env("USER", "someone").env("TMPDIR", directory.path());
        let images = parsed(&succeed(&mut command));
        assert_equal(&images, &set.images, "other surroundings");
        same_files(&Layout(place.project().join("layout")), &set.layout);
    }
}

#[test]
fn another_user_another_file_system_and_another_order_give_the_same_digests() {
    let Some(()) = superuser() else { return };
    let memory = Path::new("/dev/shm");
    for set in sets(program!()) {
        let references: Vec<&str> = set.images.iter().map(|image| image.reference.as_str()).collect();
        let directory = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
        // What nobody may read on this machine is no matter of the digests.
        let (inputs, home) = (directory.path().join("in"), directory.path().join("home"));
        fs::create_dir(&inputs).unwrap();
        fs::create_dir(&home).unwrap();
        let mut packages: Vec<PathBuf> = ["deb", "apk"]
            .iter()
            .flat_map(|kind| set.from.iter().flat_map(|from| with_extension(from, kind)))
            .collect();
        // The other order.
        packages.sort_unstable();
        packages.reverse();
        let copies: Vec<PathBuf> = packages
            .iter()
            .enumerate()
            .map(|(at, package)| {
                let extension = package.extension().unwrap().to_str().unwrap();
                let copy = inputs.join(format!("{at:03}.{extension}"));
                fs::copy(package, &copy).unwrap();
                copy
            })
            .collect();
        let program = directory.path().join("dlstore");
        fs::copy(program!(), &program).unwrap();
        succeed(Command::new("chmod").args(["-R", "a+rX"]).arg(directory.path()));
        succeed(Command::new("chown").args(["65534:65534"]).arg(&home));
        let as_nobody = |arguments: &[&str]| {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "bash", "-c"]);
            command.args([r#"umask 077; exec "$0" "$@""#]).arg(&program).args(["--jobs", "1"]).args(arguments);
            command.env_clear().env("PATH", "/usr/bin:/bin").env("DLSTORE_ROOT", home.join("s")).current_dir(&home);
            command
        };
        // One after the other, so that their order is that of the arguments.
        for half in copies.chunks(copies.len().div_ceil(3)) {
            succeed(as_nobody(&["add"]).args(half));
        }
        let mut command = as_nobody(&["compose", "--json", "--arch", "all", "--from", "store", "-o", "oci:layout"]);
        let images = parsed(&succeed(command.args(&references)));
        assert_equal(&images, &set.images, "another user on a file system in memory");
        same_files(&Layout(home.join("layout")), &set.layout);
    }
}

#[test]
fn architectures_alone_and_together_give_the_same_manifests() {
    for set in sets(program!()) {
        let references: Vec<&str> = set.images.iter().map(|image| image.reference.as_str()).collect();
        for arch in ["amd64", "arm/v6,s390x"] {
            let mut command = set.place.command(["compose", "--json", "--arch", arch, "-o"]);
            let directory = lifetime::temporary();
            command.arg(format!("oci:{}", directory.path().join("layout").display()));
            let images = parsed(&succeed(command.args(&references).arg("--from").args(&set.from)));
            for image in &images {
                for platform in &image.platforms {
                    let all = set.image(&image.reference);
                    // A group of what is equal on all architectures depends on which these are; the
                    // files do not.
                    assert_eq!(platform, all.platform(&platform.architecture), "{}", image.reference);
                }
            }
        }
    }
}

fn parsed(json: &str) -> Vec<Image> {
    let mut value: serde_json::Value = serde_json::from_str(json).unwrap();
    serde_json::from_value(value["images"].take()).unwrap()
}

/// Two layouts hold the same files with the same bytes.
fn same_files(left: &Layout, right: &Layout) {
    let blobs = |layout: &Layout| names(&layout.path().join("blobs/sha256"));
    assert_eq!(blobs(left), blobs(right));
    let blobs = blobs(left).into_iter().map(|name| format!("blobs/sha256/{name}"));
    for file in blobs.chain(["oci-layout".into(), "index.json".into()]) {
        let [left, right] = [left, right].map(|layout| fs::read(layout.path().join(&file)).unwrap());
        assert!(left == right, "{file}");
    }
}
