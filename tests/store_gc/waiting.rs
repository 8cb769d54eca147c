//! Nobody waits long for a collector.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use dlstore_model::digest::Digest;
use dlstore_store::{Access, Batch, NewFact, Store};

use crate::support::*;

/// Enough that removing them takes many turns.
const OBJECTS: u32 = 10_000;

#[test]
fn a_writer_beside_a_large_collection_waits_for_a_turn_and_not_for_its_end() {
    let place = Place::new();
    let store = place.open();
    let lease = store.lease("test").unwrap();
    let facts = (0..OBJECTS).map(|number| {
        let data = number.to_le_bytes().to_vec();
        NewFact { digest: Digest::of(&data), data: data.into() }
    });
    store.publish(&lease, Batch { facts: facts.collect(), ..Batch::default() }).unwrap();
    lease.release().unwrap();
    let is_done = AtomicBool::new(false);
    let (waits, took) = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let beside = Store::open(&place.path(), Access::Existing).unwrap();
            let mut waits = Vec::new();
            while !is_done.load(Ordering::Relaxed) {
                let begun = Instant::now();
                beside.set_root("beside", &[]).unwrap();
                beside.remove_root("beside").unwrap();
                waits.push(begun.elapsed());
                std::thread::sleep(Duration::from_millis(10));
            }
            waits
        });
        let begun = Instant::now();
        assert_eq!(store.gc(&gc_now()).unwrap().objects, u64::from(OBJECTS));
        let took = begun.elapsed();
        is_done.store(true, Ordering::Relaxed);
        (writer.join().unwrap(), took)
    });
    let longest = waits.iter().max().copied().unwrap_or_default();
    println!("{} pairs of writes in {took:?}, the longest in {longest:?}", waits.len());
    assert!(longest < Duration::from_secs(1), "two writes took {longest:?}");
    assert!(waits.len() > 10, "{waits:?} in {took:?}");
    assert_spotless(&store);
}
