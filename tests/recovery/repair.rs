//! `store verify --repair`: one damage after the other, healed from the kept sources with every digest as before.

use std::fs;

use crate::harness::{Place, names};
use crate::state::{compose, filled, flip, number, sources, sql, unshare};

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
