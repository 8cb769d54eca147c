//! Totals that are kept, and look-ups by name.

use dlstore_store::index::{Counters, Index};
use dlstore_store::{Batch, FindingKind, GcOptions, SourcePolicy};

use crate::support::*;

fn counters(place: &Place) -> (Counters, Counters) {
    let index = Index::open(&place.path().join("index.db")).unwrap();
    index.snapshot(|reader| Ok::<_, dlstore_store::index::IndexError>((reader.counters()?, reader.counted()?))).unwrap()
}

#[test]
fn counters_say_what_the_rows_add_up_to_after_every_change() {
    let place = Place::new();
    let store = place.open();
    let check = |step: &str| {
        let (kept, counted) = counters(&place);
        assert_eq!(kept, counted, "{step}");
    };
    check("empty");
    for number in 1..=4 {
        publish(&store, number, number % 2 == 0);
        check("published");
    }
    publish(&store, 1, false);
    check("published again");
    let lease = store.lease("test").unwrap();
    let mut batch = Batch::default();
    add_package(&mut batch, &lease, 5);
    let twin = &mut batch.packages[0].record;
    (twin.tree, twin.content_size) = (record(2).tree, 1000);
    store.publish(&lease, batch).unwrap();
    lease.release().unwrap();
    check("two packages with one tree");
    let info = store.info().unwrap();
    assert_eq!((info.packages, info.logical, info.unique), (5, 5000, 4000));
    assert_eq!((info.packs, info.packed_raw, info.roots), (4, 4 * 2024, 2));
    assert_eq!(info.facts, 25);
    assert_eq!(info.source_files, (1..=5).map(|number| source_bytes(number).len() as u64).sum::<u64>());
    std::fs::remove_file(place.path().join("packs").join(pack_info(2).blob.to_hex())).unwrap();
    std::fs::create_dir(place.path().join("packs").join(pack_info(2).blob.to_hex())).unwrap();
    assert!(store.open_pack(&pack_info(2)).unwrap().is_none());
    check("damaged");
    assert_eq!(store.info().unwrap().damaged, 1);
    publish(&store, 2, true);
    check("healed");
    assert_eq!(store.info().unwrap().damaged, 0);
    store.gc(&gc_now()).unwrap();
    check("collected");
    let info = store.info().unwrap();
    assert_eq!((info.packages, info.logical, info.unique, info.roots), (2, 2000, 2000, 2));
    assert_eq!((info.packs, info.packed_raw), (2, 2 * 2024));
    let drop = GcOptions { sources: SourcePolicy::Drop, ..gc_now() };
    let source_files = store.info().unwrap().source_files;
    assert_eq!(store.gc(&drop).unwrap().stays.unused.len(), 2);
    assert_eq!(store.info().unwrap().source_files, source_files, "nothing is here that was made of them");
    for number in [2, 4] {
        make_layer(&store, number);
    }
    store.gc(&drop).unwrap();
    check("sources dropped");
    assert_eq!(store.info().unwrap().source_files, 0);
    store.remove_root(&layer_root(2)).unwrap();
    store.remove_root(&layer_root(4)).unwrap();
    store.remove_root(&root_name(2)).unwrap();
    store.remove_root(&root_name(4)).unwrap();
    store.gc(&gc_now()).unwrap();
    check("all collected");
    let (kept, _) = counters(&place);
    assert_eq!(kept, Counters::default());
}

#[test]
fn a_wrong_counter_is_a_finding_and_a_collection_sets_it_right() {
    let damages = [
        "UPDATE counter SET value = value + 1 WHERE name = 'objects 3 1'",
        "DELETE FROM counter WHERE name = 'package content'",
        "UPDATE counter SET value = -5 WHERE name = 'file bytes 1'",
        "INSERT INTO counter VALUES ('objects 7 3', 9)",
        "DELETE FROM content",
    ];
    for damage in damages {
        let place = Place::new();
        let store = place.open();
        publish(&store, 1, true);
        place.index().execute_batch(damage).unwrap();
        let found = verify(&store).findings;
        assert_eq!(found.iter().map(|one| one.kind).collect::<Vec<_>>(), [FindingKind::CountersWrong], "{damage}");
        assert!(store.plan_gc(&gc_now()).unwrap().miscounted);
        store.gc(&gc_now()).unwrap();
        assert_spotless(&store);
        store.remove_root(&root_name(1)).unwrap();
        store.gc(&gc_now()).unwrap();
        assert_spotless(&store);
        assert_eq!(store.info().unwrap().unique, 0);
    }
}

#[test]
fn info_counts_what_dead_stages_and_the_quarantine_take() {
    let place = Place::new();
    let store = place.open();
    publish(&store, 1, true);
    let before = store.info().unwrap();
    assert_eq!((before.dead_stages, before.quarantine), (0, 0));
    let living = store.lease("living").unwrap();
    std::fs::write(living.stage_path(), [0; 5000]).unwrap();
    let dead = place.path().join("stage").join("0".repeat(32)).join("deep");
    std::fs::create_dir_all(&dead).unwrap();
    std::fs::write(dead.join("file"), [0; 3000]).unwrap();
    std::fs::write(place.path().join("quarantine/bad"), [0; 200]).unwrap();
    let info = store.info().unwrap();
    assert_eq!((info.dead_stages, info.quarantine, info.quarantined), (3000, 200, 1));
    assert_eq!(info.stored, info.pack_files + info.source_files + info.index_files + 3200);
    assert_eq!(info.reserve, std::fs::metadata(place.path().join("reserve")).unwrap().len());
}

#[test]
fn packages_are_found_by_exact_names_patterns_and_beginnings_of_digests() {
    let place = Place::new();
    let store = place.open();
    for number in [1, 2, 10, 20] {
        publish(&store, number, true);
    }
    let named = |listing: dlstore_store::Listing| -> Vec<u32> {
        listing.packages.iter().map(|record| record.name.trim_start_matches("package-").parse().unwrap()).collect()
    };
    let patterns: [(&str, &[u32]); 10] = [
        ("*", &[1, 2, 10, 20]),
        ("package-00001?", &[10]),
        ("package-0000?0", &[10, 20]),
        ("package-00000*", &[1, 2]),
        ("*2*", &[2, 20]),
        ("package", &[]),
        ("PACKAGE*", &[]),
        ("package-00000[12]*", &[]),
        ("?ackage-000001", &[1]),
        ("package-000001", &[1]),
    ];
    for (pattern, found) in patterns {
        assert_eq!(named(store.packages_like(pattern).unwrap()), found, "{pattern}");
    }
    assert_eq!(named(store.packages_called("package-000010").unwrap()), [10]);
    assert_eq!(named(store.packages_called("package-00001").unwrap()), [] as [u32; 0]);
    for digest in [*source(2).as_bytes(), *tree(2).digest().as_bytes()] {
        let (mut first, mut last) = (digest, digest);
        first[6..].fill(0);
        last[6..].fill(0xff);
        assert_eq!(named(store.packages_between(&first, &last).unwrap()), [2]);
    }
}
