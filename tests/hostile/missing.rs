//! Packages that cannot be chosen are said in one go, with where they are named and what is there instead; and the hint
//! is what it takes, and no more.

use dlstore_formats::archive::decompress::Compression;
use dlstore_formats::package::fixture::{ApkBuilder, DebBuilder};
use serde_json::Value;

use dlstore_kit::{Done, Place, place, sha256};

fn deb(place: &Place, file: &str, name: &str, version: &str, arch: &str) -> Vec<u8> {
    let deb = DebBuilder::new(name, version, arch).compression(Compression::Gzip);
    let bytes = deb.file(&format!("usr/share/{name}/{arch}"), file.as_bytes(), 0o644).build();
    place.package(file, &bytes);
    bytes
}

fn debs(place: &Place, name: &str, packages: &str) {
    place.image(name, &format!("schema = 1\nformat = \"deb\"\n{packages}\n"));
}

fn compose(place: &Place, arguments: &[&str]) -> Done {
    place.run([&["compose"], arguments, &["--from", "../packages"]].concat())
}

/// The lines of the error, the first without `error: `.
#[track_caller]
fn lines(done: &Done) -> Vec<String> {
    assert_ne!(done.code(), Some(0), "{done:?}");
    let from = done.err.lines().skip_while(|line| !line.starts_with("error: "));
    let lines = from.take_while(|line| !line.starts_with("hint: ") && !line.starts_with("cause: "));
    lines.map(|line| line.trim_start_matches("error: ").trim_start().to_owned()).collect()
}

#[test]
fn all_that_an_image_lacks_is_one_error_with_lines_architectures_and_what_is_there() {
    let place = place!();
    deb(&place, "here_1_all.deb", "here", "1", "all");
    deb(&place, "old_1.0_amd64.deb", "old", "1.0", "amd64");
    deb(&place, "old_1.0_i386.deb", "old", "1.0", "i386");
    deb(&place, "old_0.9_amd64.deb", "old", "0.9", "amd64");
    deb(&place, "libfoo7_1_all.deb", "libfoo7", "1", "all");
    debs(
        &place,
        "demo",
        "packages = [\"here\",\n  \"nowhere\",\n  \"old\",\n  \"libfoo\"]\narch.\"arm/v7\".packages = [\n  \"other=2.0\",\n]",
    );
    let failed = compose(&place, &["demo", "--arch", "amd64,386,arm/v7"]);
    assert_eq!(
        lines(&failed),
        [
            "no deb package nowhere for 386, amd64, arm/v7 (demo, images/demo/image.toml:4)",
            "no deb package old for arm/v7 (demo, images/demo/image.toml:5); available: 1.0 (amd64, i386), 0.9 (amd64)",
            "no deb package libfoo for 386, amd64, arm/v7 (demo, images/demo/image.toml:6); did you mean libfoo7?",
            "no deb package other 2.0 for arm/v7 (demo, images/demo/image.toml:8)",
        ]
    );
    let hint = "add nowhere for 386, amd64, arm/v7 and old, other 2.0 for arm/v7 to the directories given with --from";
    assert_eq!(failed.lines("hint:"), [hint]);
    // What is done about it is enough.
    for (name, version) in [("nowhere", "1"), ("old", "1.0"), ("other", "2.0")] {
        let arch = if name == "nowhere" { "all" } else { "armhf" };
        deb(&place, &format!("{name}_{version}_{arch}.deb"), name, version, arch);
    }
    let text = std::fs::read_to_string(place.project().join("images/demo/image.toml")).unwrap();
    place.image("demo", &text.replace("libfoo", "libfoo7"));
    compose(&place, &["demo", "--arch", "amd64,386,arm/v7"]).ok();
}

#[test]
fn a_name_like_one_that_the_image_lists_already_is_said_so() {
    let place = place!();
    for name in ["ca-certificates", "libc6", "libgcc-s1", "libstdc++6", "tzdata"] {
        deb(&place, &format!("{name}_1_all.deb"), name, "1", "all");
    }
    debs(&place, "base", "packages = [\"ca-certificates\"]");
    let words = ["ca-certificate", "libc6", "libc66", "libc6-dev", "tzdata", "tzdta", "libcaca0"];
    place.image("demo", &format!("schema = 1\nextends = \"base\"\npackages = {words:?}\n"));
    let failed = compose(&place, &["demo", "--arch", "amd64"]);
    let sentence =
        |name: &str, rest: &str| format!("no deb package {name} for amd64 (demo, images/demo/image.toml:3){rest}");
    assert_eq!(
        lines(&failed),
        [
            sentence("ca-certificate", "; did you mean ca-certificates, which the image lists already?"),
            sentence("libc66", "; did you mean libc6, which the image lists already?"),
            sentence("libc6-dev", ""),
            sentence("tzdta", "; did you mean tzdata, which the image lists already?"),
            sentence("libcaca0", ""),
        ]
    );
    // It may be another package all the same, one that is not there.
    let hint = "add ca-certificate, libc66, libc6-dev, tzdta, libcaca0 for amd64 to the directories given with --from";
    assert_eq!(failed.lines("hint:"), [hint]);
}

#[test]
fn every_image_that_fails_is_named_and_a_shared_line_is_said_once() {
    let place = place!();
    deb(&place, "here_1_all.deb", "here", "1", "all");
    debs(&place, "base", "packages = [\"here\", \"shared\"]");
    for name in ["aa", "bb", "cc", "dd", "ee"] {
        place.image(name, &format!("schema = 1\nextends = \"base\"\npackages = [\"own-{name}\"]\n"));
    }
    debs(&place, "good", "packages = [\"here\"]");
    debs(&place, "slim", "[flavors.x]\npackages = [\"here\"]\n[flavors.y]\npackages = [\"gone\"]");
    let failed = compose(&place, &["good", "aa", "slim:y", "--arch", "amd64,386"]);
    assert_eq!(
        lines(&failed),
        [
            "no deb package shared for 386, amd64 (aa, images/base/image.toml:3)",
            "no deb package own-aa for 386, amd64 (aa, images/aa/image.toml:3)",
            "no deb package gone for 386, amd64 (slim:y, images/slim/image.toml:6)",
        ]
    );
    let failed = compose(&place, &["--all", "--all-flavors", "--arch", "amd64"]);
    let said = lines(&failed);
    assert_eq!(said.len(), 7, "{failed:?}");
    let shared = "no deb package shared for amd64 (aa, base, bb and 3 more images, images/base/image.toml:3)";
    assert!(said.contains(&shared.to_owned()), "{failed:?}");
    // Whoever keeps going hears it by image, in JSON too.
    let failed = compose(&place, &["aa", "bb", "--keep-going", "--json", "--arch", "amd64"]);
    let value: Value = serde_json::from_str(&failed.out).unwrap();
    let reason = |at: usize| value["failed"][at]["error"].as_str().unwrap().to_owned();
    let expected = |name: &str| {
        format!(
            "no deb package shared for amd64 ({name}, images/base/image.toml:3); \
             no deb package own-{name} for amd64 ({name}, images/{name}/image.toml:3)"
        )
    };
    assert_eq!([reason(0), reason(1)], [expected("aa"), expected("bb")]);
}

#[test]
fn the_first_twenty_are_shown_and_the_rest_is_counted() {
    let place = place!();
    deb(&place, "here_1_all.deb", "here", "1", "all");
    let names: Vec<String> = (0..1_025).map(|number| format!("\"zz{number}\"")).collect();
    debs(&place, "demo", &format!("packages = [{}]", names.join(", ")));
    let failed = compose(&place, &["demo", "--arch", "amd64"]);
    let said = lines(&failed);
    assert_eq!((said.len(), said[20].as_str()), (21, "and 1,005 more"));
    let hint = failed.lines("hint:").join("");
    assert!(hint.starts_with("add zz0, zz1, zz2, ") && hint.ends_with("with --from; 1,005 more are missing"), "{hint}");
}

#[test]
fn a_hint_names_a_package_once_and_every_architecture_only_of_all_eight() {
    let place = place!();
    for name in ["aa", "bb"] {
        debs(&place, name, "packages = [\"same\"]");
    }
    for (archs, shown) in [("amd64,arm64", "amd64, arm64"), ("all", "every architecture")] {
        let failed = compose(&place, &["aa", "bb", "--arch", archs]);
        let sentence = |name| format!("no deb package same for {shown} ({name}, images/{name}/image.toml:3)");
        assert_eq!(lines(&failed), [sentence("aa"), sentence("bb")]);
        assert_eq!(failed.lines("hint:"), [format!("add same for {shown} to the directories given with --from")]);
    }
    place.ok(["store", "init"]);
    let failed = place.run(["compose", "aa", "bb", "--arch", "amd64,arm64", "--from", "store"]);
    assert_eq!(failed.lines("hint:"), ["dlstore add same_*_amd64.deb same_*_arm64.deb"]);
}

#[test]
fn what_the_store_has_is_said_and_what_to_add() {
    let place = place!();
    deb(&place, "pp_1.0_amd64.deb", "pp", "1.0", "amd64");
    deb(&place, "zlib1g_1_amd64.deb", "zlib1g", "1", "amd64");
    place.ok(["add", "../packages"]);
    debs(&place, "demo", "packages = [\"pp=1:2.0\", \"zlib1\", \"absent\"]");
    let from_store = |arch: &str| place.run(["compose", "demo", "--arch", arch, "--from", "store"]);
    let failed = from_store("amd64");
    assert_eq!(
        lines(&failed),
        [
            "no deb package pp 1:2.0 for amd64 (demo, images/demo/image.toml:3); available: 1.0 (amd64)",
            "no deb package zlib1 for amd64 (demo, images/demo/image.toml:3); did you mean zlib1g?",
            "no deb package absent for amd64 (demo, images/demo/image.toml:3)",
        ]
    );
    let pin = "or ask for the version that exists: \"pp=1.0\" instead of \"pp=1:2.0\"";
    assert_eq!(failed.lines("hint:"), [format!("dlstore add pp_*2.0_amd64.deb absent_*_amd64.deb; {pin}")]);
    // For the architecture that has none of it nothing that is there is proposed.
    let failed = from_store("amd64,arm64");
    assert_eq!(
        lines(&failed)[..2],
        [
            "no deb package pp 1:2.0 for amd64, arm64 (demo, images/demo/image.toml:3); available: 1.0 (amd64)",
            "no deb package zlib1 for amd64, arm64 (demo, images/demo/image.toml:3)",
        ]
    );
    assert!(!failed.lines("hint:")[0].contains("or ask"), "{failed:?}");
    // What the hint says is enough.
    debs(&place, "demo", "packages = [\"pp=1.0\", \"zlib1g\"]");
    from_store("amd64").ok();
}

#[test]
fn without_a_place_the_store_is_proposed_only_if_it_has_everything() {
    let place = place!();
    deb(&place, "pp_1.0_amd64.deb", "pp", "1.0", "amd64");
    place.ok(["add", "../packages"]);
    let hint = |packages: &str| {
        debs(&place, "demo", packages);
        place.run(["compose", "demo", "--arch", "amd64"]).lines("hint:").join("")
    };
    assert_eq!(hint("packages = [\"pp\"]"), "use --from store, which has all of them");
    for packages in ["packages = [\"pp\", \"qq\"]", "packages = [\"pp=2\"]"] {
        assert_eq!(hint(packages), "use --from PATH to say where packages are (files or directories)");
    }
    debs(&place, "demo", "packages = [\"pp\"]");
    place.ok(["compose", "demo", "--arch", "amd64", "--from", "store"]);
}

#[test]
fn a_file_that_cannot_be_read_is_the_reason_where_it_would_be_the_package() {
    let place = place!();
    let bytes = deb(&place, "pp_1.0_amd64.deb", "pp", "1.0", "amd64");
    let path = place.package("pp_1.0_amd64.deb", &bytes[..100]);
    deb(&place, "ppp_1_amd64.deb", "ppp", "1", "amd64");
    debs(&place, "demo", "packages = [\"pp\"]");
    let failed = compose(&place, &["demo", "--arch", "amd64"]);
    let said = lines(&failed);
    assert!(said[0].starts_with("../packages/pp_1.0_amd64.deb could not be read: "), "{failed:?}");
    let end = "; it may be the deb package pp for amd64 (demo, images/demo/image.toml:3)";
    assert!(said[0].ends_with(end), "{failed:?}");
    assert_eq!(failed.lines("hint:"), ["replace ../packages/pp_1.0_amd64.deb with an intact package"]);
    // It is not what another architecture, or a longer name, lacks.
    let failed = compose(&place, &["demo", "--arch", "arm64"]);
    assert!(lines(&failed)[0].starts_with("no deb package pp for arm64"), "{failed:?}");
    std::fs::rename(&path, place.packages().join("pp-data_1.0_amd64.deb")).unwrap();
    let failed = compose(&place, &["demo", "--arch", "amd64"]);
    assert!(lines(&failed)[0].starts_with("no deb package pp for amd64"), "{failed:?}");
    place.package("pp_1.0_amd64.deb", &bytes);
    compose(&place, &["demo", "--arch", "amd64"]).ok();

    place.package("x86_64/qq-1.0-r0.apk", b"not one");
    place.package("aarch64/qq-1.0-r0.apk", b"not one");
    place.image("demo", "schema = 1\nformat = \"apk\"\npackages = [\"qq\"]\n");
    let failed = compose(&place, &["demo", "--arch", "amd64"]);
    assert!(lines(&failed)[0].starts_with("../packages/x86_64/qq-1.0-r0.apk could not be read: "), "{failed:?}");
}

#[test]
fn of_two_branches_one_is_pinned_by_what_the_hint_says_or_left_out() {
    let place = place!();
    let apk = |branch: &str, arch: &str| {
        let bytes = ApkBuilder::new("pp", "1-r0", arch).file("etc/p", branch.as_bytes(), 0o644).build();
        place.package(&format!("{branch}/{arch}/pp-1-r0.apk"), &bytes);
        format!("sha256:{}", sha256(&bytes))
    };
    let (first, second) = (apk("v3.20", "x86_64"), apk("v3.21", "x86_64"));
    let definition =
        |more: &str| place.image("demo", &format!("schema = 1\nformat = \"apk\"\npackages = [\"pp\"]\n{more}"));
    definition("");
    let failed = compose(&place, &["demo", "--arch", "amd64"]);
    let (one, two) = ("../packages/v3.20/x86_64/pp-1-r0.apk", "../packages/v3.21/x86_64/pp-1-r0.apk");
    assert_eq!(
        lines(&failed),
        [format!(
            "pp 1-r0 for amd64 exists twice with different content: {one} and {two} (demo, images/demo/image.toml:3)"
        )]
    );
    assert_eq!(
        failed.lines("hint:"),
        [format!(
            "pin one in the definition: arch.\"amd64\".packages = [\"pp@{first}\"] ({one}) or [\"pp@{second}\"] ({two}); \
             or leave one of the two out of --from"
        )]
    );
    definition(&format!("arch.\"amd64\".packages = [\"pp@{second}\"]\n"));
    compose(&place, &["demo", "--arch", "amd64"]).ok();
    definition("");
    place.run(["compose", "demo", "--arch", "amd64", "--from", "../packages/v3.20"]).ok();
    // In the store too; and of all architectures in one go.
    for branch in ["v3.20", "v3.21"] {
        apk(branch, "aarch64");
    }
    place.ok(["add", "../packages"]);
    let failed = place.run(["compose", "demo", "--arch", "amd64,arm64", "--from", "store"]);
    assert_eq!(lines(&failed).len(), 2, "{failed:?}");
    let hint = failed.lines("hint:").join("");
    for wanted in [&format!("[\"pp@{first}\"] (source {first})"), "arch.\"arm64\".packages"] {
        assert!(hint.contains(wanted), "{hint}");
    }
    assert!(!hint.contains("--from"), "{hint}");
}

#[test]
fn a_package_for_every_architecture_is_pinned_for_all_of_them() {
    let place = place!();
    for file in ["one_1_all.deb", "two_1_all.deb"] {
        deb(&place, file, "pp", "1", "all");
    }
    debs(&place, "demo", "packages = [\"pp=1\"]");
    let failed = compose(&place, &["demo", "--arch", "amd64,arm64"]);
    assert_eq!(lines(&failed).len(), 1, "{failed:?}");
    let hint = failed.lines("hint:").join("");
    let (_, rest) = hint.split_once("pin one in the definition: packages = ").unwrap();
    let pin = rest.split_once(" (").unwrap().0;
    assert!(pin.starts_with("[\"pp=1@sha256:"), "{hint}");
    debs(&place, "demo", &format!("packages = {pin}"));
    compose(&place, &["demo", "--arch", "amd64,arm64"]).ok();
}

#[test]
fn where_a_package_is_named_decides_nothing() {
    let place = place!();
    deb(&place, "pp_1_all.deb", "pp", "1", "all");
    debs(&place, "demo", "packages = [\"pp\"]");
    let first = compose(&place, &["demo", "--arch", "amd64"]).ok();
    debs(&place, "demo", "\n\n\npackages = [\n\n\"pp\"]");
    let second = compose(&place, &["demo", "--arch", "amd64"]).ok();
    assert_eq!(first.out, second.out);
    assert!(second.err.contains("2 layers: 2 reused, 0 made"), "{second:?}");
}
