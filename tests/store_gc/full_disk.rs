//! A disk without a byte left: collecting works, out of the reserve, and makes the reserve again.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use dlstore_store::{Access, Store};

use crate::support::*;

/// A small file system that is unmounted at the end.
struct Small<'a>(&'a Path);

impl<'a> Small<'a> {
    fn mount(directory: &'a Path) -> Option<Self> {
        fs::create_dir(directory).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=16m,mode=0700", "tmpfs"]).arg(directory).stderr(Stdio::null());
        mount.status().is_ok_and(|status| status.success()).then_some(Self(directory))
    }
}

impl Drop for Small<'_> {
    fn drop(&mut self) {
        let _status = Command::new("umount").arg(self.0).status();
    }
}

/// Takes every byte that is left.
fn fill_up(path: &Path) {
    let mut file = fs::File::create(path).unwrap();
    for size in [1 << 16, 4096, 1] {
        while file.write_all(&vec![7; size]).is_ok() {}
    }
}

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
    let place = Place::new();
    let path = place.path();
    let Some(_mounted) = Small::mount(&path) else {
        println!("skipped: a small file system cannot be mounted here");
        return;
    };
    let store = Store::open(&path, Access::Create).unwrap();
    publish(&store, 0, true);
    for number in 1..=60 {
        publish(&store, number, false);
    }
    let reserve = path.join("reserve");
    assert_eq!(fs::metadata(&reserve).unwrap().len(), 512 << 10);
    drop(store);
    // In the quarantine, so that it can be collected.
    fill_up(&path.join("quarantine/ballast"));
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
