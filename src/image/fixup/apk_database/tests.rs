//! The database on made packages: every line that it can have, pinned byte by byte.

use super::super::tests::{fingerprint, text};
use super::*;

fn info(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn entry(path: &str, mode: u16, gid: u32, kind: ApkEntryKind) -> ApkEntry {
    ApkEntry { path: fixed(path), meta: Meta { mode, uid: 0, gid, mtime: 3 }, kind }
}

#[test]
fn a_stanza_has_the_fields_in_the_order_of_apk_tools() {
    let info = info(&[
        ("pkgname", "x"),
        ("pkgver", "1-r0"),
        ("replaces_priority", "10"),
        ("depend", "so:libc.musl-x86_64.so.1"),
        ("depend", "!y"),
        ("provides", "cmd:x=1-r0"),
        ("replaces", "z"),
        ("builddate", "7"),
        ("provider_priority", "5"),
        ("install_if", "a b"),
        ("arch", "x86_64"),
        ("datahash", "ff"),
    ]);
    let file = ApkEntryKind::File(Some([1; 20]));
    let entries = [
        entry("etc", 0o755, 0, ApkEntryKind::Directory),
        entry("etc-x/y", 0o644, 0, file),
        entry("etc/shadow", 0o640, 42, file),
        entry("etc/z", 0o1777, 0, ApkEntryKind::Directory),
        entry("bin", 0o777, 0, file),
    ];
    let package = ApkPackage { info: &info, identity: [0; 20], size: 9, entries: &entries };
    let world = ["x".to_owned(), "a".to_owned()];
    let made = apk_database(Arch::ArmV6, Place::UsrLibWithLink, &[package], &world, 7).unwrap();
    assert_eq!(
        text(&made, "usr/lib/apk/db/installed"),
        "C:Q1AAAAAAAAAAAAAAAAAAAAAAAAAAA=\nP:x\nV:1-r0\nA:x86_64\nS:9\nI:0\nT:\nU:\nL:\nt:7\nk:5\n\
         D:so:libc.musl-x86_64.so.1 !y\np:cmd:x=1-r0\ni:a b\nr:z\nq:10\n\
         F:\nR:bin\na:0:0:777\nZ:Q1AQEBAQEBAQEBAQEBAQEBAQEBAQE=\n\
         F:etc\nR:shadow\na:0:42:640\nZ:Q1AQEBAQEBAQEBAQEBAQEBAQEBAQE=\nF:etc/z\nM:0:0:1777\n\
         F:etc-x\nR:y\nZ:Q1AQEBAQEBAQEBAQEBAQEBAQEBAQE=\n\n"
    );
    assert_eq!(text(&made, "etc/apk/world"), "a\nx\n");
    assert_eq!(text(&made, "etc/apk/arch"), "armhf\n");
    assert_eq!(
        fingerprint(&made),
        "9481664487bedd260695f65f3b52d16f3cacbd4138b369272700ea878fccb25a",
        "bump VERSION when this changes"
    );
}

#[test]
fn a_value_that_would_make_another_line_is_an_error() {
    let bad = info(&[("pkgname", "x"), ("pkgver", "1"), ("pkgdesc", "a\nP:y")]);
    let package = ApkPackage { info: &bad, identity: [0; 20], size: 9, entries: &[] };
    let outcome = apk_database(Arch::Amd64, Place::Lib, &[package], &[], 0);
    assert_eq!(outcome, Err(ApkDatabaseError::Control("a\nP:y".into())));
    let package = ApkPackage { info: &[], ..package };
    let outcome = apk_database(Arch::Amd64, Place::Lib, &[package], &[], 0);
    assert_eq!(outcome, Err(ApkDatabaseError::Missing("pkgname")));
}
