//! What fails tells the next thing to do, once, on stderr: what a command can be brought to.
//!
//! Each error that has a hint is named here, by the source's own words (`tests/kit/hints.rs`): made by a command below,
//! or in [`ELSEWHERE`] with the test that does. That each of them prints its hint, however deep it
//! lies, is a test beside the one way out (`src/cli/exit/hints.rs`).

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use dlstore_kit::{Done, Place, finish, hints, packages, place, workspace};

/// A command that fails: the errors on its way, its arguments, its exit code, and what its hint says.
type Failing<'f> = (&'f [&'f str], &'f [&'f str], i32, &'f str);

/// The test that makes errors without a command: what carries others, or takes a collector that is faster or bytes that
/// go bad between two steps.
const ALONE: &str = "src/cli/exit/hints.rs";

/// What is not brought about here: the error, and the file of the test that does it.
const ELSEWHERE: &[(&str, &str)] = &[
    ("ChoiceError::Add", ALONE),
    ("ChoiceError::Gone", ALONE),
    ("ChoiceError::Ingest", ALONE),
    ("ChoiceError::Store", ALONE),
    ("ComposeError::Fixup", ALONE),
    ("ComposeError::Gone", ALONE),
    ("ComposeError::Ingest", ALONE),
    ("ComposeError::Layer", ALONE),
    ("CheckError::Linker", ALONE),
    ("CheckError::Rootfs", ALONE),
    ("ComposeError::Check", ALONE),
    ("ComposeError::Oci", ALONE),
    ("ComposeError::Store", ALONE),
    ("DefinitionError::Extends", ALONE),
    ("DefinitionError::Owner", "tests/hostile/projects.rs"),
    ("Error::Definition", "tests/hostile/projects.rs"),
    ("Error::Read", "tests/cli/made.rs"),
    ("FixupError::Facts", ALONE),
    ("StoreError::Behind", "tests/sharing/read_only.rs"),
    ("StoreError::Forgotten", "tests/recovery/lost_rows.rs"),
    ("FsError", ALONE),
    ("IngestError::Layer", ALONE),
    ("IngestError::Package", ALONE),
    ("IngestError::Stage", ALONE),
    ("IngestError::Store", ALONE),
    ("LayerError::Write", ALONE),
    ("LoadError::Archive", ALONE),
    ("LoadError::Stalled", "tests/hostile/definitions.rs"),
    ("OciError::Damaged", ALONE),
    ("OciError::TooManyLayers", ALONE),
    ("OciError::Zstd", ALONE),
    ("ReadError::Compressed", "tests/cli/made.rs"),
    ("ReadError::Several", "tests/cli/made.rs"),
    ("RootfsError::Definition", ALONE),
    ("RootfsError::Entries", "tests/hostile/bounds.rs"),
    ("RootfsError::Gone", ALONE),
    ("RootfsError::Ingest", ALONE),
    ("RootfsError::Located", ALONE),
    ("RootfsError::Replaced", ALONE),
    ("RootfsError::Store", ALONE),
    ("StoreError::DamagedName", ALONE),
    ("StoreError::File", ALONE),
    ("StoreError::Index", ALONE),
    ("StoreError::Network", "tests/sharing/places.rs"),
    ("StoreError::OneUser", ALONE),
    ("StoreError::Owner", "tests/sharing/users.rs"),
    ("StoreError::Temporary", "tests/sharing/read_only.rs"),
    ("StoreError::TemporaryFull", "tests/sharing/read_only.rs"),
];

fn prepared() -> Place {
    let place = place!();
    let (hello, other) = (packages::deb("hello", 1, "amd64"), packages::deb("other", 1, "amd64"));
    place.package("a/hello.deb", &hello.clone().file("etc/same", b"a", 0o644).build());
    place.package("a/other.deb", &other.file("etc/same", b"b", 0o644).build());
    place.package("b/hello.deb", &hello.clone().file("etc/more", b"c", 0o644).build());
    place.package("c/hello.deb", &hello.clone().file("usr/bin/su", b"su", 0o4755).build());
    place.package("d/hello.deb", &hello.clone().file("etc/passwd", b"root:x:0:0::/:/bin/sh\n", 0o644).build());
    let program = dlstore_kit::elf::Elf { needed: &["libown.so.1"], ..Default::default() }.build("amd64");
    place.package("e/hello.deb", &hello.file("usr/bin/own", &program, 0o755).build());
    place.project_file("notes.txt", b"not a package");
    place.project_file("occupied/index.json", b"not json");
    let annotations = r#"{"dev.dlstore.image":"other:one","org.opencontainers.image.ref.name":"embedded"}"#;
    let index = format!("{{\"manifests\":[{{\"annotations\":{annotations}}}],\"schemaVersion\":2}}");
    place.project_file("taken/index.json", index.as_bytes());
    place.image("one", "schema = 1\nformat = \"deb\"\npackages = [\"hello\"]\n");
    place.image("small", "schema = 1\nextends = \"static\"\narchitectures = [\"386\", \"amd64\"]\n");
    place.image("below", "schema = 1\nextends = \"static\"\nfiles.\"/bin/x\" = { content = \"x\" }\n");
    place.image("named", "schema = 1\nextends = \"static\"\nfiles.\"/etc/os-release\" = { content = \"x\" }\n");
    place.image("two", "schema = 1\nformat = \"deb\"\npackages = [\"hello\", \"other\"]\n");
    place
}

/// Asserts an exit code, no result and one hint.
#[track_caller]
fn check(done: &Done, what: &[&str], code: i32, hint: &str) {
    assert_eq!((done.code(), done.out.as_str()), (Some(code), ""), "{what:?}: {done:?}");
    let hints = done.lines("hint:");
    assert!(matches!(hints.as_slice(), [found] if found.contains(hint)), "{what:?}: {done:?}");
}

const COMPOSE: &str = "Error::Compose";
const OUTPUT: &str = "Error::Output";

/// What is brought about by arguments alone.
const BY_ARGUMENTS: &[Failing<'_>] = &[
    (&["Error::Store", "StoreError::Absent"], &["list"], 1, "dlstore add PATH"),
    (&["Error::Neither"], &["show", "nobody-here"], 2, "there is no store yet, so no package: dlstore add PATH"),
    (
        &[COMPOSE, "ComposeError::Choice", "ChoiceError::Unmet"],
        &["compose", "one", "--arch", "amd64"],
        1,
        "--from PATH",
    ),
    (
        &["ChoiceError::Unmet"],
        &["compose", "one", "--arch", "amd64", "--from", "store"],
        1,
        "dlstore add hello_*_amd64.deb",
    ),
    (
        &["ChoiceError::Unmet"],
        &["compose", "one", "--arch", "arm64", "--from", "../packages"],
        1,
        "add hello for arm64 to the directories",
    ),
    (
        &["ChoiceError::Unmet"],
        &["compose", "one", "--arch", "amd64", "--from", "../packages"],
        1,
        "packages = [\"hello@sha256:",
    ),
    (
        &["ComposeError::Rootfs", "RootfsError::Conflict"],
        &["compose", "two", "--arch", "amd64", "--from", "../packages/a"],
        1,
        "overrides = [\"/etc/same\"]",
    ),
    (
        &["RootfsError::Conflict"],
        &["compose", "named", "--arch", "amd64"],
        1,
        "to keep your own file, skip the fix-up: skip = [\"os-release\"]",
    ),
    (&["RootfsError::Through"], &["compose", "below", "--arch", "amd64"], 1, "use the path \"/usr/bin/x\""),
    (&["Error::NotFor"], &["compose", "static", "small", "--arch", "arm64"], 2, "--arch 386,amd64"),
    (
        &["Error::Unmade"],
        &["compose", "static", "--store", "/sys/dlstore/store"],
        1,
        "--store DIR, or DLSTORE_ROOT=DIR",
    ),
    (
        &["CheckError::Problems"],
        &["compose", "one", "--arch", "amd64", "--from", "../packages/c"],
        1,
        "privileged = [\"/usr/bin/su\"]",
    ),
    (
        &["RootfsError::Foreign"],
        &["compose", "one", "--arch", "amd64", "--from", "../packages/d"],
        1,
        "accounts-from = \"hello\"",
    ),
    (
        &["CheckError::Problems"],
        &["compose", "one", "--arch", "amd64", "--from", "../packages/e"],
        1,
        "waive = [\"/usr/bin/own -> libown.so.1: WHY\"]",
    ),
    (&["Error::Ingest", "IngestError::Unknown"], &["add", "notes.txt"], 1, "dlstore add --help"),
    (&["OciError::Taken"], &["compose", "static", "--arch", "amd64", "-o", "oci:taken"], 1, "--force"),
    (
        &["Error::Oci", "OciError::NotAnIndex"],
        &["compose", "static", "--arch", "amd64", "-o", "oci:occupied"],
        1,
        "choose another",
    ),
    (&[OUTPUT, "OutputError::Bare"], &["compose", "static", "-o", "bare"], 2, "-o oci:bare"),
    (
        &["OutputError::Bare"],
        &["compose", "static", "-o", "image.tar"],
        2,
        "-o oci-archive:image.tar, or docker-archive:image.tar",
    ),
    (&["OutputError::Unknown"], &["compose", "static", "-o", "ocy:out"], 2, "-o oci:out"),
    (&["OutputError::Registry"], &["compose", "static", "-o", "docker://a/b"], 2, "oci:DIR:TAG"),
    (&["OutputError::NoPath"], &["compose", "static", "-o", "oci:"], 2, "-o oci:out/image"),
    (
        &["OutputError::Zstd"],
        &["compose", "static", "--compression", "zstd", "-o", "docker-archive:x"],
        2,
        "--compression gzip",
    ),
    (
        &["OutputError::SameTag"],
        &["compose", "static", "-t", "a:1", "-t", "b:1", "-o", "oci:x", "--all-tags"],
        2,
        "-o oci-archive:FILE",
    ),
    (&["OutputError::Bare"], &["compose", "static", "-o", ""], 2, "-o oci:out/image"),
    (&["OutputError::Several"], &["compose", "static", "one", "-o", "oci-archive:x.tar"], 2, "-o oci:DIR"),
];

#[test]
fn an_error_that_has_a_hint_shows_it_on_stderr_once() {
    let place = prepared();
    for (_, arguments, code, hint) in BY_ARGUMENTS {
        check(&place.run(*arguments), arguments, *code, hint);
    }
}

/// Names of errors, the script of an engine, arguments, the exit code, and the hint.
type ByEngine = (&'static [&'static str], Option<&'static str>, &'static [&'static str], i32, &'static str);

/// What an engine brings about, by its script; without one there is none.
const BY_ENGINE: &[ByEngine] = &[
    (
        &["Error::Load", "LoadError::NoProgram"],
        None,
        &["compose", "static", "--arch", "amd64", "--load"],
        1,
        "install docker",
    ),
    (
        &["LoadError::NoDaemon"],
        Some("echo 'Cannot connect to the Docker daemon at unix:///x.' >&2; exit 1"),
        &["compose", "static", "--arch", "amd64", "--load=docker"],
        1,
        "start the daemon",
    ),
    (
        &["LoadError::NoPlatform"],
        Some("exit 1"),
        &["compose", "static", "--arch", "s390x,ppc64le", "--load"],
        1,
        "--arch ",
    ),
    (&["Error::Loader"], Some("exit 1"), &["compose", "static", "--load", "lxc"], 2, ""),
];

#[test]
fn what_an_engine_does_wrong_has_a_hint() {
    let place = prepared();
    for (at, (_, script, arguments, code, hint)) in BY_ENGINE.iter().enumerate() {
        let directory = place.path().join(format!("engine{at}"));
        fs::create_dir(&directory).unwrap();
        if let Some(script) = script {
            let engine = directory.join("docker");
            fs::write(&engine, format!("#!/bin/sh\nPATH=/usr/bin:/bin\n{script}\n")).unwrap();
            fs::set_permissions(&engine, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let mut command = place.command(*arguments);
        command.env("PATH", &directory);
        let done = finish(command);
        if hint.is_empty() {
            // Its sentence says it all.
            assert_eq!((done.code(), done.lines("hint:").len()), (Some(*code), 0), "{done:?}");
        } else {
            check(&done, arguments, *code, hint);
        }
    }
}

#[test]
fn who_does_what_the_hint_says_about_an_own_file_succeeds() {
    let place = prepared();
    for (path, fixup) in [("/etc/os-release", "os-release"), ("/etc/passwd", "accounts")] {
        let text = format!("schema = 1\nextends = \"static\"\nfiles.\"{path}\" = {{ content = \"x\" }}\n");
        place.image("own", &text);
        let failed = place.run(["compose", "own", "--arch", "amd64"]);
        let skip = format!("skip = [\"{fixup}\"]");
        assert_eq!(failed.lines("hint:"), [format!("to keep your own file, skip the fix-up: {skip}")]);
        place.image("own", &format!("{text}{skip}\n"));
        let files = place.ok(["files", "own", "--arch", "amd64"]);
        let own = files.lines().filter(|line| line.contains("definition:own") && line.ends_with(path)).count();
        assert_eq!(own, 1, "{files}");
        place.run(["compose", "own", "--arch", "amd64"]).ok();
    }
    place.image("below", "schema = 1\nextends = \"static\"\nfiles.\"/usr/bin/x\" = { content = \"x\" }\n");
    place.run(["compose", "below", "--arch", "amd64"]).ok();
}

#[test]
fn a_path_below_a_link_says_where_the_link_leads() {
    let failed = prepared().run(["compose", "below", "--arch", "amd64"]);
    let expected = "/bin/x of definition:below (images/below/image.toml:3: files.\"/bin/x\") is below /bin, which is a link to usr/bin in embedded";
    assert_eq!(failed.error(), expected);
}

#[test]
fn a_store_that_is_not_whole_has_a_hint() {
    let place = prepared();
    place.ok(["compose", "static", "--arch", "amd64"]);
    let format = place.store().join("format.json");
    let good = fs::read(&format).unwrap();
    fs::write(&format, "{").unwrap();
    check(&place.run(["store", "info"]), &["StoreError::Format"], 1, "format.json, and run the command again");
    fs::write(&format, good).unwrap();
    fs::write(place.store().join("index.db"), "no database, but long enough to be one: ".repeat(400)).unwrap();
    check(&place.run(["store", "info"]), &["StoreError::_"], 1, "dlstore store rebuild");
}

#[test]
fn each_error_that_has_a_hint_is_made_by_a_test() {
    let here = BY_ARGUMENTS.iter().map(|case| case.0).chain(BY_ENGINE.iter().map(|case| case.0));
    let mut made: BTreeSet<&str> = here.flatten().copied().collect();
    made.extend(["StoreError::Format", "StoreError::_"]);
    for (of, place) in ELSEWHERE {
        assert!(made.insert(of), "{of} is made here");
        workspace::own(place);
    }
    let bearing = hints::bearing();
    assert_eq!(made, bearing.iter().map(String::as_str).collect(), "a new one needs a test, and an old one goes");
}
