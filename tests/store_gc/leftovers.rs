//! What was left behind, and what cannot be removed.

use std::fs::{self, File, FileTimes};
use std::path::Path;
use std::time::{Duration, SystemTime};

use dlstore_store::{Access, FindingKind, GcOptions, Leftover, Store};

use crate::support::*;

fn file_of(age: Duration, path: &Path) {
    fs::write(path, b"left behind").unwrap();
    let times = FileTimes::new().set_modified(SystemTime::now() - age);
    File::options().write(true).open(path).unwrap().set_times(times).unwrap();
}

fn digits(digit: char) -> String {
    String::from(digit).repeat(64)
}

#[test]
fn orphan_packs_go_after_the_grace_and_orphan_sources_when_asked() {
    let place = Place::new();
    let store = place.open();
    publish(&store, 1, true);
    let path = |directory: &str, digit| place.path().join(directory).join(digits(digit));
    for directory in ["packs", "sources"] {
        file_of(Duration::from_secs(7200), &path(directory, 'a'));
        file_of(Duration::ZERO, &path(directory, 'b'));
    }
    let left = || {
        let paths = [("packs", 'a'), ("packs", 'b'), ("sources", 'a'), ("sources", 'b')];
        paths.map(|(directory, digit)| path(directory, digit).exists())
    };
    let hour = GcOptions::new(now());
    assert_eq!(store.plan_gc(&hour).unwrap().orphans.len(), 1);
    assert_eq!(store.gc(&hour).unwrap().files, 1);
    assert_eq!(left(), [false, true, true, true]);
    let asked = GcOptions { orphan_sources: Leftover::Remove, ..hour };
    assert_eq!(store.gc(&asked).unwrap().files, 1);
    assert_eq!(left(), [false, true, false, true]);
    assert_eq!(store.gc(&gc_now()).unwrap().files, 1);
    assert_eq!(left(), [false, false, false, true]);
    assert_eq!(store.gc(&GcOptions { orphan_sources: Leftover::Remove, ..gc_now() }).unwrap().freed, 11);
    assert_eq!(left(), [false; 4]);
    assert!(is_whole(&store, 1));
    assert_spotless(&store);
}

#[test]
fn sources_outlive_the_loss_of_what_knows_them() {
    for lost in [&["format.json"][..], &["index.db"], &["format.json", "index.db", "index.db-wal", "index.db-shm"]] {
        let place = Place::new();
        publish(&place.open(), 1, true);
        for name in lost {
            let _gone = fs::remove_file(place.path().join(name));
        }
        // Whether such a store opens is not the question here.
        if let Ok(store) = Store::open(&place.path(), Access::Create) {
            publish(&store, 2, false);
            store.gc(&gc_now()).unwrap();
        }
        let kept = place.path().join("sources").join(source(1).to_hex());
        assert_eq!(fs::read(kept).unwrap(), source_bytes(1), "{lost:?}");
    }
}

#[test]
fn what_cannot_be_removed_is_a_finding_and_the_rest_goes() {
    let place = Place::new();
    let store = place.open();
    for number in 1..=3 {
        publish(&store, number, number == 3);
    }
    let pack = place.path().join("packs").join(pack_info(1).blob.to_hex());
    fs::remove_file(&pack).unwrap();
    fs::create_dir_all(pack.join("inside")).unwrap();
    let orphan = place.path().join("packs").join(digits('a'));
    fs::create_dir(&orphan).unwrap();
    file_of(Duration::from_secs(9), &place.path().join("packs").join(digits('b')));
    let lock = place.path().join(format!("leases/{}.lock", "0".repeat(32)));
    fs::create_dir(&lock).unwrap();
    let report = store.gc(&gc_now()).unwrap();
    let mut kinds: Vec<_> = report.findings.iter().map(|one| one.kind).collect();
    kinds.dedup();
    assert_eq!((report.findings.len(), kinds), (3, vec![FindingKind::NotRemoved]), "{:?}", report.findings);
    for path in [&pack, &orphan, &lock] {
        let named = path.to_str().unwrap();
        assert!(report.findings.iter().any(|one| one.detail.contains(named)), "{named}: {:?}", report.findings);
    }
    assert_eq!((report.objects, report.files), (18, 4), "two sources, a pack and an orphan");
    assert!(is_whole(&store, 3));
    assert_eq!(store.gc(&gc_now()).unwrap().findings.len(), 3, "it is said again");
    for path in [&pack, &orphan, &lock] {
        fs::remove_dir_all(path).unwrap();
    }
    assert_eq!(store.gc(&gc_now()).unwrap().findings, []);
    assert_spotless(&store);
}

#[test]
fn dead_stages_are_counted_and_swept_and_those_of_the_living_stay() {
    let place = Place::new();
    let store = place.open();
    let living = store.lease("living").unwrap();
    let staged = living.stage_path();
    fs::write(&staged, [0; 100]).unwrap();
    let dead = place.path().join("stage").join("f".repeat(32));
    fs::create_dir(&dead).unwrap();
    fs::write(dead.join("0"), [0; 12345]).unwrap();
    let plan = store.plan_gc(&gc_now()).unwrap();
    assert_eq!((plan.staged, plan.freed, plan.leases.len()), (12345, 12345, 1));
    let report = store.execute_gc(&plan).unwrap();
    assert_eq!((report.leases, report.freed), (1, 12345));
    assert!(!dead.exists() && staged.exists());
}

#[test]
fn the_quarantine_is_emptied_on_request_only() {
    let place = Place::new();
    let store = place.open();
    let quarantine = place.path().join("quarantine");
    fs::write(quarantine.join("bad"), [0; 10]).unwrap();
    fs::create_dir_all(quarantine.join("directory/in it")).unwrap();
    fs::write(quarantine.join("directory/file"), [0; 20]).unwrap();
    std::os::unix::fs::symlink("/nowhere", quarantine.join("link")).unwrap();
    assert_eq!(store.gc(&gc_now()).unwrap().files, 0);
    assert_eq!(fs::read_dir(&quarantine).unwrap().count(), 3);
    let report = store.gc(&GcOptions { quarantine: Leftover::Remove, ..gc_now() }).unwrap();
    assert_eq!((report.files, report.findings), (3, Vec::new()));
    assert_eq!(fs::read_dir(&quarantine).unwrap().count(), 0);
    assert_spotless(&store);
}
