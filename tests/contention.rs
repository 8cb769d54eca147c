//! Many processes on one store at once, beside a collector that never rests.

#![cfg(test)]

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use dlstore_kit::{Done, Place, packages, place};

const PROCESSES: usize = 8;

/// Rounds of each process.
const ROUNDS: usize = 12;

fn prepare(place: &Place) {
    for number in 0..4 {
        for arch in ["amd64", "arm64"] {
            let name = format!("p{number}");
            place.package(&format!("{name}_{arch}.deb"), &packages::deb(&name, number, arch).build());
        }
    }
    // Two images share packages; a third differs from the first in its label alone.
    place.image("first", "schema = 1\nformat = \"deb\"\npackages = [\"p0\", \"p1\", \"p2\"]\n");
    place.image("second", "schema = 1\nformat = \"deb\"\npackages = [\"p1\", \"p3\"]\nlayers = \"package\"\n");
    place.image("label", "schema = 1\nextends = \"first\"\nlabels.a = \"b\"\n");
}

/// What the processes do, by turns. The same image for other architectures moves the same root.
fn turn(process: usize, round: usize) -> (usize, Vec<String>) {
    const TURNS: [&[&str]; 8] = [
        &["compose", "static", "--arch", "all"],
        &["add", "../packages"],
        &["compose", "first", "second", "--arch", "amd64,arm64", "--from", "../packages"],
        &["compose", "static", "--arch", "amd64,riscv64", "--layers", "flat"],
        &["compose", "first", "--arch", "arm64", "--from", "../packages", "--compression", "zstd"],
        &["compose", "label", "--arch", "amd64,arm64", "--from", "../packages"],
        &["compose", "second", "--arch", "amd64", "--from", "../packages", "--layers", "grouped"],
        &["add", "../packages/p0_amd64.deb", "../packages/p3_arm64.deb"],
    ];
    let at = (process + round) % TURNS.len();
    let mut arguments: Vec<String> = TURNS[at].iter().map(ToString::to_string).collect();
    if arguments[0] == "compose" {
        arguments.extend(["-o".into(), format!("oci:out{process}"), "--force".into()]);
    }
    (at, arguments)
}

/// The result without what may differ: whether packages were known.
fn result(done: &Done) -> String {
    let mut lines: Vec<_> =
        done.out.lines().map(|line| line.trim_end_matches("known").trim_end_matches("added").trim_end()).collect();
    lines.sort_unstable();
    lines.join("\n")
}

fn contend(place: &Place, between: &(dyn Fn(&Place, u32) + Sync)) {
    let over = AtomicBool::new(false);
    let collections = AtomicU32::new(0);
    let failures = std::sync::Mutex::new(Vec::new());
    let results = std::sync::Mutex::new(vec![BTreeSet::new(); 8]);
    place.ok(["add", "../packages/p0_amd64.deb"]);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                let done = place.run(["store", "gc", "--grace", "0"]);
                if done.code() != Some(0) {
                    failures.lock().unwrap().push(format!("gc: {done:?}"));
                }
                between(place, collections.fetch_add(1, Ordering::Relaxed));
            }
        });
        let workers: Vec<_> = (0..PROCESSES)
            .map(|process| {
                let (failures, results, collections) = (&failures, &results, &collections);
                scope.spawn(move || {
                    // On a slow machine more of them, until the collector came by often enough.
                    for round in 0.. {
                        if round >= ROUNDS && collections.load(Ordering::Relaxed) > 3 {
                            break;
                        }
                        let (at, arguments) = turn(process, round);
                        let done = place.run(&arguments);
                        if done.code() == Some(0) {
                            results.lock().unwrap()[at].insert(result(&done));
                        } else {
                            failures.lock().unwrap().push(format!("{arguments:?}: {done:?}"));
                        }
                    }
                })
            })
            .collect();
        for worker in workers {
            worker.join().unwrap();
        }
        over.store(true, Ordering::Relaxed);
    });
    let failures = failures.into_inner().unwrap();
    let collections = collections.into_inner();
    assert!(
        failures.is_empty(),
        "{} failures beside {collections} collections:\n{}",
        failures.len(),
        failures.join("\n")
    );
    assert!(collections > 3, "{collections}");
    for (at, results) in results.into_inner().unwrap().iter().enumerate() {
        assert!(results.len() == 1, "turn {at}: {results:#?}");
    }
    println!("{} commands beside {collections} collections", PROCESSES * ROUNDS);
    assert_eq!(place.verified().0, Vec::<String>::new());
    place.ok(["store", "gc", "--grace", "0"]);
    assert_eq!(place.verified(), (vec![], vec![]), "after the last collection");
    let left = place.emptied();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn eight_processes_and_a_collector_share_a_store_without_an_error() {
    let place = place!();
    prepare(&place);
    contend(&place, &|_, _| {});
}

/// The worst case: nothing is kept for longer than the process that made it.
#[test]
fn eight_processes_finish_though_every_root_is_removed_under_them() {
    let place = place!();
    prepare(&place);
    contend(&place, &|place, _| {
        let roots = place.json(&["store", "roots", "list"]);
        for root in roots["roots"].as_array().unwrap() {
            // Somebody may have been faster.
            place.run(["store", "roots", "remove", root["name"].as_str().unwrap()]);
        }
    });
}

#[test]
fn eight_first_commands_make_one_store() {
    for _ in 0..5 {
        let place = place!();
        prepare(&place);
        let begun = Instant::now();
        let digests: BTreeSet<String> = std::thread::scope(|scope| {
            let place = &place;
            let workers: Vec<_> = (0..PROCESSES)
                .map(|process| {
                    scope.spawn(move || {
                        let output = format!("oci:out{process}");
                        place.ok(["compose", "static", "--arch", "all", "-o", &output])
                    })
                })
                .collect();
            workers.into_iter().map(|worker| worker.join().unwrap()).collect()
        });
        assert!(begun.elapsed() < Duration::from_secs(60));
        assert_eq!(digests.len(), 1, "{digests:?}");
        assert_eq!(place.verified(), (vec![], vec![]));
    }
}

#[test]
fn eight_processes_write_into_one_layout() {
    let place = place!();
    prepare(&place);
    std::thread::scope(|scope| {
        let place = &place;
        for process in 0..PROCESSES {
            scope.spawn(move || {
                let output = format!("oci:out:tag{process}");
                let image = ["static", "first", "second", "label"][process % 4];
                place.ok(["compose", image, "--arch", "amd64", "--from", "../packages", "-o", &output]);
            });
        }
    });
    let layout = dlstore_kit::Layout(place.project().join("out"));
    for process in 0..PROCESSES {
        layout.files(&format!("tag{process}"), "amd64");
    }
}
