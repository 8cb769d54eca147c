//! A disk that is full: one sentence, a sound store, and work as before when there is room again.

use std::fs;
use std::path::Path;

use dlstore_formats::archive::decompress::Compression;
use dlstore_formats::package::fixture::DebBuilder;

use dlstore_kit::disk::SmallDisk;
use dlstore_kit::{Dice, Place, packages, place};
use dlstore_model::quantity::Size;

fn incompressible(name: &str, size: usize) -> Vec<u8> {
    let deb = DebBuilder::new(name, "1.0-1", "amd64").compression(Compression::None);
    deb.file(&format!("usr/share/{name}/noise"), &Dice::new(1).bytes(size), 0o644).build()
}

fn add(place: &Place, store: &Path, what: &Path) -> dlstore_kit::Done {
    place.run(["add".as_ref(), what.as_os_str(), "--store".as_ref(), store.as_os_str()])
}

fn verify(place: &Place, store: &Path) {
    let done =
        place.run(["store".as_ref(), "verify".as_ref(), "--full".as_ref(), "--store".as_ref(), store.as_os_str()]);
    assert!(done.status.success(), "{done:?}");
}

#[test]
fn an_add_on_a_full_disk_fails_with_one_sentence_and_works_when_there_is_room() {
    let Some(disk) = SmallDisk::new("16m") else { return };
    let (place, store) = (place!(), disk.path().join("store"));
    let small = place.package("small.deb", &packages::deb("small", 1, "amd64").build());
    let large = place.package("large.deb", &incompressible("large", 12 << 20));
    let first = add(&place, &store, &small).ok();
    let failed = add(&place, &store, &large);
    assert_eq!(failed.code(), Some(1), "{failed:?}");
    let errors = failed.lines("error:");
    assert_eq!(errors.len(), 1, "{failed:?}");
    assert!(errors[0].contains("No space left on device"), "{failed:?}");
    verify(&place, &store);
    let again = add(&place, &store, &small).ok();
    assert_eq!(again.out.replace("known", "added"), first.out);
    // Nothing of the failed one is left to take up room.
    for directory in ["stage", "leases"] {
        assert_eq!(dlstore_kit::names(&store.join(directory)), Vec::<String>::new(), "{directory}");
    }

    disk.fill();
    let other = place.package("other.deb", &packages::deb("other", 2, "amd64").build());
    let failed = add(&place, &store, &other);
    assert_eq!((failed.code(), failed.lines("error:").len()), (Some(1), 1), "{failed:?}");
    disk.make_room();
    verify(&place, &store);
    add(&place, &store, &other).ok();
    verify(&place, &store);
}

#[test]
fn a_collection_starts_on_a_full_disk_and_makes_room() {
    let Some(disk) = SmallDisk::new("200m") else { return };
    let (place, store) = (place!(), disk.path().join("store"));
    let large = place.package("large.deb", &packages::large().build());
    let noise = place.package("noise.deb", &incompressible("noise", 8 << 20));
    add(&place, &store, &large).ok();
    add(&place, &store, &noise).ok();
    assert!(store.join("reserve").exists());
    let store_argument = store.to_str().unwrap();
    let roots = place.ok(["store", "roots", "list", "--store", store_argument]);
    let noisy = roots.lines().find(|name| name.starts_with("package/deb/noise/")).unwrap();
    place.ok(["store", "roots", "remove", noisy, "--store", store_argument]);
    disk.fill();
    let done = place.run(["store", "gc", "--grace", "0", "--store", store_argument]);
    assert!(done.status.success(), "{done:?}");
    verify(&place, &store);
    disk.make_room();
    add(&place, &store, &noise).ok();
    verify(&place, &store);
}

#[test]
fn a_compose_whose_output_disk_is_full_says_so_and_is_repeated_with_the_same_digest() {
    let Some(disk) = SmallDisk::new("128k") else { return };
    let place = place!();
    let output = format!("oci:{}", disk.path().join("out").display());
    let compose = ["compose", "static", "--arch", "all", "-o", &output];
    disk.fill();
    let failed = place.run(compose);
    let whole = place!();
    whole.ok(["compose", "static", "--arch", "all"]);
    let needed: u64 = fs::read_dir(whole.project().join("out/static/blobs/sha256"))
        .unwrap()
        .map(|blob| blob.unwrap().metadata().unwrap().len())
        .sum();
    let layout = disk.path().join("out");
    let sentence = format!("no space left for the layout {} ({} needed)", layout.display(), Size(needed));
    assert_eq!((failed.error(), failed.out.as_str()), (sentence, ""), "{failed:?}");
    assert!(failed.lines("cause:").iter().any(|cause| cause.contains("No space left on device")), "{failed:?}");
    assert_eq!(place.verified().0, Vec::<String>::new());
    disk.make_room();
    drop(disk);
    let elsewhere = place.ok(["compose", "static", "--arch", "all"]);
    let fresh = place!();
    assert_eq!(fresh.ok(["compose", "static", "--arch", "all"]), elsewhere);
}

#[test]
fn a_full_disk_is_said_of_the_store_and_with_what_helps() {
    let Some(disk) = SmallDisk::new("16m") else { return };
    let (place, store) = (place!(), disk.path().join("store"));
    let kept = place.package("kept.deb", &packages::deb("kept", 1, "amd64").build());
    let other = place.package("other.deb", &incompressible("other", 100_000));
    place.image("demo", "schema = 1\nformat = \"deb\"\npackages = [\"kept\"]\n");
    add(&place, &store, &kept).ok();
    let root = place.ok(["store", "roots", "list", "--store", store.to_str().unwrap()]);
    // What a collection may spend is none of what the others may.
    fs::remove_file(store.join("reserve")).ok();
    disk.fill();
    let commands: [&[&str]; 4] = [
        &["add", other.to_str().unwrap()],
        &["compose", "demo", "--arch", "amd64", "--from", "store"],
        &["store", "roots", "remove", root.trim()],
        &["store", "rebuild"],
    ];
    for command in commands {
        let done = place.run(command.iter().chain(&["--store", store.to_str().unwrap()]));
        let error = done.error();
        assert!(error.contains(&format!("no space left for the store {}", store.display())), "{done:?}");
        assert!(!done.err.contains("cannot read"), "{done:?}");
        let hints = done.lines("hint:");
        assert!(matches!(hints.as_slice(), [hint] if hint.contains("dlstore store gc")), "{done:?}");
    }
    disk.make_room();
    verify(&place, &store);
    add(&place, &store, &other).ok();
}

#[test]
fn a_layout_that_found_no_room_leaves_no_directory_that_was_made_for_it() {
    let Some(disk) = SmallDisk::new("64k") else { return };
    let place = place!();
    let compose =
        |dir: &Path| place.run(["compose", "static", "--arch", "amd64", "-o", &format!("oci:{}", dir.display())]);
    fs::create_dir(disk.path().join("own")).unwrap();
    for layout in ["new", "above/new", "own"] {
        let failed = compose(&disk.path().join(layout));
        assert!(failed.error().starts_with("no space left for the layout"), "{failed:?}");
        assert_eq!(dlstore_kit::names(disk.path()), ["own"], "{layout}");
        // What was there is the user's, whatever is in it now.
        assert!(disk.path().join("own").is_dir());
    }
    fs::remove_dir_all(disk.path().join("own")).unwrap();
    disk.fill();
    compose(&disk.path().join("new")).error();
    assert_eq!(dlstore_kit::names(disk.path()), ["ballast"]);
}

#[test]
fn a_store_that_finds_no_room_to_be_made_is_wanted_elsewhere_and_not_collected() {
    let Some(disk) = SmallDisk::new("64k") else { return };
    let place = place!();
    disk.fill();
    let store = disk.path().join("store");
    let failed = place.run(["compose", "static", "--arch", "amd64", "--store", store.to_str().unwrap()]);
    assert_eq!(failed.error(), format!("no space left for the store {}", store.display()));
    let hints = failed.lines("hint:");
    assert!(matches!(hints.as_slice(), [hint] if hint.contains("--store DIR") && !hint.contains("gc")), "{failed:?}");
}

#[test]
fn an_archive_on_a_full_disk_is_named_with_the_bytes_that_it_takes() {
    let Some(disk) = SmallDisk::new("64k") else { return };
    let place = place!();
    for kind in ["oci-archive", "docker-archive"] {
        place.ok(["compose", "static", "--arch", "amd64", "-o", &format!("{kind}:whole")]);
        let needed = Size(fs::metadata(place.project().join("whole")).unwrap().len());
        let file = disk.path().join("image.tar");
        let failed = place.run(["compose", "static", "--arch", "amd64", "-o", &format!("{kind}:{}", file.display())]);
        assert_eq!(failed.error(), format!("no space left for the archive {} ({needed} needed)", file.display()));
        assert_eq!(failed.lines("cause:").last(), Some(&"No space left on device (os error 28)"), "{failed:?}");
        assert!(!file.exists());

        // A stdout that takes nothing.
        let mut command = place.command(["compose", "static", "--arch", "amd64", "-o", &format!("{kind}:-")]);
        command.stdout(fs::File::options().write(true).open("/dev/full").unwrap());
        let failed = dlstore_kit::finish(command);
        assert_eq!(failed.error(), format!("no space left for stdout ({needed} needed)"), "{failed:?}");
    }
    for arguments in
        [&["compose", "static", "--arch", "amd64"][..], &["store", "info", "--json"], &["completions", "bash"]]
    {
        let mut command = place.command(arguments);
        command.stdout(fs::File::options().write(true).open("/dev/full").unwrap());
        let failed = dlstore_kit::finish(command);
        assert_eq!(failed.error(), "no space left for stdout", "{failed:?}");
    }
}
