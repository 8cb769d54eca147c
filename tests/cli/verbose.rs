//! `-v`, `-vv` and `DLSTORE_LOG`: what is going on, a line for each package and layer.

use dlstore_kit::{Done, Place, finish, packages, place};

/// Lines of stderr, sorted, without how long things took.
fn lines(done: &Done) -> Vec<String> {
    let mut lines: Vec<String> =
        done.err.lines().map(|line| line.split(" in 0.").next().unwrap().trim().to_owned()).collect();
    lines.sort();
    lines
}

/// Lines that begin with a word, sorted, without the size behind them, which must be there.
fn said<'d>(done: &'d Done, word: &str) -> Vec<&'d str> {
    let lines = done.err.lines().filter_map(|line| line.strip_prefix(word)?.strip_prefix(' '));
    let mut found: Vec<&str> =
        lines.filter_map(|line| line.strip_suffix("B)")?.rsplit_once(" (")).map(|one| one.0).collect();
    found.sort_unstable();
    found
}

fn with_image() -> Place {
    let place = place!();
    place.package("one.deb", &packages::deb("one", 1, "amd64").build());
    place.package("two.deb", &packages::deb("two", 2, "amd64").build());
    place.image("app", "schema = 1\nextends = \"static\"\nformat = \"deb\"\npackages = [\"one\", \"two\"]\n");
    place
}

#[test]
fn verbose_says_a_line_for_each_package_and_each_layer() {
    let place = with_image();
    let compose = ["compose", "app", "--arch", "amd64", "--layers", "package", "--from", "../packages"];
    let first = place.run(compose.iter().chain(&["-v"])).ok();
    assert_eq!(said(&first, "added"), ["one 1.1-1 amd64", "two 1.2-1 amd64"], "{first:?}");
    let place_json = place.json(&compose);
    let layers = place_json["images"][0]["platforms"][0]["layers"].as_array().unwrap();
    let mut wanted: Vec<String> = layers
        .iter()
        .map(|layer| {
            format!("layer {} {}", &layer["digest"].as_str().unwrap()[7..19], layer["title"].as_str().unwrap())
        })
        .collect();
    wanted.sort();
    let mut made = [said(&first, "made"), said(&first, "reused")].concat();
    made.sort_unstable();
    assert_eq!(made, wanted, "{first:?}");
    assert!(!said(&first, "made").is_empty(), "{first:?}");

    // All of it is known now, and each thing is said once.
    for from in ["../packages", "store"] {
        let again = place.run(compose[..6].iter().chain(&["--from", from, "-v"])).ok();
        assert_eq!(said(&again, "known"), ["one 1.1-1 amd64", "two 1.2-1 amd64"], "{again:?}");
        assert_eq!(
            (said(&again, "reused"), said(&again, "made")),
            (wanted.iter().map(String::as_str).collect(), vec![])
        );
    }
    assert!(!first.err.contains('\x1b'), "no colours off a terminal");
}

#[test]
fn add_says_what_was_added_what_was_known_and_what_was_healed() {
    let place = with_image();
    let first = place.run(["add", "../packages", "-v"]).ok();
    assert_eq!(said(&first, "added"), ["one 1.1-1 amd64", "two 1.2-1 amd64"]);
    let again = place.run(["add", "../packages/one.deb", "-v"]).ok();
    assert_eq!((said(&again, "known"), said(&again, "added")), (vec!["one 1.1-1 amd64"], vec![]));
    // A row that is damaged is made again by whoever needs it.
    let index = place.index();
    assert_eq!(index.execute("UPDATE package SET entries = entries + 1 WHERE name = 'one'", []).unwrap(), 1);
    drop(index);
    let compose = ["compose", "app", "--arch", "amd64", "--from", "store", "-v"];
    assert_eq!(said(&place.run(compose).ok(), "healed"), ["one 1.1-1 amd64"]);
}

#[test]
fn without_being_asked_nothing_more_is_said_and_the_result_is_the_same() {
    let place = with_image();
    let compose = ["compose", "app", "--arch", "amd64", "--from", "../packages"];
    place.ok(compose);
    let plain = place.run(compose).ok();
    let with = |variable: &str, more: &[&str]| {
        let mut command = place.command(compose.iter().chain(more));
        command.env("DLSTORE_LOG", variable);
        finish(command)
    };
    let verbose = place.run(compose.iter().chain(&["-v"])).ok();
    assert_eq!(plain.out, verbose.out);
    let (plain_lines, verbose_lines) = (lines(&plain), lines(&verbose));
    assert!(plain_lines.iter().all(|line| verbose_lines.contains(line)), "{plain:?}\n{verbose:?}");
    assert_eq!((said(&plain, "known"), said(&plain, "reused")), (vec![], vec![]), "{plain:?}");
    assert_eq!(lines(&with("", &[])), plain_lines, "an empty variable is none");
    assert_eq!(said(&with("dlstore=info", &[]).ok(), "known").len(), 2, "the variable asks for it too");
    assert_eq!(with("dlstore=trace", &["-q"]).ok().err, "", "-q says nothing whatever the variable says");
    let bad = with("dlstore=loud", &[]);
    assert_eq!((bad.code(), bad.out.as_str()), (Some(2), ""), "{bad:?}");
    assert!(bad.lines("error:")[0].starts_with("DLSTORE_LOG=\"dlstore=loud\" cannot be read"), "{bad:?}");
}

#[test]
fn verbose_says_the_same_in_the_same_order_each_time() {
    let once = || {
        let place = place!();
        for number in 0..12 {
            let name = format!("p{number}");
            place.package(&format!("{name}.deb"), &packages::deb(&name, 12 - number, "amd64").build());
        }
        let done = place.run(["add", "../packages", "-v", "--jobs", "8"]).ok();
        done.err.lines().filter(|line| line.starts_with("added p")).map(str::to_owned).collect::<Vec<_>>()
    };
    let first = once();
    assert_eq!(first.len(), 12, "{first:?}");
    for _ in 0..3 {
        assert_eq!(once(), first);
    }
}

#[test]
fn layers_of_images_that_are_composed_side_by_side_are_said_once_and_in_order() {
    let once = || {
        let place = with_image();
        place.image("more", "schema = 1\nextends = \"static\"\nfiles.\"/x\" = { content = \"x\" }\n");
        let done =
            place.run(["compose", "static", "app", "more", "--arch", "amd64", "--from", "../packages", "-v"]).ok();
        let layer = |line: &&str| line.starts_with("made layer ") || line.starts_with("reused layer ");
        done.err.lines().filter(layer).map(str::to_owned).collect::<Vec<_>>()
    };
    let first = once();
    let mut digests: Vec<&str> = first.iter().map(|line| line.split(' ').nth(2).unwrap()).collect();
    digests.sort_unstable();
    digests.dedup();
    assert_eq!(digests.len(), first.len(), "each once: {first:?}");
    assert!(first.len() >= 4 && first.iter().all(|line| line.starts_with("made ")), "{first:?}");
    assert_eq!(once(), first);
    assert_eq!(once(), first);
}

#[test]
fn verbose_twice_says_steps_and_the_time() {
    let place = with_image();
    let done = place.run(["add", "../packages", "-vv"]).ok();
    let of_log: Vec<&str> =
        done.err.lines().filter(|line| line.contains(" s info ") || line.contains(" s debug ")).collect();
    assert!(of_log.iter().any(|line| line.contains("debug dlstore_ingest::add: decoding")), "{done:?}");
    for line in of_log {
        let (time, _) = line.trim().split_once(" s ").unwrap();
        assert!(time.parse::<f64>().is_ok(), "{line}");
    }
}

#[test]
fn names_of_others_cannot_steer_the_terminal_in_a_log() {
    let place = place!();
    let deb = place.package("evil\x1b[31m\n::error::x.deb", &packages::deb("one", 1, "amd64").build());
    let done = place.run(["add".as_ref(), deb.as_os_str(), "-vv".as_ref()]).ok();
    assert!(done.err.contains("decoding"), "{done:?}");
    assert!(!done.err.contains('\x1b') && !done.err.lines().any(|line| line.starts_with("::")), "{done:?}");
}

#[test]
fn a_dry_run_adds_nothing_and_does_not_say_so() {
    let place = with_image();
    let dry = ["compose", "app", "--arch", "amd64", "--from", "../packages", "--dry-run", "-v"];
    let done = place.run(dry).ok();
    assert_eq!(
        (said(&done, "read"), said(&done, "added")),
        (vec!["one 1.1-1 amd64", "two 1.2-1 amd64"], vec![]),
        "{done:?}"
    );
    assert_eq!(place.ok(["list"]), "");
}
