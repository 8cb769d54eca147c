//! Many images on a base that changed: planned together, with the base once, they are what each is alone.
//!
//! The base has so many entries that a few images have as many as may be planned at once, and it is changed between two
//! runs. Most images only add a file to it; among them stand some that cannot be planned on a base, and some on a base
//! of their own. The same project is composed in a store that plans every image as a whole (`DLSTORE_TEST_WHOLE`), and
//! some images alone, each in a fresh store.

use std::path::Path;

use dlstore_formats::archive::decompress::Compression;
use dlstore_formats::package::fixture::DebBuilder;

use crate::template::index;
use dlstore_kit::{Done, Place, finish, place, program};

/// More than 130,000 entries with two architectures of the base.
const IMAGES: usize = 24;
const ENTRIES: usize = 2800;

/// More than a rootfs may have that is planned beside others.
const LARGE: usize = 20_100;

/// So many that the bases of eight architectures are planned in turns, and not all of them are kept.
const WIDE: usize = 33_000;

const ARCHITECTURES: &str = "amd64,arm64";
const EVERYWHERE: &str = "all";

/// Writes the package that all of them have in common.
fn change(place: &Place, version: &str, entries: usize) {
    let mut deb = DebBuilder::new("bulk", version, "all").compression(Compression::Gzip).md5sums();
    deb = deb.file("usr/share/bulk/version", version.as_bytes(), 0o644);
    for at in 0..entries {
        deb = deb.file(&format!("usr/share/bulk/{}/{at}", at % 40), at.to_string().as_bytes(), 0o644);
    }
    place.package("bulk_all.deb", &deb.build());
}

/// A place with the base, in memory where there is room.
fn with_base() -> Place {
    let memory = Path::new("/dev/shm");
    let place = if memory.is_dir() { Place::within(program!(), memory) } else { place!() };
    place.image("base", "schema = 1\nformat = \"deb\"\npackages = [\"bulk\"]\n");
    place
}

fn furnish() -> Place {
    let place = with_base();
    let small = DebBuilder::new("small", "1-1", "all").compression(Compression::Gzip);
    place.package("small_all.deb", &small.file("opt/small", b"small", 0o644).build());
    place.image("other", "schema = 1\nextends = \"base\"\npackages = [\"small\"]\n");
    for at in 0..IMAGES {
        let (base, words) = match at {
            // A file of the base is in the way, and a package is more than a file.
            5 => ("base", format!("files.\"/usr/share/bulk/version\" = {{ content = \"mine {at}\" }}\n")),
            6 => ("base", "packages = [\"small\"]\n".to_owned()),
            // A base of their own.
            7 | 19 => ("other", format!("files.\"/app/word\" = {{ content = \"{at}\" }}\n")),
            8 => ("base", "layers = \"flat\"\n".to_owned()),
            _ => ("base", format!("files.\"/app/word\" = {{ content = \"{at}\" }}\n")),
        };
        place.image(&format!("app-{at:02}"), &format!("schema = 1\nextends = \"{base}\"\n{words}"));
    }
    place
}

/// Composes some images in a store, and gives what is said without where they lie.
fn compose(place: &Place, images: &[&str], store: &str, is_whole: bool) -> Done {
    compose_for(ARCHITECTURES, place, images, store, is_whole)
}

fn compose_for(architectures: &str, place: &Place, images: &[&str], store: &str, is_whole: bool) -> Done {
    let mut command =
        place.command(["compose", "--arch", architectures, "--from", "../packages", "-o", "oci:out", "--force"]);
    command.args(images).env("DLSTORE_ROOT", place.path().join(store)).env("DLSTORE_LOG", "dlstore_image=debug");
    if is_whole {
        command.env("DLSTORE_TEST_WHOLE", "1");
    }
    let mut done = finish(command);
    assert_eq!(done.code(), Some(0), "{}", done.err);
    done.out = done.out.lines().filter(|line| line.contains("sha256:")).collect::<Vec<_>>().join("\n");
    done
}

#[test]
fn many_images_on_a_base_that_changed_are_each_what_they_are_alone() {
    let place = furnish();
    for version in ["1-1", "1-2"] {
        change(&place, version, ENTRIES);
        let (together, whole) =
            (compose(&place, &["--all"], "store", false), compose(&place, &["--all"], "whole", true));
        assert_eq!(together.out.lines().count(), IMAGES + 2, "{}", together.out);
        assert_eq!(together.out, whole.out, "{version}");
        for at in [0, 5, 7, IMAGES - 1] {
            let name = format!("app-{at:02}");
            let alone = compose(&place, &[&name], &format!("alone-{version}-{at}"), false);
            assert_eq!(alone.out.lines().count(), 1, "{}", alone.out);
            let is_there = together.out.lines().any(|line| digest(line) == digest(&alone.out));
            assert!(is_there, "{version}, {name}: {}", alone.out);
        }
        // Both bases, on two architectures each: once, however many images extend them.
        assert_eq!((planned_bases(&together), planned_bases(&whole)), (4, 0), "{version}\n{}", together.err);
    }
    // A rootfs that stands on a base names it.
    let count = "SELECT count(*) FROM edge JOIN action AS root ON root.object = src
        JOIN action AS base ON base.object = dst WHERE root.kind = 'root' AND base.kind = 'base'";
    let standing: i64 = index(&place.store()).query_row(count, [], |row| row.get(0)).unwrap();
    // In two runs, on two architectures; an image that brings a file of the base, a package or is flat does not.
    assert_eq!(standing, 2 * 2 * (i64::try_from(IMAGES).unwrap() - 3));
    assert_eq!(place.verified().0, Vec::<String>::new());
}

#[test]
fn images_on_a_large_base_that_changed_are_what_they_are_as_a_whole() {
    let place = with_base();
    let names = ["app-0", "app-1", "app-2"];
    for name in names {
        place.image(
            name,
            &format!("schema = 1\nextends = \"base\"\nfiles.\"/app/word\" = {{ content = \"{name}\" }}\n"),
        );
    }
    for version in ["1-1", "1-2"] {
        change(&place, version, LARGE);
        let (together, whole) = (compose(&place, &names, "store", false), compose(&place, &names, "whole", true));
        assert_eq!(together.out.lines().count(), names.len(), "{}", together.out);
        assert_eq!(together.out, whole.out, "{version}");
        assert_eq!(planned_bases(&together), 2, "{version}\n{}", together.err);
    }
}

#[test]
fn bases_that_are_more_than_may_be_planned_at_once_are_each_planned_once_and_recalled() {
    let place = with_base();
    let write = |name: &str, word: &str| {
        let words = format!("files.\"/app/word\" = {{ content = \"{word}\" }}\n");
        place.image(name, &format!("schema = 1\nextends = \"base\"\n{words}"));
    };
    let names = ["app-0", "app-1", "app-2"];
    for name in &names {
        write(name, name);
    }
    change(&place, "1-1", WIDE);
    let together = compose_for(EVERYWHERE, &place, &names, "store", false);
    assert_eq!((planned_bases(&together), planned_wholes(&together)), (8, 0), "{}", together.err);

    // Nothing of it is here any more but what is remembered.
    write("app-1", "another word");
    let again = compose_for(EVERYWHERE, &place, &names, "store", false);
    assert_eq!((planned_bases(&again), planned_wholes(&again)), (0, 0), "{}", again.err);
    let one = |store, is_whole| compose_for("amd64", &place, &["app-1"], store, is_whole).out;
    assert_eq!(one("store", false), one("whole", true));
    let new = again.out.lines().filter(|line| !together.out.contains(digest(line).unwrap())).count();
    assert_eq!((again.out.lines().count(), new), (names.len(), 1), "{}\n{}", together.out, again.out);
}

/// Counts the bases that were planned, on each architecture.
fn planned_bases(done: &Done) -> usize {
    done.err.lines().filter(|line| line.contains("planning what")).count()
}

/// Counts the rootfs that were planned as a whole.
fn planned_wholes(done: &Done) -> usize {
    done.err.lines().filter(|line| line.contains("planning all of")).count()
}

fn digest(line: &str) -> Option<&str> {
    line.split_whitespace().find(|word| word.contains("sha256:"))
}
