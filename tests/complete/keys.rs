//! Every outcome is a function of what its key names, and what is remembered is complete or a miss.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use dlstore_formats::package::fixture::{ApkBuilder, DebBuilder, TarEntry, TarWriter};
use dlstore_model::generation::DECODER;
use serde_json::Value;
use sha1::{Digest as _, Sha1};

use crate::template::{COLD, Step, Template, WARM, WORDS, compose, index, library};
use dlstore_kit::files::{flip_in_silence, paths};
use dlstore_kit::{Done, Place, finish, packages, place, sha256};

/// Runs the program as one whose decoder has another version.
fn later(place: &Place, arguments: &[&str]) -> Done {
    let mut command = place.command(arguments);
    command.env("DLSTORE_TEST_DECODER", (DECODER + 1).to_string());
    finish(command)
}

fn composing(image: &str) -> Vec<&str> {
    // Images take turns in one layout.
    vec!["compose", image, "--arch", "amd64", "--from", "store", "-o", "oci:out", "--force"]
}

/// What an image is in a store that only the later decoder has seen.
fn fresh_later(image: &str) -> String {
    let place = Template::furnished();
    pin(&place);
    later(&place, &["add", "../packages"]).ok();
    later(&place, &composing(image)).ok().out
}

/// Writes an image that pins the older version of a package by its source.
fn pin(place: &Place) {
    let older = fs::read(place.packages().join("two-1.1-1.deb")).unwrap();
    let older = sha256(&older);
    let packages = format!("packages = [\"one\", \"two@sha256:{older}\"]");
    place.image("pinned", &format!("schema = 1\nformat = \"deb\"\n{packages}\noverrides = [\"/etc/passwd\"]\n{WORDS}"));
}

/// Name, version and source of all packages that `list` or `show` gives, sorted.
fn listed(answer: &str) -> Vec<[String; 3]> {
    let answer: Value = serde_json::from_str(answer).unwrap();
    let text = |one: &Value, key: &str| one[key].as_str().unwrap().to_owned();
    let packages = answer["packages"].as_array().unwrap().iter();
    let mut all: Vec<_> = packages.map(|one| ["name", "version", "source"].map(|key| text(one, key))).collect();
    all.sort();
    all
}

#[test]
fn a_store_of_another_decoder_gives_the_digests_of_a_fresh_one() {
    for image in [WARM, COLD, "pinned"] {
        let place = Template::furnished();
        pin(&place);
        place.ok(["add", "../packages"]);
        place.ok(composing(image));
        let before = listed(&place.ok(["list", "--json"]));
        assert_eq!(before.len(), 5);

        let right = fresh_later(image);
        let done = later(&place, &composing(image)).ok();
        assert_eq!(done.out, right, "{image}");
        assert_eq!(done.err.matches("was decoded again from its kept source").count(), 2, "{}", done.err);
        let done = later(&place, &composing(image)).ok();
        assert_eq!(done.out, right, "{image}, remembered");
        assert!(!done.err.contains("decoded again"), "{}", done.err);

        // One source is one package, whichever program asks and however many records it has.
        assert_eq!(listed(&later(&place, &["list", "--json"]).ok().out), before);
        assert_eq!(listed(&place.ok(["list", "--json"])), before);
        let shown = |done: Done| listed(&done.ok().out);
        assert_eq!(shown(later(&place, &["show", "one", "--json"])).len(), 1);
        assert_eq!(shown(later(&place, &["show", "two", "--json"])).len(), 2);
        assert_eq!(shown(place.run(["show", "two", "--json"])).len(), 2);

        // The roots of what was used keep the new records, those of all else the old ones.
        later(&place, &["store", "gc", "--grace", "0"]).ok();
        assert_eq!(listed(&later(&place, &["list", "--json"]).ok().out), before);
        let done = later(&place, &composing(image)).ok();
        assert_eq!(done.out, right, "{image}, after the collection");
        assert!(!done.err.contains("decoded again"), "{}", done.err);
        assert_eq!(later(&place, &["store", "verify", "--full"]).ok().out, "");
    }
}

#[test]
fn without_its_source_a_package_of_another_decoder_is_to_be_added_again() {
    let place = Template::furnished();
    place.ok(["add", "--no-keep-sources", "../packages"]);
    place.ok(composing(WARM));
    let done = later(&place, &composing(WARM));
    assert!(done.error().contains("add it again"), "{done:?}");
    later(&place, &["add", "../packages"]).ok();
    assert_eq!(later(&place, &composing(WARM)).ok().out, fresh_later(WARM));
}

/// A record of the first program is still one for it after another program has used the store.
#[test]
fn two_decoders_take_turns_in_one_store() {
    let place = Template::furnished();
    place.ok(["add", "../packages"]);
    let right = place.ok(composing(WARM));
    for _ in 0..2 {
        assert_eq!(later(&place, &composing(WARM)).ok().out, right);
        assert_eq!(place.ok(composing(WARM)), right);
    }
}

/// An apk whose tar states the SHA-1 of each file, or states none.
fn apk(states: bool) -> Vec<u8> {
    let mut tar = TarWriter::default();
    for (path, content) in [("usr/", None), ("usr/share/", None), ("usr/share/same", Some(b"the same\n"))] {
        let mut entry = TarEntry::new(if content.is_some() { b'0' } else { b'5' }, path);
        entry.sha1 = content.filter(|_| states).map(|content| Sha1::digest(content).into());
        tar.entry(&entry, content.map_or(&[], |content| content.as_slice()));
    }
    ApkBuilder::new("same", "1-r0", "x86_64").build_with_data(&tar.finish())
}

#[test]
fn packages_with_equal_trees_keep_facts_of_their_own_in_any_order() {
    let stores =
        [vec!["stated.apk"], vec!["silent.apk"], vec!["stated.apk", "silent.apk"], vec!["silent.apk", "stated.apk"]];
    let mut found: Vec<(String, String)> = Vec::new();
    for names in stores {
        let place = place!();
        for (name, states) in [("stated.apk", true), ("silent.apk", false)] {
            let bytes = apk(states);
            place.package(name, &bytes);
            let requirement = format!("packages = [\"same@sha256:{}\"]", sha256(&bytes));
            place.image(&name.replace(".apk", ""), &format!("schema = 1\nformat = \"apk\"\n{requirement}\n"));
        }
        for name in &names {
            place.ok(["add", &format!("../packages/{name}")]);
        }
        let shown = place.json(&["list"]);
        let trees: Vec<&Value> = shown["packages"].as_array().unwrap().iter().map(|one| &one["tree"]).collect();
        assert!(trees.windows(2).all(|pair| pair[0] == pair[1]), "one tree: {shown}");
        for name in names {
            let image = name.replace(".apk", "");
            let line = place.ok(composing(&image));
            found.push((image, line));
        }
    }
    found.sort();
    found.dedup();
    assert_eq!(found.len(), 2, "each has one digest, whatever was there before: {found:?}");
    let digest = |at: usize| found[at].1.split_once('@').unwrap().1.to_owned();
    assert_ne!(digest(0), digest(1));
}

#[test]
fn equal_tars_of_two_names_are_two_packages() {
    let mut tar = TarWriter::default();
    tar.entry(&TarEntry::new(b'0', "usr/share/both"), b"both\n");
    let tar = tar.finish();
    for round in 0..6 {
        let place = place!();
        place.package("foo.tar", &tar);
        place.package("bar.tar", &tar);
        let mut names = ["../packages/foo.tar", "../packages/bar.tar"];
        if round % 2 == 1 {
            names.reverse();
        }
        let jobs = ["1", "2", "4"][round % 3];
        place.ok(["--jobs", jobs, "add", names[0], names[1]]);
        let rows = listed(&place.ok(["list", "--json"]));
        assert_eq!(rows.iter().map(|row| row[0].as_str()).collect::<Vec<_>>(), ["bar", "foo"]);
        assert_eq!(rows[0][2], rows[1][2], "of one source");
        for name in ["foo", "bar"] {
            assert_eq!(place.json(&["show", name])["packages"][0]["name"], name);
        }
        assert_eq!(place.verified().0, Vec::<String>::new());
    }
}

#[test]
fn a_file_that_is_exchanged_while_it_is_read_never_gives_the_other_package() {
    let place = place!();
    let bytes = ["1.1-1", "1.2-1"].map(|version| {
        let seed = u64::from(version.as_bytes()[2]);
        let data = packages::text(seed, 200_000);
        DebBuilder::new("two", version, "amd64").file("usr/share/two/data", &data, 0o644).build()
    });
    let requirements = [format!("two@sha256:{}", sha256(&bytes[0])), "two=1.1-1".to_owned()];
    for (number, requirement) in requirements.iter().enumerate() {
        let text = format!("schema = 1\nformat = \"deb\"\npackages = [\"{requirement}\"]\n");
        place.image(&format!("requirement{number}"), &text);
    }
    let aside = place.path().join("aside");
    fs::create_dir(&aside).unwrap();
    for (number, bytes) in bytes.iter().enumerate() {
        fs::write(aside.join(format!("{number}.deb")), bytes).unwrap();
    }
    let shown = place.package("two.deb", &bytes[0]);
    let composing = |image: &str, store: &Path| {
        let store = store.to_str().unwrap();
        place.run([
            "--store",
            store,
            "compose",
            image,
            "--arch",
            "amd64",
            "--from",
            "../packages",
            "-o",
            "oci:moved",
            "--force",
        ])
    };
    let right = ["requirement0", "requirement1"].map(|image| composing(image, &place.path().join("fresh")).ok().out);

    let stop = AtomicBool::new(false);
    let (mut done, mut refused) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let step = aside.join("step");
            for number in [1, 0].iter().cycle() {
                fs::hard_link(aside.join(format!("{number}.deb")), &step).unwrap();
                fs::rename(&step, &shown).unwrap();
                // A rename between two names of one file leaves both (rename(2)).
                let _ = fs::remove_file(&step);
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                std::thread::sleep(std::time::Duration::from_micros(300));
            }
        });
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for round in 0..40 {
                // A store that knows neither, and one that comes to know both.
                let store = if round % 4 < 2 { format!("store-{round}") } else { "store-shared".to_owned() };
                let at = round % 2;
                let ended = composing(["requirement0", "requirement1"][at], &place.path().join(store));
                if ended.code() == Some(0) {
                    assert_eq!(ended.out, right[at], "round {round}: {ended:?}");
                    done += 1;
                } else {
                    ended.error();
                    refused += 1;
                }
            }
        }));
        stop.store(true, Ordering::Relaxed);
        outcome.unwrap();
    });
    println!("{done} composed, {refused} refused");
    assert_eq!(done + refused, 40);
}

/// The same files as a directory, a tar and a deb.
fn same_content(place: &Place, files: &[(&str, Vec<u8>)], links: &[(&str, &str)]) {
    let directory = place.packages().join("same");
    let mut tar = TarWriter::default();
    let mut deb = DebBuilder::new("same", "1-1", "amd64");
    for (path, content) in files {
        let target = directory.join(path);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::write(target, content).unwrap();
        tar.entry(&TarEntry::new(b'0', *path), content);
        deb = deb.file(path, content, 0o644);
    }
    for (path, target) in links {
        fs::hard_link(directory.join(target), directory.join(path)).unwrap();
        tar.entry(&TarEntry::link(b'1', *path, *target), b"");
        deb = deb.hard_link(path, target);
    }
    place.package("same-tar.tar", &tar.finish());
    place.package("same-deb.deb", &deb.build());
}

#[test]
fn a_directory_a_tar_and_a_deb_of_the_same_files_have_the_same_libraries() {
    let files = [
        ("usr/lib/b/libmade.so.1", library("libmade.so.1", &["libc.so.6"])),
        ("usr/lib/libother.so.2", library("libother.so.2", &[])),
        ("usr/share/text", b"no library\n".to_vec()),
    ];
    // A link that sorts before the file that it was made from, and one behind it. A directory of the host has no hard
    // links but only names of equal files: `cp -r` would lose them.
    let links = [("usr/lib/a.so", "usr/lib/b/libmade.so.1"), ("usr/lib/z.so", "usr/lib/libother.so.2")];
    let whole = [("usr/lib/b/libmade.so.1", "libmade.so.1"), ("usr/lib/libother.so.2", "libother.so.2")];
    let linked = [("usr/lib/a.so", "libmade.so.1"), ("usr/lib/libother.so.2", "libother.so.2")];
    for (links, packages, right) in
        [(&links[..0], &["same=0", "same-tar", "same=1-1"][..], whole), (&links[..], &["same-tar", "same=1-1"], linked)]
    {
        let place = place!();
        same_content(&place, &files, links);
        place.ok(["add", "../packages/same", "../packages/same-tar.tar", "../packages/same-deb.deb"]);
        for package in packages {
            let shown = place.json(&["show", package]);
            let libraries = shown["packages"][0]["libraries"].as_array().unwrap().iter();
            let text = |one: &Value, key: &str| one[key].as_str().unwrap().trim_start_matches('/').to_owned();
            let found: Vec<_> = libraries.map(|one| (text(one, "path"), text(one, "soname"))).collect();
            let right: Vec<_> = right.iter().map(|(path, name)| ((*path).to_owned(), (*name).to_owned())).collect();
            assert_eq!(found, right, "{package} with {links:?}");
        }
    }
}

#[test]
fn a_text_that_is_too_large_is_said_however_it_comes() {
    let files = [("etc/ssl/certs/ca-certificates.crt", packages::text(1, (1 << 20) + 1))];
    let mut said = Vec::new();
    for name in ["same", "same-tar.tar", "same-deb.deb"] {
        let place = place!();
        same_content(&place, &files, &[]);
        let done = place.run(["-v", "add", &format!("../packages/{name}")]).ok();
        let line = done.err.lines().find(|line| line.contains("ca-certificates.crt"));
        let line = line.unwrap_or_else(|| panic!("{name}: nothing is said: {}", done.err));
        said.push(line.split_once("etc/ssl").unwrap().1.to_owned());
    }
    assert!(said.windows(2).all(|pair| pair[0] == pair[1]), "{said:?}");
}

/// The facts of the template's packages: row, package and kind.
fn facts(store: &Path) -> Vec<(i64, String, String)> {
    let index = index(store);
    let mut query = index.prepare("SELECT name, facts FROM package ORDER BY object").unwrap();
    let packages: Vec<(String, Vec<u8>)> =
        query.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect();
    let mut query = index.prepare("SELECT id, key FROM object WHERE kind = 7 ORDER BY id").unwrap();
    let facts: Vec<(i64, Vec<u8>)> =
        query.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect();
    let mut found = Vec::new();
    for (name, list) in &packages {
        for (id, key) in &facts {
            let Some(at) = list.windows(32).position(|part| part == key.as_slice()) else { continue };
            let kind: String = list[..at]
                .iter()
                .rev()
                .take_while(|byte| byte.is_ascii_alphanumeric())
                .map(|byte| char::from(*byte))
                .collect();
            found.push((*id, name.clone(), kind.chars().rev().collect()));
        }
    }
    found
}

#[test]
fn a_lost_fact_is_decoded_again_and_said() {
    let template = Template::get();
    let all = facts(&template.store());
    let used: Vec<_> =
        all.iter().filter(|(_, name, kind)| (name == "one" || name == "two") && kind != "members").collect();
    for kind in ["control", "elf", "note", "sha1", "start", "text"] {
        assert!(used.iter().any(|(_, name, found)| name == "one" && found == kind), "{kind}: {used:?}");
    }
    let older: Vec<i64> = {
        // Those of the version that is not chosen are not read.
        let index = index(&template.store());
        let sql =
            "SELECT dst FROM edge WHERE src IN (SELECT object FROM package WHERE version = '1.1-1' AND name = 'two')
            AND dst NOT IN (SELECT dst FROM edge WHERE src IN
                (SELECT object FROM package WHERE name = 'one' OR version = '1.2-10'))";
        let mut query = index.prepare(sql).unwrap();
        query.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    let damages = [
        ("deleted", "DELETE FROM fact WHERE object = ?1"),
        ("emptied", "UPDATE fact SET data = x'' WHERE object = ?1"),
        ("without its object", "DELETE FROM object WHERE id = ?1"),
        (
            "another's",
            "UPDATE fact SET data = (SELECT data FROM fact WHERE object <> ?1 ORDER BY object DESC LIMIT 1) WHERE object = ?1",
        ),
    ];
    for (id, name, kind) in used.iter().filter(|(id, _, _)| !older.contains(id)) {
        for (way, sql) in damages {
            let place = template.copy();
            assert_eq!(index(&place.store()).execute(sql, [id]).unwrap(), 1);
            assert_ne!(place.verified().0, Vec::<String>::new(), "{kind} of {name} {way} is found");
            let done = place.run(["compose", COLD, "--arch", "amd64", "--from", "store", "-o", "oci:out"]).ok();
            assert_eq!(done.out, template.right(COLD).line, "{kind} of {name} {way}");
            assert!(
                done.err.contains("was decoded again from its kept source"),
                "{kind} of {name} {way}: {}",
                done.err
            );
            // Without its object, other packages that have the same fact still refer to the lost number.
            if way != "without its object" {
                assert_eq!(place.verified().0, Vec::<String>::new(), "{kind} of {name} {way} is healed");
            }
        }
    }
}

#[test]
fn all_facts_lost_at_once_are_decoded_again() {
    let template = Template::get();
    let place = template.copy();
    assert!(index(&place.store()).execute("DELETE FROM fact", []).unwrap() > 5);
    assert_eq!(compose(&place, COLD), Ok(Step::Right));
    place.ok(["add", "../packages"]);
    assert_eq!(place.verified().0, Vec::<String>::new(), "adding heals the rest");
}

#[test]
fn facts_lost_together_with_their_source_are_asked_for_and_adding_heals() {
    let place = Template::get().copy();
    index(&place.store()).execute("DELETE FROM fact", []).unwrap();
    for source in paths(&place.store().join("sources")) {
        flip_in_silence(&source);
    }
    let done = place.run(composing(COLD));
    assert!(done.error().contains("add it again"), "{done:?}");
    assert_ne!(place.verified().0, Vec::<String>::new());
    place.ok(["add", "../packages"]);
    assert_eq!(compose(&place, COLD), Ok(Step::Right));
    assert_eq!(compose(&place, WARM), Ok(Step::Right));
    // What nobody read was bad under an intact stamp: a full look tells, and then adding heals that too.
    place.verified();
    place.ok(["add", "../packages"]);
    assert_eq!(place.verified().0, Vec::<String>::new());
}

#[test]
fn what_a_package_became_is_read_by_the_next_image_that_selects_it_alike() {
    let define = |place: &Place| {
        for name in ["first", "second", "third"] {
            let selects = "exclude = [\"/usr/share/doc/**\", \"/usr/share/one/**\"]";
            let overrides = "overrides = [\"/etc/passwd\", \"/usr/lib/os-release\"]";
            let head = format!("schema = 1\nformat = \"deb\"\npackages = [\"one\", \"two\"]\n{selects}\n{overrides}");
            place.image(name, &format!("{head}\n{WORDS}[os-release]\nVARIANT_ID = \"{name}\"\n"));
        }
    };
    let fresh = |name: &str| {
        let place = Template::furnished();
        define(&place);
        place.ok(["add", "../packages"]);
        place.ok(composing(name))
    };
    let place = Template::furnished();
    // Added before there are definitions: what these images select is not foreseen.
    place.ok(["add", "../packages"]);
    define(&place);
    let landed = || -> i64 {
        let count = "SELECT count(*) FROM action WHERE kind = 'landed'";
        index(&place.store()).query_row(count, [], |row| row.get(0)).unwrap()
    };
    let change = |sql: &str| index(&place.store()).execute(sql, []).unwrap();
    let foreseen = landed();
    assert_eq!(place.ok(composing("first")), fresh("first"));
    assert_eq!(landed(), foreseen + 2, "one for each package of the image");
    // Without the whole trees: they are not asked for.
    let whole = "DELETE FROM tree WHERE object IN (SELECT id FROM object WHERE key IN (SELECT tree FROM package))";
    assert!(change(whole) >= 4);
    let done = place.run(composing("second")).ok();
    assert_eq!((done.out, landed()), (fresh("second"), foreseen + 2));
    assert!(!done.err.contains("decoded again"), "{}", done.err);
    // What is lost of the mapping is a miss, and made again of the whole.
    assert!(change("UPDATE action SET value = x'00' WHERE kind = 'landed'") > 2);
    let done = place.run(composing("third")).ok();
    assert_eq!(done.out, fresh("third"));
    assert_eq!(done.err.matches("was decoded again from its kept source").count(), 2, "{}", done.err);
}

#[test]
fn line_ends_of_a_definition_are_no_part_of_the_image() {
    let place = place!();
    let text = "schema = 1\nextends = \"static\"\nfiles.\"/etc/a\" = { content = \"\"\"\none\ntwo\\r\n\"\"\" }\n";
    let compose = || place.ok(["compose", "demo", "--arch", "amd64", "-q", "-o", "oci:out"]);
    place.image("demo", text);
    let digest = compose();
    place.image("demo", &text.replace('\n', "\r\n"));
    assert_eq!(compose(), digest);
    place.image("demo", &text.replace("\\r", ""));
    assert_ne!(compose(), digest, "a CR that the definition writes out stays");
}
