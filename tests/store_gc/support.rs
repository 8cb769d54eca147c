//! What the tests of collecting want of a package beside its source, its tree and its pack: five facts.

use dlstore_model::digest::KeyBuilder;
use dlstore_store::{Batch, GcOptions, Lease, NewAction, NewPackage, ObjectRef, PackageRecord, Store};

pub(crate) use dlstore_kit::content::*;

pub(crate) fn facts(number: u32) -> Vec<(String, Vec<u8>)> {
    (0..5).map(|at| (format!("kind {at}"), format!("fact {at} of {number}").into_bytes())).collect()
}

pub(crate) fn record(number: u32) -> PackageRecord {
    record_with(number, &facts(number))
}

/// Source, tree, facts and package.
pub(crate) fn add_package(batch: &mut Batch, lease: &Lease, number: u32) {
    batch.sources.push(new_source(lease, number));
    batch.trees.push(new_tree(number));
    batch.facts.extend(facts(number).into_iter().map(|(_, data)| new_fact(data)));
    batch.packages.push(NewPackage { record: record(number), sonames: vec![format!("lib{number}.so").into()] });
}

/// Publishes a package with a pack, kept by a root or not.
pub(crate) fn publish(store: &Store, number: u32, with_root: bool) {
    let lease = store.lease("test").unwrap();
    let mut batch = Batch::default();
    add_package(&mut batch, &lease, number);
    batch.packs.push(new_pack(&lease, number, number));
    if with_root {
        batch.roots.push((root_name(number), vec![record(number).object(), ObjectRef::Pack(pack_key(number))]));
    }
    store.publish(&lease, batch).unwrap();
    lease.release().unwrap();
}

/// The name of the root that keeps the outcome of [`make_layer`].
pub(crate) fn layer_root(number: u32) -> String {
    format!("layer/{number}")
}

/// Publishes an outcome that was made of a package and its pack, kept by a root of its own.
pub(crate) fn make_layer(store: &Store, number: u32) {
    let lease = store.lease("test").unwrap();
    let key = KeyBuilder::new("layer").number(u64::from(number)).finish();
    let action = NewAction {
        key,
        kind: "test 1".into(),
        value: number.to_le_bytes().to_vec(),
        refs: vec![record(number).object(), ObjectRef::Pack(pack_key(number))],
    };
    let roots = vec![(layer_root(number), vec![ObjectRef::Action(key)])];
    store.publish(&lease, Batch { actions: vec![action], roots, ..Batch::default() }).unwrap();
    lease.release().unwrap();
}

pub(crate) fn is_whole(store: &Store, number: u32) -> bool {
    let record = record(number);
    let facts = record.facts.iter().all(|fact| store.fact(&fact.digest).unwrap().is_some());
    store.package(&record.key()).unwrap().as_ref() == Some(&record)
        && facts
        && store.tree(&record.tree).unwrap() == Some(tree(number))
        && store.open_source(&record.source).unwrap().is_some()
        && store.pack(&pack_key(number)).unwrap().is_some_and(|info| store.open_pack(&info).unwrap().is_some())
}

pub(crate) fn gc_now() -> GcOptions {
    gc_without_grace()
}
