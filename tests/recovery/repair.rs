//! `store verify --repair`: one damage after the other, healed from the kept sources with every digest as before.

use std::fs;

use dlstore_formats::package::fixture::DebBuilder;

use crate::state::{compose, filled, number, sources, sql, unshare};
use dlstore_kit::files::flip;
use dlstore_kit::{Place, names, packages, place};

/// Damage that a repair heals without a loss: to rows, by SQL.
const ROWS: &[&str] = &[
    "UPDATE fact SET data = x'00' WHERE object = (SELECT min(object) FROM fact)",
    "UPDATE fact SET data = zeroblob(length(data))",
    "DELETE FROM fact",
    "UPDATE tree SET data = x'00'",
    "UPDATE tree SET raw_size = raw_size + 1",
    "DELETE FROM tree",
    "UPDATE package SET version = '9', name = 'evil' WHERE name = 'one'",
    "UPDATE package SET facts = x'' WHERE name = 'two'",
    "UPDATE package SET tree = zeroblob(32)",
    "DELETE FROM package WHERE name = 'one'",
    "DELETE FROM package",
    "DELETE FROM object WHERE id = (SELECT object FROM package WHERE name = 'one')",
    "DELETE FROM object WHERE kind = 3",
    "DELETE FROM object WHERE kind = 2",
    "DELETE FROM object WHERE kind = 7",
    "DELETE FROM name",
    "DELETE FROM name WHERE name = 'one'; UPDATE package SET version = '9' WHERE name = 'one'",
    "UPDATE name SET packages = x'00'",
    "DELETE FROM edge",
    "DELETE FROM edge WHERE src IN (SELECT object FROM package)",
    "INSERT INTO soname SELECT x'6c69622e736f', object FROM package",
    "INSERT INTO tree VALUES (99999, 1, x'00'); INSERT INTO fact SELECT object, x'00' FROM pack",
    "UPDATE action SET value = x'00'",
    "DELETE FROM action",
    "UPDATE blob SET data = x'00'",
    "DELETE FROM pack",
    "UPDATE pack SET info = x''",
    "DELETE FROM file WHERE directory = 1",
    "DELETE FROM file WHERE directory = 2",
    "UPDATE file SET inode = 1, size = 7",
    "UPDATE object SET kind = 42 WHERE kind = 7",
    "UPDATE object SET state = 42 WHERE kind = 2",
    "UPDATE object SET state = 3",
    "UPDATE object SET state = 2 WHERE kind = 2",
    "DELETE FROM root_target",
    "DELETE FROM root WHERE name = 'mine/two'",
    "DELETE FROM origin",
];

#[test]
fn rows_are_healed_and_nothing_is_found_afterwards() {
    for damage in ROWS {
        let (place, digests) = filled();
        let kept = sources(&place);
        sql(&place, damage);
        let done = place.run(["store", "verify", "--repair"]);
        assert_eq!(done.code(), Some(0), "{damage}: {done:?}");
        assert_eq!(place.verified().0, Vec::<String>::new(), "{damage}");
        assert_eq!(sources(&place), kept, "{damage}");
        place.ok(["store", "gc", "--grace", "0"]);
        assert_eq!(sources(&place), kept, "{damage}: roots still keep what they kept");
        assert_eq!(compose(&place), digests, "{damage}");
        assert_eq!(place.verified().0, Vec::<String>::new(), "{damage}");
    }
}

#[test]
fn what_rows_are_enough_for_is_healed_without_a_source() {
    for damage in [
        "DELETE FROM edge WHERE src IN (SELECT object FROM package)",
        "INSERT INTO soname SELECT x'6c69622e736f', object FROM package",
    ] {
        let (place, digests) = filled();
        place.ok(["store", "gc", "--grace", "0", "--drop-sources"]);
        assert_eq!(sources(&place), Vec::<std::path::PathBuf>::new());
        sql(&place, damage);
        let done = place.run(["store", "verify", "--repair", "--full"]);
        assert_eq!(done.code(), Some(0), "{damage}: {done:?}");
        assert_eq!(place.verified().0, Vec::<String>::new(), "{damage}");
        assert_eq!(compose(&place), digests, "{damage}");
    }
}

/// Damage to rows that makes a source look as if nobody wanted it; all rows are older than any grace.
const UNWANTED: &[&str] = &[
    "PRAGMA foreign_keys = off; DELETE FROM object WHERE kind = 1",
    "UPDATE object SET file = NULL WHERE kind = 1",
    "PRAGMA foreign_keys = off; UPDATE object SET file = 9999 WHERE kind = 1",
    "DELETE FROM edge",
    "DELETE FROM edge WHERE dst IN (SELECT id FROM object WHERE kind = 1)",
    "PRAGMA foreign_keys = off; DELETE FROM root",
    "DELETE FROM root_target; DELETE FROM root",
];

#[test]
fn no_collection_after_damage_takes_a_source_or_the_name_of_one() {
    for damage in UNWANTED {
        let (place, digests) = filled();
        let kept = sources(&place);
        sql(&place, &format!("UPDATE object SET born = born - 90000; {damage}"));
        // Whether it finds fault or not, what it leaves is what counts.
        for _ in 0..2 {
            place.run(["store", "gc"]);
            assert_eq!(sources(&place), kept, "{damage}");
        }
        place.run(["store", "verify", "--repair", "--full"]);
        place.run(["store", "gc"]);
        assert_eq!(sources(&place), kept, "{damage}");
        fs::remove_file(place.store().join("index.db")).unwrap();
        place.ok(["store", "rebuild"]);
        assert_eq!(compose(&place), digests, "{damage}");
    }
}

#[test]
fn an_index_of_an_earlier_day_loses_no_package() {
    let (place, digests) = filled();
    let old = fs::read(place.store().join("index.db")).unwrap();
    place.package("six.tar", &packages::deb("six", 6, "all").data_tar());
    place.ok(["add", "../packages/six.tar"]);
    let kept = sources(&place);
    for end in ["-wal", "-shm"] {
        let _ = fs::remove_file(place.store().join(format!("index.db{end}")));
    }
    fs::write(place.store().join("index.db"), old).unwrap();
    place.run(["store", "gc", "--grace", "0"]);
    assert_eq!(sources(&place), kept);
    place.run(["store", "verify", "--repair", "--full"]);
    assert!(place.ok(["list"]).contains("six"), "{}", place.ok(["list"]));
    assert_eq!(sources(&place), kept);
    fs::remove_file(place.store().join("index.db")).unwrap();
    place.ok(["store", "rebuild"]);
    assert!(place.ok(["list"]).contains("six"));
    assert_eq!(compose(&place), digests);
}

#[test]
fn both_names_of_one_tar_are_healed() {
    let place = place!();
    let tar = packages::deb("same", 6, "all").data_tar();
    for name in ["foo", "bar"] {
        place.package(&format!("{name}.tar"), &tar);
        place.ok(["add", &format!("../packages/{name}.tar")]);
    }
    sql(&place, "DELETE FROM object WHERE kind = 3; DELETE FROM name");
    place.run(["store", "verify", "--repair", "--full"]);
    let list = place.ok(["list"]);
    assert!(list.contains("foo") && list.contains("bar"), "{list}");
}

/// Damage to the newer of two versions, beside the loss of the list that says both.
const NEWER: &[&str] = &[
    "UPDATE object SET state = 3 WHERE id = (SELECT object FROM package WHERE version = '2')",
    "UPDATE object SET state = 2 WHERE id = (SELECT object FROM package WHERE version = '2')",
    "UPDATE object SET kind = 2 WHERE id = (SELECT object FROM package WHERE version = '2')",
    "DELETE FROM package WHERE version = '2'",
    "DELETE FROM object WHERE id = (SELECT object FROM package WHERE version = '2')",
    "UPDATE package SET name = 'vex' WHERE version = '2'",
];

#[test]
fn a_version_that_is_lost_with_its_list_is_never_passed_over() {
    for damage in NEWER {
        let place = place!();
        for version in ["1", "2"] {
            let deb = DebBuilder::new("ver", version, "all").file("v", version.as_bytes(), 0o644);
            place.package(&format!("ver_{version}.deb"), &deb.build());
        }
        place.ok(["add", "../packages"]);
        place.image("demo", "schema = 1\nformat = \"deb\"\npackages = [\"ver\"]\n");
        let order = ["compose", "demo", "--arch", "amd64", "--from", "store", "-o", "oci:out", "--force"];
        let right = place.ok(order);
        sql(&place, &format!("{damage}; DELETE FROM name; DELETE FROM action"));
        let done = place.run(order);
        assert!(done.code() == Some(1) || done.out == right, "{damage}: {done:?}");
        place.run(["store", "verify", "--repair", "--full"]);
        assert_eq!(place.ok(order), right, "{damage}");
    }
}

#[test]
fn nothing_is_written_into_the_store_but_by_the_store() {
    let (place, _) = filled();
    let store = place.store().display().to_string();
    for output in [format!("oci:{store}"), format!("oci:{store}/packs/x"), format!("oci-archive:{store}/x.tar")] {
        let done = place.run(["compose", "demo", "--arch", "amd64", "--from", "store", "-o", &output]);
        assert_eq!(done.code(), Some(2), "{done:?}");
        assert!(done.err.contains("is inside the store"), "{done:?}");
    }
}

#[test]
fn a_repair_says_what_it_healed() {
    let (place, _) = filled();
    sql(&place, "UPDATE fact SET data = x'00' WHERE object = (SELECT min(object) FROM fact)");
    let done = place.run(["store", "verify", "--repair"]).ok();
    assert!(done.out.starts_with("healed object-digest-mismatch fact "), "{}", done.out);
    assert!(done.lines("note:").iter().any(|note| note.contains("was decoded again")), "{done:?}");
    let report: serde_json::Value = place.json(&["store", "verify", "--repair"]);
    assert_eq!((report["healed"].to_string(), report["lost"].to_string()), ("[]".into(), "[]".into()));
}

fn damage(place: &Place, directory: &str, how: fn(&std::path::Path)) {
    unshare(place);
    for name in names(&place.store().join(directory)) {
        how(&place.store().join(directory).join(name));
    }
}

#[test]
fn packs_are_let_go_and_composed_again() {
    let ways: [fn(&std::path::Path); 3] = [
        flip,
        |path| fs::remove_file(path).unwrap(),
        |path| {
            fs::remove_file(path).unwrap();
            fs::create_dir(path).unwrap();
        },
    ];
    for how in ways {
        let (place, digests) = filled();
        damage(&place, "packs", how);
        let done = place.run(["store", "verify", "--repair"]);
        assert_eq!(done.code(), Some(0), "{done:?}");
        assert_eq!(place.verified().0, Vec::<String>::new());
        assert_eq!(number(&place, "SELECT count(*) FROM object WHERE kind = 3 AND state = 1"), 5);
        assert_eq!(compose(&place), digests);
    }
}

#[test]
fn a_source_that_is_bad_is_named_and_its_package_lives_on() {
    let (place, digests) = filled();
    damage(&place, "sources", flip);
    let done = place.run(["store", "verify", "--repair"]);
    assert_eq!(done.code(), Some(1), "{done:?}");
    let lost: Vec<_> = done.out.lines().filter(|line| line.starts_with("lost the kept source of ")).collect();
    assert_eq!(lost.len(), 5, "{}", done.out);
    assert!(lost.iter().any(|line| line.contains("one 1.0-1 (deb, sha256:")), "{lost:?}");
    assert_eq!(place.verified().0, Vec::<String>::new());
    assert_eq!(compose(&place), digests, "packs and facts are whole");
    crate::state::add(&place);
    assert_eq!(sources(&place).len(), 5);
    assert_eq!(compose(&place), digests);
}

#[test]
fn what_is_lost_with_its_source_is_given_up_and_named() {
    let (place, digests) = filled();
    damage(&place, "sources", |path| fs::remove_file(path).unwrap());
    sql(&place, "UPDATE fact SET data = x'00' WHERE length(data) > 0");
    let done = place.run(["store", "verify", "--repair"]);
    assert_eq!(done.code(), Some(1), "{done:?}");
    assert!(done.out.contains("lost one 1.0-1 (deb, sha256:"), "{}", done.out);
    assert_eq!(place.verified().0, Vec::<String>::new());
    let error = place.run(["compose", "demo", "--arch", "amd64", "--from", "store"]).error();
    assert!(error.contains("one"), "{error}");
    crate::state::add(&place);
    assert_eq!(compose(&place), digests);
    assert_eq!(place.verified().0, Vec::<String>::new());
}
