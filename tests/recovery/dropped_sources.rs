//! Sources that are let go of on purpose: what was composed from them can still be composed, or they stay.

use std::fs;

use dlstore_formats::package::fixture::DebBuilder;
use dlstore_fsx::stop;

use crate::state::{number, sources, sql};
use dlstore_kit::{Place, finish, place};

fn deb(name: &str) -> DebBuilder {
    DebBuilder::new(name, "1.0", "amd64").file(&format!("usr/share/{name}/data"), name.as_bytes(), 0o644)
}

/// Composes `demo` from the store alone: its digest, or the error.
fn demo(place: &Place) -> Result<String, String> {
    let _ = fs::remove_dir_all(place.project().join("out"));
    let done = place.run(["compose", "demo", "--arch", "amd64", "--from", "store", "-o", "oci:out"]);
    if done.code() != Some(0) {
        return Err(done.error());
    }
    let digest = done.out.split_whitespace().find(|word| word.contains("sha256:"));
    Ok(digest.unwrap_or_else(|| panic!("{done:?}")).to_owned())
}

/// A place with a package and an image of it.
fn one() -> (Place, String) {
    let place = place!();
    place.image("demo", "schema = 1\nformat = \"deb\"\npackages = [\"one\"]\n");
    place.package("one.deb", &deb("one").build());
    place.ok(["add", "../packages"]);
    let digest = demo(&place).unwrap();
    (place, digest)
}

/// Takes the files of packs away, or flips a byte in each.
fn spoil_packs(place: &Place, is_flipped: bool) {
    for entry in fs::read_dir(place.store().join("packs")).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        if is_flipped {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(&path, bytes).unwrap();
        }
    }
}

/// Something done to a store.
type Damage = dyn Fn(&Place);

#[test]
fn a_source_stays_while_a_layer_that_was_made_of_it_is_damaged() {
    let damages: [(&str, &Damage); 4] = [
        ("gone", &|place| spoil_packs(place, false)),
        ("flipped", &|place| spoil_packs(place, true)),
        ("marked", &|place| sql(place, "UPDATE object SET state = 3 WHERE kind = 4")),
        ("without a row", &|place| sql(place, "DELETE FROM pack")),
    ];
    for (name, damage) in damages {
        for is_repaired in [false, true] {
            let (place, digest) = one();
            damage(&place);
            if is_repaired {
                place.ok(["store", "verify", "--repair"]);
            }
            let done = place.run(["store", "gc", "--grace", "0", "--drop-sources"]);
            assert!(
                done.code() == Some(1) && done.out.contains("can only be restored from it"),
                "{name}, repaired: {is_repaired}: {done:?}"
            );
            assert_eq!(sources(&place).len(), 1, "{name}, repaired: {is_repaired}");
            assert_eq!(demo(&place), Ok(digest.clone()), "{name}, repaired: {is_repaired}");
            // It is whole again, and the source is not needed any more.
            place.ok(["store", "gc", "--grace", "0", "--drop-sources"]);
            assert_eq!(sources(&place).len(), 0, "{name}, repaired: {is_repaired}");
            assert_eq!(demo(&place), Ok(digest), "{name}, repaired: {is_repaired}");
        }
    }
}

#[test]
fn a_repair_of_a_layer_tree_keeps_the_layers_that_hold_the_bytes() {
    let layer_trees = "object IN (SELECT id FROM object WHERE kind = 2 AND key NOT IN (SELECT tree FROM package))";
    for damage in ["DELETE FROM tree WHERE", "UPDATE tree SET data = x'00' WHERE"] {
        let (place, digest) = one();
        place.ok(["store", "gc", "--grace", "0", "--drop-sources"]);
        assert!(number(&place, &format!("SELECT count(*) FROM tree WHERE {layer_trees}")) > 0);
        sql(&place, &format!("{damage} {layer_trees}"));
        let repaired = place.ok(["store", "verify", "--repair"]);
        assert!(!repaired.contains("lost "), "{damage}: {repaired:?}");
        assert_eq!(demo(&place), Ok(digest.clone()), "{damage}");
        assert_eq!(place.verified().0, Vec::<String>::new(), "{damage}");
        // A plan that is new selects the package again, and finds the layer of it.
        place.image("demo", "schema = 1\nformat = \"deb\"\npackages = [\"one\"]\n# the same\n");
        place.ok(["compose", "demo", "--arch", "amd64", "--from", "store", "--layers", "package", "-o", "oci:again"]);
        place.ok(["store", "gc", "--grace", "0"]);
        assert_eq!(demo(&place), Ok(digest), "{damage}");
        assert_eq!(place.verified().0, Vec::<String>::new(), "{damage}");
    }
}

#[test]
fn an_add_that_was_killed_beside_a_package_without_its_source_is_no_damage() {
    for is_dropped in [false, true] {
        for point in ["publish.renamed", "publish.inserted", "publish.directories-synced"] {
            let place = place!();
            place.package("one.deb", &deb("one").build());
            if is_dropped {
                place.ok(["add", "../packages"]);
                place.ok(["store", "gc", "--grace", "0", "--drop-sources"]);
            } else {
                place.ok(["add", "../packages", "--no-keep-sources"]);
            }
            let mut killed = place.command(["add", "../packages"]);
            killed.env(stop::VARIABLE, point);
            assert_eq!(finish(killed).signal(), Some(6), "{point}");
            assert_eq!(sources(&place).len(), 1, "{point}");
            assert_eq!(place.verified().0, Vec::<String>::new(), "{point}, dropped: {is_dropped}");
            place.ok(["add", "../packages"]);
            place.ok(["store", "gc"]);
            assert_eq!(place.verified(), (Vec::new(), Vec::new()), "{point}, dropped: {is_dropped}");
        }
    }
}
