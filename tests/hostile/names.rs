//! Hostile names through every command that prints them.

use dlstore_formats::package::fixture::DebBuilder;
use serde_json::Value;

use dlstore_kit::{Done, place};

/// A terminal escape, a C1 control, a bidirectional override, a newline, characters that show nothing,
/// markdown, commands of CI services.
const NAMES: [&str; 11] = [
    "escape-\u{1b}[31mred",
    "c1-\u{9b}31m",
    "bidi-\u{202e}gnp.exe",
    "line-\nerror: forged",
    "return-\rover",
    "hidden-\u{200b}\u{feff}",
    "`code` [link](javascript:x) <b>|*_~",
    "tags-\u{e0041}\u{ad}\u{180e}\u{fff9}\u{2028}\u{fe0f}",
    "##[error]forged",
    "x-##vso[task.setvariable variable=x]y",
    "line-\n::set-env name=x::y",
];

fn assert_harmless(done: &Done, what: &str) {
    for text in [&done.out, &done.err] {
        let bad = text.chars().find(|c| *c != '\n' && dlstore_model::escape::is_hostile(*c));
        assert!(bad.is_none(), "{what}: {bad:?} in {text:?}");
        assert!(!text.lines().any(|line| line.starts_with("error: forged")), "{what}: {text}");
        assert!(!text.contains("##[") && !text.contains("##vso["), "{what}: {text}");
        assert!(!text.lines().any(|line| line.trim_start().starts_with("::")), "{what}: {text}");
    }
}

fn hostile() -> DebBuilder {
    let mut deb = DebBuilder::new("hostile", "1.0", "amd64").control_field("X-Text", "a\u{200b}b\u{202e}");
    for name in NAMES {
        deb = deb.file(&format!("usr/share/hostile/{name}"), b"x", 0o644);
        deb = deb.symlink(&format!("usr/share/hostile/to-{name}"), name);
    }
    deb
}

#[test]
fn hostile_paths_and_targets_steer_no_terminal_and_forge_no_line() {
    let place = place!();
    place.package("hostile.deb", &hostile().build());
    place.image("demo", "schema = 1\nformat = \"deb\"\npackages = [\"hostile\"]\nslim = false\n");
    for arguments in [
        &["add", "../packages"][..],
        &["add", "../packages", "--json", "-v"],
        &["list"],
        &["show", "hostile"],
        &["show", "hostile", "--json"],
        &["files", "hostile"],
        &["files", "hostile", "--json"],
        &["tree", "hostile", "--depth", "9"],
        &["compose", "demo", "--arch", "amd64", "--from", "store", "-v"],
        &["files", "demo", "--arch", "amd64", "--from", "store"],
        &["files", "demo", "--arch", "amd64", "--from", "store", "--json"],
        &["tree", "demo", "--arch", "amd64", "--from", "store", "--depth", "9"],
    ] {
        let done = place.run(arguments).ok();
        assert_harmless(&done, &format!("{arguments:?}"));
        if arguments.contains(&"--json") {
            let _: Value = serde_json::from_str(&done.out).unwrap_or_else(|error| panic!("{arguments:?}: {error}"));
        }
    }
    // A listing has a line for each path, and JSON the very names.
    let answer = place.json(&["files", "hostile"]);
    let files = answer["listings"][0]["files"].as_array().unwrap();
    assert_eq!(place.ok(["files", "hostile"]).lines().count(), files.len());
    for name in NAMES {
        let path = format!("/usr/share/hostile/{name}");
        assert!(files.iter().any(|file| file["path"] == path.as_str()), "{name:?}");
        let link = files.iter().find(|file| file["path"] == format!("/usr/share/hostile/to-{name}").as_str());
        assert_eq!(link.unwrap()["target"], name);
    }
}

#[test]
fn names_that_are_no_text_are_written_out() {
    use dlstore_formats::package::fixture::TarEntry;
    let place = place!();
    let deb = DebBuilder::new("latin", "1.0", "amd64").file("usr/share/a", b"", 0o644);
    let mut entry = TarEntry::new(b'0', "usr/share/");
    entry.path.extend(b"caf\xe9");
    place.package("latin.deb", &deb.entry(entry, b"x").build());
    place.ok(["add", "../packages"]);
    assert!(place.ok(["files", "latin"]).contains("/usr/share/caf\\xe9"));
    let answer = place.json(&["files", "latin"]);
    assert!(answer.to_string().contains("caf\\\\xe9"), "{answer}");
}

#[test]
fn no_two_names_are_shown_alike_in_text_or_json() {
    use dlstore_formats::package::fixture::TarEntry;
    let place = place!();
    let names: [&[u8]; 6] = [b"a\x01", br"a\x01", br"a\u{1}", b"a\xff", br"a\xff", br"a\\xff"];
    let deb = names.iter().fold(DebBuilder::new("alike", "1.0", "amd64"), |deb, name| {
        let mut entry = TarEntry::new(b'0', "usr/share/");
        entry.path.extend(*name);
        deb.entry(entry, b"")
    });
    place.package("alike.deb", &deb.build());
    place.ok(["add", "../packages"]);
    let text = place.ok(["files", "alike"]);
    let shown: std::collections::BTreeSet<&str> =
        text.lines().filter_map(|line| line.split_once("/usr/share/")).map(|(_, name)| name).collect();
    assert_eq!(shown.len(), names.len(), "{text}");
    assert!(shown.contains(r"a\u{1}") && shown.contains(r"a\\x01"), "{text}");
    let answer = place.json(&["files", "alike"]);
    let files = answer["listings"][0]["files"].as_array().unwrap();
    let paths: std::collections::BTreeSet<&str> = files.iter().map(|file| file["path"].as_str().unwrap()).collect();
    assert_eq!(paths.len(), files.len(), "{answer}");
    for path in ["/usr/share/a\u{1}", r"/usr/share/a\\x01", r"/usr/share/a\xff", r"/usr/share/a\\xff"] {
        assert!(paths.contains(path), "{path} in {paths:?}");
    }
}

#[test]
fn a_file_name_on_the_command_line_forges_nothing() {
    let place = place!();
    for name in NAMES {
        for arguments in [["--", name], ["list", &format!("--{name}")]] {
            assert_harmless(&place.run(arguments), &format!("{arguments:?}"));
        }
    }
}

#[test]
fn long_paths_are_listed_to_their_end() {
    let place = place!();
    let directory = format!("usr/share/{}", "long-name-".repeat(23));
    let deb = DebBuilder::new("long", "1.0", "amd64");
    let deb = deb.file(&format!("{directory}/one"), b"1", 0o644).file(&format!("{directory}/two"), b"2", 0o644);
    place.package("long.deb", &deb.build());
    place.ok(["add", "../packages"]);
    let text = place.ok(["files", "long"]);
    for name in ["one", "two"] {
        assert!(text.contains(&format!("/{directory}/{name}\n")), "{text}");
        let answer = place.json(&["files", "long"]).to_string();
        assert!(answer.contains(&format!("/{directory}/{name}\"")), "{answer}");
    }
}

#[test]
fn hostile_file_names_of_the_host_are_escaped_too() {
    let place = place!();
    for (at, name) in NAMES.iter().enumerate() {
        place.package(&format!("{name}-{at}.deb").replace('/', "-"), b"no package");
    }
    for arguments in [
        &["add", "../packages"][..],
        &["add", "../packages", "--json"],
        &["add", "../packages", "--progress", "plain"],
        &["compose", "static:debian", "--arch", "amd64", "--from", "../packages"],
    ] {
        let done = place.run(arguments);
        assert_eq!(done.code(), Some(1), "{done:?}");
        assert_harmless(&done, &format!("{arguments:?}"));
    }
    let done = place.run(["add", "../packages"]);
    assert_eq!(done.lines("error:").len(), NAMES.len(), "{done:?}");
    for name in NAMES {
        let done = place.run(["needs", name]);
        assert_eq!(done.code(), Some(1));
        assert_harmless(&done, name);
        for command in ["show", "files", "tree", "compose"] {
            let done = place.run([command, name]);
            assert_ne!(done.code(), Some(0));
            assert_harmless(&done, &format!("{command} {name:?}"));
        }
    }
}
