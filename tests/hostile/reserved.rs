//! Whose word counts: no package speaks for another of accounts, certificates, the loader or databases.

use std::collections::BTreeMap;

use dlstore_formats::archive::decompress::Compression;
use dlstore_formats::package::fixture::{ApkBuilder, DebBuilder};
use serde_json::Value;

use dlstore_kit::elf::library;
use dlstore_kit::{Done, Layout, Place, place};

/// Certificates that are well-formed and say nothing: each is one DER sequence.
pub(crate) fn certificate(number: u8) -> Vec<u8> {
    let body = ["MAEA", "MAEB", "MAEC"][usize::from(number)];
    format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n").into_bytes()
}

pub(crate) fn deb(name: &str) -> DebBuilder {
    DebBuilder::new(name, "1.0-1", "amd64").compression(Compression::Gzip)
}

pub(crate) fn apk(name: &str) -> ApkBuilder {
    ApkBuilder::new(name, "1.0-r0", "x86_64")
}

/// A place with packages of one format, and an image `demo` of all of them.
pub(crate) struct Stage {
    pub(crate) place: Place,
    format: &'static str,
    names: Vec<String>,
}

impl Stage {
    fn new(format: &'static str, packages: &[(&str, Vec<u8>)]) -> Self {
        let place = place!();
        for (name, bytes) in packages {
            place.package(&format!("{name}.{format}"), bytes);
        }
        let stage = Self { place, format, names: packages.iter().map(|(name, _)| format!("{name:?}")).collect() };
        stage.define("");
        stage
    }

    pub(crate) fn debs(debs: &[(&str, DebBuilder)]) -> Self {
        Self::new("deb", &debs.iter().map(|(name, deb)| (*name, deb.build())).collect::<Vec<_>>())
    }

    pub(crate) fn apks(apks: &[(&str, ApkBuilder)]) -> Self {
        Self::new("apk", &apks.iter().map(|(name, apk)| (*name, apk.build())).collect::<Vec<_>>())
    }

    /// Writes the definition of all packages, with more in it.
    pub(crate) fn define(&self, more: &str) {
        let (format, packages) = (self.format, self.names.join(", "));
        self.place.image("demo", &format!("schema = 1\nformat = \"{format}\"\npackages = [{packages}]\n{more}\n"));
    }

    pub(crate) fn compose(&self) -> Done {
        let common = ["compose", "demo", "--arch", "amd64", "--from", "../packages", "-o", "oci:out:demo", "-v"];
        self.place.run(common)
    }

    pub(crate) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        self.compose().ok();
        let files = Layout(self.place.project().join("out")).files("demo", "amd64");
        files.into_iter().map(|(path, (_, bytes))| (path, bytes)).collect()
    }

    /// What `files --json` says, by path.
    fn listed(&self) -> BTreeMap<String, Value> {
        let answer = self.place.json(&["files", "demo", "--arch", "amd64", "--from", "../packages"]);
        let files = answer["listings"][0]["files"].as_array().unwrap().iter();
        files.map(|file| (file["path"].as_str().unwrap().to_owned(), file.clone())).collect()
    }

    /// Asserts that composing is refused, and gives the sentence with all causes, and the hint.
    #[track_caller]
    pub(crate) fn refused(&self) -> (String, String) {
        let done = self.compose();
        let text = [vec![done.error().as_str()], done.lines("cause:")].concat().join(": ");
        (text, done.lines("hint:").join("\n"))
    }
}

#[test]
fn certificates_come_from_the_packages_that_the_definition_names_and_from_the_user() {
    let named = deb("ca-certificates").file("usr/share/ca-certificates/mozilla/a.crt", &certificate(0), 0o644);
    let other = deb("corp").file("usr/share/ca-certificates/corp/b.crt", &certificate(1), 0o644);
    let stage = Stage::debs(&[("ca-certificates", named.clone())]);
    assert_eq!(stage.files()["etc/ssl/certs/ca-certificates.crt"], certificate(0));
    stage.place.project_file("images/demo/own.pem", &certificate(2));
    stage.define("certificates = [\"own.pem\"]");
    assert_eq!(stage.files()["etc/ssl/certs/ca-certificates.crt"], [certificate(0), certificate(2)].concat());
    let stage = Stage::debs(&[("ca-certificates", named), ("corp", other)]);
    stage.define("certificates-from = [\"ca-certificates\", \"corp\"]");
    let bundle = [certificate(1), certificate(0)].concat();
    assert_eq!(stage.files()["etc/ssl/certs/ca-certificates.crt"], bundle, "in the order of paths");
    // A name that is no package of the image says nothing.
    stage.define("certificates-from = [\"absent\"]");
    assert!(stage.refused().0.contains("the image has no package `absent`"));
}

#[test]
fn another_package_with_a_certificate_is_refused_by_name_and_path() {
    for (path, package) in [
        (
            "usr/share/ca-certificates/evil.crt",
            deb("evil").file("usr/share/ca-certificates/evil.crt", &certificate(1), 0o644),
        ),
        ("etc/ssl/certs/evil.pem", deb("evil").file("etc/ssl/certs/evil.pem", &certificate(1), 0o644)),
        ("etc/ssl/certs/0123abcd.0", deb("evil").symlink("etc/ssl/certs/0123abcd.0", "/srv/evil.pem")),
        (
            "etc/ssl/certs/ca-certificates.crt",
            deb("evil").file("etc/ssl/certs/ca-certificates.crt", &certificate(1), 0o644),
        ),
        ("etc/ssl/certs", deb("evil").symlink("etc/ssl/certs", "/srv/evil")),
        ("etc/ssl", deb("evil").symlink("etc/ssl", "/srv/evil")),
    ] {
        let named = deb("ca-certificates").file("usr/share/ca-certificates/a.crt", &certificate(0), 0o644);
        let stage = Stage::debs(&[("ca-certificates", named), ("evil", package)]);
        let (error, hint) = stage.refused();
        let only = "only the package ca-certificates may ship certificates";
        assert_eq!(error, format!("/{path} of deb:evil=1.0-1/amd64: {only}"));
        let out = format!("overrides = [\"/{path}\"]");
        assert!(hint.contains(&out) && hint.contains("[\"ca-certificates\", \"evil\"]"), "{hint}");
        // The hint helps, and no word of the other's is in the image.
        stage.define(&out);
        assert_eq!(stage.files()["etc/ssl/certs/ca-certificates.crt"], certificate(0), "{path}");
    }
    // A directory is nobody's.
    let stage = Stage::debs(&[("openssl", deb("openssl").directory("etc/ssl/certs", 0o755).file("etc/x", b"", 0o644))]);
    stage.compose().ok();
}

#[test]
fn a_shipped_bundle_is_never_replaced_by_files_of_another_package() {
    let bundle = apk("ca-certificates-bundle").file("etc/ssl/certs/ca-certificates.crt", &certificate(0), 0o644);
    let evil = apk("evil").file("usr/share/ca-certificates/evil.crt", &certificate(1), 0o644);
    let stage = Stage::apks(&[("ca-certificates-bundle", bundle.clone()), ("evil", evil)]);
    assert!(stage.refused().0.contains("/usr/share/ca-certificates/evil.crt of apk:evil"));
    // Nor by those of a package that may ship certificates.
    let files = apk("ca-certificates").file("usr/share/ca-certificates/b.crt", &certificate(1), 0o644);
    let stage = Stage::apks(&[("ca-certificates-bundle", bundle), ("ca-certificates", files)]);
    assert_eq!(stage.files()["etc/ssl/certs/ca-certificates.crt"], certificate(0));
    let origin = stage.listed()["/etc/ssl/certs/ca-certificates.crt"]["origin"].clone();
    assert_eq!(origin, "apk:ca-certificates-bundle=1.0-r0/x86_64");
    stage.place.project_file("images/demo/own.pem", &certificate(2));
    stage.define("certificates = [\"own.pem\"]");
    assert_eq!(stage.files()["etc/ssl/certs/ca-certificates.crt"], [certificate(0), certificate(2)].concat());
}

const BUNDLE: &str = "etc/ssl/certs/ca-certificates.crt";

#[test]
fn a_certificate_that_the_definition_leaves_out_is_not_trusted() {
    let (a, b) = ("usr/share/ca-certificates/a.crt", "usr/share/ca-certificates/b.crt");
    let named = deb("ca-certificates").file(a, &certificate(0), 0o644).file(b, &certificate(1), 0o644);
    let stage = Stage::debs(&[("ca-certificates", named.clone())]);
    assert_eq!(stage.files()[BUNDLE], [certificate(0), certificate(1)].concat());
    for word in ["exclude", "overrides"] {
        stage.define(&format!("{word} = [\"/{b}\"]"));
        assert_eq!(stage.files()[BUNDLE], certificate(0), "{word}");
        stage.define(&format!("{word} = [\"/usr/share/ca-certificates/**\"]"));
        assert!(!stage.files().contains_key(BUNDLE), "{word}");
    }
    // What is kept first is not left out, and what a smaller image leaves out by itself is trusted.
    stage.define(&format!("keep = [\"/{b}\"]\nexclude = [\"/usr/share/ca-certificates/**\"]"));
    assert_eq!(stage.files()[BUNDLE], certificate(1));
    // One command makes the bundle of each image.
    let define = |name: &str, more: &str| {
        let text = format!("schema = 1\nformat = \"deb\"\npackages = [\"ca-certificates\"]\n{more}\n");
        stage.place.image(name, &text);
    };
    define("all", "");
    define("one", &format!("exclude = [\"/{a}\"]"));
    stage.place.image("none", "schema = 1\n");
    let common = ["--arch", "amd64", "--from", "../packages"];
    for names in [["all", "one", "none"], ["none", "one", "all"]] {
        let out = names.concat();
        let outs = ["-o", &format!("oci:{out}")];
        stage.place.ok([&["compose"], &names[..], &common, &outs].concat());
        let bundle = |name| Layout(stage.place.project().join(&out)).files(name, "amd64").remove(BUNDLE);
        let bundle = |name| bundle(name).map(|(_, bytes)| bytes);
        let both = [certificate(0), certificate(1)].concat();
        assert_eq!([bundle("all"), bundle("one"), bundle("none")], [Some(both), Some(certificate(1)), None]);
    }
}

#[test]
fn of_a_bundle_that_the_definition_leaves_out_nothing_is_trusted() {
    let bundle = apk("ca-certificates-bundle").file(BUNDLE, &certificate(0), 0o644);
    let stage = Stage::apks(&[("ca-certificates-bundle", bundle)]);
    stage.place.project_file("images/demo/own.pem", &certificate(2));
    for word in ["exclude", "overrides"] {
        stage.define(&format!("{word} = [\"/etc/ssl/certs/**\"]\ncertificates = [\"own.pem\"]"));
        assert_eq!(stage.files()[BUNDLE], certificate(2), "{word}");
        stage.define(&format!("{word} = [\"/etc/ssl/certs/**\"]"));
        assert!(!stage.files().contains_key(BUNDLE), "{word}");
    }
}

#[test]
fn an_os_release_that_the_definition_leaves_out_names_nothing() {
    let release = |name, text: &[u8]| deb(name).file("usr/lib/os-release", text, 0o644);
    let stage = Stage::debs(&[("pp", release("pp", b"ID=pp\n"))]);
    for word in ["exclude", "overrides"] {
        stage.define(&format!("{word} = [\"/usr/lib/os-release\"]\nos-release.VARIANT_ID = \"x\""));
        let made = String::from_utf8(stage.files()["usr/lib/os-release"].clone()).unwrap();
        assert_eq!(made, "NAME=demo\nID=demo\nPRETTY_NAME=demo\nVARIANT_ID=x\n", "{word}");
    }
    // What another level says stays, and what one leaves out is its own packages'.
    let stage = Stage::debs(&[("pp", release("pp", b"ID=pp\n")), ("qq", release("qq", b"ID=qq\n"))]);
    stage.place.image("base", "schema = 1\nformat = \"deb\"\npackages = [\"pp\"]\n");
    let text = "schema = 1\nextends = \"base\"\npackages = [\"qq\"]\nexclude = [\"/usr/lib/os-release\"]\n";
    stage.place.image("demo", &format!("{text}os-release.VARIANT_ID = \"x\"\n"));
    assert_eq!(stage.files()["usr/lib/os-release"], b"ID=pp\nVARIANT_ID=x\n");
}

#[test]
fn accounts_that_the_definition_excludes_are_not_the_images_and_those_that_it_overrides_are_extended() {
    let base = apk("alpine-baselayout-data")
        .file("etc/passwd", b"root:x:0:0:root:/root:/bin/ash\nbin:x:1:1::/:/bin/false\n", 0o644)
        .file("etc/shadow", b"root:*::0:::::\nbin:*::0:::::\n", 0o640);
    let stage = Stage::apks(&[("alpine-baselayout-data", base)]);
    for (word, is_heard) in [("exclude", false), ("overrides", true)] {
        stage.define(&format!("{word} = [\"/etc/passwd\", \"/etc/shadow\"]"));
        let files = stage.files();
        let passwd = String::from_utf8(files["etc/passwd"].clone()).unwrap();
        assert_eq!(passwd.contains("bin:x:1:1:"), is_heard, "{word}: {passwd}");
        assert_eq!(files.contains_key("etc/shadow"), is_heard, "{word}");
    }
}

#[test]
fn accounts_are_those_of_one_package() {
    let base = |name| apk(name).file("etc/passwd", b"root:x:0:0:root:/root:/bin/ash\nbin:x:1:1::/:/bin/false\n", 0o644);
    let overrides = "overrides = [\"/etc/passwd\"]";
    for name in ["alpine-baselayout-data", "wolfi-baselayout"] {
        let stage = Stage::apks(&[(name, base(name))]);
        stage.define(overrides);
        let passwd = String::from_utf8(stage.files()["etc/passwd"].clone()).unwrap();
        assert!(passwd.starts_with("root:x:0:0:root:/root:/bin/ash\nbin:x:1:1:"), "{passwd}");
    }
    // Of another package they count where the definition says so.
    let stage = Stage::apks(&[("other", base("other"))]);
    let (error, hint) = stage.refused();
    assert_eq!(error, "/etc/passwd of apk:other=1.0-r0/x86_64: no package in this image may ship accounts");
    assert!(hint.contains("accounts-from = \"other\""), "{hint}");
    stage.define(&format!("{overrides}\naccounts-from = \"other\""));
    assert!(stage.files()["etc/passwd"].starts_with(b"root:x:0:0:root:/root:/bin/ash\n"));
    // Left out, nothing of them is taken.
    stage.define(overrides);
    assert!(!String::from_utf8_lossy(&stage.files()["etc/passwd"]).contains("bin:x:1:1"));
    // Debian has no such package.
    let stage = Stage::debs(&[("wolfi-baselayout", deb("wolfi-baselayout").file("etc/group", b"root:x:0:\n", 0o644))]);
    assert!(stage.refused().0.starts_with("/etc/group of deb:wolfi-baselayout=1.0-1/amd64: no package"));
}

#[test]
fn an_account_file_of_another_package_is_refused_even_when_it_is_equal() {
    let stage = Stage::debs(&[("plain", deb("plain").file("etc/x", b"", 0o644))]);
    let made = stage.files();
    for path in ["etc/passwd", "etc/group"] {
        let stage = Stage::debs(&[("equal", deb("equal").file(path, &made[path], 0o644).mtime(0))]);
        assert!(stage.refused().0.starts_with(&format!("/{path} of deb:equal=1.0-1/amd64: no package in this image")));
    }
    let base = apk("alpine-baselayout-data").file("etc/shadow", b"root:*::0:::::\n", 0o640);
    for path in ["etc/passwd", "etc/group", "etc/shadow", "etc/gshadow"] {
        let evil = apk("evil").file(path, b"toor::0:0::/:/bin/sh\n", 0o644);
        let stage = Stage::apks(&[("alpine-baselayout-data", base.clone()), ("evil", evil)]);
        assert!(stage.refused().0.starts_with(&format!("/{path} of apk:evil=1.0-r0/x86_64: ")), "{path}");
    }
    // Group passwords are read by no fix-up, so not even the base has them.
    let stage = Stage::apks(&[("alpine-baselayout-data", base.file("etc/gshadow", b"root:::\n", 0o640))]);
    assert!(stage.refused().0.contains("no package in this image may ship group passwords"));
}

#[test]
fn a_base_of_accounts_lets_nobody_in() {
    let root = "root:x:0:0:root:/root:/bin/ash\n";
    for (path, text, problem) in [
        ("etc/passwd", format!("{root}toor::0:0::/:/bin/sh\n"), "line 2 of /etc/passwd gives UID 0 to toor"),
        (
            "etc/passwd",
            format!("{root}bin:x:1:1::/:/bin/sh\ntoor:x:00:0::/:/bin/sh\n"),
            "line 3 of /etc/passwd has \"00\"",
        ),
        ("etc/passwd", "root::0:0:root:/root:/bin/ash\n".into(), "line 1 of /etc/passwd gives root an empty password"),
        ("etc/shadow", "root:::0:::::\n".into(), "line 1 of /etc/shadow gives root an empty password"),
        ("etc/passwd", format!("{root}+::::::\n"), "line 2 of /etc/passwd begins with '+'"),
        ("etc/group", "root:x:0:\n+:::\n".into(), "line 2 of /etc/group begins with '+'"),
        ("etc/passwd", format!("{root}{root}"), "line 2 of /etc/passwd repeats the name root"),
        (
            "etc/shadow",
            "root:*::0:::::\nbin:*::0:::::\nroot:$6$x::0:::::\n".into(),
            "line 3 of /etc/shadow repeats the name root",
        ),
        ("etc/passwd", format!("{root}bin:x:1:1::/:/bin/sh\r\n"), "line 2 of /etc/passwd has a control character"),
        ("etc/group", "root:x:0:\0\n".into(), "line 1 of /etc/group has a control character"),
        (
            "etc/passwd",
            format!("{root}bin:x:1:1:\u{1b}[2J:/:/bin/sh\n"),
            "line 2 of /etc/passwd has a control character",
        ),
    ] {
        let base = apk("alpine-baselayout-data").file(path, text.as_bytes(), 0o644);
        let stage = Stage::apks(&[("alpine-baselayout-data", base)]);
        stage.define("overrides = [\"/etc/passwd\", \"/etc/group\", \"/etc/shadow\"]");
        let (error, _) = stage.refused();
        assert!(error.starts_with("fix-up accounts: ") && error.contains(problem), "{text:?}: {error}");
    }
    // What is no text cannot be looked at, and is not taken for nothing.
    let base = apk("alpine-baselayout-data").symlink("etc/passwd", "/srv/passwd").file("srv/passwd", b"", 0o644);
    let stage = Stage::apks(&[("alpine-baselayout-data", base)]);
    stage.define("overrides = [\"/etc/passwd\"]");
    assert!(stage.refused().0.contains("/etc/passwd is not a regular file"));
}

/// What no package may ship but those that the image's databases and loader are made of.
const OWNED: [(&str, &str); 12] = [
    ("etc/ld.so.preload", "settings of the loader"),
    ("etc/ld.so.conf", "settings of the loader"),
    ("etc/ld.so.conf.d/evil.conf", "settings of the loader"),
    ("etc/ld.so.cache", "settings of the loader"),
    ("etc/ld-musl-x86_64.path", "settings of musl's loader"),
    ("var/lib/dpkg/status", "entries of dpkg's database"),
    ("var/lib/dpkg/status.d/openssl", "entries of dpkg's database"),
    ("var/lib/dpkg/info/openssl.list", "entries of dpkg's database"),
    ("lib/apk/db/installed", "entries of apk's database"),
    ("usr/lib/apk/db/installed", "entries of apk's database"),
    ("etc/ssl/certs/x.pem", "certificates"),
    ("etc/passwd", "accounts"),
];

#[test]
fn paths_of_fix_ups_are_refused_from_others_unless_the_definition_lists_them() {
    for (path, what) in OWNED {
        let link = Stage::debs(&[("evil", deb("evil").symlink(path, "/srv/x").file("srv/x", b"x", 0o644))]);
        assert!(link.refused().0.starts_with(&format!("/{path} of deb:evil=1.0-1/amd64: ")), "{path} as a link");
        for stage in [
            Stage::debs(&[("evil", deb("evil").file(path, b"/opt/evil\n", 0o644))]),
            Stage::apks(&[("evil", apk("evil").file(path, b"/opt/evil\n", 0o644))]),
        ] {
            let (error, hint) = stage.refused();
            assert!(
                error.starts_with(&format!("/{path} of {}:evil=", stage.format)) && error.ends_with(what),
                "{error}"
            );
            assert!(hint.contains(&format!("overrides = [\"/{path}\"]")), "{hint}");
            for said in [format!("overrides = [\"/{path}\"]"), format!("exclude = [\"/{path}\"]")] {
                stage.define(&said);
                let left = stage.listed();
                let left = left.get(&format!("/{path}"));
                assert!(left.is_none_or(|file| file["origin"].as_str().unwrap().starts_with("fixup:")), "{left:?}");
                stage.compose().ok();
            }
        }
    }
    // A link in the place of a directory that holds such paths would put them somewhere else.
    for path in ["var/lib/dpkg", "var/lib", "etc/ld.so.conf.d", "usr/lib/apk"] {
        let stage = Stage::debs(&[("evil", deb("evil").symlink(path, "/srv/x").file("srv/x/y", b"x", 0o644))]);
        assert!(stage.refused().0.starts_with(&format!("/{path} of deb:evil=1.0-1/amd64: ")), "{path}");
    }
}

#[test]
fn the_rightful_shippers_of_paths_of_fix_ups_and_directories_of_all_are_let_through() {
    for (name, path) in [
        ("libc6", "etc/ld.so.conf.d/x.conf"),
        ("libc-bin", "etc/ld.so.conf"),
        ("dpkg", "var/lib/dpkg/cmethopt"),
        ("musl", "etc/ld-musl-armhf.path"),
        ("ca-certificates", "etc/ssl/certs/x.pem"),
    ] {
        Stage::debs(&[(name, deb(name).file(path, b"", 0o644))]).compose().ok();
    }
    for (name, path) in [
        ("glibc", "etc/ld.so.conf"),
        ("apk-tools", "lib/apk/exec/x"),
        ("ca-certificates-bundle", "etc/ssl/certs/ca-certificates.crt"),
    ] {
        Stage::apks(&[(name, apk(name).file(path, b"", 0o644))]).compose().ok();
    }
    let directories = ["etc/ld.so.conf.d", "var/lib/dpkg/info", "usr/lib/apk/db", "etc/ssl/certs"];
    let package = directories.iter().fold(deb("directories"), |package, directory| package.directory(directory, 0o755));
    let files = Stage::debs(&[("directories", package)]).files();
    assert!(directories.iter().all(|directory| files.contains_key(*directory)), "{:?}", files.keys());
}

#[test]
fn a_package_cannot_put_a_library_of_the_loader_in_a_directory_of_its_own() {
    let evil = deb("evil").file("opt/evil/libc.so.6", &library("amd64", "libc.so.6", &[]), 0o644).file(
        "etc/ld.so.conf.d/00-evil.conf",
        b"/opt/evil\n",
        0o644,
    );
    let libc_bin = deb("libc-bin").file("etc/ld.so.conf", b"include /etc/ld.so.conf.d/*.conf\n", 0o644);
    let stage = Stage::debs(&[("libc-bin", libc_bin), ("evil", evil)]);
    assert!(
        stage
            .refused()
            .0
            .starts_with("/etc/ld.so.conf.d/00-evil.conf of deb:evil=1.0-1/amd64: only the packages libc6")
    );
    stage.define("overrides = [\"/etc/ld.so.conf.d/00-evil.conf\"]");
    let cache = stage.files()["etc/ld.so.cache"].clone();
    assert!(!cache.windows(9).any(|part| part == b"/opt/evil"), "the loader does not look there");
    // The definition may say it itself.
    let own = "files.\"/etc/ld.so.conf.d/own.conf\" = { content = \"/opt/evil\\n\" }";
    stage.define(&format!("overrides = [\"/etc/ld.so.conf.d/00-evil.conf\"]\n{own}"));
    let cache = stage.files()["etc/ld.so.cache"].clone();
    assert!(cache.windows(9).any(|part| part == b"/opt/evil"));
}

/// The package with the loader's configuration.
fn libc_bin(text: &str) -> DebBuilder {
    deb("libc-bin").file("etc/ld.so.conf", text.as_bytes(), 0o644)
}

#[test]
fn links_of_ldconfig_have_names_of_libraries_lie_in_the_loaders_directories_and_belong_to_the_library() {
    let directory = "usr/lib/x86_64-linux-gnu";
    let package = |name, soname, file: &str| deb(name).file(file, &library("amd64", soname, &[]), 0o644);
    let stage = Stage::debs(&[
        ("libc-bin", libc_bin("/usr/local/lib\n/opt/lib\n/srv/links\n")),
        ("good", package("good", "libgood.so.1", &format!("{directory}/libgood.so.1.2"))),
        ("local", package("local", "liblocal.so.1", "usr/local/lib/liblocal.so.1.2")),
        ("bad", package("bad", "libc6", &format!("{directory}/libbad.so.1"))),
        ("worse", package("worse", "evil.so", "usr/lib/libworse.so.1")),
        ("far", package("far", "libfar.so.1", "opt/lib/libfar.so.1.2")),
        ("led", package("led", "libled.so.1", "srv/led/libled.so.1.2").symlink("srv/links", "led")),
    ]);
    let listed = stage.listed();
    for (link, package) in
        [(format!("/{directory}/libgood.so.1"), "good"), ("/usr/local/lib/liblocal.so.1".into(), "local")]
    {
        let link = listed.get(&link).unwrap_or_else(|| panic!("{link} in {:?}", listed.keys()));
        assert_eq!((&link["type"], &link["origin"]), (&"symlink".into(), &"fixup:ld-so-cache".into()));
        assert_eq!(link["made_of"], serde_json::json!([format!("deb:{package}=1.0-1/amd64")]));
    }
    let made = listed.values().filter(|file| file["origin"] == "fixup:ld-so-cache");
    assert_eq!(made.count(), 3, "two links and the cache: {listed:?}");
    stage.compose().ok();
}

#[test]
fn a_soname_takes_no_package_out_of_the_database() {
    let libc6 = deb("libc6").file("usr/share/doc/libc6/copyright", b"x", 0o644);
    let stage = Stage::debs(&[("libc-bin", libc_bin("/var/lib/dpkg/status.d\n")), ("libc6", libc6)]);
    // Not even where the definition puts the library there itself.
    stage.place.project_file("images/demo/evil.so", &library("amd64", "libc6", &[]));
    stage.define("files.\"/var/lib/dpkg/status.d/libevil.so\" = { source = \"evil.so\" }");
    let files = stage.files();
    assert!(files["var/lib/dpkg/status.d/libc6"].starts_with(b"Package: libc6\n"));
    let evil = deb("evil").file("var/lib/dpkg/status.d/libevil.so", &library("amd64", "libc6", &[]), 0o644);
    let stage = Stage::debs(&[("libc-bin", libc_bin("/var/lib/dpkg/status.d\n")), ("evil", evil)]);
    assert!(stage.refused().0.starts_with("/var/lib/dpkg/status.d/libevil.so of deb:evil"));
}

#[test]
fn two_fix_ups_with_one_path_are_an_error() {
    for (home, other) in [("/etc/nsswitch.conf", "nsswitch"), ("/usr/lib/os-release", "os-release")] {
        let stage = Stage::debs(&[("pp", deb("pp").file("etc/x", b"", 0o644))]);
        stage.define(&format!("accounts = [{{ name = \"app\", uid = 1000, home = {home:?} }}]"));
        assert_eq!(stage.refused().0, format!("{home} is made by two fix-ups, accounts and {other}"));
    }
}

#[test]
fn files_names_the_packages_behind_a_made_file() {
    let base = apk("alpine-baselayout-data").file("etc/passwd", b"root:x:0:0:root:/root:/bin/ash\n", 0o644);
    let stage = Stage::apks(&[("alpine-baselayout-data", base), ("pp", apk("pp").file("etc/x", b"", 0o644))]);
    stage.define("overrides = [\"/etc/passwd\"]");
    let listed = stage.listed();
    let of = |path: &str| listed[path]["made_of"].clone();
    assert_eq!(of("/etc/passwd"), serde_json::json!(["apk:alpine-baselayout-data=1.0-r0/x86_64"]));
    let both = serde_json::json!(["apk:alpine-baselayout-data=1.0-r0/x86_64", "apk:pp=1.0-r0/x86_64"]);
    assert_eq!(of("/lib/apk/db/installed"), both);
    assert_eq!(of("/etc/nsswitch.conf"), Value::Null, "it is made of nothing");
    let text = stage.place.ok(["files", "demo", "--arch", "amd64", "--from", "../packages"]);
    assert!(text.contains("fixup:accounts of apk:alpine-baselayout-data=1.0-r0/x86_64 "), "{text}");

    let named = deb("ca-certificates").file("usr/share/ca-certificates/a.crt", &certificate(0), 0o644);
    let stage = Stage::debs(&[
        ("ca-certificates", named),
        ("pp", deb("pp").file("usr/lib/os-release", b"ID=pp\n", 0o644)),
        ("libc-bin", libc_bin("")),
        ("libx", deb("libx").file("usr/lib/libx.so.1", &library("amd64", "libx.so.1", &[]), 0o644)),
    ]);
    stage.define("os-release.VARIANT_ID = \"x\"");
    let listed = stage.listed();
    for (path, package) in [
        ("/etc/ssl/certs/ca-certificates.crt", "ca-certificates"),
        ("/usr/lib/os-release", "pp"),
        ("/var/lib/dpkg/status.d/libx", "libx"),
        ("/etc/ld.so.cache", "libx"),
    ] {
        let expected = serde_json::json!([format!("deb:{package}=1.0-1/amd64")]);
        assert_eq!(listed[path]["made_of"], expected, "{path}");
    }
}

#[test]
fn a_replaced_path_is_a_note_that_says_by_whom() {
    let (a, b) = (deb("aa").file("etc/same", b"aa", 0o644), deb("bb").file("etc/same", b"bb", 0o644));
    let replacing = b.clone().control_field("Replaces", "aa");
    for order in [["aa", "bb"], ["bb", "aa"]] {
        let stage = Stage::debs(&order.map(|name| (name, if name == "aa" { a.clone() } else { replacing.clone() })));
        let done = stage.compose().ok();
        let note = "/etc/same of deb:aa=1.0-1/amd64 is replaced by deb:bb=1.0-1/amd64 (Replaces)";
        assert_eq!(done.lines("note:").iter().filter(|line| **line == note).count(), 1, "{done:?}");
        // What is remembered says it too.
        assert!(stage.compose().ok().lines("note:").contains(&note));
    }
    let one = |name| apk(name).file("etc/same", name.as_bytes(), 0o644).info("origin", "one");
    let done = Stage::apks(&[("aa", one("aa")), ("bb", one("bb"))]).compose().ok();
    let note = "/etc/same of apk:aa=1.0-r0/x86_64 is replaced by apk:bb=1.0-r0/x86_64 (same origin)";
    assert!(done.lines("note:").contains(&note), "{done:?}");
    // The definition decides between any two, and that is said as well.
    let stage = Stage::debs(&[("aa", a), ("bb", b)]);
    assert!(stage.refused().0.starts_with("/etc/same is in both deb:aa"));
    for (loser, winner) in [("aa", "bb"), ("bb", "aa")] {
        stage.define(&format!("overrides = [\"{loser}: /etc/same\"]"));
        let done = stage.compose().ok();
        let note = format!("/etc/same of deb:{loser}=1.0-1/amd64 is replaced by deb:{winner}=1.0-1/amd64");
        assert!(done.err.contains(&format!("{note} (as the definition says)")), "{done:?}");
        assert_eq!(stage.files()["etc/same"], winner.as_bytes());
    }
}

#[test]
fn nobody_replaces_loader_libc_or_accounts_unless_the_definition_says_so() {
    for path in [
        "usr/lib64/ld-linux-x86-64.so.2",
        "usr/lib/x86_64-linux-gnu/libc.so.6",
        "lib/ld-musl-x86_64.so.1",
        "usr/lib/libc.musl-x86_64.so.1",
        "lib/libc.so",
    ] {
        let libc = deb("libc6").file(path, b"libc", 0o755);
        let evil = deb("evil").file(path, b"evil", 0o755).control_field("Replaces", "libc6");
        for order in [["libc6", "evil"], ["evil", "libc6"]] {
            let stage =
                Stage::debs(&order.map(|name| (name, if name == "evil" { evil.clone() } else { libc.clone() })));
            let (error, hint) = stage.refused();
            assert!(
                error.contains(
                    "of deb:libc6=1.0-1/amd64 (Replaces), but only the definition may replace the loader or libc"
                ),
                "{error}"
            );
            let (_, said) = hint.split_once("definition: ").unwrap();
            stage.define(said);
            let done = stage.compose().ok();
            assert!(done.err.contains("is replaced by deb:evil=1.0-1/amd64 (as the definition says)"), "{done:?}");
        }
    }
    let musl = |name| apk(name).file("lib/ld-musl-x86_64.so.1", name.as_bytes(), 0o755).info("origin", "musl");
    let stage = Stage::apks(&[("musl", musl("musl")), ("evil", musl("evil"))]);
    assert!(stage.refused().0.contains("apk:evil=1.0-r0/x86_64 would replace "));
    let base = apk("alpine-baselayout-data").file("etc/shadow", b"root:*::0:::::\n", 0o640);
    let evil = apk("evil").file("etc/shadow", b"root:$6$x::0:::::\n", 0o640).replaces("alpine-baselayout-data");
    let stage = Stage::apks(&[("alpine-baselayout-data", base), ("evil", evil)]);
    let only = "/etc/shadow of apk:evil=1.0-r0/x86_64: only the package alpine-baselayout-data may ship accounts";
    assert_eq!(stage.refused().0, only);
}

#[test]
fn a_package_named_as_anothers_sums_does_not_meet_them() {
    let [aa, sums] = ["aa", "aa.md5sums"].map(|name| deb(name).file(&format!("etc/{name}"), b"", 0o644).md5sums());
    let refused = "package aa.md5sums cannot be in an image: its entry would be taken for the checksums of package aa";
    let stage = Stage::debs(&[("aa", aa.clone()), ("aa.md5sums", sums.clone())]);
    assert!(stage.refused().0.contains(refused));
    // In another level they would meet as well, and alone a scanner passes over it.
    stage.place.image("base", "schema = 1\nformat = \"deb\"\npackages = [\"aa\"]\n");
    stage.place.image("demo", "schema = 1\nextends = \"base\"\npackages = [\"aa.md5sums\"]\n");
    assert!(stage.refused().0.contains(refused));
    assert!(Stage::debs(&[("aa.md5sums", sums)]).refused().0.contains(refused));
    Stage::debs(&[("aa", aa)]).compose().ok();
}

#[test]
fn privileged_lists_paths_exactly() {
    let package = deb("pp").file("usr/bin/su", b"x", 0o4755).file("usr/bin/*", b"x", 0o4755);
    let stage = Stage::debs(&[("pp", package)]);
    for said in [r#""/usr""#, r#""/usr/bin""#, r#""/usr/bin/*""#, r#""/usr/bin/s?""#, r#""/**""#] {
        stage.define(&format!("privileged = [{said}]"));
        assert!(stage.refused().0.contains("is setuid"), "{said}");
    }
    stage.define(r#"privileged = ["/usr/bin/su"]"#);
    assert!(stage.refused().0.starts_with("/usr/bin/* of deb:pp"), "an asterisk is a character");
    stage.define(r#"privileged = ["/usr/bin/su", "/usr/bin/*"]"#);
    stage.compose().ok();
    for said in ["usr/bin/su", "/usr/../su", ""] {
        stage.define(&format!("privileged = [{said:?}]"));
        assert_eq!(stage.compose().code(), Some(1), "{said}");
    }
}
