//! Each file that a store consists of, lost or damaged alone.

use std::fs;
use std::path::Path;

use crate::state::{add, compose, filled, remove_index, sources, sql, unshare};
use dlstore_kit::files::{flip, rewrite};
use dlstore_kit::{names, packages, place};

const HELP: &str = "dlstore store rebuild";

#[test]
fn without_format_json_nothing_is_deleted_and_it_is_written_again() {
    let (place, digests) = filled();
    let kept = sources(&place);
    fs::remove_file(place.store().join("format.json")).unwrap();
    let done = place.run(["compose", "demo", "--arch", "amd64", "--from", "store", "-o", "oci:out", "--force"]).ok();
    assert!(done.lines("note:").iter().any(|note| note.contains("format.json was missing")), "{done:?}");
    place.ok(["store", "gc", "--grace", "0"]);
    assert_eq!(sources(&place), kept);
    let done = place.run(["store", "info"]).ok();
    assert!(done.lines("note:").is_empty(), "it is said once: {done:?}");
    assert_eq!(compose(&place), digests);
    assert_eq!(place.verified().0, Vec::<String>::new());
}

#[test]
fn a_shared_store_without_format_json_stays_a_shared_one() {
    use std::os::unix::fs::PermissionsExt as _;
    let (place, _) = filled();
    let format = place.store().join("format.json");
    let text = fs::read_to_string(&format).unwrap();
    fs::set_permissions(place.store(), fs::Permissions::from_mode(0o2770)).unwrap();
    fs::remove_file(&format).unwrap();
    place.ok(["store", "info"]);
    assert_eq!(fs::read_to_string(&format).unwrap(), text.replace("\"shared\": false", "\"shared\": true"));
}

#[test]
fn a_format_json_that_is_damaged_or_of_another_program_stays_and_is_an_error() {
    let (place, _) = filled();
    let format = place.store().join("format.json");
    for (bytes, word) in [
        (&b"{ \"format\": \"dlst"[..], "does not describe a store"),
        (b"{\"format\": \"other\", \"version\": 2}", "does not describe a store"),
        (b"{\"format\": \"dlstore\", \"version\": 9}", "use a newer dlstore"),
    ] {
        fs::write(&format, bytes).unwrap();
        for command in [&["store", "info"][..], &["store", "rebuild"]] {
            let error = place.run(command).error();
            assert!(error.contains(word), "{error}");
        }
        assert_eq!(fs::read(&format).unwrap(), bytes, "it is not touched");
    }
}

#[test]
fn a_format_json_that_a_power_cut_left_empty_is_written_again() {
    let (place, digests) = filled();
    let format = place.store().join("format.json");
    let text = fs::read(&format).unwrap();
    for bytes in [&b""[..], b"\n", &[0; 200]] {
        for command in
            [&["store", "info"][..], &["compose", "demo", "--from", "store"], &["store", "verify", "--repair"]]
        {
            fs::write(&format, bytes).unwrap();
            let done = place.run(command).ok();
            assert!(done.lines("note:").iter().any(|note| note.contains("was written again")), "{done:?}");
            assert_eq!(fs::read(&format).unwrap(), text);
        }
        fs::write(&format, bytes).unwrap();
        remove_index(&place);
        place.ok(["store", "rebuild"]);
        assert_eq!(fs::read(&format).unwrap(), text);
    }
    assert_eq!(compose(&place), digests);
}

const DIRECTORIES: [&str; 5] = ["packs", "sources", "stage", "leases", "quarantine"];

#[test]
fn a_directory_of_the_store_that_is_gone_is_made_again() {
    for name in DIRECTORIES {
        let (place, digests) = filled();
        unshare(&place);
        fs::remove_dir_all(place.store().join(name)).unwrap();
        let done =
            place.run(["compose", "demo", "--arch", "amd64", "--from", "store", "-o", "oci:out", "--force"]).ok();
        let notes = done.lines("note:");
        assert!(notes.iter().any(|note| note.contains(&format!("directory {name} was missing"))), "{done:?}");
        add(&place);
        assert_eq!(compose(&place), digests, "{name}");
        assert_eq!(place.verified().0, Vec::<String>::new(), "{name}");
    }
}

#[test]
fn what_lies_in_the_place_of_a_directory_is_said_and_moved_by_a_repair_or_a_rebuild() {
    for help in [&["store", "verify", "--repair"][..], &["store", "rebuild"]] {
        for name in DIRECTORIES {
            let (place, digests) = filled();
            unshare(&place);
            let path = place.store().join(name);
            fs::remove_dir_all(&path).unwrap();
            fs::write(&path, b"in the way").unwrap();
            let done = place.run(["compose", "demo", "--arch", "amd64", "--from", "store", "-o", "oci:out", "--force"]);
            let notes = done.lines("note:");
            assert!(notes.iter().any(|note| note.contains("dlstore store verify --repair")), "{done:?}");
            place.run(help);
            assert!(path.is_dir(), "{help:?} {name}");
            add(&place);
            assert_eq!(compose(&place), digests, "{help:?} {name}");
            assert_eq!(place.verified().0, Vec::<String>::new(), "{help:?} {name}");
        }
    }
}

#[test]
fn a_directory_in_the_place_of_the_reserve_is_a_finding_and_the_next_publication_moves_it() {
    let (place, _) = filled();
    let reserve = place.store().join("reserve");
    fs::remove_file(&reserve).unwrap();
    fs::create_dir_all(reserve.join("not/empty")).unwrap();
    let found = place.verified().0;
    assert!(matches!(found.as_slice(), [one] if one.contains("reserve is not a file")), "{found:?}");
    place.ok(["store", "gc", "--dry-run"]);
    place.package("new.deb", &dlstore_kit::packages::deb("new", 9, "amd64").build());
    place.ok(["add", "../packages"]);
    assert!(reserve.is_file());
    assert_eq!(place.verified().0, Vec::<String>::new());
    let aside = names(&place.store().join("quarantine"));
    assert!(matches!(aside.as_slice(), [one] if one.starts_with("reserve.")), "{aside:?}");
}

type Loss = (&'static str, fn(&Path));

/// Ways to lose the index.
const LOSSES: [Loss; 9] = [
    ("removed", |store| {
        for name in ["index.db", "index.db-wal", "index.db-shm"] {
            let _ = fs::remove_file(store.join(name));
        }
    }),
    ("emptied", |store| fs::write(store.join("index.db"), b"").unwrap()),
    ("cut in its first page", |store| {
        let bytes = fs::read(store.join("index.db")).unwrap();
        fs::write(store.join("index.db"), &bytes[..50]).unwrap();
    }),
    ("garbage", |store| fs::write(store.join("index.db"), b"not a database. ".repeat(4000)).unwrap()),
    ("a database of another program", |store| {
        remove_all(store);
        rusqlite::Connection::open(store.join("index.db")).unwrap().execute_batch("CREATE TABLE t(a)").unwrap();
    }),
    ("a directory", |store| {
        remove_all(store);
        fs::create_dir(store.join("index.db")).unwrap();
    }),
    ("a pipe for a log", |store| {
        let _ = fs::remove_file(store.join("index.db-wal"));
        assert!(std::process::Command::new("mkfifo").arg(store.join("index.db-wal")).status().unwrap().success());
    }),
    ("a directory for shared memory", |store| {
        let _ = fs::remove_file(store.join("index.db-shm"));
        fs::create_dir(store.join("index.db-shm")).unwrap();
    }),
    ("a link to nowhere", |store| {
        remove_all(store);
        std::os::unix::fs::symlink("nowhere", store.join("index.db")).unwrap();
    }),
];

fn remove_all(store: &Path) {
    for name in ["index.db", "index.db-wal", "index.db-shm"] {
        let _ = fs::remove_file(store.join(name));
    }
}

#[test]
fn a_lost_index_is_one_sentence_and_is_made_anew_with_every_digest_as_before() {
    let (place, digests) = filled();
    let roots = place.ok(["store", "roots", "list"]);
    for (way, lose) in LOSSES {
        unshare(&place);
        lose(&place.store());
        for command in [&["store", "info"][..], &["compose", "demo", "--from", "store"], &["store", "gc"]] {
            let done = place.run(command);
            assert!(done.error().contains(HELP), "{way}: {done:?}");
            assert_eq!(done.lines("hint:"), [HELP], "{way}");
        }
        let kept = sources(&place);
        let done = place.run(["store", "rebuild"]);
        assert_eq!(done.code(), Some(0), "{way}: {done:?}");
        assert_eq!(done.out.lines().count(), 5, "{way}: {}", done.out);
        assert_eq!(sources(&place), kept, "{way}");
        assert_eq!(place.verified().0, Vec::<String>::new(), "{way}");
        assert_eq!(compose(&place), digests, "{way}");
        assert_eq!(place.ok(["store", "roots", "list"]), roots, "{way}");
        // The packs of before, which no row named, are used again or swept.
        place.ok(["store", "gc", "--grace", "0"]);
        assert_eq!(compose(&place), digests, "{way}");
        assert_eq!(place.verified().0, Vec::<String>::new(), "{way}");
    }
    let quarantined = names(&place.store().join("quarantine"));
    assert!(quarantined.iter().any(|name| name.starts_with("index.db.")), "the old index is kept: {quarantined:?}");
}

#[test]
fn index_and_format_lost_together_are_made_anew_too() {
    let (place, digests) = filled();
    remove_index(&place);
    fs::remove_file(place.store().join("format.json")).unwrap();
    for command in [&["store", "info"][..], &["add", "../packages"]] {
        let done = place.run(command);
        assert!(done.error().contains(HELP), "{done:?}");
    }
    place.ok(["store", "rebuild"]);
    assert_eq!(compose(&place), digests);
}

#[test]
fn what_cannot_be_brought_back_is_listed() {
    let (place, digests) = filled();
    remove_index(&place);
    fs::remove_file(place.store().join("roots.journal")).unwrap();
    let done = place.run(["store", "rebuild"]);
    assert_eq!(done.code(), Some(1), "{done:?}");
    let lost: Vec<_> = done.out.lines().filter(|line| line.starts_with("lost ")).collect();
    assert_eq!(lost.len(), 2, "a tar and a directory have no name without the journal: {lost:?}");
    assert_eq!(done.out.lines().count(), 5, "{}", done.out);
    assert!(done.lines("note:").iter().any(|note| note.contains("journal of roots is missing")), "{done:?}");
    let kept = sources(&place);
    place.ok(["store", "gc", "--grace", "0"]);
    let error = place.run(["compose", "plain", "--arch", "amd64", "--from", "store"]).error();
    assert!(error.contains("four") || error.contains("five"), "{error}");
    add(&place);
    assert_eq!(compose(&place), digests);
    assert_eq!(sources(&place), kept);
}

#[test]
fn a_source_that_is_lost_or_bad_together_with_the_index_is_named() {
    let (place, digests) = filled();
    unshare(&place);
    let one = place.json(&["show", "one"]);
    let two = place.json(&["show", "two"]);
    let file = |shown: &serde_json::Value| {
        let digest = shown["packages"][0]["source"].as_str().unwrap_or_else(|| panic!("{shown}"));
        place.store().join("sources").join(digest.trim_start_matches("sha256:"))
    };
    fs::remove_file(file(&one)).unwrap();
    flip(&file(&two));
    remove_index(&place);
    let done = place.run(["store", "rebuild"]);
    assert_eq!(done.code(), Some(1), "{done:?}");
    for word in ["lost deb one", "lost deb two", "is in quarantine"] {
        assert!(done.out.contains(word), "{word}: {}", done.out);
    }
    assert_eq!(place.verified().0, Vec::<String>::new());
    add(&place);
    assert_eq!(compose(&place), digests);
}

#[test]
fn a_rebuild_that_is_killed_is_begun_anew() {
    let (place, digests) = filled();
    for point in
        ["rebuild.begun", "rebuild.adopted", "rebuild.decoded", "rebuild.moved", "rebuild.renamed", "journal.written"]
    {
        unshare(&place);
        let kept = sources(&place);
        remove_index(&place);
        let mut command = place.command(["store", "rebuild"]);
        command.env(dlstore_fsx::stop::VARIABLE, point);
        assert_eq!(dlstore_kit::finish(command).signal(), Some(6), "{point}");
        assert_eq!(sources(&place), kept, "{point}");
        place.run(["store", "rebuild"]).ok();
        assert_eq!(place.verified().0, Vec::<String>::new(), "{point}");
        assert_eq!(compose(&place), digests, "{point}");
        let left = names(&place.store());
        assert!(!left.iter().any(|name| name.contains("rebuild")), "{point}: {left:?}");
    }
}

#[test]
fn a_store_in_use_is_not_rebuilt_and_one_that_is_rebuilt_is_not_opened() {
    let (place, _) = filled();
    let open = dlstore_store::Store::open(&place.store(), dlstore_store::Access::Existing).unwrap();
    let error = place.run(["store", "rebuild"]).error();
    assert!(error.contains("is in use"), "{error}");
    drop(open);
    let options = dlstore_store::OpenOptions::new(dlstore_store::Access::Existing);
    let rebuild = dlstore_store::Rebuild::begin(&place.store(), options).unwrap();
    let error = place.run(["store", "info"]).error();
    assert!(error.contains("is rebuilding the index"), "{error}");
    drop(rebuild);
    place.ok(["store", "info"]);
}

#[test]
fn a_directory_that_is_no_store_is_not_rebuilt() {
    let place = place!();
    let error = place.run(["store", "rebuild"]).error();
    assert!(error.contains("there is no store"), "{error}");
    fs::create_dir(place.store()).unwrap();
    fs::write(place.store().join("letter.txt"), b"mine").unwrap();
    place.package("one.deb", &packages::deb("one", 1, "amd64").build());
    for command in [&["store", "rebuild"][..], &["add", "../packages"]] {
        let error = place.run(command);
        assert!(error.err.contains("not a store") || error.err.contains("cannot"), "{error:?}");
    }
    assert_eq!(names(&place.store()), ["letter.txt"]);
}

#[test]
fn a_copied_store_is_hashed_once_and_verify_records_that() {
    let (place, digests) = filled();
    unshare(&place);
    let copy = place.path().join("copy");
    assert!(std::process::Command::new("cp").arg("-r").arg(place.store()).arg(&copy).status().unwrap().success());
    fs::remove_dir_all(place.store()).unwrap();
    fs::rename(&copy, place.store()).unwrap();
    let inodes = "SELECT group_concat(inode || ' ' || mtime_ns) FROM file";
    let index = || place.index();
    let recorded = || index().query_row(inodes, [], |row| row.get::<_, String>(0)).unwrap();
    let before = recorded();
    assert_eq!(place.run(["store", "verify"]).code(), Some(0));
    let after = recorded();
    assert_ne!(before, after, "what was hashed and right is recorded");
    assert_eq!(place.run(["store", "verify"]).code(), Some(0));
    assert_eq!(compose(&place), digests);
    assert_eq!(recorded(), after);
    // A quick look hashes what has another stamp, so a bit that moved with the date is seen.
    unshare(&place);
    flip(&sources(&place)[0]);
    let done = place.run(["store", "verify"]);
    assert_eq!(done.code(), Some(1), "{done:?}");
    assert!(done.out.starts_with("object-digest-mismatch source"), "{}", done.out);
}

#[test]
fn an_index_of_which_pages_are_gone_is_a_finding_and_no_abort() {
    for cut in [2, 3, 5] {
        let (place, digests) = filled();
        sql(&place, "PRAGMA wal_checkpoint(TRUNCATE)");
        let index = place.store().join("index.db");
        let bytes = fs::read(&index).unwrap();
        rewrite(&index, &bytes[..bytes.len() / cut / 8192 * 8192]);
        for name in ["index.db-wal", "index.db-shm"] {
            let _ = fs::remove_file(place.store().join(name));
        }
        let done = place.run(["store", "verify", "--full"]);
        assert_eq!(done.code(), Some(1), "1/{cut}: {done:?}");
        assert!(done.out.contains("index-damaged") || done.error().contains(HELP), "1/{cut}: {done:?}");
        assert_eq!(done.lines("hint:"), [HELP], "1/{cut}: {done:?}");
        place.run(["store", "rebuild"]).ok();
        assert_eq!(compose(&place), digests, "1/{cut}");
    }
}
