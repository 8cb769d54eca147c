//! Outputs: what somebody did to a blob in them is seen by the next compose, replaced, and gone from the store.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::template::{Template, WARM, sound};
use dlstore_kit::files::{flip, flip_in_silence, paths};
use dlstore_kit::{Place, layers, names, sha256, snapshot};

type Damage = fn(&Path);

/// What people do to a file.
fn damages() -> Vec<(&'static str, Damage)> {
    let mut all: Vec<(&'static str, Damage)> = vec![
        ("edited", flip),
        ("truncated", |path| {
            let length = fs::metadata(path).unwrap().len();
            fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
            fs::File::options().write(true).open(path).unwrap().set_len(length / 2).unwrap();
        }),
        ("made writable for all", |path| fs::set_permissions(path, fs::Permissions::from_mode(0o666)).unwrap()),
        ("deleted", |path| fs::remove_file(path).unwrap()),
    ];
    if rustix::process::geteuid().is_root() {
        all.push(("given away", |path| std::os::unix::fs::chown(path, Some(1234), Some(1234)).unwrap()));
    } else {
        println!("skipped: only root can give files away");
    }
    all
}

struct Output {
    place: Place,
    arguments: Vec<String>,
    layout: PathBuf,
    line: String,
}

impl Output {
    /// Composes into a layout that lies somewhere and is placed somehow.
    fn new(layout: &Path, is_copy: bool) -> Self {
        let place = Template::get().copy();
        let layout = place.project().join(layout);
        let mut arguments = ["compose", WARM, "--arch", "amd64", "--from", "store"].map(str::to_owned).to_vec();
        arguments.extend(["-o".to_owned(), format!("oci:{}:t", layout.display())]);
        arguments.extend(is_copy.then(|| "--copy".to_owned()));
        let line = place.ok(&arguments);
        assert_eq!(line, Template::get().right(WARM).line);
        Self { place, arguments, layout, line }
    }

    fn blob(&self, name: &str) -> PathBuf {
        self.layout.join("blobs/sha256").join(name)
    }

    /// The layers in the layout: what the store has as packs.
    fn layers(&self) -> Vec<String> {
        let packs = names(&self.place.store().join("packs"));
        names(&self.layout.join("blobs/sha256")).into_iter().filter(|name| packs.contains(name)).collect()
    }

    fn documents(&self) -> Vec<String> {
        let packs = names(&self.place.store().join("packs"));
        names(&self.layout.join("blobs/sha256")).into_iter().filter(|name| !packs.contains(name)).collect()
    }

    /// Composes again: the layout is whole, and the store's files are as they were published.
    fn heals(&self, what: &str) {
        assert_eq!(self.place.ok(&self.arguments), self.line, "{what}");
        sound(&self.layout, self.line.trim_end().split_once('@').unwrap().1)
            .unwrap_or_else(|bad| panic!("{what}: {bad}"));
        for name in self.layers() {
            let path = self.place.store().join("packs").join(&name);
            assert_eq!(sha256(&fs::read(&path).unwrap()), name, "{what}: the store's file");
            let meta = fs::metadata(&path).unwrap();
            assert_eq!(meta.mode() & 0o7777, 0o444, "{what}: its mode");
            assert_eq!(meta.uid(), rustix::process::geteuid().as_raw(), "{what}: its owner");
            let blob = fs::metadata(self.blob(&name)).unwrap();
            assert_eq!((blob.mode() & 0o022, blob.uid()), (0, meta.uid()), "{what}: the blob's mode and owner");
        }
        assert_eq!(self.place.verified().0, Vec::<String>::new(), "{what}");
        let before = snapshot(&self.layout);
        assert_eq!(self.place.ok(&self.arguments), self.line, "{what}");
        assert_eq!(snapshot(&self.layout), before, "{what}: nothing is left to do");
    }

    fn suffers(&self, damages: &[(&str, Damage)], how: &str) {
        let layers = self.layers();
        assert!(!layers.is_empty());
        for (way, damage) in damages {
            damage(&self.blob(&layers[0]));
            self.heals(&format!("one layer {way}, {how}"));
            for name in &layers {
                damage(&self.blob(name));
            }
            self.heals(&format!("all layers {way}, {how}"));
        }
    }
}

#[test]
fn what_is_done_to_a_linked_layer_is_undone_by_the_next_compose() {
    let output = Output::new(Path::new("linked"), false);
    let (blob, pack) = (output.blob(&output.layers()[0]), output.place.store().join("packs").join(&output.layers()[0]));
    assert_eq!(fs::metadata(blob).unwrap().ino(), fs::metadata(pack).unwrap().ino(), "linked");
    output.suffers(&damages(), "linked");
}

#[test]
fn what_is_done_to_a_copied_layer_is_undone_by_the_next_compose() {
    let output = Output::new(Path::new("copied"), true);
    let mut damages = damages();
    // A copy is no file of the store: it is read, whatever it looks like.
    damages.push(("edited with its time kept", flip_in_silence));
    output.suffers(&damages, "copied");
}

#[test]
fn what_is_done_to_a_layer_on_another_file_system_is_undone_by_the_next_compose() {
    let Ok(other) = tempfile::Builder::new().prefix("dlstore-test").tempdir_in("/dev/shm") else {
        println!("skipped: there is no /dev/shm");
        return;
    };
    if fs::metadata(other.path()).unwrap().dev() == fs::metadata(std::env::temp_dir()).unwrap().dev() {
        println!("skipped: /dev/shm is the file system of all else");
        return;
    }
    let output = Output::new(&other.path().join("layout"), false);
    let mut damages = damages();
    damages.push(("edited with its time kept", flip_in_silence));
    output.suffers(&damages, "on another file system");
}

#[test]
fn a_document_edited_under_its_size_and_time_is_replaced() {
    for is_copy in [false, true] {
        let output = Output::new(Path::new("documents"), is_copy);
        let documents = output.documents();
        assert_eq!(documents.len(), 2, "manifest, configuration");
        for name in &documents {
            for (way, damage) in [
                ("edited", flip as Damage),
                ("edited with its time kept", flip_in_silence),
                ("deleted", |path| {
                    fs::remove_file(path).unwrap();
                }),
            ] {
                damage(&output.blob(name));
                output.heals(&format!("the document {name} {way}"));
            }
        }
    }
}

#[test]
fn a_pack_that_is_bad_under_an_intact_stamp_is_found_by_whoever_reads_it() {
    let template = Template::get();
    for output in ["oci-archive:one.tar", "docker-archive:one.tar", "oci:copied:t"] {
        let place = template.copy();
        let packs = paths(&place.store().join("packs"));
        for path in &packs {
            flip_in_silence(path);
        }
        let done = place.run(["compose", WARM, "--arch", "amd64", "--from", "store", "--copy", "-o", output]).ok();
        assert_eq!(done.out, template.right(WARM).line, "{output}");
        let digest = done.out.trim_end().split_once('@').unwrap().1;
        let mut layers = Vec::new();
        if output.starts_with("oci:") {
            sound(&place.project().join("copied"), digest).unwrap();
            layers = names(&place.project().join("copied/blobs/sha256"));
        } else {
            for (path, bytes) in layers::contents(fs::File::open(place.project().join("one.tar")).unwrap()) {
                let Some(name) = path.strip_prefix("blobs/sha256/").filter(|name| !name.is_empty()) else { continue };
                assert_eq!(sha256(&bytes), name, "{output}: a blob is what its name says");
                layers.push(name.to_owned());
            }
        }
        assert!(layers.len() >= 4, "{output}: {layers:?}");
        // What was read is right in the store too.
        for path in packs.iter().filter(|path| layers.contains(&path.file_name().unwrap().to_str().unwrap().to_owned()))
        {
            assert_eq!(sha256(&fs::read(path).unwrap()), path.file_name().unwrap().to_str().unwrap());
        }
    }
}
