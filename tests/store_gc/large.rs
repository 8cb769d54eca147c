//! A large store: packages and packs by the hundred thousand, made by the public interface and measured.
//!
//! Run by hand: `DLSTORE_SCALE=100000 cargo test --release --test store_gc -- --ignored --nocapture large`.
//! `DLSTORE_SCALE_KEEP=PATH` leaves the store there, to be looked at with the program.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use dlstore_model::digest::OciDigest;
use dlstore_store::{Access, Batch, NewPack, ObjectRef, Store};

use crate::support::*;

/// Packages or packs in a batch, and packs that share a file.
const EACH: u32 = 1000;

fn fill(store: &Store, packages: u32, packs: u32) {
    for first in (0..packages).step_by(EACH as usize) {
        let lease = store.lease("large").unwrap();
        let mut batch = Batch::default();
        for number in first..packages.min(first + EACH) {
            add_package(&mut batch, &lease, number);
            batch.roots.push((root_name(number), vec![record(number).object()]));
        }
        store.publish(&lease, batch).unwrap();
        lease.release().unwrap();
    }
    for file in 0..packs.div_ceil(EACH) {
        let lease = store.lease("large").unwrap();
        let one = new_pack(&lease, file, file);
        let mut batch = Batch { trees: vec![new_tree(file)], ..Batch::default() };
        for number in file * EACH..packs.min((file + 1) * EACH) {
            let parts = vec![tree(file).digest(), tree(number % packages).digest()];
            batch.packs.push(NewPack {
                key: dlstore_formats::layer::pack_key(dlstore_formats::layer::Codec::Gzip, &parts),
                parts,
                info: one.info.clone(),
                staged: one.staged.clone(),
            });
        }
        batch.roots.push((format!("packs/{file}"), batch.packs.iter().map(|pack| ObjectRef::Pack(pack.key)).collect()));
        store.publish(&lease, batch).unwrap();
        lease.release().unwrap();
    }
}

fn time<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let outcome = work();
    println!("{what:<44} {:>9.1} ms", begun.elapsed().as_secs_f64() * 1e3);
    outcome
}

/// Publishes one package after the other until told to stop; gives the longest that one took.
fn write_until(store: &Store, stop: &std::sync::atomic::AtomicBool) -> (u32, Duration) {
    let (mut number, mut longest) = (0, Duration::ZERO);
    while !stop.load(std::sync::atomic::Ordering::Relaxed) {
        let begun = Instant::now();
        let lease = store.lease("beside").unwrap();
        let mut batch = Batch::default();
        add_package(&mut batch, &lease, 1_000_000_000 + number);
        store.publish(&lease, batch).unwrap();
        lease.release().unwrap();
        longest = longest.max(begun.elapsed());
        number += 1;
        std::thread::sleep(Duration::from_millis(30));
    }
    (number, longest)
}

#[test]
#[ignore = "takes minutes; see the head of this file"]
fn a_large_store_is_measured() {
    let packages: u32 = std::env::var("DLSTORE_SCALE").map_or(1000, |number| number.parse().unwrap());
    let place = Place::new();
    let path = std::env::var_os("DLSTORE_SCALE_KEEP").map_or_else(|| place.path(), PathBuf::from);
    let is_there = path.exists();
    let store = Store::open(&path, Access::Create).unwrap();
    if !is_there {
        time("fill", || fill(&store, packages, packages * 10));
    }
    let info = time("info", || store.info().unwrap());
    println!("{info:?}");
    time("info again", || store.info().unwrap());
    time("packages_called", || store.packages_called("package-000500").unwrap());
    time("packages_like", || store.packages_like("package-0005*").unwrap());
    let low = *OciDigest::of(&source_bytes(7)).as_bytes();
    time("packages_between", || store.packages_between(&low, &low).unwrap());
    for _ in 0..3 {
        time("publish of a new package", || publish(&store, u32::try_from(now()).unwrap(), true));
    }
    let plan = time("gc --dry-run", || store.plan_gc(&gc_now()).unwrap());
    println!("{} go, {} stay, counted right: {}", plan.objects.len(), plan.kept, !plan.miscounted);
    time("gc with nothing to do", || store.execute_gc(&plan).unwrap());
    if std::env::var_os("DLSTORE_SCALE_COLLECT").is_some() {
        for file in 0..packages.div_ceil(EACH) * 10 / 2 {
            store.remove_root(&format!("packs/{file}")).unwrap();
        }
        let stop = std::sync::atomic::AtomicBool::new(false);
        let beside = Store::open(&path, Access::Existing).unwrap();
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| write_until(&beside, &stop));
            let report = time("gc of half of the packs", || store.gc(&gc_now()).unwrap());
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
            println!("{report:?}");
            let (number, longest) = writer.join().unwrap();
            println!("a writer beside it wrote {number} times and waited for at most {longest:?}");
        });
    }
}
