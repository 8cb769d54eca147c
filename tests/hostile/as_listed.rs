//! The image is what `files` lists: random packages, flattened in all three layerings, held against the listing.

use std::collections::{BTreeMap, BTreeSet};

use dlstore_formats::archive::decompress::Compression;
use dlstore_formats::package::fixture::DebBuilder;

use dlstore_kit::elf::library;
use dlstore_kit::layers;
use dlstore_kit::{Dice, Done, Layout, Place, place};

/// What stands at a path: what a runtime sees once all layers are laid over each other.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Thing {
    kind: String,
    mode: u32,
    ids: (u64, u64),
    /// Target of a link, or content of a file.
    what: Vec<u8>,
    /// First of the names of a file that has several.
    first: Option<String>,
}

/// Paths that meet in many ways: the same ones, one below the other, and such as usr-merge moves.
const PATHS: [&str; 11] =
    ["d", "d/a", "d/b", "d/e", "e", "e/a", "usr/lib/x", "lib/x", "usr/share/l", "lib/y/z", "srv/x"];
const DIRECTORIES: [&str; 7] = ["d", "e", "d/e", "srv/x", "srv/x", "lib/y", "usr/share/l"];
const CONTENTS: [&str; 3] = ["one", "two", ""];

fn package(dice: &mut Dice, name: &str) -> DebBuilder {
    let mut deb = DebBuilder::new(name, "1.0", dice.one(&["amd64", "all"])).compression(Compression::Gzip);
    // Paths with whether they are directories.
    let mut taken: BTreeMap<&str, bool> = BTreeMap::new();
    let mut files: Vec<&str> = Vec::new();
    for _ in 0..2 + dice.pick(6) {
        let kind = dice.pick(8);
        let path = if kind == 0 { dice.one(&DIRECTORIES) } else { dice.one(&PATHS) };
        let is_below = |path: &str, other: &str| path.strip_prefix(other).is_some_and(|rest| rest.starts_with('/'));
        let meets = |(other, is_directory): (&&str, &bool)| {
            path == *other || !is_directory && is_below(path, other) || kind != 0 && is_below(other, path)
        };
        if taken.iter().any(meets) {
            continue;
        }
        taken.insert(path, kind == 0);
        deb = match kind {
            0 => deb.directory(path, if dice.pick(12) == 0 { 0o700 } else { 0o755 }),
            1 => deb.symlink(path, dice.one(&["/usr", "../srv", "/etc"])),
            2 | 3 if !files.is_empty() => {
                let target = files[dice.pick(files.len())];
                deb.hard_link(path, target)
            }
            _ => {
                files.push(path);
                deb.file(path, dice.one(&CONTENTS).as_bytes(), 0o644)
            }
        };
    }
    let others: Vec<&str> = ["aa", "bb", "cc"].into_iter().filter(|other| *other != name).collect();
    if dice.pick(4) > 0 {
        deb = deb.control_field("Replaces", &others[dice.pick(2)..].join(", "));
    }
    deb
}

fn compose(place: &Place, layers: &str) -> Done {
    let output = format!("oci:out-{layers}:demo");
    place.run(["compose", "demo", "--arch", "amd64", "--from", "../packages", "--layers", layers, "-o", &output])
}

/// Lays the layers of an image over each other.
fn flattened(place: &Place, layers: &str) -> BTreeMap<String, Thing> {
    let layout = Layout(place.project().join(format!("out-{layers}")));
    let mut all: BTreeMap<String, Thing> = BTreeMap::new();
    for tar in layout.tars("demo", "amd64") {
        let mut seen = BTreeSet::new();
        layers::read(&tar[..], |member| {
            let path = String::from_utf8_lossy(&member.path).trim_matches('/').to_owned();
            assert!(seen.insert(path.clone()), "{path} is twice in a layer ({layers})");
            let (header, link) = (member.header, member.target);
            let mut thing = Thing {
                kind: String::new(),
                mode: header.mode().unwrap(),
                ids: (header.uid().unwrap(), header.gid().unwrap()),
                what: Vec::new(),
                first: None,
            };
            match header.entry_type() {
                tar::EntryType::Directory => thing.kind = "directory".into(),
                tar::EntryType::Symlink => (thing.kind, thing.what) = ("symlink".into(), link),
                tar::EntryType::Link => {
                    // Of this layer, and written before: no reader looks for it elsewhere.
                    let target = String::from_utf8(link).unwrap().trim_matches('/').to_owned();
                    assert!(seen.contains(&target), "{path} is another name of {target}, which is not in the layer");
                    let file = &all[&target];
                    (thing.kind, thing.what, thing.first) = ("file".into(), file.what.clone(), Some(target));
                }
                tar::EntryType::Regular => {
                    thing.kind = "file".into();
                    thing.what = member.content;
                }
                other => panic!("{path} is {other:?}"),
            }
            if let Some(before) = all.insert(path.clone(), thing.clone()) {
                let both = (before.kind.as_str(), thing.kind.as_str());
                assert_eq!(both, ("directory", "directory"), "{path} is in two layers ({layers})");
            }
        });
    }
    for path in all.keys() {
        for (at, _) in path.match_indices('/') {
            assert_eq!(all[&path[..at]].kind, "directory", "what holds {path} ({layers})");
        }
    }
    all
}

/// The same as `files --json` says it, contents by their BLAKE3.
fn listed(place: &Place) -> BTreeMap<String, Thing> {
    let answer = place.json(&["files", "demo", "--arch", "amd64", "--from", "../packages"]);
    let of = |file: &serde_json::Value| {
        let text = |key: &str| file[key].as_str().unwrap_or_default().to_owned();
        let kind = text("type");
        let target = text("target").trim_start_matches('/').to_owned();
        let (what, first) = match kind.as_str() {
            "symlink" => (text("target").into_bytes(), None),
            "hard link" => (Vec::new(), Some(target)),
            _ => (text("blake3").into_bytes(), None),
        };
        let number = |key: &str| file[key].as_u64().unwrap();
        let mode = u32::from_str_radix(&text("mode"), 8).unwrap();
        let kind = if kind == "hard link" { "file".to_owned() } else { kind };
        (text("path")[1..].to_owned(), Thing { kind, mode, ids: (number("uid"), number("gid")), what, first })
    };
    let mut all: BTreeMap<String, Thing> = answer["listings"][0]["files"].as_array().unwrap().iter().map(of).collect();
    let links: Vec<(String, String)> =
        all.iter().filter_map(|(path, thing)| Some((path.clone(), thing.first.clone()?))).collect();
    for (path, first) in links {
        let what = all[&first].what.clone();
        all.get_mut(&path).unwrap().what = what;
    }
    all
}

/// Holds the three layerings of an image against its listing; `false` when composing refuses it.
fn is_as_listed(place: &Place, what: &str) -> bool {
    let answers = ["grouped", "package", "flat"].map(|layers| (layers, compose(place, layers)));
    let refused = answers.iter().filter(|(_, done)| done.code() != Some(0)).count();
    if refused > 0 {
        assert_eq!(refused, 3, "{what}: one layering refuses what another takes: {answers:?}");
        let error = &answers[0].1.err;
        let known = [" is in both ", " is below ", " occurs twice"];
        assert!(known.iter().any(|words| error.contains(words)), "{what}: {error}");
        return false;
    }
    let listed = listed(place);
    for (layers, _) in answers {
        let mut found = flattened(place, layers);
        for thing in found.values_mut().filter(|thing| thing.kind == "file") {
            thing.what = blake3::hash(&thing.what).to_hex().as_bytes().to_vec();
        }
        let paths = |all: &BTreeMap<String, Thing>| all.keys().cloned().collect::<Vec<_>>();
        assert_eq!(paths(&found), paths(&listed), "{what}, {layers}");
        for (path, thing) in &found {
            assert_eq!(thing, &listed[path], "{what}, {layers}: {path}");
        }
    }
    true
}

#[test]
fn random_triples_of_packages_are_what_files_lists_in_every_layering() {
    let mut composed = 0;
    for seed in 1..=90_u64 {
        let mut dice = Dice::new(seed);
        let place = place!();
        for name in ["aa", "bb", "cc"] {
            place.package(&format!("{name}.deb"), &package(&mut dice, name).build());
        }
        let skip = if seed % 3 == 0 { "skip = [\"usr-merge\"]\n" } else { "" };
        let waive = "waive = [\"/** -> *: a test\"]\n";
        let text =
            format!("schema = 1\nformat = \"deb\"\npackages = [\"aa\", \"bb\", \"cc\"]\nslim = false\n{skip}{waive}");
        place.image("demo", &text);
        composed += usize::from(is_as_listed(&place, &format!("seed {seed}")));
    }
    assert!(composed >= 24, "only {composed} of 90 could be composed");
}

/// Packages in an image, and what some paths hold, or that they are not there.
#[track_caller]
fn check(debs: &[(&str, DebBuilder)], more: &str, expected: &[(&str, Option<&str>)]) {
    let place = place!();
    for (name, deb) in debs {
        place.package(&format!("{name}.deb"), &deb.build());
    }
    let names = debs.iter().map(|(name, _)| format!("{name:?}")).collect::<Vec<_>>().join(", ");
    place.image("demo", &format!("schema = 1\nformat = \"deb\"\npackages = [{names}]\n{more}\n"));
    assert!(is_as_listed(&place, "it"), "{:?}", compose(&place, "flat"));
    let files = flattened(&place, "package");
    for (path, content) in expected {
        let found = files.get(*path).map(|thing| String::from_utf8_lossy(&thing.what).into_owned());
        assert_eq!(found.as_deref(), *content, "{path}");
    }
}

fn deb(name: &str) -> DebBuilder {
    DebBuilder::new(name, "1.0", "amd64").compression(Compression::Gzip)
}

#[test]
fn a_directory_of_a_package_goes_where_the_image_has_something_else() {
    let a = deb("aa").directory("srv/x", 0o755).file("etc/aa", b"", 0o644);
    let b = deb("bb").symlink("srv/x", "/etc").control_field("Replaces", "aa");
    for debs in [[("aa", a.clone()), ("bb", b.clone())], [("bb", b), ("aa", a.clone())]] {
        check(&debs, "", &[("srv/x", Some("/etc"))]);
    }
    check(&[("aa", a)], "links.\"/srv/x\" = \"/etc\"", &[("srv/x", Some("/etc"))]);
}

#[test]
fn a_hard_link_group_whose_first_name_another_package_replaces_works() {
    let a = deb("aa").file("etc/a", b"old", 0o644).hard_link("etc/b", "etc/a").hard_link("etc/c", "etc/a");
    let b = deb("bb").file("etc/a", b"new", 0o644).control_field("Replaces", "aa");
    let expected = [("etc/a", Some("new")), ("etc/b", Some("old")), ("etc/c", Some("old"))];
    for debs in [[("aa", a.clone()), ("bb", b.clone())], [("bb", b), ("aa", a.clone())]] {
        check(&debs, "", &expected);
    }
    // By a file of the definition, and by one that is equal.
    check(&[("aa", a.clone())], "files.\"/etc/a\" = { content = \"new\" }", &expected);
    let equal = deb("cc").file("etc/a", b"old", 0o644);
    let old = [("etc/a", Some("old")), ("etc/b", Some("old")), ("etc/c", Some("old"))];
    check(&[("cc", equal), ("aa", a.clone())], "", &old);
    // Another group of the same names is taken whole.
    let group = deb("bb").file("etc/a", b"new", 0o644).hard_link("etc/b", "etc/a").control_field("Replaces", "aa");
    let expected = [("etc/a", Some("new")), ("etc/b", Some("new")), ("etc/c", Some("old"))];
    for debs in [[("aa", a.clone()), ("bb", group.clone())], [("bb", group), ("aa", a)]] {
        check(&debs, "", &expected);
    }
}

#[test]
fn a_library_is_found_by_the_name_that_is_left_of_it() {
    let directory = "usr/lib/x86_64-linux-gnu";
    let library_of = |needed: &[&str]| library("amd64", "libx.so.1", needed);
    let a = deb("aa").file(&format!("{directory}/a-first"), &library_of(&[]), 0o644);
    let a = a.hard_link(&format!("{directory}/libx.so.1"), &format!("{directory}/a-first"));
    let b = deb("bb").file(&format!("{directory}/a-first"), b"text", 0o644).control_field("Replaces", "aa");
    let user = deb("cc").file("usr/bin/user", &library("amd64", "user", &["libx.so.1"]), 0o755);
    check(&[("aa", a), ("bb", b), ("cc", user)], "", &[]);
}
