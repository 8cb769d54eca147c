//! Digests that must not change, and that nothing around the program changes.
//!
//! `golden/digests.txt` pins trees, packs, layers, configurations, manifests and indexes of packages
//! that the test makes and of the embedded `static`. A change of a line empties every cache and gives
//! every user new digests: it must be meant, and the commit that makes it says why. Then
//! `DLSTORE_BLESS=1 cargo test --test golden` writes the file anew.

#![cfg(test)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};

use dlstore_kit::{Done, Layout, Place, finish, packages, place, sha256, workspace};
use serde_json::Value;

const HEADER: &str = "\
# Digests of generated packages and of the embedded `static`. A changed line gives every user new digests
# and empties every cache: the commit that changes it must explain why. DLSTORE_BLESS=1 writes this anew.
";

const ARCHITECTURES: [&str; 3] = ["amd64", "arm64", "all"];

/// Packages with everything that a tree and a tar can hold.
fn prepare(place: &Place) {
    for arch in ARCHITECTURES {
        for (number, name) in ["aa", "bb"].into_iter().enumerate() {
            let deb = packages::deb(&format!("{name}-{arch}"), number as u64, arch)
                .file("usr/share/large/zeros", &vec![0; 200_000], 0o644)
                .file(&format!("usr/share/{name}/{}", "long-".repeat(40)), b"long", 0o755)
                .file(&format!("usr/share/{name}/üñï"), b"", 0o444)
                .mtime(1_500_000_000 + number as u64)
                .directory("var/cache/empty", 0o2775)
                .owner(0, 8)
                .directory("srv/tmp", 0o1777)
                .xattr("user.note", b"value");
            place.package(&format!("{name}_{arch}.deb"), &deb.build());
        }
    }
    for arch in ["x86_64", "aarch64"] {
        place.package(&format!("cc_{arch}.apk"), &packages::apk("cc", 1, arch).build());
    }
    place.package("dd.tar.gz", &{
        use dlstore_formats::archive::decompress::Compression;
        use dlstore_formats::package::fixture::{DebBuilder, compress};
        compress(Compression::Gzip, &DebBuilder::new("dd", "1", "all").file("opt/dd", b"dd", 0o755).data_tar())
    });
    place.image(
        "debs",
        r#"schema = 1
format = "deb"
packages = ["aa-all", "bb-all"]
arch.amd64.packages = ["aa-amd64", "bb-amd64"]
arch.arm64.packages = ["aa-arm64", "bb-arm64"]
architectures = ["amd64", "arm64"]
description = "Generated"
user = "nonroot"
entrypoint = ["/bin/x"]
waive = ["entrypoint -> /bin/x: none of these packages has a program"]
labels.b = "2"
labels.a = "1"
env.Z = "z"
env.A = "a"
files."/etc/own" = { content = "own\n", owner = "nonroot" }
links."/etc/link" = "own"
"#,
    );
    place.image("apks", "schema = 1\nformat = \"apk\"\npackages = [\"cc\"]\narchitectures = [\"amd64\", \"arm64\"]\n");
    place.image("tars", "schema = 1\nformat = \"tar\"\npackages = [\"dd\"]\narchitectures = [\"amd64\"]\n");
    place.image("above", "schema = 1\nextends = \"static\"\nfiles.\"/etc/own\" = { content = \"own\\n\" }\n");
}

/// What is composed, with the name of the output that it goes to.
const COMPOSES: [(&str, &[&str]); 12] = [
    ("static", &["static"]),
    ("static-package", &["static", "--layers", "package"]),
    ("static-flat", &["static", "--layers", "flat"]),
    ("static-zstd", &["static", "--compression", "zstd"]),
    ("debs", &["debs"]),
    ("debs-package", &["debs", "--layers", "package"]),
    ("debs-flat", &["debs", "--layers", "flat"]),
    ("debs-zstd", &["debs", "--compression", "zstd"]),
    ("debs-flat-zstd", &["debs", "--layers", "flat", "--compression", "zstd"]),
    ("apks", &["apks"]),
    ("tars", &["tars"]),
    ("above", &["above"]),
];

/// How a run differs from another.
#[derive(Default)]
struct Around<'a> {
    umask: Option<u32>,
    environment: &'a [(&'a str, &'a str)],
    flags: &'a [&'a str],
    store: Option<&'a Path>,
    /// Adds one package after the other, in reverse, before anything is composed.
    reversed: bool,
}

impl Around<'_> {
    fn run(&self, place: &Place, arguments: &[&str]) -> Done {
        let mut command = place.command(arguments.iter().chain(self.flags));
        if let Some(umask) = self.umask {
            // A shell sets it, for the test itself has threads.
            let mut shell = std::process::Command::new("sh");
            shell.arg0("sh").args(["-c", &format!("umask {umask:03o}; exec \"$0\" \"$@\"")]);
            shell.arg(command.get_program()).args(command.get_args()).current_dir(place.project()).env_clear();
            shell.envs(command.get_envs().filter_map(|(key, value)| Some((key, value?))));
            shell.stdin(std::process::Stdio::null());
            command = shell;
        }
        if let Some(store) = self.store {
            command.env("DLSTORE_ROOT", store);
        }
        command.envs(self.environment.iter().copied());
        finish(command)
    }
}

/// Makes everything and lists its digests, a line each.
fn digests(place: &Place, around: &Around<'_>) -> String {
    let mut lines = String::new();
    if around.reversed {
        let mut names = dlstore_kit::names(&place.packages());
        names.reverse();
        for name in names {
            around.run(place, &["add", &format!("../packages/{name}")]).ok();
        }
    }
    let done = around.run(place, &["add", "../packages", "--json"]).ok();
    let answer: Value = serde_json::from_str(&done.out).unwrap();
    let name_of = |package: &Value| {
        Path::new(package["path"].as_str().unwrap()).file_name().unwrap().to_str().unwrap().to_owned()
    };
    let mut added = answer["added"].as_array().unwrap().clone();
    // The tar comes last.
    added.sort_by_key(|package| name_of(package).ends_with(".tar.gz"));
    for package in added {
        let name = name_of(&package);
        let _ = writeln!(lines, "tree {name} {}", package["tree"].as_str().unwrap());
    }
    for (name, compose) in COMPOSES {
        let output = format!("oci:out:{name}");
        let mut arguments = vec!["compose", "--arch", "all", "-o", &output, "--from", "../packages"];
        arguments.splice(1..1, compose.iter().copied());
        let done = around.run(place, &arguments).ok();
        let layout = Layout(place.project().join("out"));
        let (digest, index) = layout.index(name);
        assert!(done.out.trim_end().ends_with(&digest), "{}", done.out);
        let _ = writeln!(lines, "index {name} {digest}");
        for platform in index["manifests"].as_array().unwrap() {
            let variant = platform["platform"]["variant"].as_str().unwrap_or("");
            let arch = format!("{}{variant}", platform["platform"]["architecture"].as_str().unwrap());
            let digest = platform["digest"].as_str().unwrap();
            let manifest = layout.document(digest);
            let config = manifest["config"]["digest"].as_str().unwrap();
            let _ = writeln!(lines, "manifest {name} {arch} {digest}");
            let _ = writeln!(lines, "config {name} {arch} {config}");
            let diff_ids = layout.document(config);
            let diff_ids = diff_ids["rootfs"]["diff_ids"].as_array().unwrap().clone();
            for (layer, diff_id) in manifest["layers"].as_array().unwrap().iter().zip(diff_ids) {
                let layer = layer["digest"].as_str().unwrap();
                let _ = writeln!(lines, "layer {name} {arch} {layer} of {}", diff_id.as_str().unwrap());
            }
        }
    }
    lines
}

/// The file with the pinned digests, which need not be there yet.
fn file() -> PathBuf {
    workspace::own("tests/golden").join("digests.txt")
}

fn pinned() -> String {
    let text = fs::read_to_string(file()).unwrap_or_default();
    text.lines().filter(|line| !line.starts_with('#')).flat_map(|line| [line, "\n"]).collect()
}

#[track_caller]
fn assert_same(found: &str, expected: &str, why: &str) {
    let changed: Vec<_> = found.lines().filter(|line| !expected.lines().any(|other| other == *line)).collect();
    assert!(
        found == expected,
        "{why}: {} lines differ, first:\n{}",
        changed.len(),
        changed.first().unwrap_or(&"(order)")
    );
}

#[test]
fn digests_are_those_that_are_pinned() {
    let place = place!();
    prepare(&place);
    let found = digests(&place, &Around::default());
    if std::env::var_os("DLSTORE_BLESS").is_some() {
        fs::write(file(), format!("{HEADER}{found}")).unwrap();
    }
    assert_same(&found, &pinned(), "a digest changed: explain it in the commit, then DLSTORE_BLESS=1");
    // A second look gives the same, all of it from memory.
    assert_same(&digests(&place, &Around::default()), &pinned(), "from memory");
}

#[test]
fn nothing_around_the_program_changes_a_digest() {
    let expected = pinned();
    let shared_memory = Path::new("/dev/shm");
    let parent = if shared_memory.is_dir() { shared_memory.to_owned() } else { std::env::temp_dir() };
    let in_memory = tempfile::tempdir_in(parent).unwrap();
    let elsewhere = in_memory.path().join("a store with spaces");
    let environment = [
        ("TZ", "Asia/Kathmandu"),
        ("LANG", "tr_TR.UTF-8"),
        ("LC_ALL", "tr_TR.UTF-8"),
        ("HOME", "/nonexistent"),
        ("USER", "somebody"),
        ("SOURCE_DATE_EPOCH", "315532800"),
        ("DLSTORE_LOG", "trace"),
        ("DLSTORE_JOBS", "7"),
        ("DLSTORE_MIRROR_DEBIAN", "http://example.org"),
        ("XDG_CONFIG_HOME", "/nonexistent"),
        ("RAYON_NUM_THREADS", "3"),
        ("NO_COLOR", "1"),
        ("TMPDIR", "/nonexistent"),
    ];
    let cases = [
        ("a closed umask", Around { umask: Some(0o077), ..Around::default() }),
        ("an open umask", Around { umask: Some(0), ..Around::default() }),
        ("the environment", Around { environment: &environment, ..Around::default() }),
        ("one thread", Around { flags: &["--jobs", "1"], ..Around::default() }),
        ("four threads, another order", Around { flags: &["--jobs", "4"], reversed: true, ..Around::default() }),
        ("a store in memory", Around { store: Some(&elsewhere), flags: &["--quiet"], ..Around::default() }),
    ];
    for (why, around) in cases {
        let place = place!();
        prepare(&place);
        assert_same(&digests(&place, &around), &expected, why);
    }
}

#[test]
fn the_date_of_the_environment_changes_created_alone_and_is_said() {
    let place = place!();
    prepare(&place);
    let run = |flags: &[&str], environment: &[(&str, &str)], tag: &str| {
        let output = format!("oci:out:{tag}");
        let mut arguments = vec!["compose", "debs", "--arch", "amd64", "--from", "../packages", "-o", &output];
        arguments.extend(flags);
        let done = Around { environment, ..Around::default() }.run(&place, &arguments).ok();
        let (manifest, config) = Layout(place.project().join("out")).image(tag, "amd64");
        (done, manifest, config)
    };
    let (_, manifest, config) = run(&[], &[], "plain");
    let (ignored, same, _) = run(&[], &[("SOURCE_DATE_EPOCH", "1")], "ignored");
    assert_eq!(same, manifest);
    assert!(ignored.err.contains("SOURCE_DATE_EPOCH is ignored"), "{}", ignored.err);
    let (said, dated, dated_config) = run(&["--date", "env"], &[("SOURCE_DATE_EPOCH", "86400")], "dated");
    assert!(said.err.contains("--date env") && said.err.contains("digest"), "{}", said.err);
    assert_eq!(dated_config["created"], "1970-01-02T00:00:00Z");
    assert_eq!(dated["layers"], manifest["layers"]);
    let without_dates = |mut config: Value| {
        config["created"].take();
        for step in config["history"].as_array_mut().into_iter().flatten() {
            step["created"].take();
        }
        config
    };
    assert_eq!(without_dates(dated_config), without_dates(config));
    for bad in ["", "soon", "-1"] {
        let mut command = place.command(["compose", "static", "--arch", "amd64", "--date", "env"]);
        command.env("SOURCE_DATE_EPOCH", bad);
        assert_eq!(finish(command).code(), Some(2), "{bad:?}");
    }
}

/// What a runtime sees: the last entry of each path wins.
fn flattened(layout: &Layout, tag: &str, arch: &str) -> BTreeMap<String, String> {
    layout
        .files(tag, arch)
        .into_iter()
        .map(|(path, (header, content))| {
            let link = header.link_name_bytes().map(|name| String::from_utf8_lossy(&name).into_owned());
            let of = |number: std::io::Result<u64>| number.unwrap();
            let text = format!(
                "{:?} {:o} {}:{} {} {link:?} {}",
                header.entry_type(),
                header.mode().unwrap(),
                of(header.uid()),
                of(header.gid()),
                header.mtime().unwrap(),
                sha256(&content),
            );
            (path, text)
        })
        .collect()
}

#[test]
fn every_way_to_cut_layers_gives_the_same_files() {
    let place = place!();
    prepare(&place);
    digests(&place, &Around::default());
    let layout = Layout(place.project().join("out"));
    for (image, arch) in [("debs", "amd64"), ("debs", "arm64"), ("static", "amd64")] {
        let grouped = flattened(&layout, image, arch);
        assert!(grouped.len() > 20);
        for kind in ["package", "flat", "zstd"] {
            assert_eq!(flattened(&layout, &format!("{image}-{kind}"), arch), grouped, "{image} {arch} {kind}");
        }
    }
    let (embedded, _) = layout.image("static", "amd64");
    assert_eq!(embedded["layers"].as_array().unwrap().len(), 1, "the embedded static has one layer");
    // The embedded layer is the same on all architectures, and below whatever extends it.
    let (_, index) = layout.index("static");
    for platform in index["manifests"].as_array().unwrap() {
        assert_eq!(layout.document(platform["digest"].as_str().unwrap())["layers"], embedded["layers"]);
    }
    let (above, _) = layout.image("above", "amd64");
    assert_eq!(above["layers"][0]["digest"], embedded["layers"][0]["digest"]);
}
