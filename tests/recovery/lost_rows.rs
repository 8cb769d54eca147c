//! Rows that are lost one by one: who keeps what is told twice, and no collection and no repair that was cut off makes
//! a loss final or an older package the answer.

use std::fs;

use dlstore_formats::package::fixture::DebBuilder;
use dlstore_fsx::stop;

use crate::state::{compose, filled, number, remove_index, sources, sql};
use dlstore_kit::{Place, finish, packages, place};

fn deb(name: &str, version: &str) -> DebBuilder {
    DebBuilder::new(name, version, "amd64").file(&format!("usr/share/{name}/data"), version.as_bytes(), 0o644)
}

/// A place with two versions of `one`, of which the image `demo` takes the newer one, and the digest of that.
fn two_versions() -> (Place, String) {
    let place = place!();
    place.image("demo", "schema = 1\nformat = \"deb\"\npackages = [\"one\"]\n");
    for version in ["1.0", "2.0"] {
        place.package(&format!("one-{version}.deb"), &deb("one", version).build());
    }
    place.ok(["add", "../packages"]);
    let digest = demo(&place).unwrap();
    (place, digest)
}

/// Composes `demo` from the store alone: its digest, or the error.
fn demo(place: &Place) -> Result<String, String> {
    let _ = fs::remove_dir_all(place.project().join("out"));
    let done = place.run(["compose", "demo", "--arch", "amd64", "--from", "store", "-o", "oci:out", "--force"]);
    if done.code() != Some(0) {
        return Err(done.error());
    }
    let digest = done.out.split_whitespace().find(|word| word.contains("sha256:"));
    Ok(digest.unwrap_or_else(|| panic!("{done:?}")).to_owned())
}

/// Leaves the newer version to its image alone.
fn keep_by_its_image(place: &Place) {
    place.ok(["store", "roots", "remove", &place.root("package/deb/one/2.0/")]);
    place.ok(["store", "gc", "--grace", "0"]);
    assert_eq!(sources(place).len(), 2);
}

const NEWER: &str = "(SELECT object FROM package WHERE version = '2.0')";

/// Loses the list of the name, and every row of the newer version but those of what it has in common with others.
fn lose_list_and_newer(place: &Place) {
    let rows = format!(
        "DELETE FROM name; DELETE FROM edge WHERE src = {NEWER}; DELETE FROM root_target WHERE object = {NEWER};
        DELETE FROM soname; DELETE FROM object WHERE id = {NEWER}; DELETE FROM package WHERE version = '2.0'"
    );
    sql(place, &rows);
}

#[test]
fn a_list_that_may_have_held_a_source_that_nobody_knows_stays_damaged() {
    let (place, digest) = two_versions();
    lose_list_and_newer(&place);
    fs::write(place.store().join("roots.journal"), "").unwrap();
    assert!(demo(&place).is_err());
    let repaired = place.run(["store", "verify", "--repair"]);
    assert!(repaired.code() == Some(1) && repaired.out.contains("name-damaged"), "{repaired:?}");
    assert!(demo(&place).is_err(), "an image of what is left is no answer");
    place.ok(["store", "rebuild"]);
    assert_eq!(demo(&place), Ok(digest));
}

#[test]
fn a_repair_that_is_cut_off_lets_no_older_package_be_chosen() {
    for point in ["journal.written", "journal.compacted", "lease.created", "publish.begun", "publish.inserted"] {
        let (place, digest) = two_versions();
        lose_list_and_newer(&place);
        assert!(demo(&place).is_err(), "an image of what is left is no answer");
        let mut command = place.command(["store", "verify", "--repair"]);
        command.env(stop::VARIABLE, point);
        assert_eq!(finish(command).signal(), Some(6), "{point}");
        // Refused, or right.
        assert_eq!(demo(&place).unwrap_or_else(|_| digest.clone()), digest, "{point}");
        place.ok(["store", "verify", "--repair"]);
        place.ok(["store", "gc", "--grace", "0"]);
        assert_eq!(demo(&place), Ok(digest), "{point}");
        assert_eq!(place.verified().0, Vec::<String>::new(), "{point}");
    }
}

#[test]
fn a_repair_that_is_cut_off_forgets_no_name_of_a_tar() {
    let (place, digests) = filled();
    let tars = "(SELECT object FROM package WHERE format = 'tar')";
    sql(
        &place,
        &format!(
            "DELETE FROM name WHERE format = 'tar'; DELETE FROM edge WHERE src IN {tars};
            DELETE FROM root_target WHERE object IN {tars}; DELETE FROM object WHERE id IN {tars};
            DELETE FROM package WHERE format = 'tar'"
        ),
    );
    let mut command = place.command(["store", "verify", "--repair"]);
    command.env(stop::VARIABLE, "journal.compacted");
    assert_eq!(finish(command).signal(), Some(6));
    remove_index(&place);
    place.ok(["store", "rebuild"]);
    assert_eq!(compose(&place), digests);
}

#[test]
fn what_is_added_beside_a_list_that_is_damaged_does_not_make_it_whole() {
    let (place, _) = two_versions();
    lose_list_and_newer(&place);
    place.package("one-0.5.deb", &deb("one", "0.5").build());
    place.ok(["add", "../packages/one-0.5.deb"]);
    assert!(demo(&place).is_err());
    place.ok(["store", "roots", "remove", &place.root("package/deb/one/0.5/")]);
    place.run(["store", "gc", "--grace", "0"]);
    assert!(demo(&place).is_err(), "nor what is let go of");
}

#[test]
fn a_journal_written_anew_says_what_a_package_was_whose_row_does_not() {
    let damages = [
        "UPDATE package SET version = 'x' WHERE format = 'tar'",
        "DELETE FROM package WHERE format = 'tar'",
        "DELETE FROM edge WHERE src IN (SELECT object FROM package WHERE format = 'tar')
            AND dst IN (SELECT id FROM object WHERE kind = 1);
        DELETE FROM package WHERE format = 'tar'",
    ];
    for damage in damages {
        for lists in ["", "; DELETE FROM name"] {
            for is_image_alone in [false, true] {
                let (place, digests) = filled();
                let gone = if is_image_alone { "package/tar/" } else { "mine/two" };
                for root in
                    place.ok(["store", "roots", "list"]).split_whitespace().filter(|root| root.starts_with(gone))
                {
                    place.ok(["store", "roots", "remove", root]);
                }
                let kept = sources(&place);
                sql(&place, &format!("{damage}{lists}"));
                for _ in 0..2 {
                    place.run(["store", "gc", "--grace", "0"]);
                    assert_eq!(sources(&place), kept, "{damage}{lists}");
                }
                remove_index(&place);
                place.ok(["store", "rebuild"]);
                assert_eq!(compose(&place), digests, "{damage}{lists}, by an image alone: {is_image_alone}");
            }
        }
    }
}

/// Each takes one row that says that an image keeps the newer version, or breaks it.
const OF_THE_IMAGE: [&str; 11] = [
    "DELETE FROM edge WHERE src = IMAGE AND dst = NEWER",
    "DELETE FROM edge WHERE src = IMAGE",
    "DELETE FROM root_target WHERE object = IMAGE",
    "DELETE FROM root WHERE name LIKE 'image/%'",
    "DELETE FROM root_target WHERE object = IMAGE; DELETE FROM root WHERE name LIKE 'image/%'",
    "DELETE FROM object WHERE id = IMAGE",
    "DELETE FROM action WHERE object = IMAGE",
    "UPDATE object SET state = 9 WHERE id = IMAGE",
    "UPDATE object SET key = zeroblob(32) WHERE id = IMAGE",
    "UPDATE object SET key = zeroblob(32) WHERE id = NEWER",
    "UPDATE object SET kind = 7 WHERE id = NEWER",
];

#[test]
fn what_an_image_alone_keeps_stays_whatever_row_is_lost() {
    for damage in OF_THE_IMAGE {
        for is_repaired in [false, true] {
            let (place, digest) = two_versions();
            keep_by_its_image(&place);
            let image = "(SELECT object FROM root_target JOIN root ON id = root WHERE name LIKE 'image/%')";
            sql(&place, &damage.replace("IMAGE", image).replace("NEWER", NEWER));
            if is_repaired {
                // A row under a key that nobody knows is said to be lost, whatever else brings the package back.
                place.run(["store", "verify", "--repair"]);
            }
            for _ in 0..2 {
                place.run(["store", "gc", "--grace", "0"]);
                assert_eq!(sources(&place).len(), 2, "{damage}, repaired: {is_repaired}");
            }
            // Refused, or right.
            let found = demo(&place);
            assert!(found.is_ok() || !is_repaired, "{damage}: {found:?}");
            assert_eq!(found.unwrap_or_else(|_| digest.clone()), digest, "{damage}, repaired: {is_repaired}");
            place.run(["store", "verify", "--repair"]);
            place.ok(["store", "gc", "--grace", "0"]);
            assert_eq!(demo(&place), Ok(digest), "{damage}, repaired: {is_repaired}");
            assert_eq!(place.verified().0, Vec::<String>::new(), "{damage}, repaired: {is_repaired}");
        }
    }
}

#[test]
fn letting_go_of_sources_forgets_no_package_that_the_journal_names() {
    for lost in ["root_target WHERE object IN (SELECT object FROM package)", "root WHERE name LIKE 'package/%'"] {
        let (place, digest) = two_versions();
        sql(&place, &format!("DELETE FROM {lost}"));
        for options in [&["--drop-sources"][..], &[], &[]] {
            place.ok(["store", "gc", "--grace", "0"].iter().chain(options));
            assert_eq!(number(&place, "SELECT count(*) FROM package JOIN object ON id = object WHERE state = 1"), 2);
        }
        // Of the package that no image has, nobody knows which layers were made: only its root did.
        assert_eq!(sources(&place).len(), 1, "{lost}");
        assert_eq!(demo(&place), Ok(digest), "{lost}");
    }
}

#[test]
fn what_a_row_names_stays_when_the_edge_to_it_is_lost_and_a_quick_look_finds_that() {
    let to = |kind: u8, from: &str| format!("dst IN (SELECT id FROM object WHERE kind = {kind}) AND src IN ({from})");
    let package = "SELECT id FROM object WHERE kind = 3";
    let losses = [
        to(2, package),
        to(7, package),
        to(4, "SELECT object FROM action WHERE kind = 'landed'"),
        to(2, "SELECT object FROM action WHERE kind = 'landed'"),
        "src IN (SELECT id FROM object WHERE kind IN (3, 5))".to_owned(),
    ];
    for loss in losses {
        let (place, digest) = two_versions();
        place.ok(["store", "gc", "--grace", "0", "--drop-sources"]);
        let count = "SELECT count(*) FROM object WHERE state = 1";
        let before = number(&place, count);
        sql(&place, &format!("DELETE FROM edge WHERE {loss}"));
        let quick = place.run(["store", "verify"]);
        assert!(quick.code() == Some(1) && quick.out.contains("edge-missing"), "{loss}: {quick:?}");
        for _ in 0..2 {
            place.ok(["store", "gc", "--grace", "0"]);
            assert_eq!(number(&place, count), before, "{loss}");
        }
        assert_eq!(demo(&place), Ok(digest), "{loss}");
        place.ok(["store", "verify", "--repair"]);
        assert_eq!(place.verified().0, Vec::<String>::new(), "{loss}");
    }
}

#[test]
fn a_source_that_a_rebuild_can_name_nothing_for_stays_until_somebody_asks() {
    let place = place!();
    place.package("six.tar", &packages::deb("six", 6, "all").data_tar());
    place.package("one.deb", &deb("one", "1.0").build());
    place.ok(["add", "../packages/six.tar", "../packages/one.deb"]);
    let kept = sources(&place);
    remove_index(&place);
    fs::remove_file(place.store().join("roots.journal")).unwrap();
    let said = place.run(["store", "rebuild"]);
    assert!(format!("{said:?}").contains("add it again"), "{said:?}");
    for _ in 0..2 {
        place.ok(["store", "gc", "--grace", "0"]);
        assert_eq!(sources(&place), kept);
    }
    assert_eq!(place.verified().0, Vec::<String>::new());
    place.ok(["add", "../packages/six.tar"]);
    assert_eq!(place.verified(), (Vec::new(), Vec::new()), "it is known again, and no orphan");
    assert!(place.ok(["list"]).contains("six"));
}

#[test]
fn an_index_without_its_log_lets_no_older_package_be_chosen() {
    for loss in ["lost", "cut", "flipped"] {
        let place = place!();
        place.image("demo", "schema = 1\nformat = \"deb\"\npackages = [\"one\"]\n");
        place.package("one-1.0.deb", &deb("one", "1.0").build());
        place.ok(["add", "../packages"]);
        place.package("one-2.0.deb", &deb("one", "2.0").build());
        let mut command = place.command(["add", "../packages/one-2.0.deb"]);
        command.env(stop::VARIABLE, "publish.committed");
        assert_eq!(finish(command).signal(), Some(6));
        let log = place.store().join("index.db-wal");
        let bytes = fs::read(&log).unwrap();
        match loss {
            "lost" => fs::remove_file(&log).unwrap(),
            "cut" => fs::write(&log, &bytes[..bytes.len() - 8192]).unwrap(),
            _ => {
                // In the first page of the log: what comes after it is not believed either.
                let flipped: Vec<u8> = bytes.iter().enumerate().map(|(at, byte)| byte ^ u8::from(at == 156)).collect();
                fs::write(&log, flipped).unwrap();
            }
        }
        assert_eq!(number(&place, "SELECT count(*) FROM package"), 1, "{loss}: the index is as it was before");
        let digest = demo(&place).unwrap();
        let fresh = place!();
        fresh.image("demo", "schema = 1\nformat = \"deb\"\npackages = [\"one\"]\n");
        fresh.package("one-2.0.deb", &deb("one", "2.0").build());
        fresh.ok(["add", "../packages"]);
        assert_eq!(Ok(digest), demo(&fresh), "{loss}");
        assert_eq!(place.verified().0, Vec::<String>::new(), "{loss}");
    }
}

#[test]
fn an_older_index_is_behind_whatever_is_added_to_it_since() {
    let (place, digest) = two_versions();
    let older = place.path().join("older.db");
    let one = place.path().join("one");
    fs::create_dir_all(&one).unwrap();
    // An index that has only the first version, from a store that has no more.
    let first = place!();
    first.package("one-1.0.deb", &deb("one", "1.0").build());
    first.ok(["add", "../packages"]);
    fs::copy(first.store().join("index.db"), &older).unwrap();
    remove_index(&place);
    fs::copy(&older, place.store().join("index.db")).unwrap();
    place.package("other.deb", &deb("other", "1").build());
    place.ok(["add", "../packages/other.deb"]);
    assert_eq!(demo(&place), Ok(digest));
}

#[test]
fn what_is_whole_but_for_the_numbers_beside_it_is_not_lost() {
    let of = |table: &str| match table {
        "package" => "SELECT object FROM package".to_owned(),
        "tree" => "SELECT id FROM object WHERE kind = 2 AND key = (SELECT tree FROM package)".to_owned(),
        _ => "SELECT max(dst) FROM edge JOIN object ON id = dst WHERE kind = 7".to_owned(),
    };
    for (table, column, value) in [
        ("package", "state", 3),
        ("package", "state", 2),
        ("package", "state", 0),
        ("package", "kind", 7),
        ("tree", "state", 3),
        ("tree", "state", 2),
        ("tree", "state", 5),
        ("tree", "kind", 0),
        ("fact", "state", 0),
        ("fact", "kind", 3),
    ] {
        let place = place!();
        place.image("demo", "schema = 1\nformat = \"deb\"\npackages = [\"one\"]\n");
        place.package("one.deb", &deb("one", "1.0").build());
        place.ok(["add", "../packages"]);
        let digest = demo(&place).unwrap();
        place.ok(["store", "gc", "--grace", "0", "--drop-sources"]);
        assert_eq!(sources(&place).len(), 0);
        sql(&place, &format!("UPDATE object SET {column} = {value} WHERE id = ({})", of(table)));
        place.ok(["store", "verify", "--repair"]);
        assert_eq!(demo(&place), Ok(digest), "{table} {column} {value}");
    }
}

#[test]
fn a_package_that_is_damaged_keeps_its_source() {
    for damage in [
        "UPDATE package SET version = '9'",
        "DELETE FROM package",
        "DELETE FROM fact WHERE object = (SELECT max(object) FROM fact)",
        "UPDATE tree SET data = x'00'",
        "UPDATE object SET state = 3 WHERE kind = 3",
        "DELETE FROM object WHERE kind = 3",
    ] {
        let place = place!();
        place.image("demo", "schema = 1\nformat = \"deb\"\npackages = [\"one\"]\n");
        place.package("one.deb", &deb("one", "1.0").build());
        place.ok(["add", "../packages"]);
        let digest = demo(&place).unwrap();
        sql(&place, damage);
        let done = place.run(["store", "gc", "--grace", "0", "--drop-sources"]);
        // Without the package's row the edge is all that tells of the source, and keeps it.
        let is_said = done.code() == Some(1) && done.out.contains("can only be restored from it");
        assert!(is_said || damage.starts_with("DELETE FROM object"), "{damage}: {done:?}");
        assert_eq!(sources(&place).len(), 1, "{damage}");
        place.run(["store", "verify", "--repair"]);
        assert_eq!(demo(&place), Ok(digest), "{damage}");
    }
}

#[test]
fn a_source_without_a_row_stays_while_a_damaged_package_needs_it() {
    let place = place!();
    place.image("demo", "schema = 1\nformat = \"deb\"\npackages = [\"one\"]\n");
    place.package("one.deb", &deb("one", "1.0").build());
    place.ok(["add", "../packages"]);
    let digest = demo(&place).unwrap();
    for lost in ["root_target", "edge", "object", "file"] {
        let of_source = "(SELECT id FROM object WHERE kind = 1)";
        let rows = match lost {
            "root_target" => format!("root_target WHERE object IN {of_source}"),
            "edge" => format!("edge WHERE dst IN {of_source}"),
            "object" => "object WHERE kind = 1".to_owned(),
            _ => "file WHERE directory = 2".to_owned(),
        };
        sql(&place, &format!("DELETE FROM {rows}"));
    }
    sql(&place, "UPDATE tree SET data = x'00'");
    let done = place.run(["store", "gc", "--grace", "0", "--drop-sources", "--orphan-sources"]);
    assert!(done.code() == Some(1) && done.out.contains("can only be restored from it"), "{done:?}");
    assert_eq!(sources(&place).len(), 1);
    place.run(["store", "verify", "--repair"]);
    assert_eq!(demo(&place), Ok(digest));
}

#[test]
fn a_source_that_a_killed_collection_marked_is_taken_back_when_its_package_is_damaged_since() {
    for damage in ["UPDATE tree SET data = x'00'", "UPDATE package SET version = '9'"] {
        let place = place!();
        place.image("demo", "schema = 1\nformat = \"deb\"\npackages = [\"one\"]\n");
        place.package("one.deb", &deb("one", "1.0").build());
        place.ok(["add", "../packages"]);
        let digest = demo(&place).unwrap();
        let mut killed = place.command(["store", "gc", "--grace", "0", "--drop-sources"]);
        killed.env(stop::VARIABLE, "gc.mark-committed");
        assert_eq!(finish(killed).signal(), Some(6));
        assert_eq!(number(&place, "SELECT count(*) FROM object WHERE kind = 1 AND state = 2"), 1);
        sql(&place, damage);
        place.run(["store", "gc", "--grace", "0", "--drop-sources"]);
        assert_eq!(sources(&place).len(), 1, "{damage}");
        place.run(["store", "verify", "--repair"]);
        assert_eq!(demo(&place), Ok(digest), "{damage}");
    }
}

#[test]
fn a_package_and_its_source_go_in_one_collection() {
    for options in [&["--drop-sources"][..], &["--drop-sources", "--orphan-sources"]] {
        let place = place!();
        place.package("one.deb", &deb("one", "1.0").build());
        place.ok(["add", "../packages"]);
        let root: String = place.index().query_row("SELECT name FROM root", [], |row| row.get(0)).unwrap();
        place.ok(["store", "roots", "remove", &root]);
        place.ok(["store", "gc", "--grace", "0"].iter().chain(options));
        assert_eq!((sources(&place).len(), number(&place, "SELECT count(*) FROM package")), (0, 0));
    }
}

#[test]
fn a_package_that_only_the_journal_tells_of_and_that_has_no_source_is_missed_by_name() {
    let place = place!();
    place.image("demo", "schema = 1\nformat = \"deb\"\npackages = [\"one\"]\n");
    place.package("one-1.0.deb", &deb("one", "1.0").build());
    place.ok(["add", "--no-keep-sources", "../packages"]);
    let older = place.path().join("older.db");
    place.ok(["store", "gc"]);
    fs::copy(place.store().join("index.db"), &older).unwrap();
    place.package("one-2.0.deb", &deb("one", "2.0").build());
    place.ok(["add", "--no-keep-sources", "../packages/one-2.0.deb"]);
    let digest = demo(&place).unwrap();
    remove_index(&place);
    fs::copy(&older, place.store().join("index.db")).unwrap();
    let refused = || {
        for words in [
            &["compose", "demo", "--arch", "amd64", "--from", "store", "-o", "oci:out", "--force"][..],
            &["show", "one"],
        ] {
            let said = place.run(words);
            let hint = said.lines("hint:").join("");
            assert!(said.code() == Some(1) && hint.contains("roots remove package/deb/one/2.0"), "{said:?}");
        }
    };
    refused();
    let listed = place.run(["list"]).ok();
    let hint =
        "add the package again with dlstore add, or do without it: dlstore store roots remove package/deb/one/2.0";
    assert!(matches!(listed.lines("hint:").as_slice(), [found] if found.starts_with(hint)), "{listed:?}");
    assert!(matches!(listed.lines("warning:").as_slice(), [line] if !line.contains("hint")), "{listed:?}");
    // Neither a repair nor a collection forgets what is missed.
    place.run(["store", "verify", "--repair"]);
    refused();
    place.ok(["store", "gc", "--grace", "0"]);
    refused();
    let other = place.package("other.deb", &deb("other", "1").build());
    place.ok(["add", other.to_str().unwrap()]);
    refused();
    place.ok(["add", "--no-keep-sources", "../packages/one-2.0.deb"]);
    assert_eq!(demo(&place), Ok(digest));
    assert_eq!(place.verified().0, Vec::<String>::new());
}

#[test]
fn an_older_index_says_nothing_of_a_name_and_roots_nothing() {
    let (place, _) = two_versions();
    let first = place!();
    first.package("one-1.0.deb", &deb("one", "1.0").build());
    first.ok(["add", "../packages"]);
    remove_index(&place);
    fs::copy(first.store().join("index.db"), place.store().join("index.db")).unwrap();
    let digests = ["show", "0123456789abcdef"];
    for words in [&["show", "one"][..], &["show", "on*"], &digests, &["store", "roots", "add", "mine", "one"]] {
        let said = place.run(words);
        assert!(said.code() == Some(1) && said.err.contains("store verify --repair"), "{said:?}");
    }
    for words in [&["list"][..], &["list", "one"], &["list", "on*"]] {
        let said = place.run(words);
        assert!(said.code() == Some(0) && said.err.contains("index is older than its roots.journal"), "{said:?}");
    }
    place.run(["store", "verify", "--repair"]);
    assert!(place.ok(["show", "one"]).contains("2.0"));
    assert!(!place.run(["list"]).err.contains("older"));
    place.ok(["store", "roots", "add", "mine", "one"]);
}

#[test]
fn a_root_that_an_older_index_knows_otherwise_is_not_taken() {
    let place = place!();
    place.image("demo", "schema = 1\nformat = \"deb\"\npackages = [\"one\"]\n");
    place.package("one-1.0.deb", &deb("one", "1.0").build());
    place.ok(["add", "../packages"]);
    demo(&place).unwrap();
    let older = fs::read(place.store().join("index.db")).unwrap();
    place.package("one-2.0.deb", &deb("one", "2.0").build());
    place.ok(["add", "../packages"]);
    demo(&place).unwrap();
    remove_index(&place);
    fs::write(place.store().join("index.db"), older).unwrap();
    let said = place.run(["store", "roots", "add", "mine/image", &place.root("image/demo/")]);
    assert!(said.code() == Some(1) && said.err.contains("store verify --repair"), "{said:?}");
    place.ok(["store", "roots", "add", "mine/first", &place.root("package/deb/one/1.0/")]);
}

#[test]
fn a_source_that_comes_back_belongs_to_all_its_packages() {
    let place = place!();
    let tar = DebBuilder::new("three", "0", "all").file("usr/share/three/data", b"3", 0o644).data_tar();
    place.package("three.tar", &tar);
    place.package("four.tar", &tar);
    place.ok(["add", "../packages/three.tar", "../packages/four.tar"]);
    place.ok(["store", "gc", "--grace", "0", "--drop-sources"]);
    place.ok(["add", "../packages/three.tar"]);
    place.ok(["store", "verify", "--full"]);
}

#[test]
fn a_source_that_only_the_journal_tells_of_is_not_let_go() {
    let (place, digest) = two_versions();
    lose_list_and_newer(&place);
    place.run(["store", "gc", "--grace", "0", "--drop-sources"]);
    place.run(["store", "verify", "--repair"]);
    assert_eq!(demo(&place), Ok(digest));
}

#[test]
fn two_that_catch_up_at_once_both_compose_the_newer_package() {
    for _ in 0..5 {
        let (place, digest) = two_versions();
        let first = place!();
        first.package("one-1.0.deb", &deb("one", "1.0").build());
        first.ok(["add", "../packages"]);
        remove_index(&place);
        fs::copy(first.store().join("index.db"), place.store().join("index.db")).unwrap();
        let compose = |at: usize| {
            let output = format!("oci:both{at}");
            let mut command = place.command(["compose", "demo", "--arch", "amd64", "--from", "store", "-o", &output]);
            command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap()
        };
        for child in [compose(0), compose(1)] {
            let done = child.wait_with_output().unwrap();
            assert!(done.status.success(), "{done:?}");
            assert!(String::from_utf8(done.stdout).unwrap().contains(digest.as_str()));
        }
    }
}
