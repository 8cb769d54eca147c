//! What verifying finds, by kind: each damage alone, and nothing where there is none.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::state::{compose, filled, sources, sql, unshare};

/// Damage to rows, and the kinds of findings that it must bring among others.
const ROWS: &[(&str, &str)] = &[
    ("DELETE FROM edge WHERE src IN (SELECT object FROM package)", "edge-missing"),
    ("DELETE FROM edge WHERE src IN (SELECT object FROM action)", "edge-missing"),
    ("UPDATE object SET key = zeroblob(32) WHERE id = (SELECT min(object) FROM pack)", "pack-malformed"),
    ("UPDATE package SET version = '9' WHERE name = 'one'", "row-damaged"),
    (
        "UPDATE soname SET name = x'00'; INSERT INTO soname SELECT x'6c69622e736f', min(object) FROM package",
        "soname-damaged",
    ),
    ("INSERT INTO tree VALUES (99999, 1, x'00')", "row-dangling"),
    ("INSERT INTO fact SELECT object, x'00' FROM pack LIMIT 1", "row-dangling"),
    ("DELETE FROM fact WHERE object = (SELECT min(object) FROM fact)", "object-missing"),
    ("DELETE FROM tree WHERE object = (SELECT min(object) FROM tree)", "object-missing"),
    ("DELETE FROM name WHERE name = 'one'", "name-damaged"),
    ("UPDATE name SET packages = x'' WHERE name = 'one'", "name-damaged"),
    ("DELETE FROM package WHERE name = 'one'", "row-damaged"),
    ("DELETE FROM object WHERE id = (SELECT object FROM package WHERE name = 'one')", "name-damaged"),
    ("UPDATE object SET kind = 42 WHERE id = (SELECT min(object) FROM fact)", "row-damaged"),
    ("UPDATE object SET state = 42 WHERE id = (SELECT min(object) FROM blob)", "row-damaged"),
    ("UPDATE action SET value = x'00'", "object-digest-mismatch"),
    ("UPDATE action SET kind = 'image' WHERE kind = 'landed'", "object-digest-mismatch"),
    ("UPDATE blob SET data = x'00'", "object-digest-mismatch"),
    ("DELETE FROM file WHERE directory = 2", "row-dangling"),
    ("UPDATE file SET size = size + 1 WHERE directory = 1", "object-size-mismatch"),
    ("UPDATE object SET size = size + 1 WHERE kind = 4", "pack-malformed"),
    ("UPDATE object SET state = 3 WHERE kind = 6", "object-damaged"),
    ("UPDATE object SET state = 2 WHERE kind = 2", "edge-dangling"),
];

fn kinds(findings: &[String]) -> BTreeSet<&str> {
    findings.iter().filter_map(|line| line.split(' ').next()).collect()
}

#[test]
fn damage_to_rows_has_a_name() {
    for (damage, kind) in ROWS {
        let (place, _) = filled();
        sql(&place, damage);
        let (findings, _) = place.verified();
        assert!(kinds(&findings).contains(kind), "{damage}: {kind} is not in {findings:?}");
        assert!(!kinds(&findings).contains("index-damaged"), "{damage}: {findings:?}");
    }
}

#[test]
fn a_definition_of_another_schema_is_a_finding_and_a_rebuild_heals_it() {
    for damage in [
        "DROP TRIGGER object_added",
        "CREATE TABLE other(a)",
        "PRAGMA writable_schema = 1; UPDATE sqlite_schema SET sql = replace(sql, 'state', 'stat$')
            WHERE name = 'object_changed'",
        "PRAGMA writable_schema = 1; UPDATE sqlite_schema SET sql = replace(sql, 'name', 'na-e')
            WHERE name = 'sqlite_sequence'",
        "PRAGMA writable_schema = 1; UPDATE sqlite_schema SET sql = replace(sql, 'name', 'nam')
            WHERE name = 'sqlite_sequence'",
    ] {
        let (place, digests) = filled();
        sql(&place, damage);
        let (findings, _) = place.verified();
        assert!(kinds(&findings).contains("index-damaged"), "{damage}: {findings:?}");
        place.ok(["store", "rebuild"]);
        assert_eq!(place.verified().0, Vec::<String>::new(), "{damage}");
        assert_eq!(compose(&place), digests, "{damage}");
    }
}

#[test]
fn a_link_to_a_directory_elsewhere_is_as_good_as_the_directory() {
    let (place, digests) = filled();
    let (here, there) = (place.store().join("sources"), place.path().join("elsewhere"));
    fs::rename(&here, &there).unwrap();
    std::os::unix::fs::symlink(&there, &here).unwrap();
    let kept = dlstore_kit::names(&there);
    place.ok(["store", "verify", "--repair", "--full"]);
    place.ok(["store", "gc", "--grace", "0"]);
    assert_eq!((dlstore_kit::names(&there), here.is_symlink()), (kept, true));
    assert_eq!(compose(&place), digests);
}

type Way = (&'static str, fn(&Path));

#[test]
fn what_takes_the_place_of_a_file_or_directory_is_a_finding_of_a_quick_look() {
    let places: [Way; 3] = [
        ("a directory", |path| fs::create_dir(path).unwrap()),
        ("a pipe", |path| {
            assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
        }),
        ("a link", |path| std::os::unix::fs::symlink("/etc/passwd", path).unwrap()),
    ];
    for (way, put) in places {
        let (place, _) = filled();
        unshare(&place);
        let pack = dlstore_kit::names(&place.store().join("packs")).remove(0);
        let quarantine = place.store().join("quarantine");
        for path in [sources(&place).remove(0), place.store().join("packs").join(pack)] {
            fs::remove_file(&path).unwrap();
            put(&path);
        }
        fs::remove_dir(&quarantine).unwrap();
        if way == "a directory" {
            fs::write(&quarantine, b"").unwrap();
        } else {
            put(&quarantine);
        }
        let done = place.run(["store", "verify"]);
        let found: Vec<&str> = done.out.lines().collect();
        assert_eq!(done.code(), Some(1), "{way}: {done:?}");
        let count = found.iter().filter(|line| line.starts_with("not-a-file")).count();
        assert!(count >= 3, "{way}: {found:?}");
        place.run(["store", "verify", "--repair"]);
        assert_eq!(place.verified().0, Vec::<String>::new(), "{way}");
    }
}

#[test]
fn a_flipped_bit_anywhere_in_the_index_ends_no_look() {
    let (place, _) = filled();
    sql(&place, "PRAGMA wal_checkpoint(TRUNCATE)");
    let index = place.store().join("index.db");
    let whole = fs::read(&index).unwrap();
    // Pages apart, each at another place within its page: header, cells, overflow.
    let step = whole.len() / 40;
    for number in 0..40 {
        let at = (number * step + number * 211).min(whole.len() - 1);
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (number % 8);
        fs::write(&index, &bytes).unwrap();
        for name in ["index.db-wal", "index.db-shm"] {
            let _ = fs::remove_file(place.store().join(name));
        }
        let done = place.run(["store", "verify", "--full"]);
        let refused = !done.lines("error:").is_empty();
        assert!(matches!(done.code(), Some(0 | 1)), "byte {at}: {done:?}");
        assert!(
            !refused || done.lines("hint:") == ["dlstore store rebuild"] || done.err.contains("format"),
            "byte {at}: {done:?}"
        );
    }
}
