//! A name says whose a package is in the format alone whose distributions have given it.

use dlstore_formats::archive::decompress::Compression;
use dlstore_formats::package::fixture::{TarEntry, TarWriter, compress};

use crate::reserved::{Stage, apk, certificate, deb};
use dlstore_kit::{Done, Place, place};

/// Names of packages with what each may ship, and the formats in which it may.
const RIGHTFUL: [(&str, &str, &[&str]); 8] = [
    ("libc6", "etc/ld.so.conf.d/x.conf", &["deb"]),
    ("libc-bin", "etc/ld.so.conf", &["deb"]),
    ("glibc", "etc/ld.so.conf", &["apk"]),
    ("musl", "etc/ld-musl-armhf.path", &["deb", "apk"]),
    ("dpkg", "var/lib/dpkg/cmethopt", &["deb"]),
    ("apk-tools", "lib/apk/exec/x", &["apk"]),
    ("ca-certificates", "etc/ssl/certs/x.pem", &["deb", "apk"]),
    ("ca-certificates-bundle", "etc/ssl/certs/x.pem", &["apk"]),
];

/// A tar or a directory of one file.
fn plain(name: &str, path: &str, bytes: &[u8], is_directory: bool) -> Place {
    let place = place!();
    if is_directory {
        let file = place.packages().join(name).join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, bytes).unwrap();
    } else {
        let mut tar = TarWriter::default();
        tar.entry(&TarEntry::new(b'0', path), bytes);
        place.package(&format!("{name}.tar.gz"), &compress(Compression::Gzip, &tar.finish()));
    }
    define(&place, name, "");
    place
}

fn define(place: &Place, name: &str, more: &str) {
    place.image("demo", &format!("schema = 1\nformat = \"tar\"\npackages = [\"{name}\"]\n{more}\n"));
}

fn compose(place: &Place, name: &str) -> Done {
    let from = if place.packages().join(name).is_dir() {
        format!("../packages/{name}")
    } else {
        format!("../packages/{name}.tar.gz")
    };
    place.run(["compose", "demo", "--arch", "amd64", "--from", &from])
}

#[test]
fn a_package_of_another_format_is_no_distribution_s_whatever_it_is_called() {
    for (name, path, formats) in RIGHTFUL {
        let of_deb = Stage::debs(&[(name, deb(name).file(path, b"", 0o644))]);
        let of_apk = Stage::apks(&[(name, apk(name).file(path, b"", 0o644))]);
        for (format, stage) in [("deb", of_deb), ("apk", of_apk)] {
            let done = stage.compose();
            assert_eq!(done.code() == Some(0), formats.contains(&format), "{name} of {format}: {done:?}");
            if !formats.contains(&format) {
                assert!(done.error().starts_with(&format!("/{path} of {format}:{name}=")), "{done:?}");
            }
        }
        for is_directory in [false, true] {
            let place = plain(name, path, b"", is_directory);
            let failed = compose(&place, name);
            assert!(failed.error().starts_with(&format!("/{path} of tar:{name}=")), "{name}: {failed:?}");
            define(&place, name, &format!("overrides = [\"/{path}\"]"));
            compose(&place, name).ok();
        }
    }
}

#[test]
fn a_tar_s_certificates_and_accounts_are_taken_when_the_definition_names_it() {
    let place = plain("ca-certificates", "usr/share/ca-certificates/x.crt", &certificate(0), false);
    let failed = compose(&place, "ca-certificates");
    assert!(failed.lines("hint:")[0].ends_with("certificates-from = [\"ca-certificates\"]"), "{failed:?}");
    define(&place, "ca-certificates", "certificates-from = [\"ca-certificates\"]");
    compose(&place, "ca-certificates").ok();
    let place = plain("alpine-baselayout-data", "etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n", false);
    assert_eq!(compose(&place, "alpine-baselayout-data").code(), Some(1));
    define(
        &place,
        "alpine-baselayout-data",
        "accounts-from = \"alpine-baselayout-data\"\noverrides = [\"/etc/passwd\"]",
    );
    compose(&place, "alpine-baselayout-data").ok();
}

#[test]
fn the_hint_about_certificates_names_packages_of_the_image_only_and_is_enough() {
    let corp = deb("corp").file("usr/share/ca-certificates/corp/b.crt", &certificate(1), 0o644);
    let stage = Stage::debs(&[("corp", corp)]);
    let (error, hint) = stage.refused();
    // The sentence names those that may, in the image or not.
    assert!(error.ends_with("only the package ca-certificates may ship certificates"), "{error}");
    assert!(hint.contains("certificates-from = [\"corp\"]"), "{hint}");
    stage.define("certificates-from = [\"corp\"]");
    assert_eq!(stage.files()["etc/ssl/certs/ca-certificates.crt"], certificate(1));
}
