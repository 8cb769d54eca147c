//! A process killed at every named point: the store opens, has no finding, and the work finishes.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use dlstore_fsx::stop;
use dlstore_model::digest::OciDigest;
use dlstore_store::{Access, Batch, NewSource, NoteKind, Reading, Store};

use crate::support::*;

/// Where the child works.
pub(crate) const PLACE: &str = "DLSTORE_CRASH_PLACE";

/// More than what makes the store set a reserve aside.
const LARGE: u64 = (32 << 20) + 1;

fn large(store: &Store) {
    let lease = store.lease("large").unwrap();
    let staged = lease.stage_path();
    std::fs::File::create(&staged).unwrap().set_len(LARGE).unwrap();
    let sha256 = OciDigest::of(&vec![0; usize::try_from(LARGE).unwrap()]);
    let sources = vec![NewSource { sha256, size: LARGE, staged }];
    let sources_only = Batch { sources, roots: vec![("large".into(), vec![])], ..Batch::default() };
    store.publish(&lease, sources_only).unwrap();
}

/// Everything that a store does, in one life; what it leaves is always the same.
fn work(path: &Path) {
    let store = Store::open(path, Access::Create).unwrap();
    large(&store);
    // Four files and more: one syncfs.
    let lease = store.lease("many").unwrap();
    let mut batch = package_batch(&lease, 1);
    for number in 2..4 {
        let more = package_batch(&lease, number);
        batch.sources.extend(more.sources);
        batch.trees.extend(more.trees);
        batch.facts.extend(more.facts);
        batch.packages.extend(more.packages);
        batch.packs.extend(more.packs);
        batch.blobs.extend(more.blobs);
        batch.actions.extend(more.actions);
    }
    for number in 1..4 {
        batch.roots.push((root_name(number), top_objects(number)));
    }
    store.publish(&lease, batch).unwrap();
    lease.release().unwrap();
    // Damage that publishing heals, and what a killed process would leave.
    let pack = path.join("packs").join(pack_info(1).blob.to_hex());
    std::fs::remove_file(&pack).unwrap();
    std::fs::write(&pack, b"bad").unwrap();
    publish(&store, 1, true);
    store.remove_root(&root_name(3)).unwrap();
    std::fs::write(path.join("packs").join("0".repeat(64)), b"orphan").unwrap();
    std::fs::write(path.join("leases/abababababababababababababababab.lock"), b"").unwrap();
    std::fs::create_dir_all(path.join("stage/abababababababababababababababab")).unwrap();
    store.gc(&gc_now()).unwrap();
}

#[test]
fn child() {
    if let Some(place) = std::env::var_os(PLACE) {
        work(Path::new(&place));
    }
}

pub(crate) fn run_child(test: &str, place: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([test, "--exact"]).env(PLACE, place).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

#[test]
fn a_process_killed_at_any_point_leaves_a_sound_store() {
    // A rebuild decodes packages: it is killed in the tests of recovery.
    let points = stop::POINTS.iter().filter(|point| !point.starts_with("rebuild."));
    for (point, visit) in points.flat_map(|point| [1, 2, 4].map(|visit| (point, visit))) {
        let at = format!("{point}:{visit}");
        let place = Place::new();
        let status = run_child("crash::child", &place.path()).env(stop::VARIABLE, &at).status().unwrap();
        match std::os::unix::process::ExitStatusExt::signal(&status) {
            Some(6) => {}
            None if visit > 1 && status.success() => continue,
            other => panic!("{at} is never reached: {other:?}"),
        }
        if let Ok(store) = Store::open(&place.path(), Access::Existing) {
            if verify(&store).findings.iter().any(|finding| finding.object == Some(all_objects(1)[3])) {
                assert!(was_healing(point, &place.path()), "{at}");
                publish(&store, 1, true);
            }
            assert_eq!(verify(&store).findings, [], "{at}");
        } else {
            assert!(point.starts_with("create."), "{at}");
        }
        work(&place.path());
        let store = Store::open(&place.path(), Access::Existing).unwrap();
        store.gc(&gc_now()).unwrap();
        let report = verify(&store);
        assert_eq!(report.findings, [], "{at}");
        assert!(report.notes.iter().all(|note| note.kind.name() == "quarantined-file"), "{at}: {:?}", report.notes);
        let mut packs = [pack_info(1), pack_info(2)].map(|info| info.blob.to_hex());
        packs.sort();
        assert_eq!(names(&place.path().join("packs")), packs, "{at}");
        assert_eq!((names(&place.path().join("stage")), names(&place.path().join("leases"))), (vec![], vec![]), "{at}");
        assert_eq!((readable(&store, 1), readable(&store, 2)), ([true; 7], [true; 7]), "{at}");
        assert_eq!(readable(&store, 3), [false; 7], "{at}");
    }
}

/// Says whether the work was killed between damaging a pack itself and healing it.
fn was_healing(point: &str, place: &Path) -> bool {
    let pack = std::fs::read(place.join("packs").join(pack_info(1).blob.to_hex()));
    point == "publish.quarantined" || pack.is_ok_and(|bytes| bytes == b"bad")
}

/// Publishes, reads, roots and collects until it is killed.
#[test]
fn restless_child() {
    let Some(place) = std::env::var_os(PLACE) else { return };
    let store = Store::open(Path::new(&place), Access::Create).unwrap();
    let start = std::process::id();
    for round in 0.. {
        let number = (start.wrapping_mul(7) + round) % 6;
        let lease = store.lease("restless").unwrap();
        store.publish(&lease, package_batch(&lease, number)).unwrap();
        assert_eq!(readable(&store, number), [true; 7]);
        match round % 4 {
            0 => assert!(store.set_root(&root_name(number), &top_objects(number)).is_ok()),
            1 => assert!(store.remove_root(&root_name(number)).is_ok()),
            2 => store.gc(&gc_now()).map(|_| ()).unwrap(),
            _ => {}
        }
    }
}

#[test]
fn processes_killed_at_random_leave_a_sound_store_and_none_fails() {
    let seconds = std::env::var("DLSTORE_KILL_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(3);
    let place = Place::new();
    drop(place.open());
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut children: Vec<std::process::Child> = Vec::new();
    let mut kills = 0_u64;
    while Instant::now() < end {
        while children.len() < 5 {
            children.push(run_child("crash::restless_child", &place.path()).spawn().unwrap());
        }
        std::thread::sleep(Duration::from_millis(20 + kills * 37 % 90));
        let mut killed = children.remove(0);
        assert!(killed.try_wait().unwrap().is_none(), "a child failed by itself");
        killed.kill().unwrap();
        killed.wait().unwrap();
        kills += 1;
    }
    for mut child in children {
        assert!(child.try_wait().unwrap().is_none(), "a child failed by itself");
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let store = place.open();
    assert_eq!(verify(&store).findings, [], "after {kills} kills");
    store.gc(&gc_now()).unwrap();
    // Who was killed between the line of a root and its commit leaves a root that only the journal has.
    if verify(&store).notes.iter().any(|note| note.kind == NoteKind::RootsJournal) {
        let reading = Reading { action: &|_, _| Some(Vec::new()), package: &|_, _| None };
        store.heal(&[], reading).unwrap();
    }
    assert_spotless(&store);
    for root in store.roots().unwrap() {
        store.remove_root(&root.name).unwrap();
    }
    store.gc(&gc_now()).unwrap();
    assert_eq!((names(&place.path().join("packs")), names(&place.path().join("sources"))), (vec![], vec![]));
}

#[test]
fn a_killed_holder_is_found_dead_and_a_living_one_is_not() {
    let place = Place::new();
    let store = place.open();
    let lease = store.lease("alive").unwrap();
    store.publish(&lease, package_batch(&lease, 1)).unwrap();
    let other = place.open();
    assert_eq!(other.plan_gc(&gc_now()).unwrap().leases, Vec::<String>::new());
    other.gc(&gc_now()).unwrap();
    assert_eq!(readable(&other, 1), [true; 7]);
    assert_eq!(verify(&other).notes, []);
}
