//! Each damage gives exactly its finding, each leftover exactly its note.

use std::path::Path;

use dlstore_store::{Depth, Part, Reading, VerifyOptions};

use crate::support::*;

/// Damages a store of packages 1 and 2 in one way.
type Damage = fn(&Path);

fn sql(store: &Path, text: &str) {
    let index = rusqlite::Connection::open(store.join("index.db")).unwrap();
    index.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
    index.execute_batch(text).unwrap();
}

fn pack_file(store: &Path) -> std::path::PathBuf {
    store.join("packs").join(pack_info(1).blob.to_hex())
}

fn flip(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    std::fs::remove_file(path).unwrap();
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn each_damage_gives_exactly_its_finding() {
    let damages: &[(&str, &[&str], Damage)] = &[
        ("a pack's bit flips", &["object-digest-mismatch"], |store| flip(&pack_file(store))),
        ("a source's bit flips", &["object-digest-mismatch"], |store| {
            flip(&store.join("sources").join(source(1).to_hex()));
        }),
        ("a pack is cut", &["object-size-mismatch"], |store| {
            std::fs::remove_file(pack_file(store)).unwrap();
            std::fs::write(pack_file(store), b"").unwrap();
        }),
        ("a pack is gone", &["object-missing"], |store| std::fs::remove_file(pack_file(store)).unwrap()),
        ("a tree is no zstd", &["tree-malformed"], |store| {
            sql(store, "UPDATE tree SET data = x'00' WHERE object = (SELECT min(object) FROM tree)");
        }),
        ("a tree is another's", &["object-digest-mismatch"], |store| {
            sql(
                store,
                "UPDATE tree SET data = (SELECT data FROM tree ORDER BY object DESC LIMIT 1) WHERE object = (SELECT min(object) FROM tree)",
            );
        }),
        ("a tree's row is gone", &["object-missing"], |store| {
            sql(store, "DELETE FROM tree WHERE object = (SELECT min(object) FROM tree)");
        }),
        ("a fact flips", &["object-digest-mismatch"], |store| {
            sql(store, "UPDATE fact SET data = x'010207' WHERE object = (SELECT min(object) FROM fact)");
        }),
        ("an action flips", &["object-digest-mismatch"], |store| {
            sql(store, "UPDATE action SET value = x'01' WHERE object = (SELECT min(object) FROM action)");
        }),
        ("a blob flips", &["object-digest-mismatch"], |store| {
            sql(store, "UPDATE blob SET data = x'01' WHERE object = (SELECT min(object) FROM blob)");
        }),
        ("a blob's row is gone", &["object-missing"], |store| {
            sql(store, "DELETE FROM blob WHERE object = (SELECT min(object) FROM blob)");
        }),
        ("a package's row is gone", &["row-damaged"], |store| {
            sql(store, "DELETE FROM package WHERE object = (SELECT min(object) FROM package)");
        }),
        ("what is known of a pack flips", &["pack-malformed"], |store| {
            sql(store, "UPDATE pack SET info = x'01' WHERE object = (SELECT min(object) FROM pack)");
        }),
        ("an object loses its file's row", &["object-missing"], |store| {
            sql(store, "UPDATE object SET file = NULL WHERE id = (SELECT min(object) FROM pack)");
        }),
        ("a live object refers to a dead one", &["edge-dangling", "edge-dangling", "object-missing"], |store| {
            sql(store, "UPDATE object SET state = 2 WHERE id = (SELECT min(object) FROM tree)");
        }),
        ("a root keeps a dead object", &["name-damaged", "root-dangling"], |store| {
            sql(
                store,
                "UPDATE object SET state = 2 WHERE id = (SELECT min(object) FROM package); DELETE FROM edge WHERE src = (SELECT min(object) FROM package)",
            );
        }),
        ("an edge leads nowhere", &["row-dangling"], |store| {
            sql(store, "INSERT INTO edge VALUES ((SELECT min(object) FROM package), 99999)");
        }),
    ];
    for (what, expected, damage) in damages {
        let place = Place::new();
        let store = place.open();
        publish(&store, 1, true);
        publish(&store, 2, true);
        drop(store);
        damage(&place.path());
        let store = place.open();
        let found: Vec<_> = verify(&store).findings.iter().map(|finding| finding.kind.name()).collect();
        assert_eq!(&found, expected, "{what}: {:?}", verify(&store).findings);
        if !expected.iter().any(|kind| kind.ends_with("dangling")) && *what != "an object loses its file's row" {
            publish(&store, 1, true);
            assert_eq!(verify(&store).findings, [], "{what}: publishing heals");
            assert_eq!(readable(&store, 1), [true; 7], "{what}");
        }
    }
}

#[test]
fn each_leftover_gives_exactly_its_note() {
    let leftovers: &[(&str, Damage)] = &[
        ("orphan-file", |store| std::fs::write(store.join("packs").join("0".repeat(64)), b"x").unwrap()),
        ("stale-lease", |store| {
            std::fs::write(store.join("leases").join("abababababababababababababababab.lock"), b"").unwrap();
        }),
        ("stale-lease", |store| std::fs::create_dir(store.join("stage/abababababababababababababababab")).unwrap()),
        ("stale-lease", |store| {
            sql(
                store,
                "INSERT INTO lease(name, note, born) VALUES ('abababababababababababababababab', '', 0);
                INSERT INTO held SELECT lease.id, object.id FROM lease, object",
            );
        }),
        ("roots-journal", |store| std::fs::remove_file(store.join("roots.journal")).unwrap()),
        ("roots-journal", |store| {
            let journal = store.join("roots.journal");
            let mut text = std::fs::read(&journal).unwrap();
            text.extend_from_slice(b"{\"set\":\"a\",\"at\":1,\"kee");
            std::fs::write(&journal, text).unwrap();
        }),
        ("unused-file", |store| {
            let name = format!("{:064x}", 7);
            std::fs::write(store.join("packs").join(&name), b"x").unwrap();
            sql(
                store,
                &format!(
                    "INSERT INTO file(directory, sha256, size, device, inode, mtime_ns, mode, uid, gid)
                    VALUES (1, x'{name}', 1, 1, 1, 1, 1, 1, 1)"
                ),
            );
        }),
        ("dead-objects", |store| {
            sql(
                store,
                "INSERT INTO object(kind, key, state, place, born, size, origin)
                VALUES (5, randomblob(32), 2, 1, 0, 0, 1)",
            );
        }),
    ];
    for (expected, leave) in leftovers {
        let place = Place::new();
        let store = place.open();
        publish(&store, 1, true);
        drop(store);
        leave(&place.path());
        let store = place.open();
        let report = verify(&store);
        let notes: Vec<_> = report.notes.iter().map(|note| note.kind.name()).collect();
        assert_eq!((report.findings, &notes[..]), (Vec::new(), &[*expected][..]));
        store.gc(&gc_now()).unwrap();
        assert_spotless(&store);
        assert_eq!(readable(&store, 1), [true; 7]);
    }
}

#[test]
fn a_foreign_name_is_noted_and_left_alone() {
    let place = Place::new();
    let store = place.open();
    std::fs::write(place.path().join("packs/README"), b"x").unwrap();
    store.gc(&gc_now()).unwrap();
    assert_eq!(verify(&store).notes[0].kind.name(), "unknown-file");
}

#[test]
fn quick_hashes_what_looks_different_and_full_decodes_packs() {
    let place = Place::new();
    let store = place.open();
    publish(&store, 1, true);
    flip(&pack_file(&place.path()));
    // Its date is another one, so a quick look reads it, too.
    let quick = store.verify(&VerifyOptions::new(Depth::Quick)).unwrap().findings;
    assert_eq!(quick.iter().map(|finding| finding.kind.name()).collect::<Vec<_>>(), ["object-digest-mismatch"]);
    publish(&store, 1, true);
    let check: dlstore_store::PackCheck<'_> = &|info, _, trees| *info == pack_info(1) && trees != [tree(1)];
    let options = VerifyOptions { check_pack: Some(check), ..VerifyOptions::new(Depth::Full) };
    let findings = store.verify(&options).unwrap().findings;
    assert_eq!(findings.iter().map(|finding| finding.kind.name()).collect::<Vec<_>>(), ["pack-tree-mismatch"]);
    // Whole as a file, and not what its key says: it is let go, and who composes makes it again.
    let reading = Reading { action: &|_, _| Some(Vec::new()), package: &|_, _| None };
    let healed = store.heal(&findings, reading).unwrap();
    assert!(healed.dropped.contains(&findings[0].object.unwrap()), "{healed:?}");
    assert_eq!(store.verify(&options).unwrap().findings, []);
    assert_eq!(readable(&store, 1), [true, true, true, false, false, true, true], "source, tree and package stay");
}

#[test]
fn parts_together_are_the_whole() {
    let place = Place::new();
    let store = place.open();
    for number in 0..5 {
        publish(&store, number, true);
    }
    let checked = |part| store.verify(&VerifyOptions { part, ..VerifyOptions::new(Depth::Full) }).unwrap().checked;
    let parts: u64 = (1..=7).map(|number| checked(Some(Part { number, count: 7 }))).sum();
    assert_eq!((parts, checked(None)), (35, 35));
}

#[test]
fn an_index_that_is_no_database_is_refused() {
    let place = Place::new();
    drop(place.open());
    for name in ["index.db-wal", "index.db-shm"] {
        std::fs::remove_file(place.path().join(name)).unwrap();
    }
    std::fs::write(place.path().join("index.db"), vec![b'x'; 9000]).unwrap();
    assert!(dlstore_store::Store::open(&place.path(), dlstore_store::Access::Existing).is_err());
}
