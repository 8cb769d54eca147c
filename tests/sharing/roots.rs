//! What keeps images and packages: none lets go of another's result.

use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use dlstore_kit::{Place, finish, packages, place, snapshot};

const DAY: u64 = 86_400;

const APP: &str = "schema = 1\nextends = \"static\"\nfiles.\"/app\" = { content = \"of the first\" }\n";

fn root_names(place: &Place, kind: &str) -> Vec<String> {
    let names = place.ok(["store", "roots", "list"]);
    names.lines().filter(|name| name.starts_with(kind)).map(ToOwned::to_owned).collect()
}

/// Composes in a directory and says how many layers had to be made.
fn made(place: &Place, directory: &Path, arguments: &[&str]) -> u64 {
    let mut command = place.command(["compose"].iter().chain(arguments).chain(&["--json"]));
    command.current_dir(directory);
    let answer: serde_json::Value = serde_json::from_str(&finish(command).ok().out).unwrap();
    answer["images"][0]["layers"]["made"].as_u64().unwrap()
}

/// A path as a root's name has it.
fn word(path: &Path) -> String {
    path.to_str().unwrap().replace('/', "%2F")
}

#[test]
fn two_projects_with_one_image_name_keep_both() {
    let place = place!();
    place.image("app", APP);
    let other = place.path().join("other");
    fs::create_dir_all(other.join("images/app")).unwrap();
    fs::write(other.join("images/app/image.toml"), APP.replace("first", "second")).unwrap();
    for directory in [&place.project(), &other] {
        assert!(made(&place, directory, &["app", "--arch", "amd64"]) > 0);
    }
    let named = |path: &Path| format!("image/app/default/amd64/{}", word(&path.canonicalize().unwrap()));
    let mut names = vec![named(&place.project()), named(&other)];
    names.sort();
    assert_eq!(root_names(&place, "image/"), names);
    place.ok(["store", "gc", "--grace", "0"]);
    for directory in [&place.project(), &other] {
        assert_eq!(made(&place, directory, &["app", "--arch", "amd64"]), 0, "{directory:?}");
    }
}

#[test]
fn jobs_of_a_matrix_and_other_flags_keep_their_results() {
    let place = place!();
    let jobs: [&[&str]; 6] = [
        &["static", "--arch", "amd64"],
        &["static", "--arch", "arm64"],
        &["static", "--arch", "arm64,amd64"],
        &["static", "--arch", "all"],
        &["static", "--arch", "amd64", "--layers", "flat"],
        &["static", "--arch", "amd64", "--layers", "flat", "--compression", "zstd"],
    ];
    for job in jobs {
        made(&place, &place.project(), job);
    }
    let dated = ["compose", "static", "--arch", "amd64", "--date", "env"];
    finish({
        let mut command = place.command(dated);
        command.env("SOURCE_DATE_EPOCH", "1000");
        command
    })
    .ok();
    let names = ["all", "amd64", "amd64+arm64", "amd64+date", "amd64+flat", "amd64+flat+zstd", "arm64"];
    let mut names: Vec<String> = names.iter().map(|name| format!("image/static/embedded/{name}")).collect();
    names.sort();
    assert_eq!(root_names(&place, "image/"), names);
    place.ok(["store", "gc", "--grace", "0"]);
    for job in jobs {
        assert_eq!(made(&place, &place.project(), job), 0, "{job:?}");
    }
}

#[test]
fn a_project_says_its_name_in_the_definition_or_once_for_all() {
    let place = place!();
    place.image("app", APP);
    place.image("own", &APP.replace("schema = 1\n", "schema = 1\nproject = \"acme/own\"\n"));
    place.project_file("dlstore.toml", b"schema = 1\nproject = \"acme\"\n");
    for name in ["app", "own", "static"] {
        place.ok(["compose", name, "--arch", "amd64"]);
    }
    let names = ["image/app/default/amd64/acme", "image/own/default/amd64/acme%2Fown", "image/static/embedded/amd64"];
    assert_eq!(root_names(&place, "image/"), names);
    for (text, sentence) in [
        ("project = \"acme\"\n", "a definition must begin with `schema = 1`"),
        ("schema = 1\nprojekt = \"acme\"\n", "unknown key `projekt`"),
        ("schema = 1\nproject = \" \"\n", "a project's name must have 1 to 100 characters"),
    ] {
        place.project_file("dlstore.toml", text.as_bytes());
        let done = place.run(["compose", "app", "--arch", "amd64"]);
        assert!(done.code() == Some(1) && done.err.contains(sentence) && done.err.contains("dlstore.toml"), "{done:?}");
        place.ok(["compose", "own", "--arch", "amd64"]);
    }
}

#[test]
fn a_project_name_changes_no_digest() {
    let place = place!();
    place.image("app", APP);
    let plain = place.ok(["compose", "app", "--arch", "amd64"]);
    place.image("app", &APP.replace("schema = 1\n", "schema = 1\nproject = \"acme\"\n"));
    assert_eq!(place.ok(["compose", "app", "--arch", "amd64"]), plain);
}

#[test]
fn a_second_source_of_a_version_keeps_the_first() {
    let place = place!();
    for (file, text) in [("a.deb", "one"), ("b.deb", "another")] {
        let deb = packages::deb("one", 1, "amd64").file("usr/share/one/more", text.as_bytes(), 0o644);
        let path = place.package(file, &deb.build());
        place.ok(["add".as_ref(), path.as_os_str()]);
    }
    let names = root_names(&place, "package/");
    assert_eq!(names.len(), 2, "{names:?}");
    assert!(names.iter().all(|name| name.starts_with("package/deb/one/1.1-1/amd64/")), "{names:?}");
    place.ok(["store", "gc", "--grace", "0"]);
    assert_eq!(place.json(&["list"])["packages"].as_array().unwrap().len(), 2);
}

#[test]
fn adding_again_roots_again() {
    let place = place!();
    let deb = place.package("one.deb", &packages::deb("one", 1, "amd64").build());
    let add = ["add".as_ref(), deb.as_os_str()];
    place.ok(add);
    let names = root_names(&place, "package/");
    let roots = place.json(&["store", "roots", "list"]);
    place.ok(["store", "roots", "remove", &names[0]]);
    place.ok(add);
    assert_eq!(place.json(&["store", "roots", "list"])["roots"][0]["keeps"], roots["roots"][0]["keeps"]);
    place.ok(["store", "gc", "--grace", "0"]);
    assert_eq!(place.json(&["list"])["packages"].as_array().unwrap().len(), 1);
    assert!(place.ok(add).contains("known"));
}

/// Lets every root look as if it was set and used some days ago.
fn age(place: &Place, days: u64) {
    let then = now() - days * DAY;
    let index = place.index();
    index.execute("UPDATE root SET set_at = ?1, used_at = ?1", [then.cast_signed()]).unwrap();
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn uses(place: &Place) -> Vec<u64> {
    let roots = place.json(&["store", "roots", "list"]);
    let used = roots["roots"].as_array().unwrap().iter().map(|root| root["used_at"].as_str().unwrap());
    let seconds = |used| humantime::parse_rfc3339(used).unwrap().duration_since(UNIX_EPOCH).unwrap().as_secs();
    used.map(seconds).collect()
}

#[test]
fn a_use_is_noted_once_a_day_and_ages_count_from_it() {
    let place = place!();
    let deb = place.package("one.deb", &packages::deb("one", 1, "amd64").build());
    let add = || place.ok(["add".as_ref(), deb.as_os_str()]);
    let compose = || place.ok(["compose", "static", "--arch", "amd64"]);
    add();
    compose();
    // By now the file has settled, so that the next `add` remembers it, and the one behind that has nothing to write.
    std::thread::sleep(std::time::Duration::from_millis(2_200));
    age(&place, 30);
    add();
    compose();
    assert!(uses(&place).iter().all(|used| now() - used < 600), "{:?}", uses(&place));
    let before = snapshot(&place.store());
    add();
    compose();
    assert_eq!(snapshot(&place.store()), before, "a second hit on one day writes nothing");
    assert_eq!(place.json(&["store", "gc", "--older-than", "1d"])["roots"], 0);
    age(&place, 3);
    compose();
    let dry = place.json(&["store", "gc", "--dry-run", "--older-than", "2"]);
    let gone: Vec<&str> = dry["roots"].as_array().unwrap().iter().map(|root| root["name"].as_str().unwrap()).collect();
    assert!(gone.len() == 1 && gone[0].starts_with("package/deb/one/"), "{gone:?}");
    assert_eq!(place.json(&["store", "gc", "--older-than", "48h"])["roots"], 1);
    assert_eq!(root_names(&place, ""), ["image/static/embedded/amd64"]);
}

#[test]
fn a_root_that_is_used_between_plan_and_collection_stays() {
    use dlstore_store::{Access, GcOptions, Store};
    let place = place!();
    place.ok(["compose", "static", "--arch", "amd64"]);
    age(&place, 30);
    let store = Store::open(&place.store(), Access::Existing).unwrap();
    let options = GcOptions { older_than: Some(std::time::Duration::from_secs(DAY)), ..GcOptions::new(now()) };
    let plan = store.plan_gc(&options).unwrap();
    assert_eq!(plan.roots.len(), 1);
    place.ok(["compose", "static", "--arch", "amd64"]);
    assert_eq!(store.execute_gc(&plan).unwrap().roots, 0);
    assert_eq!(root_names(&place, "image/"), ["image/static/embedded/amd64"]);
}

#[test]
fn sizes_and_times_are_taken_as_people_write_them() {
    let place = place!();
    place.ok(["compose", "static", "--arch", "amd64"]);
    place.ok(["store", "gc", "--older-than", "7d", "--grace", "90m", "--keep-free", "10GB", "--max-freed", "1.5GiB"]);
    place.ok(["store", "gc", "--older-than", "7", "--grace", "0", "--keep-free", "0", "--max-freed", "1048576"]);
    for (flag, value, wanted) in [
        ("--older-than", "soon", "a time must be a number, or a number with s, m (minutes), h, d or w, such as 7d"),
        ("--grace", "-1", ""),
        ("--keep-free", "10G", "a size must be a number of bytes, or a number with kB, MB, GB"),
    ] {
        let done = place.run(["store", "gc", flag, value]);
        assert!(done.code() == Some(2) && done.err.contains(wanted), "{flag} {value}: {done:?}");
    }
}
