//! Damage between two commands: noticed on use, healed where bytes are left to heal it from.

use std::fs;
use std::path::Path;

use dlstore_kit::files::{flip, rewrite};
use dlstore_kit::{Layout, Place, names, packages, place, snapshot};

fn composed() -> (Place, String) {
    let place = place!();
    for name in ["one", "two"] {
        place.package(&format!("{name}.deb"), &packages::deb(name, 1, "amd64").build());
    }
    place.image("demo", "schema = 1\nformat = \"deb\"\npackages = [\"one\", \"two\"]\n");
    place.ok(["add", "../packages"]);
    let digest = compose(&place);
    (place, digest)
}

fn compose(place: &Place) -> String {
    place.ok(["compose", "demo", "static", "--arch", "amd64", "--from", "store", "-o", "oci:out"])
}

/// Damages every file of a directory of the store in a way.
fn damage(place: &Place, directory: &str, how: fn(&Path)) {
    // What a layout shares with the store would be damaged too: that is the user's own doing.
    fs::remove_dir_all(place.project().join("out")).unwrap();
    let directory = place.store().join(directory);
    assert!(!names(&directory).is_empty());
    for name in names(&directory) {
        how(&directory.join(name));
    }
}

fn remove(path: &Path) {
    fs::remove_file(path).unwrap();
}

fn truncate(path: &Path) {
    let bytes = fs::read(path).unwrap();
    rewrite(path, &bytes[..bytes.len() / 2]);
}

fn empty(path: &Path) {
    rewrite(path, b"");
}

type Way = (&'static str, fn(&Path));

const WAYS: [Way; 4] = [("removed", remove), ("truncated", truncate), ("emptied", empty), ("flipped", flip)];

#[test]
fn damaged_packs_are_made_again_with_the_same_digest() {
    for (way, how) in WAYS {
        let (place, digest) = composed();
        let before = snapshot(&place.project().join("out"));
        let packs = names(&place.store().join("packs"));
        damage(&place, "packs", how);
        assert!(!place.verified().0.is_empty(), "{way} packs are found");
        assert_eq!(compose(&place), digest, "{way}");
        assert_eq!(snapshot(&place.project().join("out")), before, "{way}: no damaged byte reaches an image");
        Layout(place.project().join("out")).files("demo", "amd64");
        // What this image does not use is healed by adding it again.
        place.ok(["add", "../packages"]);
        let found: Vec<_> = names(&place.store().join("packs"));
        println!("{way}: {} of {} packs again", found.len(), packs.len());
    }
}

#[test]
fn damaged_sources_are_healed_by_adding_the_package_again() {
    for (way, how) in WAYS {
        let (place, digest) = composed();
        damage(&place, "sources", how);
        assert!(!place.verified().0.is_empty(), "{way} sources are found");
        assert_eq!(compose(&place), digest, "{way}: the packs are there");
        place.ok(["add", "../packages"]);
        assert_eq!(place.verified().0, Vec::<String>::new(), "{way}");
        assert_eq!(compose(&place), digest, "{way}");
    }
}

#[test]
fn without_packs_and_sources_compose_says_what_to_do_and_doing_it_helps() {
    let (place, digest) = composed();
    damage(&place, "packs", remove);
    for name in names(&place.store().join("sources")) {
        remove(&place.store().join("sources").join(name));
    }
    let done = place.run(["compose", "demo", "--arch", "amd64", "--from", "store"]);
    assert!(done.error().contains("add it again"), "{done:?}");
    place.ok(["add", "../packages"]);
    assert_eq!(compose(&place), digest);
    assert_eq!(place.verified().0, Vec::<String>::new());
}

#[test]
fn a_layout_edited_in_place_does_not_poison_the_store() {
    let (place, digest) = composed();
    let blobs = place.project().join("out/blobs/sha256");
    for name in names(&blobs) {
        flip(&blobs.join(name));
    }
    fs::remove_dir_all(place.project().join("out")).unwrap();
    assert_eq!(compose(&place), digest);
    let layout = Layout(place.project().join("out"));
    layout.files("demo", "amd64");
    layout.files("static", "amd64");
}

#[test]
fn many_notes_of_one_kind_are_counted() {
    let (place, _) = composed();
    for number in 0..25 {
        fs::write(place.store().join("packs").join(format!("{number:064x}")), b"x").unwrap();
    }
    fs::write(place.store().join("packs/foreign"), b"x").unwrap();
    let done = place.run(["store", "verify"]).ok();
    let notes = done.lines("note:");
    let of = |kind: &str| notes.iter().filter(|note| note.starts_with(kind)).count();
    assert_eq!((of("orphan-file: "), of("unknown-file: "), notes.len()), (20, 1, 22), "{done:?}");
    assert!(notes.contains(&"and 5 more of kind orphan-file"), "{done:?}");
    let answer = place.json(&["store", "verify"]);
    assert_eq!(answer["notes"].as_array().unwrap().len(), 26, "JSON has all of them");
}
