//! `add`, `compose`, `gc` and healing, killed at each point that they pass, at its first visits.

use std::collections::BTreeSet;
use std::fs;

use dlstore_fsx::stop;

use dlstore_kit::{Done, Place, finish, packages, place};

/// How often a point is tried: its first visit, and later ones as far as there are any.
const VISITS: [u32; 3] = [1, 2, 4];

/// What is tried: a state, a command, and what it gives.
struct Scenario {
    arguments: &'static [&'static str],
    prepare: fn(&Place),
    /// What of the output must be the same after the second try.
    result: fn(&Place, &Done) -> String,
    /// Whether bad bytes that were healed may lie in quarantine.
    may_quarantine: bool,
}

const ADD: Scenario =
    Scenario { arguments: &["add", "../packages"], prepare: files, result: trees, may_quarantine: false };

const COMPOSE: Scenario = Scenario {
    arguments: &["compose", "demo", "static", "--arch", "amd64,arm64", "--from", "../packages", "-o", "oci:out"],
    prepare: files,
    result: digests,
    may_quarantine: false,
};

const HEAL: Scenario = Scenario {
    arguments: &["compose", "demo", "--arch", "amd64,arm64", "--from", "store", "-o", "oci:out"],
    prepare: damaged,
    result: digests,
    may_quarantine: true,
};

const GC: Scenario = Scenario {
    arguments: &["store", "gc", "--grace", "0", "--orphan-sources"],
    prepare: littered,
    result: |place, _| format!("{:?}", place.left()),
    may_quarantine: false,
};

fn files(place: &Place) {
    for arch in ["amd64", "arm64"] {
        for (number, name) in ["one", "two", "three"].into_iter().enumerate() {
            let deb = packages::deb(name, number as u64, arch).build();
            place.package(&format!("{name}_{arch}.deb"), &deb);
        }
    }
    place.image(
        "demo",
        "schema = 1\nformat = \"deb\"\npackages = [\"one\", \"two\", \"three\"]\nentrypoint = [\"/bin/demo\"]\n\
         waive = [\"entrypoint -> /bin/demo: a test\"]\n",
    );
}

fn with_large(place: &Place) {
    files(place);
    place.package("large.deb", &packages::large().build());
}

/// All is made, and then every pack loses its end.
fn damaged(place: &Place) {
    files(place);
    place.ok(["add", "../packages"]);
    place.ok(HEAL.arguments);
    fs::remove_dir_all(place.project().join("out")).unwrap();
    for name in dlstore_kit::names(&place.store().join("packs")) {
        let path = place.store().join("packs").join(name);
        let bytes = fs::read(&path).unwrap();
        // Another inode: a layout may have shared the old one.
        fs::remove_file(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    }
}

/// Some of it is kept, some is not, and killed processes left their traces.
fn littered(place: &Place) {
    files(place);
    place.ok(["add", "../packages"]);
    place.ok(COMPOSE.arguments);
    place.ok(["store", "roots", "remove", &place.root("image/demo/"), &place.root("package/deb/one/1.0-1/amd64")]);
    place.ok(["store", "roots", "remove", &place.root("package/deb/two/1.1-1/arm64")]);
    let store = place.store();
    fs::write(store.join("packs").join("0".repeat(64)), b"orphan").unwrap();
    fs::write(store.join("sources").join("1".repeat(64)), b"orphan").unwrap();
    for lease in ["ab", "cd"].map(|two| two.repeat(16)) {
        fs::write(store.join(format!("leases/{lease}.lock")), b"").unwrap();
        fs::create_dir_all(store.join("stage").join(&lease)).unwrap();
        fs::write(store.join("stage").join(&lease).join("0"), b"left").unwrap();
    }
}

fn trees(_: &Place, done: &Done) -> String {
    // The last column says whether it was known, which is another matter.
    let mut lines: Vec<_> = done.out.lines().map(|line| line.rsplit_once("  ").unwrap().0.trim_end()).collect();
    lines.sort_unstable();
    lines.join("\n")
}

fn digests(place: &Place, done: &Done) -> String {
    let layout = dlstore_kit::snapshot(&place.project().join("out"));
    let blobs: Vec<_> = layout.iter().map(|(path, what)| format!("{} {what}", path.display())).collect();
    format!("{}{}", done.out, blobs.join("\n"))
}

/// Goes through all points and gives those that the command passes.
fn killed_everywhere(scenario: &Scenario) -> BTreeSet<&'static str> {
    let whole = place!();
    (scenario.prepare)(&whole);
    let expected = (scenario.result)(&whole, &whole.run(scenario.arguments).ok());
    let mut passed = BTreeSet::new();
    for point in stop::POINTS {
        for visit in VISITS {
            let place = place!();
            (scenario.prepare)(&place);
            let at = format!("{:?} at {point}:{visit}", scenario.arguments);
            let mut command = place.command(scenario.arguments);
            command.env(stop::VARIABLE, format!("{point}:{visit}"));
            let done = finish(command);
            if done.signal() != Some(6) {
                let done = done.ok();
                assert_eq!((scenario.result)(&place, &done), expected, "{at}: not killed");
                break;
            }
            passed.insert(*point);
            sound_and_finishing(&place, scenario, &expected, &at);
        }
    }
    passed
}

fn sound_and_finishing(place: &Place, scenario: &Scenario, expected: &str, at: &str) {
    let was_damaged = scenario.may_quarantine;
    if place.run(["store", "info"]).code() == Some(0) {
        let (findings, _) = place.verified();
        assert!(was_damaged || findings.is_empty(), "{at}: {findings:?}");
    } else {
        assert!(at.contains(" create."), "{at}: the store does not open");
    }
    let again = place.run(scenario.arguments);
    assert!(again.status.success(), "{at}: {again:?}");
    assert_eq!((scenario.result)(place, &again), expected, "{at}");
    let (findings, _) = place.verified();
    assert!(findings.is_empty(), "{at}: {findings:?}");
    let left = place.emptied();
    assert!(left.is_empty(), "{at}: {left:?}");
    let (findings, notes) = place.verified();
    let notes: Vec<_> = notes.into_iter().filter(|note| !note.starts_with("quarantined-file")).collect();
    assert!(findings.is_empty() && notes.is_empty(), "{at}: {findings:?} {notes:?}");
    if !scenario.may_quarantine {
        assert_eq!(dlstore_kit::names(&place.store().join("quarantine")), Vec::<String>::new(), "{at}");
    }
}

#[test]
fn an_add_killed_at_any_point_is_finished_by_the_next() {
    let passed = killed_everywhere(&ADD);
    let large = Scenario { prepare: with_large, ..ADD };
    let place = place!();
    (large.prepare)(&place);
    let mut command = place.command(large.arguments);
    command.env(stop::VARIABLE, "reserve.made");
    assert_eq!(finish(command).signal(), Some(6), "a large add sets a reserve aside");
    let whole = place!();
    (large.prepare)(&whole);
    let expected = trees(&whole, &whole.run(large.arguments).ok());
    sound_and_finishing(&place, &large, &expected, "a large add at reserve.made");
    assert_eq!(missing(&passed), ["publish.quarantined"], "and gc.*, which add never passes");
}

/// Points that neither were passed nor belong to the collector, a rebuild or a change of format.
fn missing(passed: &BTreeSet<&str>) -> Vec<&'static str> {
    let others = ["gc.", "journal.written", "journal.compacted", "rebuild.", "migrate."];
    let is_others = |point: &&str| others.iter().any(|other| point.starts_with(other));
    stop::POINTS.iter().copied().filter(|point| !is_others(point) && !passed.contains(point)).collect()
}

#[test]
fn a_compose_killed_at_any_point_is_finished_by_the_next() {
    let passed = killed_everywhere(&COMPOSE);
    assert_eq!(missing(&passed), ["publish.quarantined"]);
}

#[test]
fn a_compose_killed_while_it_heals_is_finished_by_the_next() {
    let passed = killed_everywhere(&HEAL);
    assert!(passed.contains("publish.quarantined"), "{passed:?}");
}

#[test]
fn a_collection_killed_at_any_point_is_finished_by_the_next() {
    let passed = killed_everywhere(&GC);
    let expected: BTreeSet<&str> = stop::POINTS.iter().copied().filter(|point| point.starts_with("gc.")).collect();
    assert_eq!(
        passed.difference(&BTreeSet::from(["journal.written", "journal.compacted"])).copied().collect::<BTreeSet<_>>(),
        expected
    );
}
