//! Whose definitions are used: what is found above the current directory is the user's or root's.

use std::os::unix::fs::{chown, lchown, symlink};
use std::path::Path;

use dlstore_kit::{Done, Place, finish, place, workspace};

const OURS: &str = "schema = 1\nfiles.\"/etc/whose\" = { content = \"the project's\" }\n";

/// A number that is neither the user's nor root's.
const OTHER: u32 = 54_321;

/// A project whose directory `work` is worked in, if this user can give files away.
fn project() -> Option<Place> {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root can give files away");
        return None;
    }
    let place = place!();
    place.image("static", OURS);
    place.image("plain", OURS);
    place.project_file("work/x", b"");
    Some(place)
}

fn within(place: &Place, directory: &str, arguments: &[&str]) -> Done {
    let mut command = place.command(arguments);
    command.current_dir(place.project().join(directory));
    finish(command)
}

fn give(path: &Path) {
    lchown(path, Some(OTHER), Some(OTHER)).unwrap();
}

#[test]
fn definitions_above_the_current_directory_belong_to_the_user_or_root() {
    let Some(place) = project() else { return };
    let listed = ["files", "static", "--arch", "amd64"];
    assert!(within(&place, "work", &listed).ok().out.contains("/etc/whose"));
    for given in ["images", "images/static", "images/static/image.toml"] {
        let path = place.project().join(given);
        give(&path);
        let done = within(&place, "work", &listed);
        let sentence = format!("{} belongs to the user {OTHER}, not to you or root", path.display());
        assert_eq!(done.error(), sentence, "{given}");
        let hint = format!("if you trust its owner: --project {}", place.project().display());
        assert_eq!(done.lines("hint:"), [hint.as_str()], "{given}");
        // Nor is it listed as something that can be made, or extended.
        let images = within(&place, "work", &["list", "--images"]).ok().out;
        assert!(images.contains("static  embedded debian"), "the one that is built in: {images}");
        place.project_file("work/own.toml", b"schema = 1\nextends = \"static\"\n");
        let done = within(&place, "work", &["files", "./own.toml", "--arch", "amd64"]);
        assert!(done.err.contains(&sentence), "{done:?}");
        // The user may say so by hand.
        let done = within(&place, "work", &[&listed[..], &["--project", ".."]].concat()).ok();
        assert!(done.out.contains("/etc/whose"), "{given}");
        chown(&path, Some(0), Some(0)).unwrap();
    }
}

#[test]
fn a_link_to_a_definition_of_another_user_is_that_users() {
    let Some(place) = project() else { return };
    let elsewhere = place.project().join("elsewhere");
    place.project_file("elsewhere/image.toml", OURS.as_bytes());
    std::fs::remove_dir_all(place.project().join("images/static")).unwrap();
    symlink(&elsewhere, place.project().join("images/static")).unwrap();
    let listed = ["files", "static", "--arch", "amd64"];
    assert!(within(&place, "work", &listed).ok().out.contains("/etc/whose"));
    for given in [elsewhere.clone(), elsewhere.join("image.toml"), place.project().join("images/static")] {
        give(&given);
        assert!(within(&place, "work", &listed).error().contains("belongs to the user 54321"), "{given:?}");
        lchown(&given, Some(0), Some(0)).unwrap();
    }
    // The name that keeps the image in a store is such a word too.
    place.project_file("dlstore.toml", b"schema = 1\nproject = \"acme\"\n");
    give(&place.project().join("dlstore.toml"));
    assert!(within(&place, "work", &listed).error().contains("dlstore.toml belongs to the user 54321"));
}

#[test]
fn the_owner_of_the_current_directory_counts_in_it() {
    let Some(place) = project() else { return };
    for path in ["", "images", "images/plain", "images/plain/image.toml"] {
        give(&place.project().join(path));
    }
    // As in a container that mounts a checkout of the user outside.
    let listed = ["files", "plain", "--arch", "amd64"];
    within(&place, "", &listed).ok();
    assert!(within(&place, "work", &listed).error().contains("belongs to the user 54321"));
    // `/tmp` is root's: what somebody put there is not.
    chown(place.project(), Some(0), Some(0)).unwrap();
    assert!(within(&place, "", &listed).error().contains("belongs to the user 54321"));
    // What is named by its path is named.
    within(&place, "", &["files", "./images/plain", "--arch", "amd64"]).ok();
}

#[test]
fn project_names_the_directory_of_definitions_by_hand() {
    let place = place!();
    place.image("plain", OURS);
    let project = place.project();
    for command in ["files", "tree", "compose", "show"] {
        let mut done = place.command([command, "plain", "--project", project.to_str().unwrap()]);
        done.current_dir(place.packages());
        assert_eq!(finish(done).ok().code(), Some(0), "{command}");
    }
    let mut list = place.command(["list", "--images", "--project", project.to_str().unwrap()]);
    list.current_dir(place.packages());
    assert!(finish(list).ok().out.contains("plain  default"));
    let error = place.run(["files", "plain", "--project", ".."]).error();
    assert_eq!(error, ".. has no directory `images`");
}

#[test]
fn a_built_in_name_that_a_project_hides_is_a_note() {
    let place = place!();
    place.image("static", OURS);
    place.image("app", "schema = 1\nextends = \"static\"\n");
    place.image("other", "schema = 1\nextends = \"musl-dynamic\"\n");
    let note = "`static` is images/static/image.toml, which hides the built-in image of that name";
    for (command, image) in [("compose", "static"), ("compose", "app"), ("files", "static"), ("show", "app")] {
        let done = place.run([command, image]).ok();
        assert_eq!(done.lines("note:").iter().filter(|line| **line == note).count(), 1, "{command} {image}: {done:?}");
    }
    let done = place.run(["show", "other"]).ok();
    assert!(!done.err.contains("hides"), "{done:?}");
    // The very same text hides nothing.
    let text = workspace::own("images/static/image.toml");
    place.image("static", &std::fs::read_to_string(text).unwrap());
    assert!(!place.run(["compose", "static"]).ok().err.contains("hides"));
}
