//! Adders, composers, collectors and verifiers at once on one store, and half of them are killed.
//!
//! `DLSTORE_STRESS_SECONDS` says for how long: 5 in a plain `cargo test`, 60 in `tests/run`, 600 by hand.

use std::process::Child;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::ledger::{Ledger, PACKAGES, Step};
use dlstore_kit::{Dice, Done, done, place};

/// Longest time after which a command is killed; most take less.
const KILLED_WITHIN: u64 = 120_000;

/// What each worker draws from. No root is touched by two of them.
const WORKERS: usize = 7;

fn step(worker: usize, dice: &mut Dice) -> Step {
    match worker {
        0 => Step::Package(dice.pick(PACKAGES / 2)),
        1 => Step::Package(PACKAGES / 2 + dice.pick(PACKAGES / 2)),
        2 => Step::Image(dice.pick(2), "out-one"),
        3 => Step::Image(2 + dice.pick(2), "out-two"),
        4 | 5 => Step::Collect,
        _ => Step::Verify,
    }
}

#[test]
fn a_crowd_that_is_killed_at_random_loses_nothing_that_was_reported() {
    let seconds = std::env::var("DLSTORE_STRESS_SECONDS").map_or(5, |text| text.parse().expect("it is a number"));
    let until = Instant::now() + Duration::from_secs(seconds);
    let place = place!();
    let ledger = Ledger::new(&place);
    let (performed, killed) = (AtomicU32::new(0), AtomicU32::new(0));
    let failures = Mutex::new(Vec::new());
    // There is a store from the beginning: who collects or verifies makes none.
    ledger.perform(Step::Add(0), |child| end(child, None)).unwrap();
    std::thread::scope(|scope| {
        for worker in 0..WORKERS {
            let (ledger, performed, killed, failures) = (&ledger, &performed, &killed, &failures);
            scope.spawn(move || {
                let mut dice = Dice::new(worker as u64 + 1);
                while Instant::now() < until && failures.lock().unwrap().is_empty() {
                    let delay = (dice.below(2) == 0).then(|| Duration::from_micros(dice.below(KILLED_WITHIN)));
                    let end = |child: Child| -> Option<Done> {
                        performed.fetch_add(1, Ordering::Relaxed);
                        let done = end(child, delay);
                        killed.fetch_add(u32::from(done.is_none()), Ordering::Relaxed);
                        done
                    };
                    if let Err(error) = ledger.perform(step(worker, &mut dice), end) {
                        failures.lock().unwrap().push(error);
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    let (performed, killed) = (performed.into_inner(), killed.into_inner());
    println!("{performed} commands in {seconds} s, {killed} of them killed");
    assert!(failures.is_empty(), "after {performed} commands:\n{}", failures.join("\n"));
    assert!(killed > 5 && killed < performed, "{killed} of {performed}");
    ledger.assert_holds("afterwards");
    ledger.assert_finishes(&["out-one", "out-two"], "afterwards");
    let left = place.emptied();
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(place.verified(), (vec![], vec![]));
}

/// Waits for a child, or kills it after a while; `None` when that ended it.
fn end(mut child: Child, after: Option<Duration>) -> Option<Done> {
    if let Some(delay) = after {
        std::thread::sleep(delay);
        child.kill().unwrap();
    }
    let done = done(child.wait_with_output().unwrap());
    (done.signal() != Some(9)).then_some(done)
}
