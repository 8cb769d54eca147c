//! Rows and names that no program writes: named, mended by a repair, and never the end of a collection.

use std::fs;

use crate::state::{compose, filled, number, sources, sql};
use dlstore_kit::names;

/// Rows of which one text or number says what nobody writes, and whether a repair has to find it (a collection may
/// have set it right before). Everything is as it was afterwards.
const ROWS: &[&str] = &[
    "INSERT INTO lease(name, note, born) VALUES ('..', 'add', 1)",
    "INSERT INTO lease(name, note, born) VALUES (CAST(x'00' || hex(zeroblob(15)) AS TEXT), 'add', 1)",
    "INSERT INTO lease(name, note, born) VALUES (hex(zeroblob(16)), CAST(x'e16464' AS TEXT), 1)",
    "UPDATE root SET name = CAST(x'ed' || substr(CAST(name AS BLOB), 2) AS TEXT) WHERE name = 'mine/two'",
    "UPDATE root SET name = CAST(x'f0' || substr(CAST(name AS BLOB), 2) AS TEXT) WHERE name LIKE 'package/%'",
    "UPDATE root SET name = 'a b' WHERE name = 'mine/two'",
    "UPDATE counter SET name = CAST(x'f2' || substr(CAST(name AS BLOB), 2) AS TEXT)",
    "UPDATE counter SET value = 0x7fffffffffffffff",
    "UPDATE counter SET value = -0x7fffffffffffffff",
    "DELETE FROM counter",
    "UPDATE content SET packages = 0x7fffffffffffffff, size = 0x7fffffffffffffff",
    "UPDATE name SET name = CAST(x'ff' AS TEXT) WHERE name = 'one'",
    "UPDATE origin SET generator = CAST(x'ff' AS TEXT)",
    "UPDATE action SET kind = CAST(x'ff' AS TEXT)",
    "UPDATE package SET version = CAST(x'ff' AS TEXT) WHERE name = 'two'",
    "UPDATE sqlite_sequence SET seq = 0x7fffffffffffffff",
    "UPDATE sqlite_sequence SET name = 'x'",
    "DELETE FROM sqlite_sequence",
    "INSERT INTO object VALUES (0x7fffffffffffffff, 2, zeroblob(32), 2, 1, 0, 5, 1, NULL)",
    "UPDATE object SET size = -1",
    "UPDATE file SET size = -1",
    "UPDATE file SET size = 0x7000000000000000 WHERE id IN (SELECT min(id) FROM file GROUP BY directory)",
];

#[test]
fn a_row_that_says_what_nobody_writes_ends_no_collection_and_is_mended() {
    for damage in ROWS {
        let (place, digests) = filled();
        let (kept, roots) = (sources(&place), place.ok(["store", "roots", "list"]));
        sql(&place, damage);
        // Nothing goes before a repair, and a finding is no failure of the whole.
        for command in [&["store", "info"][..], &["store", "gc", "--grace", "0"], &["store", "verify"]] {
            let done = place.run(command);
            assert!(
                matches!(done.code(), Some(0 | 1)) && done.lines("error:").is_empty(),
                "{damage} {command:?} {done:?}"
            );
        }
        assert_eq!(sources(&place), kept, "{damage}");
        let done = place.run(["store", "verify", "--repair"]);
        assert_eq!(done.code(), Some(0), "{damage}: {done:?}");
        assert_eq!(place.verified().0, Vec::<String>::new(), "{damage}");
        place.ok(["store", "gc", "--grace", "0"]);
        assert_eq!(sources(&place), kept, "{damage}");
        assert_eq!(compose(&place), digests, "{damage}");
        assert_eq!(place.ok(["store", "roots", "list"]), roots, "{damage}: each root has its own name again");
        place.package("more.deb", &dlstore_kit::packages::deb("more", 9, "amd64").build());
        place.ok(["add", "../packages/more.deb"]);
        assert_eq!(place.verified().0, Vec::<String>::new(), "{damage}");
    }
}

#[test]
fn a_quick_look_names_texts_and_numbers_that_end_other_commands() {
    let texts =
        ["INSERT INTO lease", "UPDATE root", "UPDATE name", "UPDATE counter SET name", "UPDATE sqlite_sequence"];
    for damage in ROWS.iter().filter(|damage| texts.iter().any(|text| damage.starts_with(text))) {
        let (place, _) = filled();
        sql(&place, damage);
        let done = place.run(["store", "verify"]);
        assert!(done.code() == Some(1) && !done.out.is_empty(), "{damage} {done:?}");
    }
}

#[test]
fn numbers_that_are_used_up_are_said_and_are_no_full_disk() {
    let (place, _) = filled();
    sql(&place, "UPDATE sqlite_sequence SET seq = 0x7fffffffffffffff");
    place.package("more.deb", &dlstore_kit::packages::deb("more", 9, "amd64").build());
    let done = place.run(["add", "../packages/more.deb"]);
    assert!(done.err.contains("the numbers of its objects are used up"), "{done:?}");
    assert!(done.lines("hint:").iter().any(|hint| hint.contains("store verify --repair")), "{done:?}");
    place.ok(["store", "verify", "--repair"]);
    place.ok(["add", "../packages/more.deb"]);
}

#[test]
fn an_object_near_the_last_number_gets_another_one_and_keeps_what_names_it() {
    let (place, digests) = filled();
    let last = "0x7ffffffffffffff0";
    let tables = ["edge SET src", "edge SET dst", "root_target SET object", "package SET object", "tree SET object"];
    let moved = tables.map(|table| {
        let column = table.rsplit(' ').next().unwrap();
        format!("UPDATE {table} = {last} + {column} % 8 WHERE {column} IN (SELECT id FROM object WHERE kind IN (2, 3) AND id < 9)")
    });
    let objects = format!("UPDATE object SET id = {last} + id % 8 WHERE kind IN (2, 3) AND id < 9");
    sql(
        &place,
        &format!("{}; UPDATE soname SET package = {last} + package % 8 WHERE package < 9; {objects}", moved.join("; ")),
    );
    assert!(number(&place, "SELECT max(id) FROM object") > 1 << 62);
    let before = number(&place, "SELECT count(*) FROM object");
    assert_eq!(place.run(["store", "verify", "--repair"]).code(), Some(0));
    assert!(number(&place, "SELECT max(id) FROM object") < 1 << 40);
    assert_eq!(number(&place, "SELECT count(*) FROM object"), before, "nothing was made again");
    assert_eq!(place.verified().0, Vec::<String>::new());
    assert_eq!(compose(&place), digests);
}

#[test]
fn a_root_whose_name_is_lost_everywhere_keeps_what_it_kept() {
    let (place, _) = filled();
    sql(&place, "UPDATE root SET name = CAST(x'ff' AS TEXT) WHERE name = 'mine/two'");
    fs::write(place.store().join("roots.journal"), "").unwrap();
    assert_eq!(place.run(["store", "verify", "--repair"]).code(), Some(0));
    assert!(place.ok(["store", "roots", "list"]).lines().any(|line| line.contains("found/")));
    assert_eq!(place.verified().0, Vec::<String>::new());
}

#[test]
fn strange_names_among_locks_and_stages_go_to_quarantine() {
    let (place, digests) = filled();
    for strange in ["leases/.lock", "leases/...lock", "leases/UPPER.lock"] {
        fs::write(place.store().join(strange), "").unwrap();
    }
    fs::create_dir_all(place.store().join("stage/of/nobody")).unwrap();
    let (found, _) = place.verified();
    assert_eq!(found.iter().filter(|line| line.starts_with("strange-name")).count(), 4, "{found:?}");
    assert_eq!(place.run(["store", "verify", "--repair"]).code(), Some(0));
    assert_eq!(place.verified().0, Vec::<String>::new());
    assert_eq!(names(&place.store().join("quarantine")).len(), 4);
    assert_eq!((names(&place.store().join("leases")), names(&place.store().join("stage"))), (Vec::new(), Vec::new()));
    place.ok(["store", "gc", "--grace", "0"]);
    assert_eq!(compose(&place), digests);
}

#[test]
fn names_in_the_journal_are_no_paths_and_end_no_rebuild() {
    let (place, digests) = filled();
    let path = place.store().join("roots.journal");
    let text = fs::read_to_string(&path).unwrap();
    let strange: String = text
        .lines()
        .flat_map(|line| {
            let given = line.replace("\"four\"", "\"../../four\"").replace("\"five\"", "\"/five\"");
            [given.replacen("\"set\":\"", "\"set\":\"../", 1), line.replacen("\"set\":\"", "\"set\":\" x", 1)]
        })
        .map(|line| line + "\n")
        .collect();
    fs::write(&path, format!("{strange}{text}")).unwrap();
    let outside = names(place.path());
    assert_eq!(place.run(["store", "verify", "--repair"]).code(), Some(0));
    for name in ["index.db", "index.db-wal", "index.db-shm"] {
        let _ = fs::remove_file(place.store().join(name));
    }
    fs::write(&path, format!("{strange}{text}")).unwrap();
    let done = place.run(["store", "rebuild"]);
    assert!(matches!(done.code(), Some(0 | 1)) && done.lines("error:").is_empty(), "{done:?}");
    assert_eq!(names(place.path()), outside);
    assert_eq!(compose(&place), digests);
    assert_eq!(place.verified().0, Vec::<String>::new());
}

#[test]
fn a_directory_in_the_place_of_a_file_of_the_store_keeps_nobody_from_mending() {
    let (place, digests) = filled();
    fs::create_dir_all(place.store().join("index.db.rebuild/x")).unwrap();
    fs::create_dir_all(place.store().join("index.db.rebuild-wal")).unwrap();
    fs::remove_file(place.store().join("index.db")).unwrap();
    fs::remove_file(place.store().join("format.json")).unwrap();
    fs::create_dir_all(place.store().join("format.json/x")).unwrap();
    place.ok(["store", "rebuild"]);
    assert!(place.store().join("format.json").is_file());
    assert_eq!(compose(&place), digests);
    fs::remove_file(place.store().join("format.json")).unwrap();
    std::os::unix::fs::symlink("/dev/null", place.store().join("format.json")).unwrap();
    fs::create_dir(place.store().join("format.json.new")).unwrap();
    place.ok(["store", "verify"]);
    assert!(place.store().join("format.json").symlink_metadata().unwrap().is_file());
    assert_eq!(place.verified().0, Vec::<String>::new());
}

#[test]
fn the_source_of_a_live_package_is_no_orphan() {
    for damage in [
        "DELETE FROM edge WHERE dst IN (SELECT id FROM object WHERE kind = 1); DELETE FROM object WHERE kind = 1",
        "DELETE FROM edge; DELETE FROM object WHERE kind = 1; UPDATE object SET file = NULL; DELETE FROM file",
    ] {
        let (place, digests) = filled();
        let kept = sources(&place);
        sql(&place, damage);
        let done = place.run(["store", "verify"]);
        assert!(done.err.contains("-file: sources/"), "{damage} {done:?}");
        for _ in 0..3 {
            place.run(["store", "gc", "--grace", "0", "--orphan-sources"]);
            assert_eq!(sources(&place), kept, "{damage}");
        }
        assert_eq!(place.run(["store", "verify", "--repair"]).code(), Some(0), "{damage}");
        let (findings, notes) = place.verified();
        assert_eq!(findings, Vec::<String>::new(), "{damage}");
        assert!(!notes.iter().any(|note| note.contains("sources/")), "{damage}: {notes:?}");
        place.run(["store", "gc", "--grace", "0", "--orphan-sources"]);
        assert_eq!(sources(&place), kept, "{damage}");
        // What needs it finds it again.
        sql(&place, "UPDATE tree SET data = x'00'; DELETE FROM action");
        assert_eq!(compose(&place), digests, "{damage}");
    }
}

#[test]
fn a_source_that_goes_takes_no_file_of_another() {
    let (place, digests) = filled();
    let kept = sources(&place);
    place.package("gone.deb", &dlstore_kit::packages::deb("gone", 9, "amd64").build());
    place.ok(["add", "../packages/gone.deb"]);
    let of = |name: &str| {
        format!(
            "(SELECT edge.dst FROM package JOIN edge ON src = object JOIN object o ON o.id = dst AND o.kind = 1 WHERE name = '{name}')"
        )
    };
    let (gone, one) = (of("gone"), of("one"));
    let swap = format!(
        "CREATE TEMP TABLE pair AS SELECT (SELECT file FROM object WHERE id = {gone}) AS a, (SELECT file FROM object WHERE id = {one}) AS b;
         UPDATE object SET file = (SELECT b FROM pair) WHERE id = {gone};
         UPDATE object SET file = (SELECT a FROM pair) WHERE id = {one};"
    );
    sql(&place, &swap);
    let done = place.run(["store", "verify"]);
    assert!(done.code() == Some(1) && done.out.matches("row-damaged source").count() == 2, "{done:?}");
    let root = place.root("package/deb/gone/");
    place.ok(["store", "roots", "remove", root.as_str()]);
    for _ in 0..2 {
        place.run(["store", "gc", "--grace", "0"]);
        assert!(kept.iter().all(|path| path.exists()));
    }
    assert_eq!(place.run(["store", "verify", "--repair"]).code(), Some(0));
    place.run(["store", "gc", "--grace", "0"]);
    assert_eq!(place.verified().0, Vec::<String>::new());
    assert!(kept.iter().all(|path| path.exists()));
    assert_eq!(compose(&place), digests);
}

#[test]
fn a_source_that_was_let_go_does_not_come_back_without_its_file() {
    let (place, _) = filled();
    for path in sources(&place) {
        fs::remove_file(path).unwrap();
    }
    place.run(["store", "verify", "--repair"]);
    for _ in 0..2 {
        assert_eq!(place.verified().0, Vec::<String>::new());
        place.ok(["store", "gc", "--grace", "0"]);
        assert_eq!(number(&place, "SELECT count(*) FROM object WHERE kind = 1 AND state = 1"), 0);
        place.ok(["store", "verify", "--repair"]);
    }
    // A package that is made known again is not joined to a source that is not here either.
    crate::state::add(&place);
    assert_eq!(sources(&place).len(), 5);
    assert_eq!(place.verified().0, Vec::<String>::new());
}

#[test]
fn a_collection_ends_also_where_the_index_keeps_its_free_pages() {
    let (place, _) = filled();
    let settings = "PRAGMA auto_vacuum = 0; VACUUM";
    sql(&place, settings);
    for root in place.ok(["store", "roots", "list"]).lines().filter_map(|line| line.split_whitespace().next()) {
        place.ok(["store", "roots", "remove", root]);
    }
    place.ok(["store", "gc", "--grace", "0"]);
    assert_eq!(sources(&place), Vec::<std::path::PathBuf>::new());
}
