//! `diff`: what is different between two images or packages.

use serde_json::{Value, json};

use dlstore_formats::package::fixture::{TarEntry, TarWriter};
use dlstore_kit::handmade::{Handmade, Packing, layer, tagged};
use dlstore_kit::{Place, packages, place};

/// Two images by hand in the layouts `a` and `b`.
fn two(place: &Place, one: (Vec<u8>, Value), other: (Vec<u8>, Value)) {
    for (name, (layer, run)) in [("a", one), ("b", other)] {
        let mut made = Handmade::default();
        let image = made.image("amd64", &[layer], Packing::Gzip, &run);
        made.write(&place.project().join(name), &[tagged(image, "x")]);
    }
}

#[test]
fn every_kind_of_difference_is_named() {
    let place = place!();
    let entry = |path: &str| TarEntry::new(b'0', path);
    let mut old = TarWriter::default();
    old.entry(&entry("content"), b"one")
        .entry(&entry("mode"), b"")
        .entry(&entry("owner"), b"")
        .entry(&entry("time"), b"");
    old.entry(&TarEntry::link(b'2', "target", "a"), b"").entry(&entry("type"), b"").entry(&entry("gone"), b"12345");
    old.entry(&entry("same"), b"");
    old.entry(&entry("var/lib/dpkg/status"), b"Package: p\nVersion: 1\n\nPackage: q\nVersion: 1\n");
    let mut new = TarWriter::default();
    new.entry(&entry("content"), b"three").entry(&TarEntry { mode: 0o600, ..entry("mode") }, b"");
    new.entry(&TarEntry { uid: 7, ..entry("owner") }, b"").entry(&TarEntry { mtime: 5, ..entry("time") }, b"");
    new.entry(&TarEntry::link(b'2', "target", "b"), b"").entry(&TarEntry::new(b'5', "type"), b"");
    new.entry(&entry("same"), b"").entry(&entry("added"), b"1");
    new.entry(&entry("var/lib/dpkg/status"), b"Package: p\nVersion: 2\n\nPackage: r\nVersion: 1\n");
    two(
        &place,
        (old.finish(), json!({"Env": ["A=1", "B=1"], "Cmd": ["a b", "c"], "User": "1"})),
        (
            new.finish(),
            json!({"Env": ["A=2", "C=1"], "Cmd": ["a", "b c"], "Labels": {"l": "m"},
                "Healthcheck": {"Test": ["NONE"]}, "OnBuild": [], "Shell": null}),
        ),
    );
    let done = place.run(["diff", "./a", "./b"]).ok();
    let time = "1700000000";
    let text = done.out.replace(&old_time(&place), time);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines,
        [
            "config   + Healthcheck  {\"Test\":[\"NONE\"]}",
            "config   ~ cmd  \"a b\" c -> a \"b c\"",
            "config   ~ env.A  1 -> 2",
            "config   - env.B  1",
            "config   + env.C  1",
            "config   + labels.l  m",
            "config   - user  1",
            "package  ~ p  1 -> 2",
            "package  - q  1",
            "package  + r  1",
            "file     + /added",
            "file     ~ /content  size 3 -> 5, content",
            "file     - /gone",
            "file     ~ /mode  mode 0644 -> 0600",
            "file     ~ /owner  owner 0:0 -> 7:0",
            "file     ~ /target  target a -> b",
            &format!("file     ~ /time  time {time} -> 5"),
            "file     ~ /type  type file -> directory, mode 0644 -> 0755",
            "file     ~ /var/lib/dpkg/status  content",
            "1 file added, 1 removed, 7 changed; 3 packages changed; 7 settings changed; 53 B -> 51 B (-2 B)",
        ]
    );
    assert_eq!(place.run(["diff", "./a", "./b", "--exit-code"]).code(), Some(1));
    let back = place.ok(["diff", "./b", "./a"]);
    assert_eq!(back.lines().count(), lines.len());
    assert!(back.contains("file     + /gone\n") && back.contains("file     - /added\n"), "{back}");
    let json = place.json(&["diff", "./a", "./b"]);
    assert_eq!((&json["is_same"], &json["architectures"][0]["old_size"]), (&json!(false), &json!(53)));
    let mode =
        json["architectures"][0]["files"].as_array().unwrap().iter().find(|file| file["path"] == "/mode").unwrap();
    assert_eq!(
        (&mode["differs"], &mode["old"]["mode"], &mode["new"]["mode"]),
        (&json!(["mode"]), &json!("0644"), &json!("0600"))
    );
}

/// The date that files of such layers have, as `files` says it.
fn old_time(place: &Place) -> String {
    place.json(&["files", "./a"])["listings"][0]["files"][0]["mtime"].to_string()
}

#[test]
fn the_same_images_have_no_differences() {
    let place = place!();
    let image = || (layer(&["a/", "a/b: c"]), json!({"Env": ["A=1"]}));
    two(&place, image(), image());
    for arguments in
        [&["diff", "./a", "./b"][..], &["diff", "./a", "./b", "--exit-code"], &["diff", "static", "static"]]
    {
        assert_eq!(place.ok(arguments), "no differences\n");
    }
    assert_eq!(place.json(&["diff", "./a", "./b"])["is_same"], true);
}

#[test]
fn definitions_packages_and_made_images_are_compared_with_each_other() {
    let place = place!();
    place.package("one-1.deb", &packages::deb("one", 1, "amd64").build());
    place.package("one-2.deb", &packages::deb("one", 2, "amd64").build());
    place.ok(["add", "../packages"]);
    let definition =
        |version: &str| format!("schema = 1\nextends = \"static\"\nformat = \"deb\"\npackages = [\"one={version}\"]\n");
    place.image("app", &definition("1.1-1"));
    place.ok(["compose", "app", "--arch", "amd64", "--from", "store", "-o", "oci:made"]);
    let arch = ["--arch", "amd64", "--from", "store"];
    let compare = |old: &str, new: &str| place.ok([&["diff", old, new], &arch[..]].concat());
    assert_eq!(compare("app", "oci:made"), "no differences\n");
    place.image("app", &(definition("1.2-1") + "env = { A = \"b\" }\n"));
    let text = compare("oci:made", "app");
    for line in ["config   + env.A  b", "package  ~ one  1.1-1 -> 1.2-1"] {
        assert!(text.lines().any(|found| found == line), "{line}: {text}");
    }
    assert!(
        text.lines().any(|line| line.starts_with("file     ~ /usr/share/one/data  ") && line.contains("content")),
        "{text}"
    );
    let packages = compare("one=1.1-1", "one=1.2-1");
    assert!(packages.starts_with("package  ~ one  1.1-1 -> 1.2-1\n"), "{packages}");
    let with_package = compare("one=1.2-1", "app");
    assert!(!with_package.contains("config"), "a package has no configuration: {with_package}");
    let several = place.run(["diff", "one", "app", "--from", "store"]);
    assert!(several.error().starts_with("one names several packages: "), "{several:?}");
}

#[test]
fn architectures_are_those_that_both_have() {
    let place = place!();
    place.ok(["compose", "static", "--arch", "arm64,s390x", "-o", "oci:two"]);
    place.ok(["compose", "static", "--arch", "s390x", "-o", "oci:one"]);
    place.ok(["compose", "static", "--arch", "386", "-o", "oci:other"]);
    assert_eq!(place.json(&["diff", "oci:two", "oci:one"])["architectures"][0]["architecture"], "s390x");
    let all = place.json(&["diff", "oci:two", "static", "--arch", "all"]);
    let all: Vec<&Value> = all["architectures"].as_array().unwrap().iter().map(|one| &one["architecture"]).collect();
    assert_eq!(all, ["arm64", "s390x"]);
    // What only one of them is for differs, where all were asked for.
    let all = place.json(&["diff", "oci:one", "oci:two", "--arch", "all"]);
    assert_eq!((&all["only_old"], &all["only_new"], &all["is_same"]), (&json!([]), &json!(["arm64"]), &json!(false)));
    let all = place.run(["diff", "oci:two", "oci:one", "--arch", "all", "--exit-code"]);
    assert_eq!((all.code(), all.out.lines().next()), (Some(1), Some("arch     - arm64")));
    let noted = place.run(["diff", "oci:two", "static"]).ok();
    assert!(noted.lines("note:")[0].contains("--arch all compares them"), "{noted:?}");
    let none = place.run(["diff", "oci:one", "oci:other"]);
    assert_eq!(
        none.error(),
        "oci:one and oci:other have no architecture in common: oci:one is for s390x, oci:other for 386"
    );
    let lacks = place.run(["diff", "oci:two", "oci:one", "--arch", "arm64"]);
    assert_eq!(lacks.lines("error:"), ["image oci:one does not support arm64"]);
}
