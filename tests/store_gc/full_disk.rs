//! A disk without a byte left: collecting works, out of the reserve, and makes the reserve again.

use std::fs;

use dlstore_store::{Access, Store};

use dlstore_kit::disk::{SmallDisk, fill};

use crate::support::*;

#[test]
fn the_reserve_is_there_from_the_first_publication_on() {
    let place = Place::new();
    let store = place.open();
    let reserve = place.path().join("reserve");
    assert!(!reserve.exists());
    publish(&store, 1, true);
    let size = fs::metadata(&reserve).unwrap().len();
    assert!((512 << 10..=32 << 20).contains(&size), "{size}");
    fs::remove_file(&reserve).unwrap();
    store.gc(&gc_now()).unwrap();
    assert_eq!(fs::metadata(&reserve).unwrap().len(), size, "a collection makes it again");
}

#[test]
fn a_collection_works_on_a_full_disk_and_makes_the_reserve_again() {
    let Some(disk) = SmallDisk::new("16m") else { return };
    let path = disk.path().join("store");
    let store = Store::open(&path, Access::Create).unwrap();
    publish(&store, 0, true);
    for number in 1..=60 {
        publish(&store, number, false);
    }
    let reserve = path.join("reserve");
    assert_eq!(fs::metadata(&reserve).unwrap().len(), 512 << 10);
    drop(store);
    // In the quarantine, so that it can be collected.
    fill(&path.join("quarantine/ballast"));
    let store = Store::open(&path, Access::Existing).unwrap();
    let lease = store.lease("test");
    assert!(lease.is_err() || fs::write(lease.unwrap().stage_path(), [0; 9000]).is_err(), "the disk is full");
    let options = dlstore_store::GcOptions { quarantine: dlstore_store::Leftover::Remove, ..gc_now() };
    // Reading needs no room, so planning leaves the reserve alone.
    let plan = store.plan_gc(&options).unwrap();
    assert!(reserve.exists());
    let report = store.execute_gc(&plan).unwrap();
    assert_eq!((report.objects, report.findings), (60 * 9, Vec::new()));
    assert!(!path.join("quarantine/ballast").exists());
    assert_eq!(fs::metadata(&reserve).unwrap().len(), 512 << 10);
    assert!(is_whole(&store, 0));
    assert_spotless(&store);
    publish(&store, 1, true);
    assert!(is_whole(&store, 1));
}
