//! Numbers for people: `cargo test --release --test store measure -- --ignored --nocapture`.

use std::time::{Duration, Instant};

use dlstore_store::{Access, Batch, NewAction, ObjectRef, Store};

use crate::support::*;

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

#[test]
#[ignore = "prints times, proves nothing"]
fn opening_and_one_row() {
    let place = Place::new();
    publish(&place.open(), 1, true);
    let times = (0..101).map(|_| {
        let start = Instant::now();
        let store = Store::open(&place.path(), Access::Existing).unwrap();
        assert!(store.pack(&key("pack", 1)).unwrap().is_some());
        start.elapsed()
    });
    println!("open + one row: {:?}", median(times.collect()));
    let store = place.open();
    let times = (0..1001).map(|_| {
        let start = Instant::now();
        assert!(store.pack_file(&pack_info(1)).unwrap().is_some());
        start.elapsed()
    });
    println!("checked path of a pack: {:?}", median(times.collect()));
    let times = (0..1001).map(|_| {
        let start = Instant::now();
        assert!(store.tree(&tree(1).digest()).unwrap().is_some());
        start.elapsed()
    });
    println!("small tree: {:?}", median(times.collect()));
}

#[test]
#[ignore = "prints times, proves nothing"]
fn publishing_twenty_packs() {
    let place = Place::new();
    let store = place.open();
    for (what, count) in [("1 pack", 1), ("20 packs", 20)] {
        let times = (0..11u32).map(|round| {
            let lease = store.lease("measure").unwrap();
            let numbers = (0..count).map(|at| 1000 * count + round * 100 + at);
            let packs = numbers.map(|number| new_pack(&lease, number, number)).collect();
            let trees = (0..count).map(|at| new_tree(1000 * count + round * 100 + at)).collect();
            let start = Instant::now();
            store.publish(&lease, Batch { packs, trees, ..Batch::default() }).unwrap();
            start.elapsed()
        });
        println!("publish of {what} with trees: {:?}", median(times.collect()));
    }
    let times = (0..11).map(|_| {
        let start = Instant::now();
        store.lease("measure").unwrap().release().unwrap();
        start.elapsed()
    });
    println!("lease and release: {:?}", median(times.collect()));
}

#[test]
#[ignore = "prints times, proves nothing"]
fn collecting_a_hundred_thousand() {
    let place = Place::new();
    let store = place.open();
    let lease = store.lease("measure").unwrap();
    for half in 0..2u32 {
        let actions: Vec<NewAction> = (0..50_000u32)
            .map(|at| NewAction {
                key: key("many", half * 50_000 + at),
                kind: "test".into(),
                value: at.to_le_bytes().to_vec(),
                refs: if at == 0 { vec![] } else { vec![ObjectRef::Action(key("many", half * 50_000 + at - 1))] },
            })
            .collect();
        let last = ObjectRef::Action(key("many", half * 50_000 + 49_999));
        let roots = vec![(format!("half/{half}"), vec![last])];
        let start = Instant::now();
        store.publish(&lease, Batch { actions, roots, ..Batch::default() }).unwrap();
        println!("publish of 50,000 actions: {:?}", start.elapsed());
    }
    lease.release().unwrap();
    for (what, root) in [("none dead", None), ("half dead", Some("half/0"))] {
        if let Some(root) = root {
            store.remove_root(root).unwrap();
        }
        let start = Instant::now();
        let plan = store.plan_gc(&gc_now()).unwrap();
        let planned = start.elapsed();
        let report = store.execute_gc(&plan).unwrap();
        println!(
            "gc of 100,000 objects, {what}: plan {planned:?}, all {:?}, {} removed",
            start.elapsed(),
            report.objects
        );
    }
}

#[test]
#[ignore = "prints times, proves nothing"]
fn closing_after_a_small_write() {
    let place = Place::new();
    publish(&place.open(), 0, true);
    let (mut writes, mut closes, mut opens) = (Vec::new(), Vec::new(), Vec::new());
    for number in 1..40 {
        let start = Instant::now();
        let store = place.open();
        publish(&store, number, true);
        writes.push(start.elapsed());
        let start = Instant::now();
        drop(store);
        closes.push(start.elapsed());
        let start = Instant::now();
        let store = place.open();
        assert!(store.pack(&key("pack", number)).unwrap().is_some());
        opens.push(start.elapsed());
    }
    println!(
        "open, publish, release: {:?}; close: {:?}; open + one row: {:?}",
        median(writes),
        median(closes),
        median(opens)
    );
}
