//! What a collection takes, and what it never touches.

use std::time::Duration;

use dlstore_model::format::Format;
use dlstore_store::index::Index;
use dlstore_store::{GcOptions, ObjectRef, SourcePolicy};

use crate::support::*;

/// An hour goes by for everything that is in the store.
fn age(place: &Place) {
    place.index().execute_batch("UPDATE object SET born = born - 3600").unwrap();
}

#[test]
fn a_plan_never_takes_what_was_claimed_since() {
    let place = Place::new();
    let store = place.open();
    for number in 1..=4 {
        publish(&store, number, false);
    }
    let plan = store.plan_gc(&gc_now()).unwrap();
    assert_eq!(plan.objects.len(), 4 * 9, "source, tree, five facts, package and pack");
    store.set_root("mine", &[record(1).object(), ObjectRef::Pack(pack_key(1))]).unwrap();
    let lease = store.lease("test").unwrap();
    assert!(store.hold(&lease, &[record(2).object(), ObjectRef::Pack(pack_key(2))]).unwrap());
    let report = store.execute_gc(&plan).unwrap();
    assert_eq!((report.objects, report.findings), (2 * 9, Vec::new()));
    assert_eq!([1, 2, 3, 4].map(|number| is_whole(&store, number)), [true, true, false, false]);
    lease.release().unwrap();
    store.gc(&gc_now()).unwrap();
    assert_eq!([1, 2].map(|number| is_whole(&store, number)), [true, false]);
    assert_spotless(&store);
}

#[test]
fn a_plan_never_takes_what_was_revived_since() {
    let place = Place::new();
    let store = place.open();
    publish(&store, 1, false);
    age(&place);
    let plan = store.plan_gc(&gc_now()).unwrap();
    place.index().execute_batch("UPDATE object SET state = 2; DELETE FROM edge").unwrap();
    assert!(!is_whole(&store, 1));
    publish(&store, 1, false);
    assert_eq!(store.execute_gc(&plan).unwrap().objects, 0);
    assert!(is_whole(&store, 1));
    assert_spotless(&store);
}

#[test]
fn a_package_that_was_marked_is_on_the_list_of_its_name_again_when_it_comes_back() {
    let place = Place::new();
    let store = place.open();
    publish(&store, 1, true);
    // What a collection leaves that ended after its marks.
    let marked = "UPDATE object SET state = 2; DELETE FROM edge; DELETE FROM root; DELETE FROM name";
    place.index().execute_batch(marked).unwrap();
    publish(&store, 1, true);
    assert_eq!(verify(&store).findings, []);
    let candidates = store.candidates(Format::Deb, &record(1).name).unwrap();
    assert_eq!(candidates.iter().map(|one| one.record.clone()).collect::<Vec<_>>(), [Some(record(1))]);
}

#[test]
fn what_new_packages_share_with_doomed_ones_stays() {
    let place = Place::new();
    let store = place.open();
    publish(&store, 1, false);
    age(&place);
    let plan = store.plan_gc(&gc_now()).unwrap();
    let lease = store.lease("test").unwrap();
    let mut batch = dlstore_store::Batch::default();
    add_package(&mut batch, &lease, 2);
    // The same tree and facts under another source.
    let package = &mut batch.packages[0].record;
    (package.tree, package.facts) = (record(1).tree, record(1).facts);
    let package = package.clone();
    batch.roots.push(("mine".into(), vec![package.object()]));
    store.publish(&lease, batch).unwrap();
    lease.release().unwrap();
    store.execute_gc(&plan).unwrap();
    assert_eq!(store.package(&package.key()).unwrap().as_ref(), Some(&package));
    assert_eq!(store.tree(&package.tree).unwrap(), Some(tree(1)));
    assert!(package.facts.iter().all(|fact| store.fact(&fact.digest).unwrap().is_some()));
    assert_eq!(store.package(&record(1).key()).unwrap(), None);
    assert_eq!(verify(&store).findings, []);
}

#[test]
fn packages_that_go_leave_the_lists_of_their_names_even_when_their_rows_are_damaged() {
    let damages = [
        "",
        "UPDATE package SET name = 'other'",
        "UPDATE package SET checksum = x'00'",
        "DELETE FROM package",
        "UPDATE object SET state = 3 WHERE kind = 3",
        "UPDATE name SET checksum = x'00'",
    ];
    for damage in damages {
        let place = Place::new();
        let store = place.open();
        publish(&store, 1, false);
        publish(&store, 2, true);
        let of_second = "SELECT object FROM package WHERE name = 'package-000002'";
        // The rows of the second one stay as they are.
        let damage = match damage.split_once(" WHERE ") {
            _ if damage.is_empty() || damage.starts_with("UPDATE name") => damage.to_owned(),
            Some((change, condition)) => format!("{change} WHERE {condition} AND id NOT IN ({of_second})"),
            None => format!("{damage} WHERE object NOT IN ({of_second})"),
        };
        place.index().execute_batch(&damage).unwrap();
        store.gc(&gc_now()).unwrap();
        let listed = |number: u32| {
            let index = Index::open(&place.path().join("index.db")).unwrap();
            index.read(|reader| reader.names(Format::Deb, &record(number).name)).unwrap()
        };
        assert_eq!(listed(1), dlstore_store::index::NameList::Whole(Vec::new()), "{damage}");
        let lists: i64 = place.index().query_row("SELECT count(*) FROM name", [], |row| row.get(0)).unwrap();
        assert_eq!(lists, 1, "{damage}");
        assert!(is_whole(&store, 2), "{damage}");
    }
}

#[test]
fn what_was_born_in_the_future_is_given_todays_birth_and_goes_in_its_time() {
    let place = Place::new();
    let store = place.open();
    publish(&store, 1, false);
    place.index().execute_batch("UPDATE object SET born = 9000000000").unwrap();
    let today = now();
    let options = GcOptions { grace: Duration::from_secs(60), ..GcOptions::new(today) };
    let plan = store.plan_gc(&options).unwrap();
    assert_eq!((plan.unborn, plan.objects.len()), (9, 0));
    store.execute_gc(&plan).unwrap();
    assert!(is_whole(&store, 1));
    let born: i64 = place.index().query_row("SELECT max(born) FROM object", [], |row| row.get(0)).unwrap();
    assert_eq!(born.cast_unsigned(), today);
    assert_eq!(store.gc(&GcOptions { now: today + 59, ..options }).unwrap().objects, 0);
    assert_eq!(store.gc(&GcOptions { now: today + 60, ..options }).unwrap().objects, 9);
    assert_spotless(&store);
}

#[test]
fn a_bounded_collection_leaves_what_stays_whole() {
    let place = Place::new();
    let store = place.open();
    for number in 1..=5 {
        publish(&store, number, false);
    }
    let mut rounds = 0;
    while store.plan_gc(&gc_now()).unwrap().kept + store.plan_gc(&gc_now()).unwrap().objects.len() as u64 > 0 {
        store.gc(&GcOptions { max_freed: Some(1), ..gc_now() }).unwrap();
        assert_spotless(&store);
        rounds += 1;
        assert!(rounds < 50, "each round takes something");
    }
    assert!(rounds > 2, "each round takes little: {rounds}");
}

#[test]
fn dropping_sources_leaves_packages_and_what_is_held() {
    let place = Place::new();
    let store = place.open();
    for number in 1..=2 {
        publish(&store, number, true);
        make_layer(&store, number);
    }
    store.set_root("source", &[ObjectRef::Source(source(1))]).unwrap();
    let lease = store.lease("test").unwrap();
    assert!(store.hold(&lease, &[ObjectRef::Source(source(2))]).unwrap());
    let drop = GcOptions { sources: SourcePolicy::Drop, ..gc_now() };
    assert_eq!(store.gc(&drop).unwrap().objects, 1);
    assert!(store.open_source(&source(1)).unwrap().is_none());
    assert!(is_whole(&store, 2), "its source is held, and it refers to it still");
    assert!(store.package(&record(1).key()).unwrap().is_some());
    assert_eq!(verify(&store).findings, []);
    lease.release().unwrap();
    assert_eq!(store.gc(&drop).unwrap().objects, 1);
    assert_spotless(&store);
}

#[test]
fn a_dead_object_that_something_refers_to_is_a_finding_and_the_rest_goes() {
    let place = Place::new();
    let store = place.open();
    publish(&store, 1, true);
    publish(&store, 2, false);
    place.index().execute_batch("UPDATE object SET state = 2 WHERE id = (SELECT min(object) FROM tree)").unwrap();
    let report = store.gc(&gc_now()).unwrap();
    assert_eq!(report.objects, 9);
    assert_eq!(report.findings.iter().map(|one| one.kind.name()).collect::<Vec<_>>(), ["not-removed"]);
}

#[test]
fn objects_out_of_order_are_damage_and_no_panic() {
    let mut graph = dlstore_store::index::Graph::default();
    let node = dlstore_store::index::Node {
        kind: 1,
        state: dlstore_store::index::State::Live,
        age: dlstore_store::index::Age::Old,
    };
    graph.add(2, node).unwrap();
    assert!(graph.add(1, node).unwrap_err().is_damage());
}
