//! What publishing, holding, roots and collecting promise.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::time::Duration;

use dlstore_formats::package::Format;
use dlstore_store::{Batch, Candidate, GcOptions, Named, ObjectRef, SourcePolicy, StoreError};

use crate::support::*;

#[test]
fn what_is_published_can_be_read_also_after_reopening() {
    let place = Place::new();
    let store = place.open();
    assert_eq!(readable(&store, 1), [false; 7]);
    publish(&store, 1, true);
    assert_eq!(readable(&store, 1), [true; 7]);
    drop(store);
    let store = place.open();
    assert_eq!(readable(&store, 1), [true; 7]);
    assert_eq!((store.packages().unwrap().packages, store.packages().unwrap().damaged), (vec![record(1)], vec![]));
    assert_eq!(store.packages_called("package-000001").unwrap().packages, [record(1)]);
    let named = Named { key: record(1).key(), source: source(1) };
    let candidates = |format| store.candidates(format, "package-000001").unwrap();
    assert_eq!(candidates(Format::Deb), [Candidate { named, record: Some(record(1)) }]);
    assert_eq!(candidates(Format::Apk), []);
    assert_eq!(store.packages_with(b"liba.so.1").unwrap(), [record(1)]);
    let file = std::fs::metadata(store.pack_file(&pack_info(1)).unwrap().unwrap().path).unwrap();
    assert_eq!(file.permissions().mode() & 0o7777, 0o444);
    assert_spotless(&store);
    assert_eq!((names(&place.path().join("stage")), names(&place.path().join("leases"))), (vec![], vec![]));
}

#[test]
fn publishing_again_only_holds_and_uses_no_staged_file() {
    let place = Place::new();
    let store = place.open();
    publish(&store, 1, false);
    let path = store.pack_file(&pack_info(1)).unwrap().unwrap().path;
    let inode = std::fs::metadata(&path).unwrap().ino();
    let lease = store.lease("again").unwrap();
    store.publish(&lease, package_batch(&lease, 1)).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().ino(), inode);
    let [stage] = &names(&place.path().join("stage"))[..] else { panic!("one lease, one stage") };
    assert_eq!(names(&place.path().join("stage").join(stage)), Vec::<String>::new());
    store.gc(&gc_now()).unwrap();
    assert_eq!(readable(&store, 1), [true; 7]);
    lease.release().unwrap();
    store.gc(&gc_now()).unwrap();
    assert_eq!(readable(&store, 1), [false; 7]);
    assert_spotless(&store);
}

#[test]
fn a_lease_keeps_what_it_holds_and_refuses_what_is_gone() {
    let place = Place::new();
    let store = place.open();
    publish(&store, 1, false);
    let lease = store.lease("hold").unwrap();
    assert!(store.hold(&lease, &top_objects(1)).unwrap());
    store.gc(&gc_now()).unwrap();
    assert_eq!(readable(&store, 1), [true; 7]);
    assert!(!store.hold(&lease, &[record(2).object()]).unwrap());
    drop(lease);
    store.gc(&gc_now()).unwrap();
    let lease = store.lease("late").unwrap();
    assert!(!store.hold(&lease, &top_objects(1)).unwrap());
}

#[test]
fn a_root_keeps_everything_below_it_until_it_is_removed() {
    let place = Place::new();
    let store = place.open();
    publish(&store, 1, true);
    publish(&store, 2, true);
    store.gc(&gc_now()).unwrap();
    assert_eq!((readable(&store, 1), readable(&store, 2)), ([true; 7], [true; 7]));
    assert!(store.remove_root(&root_name(1)).unwrap());
    assert!(!store.remove_root(&root_name(1)).unwrap());
    let report = store.gc(&gc_now()).unwrap();
    assert_eq!((report.objects, report.files), (7, 2));
    assert_eq!((readable(&store, 1), readable(&store, 2)), ([false; 7], [true; 7]));
    let journal = std::fs::read_to_string(place.path().join("roots.journal")).unwrap();
    assert!(journal.contains(&root_name(2)) && !journal.contains(&root_name(1)), "{journal}");
    assert_spotless(&store);
}

#[test]
fn an_unchanged_root_is_not_written_again() {
    let place = Place::new();
    let store = place.open();
    publish(&store, 1, true);
    let journal = place.path().join("roots.journal");
    let before = (store.roots().unwrap(), std::fs::read(&journal).unwrap());
    publish(&store, 1, true);
    let mut turned = top_objects(1);
    turned.reverse();
    assert!(!store.set_root(&root_name(1), &turned).unwrap());
    assert_eq!((store.roots().unwrap(), std::fs::read(&journal).unwrap()), before);
    assert!(store.set_root(&root_name(1), &turned[..1]).unwrap());
    assert_eq!(store.root_target(&root_name(1)).unwrap(), Some(turned[..1].to_vec()));
    assert_eq!(store.root_target("image/none").unwrap(), None);
}

#[test]
fn roots_have_names_and_point_at_what_is_there() {
    let place = Place::new();
    let store = place.open();
    for name in ["", "/", "a//b", "a/../b", "a b", "a\nb", "a/", "\u{202e}a"] {
        assert!(matches!(store.set_root(name, &[]), Err(StoreError::RootName(_))), "{name:?}");
    }
    assert!(store.set_root("package/deb/g++/4:14.2.0~1+b1/amd64", &[]).unwrap());
    assert!(matches!(store.set_root("a", &top_objects(1)), Err(StoreError::Gone(ObjectRef::Package(_)))));
}

#[test]
fn young_objects_keep_what_they_refer_to() {
    let place = Place::new();
    let store = place.open();
    publish(&store, 1, false);
    store.gc(&GcOptions { grace: Duration::from_secs(60), ..gc_now() }).unwrap();
    assert_eq!(readable(&store, 1), [true; 7]);
    let later = GcOptions { now: gc_now().now + 100, grace: Duration::from_secs(60), ..gc_now() };
    store.gc(&later).unwrap();
    assert_eq!(readable(&store, 1), [false; 7]);
}

#[test]
fn a_batch_is_all_or_nothing() {
    let place = Place::new();
    let store = place.open();
    let lease = store.lease("test").unwrap();
    let mut batch = package_batch(&lease, 1);
    batch.actions[0].refs.push(ObjectRef::Blob(source(9)));
    assert!(matches!(store.publish(&lease, batch), Err(StoreError::Gone(ObjectRef::Blob(_)))));
    assert_eq!(readable(&store, 1), [false; 7]);
    let mut batch = package_batch(&lease, 1);
    batch.packs[0].info.size += 1;
    assert!(matches!(store.publish(&lease, batch), Err(StoreError::StagedSize { .. })));
    let mut batch = package_batch(&lease, 1);
    std::sync::Arc::make_mut(&mut batch.trees[0].row).data.push(0);
    assert!(matches!(store.publish(&lease, batch), Err(StoreError::WrongDigest(ObjectRef::Tree(_)))));
    let batch = package_batch(&lease, 1);
    std::fs::remove_file(&batch.packs[0].staged).unwrap();
    assert!(matches!(store.publish(&lease, batch), Err(StoreError::StagedMissing(_))));
    let other = Place::new();
    let foreign = other.open().lease("other").unwrap();
    assert!(matches!(store.publish(&foreign, Batch::default()), Err(StoreError::ForeignLease(_))));
    store.publish(&lease, package_batch(&lease, 1)).unwrap();
    assert_eq!(readable(&store, 1), [true; 7]);
    lease.release().unwrap();
    store.gc(&gc_now()).unwrap();
    assert_spotless(&store);
}

#[test]
fn two_packs_may_share_one_blob_which_goes_with_the_last() {
    let place = Place::new();
    let store = place.open();
    let lease = store.lease("test").unwrap();
    let one = new_pack(&lease, 1, 1);
    let mut two = new_pack(&lease, 1, 1);
    (two.key, two.staged) = (key("pack", 2), one.staged.clone());
    two.parts = vec![tree(2).digest()];
    let roots = vec![("a".into(), vec![ObjectRef::Pack(one.key)]), ("b".into(), vec![ObjectRef::Pack(two.key)])];
    store.publish(&lease, Batch { packs: vec![one, two], roots, ..Batch::default() }).unwrap();
    lease.release().unwrap();
    assert_eq!(names(&place.path().join("packs")).len(), 1);
    store.remove_root("a").unwrap();
    let plan = store.plan_gc(&gc_now()).unwrap();
    assert_eq!((plan.objects.len(), plan.freed), (1, 0));
    store.execute_gc(&plan).unwrap();
    assert_eq!(store.pack(&key("pack", 1)).unwrap(), None);
    assert!(store.open_pack(&store.pack(&key("pack", 2)).unwrap().unwrap()).unwrap().is_some());
    assert_spotless(&store);
    store.remove_root("b").unwrap();
    let plan = store.plan_gc(&gc_now()).unwrap();
    assert_eq!((plan.objects.len(), plan.freed), (1, pack_info(1).size));
    store.execute_gc(&plan).unwrap();
    assert_eq!(names(&place.path().join("packs")), Vec::<String>::new());
    assert_spotless(&store);
}

#[test]
fn an_open_file_outlives_the_collector() {
    let place = Place::new();
    let store = place.open();
    publish(&store, 1, false);
    let mut file = store.open_pack(&pack_info(1)).unwrap().unwrap();
    store.gc(&gc_now()).unwrap();
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut file, &mut bytes).unwrap();
    assert_eq!(bytes, pack_bytes(1));
    assert!(store.open_pack(&pack_info(1)).unwrap().is_none());
}

#[test]
fn a_changed_file_is_a_miss_and_publishing_heals_it() {
    let place = Place::new();
    let store = place.open();
    publish(&store, 1, true);
    let path = store.pack_file(&pack_info(1)).unwrap().unwrap().path;
    // Restored from a backup: another inode, the same bytes.
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, pack_bytes(1)).unwrap();
    assert_eq!(readable(&store, 1), [true; 7]);
    assert!(store.pack_file(&pack_info(1)).unwrap().is_some());
    // Edited in place through an output that shares the inode.
    let mut bad = pack_bytes(1);
    bad[0] ^= 1;
    std::fs::write(&path, bad).unwrap();
    assert_eq!(readable(&store, 1), [true, true, true, false, true, true, true]);
    assert_eq!(store.pack_file(&pack_info(1)).unwrap(), None);
    publish(&store, 1, true);
    assert_eq!(readable(&store, 1), [true; 7]);
    assert_eq!(verify(&store).findings, []);
    assert_eq!(names(&place.path().join("quarantine")).len(), 1, "the bad bytes are kept");
}

#[test]
fn what_is_distrusted_is_hashed_and_hidden_only_when_it_is_bad() {
    let place = Place::new();
    let store = place.open();
    publish(&store, 1, true);
    publish(&store, 2, true);
    store.distrust_pack(&pack_info(1).blob).unwrap();
    assert_eq!(readable(&store, 1), [true; 7], "it is what its name says");
    // Other bytes under the stamp of the right ones.
    let path = store.pack_file(&pack_info(1)).unwrap().unwrap().path;
    let modified = std::fs::metadata(&path).unwrap().modified().unwrap();
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    std::os::unix::fs::FileExt::write_at(&file, b"X", 0).unwrap();
    file.set_modified(modified).unwrap();
    assert!(store.open_pack(&pack_info(1)).unwrap().is_some(), "nobody read it");
    store.distrust_pack(&pack_info(1).blob).unwrap();
    assert_eq!(store.pack(&key("pack", 1)).unwrap(), None);
    assert!(store.open_pack(&pack_info(1)).unwrap().is_none());
    let findings = verify(&store).findings;
    let found: Vec<&str> = findings.iter().map(|finding| finding.kind.name()).collect();
    assert_eq!(found, ["object-missing", "object-damaged"], "the outcome that names it, and itself");
    publish(&store, 1, true);
    assert_eq!(readable(&store, 1), [true; 7]);
    assert_eq!(verify(&store).findings, []);
}

#[test]
fn a_restored_file_is_hashed_once_and_a_mode_or_an_owner_of_others_makes_it_a_new_file() {
    let place = Place::new();
    let store = place.open();
    publish(&store, 1, true);
    let path = store.pack_file(&pack_info(1)).unwrap().unwrap().path;
    let restore = || {
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, pack_bytes(1)).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o444)).unwrap();
        std::fs::metadata(&path).unwrap().ino()
    };
    let restored = restore();
    assert!(store.open_pack(&pack_info(1)).unwrap().is_some());
    drop(store);
    let store = place.open();
    let believed = store.pack_file(&pack_info(1)).unwrap().unwrap();
    assert_eq!(believed.stamp.inode, restored, "its stamp was recorded");
    let outside = place.path().with_extension("link");
    std::fs::hard_link(&path, &outside).unwrap();
    std::fs::set_permissions(&outside, std::fs::Permissions::from_mode(0o666)).unwrap();
    let renewed = store.pack_file(&pack_info(1)).unwrap().unwrap();
    assert_ne!(renewed.stamp.inode, restored, "others could write to the one before");
    assert_eq!(renewed.stamp.mode, 0o444);
    assert_eq!(readable(&store, 1), [true; 7]);
    assert_eq!(verify(&store).findings, []);
}

#[test]
fn sources_can_be_dropped_while_packages_stay() {
    let place = Place::new();
    let store = place.open();
    publish(&store, 1, true);
    store.set_root("lock/index", &[ObjectRef::Source(source(1))]).unwrap();
    let lease = store.lease("index").unwrap();
    let index = Batch { sources: vec![new_source(&lease, 7)], ..Batch::default() };
    store.publish(&lease, index).unwrap();
    store.set_root("lock/release", &[ObjectRef::Source(source(7))]).unwrap();
    lease.release().unwrap();
    store.gc(&GcOptions { sources: SourcePolicy::Drop, ..gc_now() }).unwrap();
    assert_eq!(readable(&store, 1), [false, true, true, true, true, true, true]);
    assert!(store.open_source(&source(7)).unwrap().is_some(), "it is not the source of a package");
    assert_spotless(&store);
    publish(&store, 1, true);
    store.gc(&gc_now()).unwrap();
    assert_eq!(readable(&store, 1), [true; 7], "adding it again keeps its source again");
}

#[test]
fn old_roots_are_let_go_and_bounds_are_kept() {
    let place = Place::new();
    let store = place.open();
    for number in 1..=4 {
        publish(&store, number, true);
    }
    let later = GcOptions { now: gc_now().now + 1000, older_than: Some(Duration::from_secs(500)), ..gc_now() };
    assert_eq!(store.plan_gc(&GcOptions { keep_free: Some(1), ..later }).unwrap().objects, []);
    let bounded = store.plan_gc(&GcOptions { max_freed: Some(1000), ..later }).unwrap();
    let whole = store.plan_gc(&later).unwrap();
    assert!(bounded.freed >= 1000 && bounded.freed < whole.freed, "{} {}", bounded.freed, whole.freed);
    assert_eq!((whole.roots.len(), whole.objects.len(), whole.kept), (4, 28, 0));
    // A plan does nothing, and what is claimed after it was made stays.
    assert_eq!(readable(&store, 1), [true; 7]);
    let lease = store.lease("late").unwrap();
    assert!(store.hold(&lease, &top_objects(1)).unwrap());
    store.execute_gc(&whole).unwrap();
    assert_eq!((readable(&store, 1), readable(&store, 2)), ([true; 7], [false; 7]));
    assert_spotless(&store);
}

#[test]
fn information_adds_up() {
    let place = Place::new();
    let store = place.open();
    publish(&store, 1, true);
    publish(&store, 2, true);
    let info = store.info().unwrap();
    assert_eq!(
        (info.packages, info.sources, info.trees, info.packs, info.actions, info.blobs, info.roots),
        (2, 2, 2, 2, 2, 2, 2)
    );
    assert_eq!((info.logical, info.unique, info.packed_raw), (2000, 2000, 2 * 2024));
    assert_eq!(info.pack_files, pack_info(1).size + pack_info(2).size);
    assert_eq!(info.stored, info.pack_files + info.source_files + info.index_files);
}

#[test]
fn a_dead_object_is_revived_by_a_new_writer() {
    let place = Place::new();
    let store = place.open();
    publish(&store, 1, false);
    // Marked dead by a collector that was killed before it removed anything.
    let index = place.index();
    index.execute_batch("DELETE FROM edge; DELETE FROM name; UPDATE object SET state = 2").unwrap();
    drop(index);
    assert_eq!(readable(&store, 1)[1..], [false; 6]);
    assert_eq!(verify(&store).findings, []);
    assert_eq!(verify(&store).notes[0].kind.name(), "dead-objects");
    publish(&store, 1, true);
    store.gc(&gc_now()).unwrap();
    assert_eq!(readable(&store, 1), [true; 7]);
    assert_spotless(&store);
}

#[test]
fn a_package_that_is_made_again_while_its_source_is_marked_keeps_it() {
    for is_at_once in [true, false] {
        let place = Place::new();
        let store = place.open();
        publish(&store, 1, false);
        let bury = "DELETE FROM edge; DELETE FROM held; UPDATE object SET state = 2";
        place.index().execute_batch(bury).unwrap();
        let lease = store.lease("test").unwrap();
        let mut batch = package_batch(&lease, 1);
        batch.sources.clear();
        batch.roots.push(("mine".into(), vec![record(1).object()]));
        store.publish(&lease, batch).unwrap();
        if !is_at_once {
            // As if the source had been marked afterwards.
            let mark = "DELETE FROM edge WHERE dst IN (SELECT id FROM object WHERE kind = 1);
                DELETE FROM held; UPDATE object SET state = 2 WHERE kind = 1";
            place.index().execute_batch(mark).unwrap();
        }
        lease.release().unwrap();
        store.gc(&gc_now()).unwrap();
        assert!(store.open_source(&source(1)).unwrap().is_some());
        assert_spotless(&store);
    }
}
