//! The way to what an image runs is gone as the user of the image goes it.

use dlstore_kit::{Done, Place, elf, place};

fn compose(place: &Place) -> Done {
    place.run(["compose", "demo", "--arch", "amd64", "-o", "oci:out"])
}

/// A program, directories that only root may enter, and links that go through them.
const FILES: &str = "files.\"/usr/bin/run\" = { source = \"run\", mode = \"0755\" }
files.\"/priv/\" = { mode = \"0700\" }
files.\"/srv/\" = { mode = \"0755\" }
files.\"/deep/down/\" = { mode = \"0755\" }
links.\"/priv/run\" = \"/usr/bin/run\"
links.\"/priv/srv\" = \"/srv\"
links.\"/work\" = \"/deep/down\"
links.\"/deep/run\" = \"/usr/bin/run\"
";

fn judge(place: &Place, lines: &str, expected: Option<&str>) {
    place.image("demo", &format!("schema = 1\nextends = \"static\"\n{lines}\n{FILES}"));
    let done = compose(place);
    match expected {
        None => assert_eq!(done.code(), Some(0), "{lines}: {done:?}"),
        Some(expected) => assert_eq!(done.sentence(), expected, "{lines}"),
    }
}

#[test]
fn a_directory_that_a_link_leads_away_from_must_let_the_user_in_too() {
    let place = place!();
    place.project_file("images/demo/run", &elf::program("amd64"));
    let closed = "is in a directory that the image's user cannot enter";
    let start = |words: &str| format!("user = \"nonroot\"\n{words}");
    judge(&place, &start("entrypoint = [\"/priv/run\"]"), Some(&format!("entrypoint /priv/run: /priv/run {closed}")));
    judge(&place, "user = \"root\"\nentrypoint = [\"/priv/run\"]", None);
    let by_path = start("env.PATH = \"/priv\"\nentrypoint = [\"run\"]");
    judge(&place, &by_path, Some(&format!("entrypoint run: /priv/run {closed}")));
    judge(&place, &start("env.PATH = \"/priv:/usr/bin\"\nentrypoint = [\"run\"]"), None);
    let workdir = start("workdir = \"/priv/srv\"\nentrypoint = [\"/usr/bin/run\"]");
    judge(&place, &workdir, Some("workdir /priv/srv: it is in a directory that nonroot cannot enter"));
}

#[test]
fn a_word_is_a_path_as_a_kernel_reads_it() {
    let place = place!();
    place.project_file("images/demo/run", &elf::program("amd64"));
    for (lines, expected) in [
        ("entrypoint = [\"/usr/bin/run\"]", None),
        (
            "entrypoint = [\"/usr/bin/run/\"]",
            Some("entrypoint /usr/bin/run/: /usr/bin/run has a component that is not a directory"),
        ),
        (
            "entrypoint = [\"/none/../usr/bin/run\"]",
            Some("entrypoint /none/../usr/bin/run: /usr/bin/run is not in the image"),
        ),
        // The directory above is that of where the link leads.
        ("workdir = \"/work\"\nentrypoint = [\"../run\"]", None),
        (
            "workdir = \"/work\"\nentrypoint = [\"../usr/bin/run\"]",
            Some("entrypoint ../usr/bin/run: /usr/bin/run is not in the image"),
        ),
        // Nothing between two colons is the working directory, not the root.
        ("workdir = \"/usr/bin\"\nenv.PATH = \":/none\"\nentrypoint = [\"run\"]", None),
        (
            "workdir = \"/srv\"\nenv.PATH = \":/none\"\nentrypoint = [\"run\"]",
            Some("entrypoint run: not found in PATH :/none"),
        ),
    ] {
        judge(&place, lines, expected);
    }
}

#[test]
fn a_definition_has_a_bounded_number_of_flavors() {
    let place = place!();
    let of = |count: usize| {
        let flavors: Vec<String> = (0..count).map(|at| format!("[flavors.f{at}]\n")).collect();
        place.image("demo", &format!("schema = 1\nextends = \"static\"\n{}", flavors.concat()));
        place.run(["compose", "demo:f0", "--arch", "amd64", "--dry-run"])
    };
    of(256).ok();
    assert!(of(257).err.contains("a definition has at most 256 flavors"));
}
