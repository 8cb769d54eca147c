//! Answers in JSON, held against the tables of `docs/commands.md`: no key that is not there.
//!
//! That the tables are what the program's own reports say is a test beside those (`src/command/schema.rs`). Here the
//! program runs over a store that has a bit of everything.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::Value;

use dlstore_formats::package::fixture::DebBuilder;
use dlstore_kit::{Place, packages, place, workspace};

/// Keys and shapes of each table of the page, in its order.
fn tables() -> Vec<BTreeMap<String, String>> {
    let page = fs::read_to_string(workspace::own("docs/commands.md")).unwrap();
    let mut tables = Vec::new();
    for section in page.split("| key | shape | |\n|---|---|---|\n").skip(1) {
        let rows = section.lines().take_while(|line| line.starts_with("| `"));
        let row = |line: &str| {
            let cells: Vec<&str> = line.split(" | ").collect();
            (cells[0].trim_start_matches("| ").trim_matches('`').to_owned(), cells[1].to_owned())
        };
        tables.push(rows.map(row).collect());
    }
    tables
}

/// The shape of a value, in the words of the page.
fn shape(value: &Value, wanted: &str) -> bool {
    let wanted = wanted.trim_end_matches(", or absent");
    if value.is_null() {
        return wanted.ends_with(" or null");
    }
    match wanted.trim_end_matches(" or null") {
        "text" => value.is_string(),
        "number" => value.is_u64(),
        "true or false" => value.is_boolean(),
        "date" => value.as_str().is_some_and(|text| humantime::parse_rfc3339(text).is_ok()),
        "list" => value.is_array(),
        "list of texts" => value.as_array().is_some_and(|list| list.iter().all(Value::is_string)),
        "list of numbers" => value.as_array().is_some_and(|list| list.iter().all(Value::is_u64)),
        "object" => value.is_object(),
        "object of texts" => value.as_object().is_some_and(|map| map.values().all(Value::is_string)),
        other => panic!("the page has a shape {other:?}"),
    }
}

/// Compares an answer with a table, and takes note of the keys that it has.
fn compare(value: &Value, before: &str, table: &BTreeMap<String, String>, seen: &mut BTreeSet<String>) {
    for (name, value) in value.as_object().unwrap() {
        let key = format!("{before}{name}");
        let wanted = table.get(&key).unwrap_or_else(|| panic!("`{key}` is not on the page"));
        assert!(shape(value, wanted), "`{key}` should be {wanted}: {value}");
        seen.insert(key.clone());
        match (value, wanted.as_str()) {
            (Value::Array(list), "list" | "list, or absent") => {
                for one in list {
                    compare(one, &format!("{key}[]."), table, seen);
                }
            }
            (Value::Object(_), "object" | "object or null") => compare(value, &format!("{key}."), table, seen),
            _ => {}
        }
    }
}

/// A store with packages of both formats, a layer, a broken definition and something to complain about.
fn prepared() -> Place {
    let place = place!();
    let library = dlstore_kit::elf::library("amd64", "libown.so.1", &[]);
    let one = packages::deb("one", 1, "amd64").file("usr/lib/libown.so.1", &library, 0o644);
    place.package("good/one.deb", &one.build());
    place.package("good/two.apk", &packages::apk("two", 3, "x86_64").build());
    place.package("bad.deb", b"no package");
    place.image(
        "app",
        "schema = 1\nextends = \"static\"\nformat = \"deb\"\npackages = [\"one\"]\nenv = { A = \"b\" }\n",
    );
    place.image("broken", "schema = 1\npackage = [\"one\"]\n");
    place
}

#[test]
fn the_date_that_is_said_is_the_one_in_the_image() {
    let place = place!();
    let mut command = place.command(["compose", "static", "--arch", "amd64", "--date", "env", "--json"]);
    command.env("SOURCE_DATE_EPOCH", "86400");
    let answer: Value = serde_json::from_str(&dlstore_kit::finish(command).ok().out).unwrap();
    let (_, config) = dlstore_kit::Layout(place.project().join("out/static")).image("embedded", "amd64");
    assert_eq!(
        (&answer["images"][0]["created"], &config["created"]),
        (&"1970-01-02T00:00:00Z".into(), &"1970-01-02T00:00:00Z".into())
    );
    let plain = place.json(&["compose", "static", "--arch", "amd64"]);
    let (_, config) = dlstore_kit::Layout(place.project().join("out/static")).image("embedded", "amd64");
    assert_eq!(plain["images"][0]["created"], config["created"]);
}

#[test]
fn no_answer_has_a_key_that_is_not_on_the_page_and_each_of_the_page_is_in_one() {
    let place = prepared();
    let tables = tables();
    let mut seen: Vec<BTreeSet<String>> = vec![BTreeSet::new(); tables.len()];
    let mut check = |at: usize, arguments: &[&str]| {
        let done = place.run(arguments.iter().chain(&["--json"]));
        let mut answer: Value = serde_json::from_str(&done.out).unwrap_or_else(|_| panic!("{arguments:?}: {done:?}"));
        assert_eq!(answer.as_object_mut().unwrap().remove("schema"), Some(1.into()), "{arguments:?}");
        compare(&answer, "", &tables[at], &mut seen[at]);
    };
    check(0, &["compose", "app", "--arch", "amd64"]);
    check(2, &["add", "../packages/good", "../packages/bad.deb"]);
    check(2, &["add", "../packages/good"]);
    check(3, &["compose", "app", "broken", "--keep-going", "--arch", "amd64", "--from", "store", "-o", "oci:out"]);
    check(4, &["compose", "app", "broken", "--keep-going", "--dry-run", "--arch", "amd64", "--from", "store"]);
    check(5, &["list"]);
    check(6, &["list", "--images"]);
    check(7, &["show", "one"]);
    check(8, &["show", "app"]);
    check(10, &["files", "app", "--arch", "amd64", "--from", "store"]);
    check(10, &["files", "one"]);
    check(11, &["tree", "app", "--arch", "amd64", "--from", "store"]);
    check(11, &["tree", "one", "--depth", "1"]);
    check(9, &["show", "oci:out"]);
    check(12, &["diff", "oci:out", "static", "--arch", "amd64"]);
    check(12, &["diff", "one", "app", "--arch", "amd64", "--from", "store"]);
    check(13, &["needs", "/bin/true", "no-such-file"]);
    check(14, &["store", "init"]);
    check(15, &["store", "info"]);
    // An orphan, a leftover stage, a root that is old, and a damaged object.
    fs::write(place.store().join("packs").join("0".repeat(64)), b"orphan").unwrap();
    let index = place.index();
    index.execute("UPDATE root SET set_at = 1, used_at = 1 WHERE name LIKE 'image/%'", []).unwrap();
    index.execute("UPDATE package SET entries = entries + 1 WHERE name = 'two'", []).unwrap();
    drop(index);
    check(16, &["store", "verify", "--full"]);
    // The source of what is damaged stays.
    check(19, &["store", "gc", "--dry-run", "--drop-sources", "--grace", "0"]);
    check(16, &["store", "verify", "--repair"]);
    check(19, &["store", "gc", "--dry-run", "--older-than", "1d", "--grace", "0", "--quarantine"]);
    check(18, &["store", "gc", "--older-than", "1d", "--grace", "0", "--quarantine"]);
    check(20, &["store", "roots", "list"]);
    check(21, &["store", "roots", "add", "mine", "one"]);
    check(22, &["store", "roots", "remove", "mine"]);
    fs::remove_file(place.store().join("index.db")).unwrap();
    check(17, &["store", "rebuild"]);
    let done = place.run(["store", "verify", "--progress", "json"]);
    for line in done.err.lines().filter(|line| line.starts_with('{')) {
        compare(&serde_json::from_str(line).unwrap(), "", &tables[1], &mut seen[1]);
    }

    // What takes an engine, a device or a file that cannot be removed to be seen; its row is held by the other test.
    let unseen = |at: usize, key: &str| match at {
        3 => key.starts_with("loaded[]."),
        10 => key.ends_with(".device"),
        18 => key.starts_with("findings[]."),
        19 => key.starts_with("quarantined[].") || key.starts_with("objects[].") || key.starts_with("orphans[]."),
        _ => false,
    };
    for (at, (table, seen)) in tables.iter().zip(&seen).enumerate() {
        let missing: Vec<&String> = table.keys().filter(|key| !seen.contains(*key) && !unseen(at, key)).collect();
        assert_eq!(missing, Vec::<&String>::new(), "table {at}: no answer had these");
    }
}

#[test]
fn a_command_that_fails_answers_in_json_with_what_people_read() {
    let place = place!();
    place.image("app", "schema = 1\nformat = \"deb\"\npackages = [\"one\"]\n");
    let tables = tables();
    let absent: &[&str] = &["add", "absent.deb"];
    for (arguments, has_hint, code) in [
        (&["list"][..], true, 1),
        (absent, false, 1),
        (&["compose", "app", "--arch", "amd64"], true, 1),
        (&["compose", "static", "-o", "out"], true, 2),
        (&["compose", "static", "--arch", "z80"], false, 2),
        (&["show", "static:embeded"], false, 2),
        (&["store", "roots", "remove", "mine"], false, 1),
        // What clap says.
        (&["compose"], false, 2),
        (&["compose", "static", "--kep-going"], true, 2),
        (&["lst"], true, 2),
        // A word that looks like a flag is no value of any command.
        (&["compose", "static", "--nope"], false, 2),
        (&["list", "--jobs", "0"], false, 2),
    ] {
        let done = place.run(arguments.iter().chain(&["--json"]));
        let answer: Value = serde_json::from_str(&done.out).unwrap_or_else(|_| panic!("{arguments:?}: {done:?}"));
        let mut error = answer.clone();
        assert_eq!(error.as_object_mut().unwrap().remove("schema"), Some(1.into()), "{arguments:?}");
        compare(&error, "", &tables[0], &mut BTreeSet::new());
        let error = &answer["error"];
        assert_eq!((done.code(), &error["exit_code"]), (Some(code), &code.into()), "{done:?}");
        // clap lists what is missing in lines of its own.
        let message = error["message"].as_str().unwrap();
        assert!(message.starts_with(done.lines("error:")[0]) && !message.contains('\n'), "{done:?}");
        let causes: Vec<&str> = error["causes"].as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect();
        assert_eq!(causes, done.lines("cause:"), "{done:?}");
        let hints = done.lines("hint:");
        assert_eq!(error["hint"].as_str().into_iter().collect::<Vec<_>>(), hints, "{done:?}");
        assert_eq!(!hints.is_empty(), has_hint, "{done:?}");
        let plain = place.run(arguments);
        assert_eq!((plain.code(), plain.out.as_str(), &plain.err), (Some(code), "", &done.err), "{arguments:?}");
    }
    let mut command = place.command(["list", "--json"]);
    command.env("DLSTORE_LOG", "dlstore=loud");
    let answer: Value = serde_json::from_str(&dlstore_kit::finish(command).out).unwrap();
    assert_eq!(answer["error"]["exit_code"], 2, "{answer}");
    let done = place.run(["compose", "static", "-o", "oci-archive:-", "--json"]);
    assert!(done.out.starts_with("{\n  \"schema\": 1,\n  \"error\""), "an answer, and no archive: {done:?}");
    let done = place.run(["list", "--", "--json"]);
    assert_eq!(done.out, "", "behind `--` it is the name of a package: {done:?}");
}

#[test]
fn what_a_command_wrote_is_named_in_its_answer() {
    let place = place!();
    let deb = place.package("one.deb", &packages::deb("one", 1, "amd64").build());
    let store = place.store().to_str().unwrap().to_owned();
    for (arguments, is_new) in [
        (&["store", "init"][..], Some(true)),
        (&["store", "init"], Some(false)),
        (&["add", deb.to_str().unwrap()], None),
        (&["compose", "static", "--arch", "amd64"], None),
        (&["store", "roots", "add", "mine", "one"], None),
        (&["store", "roots", "remove", "mine"], None),
        (&["store", "verify", "--repair"], None),
        (&["store", "gc"], None),
        (&["store", "rebuild"], None),
    ] {
        let answer = place.json(arguments);
        assert_eq!((&answer["store"], answer["is_new"].as_bool()), (&store.as_str().into(), is_new), "{arguments:?}");
    }
    let composed = place.json(&["compose", "static", "--arch", "amd64"]);
    assert_eq!(composed["outputs"], serde_json::json!(["oci:out/static:embedded"]));
}

#[test]
fn a_tree_has_the_sizes_in_json_that_it_has_as_text() {
    let place = place!();
    let deb = DebBuilder::new("one", "1", "amd64").file("opt/a/b/c", &[7; 300], 0o644).file("opt/d", &[7; 20], 0o644);
    let deb = place.package("one.deb", &deb.build());
    place.ok(["add".as_ref(), deb.as_os_str()]);
    for depth in ["0", "1", "2", "3", "9"] {
        let arguments = ["tree", "one", "--depth", depth];
        let text = place.ok(arguments);
        let sizes: Vec<&str> = text.lines().map(|line| line[..9].trim()).collect();
        let answer = place.json(&arguments);
        let [tree] = answer["trees"].as_array().unwrap().as_slice() else { panic!("{answer}") };
        let entries = tree["entries"].as_array().unwrap();
        let said = std::iter::once(tree).chain(entries).map(|one| format!("{} B", one["size"])).collect::<Vec<_>>();
        assert_eq!(said, sizes, "{answer}\n{text}");
    }
    let answer = place.json(&["tree", "one"]);
    let entries = answer["trees"][0]["entries"].as_array().unwrap();
    let of =
        |path: &str| entries.iter().find(|entry| entry["path"] == path).unwrap_or_else(|| panic!("{path}: {answer}"));
    assert_eq!((&of("/opt")["size"], &of("/opt")["is_directory"]), (&320.into(), &true.into()));
    assert_eq!((&of("/opt/d")["size"], &of("/opt/d")["is_directory"]), (&20.into(), &false.into()));
    assert!(entries.iter().all(|entry| entry["path"] != "/opt/a/b/c"), "three levels: {answer}");
}
