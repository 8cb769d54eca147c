//! Killed at no particular point.

use std::time::{Duration, Instant};

use dlstore_kit::{Dice, packages, place};

const KILLS: u32 = 30;

#[test]
fn thirty_kills_at_random_times_leave_a_sound_store() {
    let place = place!();
    for number in 0..6 {
        for arch in ["amd64", "arm64"] {
            let name = format!("p{number}");
            place.package(&format!("{name}_{arch}.deb"), &packages::deb(&name, number, arch).build());
        }
    }
    place.image("demo", "schema = 1\nformat = \"deb\"\npackages = [\"p0\", \"p1\", \"p2\", \"p3\", \"p4\", \"p5\"]\n");
    let commands: [&[&str]; 3] = [
        &["add", "../packages"],
        &["compose", "demo", "--arch", "amd64,arm64", "--from", "../packages", "-o", "oci:out"],
        &["store", "gc", "--grace", "0"],
    ];
    let compose = commands[1];
    let expected = {
        let whole = place!();
        let begun = Instant::now();
        let digest = whole.run(["add", place.packages().to_str().unwrap()]).ok();
        drop(digest);
        let digest = place.ok(compose);
        (digest, begun.elapsed())
    };
    let (digest, span) = expected;
    // The same numbers in each run: where they hit depends on the machine anyway.
    let mut dice = Dice::new(5);
    let mut killed = 0;
    for kill in 0..KILLS {
        if kill % 5 == 4 {
            // From nothing now and then, so that there is something to do.
            place.emptied();
        }
        let mut child = place.command(commands[kill as usize % 3]).spawn().unwrap();
        std::thread::sleep(Duration::from_micros(dice.below((span.as_micros() as u64 / 2).max(1))));
        child.kill().unwrap();
        killed += u32::from(!child.wait().unwrap().success());
        let (findings, _) = place.verified();
        assert!(findings.is_empty(), "after kill {kill}: {findings:?}");
    }
    println!("{killed} of {KILLS} were killed before they were done");
    assert_eq!(place.ok(compose), digest);
    let left = place.emptied();
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(place.verified(), (vec![], vec![]));
}
