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
            if (name, is_repaired) == ("marked", true) {
                // Their bytes are right, so a repair has taken the marks away.
                assert_eq!((done.code(), demo(&place)), (Some(0), Ok(digest)));
                continue;
            }
            assert!(
                done.code() == Some(1) && done.out.contains(" is kept: "),
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

#[test]
fn a_repair_of_an_image_keeps_its_layers_until_it_is_composed_again() {
    let image = "(SELECT object FROM action WHERE kind = 'image')";
    let damages = [
        "UPDATE blob SET data = x'00' WHERE object = (SELECT min(object) FROM blob)".to_owned(),
        "UPDATE action SET value = x'00' WHERE kind = 'image'".to_owned(),
        "UPDATE action SET value = x'00' WHERE kind = 'root'".to_owned(),
        format!("DELETE FROM object WHERE id = {image}"),
        format!("UPDATE object SET state = 2 WHERE id = {image}"),
        format!("UPDATE object SET state = 3 WHERE id = {image}"),
    ];
    for damage in &damages {
        for is_repaired in [true, false] {
            // Nothing was known of the image when its package came, so its layer is kept by the image alone.
            let place = place!();
            place.package("one.deb", &deb("one").build());
            place.ok(["add", "../packages"]);
            place.image(
                "demo",
                "schema = 1\nformat = \"deb\"\npackages = [\"one\"]\nexclude = [\"/usr/share/doc/**\"]\n",
            );
            let digest = demo(&place).unwrap();
            place.ok(["store", "gc", "--grace", "0", "--drop-sources"]);
            place.ok(["store", "roots", "remove", &place.root("package/")]);
            sql(&place, damage);
            if is_repaired {
                place.ok(["store", "verify", "--repair"]);
            }
            place.run(["store", "gc", "--grace", "0"]);
            assert_eq!(demo(&place), Ok(digest.clone()), "{damage}, repaired: {is_repaired}");
            place.run(["store", "verify", "--repair"]);
            place.ok(["store", "gc", "--grace", "0"]);
            assert_eq!(demo(&place), Ok(digest), "{damage}, repaired: {is_repaired}");
            assert_eq!(place.verified().0, Vec::<String>::new(), "{damage}, repaired: {is_repaired}");
        }
    }
}

#[test]
fn a_source_goes_in_the_collection_that_takes_the_damaged_image_that_needed_it() {
    let place = place!();
    place.package("one.deb", &deb("one").file("usr/share/one/more", b"more", 0o644).build());
    place.ok(["add", "../packages"]);
    let packs = place.store().join("packs");
    let made_ahead = dlstore_kit::names(&packs);
    place.image("demo", "schema = 1\nformat = \"deb\"\npackages = [\"one\"]\nexclude = [\"/usr/share/one/more\"]\n");
    demo(&place).unwrap();
    for name in dlstore_kit::names(&packs).iter().filter(|name| !made_ahead.contains(name)) {
        fs::remove_file(packs.join(name)).unwrap();
    }
    sql(&place, "UPDATE root SET used_at = 1, set_at = 1 WHERE name LIKE 'image/%'");
    place.ok(["store", "gc", "--grace", "0", "--older-than", "1d", "--drop-sources"]);
    assert_eq!(sources(&place).len(), 0);
}

#[test]
fn a_source_that_a_waiting_image_keeps_is_told_with_its_root() {
    let (place, digest) = one();
    sql(&place, "UPDATE blob SET data = x'00' WHERE object = (SELECT min(object) FROM blob)");
    place.ok(["store", "verify", "--repair"]);
    let done = place.run(["store", "gc", "--grace", "0", "--drop-sources"]);
    let root = place.root("image/demo/");
    assert!(
        done.code() == Some(1) && done.out.contains(&format!("the image of the root {root} has to be composed again")),
        "{done:?}"
    );
    assert_eq!(demo(&place), Ok(digest));
    place.ok(["store", "gc", "--grace", "0", "--drop-sources"]);
    assert_eq!(sources(&place).len(), 0);
}

#[test]
fn a_killed_add_of_one_package_says_nothing_about_another() {
    let (place, _) = one();
    place.package("two.deb", &deb("two").build());
    let mut killed = place.command(["add", "../packages/two.deb"]);
    killed.env(stop::VARIABLE, "journal.appended");
    assert_eq!(finish(killed).signal(), Some(6));
    place.ok(["store", "roots", "add", "mine/one", "one"]);
    place.ok(["store", "roots", "add", "mine/image", &place.root("image/demo/")]);
    assert!(!place.run(["list", "one"]).err.contains("older"));
    assert!(place.run(["list"]).err.contains("named two"));
    let refused = place.run(["store", "roots", "add", "mine/two", "two"]);
    assert!(refused.code() == Some(1) && refused.err.contains("older"), "{refused:?}");
}

#[test]
fn a_layer_whose_bytes_are_right_is_not_lost_with_a_number_of_its_rows() {
    for damage in [
        "UPDATE object SET size = size + 1 WHERE kind = 4",
        "UPDATE object SET file = NULL WHERE kind = 4",
        "UPDATE object SET file = 999 WHERE kind = 4",
        "UPDATE file SET size = size + 1 WHERE directory = 1",
        "UPDATE file SET id = id + 1000 WHERE directory = 1",
        "UPDATE object SET state = 3 WHERE kind = 4",
    ] {
        for first in [&["store", "verify", "--repair"][..], &["store", "gc", "--grace", "0"]] {
            let (place, digest) = one();
            place.ok(["store", "gc", "--grace", "0", "--drop-sources"]);
            sql(&place, &format!("PRAGMA foreign_keys = OFF; {damage}"));
            place.run(first);
            // What is marked is not read before it is looked at again.
            if !damage.contains("state") || first.contains(&"--repair") {
                assert_eq!(demo(&place), Ok(digest.clone()), "{damage}, {first:?}");
            }
            place.run(["store", "verify", "--repair"]);
            place.ok(["store", "gc", "--grace", "0"]);
            assert_eq!(demo(&place), Ok(digest), "{damage}, {first:?}");
            assert_eq!(place.verified().0, Vec::<String>::new(), "{damage}, {first:?}");
        }
    }
}

#[test]
fn a_source_stays_while_a_layer_that_was_made_ahead_of_it_is_damaged() {
    let place = place!();
    place.image("demo", "schema = 1\nformat = \"deb\"\npackages = [\"one\"]\n");
    place.package("one.deb", &deb("one").build());
    place.ok(["add", "../packages"]);
    assert!(number(&place, "SELECT count(*) FROM pack") > 0, "what the image takes is packed when it is added");
    spoil_packs(&place, false);
    let done = place.run(["store", "gc", "--grace", "0", "--drop-sources"]);
    assert!(done.code() == Some(1) && done.out.contains("can only be restored from it"), "{done:?}");
    assert_eq!(sources(&place).len(), 1);
    demo(&place).unwrap();
    place.ok(["store", "gc", "--grace", "0", "--drop-sources"]);
    assert_eq!(sources(&place).len(), 0);
}

#[test]
fn bad_bytes_in_the_place_of_a_source_without_rows_leave_for_quarantine() {
    let (place, digest) = one();
    place.ok(["store", "gc", "--grace", "0", "--drop-sources"]);
    let source: String =
        place.index().query_row("SELECT lower(hex(source)) FROM package", [], |row| row.get(0)).unwrap();
    fs::write(place.store().join("sources").join(source), "other bytes").unwrap();
    let repaired = place.run(["store", "verify", "--repair"]);
    assert!(repaired.code() == Some(1) && repaired.out.contains("add it again"), "{repaired:?}");
    assert_eq!(sources(&place).len(), 0);
    assert_eq!(dlstore_kit::names(&place.store().join("quarantine")).len(), 1);
    assert_eq!(demo(&place), Ok(digest));
}

#[test]
fn a_source_of_which_no_layer_is_left_stays_until_one_is_made() {
    // What a repair lets go of leaves no trace at the root of a package, nor at one of the user's own.
    for is_composed in [false, true] {
        let (place, digest) = {
            let place = place!();
            place.image("demo", "schema = 1\nformat = \"deb\"\npackages = [\"one\"]\n");
            place.package("one.deb", &deb("one").build());
            place.ok(["add", "../packages"]);
            if is_composed {
                demo(&place).unwrap();
                place.ok(["store", "roots", "add", "mine", &place.root("image/demo/")]);
                place.ok(["store", "roots", "remove", &place.root("image/demo/")]);
            }
            let other = one().1;
            (place, other)
        };
        spoil_packs(&place, false);
        place.ok(["store", "verify", "--repair"]);
        let done = place.run(["store", "gc", "--grace", "0", "--drop-sources", "--dry-run"]).ok().err;
        assert!(done.contains("kept 1 package file still needed to make layers"), "{is_composed}: {done}");
        let done = place.run(["store", "gc", "--grace", "0", "--drop-sources"]).ok().err;
        assert!(done.contains("kept 1 package file still needed to make layers"), "{is_composed}: {done}");
        assert_eq!(sources(&place).len(), 1, "{is_composed}");
        assert_eq!(demo(&place), Ok(digest.clone()), "{is_composed}");
        place.ok(["store", "gc", "--grace", "0", "--drop-sources"]);
        assert_eq!((sources(&place).len(), demo(&place)), (0, Ok(digest)), "{is_composed}");
    }
}

#[test]
fn a_bound_is_not_spent_on_a_source_that_stays() {
    let (place, _) = one();
    place.package("two.deb", &deb("two").build());
    place.ok(["add", "../packages"]);
    sql(
        &place,
        "UPDATE object SET born = 1 WHERE kind = 1; UPDATE object SET born = 2 WHERE id = (SELECT max(id) FROM object WHERE kind = 1)",
    );
    sql(&place, "UPDATE blob SET data = x'00'");
    place.ok(["store", "verify", "--repair"]);
    place.ok(["store", "gc", "--grace", "0"]);
    let waiting = [&["--max-freed", "1"][..], &[]].map(|bound| {
        let plan = place.run([&["store", "gc", "--grace", "0", "--drop-sources", "--dry-run"], bound].concat());
        assert_eq!(plan.code(), Some(0), "{plan:?}");
        assert_eq!(plan.out.lines().filter(|line| line.starts_with("source ")).count(), 1, "{plan:?}");
        assert!(plan.out.contains(" is kept: the image of the root "), "{plan:?}");
        plan.out
    });
    assert_eq!(waiting[0], waiting[1]);
    place.run(["store", "gc", "--grace", "0", "--drop-sources", "--max-freed", "1"]);
    assert_eq!(sources(&place).len(), 1);
}

#[test]
fn what_still_proves_itself_is_not_lost_with_the_row_of_its_object() {
    let (place, digest) = one();
    place.ok(["store", "gc", "--grace", "0", "--drop-sources"]);
    let tables = ["tree", "fact", "package"];
    let rows: Vec<i64> = tables
        .iter()
        .flat_map(|table| {
            let index = place.index();
            let mut query = index.prepare(&format!("SELECT object FROM {table} ORDER BY object")).unwrap();
            let rows = query.query_map([], |row| row.get(0)).unwrap().collect::<Result<Vec<i64>, _>>();
            rows.unwrap()
        })
        .collect();
    assert!(rows.len() > 5, "{rows:?}");
    let whole = fs::read(place.store().join("index.db")).unwrap();
    for row in rows {
        for name in ["index.db-wal", "index.db-shm"] {
            let _ = fs::remove_file(place.store().join(name));
        }
        fs::write(place.store().join("index.db"), &whole).unwrap();
        sql(&place, &format!("PRAGMA foreign_keys = OFF; DELETE FROM object WHERE id = {row}"));
        let repaired = place.ok(["store", "verify", "--repair"]);
        assert!(!repaired.contains("lost "), "{row}: {repaired}");
        assert_eq!(demo(&place), Ok(digest.clone()), "{row}");
        assert_eq!(place.verified().0, Vec::<String>::new(), "{row}");
    }
}

#[test]
fn a_rebuild_names_what_only_an_image_kept_and_cannot_be_had_again() {
    for is_dropped in [true, false] {
        let (place, digest) = one();
        place.ok(["store", "roots", "remove", &place.root("package/")]);
        if is_dropped {
            place.ok(["store", "gc", "--grace", "0", "--drop-sources"]);
        } else {
            fs::remove_dir_all(place.store().join("sources")).unwrap();
            fs::create_dir(place.store().join("sources")).unwrap();
        }
        assert_eq!(demo(&place), Ok(digest));
        let rebuilt = place.run(["store", "rebuild"]);
        assert!(rebuilt.code() == Some(1) && rebuilt.out.contains("lost deb one "), "{is_dropped}: {rebuilt:?}");
    }
}

#[test]
fn what_a_plan_says_is_freed_is_what_is_freed() {
    for bound in [None, Some("1"), Some("200")] {
        let (place, _) = one();
        place.package("two.deb", &deb("two").build());
        place.ok(["add", "../packages"]);
        place.ok(["store", "roots", "remove", &place.root("image/demo/")]);
        let bound = bound.into_iter().flat_map(|most| ["--max-freed", most]);
        let collect: Vec<&str> = ["store", "gc", "--grace", "0", "--drop-sources"].into_iter().chain(bound).collect();
        let planned = place.json(&[&collect[..], &["--dry-run"]].concat());
        let done = place.json(&collect);
        assert_eq!(planned["freed_size"], done["freed_size"], "{collect:?}");
        assert!(done["freed_size"].as_u64().unwrap() > 0, "{collect:?}");
    }
}

#[test]
fn a_source_that_has_to_be_read_again_stays() {
    let (place, digest) = one();
    let mut later = place.command(["store", "gc", "--grace", "0", "--drop-sources"]);
    later.env("DLSTORE_TEST_DECODER", "1000000");
    let done = finish(later);
    assert!(done.err.contains("kept 1 package file still needed to make layers"), "{done:?}");
    assert_eq!(sources(&place).len(), 1);
    place.ok(["store", "gc", "--grace", "0", "--drop-sources"]);
    assert_eq!((sources(&place).len(), demo(&place)), (0, Ok(digest)));
}
