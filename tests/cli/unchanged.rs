//! Package files of `--from` that have not changed are not opened, and whatever changes of one is noticed.

use std::fs;
use std::mem::MaybeUninit;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dlstore_formats::archive::decompress::Compression;
use dlstore_formats::package::fixture::DebBuilder;
use rustix::fs::inotify;

use dlstore_kit::files::{flip_in_silence, paths};
use dlstore_kit::{Layout, Place, names, place, sha256};

/// Longer than what a file must have been left alone for.
const SETTLED: Duration = Duration::from_millis(2_300);

fn deb(name: &str, version: &str, text: &str) -> Vec<u8> {
    let deb = DebBuilder::new(name, version, "amd64").compression(Compression::None);
    deb.file(&format!("etc/{name}"), text.as_bytes(), 0o644).file("usr/share/doc/x/copyright", b"x", 0o644).build()
}

fn define(place: &Place, name: &str, packages: &str, more: &str) {
    place.image(name, &format!("schema = 1\nformat = \"deb\"\npackages = [{packages}]\n{more}"));
}

fn compose(place: &Place, name: &str) -> String {
    place.ok(["compose", name, "--arch", "amd64", "--from", "../packages", "-o", &format!("oci:out:{name}")])
}

/// What the image has at a path.
fn text(place: &Place, name: &str, path: &str) -> String {
    String::from_utf8(Layout(place.project().join("out")).files(name, "amd64")[path].1.clone()).unwrap()
}

/// Watches files, and says which were opened meanwhile.
struct Watch {
    inotify: rustix::fd::OwnedFd,
    files: Vec<(i32, String)>,
}

impl Watch {
    fn on(directory: &Path) -> Self {
        let inotify = inotify::init(inotify::CreateFlags::NONBLOCK).unwrap();
        let watch = |name: String| {
            let flags = inotify::WatchFlags::OPEN | inotify::WatchFlags::ACCESS;
            (inotify::add_watch(&inotify, directory.join(&name), flags).unwrap(), name)
        };
        let files = names(directory).into_iter().map(watch).collect();
        Self { inotify, files }
    }

    fn opened(&self) -> Vec<String> {
        let mut space = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(&self.inotify, &mut space);
        let mut opened = Vec::new();
        while let Ok(event) = reader.next() {
            let (_, name) = self.files.iter().find(|(watch, _)| *watch == event.wd()).unwrap();
            opened.push(name.clone());
        }
        opened.sort();
        opened.dedup();
        opened
    }
}

/// Packages that have settled.
fn prepared() -> Place {
    let place = written();
    std::thread::sleep(SETTLED);
    place
}

/// Two packages that an image wants, one of two that it pins, and one that it does not want.
fn written() -> Place {
    let place = place!();
    place.package("one.deb", &deb("one", "1", "first"));
    place.package("two.deb", &deb("two", "1", "2"));
    let pinned = deb("pinned", "1", "a");
    place.package("pinned-a.deb", &pinned);
    place.package("pinned-b.deb", &deb("pinned", "1", "b"));
    place.package("other.deb", &deb("other", "1", "o"));
    let pin = sha256(&pinned);
    define(&place, "demo", &format!("\"one\", \"two\", \"pinned@sha256:{pin}\""), "");
    define(&place, "more", "\"one\", \"other\"", "keep = [\"/usr/share/doc/**\"]\n");
    place
}

#[test]
fn what_has_not_changed_is_not_opened_again() {
    let place = prepared();
    let watch = Watch::on(&place.packages());
    let first = compose(&place, "demo");
    let all = ["one.deb", "other.deb", "pinned-a.deb", "pinned-b.deb", "two.deb"];
    assert_eq!(watch.opened(), all, "the first time each is read");
    assert_eq!(compose(&place, "demo"), first);
    assert_eq!(watch.opened(), [""; 0], "the image is known");
    define(&place, "demo", "\"one\", \"two\"", "labels.a = \"b\"\n");
    compose(&place, "demo");
    assert_eq!(watch.opened(), [""; 0], "packages are known, and the image is not");
    compose(&place, "more");
    assert_eq!(watch.opened(), ["other.deb"], "only what the store does not have is read");
    compose(&place, "more");
    place.ok(["files", "more", "--arch", "amd64", "--from", "../packages"]);
    place.ok(["add", "../packages/one.deb"]);
    assert_eq!(watch.opened(), ["one.deb"], "add opens what it is given");
    // A file that fails is no package the next time either, and hides no other.
    place.package("broken.deb", b"no package");
    assert!(
        place
            .run(["compose", "demo", "--from", "../packages", "--arch", "amd64"])
            .err
            .contains("broken.deb is skipped")
    );
    assert_eq!(watch.opened(), [""; 0]);
    // What is remembered makes no difference.
    let fresh = place!();
    for name in all {
        fresh.package(name, &fs::read(place.packages().join(name)).unwrap());
    }
    define(&fresh, "more", "\"one\", \"other\"", "keep = [\"/usr/share/doc/**\"]\n");
    assert_eq!(compose(&fresh, "more"), compose(&place, "more"));
}

#[test]
fn a_file_that_changed_just_now_is_read_again_until_it_has_settled() {
    let place = place!();
    place.package("one.deb", &deb("one", "1", "first"));
    define(&place, "demo", "\"one\"", "");
    compose(&place, "demo");
    let watch = Watch::on(&place.packages());
    compose(&place, "demo");
    assert_eq!(watch.opened(), ["one.deb"], "it is younger than two seconds");
    std::thread::sleep(SETTLED);
    compose(&place, "demo");
    assert_eq!(watch.opened(), ["one.deb"], "nothing was remembered of it");
    compose(&place, "demo");
    assert_eq!(watch.opened(), [""; 0]);
}

#[test]
fn an_edit_in_place_is_noticed_even_with_its_time_put_back() {
    let place = prepared();
    compose(&place, "demo");
    assert_eq!(text(&place, "demo", "etc/one"), "first");
    let path = place.packages().join("one.deb");
    let before = path.metadata().unwrap();
    let edited = deb("one", "1", "other");
    fs::write(&path, &edited).unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_modified(before.modified().unwrap()).unwrap();
    let after = path.metadata().unwrap();
    let visible = |found: &fs::Metadata| (found.ino(), found.mtime(), found.mtime_nsec());
    assert_eq!(visible(&after), visible(&before), "only the change time tells");
    assert_eq!(after.size(), before.size(), "the two packages are equally long");
    compose(&place, "demo");
    assert_eq!(text(&place, "demo", "etc/one"), "other");
}

#[test]
fn a_file_that_is_replaced_is_read() {
    let place = prepared();
    compose(&place, "demo");
    let path = place.packages().join("one.deb");
    let before = path.metadata().unwrap();
    let new = place.path().join("new.deb");
    fs::write(&new, deb("one", "1", "other")).unwrap();
    fs::File::options().write(true).open(&new).unwrap().set_modified(before.modified().unwrap()).unwrap();
    fs::rename(&new, &path).unwrap();
    std::thread::sleep(SETTLED);
    compose(&place, "demo");
    assert_eq!(text(&place, "demo", "etc/one"), "other");
    // The same under the name of another: what is remembered is the file's, not the name's.
    fs::rename(place.packages().join("two.deb"), place.packages().join("kept")).unwrap();
    fs::rename(&path, place.packages().join("two.deb")).unwrap();
    let done = place.run(["compose", "demo", "--arch", "amd64", "--from", "../packages"]);
    assert!(done.error().contains("no deb package two for amd64"), "{done:?}");
}

#[test]
fn a_tar_is_called_by_the_name_that_it_has_now() {
    let place = place!();
    let directory = place.path().join("files/etc");
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("x"), "x").unwrap();
    let status = std::process::Command::new("tar")
        .args(["-C", place.path().join("files").to_str().unwrap(), "-cf"])
        .args([place.packages().join("one.tar").to_str().unwrap(), "etc"])
        .status();
    assert!(status.unwrap().success());
    fs::hard_link(place.packages().join("one.tar"), place.packages().join("two.tar")).unwrap();
    std::thread::sleep(SETTLED);
    for name in ["one", "two", "one", "two"] {
        place.image("demo", &format!("schema = 1\nformat = \"tar\"\npackages = [\"{name}\"]\n"));
        let from = format!("../packages/{name}.tar");
        let done = place.run(["compose", "demo", "--arch", "amd64", "--from", &from, "-o", "oci:out"]).ok();
        assert!(
            place.ok(["files", "demo", "--arch", "amd64", "--from", &from]).contains(&format!("tar:{name}=0/all")),
            "{done:?}"
        );
    }
}

fn sources(place: &Place) -> Vec<PathBuf> {
    paths(&place.store().join("sources"))
}

type Damage = (&'static str, fn(&Place));

fn remove_sources(place: &Place) {
    for path in sources(place) {
        fs::remove_file(path).unwrap();
    }
}

#[test]
fn what_the_store_lost_of_a_file_is_read_from_it_again() {
    let damages: [Damage; 6] = [
        ("sources removed", remove_sources),
        ("sources emptied", |place| {
            for path in sources(place) {
                fs::remove_file(&path).unwrap();
                fs::write(&path, b"").unwrap();
            }
        }),
        ("sources flipped in silence", |place| sources(place).iter().for_each(|path| flip_in_silence(path))),
        ("facts deleted", |place| assert!(place.index().execute("DELETE FROM fact", []).unwrap() > 0)),
        ("facts damaged, sources removed", |place| {
            assert!(place.index().execute("UPDATE fact SET data = x'00'", []).unwrap() > 0);
            remove_sources(place);
        }),
        ("packages deleted, what is seen damaged", |place| {
            assert!(place.index().execute("DELETE FROM package", []).unwrap() > 0);
            assert!(place.index().execute("UPDATE action SET value = x'00' WHERE kind = 'seen'", []).unwrap() > 0);
        }),
    ];
    let places = damages.map(|_| written());
    std::thread::sleep(SETTLED);
    for ((what, damage), place) in damages.into_iter().zip(places) {
        let known = compose(&place, "demo");
        compose(&place, "more");
        fs::remove_dir_all(place.project().join("out")).unwrap();
        damage(&place);
        // Another selection of the same packages: it needs all of them anew.
        define(
            &place,
            "more",
            "\"one\", \"other\"",
            "keep = [\"/usr/share/doc/x/copyright\"]\nexclude = [\"/etc/o*\"]\n",
        );
        let digest = compose(&place, "more");
        assert_eq!(compose(&place, "demo"), known, "{what}");
        let fresh = written();
        define(
            &fresh,
            "more",
            "\"one\", \"other\"",
            "keep = [\"/usr/share/doc/x/copyright\"]\nexclude = [\"/etc/o*\"]\n",
        );
        assert_eq!(compose(&fresh, "more"), digest, "{what}");
        assert_eq!(compose(&place, "more"), digest, "{what}");
    }
}

#[test]
fn what_a_collector_took_is_read_again() {
    let place = prepared();
    let digest = compose(&place, "demo");
    place.emptied();
    fs::remove_dir_all(place.project().join("out")).unwrap();
    assert_eq!(compose(&place, "demo"), digest);
    assert_eq!(place.verified().0, Vec::<String>::new());
}
