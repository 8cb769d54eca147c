//! A store that cannot be written to: what it holds is served, and nothing in it changes.

use std::fs;
use std::path::Path;

use dlstore_kit::disk::SmallDisk;
use dlstore_kit::{Done, Place, names, packages, place, snapshot};
use dlstore_model::quantity::Size;

fn run(place: &Place, store: &Path, arguments: &[&str]) -> Done {
    let mut command = place.command(arguments);
    command.env("DLSTORE_ROOT", store).env("TMPDIR", place.path().join("home"));
    dlstore_kit::finish(command)
}

/// Fills a store and gives what a warm compose of each image says.
fn fill(place: &Place, store: &Path) -> Vec<(Vec<&'static str>, String)> {
    place.package("one.deb", &packages::deb("one", 1, "amd64").build());
    let image = "schema = 1\nextends = \"static\"\nformat = \"deb\"\npackages = [\"one\"]\n";
    place.image("app", image);
    run(place, store, &["add", "../packages"]).ok();
    let mut composed = Vec::new();
    for arguments in [
        vec!["compose", "static", "--arch", "amd64"],
        vec!["compose", "app", "--arch", "amd64", "--from", "../packages"],
        vec!["compose", "app", "--arch", "amd64", "--from", "store"],
    ] {
        let said = run(place, store, &arguments).ok().out;
        composed.push((arguments, said));
    }
    composed
}

/// Looks everything up, composes what is known, and is refused what is new.
fn is_served(place: &Place, store: &Path, composed: &[(Vec<&'static str>, String)], refusal: &str) {
    let before = snapshot(store);
    for (arguments, said) in composed {
        let _ = fs::remove_dir_all(place.project().join("out"));
        assert_eq!(run(place, store, arguments).ok().out, *said, "{arguments:?}");
    }
    assert!(run(place, store, &["list"]).ok().out.contains("one"));
    assert!(run(place, store, &["show", "one"]).ok().out.contains("1.1-1"));
    assert!(run(place, store, &["files", "one"]).ok().out.contains("/etc/one.conf"));
    assert!(
        run(place, store, &["files", "app", "--arch", "amd64", "--from", "store"]).ok().out.contains("/etc/one.conf")
    );
    run(place, store, &["store", "info"]).ok();
    assert!(run(place, store, &["store", "roots", "list"]).ok().out.contains("image/app/"));
    run(place, store, &["add", "../packages"]).ok();
    for arguments in
        [&["compose", "static", "--arch", "arm64"][..], &["store", "gc"], &["store", "roots", "add", "mine", "one"]]
    {
        assert_eq!(run(place, store, arguments).error(), refusal, "{arguments:?}");
    }
    assert_eq!(snapshot(store), before, "nothing in it changes");
    let left = names(&place.path().join("home"));
    assert_eq!(left, Vec::<String>::new(), "no copy of the index stays");
}

/// Lets every root look as if it was used long ago, so that a hit would note its use.
fn age(store: &Path) {
    let index = rusqlite::Connection::open(store.join("index.db")).unwrap();
    index.execute("UPDATE root SET used_at = 1000", []).unwrap();
}

#[test]
fn a_temporary_directory_that_cannot_be_used_is_named_with_its_variable() {
    let Some(disk) = SmallDisk::new("64m") else { return };
    let (place, store) = (place!(), disk.path().join("store"));
    fill(&place, &store);
    // What was committed last lies in the log alone, so the index has to be copied.
    let index = rusqlite::Connection::open(store.join("index.db")).unwrap();
    index.execute_batch("PRAGMA wal_autocheckpoint = 0; UPDATE root SET used_at = 1001").unwrap();
    index.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).unwrap();
    drop(index);
    disk.remount("ro");
    let small = SmallDisk::new("64m").unwrap();
    small.remount("size=16k");
    for directory in [Path::new("/nowhere"), &place.path().join("packages/one.deb"), small.path()] {
        let mut command = place.command(["list"]);
        command.env("DLSTORE_ROOT", &store).env("TMPDIR", directory);
        let done = dlstore_kit::finish(command);
        let sentence = if directory == small.path() {
            let size = |name: &str| fs::metadata(store.join(name)).unwrap().len();
            let needed = Size(size("index.db") + size("index.db-wal"));
            let shown = directory.display();
            format!("no space left for a copy of the index in the temporary directory {shown} ({needed} needed)")
        } else {
            format!("cannot copy the index into the temporary directory {}", directory.display())
        };
        assert_eq!(done.error(), sentence, "{done:?}");
        assert!(done.lines("hint:")[0].starts_with("set TMPDIR"), "{done:?}");
    }
    disk.remount("rw");
}

#[test]
fn a_store_on_a_read_only_file_system_serves_what_it_holds() {
    let Some(disk) = SmallDisk::new("64m") else { return };
    let (place, store) = (place!(), disk.path().join("store"));
    let composed = fill(&place, &store);
    age(&store);
    let refusal = format!(
        "the store {} is on a read-only file system: its contents can be used, but nothing can be added",
        store.display()
    );
    // What was committed last lies in the log alone.
    let index = rusqlite::Connection::open(store.join("index.db")).unwrap();
    index.execute_batch("PRAGMA wal_autocheckpoint = 0; UPDATE root SET used_at = 1001").unwrap();
    index.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).unwrap();
    index.close().unwrap();
    assert!(fs::metadata(store.join("index.db-wal")).unwrap().len() > 0);
    disk.remount("ro");
    is_served(&place, &store, &composed, &refusal);
    let roots = run(&place, &store, &["store", "roots", "list", "--json"]).ok().out;
    assert!(roots.contains("\"used_at\": \"1970-01-01T00:16:41Z\""), "the log was read: {roots}");

    // Without a log, and without its shared memory.
    disk.remount("rw");
    run(&place, &store, &["store", "gc"]).ok();
    for ending in ["wal", "shm"] {
        let _ = fs::remove_file(store.join(format!("index.db-{ending}")));
    }
    disk.remount("ro");
    is_served(&place, &store, &composed, &refusal);
    assert!(!store.join("index.db-wal").exists() && !store.join("index.db-shm").exists());

    // What is damaged has its name, though nothing can be done about it here.
    disk.remount("rw");
    let pack = fs::read_dir(store.join("packs")).unwrap().next().unwrap().unwrap().path();
    let mut bytes = fs::read(&pack).unwrap();
    bytes[0] ^= 1;
    fs::remove_file(&pack).unwrap();
    fs::write(&pack, bytes).unwrap();
    disk.remount("ro");
    let done = run(&place, &store, &["store", "verify", "--full"]);
    assert_eq!(done.code(), Some(1), "{done:?}");
    assert!(done.out.contains("object-digest-mismatch"), "{done:?}");
}

#[test]
fn an_index_that_is_older_than_the_journal_is_said_where_it_cannot_be_brought_up() {
    let Some(disk) = SmallDisk::new("64m") else { return };
    let (place, store) = (place!(), disk.path().join("store"));
    let deb = |number| packages::deb("one", number, "amd64").build();
    place.package("one.deb", &deb(1));
    place.image("app", "schema = 1\nformat = \"deb\"\npackages = [\"one\"]\n");
    run(&place, &store, &["add", "../packages"]).ok();
    let older = fs::read(store.join("index.db")).unwrap();
    place.package("one.deb", &deb(2));
    run(&place, &store, &["add", "../packages"]).ok();
    fs::write(store.join("index.db"), older).unwrap();
    disk.remount("ro");
    let compose = ["compose", "app", "--arch", "amd64", "--from", "store"];
    let refused = run(&place, &store, &compose);
    assert_eq!(refused.code(), Some(1), "an image of the older package is no answer");
    assert!(refused.err.contains("the store's index is older than its roots.journal"), "{}", refused.err);
    assert!(refused.err.contains("hint: dlstore store verify --repair, by a user who may write"), "{}", refused.err);
    disk.remount("rw");
    let done = run(&place, &store, &compose).ok();
    assert!(done.err.contains("packages named one were brought back"), "{}", done.err);
    assert_eq!(run(&place, &store, &["store", "verify", "--full"]).code(), Some(0));
}
