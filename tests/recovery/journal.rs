//! The roots' journal: what it says, what it costs when it is lost, and that it stays short.

use std::fs;
use std::path::PathBuf;

use dlstore_fsx::stop;

use crate::state::{add, compose, filled, remove_index, sources, sql};
use dlstore_kit::{Place, finish, packages, place};

fn journal(place: &Place) -> PathBuf {
    place.store().join("roots.journal")
}

fn lines(place: &Place) -> usize {
    fs::read_to_string(journal(place)).unwrap().lines().count()
}

fn notes(place: &Place) -> Vec<String> {
    let (findings, mut notes) = place.verified();
    assert_eq!(findings, Vec::<String>::new());
    notes.retain(|note| note.starts_with("roots-journal"));
    notes
}

/// Lets go of the roots of the tars, so that only their image keeps them.
fn keep_tars_by_their_image(place: &Place) {
    for name in ["four", "five"] {
        place.ok(["store", "roots", "remove", &place.root(&format!("package/tar/{name}/"))]);
    }
    place.ok(["store", "gc", "--grace", "0"]);
}

#[test]
fn every_change_of_a_root_is_a_line_and_a_collection_leaves_one_for_each_root() {
    let (place, _) = filled();
    let roots = place.ok(["store", "roots", "list"]).lines().count();
    assert_eq!(lines(&place), roots, "five packages, three images, one of our own");
    assert_eq!(notes(&place), Vec::<String>::new());
    add(&place);
    assert_eq!(lines(&place), roots, "what was known changes no root");
    place.ok(["store", "roots", "add", "mine/one", "one"]);
    place.ok(["store", "roots", "remove", "mine/one", "mine/two"]);
    assert_eq!(lines(&place), roots + 3);
    assert_eq!(notes(&place), Vec::<String>::new());
    place.ok(["store", "gc"]);
    assert_eq!(lines(&place), roots - 1);
    let before = fs::read(journal(&place)).unwrap();
    assert_eq!(notes(&place), Vec::<String>::new());
    place.ok(["store", "gc"]);
    assert_eq!(fs::read(journal(&place)).unwrap(), before);
}

#[test]
fn a_line_says_what_a_package_can_be_made_again_from() {
    let (place, _) = filled();
    let text = fs::read_to_string(journal(&place)).unwrap();
    let four = text.lines().find(|line| line.contains("package/tar/four/")).unwrap();
    let line: serde_json::Value = serde_json::from_str(four).unwrap();
    let kept = line["keeps"].as_array().unwrap().iter().find(|kept| kept["kind"] == "package").unwrap();
    assert_eq!((&kept["format"], &kept["name"], &kept["given"]), (&"tar".into(), &"four".into(), &"four".into()));
    let source = kept["source"].as_str().unwrap();
    assert!(place.store().join("sources").join(source).exists());
    assert!(line["at"].as_u64().unwrap() > 1_500_000_000);
}

type Way = (&'static str, fn(&PathBuf));

#[test]
fn a_journal_that_is_lost_is_noted_and_comes_back_with_the_next_change() {
    let ways: [Way; 4] = [
        ("removed", |path| fs::remove_file(path).unwrap()),
        ("a directory", |path| {
            fs::remove_file(path).unwrap();
            fs::create_dir(path).unwrap();
        }),
        ("a pipe", |path| {
            fs::remove_file(path).unwrap();
            assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
        }),
        ("a link", |path| {
            fs::remove_file(path).unwrap();
            std::os::unix::fs::symlink("nowhere", path).unwrap();
        }),
    ];
    for (way, lose) in ways {
        let (place, _) = filled();
        lose(&journal(&place));
        let (_, noted) = place.verified();
        assert!(noted.iter().any(|note| note.contains("it is not there")), "{way}: {noted:?}");
        place.ok(["store", "roots", "add", "mine/one", "one"]);
        assert_eq!(notes(&place), Vec::<String>::new(), "{way}");
        lose(&journal(&place));
        place.ok(["store", "gc"]);
        assert_eq!(notes(&place), Vec::<String>::new(), "{way}: a collection writes it, too");
    }
}

#[test]
fn a_torn_line_is_no_line_and_the_next_one_stands_by_itself() {
    let (place, _) = filled();
    let mut text = fs::read(journal(&place)).unwrap();
    let whole = text.len();
    text.extend_from_slice(b"{\"set\":\"mine/torn\",\"at\":17");
    fs::write(journal(&place), &text).unwrap();
    assert_eq!(notes(&place).len(), 1);
    place.ok(["store", "roots", "add", "mine/one", "one"]);
    let text = fs::read(journal(&place)).unwrap();
    assert!(text.len() > whole && text.ends_with(b"}\n"));
    assert_eq!(notes(&place).len(), 1, "only the torn line is noted");
    place.ok(["store", "gc"]);
    assert_eq!(notes(&place), Vec::<String>::new());
}

#[test]
fn a_change_killed_before_its_commit_leaves_a_line_that_does_no_harm() {
    let (place, _) = filled();
    let roots = place.ok(["store", "roots", "list"]);
    let mut command = place.command(["store", "roots", "add", "mine/never", "one"]);
    command.env(stop::VARIABLE, "journal.appended");
    assert_eq!(finish(command).signal(), Some(6));
    assert_eq!(place.ok(["store", "roots", "list"]), roots);
    assert_eq!(notes(&place).len(), 1, "the line is there before the change");
    for point in ["journal.written", "journal.compacted"] {
        let mut command = place.command(["store", "gc"]);
        command.env(stop::VARIABLE, point);
        assert_eq!(finish(command).signal(), Some(6), "{point}");
        assert_eq!(place.ok(["store", "roots", "list"]), roots, "{point}");
    }
    assert_eq!(notes(&place), Vec::<String>::new(), "the second was killed after the rename");
}

#[test]
fn a_tar_that_only_an_image_keeps_has_its_name_again_after_a_rebuild() {
    let (place, digests) = filled();
    keep_tars_by_their_image(&place);
    let text = fs::read_to_string(journal(&place)).unwrap();
    assert!(!text.contains("package/tar/"), "no line is about the packages alone: {text}");
    assert_eq!(notes(&place), Vec::<String>::new());
    let packages = place.ok(["list"]);
    remove_index(&place);
    place.ok(["store", "rebuild"]);
    assert_eq!(place.ok(["list"]), packages);
    assert_eq!(compose(&place), digests);
    assert_eq!(notes(&place), Vec::<String>::new());
}

#[test]
fn an_image_that_the_index_lost_still_keeps_its_tars() {
    let (place, digests) = filled();
    keep_tars_by_their_image(&place);
    let kept = sources(&place);
    sql(&place, "DELETE FROM root WHERE name LIKE 'image/plain%'");
    for _ in 0..2 {
        place.ok(["store", "gc", "--grace", "0"]);
        assert_eq!(sources(&place), kept);
    }
    assert_eq!(compose(&place), digests);
}

#[test]
fn roots_that_a_collection_drops_are_written_down_together() {
    let place = place!();
    place.package("one.deb", &packages::deb("one", 1, "amd64").build());
    place.ok(["add", "../packages"]);
    for number in 0..30 {
        place.ok(["store", "roots", "add", &format!("mine/{number}"), "one"]);
    }
    let drop = |visit: &str| {
        sql(&place, "UPDATE root SET used_at = used_at - 864000, set_at = set_at - 864000");
        let mut command = place.command(["store", "gc", "--older-than", "3d"]);
        command.env(stop::VARIABLE, format!("journal.appended:{visit}"));
        finish(command)
    };
    let roots = place.ok(["store", "roots", "list"]);
    let done = drop("1");
    assert_eq!(done.signal(), Some(6), "{done:?}");
    assert_eq!(place.ok(["store", "roots", "list"]), roots, "no line without its commit, no commit without its line");
    // A turn lasts 40 ms: a slow machine may need some of them, and none for each root.
    drop("15").ok();
    assert_eq!(place.ok(["store", "roots", "list"]), "");
    assert_eq!((lines(&place), notes(&place)), (0, Vec::new()));
}

#[test]
fn a_root_whose_commit_never_came_is_a_note_that_says_what_sets_it() {
    let place = place!();
    place.package("one.deb", &packages::deb("one", 1, "amd64").build());
    place.ok(["add", "../packages"]);
    place.package("six.tar", &packages::deb("six", 6, "all").data_tar());
    let mut command = place.command(["add", "../packages/six.tar"]);
    command.env(stop::VARIABLE, "journal.appended");
    assert_eq!(finish(command).signal(), Some(6));
    // A kill leaves no finding, and a collection does not take the source.
    let kept = sources(&place);
    for _ in 0..2 {
        let noted = notes(&place);
        assert!(matches!(noted.as_slice(), [note] if note.contains("dlstore store verify --repair")), "{noted:?}");
        place.ok(["store", "gc", "--grace", "0"]);
        assert_eq!(sources(&place), kept);
    }
    place.run(["store", "verify", "--repair"]);
    assert!(place.ok(["list"]).contains("six"));
    assert!(place.ok(["store", "roots", "list"]).contains("package/tar/six/"));
    assert_eq!(notes(&place), Vec::<String>::new());
}

#[test]
fn a_root_that_only_the_journal_has_is_set_by_a_repair_and_dropped_by_hand() {
    let (place, digests) = filled();
    keep_tars_by_their_image(&place);
    let image = place.root("image/plain/");
    let kept = sources(&place);
    for way in ["repair", "remove"] {
        sql(&place, &format!("DELETE FROM root WHERE name = '{image}'; DELETE FROM action WHERE kind = 'image'"));
        sql(&place, "DELETE FROM object WHERE kind = 5 AND id NOT IN (SELECT object FROM action)");
        if way == "repair" {
            place.run(["store", "verify", "--repair"]);
            assert_eq!(place.root("image/plain/"), image);
            place.ok(["store", "gc", "--grace", "0"]);
            assert_eq!(sources(&place), kept);
            assert_eq!(compose(&place), digests);
            assert_eq!(notes(&place), Vec::<String>::new());
        } else {
            place.ok(["store", "roots", "remove", &image]);
            assert_eq!(place.run(["store", "roots", "remove", &image]).error(), format!("no root is named {image}"));
            // What the lost image refers to stays until its references are swept.
            place.ok(["store", "gc", "--grace", "0"]);
            assert_eq!(sources(&place), kept);
            place.run(["store", "verify", "--repair"]);
            place.ok(["store", "gc", "--grace", "0"]);
            assert_eq!(sources(&place).len(), kept.len() - 2);
        }
    }
}

/// Each takes something from the index that says who keeps the tars `four` and `five`, or their images.
const LOSSES: [&str; 7] = [
    "DELETE FROM root_target WHERE root IN (SELECT id FROM root WHERE name LIKE 'image/plain%')",
    "DELETE FROM edge WHERE dst IN (SELECT object FROM package WHERE format = 'tar')",
    "DELETE FROM edge WHERE dst IN (SELECT id FROM object WHERE kind = 1)",
    "DELETE FROM object WHERE id IN (SELECT object FROM package WHERE format = 'tar')",
    "DELETE FROM object WHERE kind = 5",
    "DELETE FROM root_target",
    "UPDATE object SET key = CAST(zeroblob(31) || x'07' AS BLOB) WHERE id = (SELECT min(id) FROM object WHERE kind = 1)",
];

#[test]
fn what_the_journal_says_is_kept_stays_whatever_the_index_lost() {
    for loss in LOSSES {
        for first in [&["store", "gc"][..], &["store", "verify", "--repair"]] {
            let (place, digests) = filled();
            keep_tars_by_their_image(&place);
            let kept = sources(&place);
            sql(&place, &format!("PRAGMA foreign_keys = OFF; {loss}"));
            // A journal that is not even is written anew by any collection.
            place.ok(["store", "roots", "add", "mine/one", "one"]);
            place.ok(["store", "roots", "remove", "mine/one"]);
            place.run(first);
            for _ in 0..2 {
                place.run(["store", "gc", "--grace", "0"]);
                assert_eq!(sources(&place), kept, "{loss}, {first:?} first");
            }
            place.run(["store", "verify", "--repair"]);
            place.run(["store", "gc", "--grace", "0"]);
            assert_eq!(sources(&place), kept, "{loss}, after a repair");
            assert_eq!(compose(&place), digests, "{loss}");
            assert_eq!(place.verified().0, Vec::<String>::new(), "{loss}");
        }
    }
}

#[test]
fn a_line_that_cannot_be_read_is_written_anew_by_the_next_collection() {
    let (place, _) = filled();
    let text = fs::read_to_string(journal(&place)).unwrap();
    fs::write(journal(&place), text.replacen("\"set\"", "\"sat\"", 1)).unwrap();
    assert_ne!(notes(&place), Vec::<String>::new());
    place.ok(["store", "gc"]);
    assert_eq!(notes(&place), Vec::<String>::new());
    assert_eq!(lines(&place), text.lines().count());
}
