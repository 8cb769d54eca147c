//! Nobody takes the libc's place, and no link at the top takes a database or certificates away.
//!
//! A loader goes by names: the first file of a name in its directories is the library, whoever brought it. And what lies
//! below a link lies somewhere else, whatever its path says.

use crate::reserved::{Stage, apk, certificate, deb};
use dlstore_kit::elf::library;

const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";

/// An image of a libc with its loader's configuration, and of one package more.
fn beside_libc(evil: &[(&str, Vec<u8>)]) -> Stage {
    let libc = deb("libc6")
        .file(&format!("{LIBRARIES}/libc.so.6"), &library("amd64", "libc.so.6", &[]), 0o755)
        .file(&format!("{LIBRARIES}/libm.so.6"), &library("amd64", "libm.so.6", &[]), 0o644)
        .file("etc/ld.so.conf.d/libc.conf", b"/usr/local/lib\n", 0o644);
    let libc_bin = deb("libc-bin").file("etc/ld.so.conf", b"include /etc/ld.so.conf.d/*.conf\n", 0o644);
    let evil = evil.iter().fold(deb("evil"), |package, (path, bytes)| package.file(path, bytes, 0o755));
    Stage::debs(&[("libc6", libc), ("libc-bin", libc_bin), ("evil", evil)])
}

#[test]
fn a_library_that_loaders_find_before_libcs_own_is_refused_unless_the_definition_says_so() {
    let soname = |soname| library("amd64", soname, &[]);
    for (path, bytes, own) in [
        ("usr/local/lib/libc.so.6".to_owned(), soname("libc.so.6"), "libc.so.6"),
        ("usr/local/lib/libc.so.6".to_owned(), b"no library at all".to_vec(), "libc.so.6"),
        ("usr/local/lib/libevil.so.1".to_owned(), soname("libm.so.6"), "libm.so.6"),
        (format!("{LIBRARIES}/glibc-hwcaps/x86-64-v2/libc.so.6"), soname("libc.so.6"), "libc.so.6"),
        (format!("{LIBRARIES}/libaa.so.1"), soname("libc.so.6"), "libc.so.6"),
        ("lib64/libm.so.6".to_owned(), soname("libm.so.6"), "libm.so.6"),
    ] {
        let stage = beside_libc(&[(&path, bytes)]);
        let (error, hint) = stage.refused();
        let path = path.replace("lib64/", "usr/lib64/");
        assert_eq!(
            error,
            format!(
                "/{path} of deb:evil=1.0-1/amd64 would replace /{LIBRARIES}/{own} of deb:libc6=1.0-1/amd64 (the loader \
                 would find it first), but only the definition may replace the loader or libc"
            )
        );
        let (_, said) = hint.split_once("definition: ").unwrap();
        assert_eq!(said, format!("overrides = [\"libc6: /{LIBRARIES}/{own}\"]"));
        stage.define(said);
        stage.compose().ok();
    }
    // A link counts as what it leads to, and libc's own may have more names.
    let links = |target: &str| {
        let libc = deb("libc6").file(&format!("{LIBRARIES}/libc.so.6"), &library("amd64", "libc.so.6", &[]), 0o755);
        let evil = deb("evil").file("opt/evil/x", &soname("libx.so"), 0o755).symlink("usr/lib/libc.so.6", target);
        Stage::debs(&[("libc6", libc), ("evil", evil)])
    };
    assert!(links("/opt/evil/x").refused().0.contains("/usr/lib/libc.so.6 of deb:evil"));
    links(&format!("/{LIBRARIES}/libc.so.6")).compose().ok();
}

#[test]
fn what_no_loader_takes_for_the_libc_is_let_through() {
    let soname = |soname| library("amd64", soname, &[]);
    for (path, bytes) in [
        // A package of its own.
        (format!("{LIBRARIES}/libcrypt.so.1"), soname("libcrypt.so.1")),
        // Where no loader looks.
        ("opt/evil/libc.so.6".to_owned(), soname("libc.so.6")),
        ("opt/evil/glibc-hwcaps/x86-64-v2/libc.so.6".to_owned(), soname("libc.so.6")),
    ] {
        beside_libc(&[(&path, bytes)]).compose().ok();
    }
    // For another machine, which is accepted.
    let stage = beside_libc(&[("usr/local/lib/libc.so.6", library("i386", "libc.so.6", &[]))]);
    stage.define("waive = [\"evil -> *: it is for another machine\"]");
    stage.compose().ok();
    // The definition's own files are its own word.
    let stage = beside_libc(&[("etc/x", Vec::new())]);
    stage.place.project_file("images/demo/libc", &soname("libc.so.6"));
    stage.define("files.\"/usr/local/lib/libc.so.6\" = { source = \"libc\" }");
    stage.compose().ok();
}

#[test]
fn a_link_at_the_top_that_does_not_merge_usr_is_a_claim_on_what_lies_below_it() {
    let refused = "/lib of apk:evil=1.0-r0/x86_64: only the package apk-tools may ship entries of apk's database";
    let database = b"P:openssl\nV:99-r0\n";
    for target in ["opt/x", "/opt/x", "usr/lib/../../opt/x", "opt"] {
        let evil = apk("evil").symlink("lib", target).file("opt/x/apk/db/installed", database, 0o644);
        let stage = Stage::apks(&[("evil", evil)]);
        assert_eq!(stage.refused().0, refused, "{target}");
        stage.define("overrides = [\"/lib\"]");
        assert!(stage.files()["lib/apk/db/installed"].windows(6).any(|line| line == b"P:evil"), "{target}");
    }
    let deb = deb("evil").symlink("var", "opt/x").file("opt/x/y", b"", 0o644);
    assert!(
        Stage::debs(&[("evil", deb)]).refused().0.starts_with("/var of deb:evil=1.0-1/amd64: only the package dpkg")
    );
    // A merged /usr is none.
    for target in ["usr/lib", "/usr/lib"] {
        let merged = apk("merged").symlink("lib", target).directory("usr/lib", 0o755);
        assert!(Stage::apks(&[("merged", merged)]).files().contains_key("usr/lib/apk/db/installed"), "{target}");
    }
    // The definition's own link is its own word, and nothing is made through it.
    let stage = Stage::apks(&[("aa", apk("aa").file("opt/x/y", b"", 0o644))]);
    stage.define("links.\"/lib\" = \"opt/x\"");
    assert!(stage.refused().0.contains("is below /lib, which is"));
}

#[test]
fn certificates_in_other_places_where_programs_look_are_of_the_same_packages() {
    for path in ["etc/ssl/cert.pem", "etc/pki/tls/certs/ca-bundle.crt", "usr/local/share/ca-certificates/evil.crt"] {
        for evil in [deb("evil").file(path, &certificate(1), 0o644), deb("evil").symlink(path, "/srv/x")] {
            let stage = Stage::debs(&[("evil", evil.clone())]);
            let only = "only the package ca-certificates may ship certificates";
            assert_eq!(stage.refused().0, format!("/{path} of deb:evil=1.0-1/amd64: {only}"));
            stage.define(&format!("overrides = [\"/{path}\"]"));
            assert!(!stage.files().contains_key(path));
        }
        let named = deb("ca-certificates").file(path, &certificate(1), 0o644);
        Stage::debs(&[("ca-certificates", named)]).compose().ok();
    }
}
