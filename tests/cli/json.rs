//! Answers in JSON, held against the tables of `docs/commands.md`: no key that is not there.
//!
//! That the tables are what the program's own reports say is a test beside those (`src/command/schema.rs`). Here the
//! program runs over a store that has a bit of everything.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::Value;

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
            (Value::Object(_), "object") => compare(value, &format!("{key}."), table, seen),
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
    check(0, &["add", "../packages/good", "../packages/bad.deb"]);
    check(0, &["add", "../packages/good"]);
    check(1, &["compose", "app", "broken", "--keep-going", "--arch", "amd64", "--from", "store", "-o", "oci:out"]);
    check(2, &["compose", "app", "broken", "--keep-going", "--dry-run", "--arch", "amd64", "--from", "store"]);
    check(3, &["list"]);
    check(4, &["list", "--images"]);
    check(5, &["show", "one"]);
    check(6, &["show", "app"]);
    check(7, &["files", "app", "--arch", "amd64", "--from", "store"]);
    check(7, &["files", "one"]);
    check(8, &["needs", "/bin/true", "no-such-file"]);
    check(9, &["store", "info"]);
    // An orphan, a leftover stage, a root that is old, and a damaged object.
    fs::write(place.store().join("packs").join("0".repeat(64)), b"orphan").unwrap();
    let index = place.index();
    index.execute("UPDATE root SET set_at = 1, used_at = 1 WHERE name LIKE 'image/%'", []).unwrap();
    index.execute("UPDATE package SET entries = entries + 1 WHERE name = 'two'", []).unwrap();
    drop(index);
    check(10, &["store", "verify", "--full"]);
    // The source of what is damaged stays.
    check(13, &["store", "gc", "--dry-run", "--drop-sources", "--grace", "0"]);
    check(10, &["store", "verify", "--repair"]);
    check(13, &["store", "gc", "--dry-run", "--older-than", "1d", "--grace", "0", "--quarantine"]);
    check(12, &["store", "gc", "--older-than", "1d", "--grace", "0", "--quarantine"]);
    check(14, &["store", "roots", "list"]);
    fs::remove_file(place.store().join("index.db")).unwrap();
    check(11, &["store", "rebuild"]);

    // What takes an engine, a device or a file that cannot be removed to be seen; its row is held by the other test.
    let unseen = |at: usize, key: &str| match at {
        1 => key.starts_with("loaded[]."),
        7 => key.ends_with(".device"),
        12 => key.starts_with("findings[]."),
        13 => key.starts_with("quarantined[].") || key.starts_with("objects[].") || key.starts_with("orphans[]."),
        _ => false,
    };
    for (at, (table, seen)) in tables.iter().zip(&seen).enumerate() {
        let missing: Vec<&String> = table.keys().filter(|key| !seen.contains(*key) && !unseen(at, key)).collect();
        assert_eq!(missing, Vec::<&String>::new(), "table {at}: no answer had these");
    }
}
