//! The store that all tests here lose a part of: packages of every format, an image, roots of people's own.

use std::fs;
use std::path::PathBuf;

use dlstore_formats::package::fixture::DebBuilder;

use dlstore_kit::files::paths;
use dlstore_kit::{Place, packages, place};

/// What composing gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Digests {
    pub(crate) demo: String,
    pub(crate) alpine: String,
    pub(crate) plain: String,
}

/// A place with a store that holds two debs, an apk, a tar, a directory, and three images of them.
pub(crate) fn filled() -> (Place, Digests) {
    let place = place!();
    for (number, name) in ["one", "two"].into_iter().enumerate() {
        place.package(&format!("{name}.deb"), &packages::deb(name, number as u64, "amd64").build());
    }
    place.package("three.apk", &packages::apk("three", 3, "x86_64").build());
    let four = DebBuilder::new("four", "0", "all").file("usr/share/four/data", &packages::text(9, 9000), 0o644);
    let tar = four.data_tar();
    place.package("four.tar", &tar);
    fs::create_dir_all(place.path().join("five/etc")).unwrap();
    fs::write(place.path().join("five/etc/five.conf"), "key = value\n").unwrap();
    fs::set_permissions(place.path().join("five/etc/five.conf"), std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .unwrap();
    place.image("demo", "schema = 1\nformat = \"deb\"\npackages = [\"one\", \"two\"]\n");
    place.image("alpine", "schema = 1\nformat = \"apk\"\npackages = [\"three\"]\n");
    place.image("plain", "schema = 1\nformat = \"tar\"\npackages = [\"four\", \"five\"]\n");
    add(&place);
    let digests = compose(&place);
    place.ok(["store", "roots", "add", "mine/two", "two"]);
    (place, digests)
}

pub(crate) fn add(place: &Place) {
    place.ok(["add", "../packages", "../packages/four.tar", "../five"]);
}

/// Composes everything into an output of its own, and gives the digests.
#[track_caller]
pub(crate) fn compose(place: &Place) -> Digests {
    let _ = fs::remove_dir_all(place.project().join("out"));
    let one = |name: &str| {
        let out = place.ok(["compose", name, "--arch", "amd64", "--from", "store", "-o", "oci:out", "--force"]);
        out.split_whitespace().find(|word| word.contains("sha256:")).unwrap_or_else(|| panic!("{out}")).to_owned()
    };
    Digests { demo: one("demo"), alpine: one("alpine"), plain: one("plain") }
}

/// Moves the store away from what a layout shares with it, so that damage stays in the store.
pub(crate) fn unshare(place: &Place) {
    let _ = fs::remove_dir_all(place.project().join("out"));
}

pub(crate) fn sources(place: &Place) -> Vec<PathBuf> {
    paths(&place.store().join("sources"))
}

/// Removes the index with its log.
pub(crate) fn remove_index(place: &Place) {
    for name in ["index.db", "index.db-wal", "index.db-shm"] {
        let _ = fs::remove_file(place.store().join(name));
    }
}

/// Runs SQL on the index of a store, as damage that keeps SQLite's own structure whole.
pub(crate) fn sql(place: &Place, statement: &str) {
    let index = place.index();
    index.execute_batch(&format!("PRAGMA foreign_keys = OFF; {statement}")).unwrap();
}

/// Asks the index for one number.
pub(crate) fn number(place: &Place, query: &str) -> i64 {
    let index = place.index();
    index.query_row(query, [], |row| row.get(0)).unwrap()
}
