//! What compose refuses, and how a definition allows it.

use dlstore_formats::archive::decompress::Compression;
use dlstore_formats::package::fixture::{ApkBuilder, DebBuilder, TarEntry, TarWriter, compress};

use dlstore_kit::{Done, Layout, Place, place, sha256};

fn deb(name: &str) -> DebBuilder {
    DebBuilder::new(name, "1.0-1", "amd64").compression(Compression::Gzip)
}

/// A place with packages and an image of all of them.
fn place(debs: &[(&str, DebBuilder)], more: &str) -> Place {
    let place = place!();
    for (name, deb) in debs {
        place.package(&format!("{name}.deb"), &deb.build());
    }
    define(&place, debs, more);
    place
}

fn define(place: &Place, debs: &[(&str, DebBuilder)], more: &str) {
    let names: Vec<_> = debs.iter().map(|(name, _)| format!("{name:?}")).collect();
    let packages = names.join(", ");
    place.image("demo", &format!("schema = 1\nformat = \"deb\"\npackages = [{packages}]\n{more}\n"));
}

fn compose(place: &Place) -> Done {
    place.run(["compose", "demo", "--arch", "amd64", "--from", "../packages", "-o", "oci:out:demo", "-v"])
}

fn files(place: &Place) -> std::collections::BTreeMap<String, (tar::Header, Vec<u8>)> {
    Layout(place.project().join("out")).files("demo", "amd64")
}

#[test]
fn privileged_content_is_refused_unless_the_definition_lists_it() {
    for (path, what, deb) in [
        ("/usr/bin/su", "setuid", deb("pp").file("usr/bin/su", b"x", 0o4755)),
        ("/usr/bin/wall", "setgid", deb("pp").file("usr/bin/wall", b"x", 0o2755)),
        ("/usr/bin/both", "setuid", deb("pp").file("usr/bin/both", b"x", 0o6755)),
        (
            "/usr/bin/ping",
            "capabilities",
            deb("pp")
                .file("usr/bin/ping", b"x", 0o755)
                .xattr("security.capability", b"\x01\0\0\x02\0 \0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
        ),
        ("/srv/open", "world-writable", deb("pp").directory("srv/open", 0o777)),
    ] {
        let debs = [("pp", deb)];
        let place = place(&debs, "");
        let failed = compose(&place);
        let error = failed.error();
        assert!(error.contains(path) && error.contains(what) && error.contains("deb:pp"), "{error}");
        assert_eq!(failed.lines("hint:").len(), 1, "{failed:?}");
        define(&place, &debs, &format!("privileged = [\"{path}\"]"));
        let done = compose(&place).ok();
        assert!(done.err.contains(&format!("{path} of")), "what was allowed is said: {}", done.err);
        assert!(files(&place).contains_key(&path[1..]));
    }
    // The sticky bit makes it a /tmp.
    let place = place(&[("pp", deb("pp").directory("srv/tmp", 0o1777))], "");
    compose(&place).ok();
}

#[test]
fn all_that_is_privileged_is_said_at_once_with_the_list_that_allows_it() {
    let package = |count: usize| {
        let add = |deb: DebBuilder, at| deb.file(&format!("usr/bin/p{at:02}"), b"x", 0o4755);
        [("pp", (0..count).fold(deb("pp"), add))]
    };
    let said = |failed: &Done| failed.err.lines().filter(|line| line.ends_with(" is setuid")).count();
    let three = place(&package(3), "");
    let failed = compose(&three);
    assert_eq!(said(&failed), 3, "{failed:?}");
    let hint = failed.lines("hint:")[0].to_owned();
    let (_, list) = hint.split_once("list them in the definition: ").unwrap();
    define(&three, &package(3), list);
    compose(&three).ok();
    // Beyond a screenful they are counted.
    let failed = compose(&place(&package(25), ""));
    assert_eq!(said(&failed), 20, "{failed:?}");
    assert!(failed.err.contains("\nand 5 more\n"), "{failed:?}");
}

#[test]
fn devices_of_a_tar_are_refused_unless_listed() {
    let place = place!();
    let mut tar = TarWriter::default();
    tar.entry(&TarEntry::new(b'5', "dev"), b"");
    tar.entry(&TarEntry { device: (1, 3), mode: 0o666, ..TarEntry::new(b'3', "dev/null") }, b"");
    place.package("nodes.tar.gz", &compress(Compression::Gzip, &tar.finish()));
    place.image("demo", "schema = 1\nformat = \"tar\"\npackages = [\"nodes\"]\n");
    let compose = || {
        place.run(["compose", "demo", "--arch", "amd64", "--from", "../packages/nodes.tar.gz", "-o", "oci:out:demo"])
    };
    let error = compose().error();
    assert!(error.contains("/dev/null") && error.contains("device"), "{error}");
    place.image("demo", "schema = 1\nformat = \"tar\"\npackages = [\"nodes\"]\nprivileged = [\"/dev/null\"]\n");
    compose().ok();
    let files = files(&place);
    let (header, _) = &files["dev/null"];
    assert_eq!((header.device_major().unwrap(), header.device_minor().unwrap()), (Some(1), Some(3)));
}

#[test]
fn one_path_of_two_packages_is_a_conflict_that_names_both() {
    let [a, b] = ["aa", "bb"].map(|name| deb(name).file("etc/same", name.as_bytes(), 0o644));
    let place = place(&[("aa", a), ("bb", b)], "");
    let failed = compose(&place);
    let error = failed.error();
    assert!(error.contains("/etc/same") && error.contains("deb:aa") && error.contains("deb:bb"), "{error}");
    assert_eq!(failed.lines("hint:").len(), 1, "{failed:?}");

    let same = |name| deb(name).file("etc/same", b"equal", 0o644);
    compose(&self::place(&[("aa", same("aa")), ("bb", same("bb"))], "")).ok();
    // A directory's mode that two packages see differently.
    let directory =
        |name: &str, mode| deb(name).directory("srv/data", mode).file(&format!("srv/data/{name}"), b"", 0o644);
    let place = self::place(&[("aa", directory("aa", 0o755)), ("bb", directory("bb", 0o700))], "");
    let error = compose(&place).error();
    assert!(error.contains("/srv/data"), "{error}");
}

#[test]
fn replaces_decides_with_its_version() {
    for (field, winner) in [
        ("aa", Some("bb")),
        ("aa (<< 2.0)", Some("bb")),
        ("aa (<= 1.0-1)", Some("bb")),
        ("aa (<< 1.0-1)", None),
        ("aa (>> 1.0-1)", None),
        ("cc", None),
    ] {
        let a = deb("aa").file("etc/same", b"aa", 0o644).file("etc/aa", b"", 0o644);
        let b = deb("bb").file("etc/same", b"bb", 0o600).control_field("Replaces", field);
        for order in [["aa", "bb"], ["bb", "aa"]] {
            let debs = order.map(|name| (name, if name == "aa" { a.clone() } else { b.clone() }));
            let place = place(&debs, "");
            let done = compose(&place);
            match winner {
                Some(winner) => {
                    done.ok();
                    let files = files(&place);
                    assert_eq!(files["etc/same"].1, winner.as_bytes(), "{field} {order:?}");
                    assert!(files.contains_key("etc/aa"));
                }
                None => assert!(done.error().contains("/etc/same"), "{field}"),
            }
        }
    }
}

#[test]
fn apk_replaces_and_origins_decide() {
    let apk = |name: &str| ApkBuilder::new(name, "1.0-r0", "x86_64").file("etc/same", name.as_bytes(), 0o644);
    let compose = |a: ApkBuilder, b: ApkBuilder| {
        let place = place!();
        place.package("aa.apk", &a.build());
        place.package("bb.apk", &b.build());
        place.image("demo", "schema = 1\nformat = \"apk\"\npackages = [\"aa\", \"bb\"]\n");
        let done = self::compose(&place);
        if done.code() == Some(0) { Ok(files(&place)["etc/same"].1.clone()) } else { Err(done.error()) }
    };
    assert!(compose(apk("aa"), apk("bb")).unwrap_err().contains("/etc/same"));
    assert_eq!(compose(apk("aa").replaces("bb"), apk("bb")), Ok(b"aa".to_vec()));
    assert_eq!(compose(apk("aa"), apk("bb").replaces("aa>=1.0")), Ok(b"bb".to_vec()));
    assert!(compose(apk("aa"), apk("bb").replaces("aa>=2.0")).is_err());
    let origin = |name| apk(name).info("origin", "one");
    assert_eq!(compose(origin("aa"), origin("bb")), Ok(b"bb".to_vec()));
}

#[test]
fn a_path_through_another_packages_link_is_refused() {
    let link = deb("aa").symlink("opt/app", "/etc").file("etc/x", b"", 0o644);
    let through = deb("bb").file("opt/app/passwd", b"pwned", 0o644);
    for order in [[("aa", link.clone()), ("bb", through.clone())], [("bb", through), ("aa", link)]] {
        let error = compose(&place(&order, "")).error();
        assert!(error.contains("/opt/app") && error.contains("deb:aa") && error.contains("deb:bb"), "{error}");
    }
}

#[test]
fn paths_that_fix_ups_own_need_an_override() {
    let debs = [("pp", deb("pp").file("etc/passwd", b"evil:x:0:0::/:/bin/sh\n", 0o644))];
    let place = place(&debs, "");
    let error = compose(&place).error();
    assert!(error.contains("/etc/passwd"), "{error}");
    define(&place, &debs, "overrides = [\"/etc/passwd\"]");
    compose(&place).ok();
    let passwd = String::from_utf8(files(&place)["etc/passwd"].1.clone()).unwrap();
    assert!(passwd.contains("root:x:0:0:") && passwd.contains("nonroot:x:65532:65532:"), "{passwd}");
    assert!(!passwd.contains("evil"), "{passwd}");
    assert_eq!(passwd.lines().filter(|line| line.starts_with("root:")).count(), 1);
    define(&place, &debs, "skip = [\"accounts\"]");
    assert!(compose(&place).error().contains("/etc/passwd"), "who skips a fix-up has not named another source");
    define(&place, &debs, "skip = [\"accounts\"]\naccounts-from = \"pp\"");
    compose(&place).ok();
    assert_eq!(files(&place)["etc/passwd"].1, b"evil:x:0:0::/:/bin/sh\n");
}

#[test]
fn two_sources_of_one_version_are_a_tie_that_pins_decide() {
    let one = deb("pp").file("etc/p", b"one", 0o644).build();
    let two = deb("pp").file("etc/p", b"two", 0o644).build();
    let newer = DebBuilder::new("pp", "1.0-2", "amd64").file("etc/p", b"new", 0o644).build();
    let place = place!();
    place.package("one.deb", &one);
    place.package("two.deb", &two);
    let define = |requirement: &str| {
        place.image("demo", &format!("schema = 1\nformat = \"deb\"\npackages = [{requirement:?}]\n"));
    };
    define("pp");
    let failed = compose(&place);
    let error = failed.error();
    assert!(error.contains("one.deb") && error.contains("two.deb") && error.contains("1.0-1"), "{error}");
    assert!(failed.lines("hint:")[0].contains("@sha256:"));
    // The very same file twice is no tie.
    std::fs::write(place.packages().join("two.deb"), &one).unwrap();
    compose(&place).ok();
    std::fs::write(place.packages().join("two.deb"), &two).unwrap();

    define(&format!("pp@sha256:{}", sha256(&two)));
    compose(&place).ok();
    assert_eq!(files(&place)["etc/p"].1, b"two");
    define(&format!("pp=1.0-1@sha256:{}", sha256(&one)));
    compose(&place).ok();
    assert_eq!(files(&place)["etc/p"].1, b"one");
    define(&format!("pp@sha256:{}", "0".repeat(64)));
    assert!(compose(&place).error().contains("no deb package pp for amd64"));

    place.package("newer.deb", &newer);
    define("pp");
    compose(&place).ok();
    assert_eq!(files(&place)["etc/p"].1, b"new", "the highest version");
    define("pp=1.0-1");
    assert!(compose(&place).error().contains("1.0-1"), "the tie again");
    define("pp=1.0-2");
    compose(&place).ok();
    define("pp=3.0");
    let failed = compose(&place);
    assert!(failed.error().contains("pp 3.0"), "{failed:?}");

    // The same in the store: both are added, and compose does not choose.
    place.ok(["add", "../packages"]);
    define("pp=1.0-1");
    let failed = place.run(["compose", "demo", "--arch", "amd64", "--from", "store"]);
    let error = failed.error();
    assert!(error.contains(&sha256(&one)) && error.contains(&sha256(&two)), "{error}");
}

#[test]
fn a_missing_package_says_where_it_was_looked_for() {
    let place = place!();
    place.package("other.deb", &deb("other").build());
    place.image("demo", "schema = 1\nformat = \"deb\"\npackages = [\"absent\"]\n");
    place.ok(["add", "../packages"]);
    for (from, hint) in [
        (&[][..], "--from"),
        (&["--from", "store"], "dlstore add absent_*_amd64.deb"),
        (&["--from", "../packages"], "add absent for amd64 to the directories"),
    ] {
        let done = place.run(["compose", "demo", "--arch", "amd64"].iter().chain(from));
        assert!(done.error().contains("no deb package absent for amd64"), "{done:?}");
        assert!(done.lines("hint:")[0].contains(hint), "{done:?}");
    }
    // Of another architecture it does not count.
    place.image("demo", "schema = 1\nformat = \"deb\"\npackages = [\"other\"]\n");
    let done = place.run(["compose", "demo", "--arch", "arm64", "--from", "../packages"]);
    assert!(done.error().contains("no deb package other for arm64"), "{done:?}");
}

#[test]
fn a_hint_waives_and_allows_nothing_but_what_it_names() {
    // What the definition would read from a hint that was copied into it.
    let read = |hint: &str| -> Vec<String> {
        let (_, list) = hint.split_once(" = ").unwrap();
        let (list, _) = list.rsplit_once(']').unwrap();
        let table: toml::Table = format!("x = {list}]").parse().unwrap_or_else(|error| panic!("{hint}: {error}"));
        table["x"].as_array().unwrap().iter().map(|one| one.as_str().unwrap().to_owned()).collect()
    };
    // A name that no waiver can say has no hint; one with quotes is quoted.
    for (target, waiver) in
        [(r#"x", "/** -> *"#, None), ("*", None), ("a: b", None), (r#"x","y"#, Some(r#"/usr/lib/link -> x","y: WHY"#))]
    {
        let debs = [("pp", deb("pp").symlink("usr/lib/link", target))];
        let failed = compose(&place(&debs, ""));
        assert_eq!(failed.code(), Some(1), "{failed:?}");
        match waiver {
            None => assert_eq!(failed.lines("hint:"), Vec::<&str>::new(), "{target}"),
            Some(waiver) => assert_eq!(read(failed.lines("hint:")[0]), [waiver]),
        }
    }
    let name = r#"srv/x", "*"#;
    let debs = [("pp", deb("pp").file(name, b"x", 0o4755))];
    let place = place(&debs, "");
    let failed = compose(&place);
    assert_eq!(read(failed.lines("hint:")[0]), [r#"/srv/x", "*"#]);
    // It does what it says.
    let (_, key) =
        failed.lines("hint:")[0].split_once("definition: ").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    define(&place, &debs, &key);
    compose(&place).ok();
}
