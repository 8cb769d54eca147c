//! Progress: what is told of the steps of a command, to whom, and how often.

use serde_json::{Value, json};

use dlstore_kit::{Done, Place, finish, packages, place};

/// A project of two images, and three packages.
fn prepared() -> Place {
    let place = place!();
    for name in ["one", "two", "three"] {
        place.package(&format!("{name}.deb"), &packages::deb(name, 1, "amd64").build());
    }
    for name in ["a", "b"] {
        place.image(name, &format!("schema = 1\nextends = \"static\"\nfiles.\"/{name}\" = {{ content = \"\" }}\n"));
    }
    place
}

/// Commands that take a while where there is much, in an order in which each has something to do, with what they say that
/// they do.
const COMMANDS: [(&[&str], &[&str]); 6] = [
    (&["add", "../packages"], &["adding"]),
    (&["compose", "a", "b", "--arch", "amd64"], &["composing"]),
    (&["store", "verify"], &["verifying"]),
    (&["store", "verify", "--full"], &["verifying"]),
    (&["store", "rebuild"], &["hashing", "decoding"]),
    (&["store", "gc", "--older-than", "1d", "--grace", "0"], &["deleting"]),
];

/// Runs each of the commands with some flags and a variable, in a place of its own, of which the name is taken out.
fn run_all(flags: &[&str], variable: Option<(&str, &str)>) -> Vec<Done> {
    let place = prepared();
    let run = |(command, _): &(&[&str], &[&str])| {
        if command.contains(&"gc") {
            place.index().execute("UPDATE root SET set_at = 1, used_at = 1", []).unwrap();
        }
        let mut command = place.command(command.iter().chain(flags));
        command.envs(variable);
        let mut done = finish(command).ok();
        done.err = done.err.replace(place.path().file_name().unwrap().to_str().unwrap(), "PLACE");
        done
    };
    COMMANDS.iter().map(run).collect()
}

/// Lines of stderr but for the times in them.
fn timeless(done: &Done) -> Vec<&str> {
    done.err.lines().map(|line| line.split(" in 0.").next().unwrap()).collect()
}

#[test]
fn a_plain_line_is_said_for_each_step() {
    for ((command, verbs), done) in COMMANDS.iter().zip(run_all(&["--progress", "plain"], None)) {
        for verb in *verbs {
            let steps: Vec<(usize, Option<usize>)> = done
                .err
                .lines()
                .filter_map(|line| line.strip_prefix(verb)?.strip_prefix(' '))
                .map(|rest| {
                    let (counts, name) = rest.split_once(' ').unwrap();
                    assert!(!name.is_empty(), "{done:?}");
                    let (done, total) = counts.split_once('/').unzip();
                    (done.unwrap_or(counts).parse().unwrap(), total.map(|total| total.parse().unwrap()))
                })
                .collect();
            assert!(!steps.is_empty() && steps.is_sorted(), "{command:?}: {done:?}");
            assert!(steps.iter().all(|(done, total)| total.is_none_or(|total| *done <= total)), "{done:?}");
            // What is only counted is told by tenths, of which the last is the end.
            assert!(*verb != "verifying" || steps.len() <= 10, "{done:?}");
            let (last, total) = steps[steps.len() - 1];
            assert!(*verb == "deleting" || total.is_none_or(|total| last == total), "{done:?}");
        }
    }
}

#[test]
fn each_step_is_an_object_for_a_program_that_shows_it() {
    let plain = run_all(&["--progress", "none"], None);
    let objects = |done: &Done| -> Vec<Value> {
        let lines = done.err.lines().filter(|line| line.starts_with('{'));
        lines.map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect()
    };
    let all = run_all(&["--progress", "json"], None);
    for (((_, verbs), done), plain) in COMMANDS.iter().zip(&all).zip(&plain) {
        let mut said: Vec<String> = objects(done).iter().map(|one| one["verb"].as_str().unwrap().to_owned()).collect();
        said.dedup();
        assert_eq!(&said, verbs, "{done:?}");
        // Whatever else is said is said as ever, and so is the result.
        let others: Vec<&str> = timeless(done).into_iter().filter(|line| !line.starts_with('{')).collect();
        assert_eq!((done.out.as_str(), others), (plain.out.as_str(), timeless(plain)));
    }
    let mut composed = objects(&all[1]);
    composed.sort_by_key(|one| one["name"].to_string());
    let mut counts: Vec<Value> = composed.iter_mut().map(|one| one["done"].take()).collect();
    counts.sort_by_key(Value::to_string);
    let image = |name: &str| json!({"reason": "progress", "verb": "composing", "done": null, "total": 2, "name": name});
    assert_eq!((composed, counts), (vec![image("a"), image("b")], vec![1.into(), 2.into()]));
    assert_eq!(
        objects(&all[4])[0]["total"],
        Value::Null,
        "how many files there are is not known while they are hashed"
    );
}

#[test]
fn nobody_who_did_not_ask_is_told_of_steps_and_a_log_is_not_flooded() {
    let none = run_all(&["--progress", "none"], None);
    for (flags, variable) in
        [(&[][..], None), (&[], Some(("CI", "true"))), (&["--progress", "auto"], Some(("CI", "false")))]
    {
        for (done, none) in run_all(flags, variable).iter().zip(&none) {
            assert_eq!((&done.out, timeless(done)), (&none.out, timeless(none)), "{flags:?} {variable:?}");
        }
    }
    for kind in ["auto", "plain", "json", "none"] {
        for (done, none) in run_all(&["-q", "--progress", kind], Some(("CI", "true"))).iter().zip(&none) {
            assert_eq!((&done.out, done.err.as_str()), (&none.out, ""), "{kind}");
        }
    }
}

#[test]
fn packages_that_are_added_while_an_image_is_composed_are_told_and_count_for_nothing() {
    let place = prepared();
    place.image("c", "schema = 1\nformat = \"deb\"\npackages = [\"one\", \"two\", \"three\"]\n");
    let compose = ["compose", "c", "--arch", "amd64", "--from", "../packages", "--progress"];
    let done = place.run([&compose[..], &["plain"]].concat()).ok();
    let mut told: Vec<&str> = done.err.lines().filter(|line| line.starts_with("composing ")).collect();
    assert_eq!(told.pop(), Some("composing 1/1 c"));
    told.sort_unstable();
    assert_eq!(told, ["one", "three", "two"].map(|name| format!("composing 0/1 ../packages/{name}.deb")));
    let done = place.run([&compose[..], &["json"]].concat()).ok();
    let told: Vec<Value> = done.err.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let last = json!({ "reason": "progress", "verb": "composing", "done": 1, "total": 1, "name": "c" });
    assert_eq!(told.last(), Some(&last));
    assert!(told.iter().rev().skip(1).all(|event| event["done"] == 0), "{told:?}");
}
