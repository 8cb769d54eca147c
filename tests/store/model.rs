//! The store against a model of two maps: what exists, and who claims it.

use std::collections::{BTreeMap, BTreeSet};

use dlstore_store::{Lease, Store};
use proptest::prelude::*;

use crate::support::*;

#[derive(Debug, Clone)]
enum Step {
    Publish(u32, usize),
    Hold(u32, usize),
    Release(usize),
    Root(u32, u32),
    Unroot(u32),
    Damage(u32),
    Collect,
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..5u32, 0..3usize).prop_map(|(number, lease)| Step::Publish(number, lease)),
        2 => (0..5u32, 0..3usize).prop_map(|(number, lease)| Step::Hold(number, lease)),
        2 => (0..3usize).prop_map(Step::Release),
        3 => (0..5u32, 0..3u32).prop_map(|(number, root)| Step::Root(number, root)),
        2 => (0..3u32).prop_map(Step::Unroot),
        1 => (0..5u32).prop_map(Step::Damage),
        3 => Just(Step::Collect),
        1 => Just(Step::Reopen),
    ]
}

#[derive(Default)]
struct Model {
    there: BTreeSet<u32>,
    damaged: BTreeSet<u32>,
    roots: BTreeMap<u32, u32>,
    held: [BTreeSet<u32>; 3],
}

impl Model {
    fn collect(&mut self) {
        let claimed: BTreeSet<u32> = self.roots.values().chain(self.held.iter().flatten()).copied().collect();
        self.there.retain(|number| claimed.contains(number));
        self.damaged.retain(|number| claimed.contains(number));
    }
}

fn run(steps: Vec<Step>) {
    let place = Place::new();
    let mut store = place.open();
    let mut leases: [Option<Lease>; 3] = [None, None, None];
    let mut model = Model::default();
    for step in steps {
        match step {
            Step::Publish(number, at) => {
                let lease = taken(&store, &mut leases[at]);
                store.publish(lease, package_batch(lease, number)).unwrap();
                model.there.insert(number);
                model.damaged.remove(&number);
                model.held[at].insert(number);
            }
            Step::Hold(number, at) => {
                let held = store.hold(taken(&store, &mut leases[at]), &all_objects(number)).unwrap();
                assert_eq!(held, model.there.contains(&number) && !model.damaged.contains(&number));
                if held {
                    model.held[at].insert(number);
                }
            }
            Step::Release(at) => {
                if let Some(lease) = leases[at].take() {
                    lease.release().unwrap();
                }
                model.held[at].clear();
            }
            Step::Root(number, root) => {
                let set = store.set_root(&format!("root/{root}"), &top_objects(number));
                if model.there.contains(&number) {
                    assert_eq!(set.unwrap(), model.roots.insert(root, number) != Some(number));
                } else {
                    set.unwrap_err();
                }
            }
            Step::Unroot(root) => {
                let removed = store.remove_root(&format!("root/{root}")).unwrap();
                assert_eq!(removed, model.roots.remove(&root).is_some());
            }
            Step::Damage(number) => {
                let path = place.path().join("packs").join(pack_info(number).blob.to_hex());
                if model.there.contains(&number) && !model.damaged.contains(&number) {
                    std::fs::remove_file(path).unwrap();
                    model.damaged.insert(number);
                }
            }
            Step::Collect => {
                store.gc(&gc_now()).unwrap();
                model.collect();
            }
            Step::Reopen => {
                leases = [None, None, None];
                model.held = Default::default();
                drop(store);
                store = place.open();
            }
        }
        for number in 0..5 {
            let (there, whole) = (model.there.contains(&number), !model.damaged.contains(&number));
            assert_eq!(
                readable(&store, number),
                [there, there, there, there && whole, there, there, there],
                "{number}"
            );
        }
    }
    let missing = verify(&store).findings.len();
    assert_eq!(missing, model.damaged.len(), "each damage is one finding");
}

fn taken<'a>(store: &Store, lease: &'a mut Option<Lease>) -> &'a Lease {
    lease.get_or_insert_with(|| store.lease("model").unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: std::env::var("DLSTORE_MODEL_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(24),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_store_does_what_the_model_does(steps in prop::collection::vec(step(), 1..40)) {
        run(steps);
    }
}
