//! A disk that is full: nothing is lost, the error says so, and collecting makes room.

use dlstore_store::{Access, Batch, NewSource, Store, StoreError};

use dlstore_kit::disk::SmallDisk;

use crate::support::*;

fn fill(store: &Store, number: u32) -> Result<(), StoreError> {
    let lease = store.lease("fill")?;
    let staged = lease.stage_path();
    let bytes = vec![number.to_le_bytes()[0]; 700_000];
    std::fs::write(&staged, &bytes).map_err(|source| dlstore_fsx::FsError::new("write", &staged, source))?;
    let new = NewSource { sha256: dlstore_model::digest::OciDigest::of(&bytes), size: bytes.len() as u64, staged };
    store.publish(&lease, Batch { sources: vec![new], ..Batch::default() })
}

#[test]
fn a_full_disk_loses_nothing_and_collecting_makes_room() {
    let Some(disk) = SmallDisk::new("6m") else { return };
    let path = disk.path().join("store");
    let store = Store::open(&path, Access::Create).unwrap();
    publish(&store, 1, true);
    let error = (0..20).find_map(|number| fill(&store, number).err()).expect("six MiB hold no twenty files");
    assert!(error.is_full(), "{error}");
    assert_eq!(readable(&store, 1), [true; 7]);
    assert_eq!(verify(&store).findings, []);
    drop(store);
    let store = Store::open(&path, Access::Existing).unwrap();
    store.gc(&gc_now()).unwrap();
    assert_spotless(&store);
    fill(&store, 1).unwrap();
    assert_eq!(readable(&store, 1), [true; 7]);
}
