//! A format of tomorrow, made up here: it moves whole, is refused by this program, and is killed in the middle.

use dlstore_store::index::migrate_with;
use dlstore_store::{Access, Store};

use crate::crash::{PLACE, run_child};
use crate::support::*;

/// Adds a kind of its own and a column, and makes a table anew as a changed constraint would need.
const THIRD: &str = "
    ALTER TABLE object ADD COLUMN seen INTEGER NOT NULL DEFAULT 0;
    CREATE TABLE lock(object INTEGER PRIMARY KEY REFERENCES object ON DELETE CASCADE, text TEXT NOT NULL) STRICT;
    INSERT INTO object(kind, key, state, place, born, size, origin) VALUES (8, zeroblob(32), 1, 1, 0, 0, 1);
    INSERT INTO lock SELECT id, 'a lock' FROM object WHERE kind = 8;
    CREATE TABLE root_anew(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, set_at INTEGER NOT NULL,
        used_at INTEGER NOT NULL, project TEXT) STRICT;
    INSERT INTO root_anew SELECT id, name, set_at, used_at, NULL FROM root;
    DROP TABLE root;
    ALTER TABLE root_anew RENAME TO root;";

fn full_store(place: &Place) {
    let store = place.open();
    for number in 0..20 {
        publish(&store, number, true);
    }
}

fn count(place: &Place, table: &str) -> i64 {
    let index = place.index();
    index.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
}

#[test]
fn a_third_format_moves_a_full_store_and_is_refused_with_a_sentence() {
    let place = Place::new();
    full_store(&place);
    let before = ["root", "root_target", "object", "edge"].map(|table| count(&place, table));
    migrate_with(&place.path().join("index.db"), &[(3, THIRD)], || ()).unwrap();
    let after = ["root", "root_target", "object", "edge"].map(|table| count(&place, table));
    assert_eq!(after, [before[0], before[1], before[2] + 1, before[3]], "nothing is lost and one thing new");
    let refused = Store::open(&place.path(), Access::Existing).err().unwrap().to_string();
    assert_eq!(refused, "the index has format 3, this program knows formats up to 2: use a newer dlstore");
}

#[test]
fn a_migration_that_is_killed_in_the_middle_leaves_the_second_format() {
    let place = Place::new();
    full_store(&place);
    let status = run_child("migration::child", &place.path()).status().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(6), "{status:?}");
    let store = Store::open(&place.path(), Access::Existing).unwrap();
    assert_eq!(verify(&store).findings, []);
    assert_eq!(readable(&store, 7), [true; 7]);
}

#[test]
fn child() {
    let Some(place) = std::env::var_os(PLACE) else { return };
    migrate_with(&std::path::Path::new(&place).join("index.db"), &[(3, THIRD)], || std::process::abort()).unwrap();
}
