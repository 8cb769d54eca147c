//! Many writers and readers beside a collector that never rests.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::*;

#[test]
fn eight_writers_beside_a_looping_collector_never_fail_and_leave_nothing() {
    let place = Place::new();
    let store = place.open();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let collectors = [place.open(), store.clone()].map(|store| {
            let done = &done;
            scope.spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    store.gc(&gc_now()).unwrap();
                }
            })
        });
        let verifier = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                assert_eq!(verify(&store).findings, []);
            }
        });
        let writers: Vec<_> = (0..8u32)
            .map(|thread| {
                let store = store.clone();
                scope.spawn(move || {
                    for round in 0..12 {
                        // Neighbours want the same packages at the same time.
                        let number = (thread / 2 + round) % 6;
                        let lease = store.lease("writer").unwrap();
                        store.publish(&lease, package_batch(&lease, number)).unwrap();
                        assert_eq!(readable(&store, number), [true; 7], "held by a lease");
                        if round % 3 == 0 {
                            store.set_root(&root_name(number), &top_objects(number)).unwrap();
                            lease.release().unwrap();
                        } else {
                            store.remove_root(&root_name(number)).unwrap();
                        }
                    }
                })
            })
            .collect();
        let outcomes: Vec<_> = writers.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        // Before any panic: the collectors would loop for ever.
        done.store(true, Ordering::Relaxed);
        for outcome in outcomes {
            outcome.unwrap();
        }
        for collector in collectors {
            collector.join().unwrap();
        }
        verifier.join().unwrap();
    });
    store.gc(&gc_now()).unwrap();
    assert_spotless(&store);
    for root in store.roots().unwrap() {
        store.remove_root(&root.name).unwrap();
    }
    store.gc(&gc_now()).unwrap();
    assert_eq!((names(&place.path().join("packs")), names(&place.path().join("sources"))), (vec![], vec![]));
    let info = store.info().unwrap();
    assert_eq!((info.packages, info.trees, info.packs, info.quarantined), (0, 0, 0, 0));
}
