//! What packages depend on is in the image, or left out on purpose.

use std::time::{Duration, Instant};

use dlstore_formats::archive::decompress::Compression;
use dlstore_formats::package::fixture::{ApkBuilder, DebBuilder};

use dlstore_kit::{Done, Place, place};

fn compose(place: &Place) -> Done {
    place.run(["compose", "demo", "--arch", "amd64", "--from", "../packages", "-v"])
}

fn deb(place: &Place, name: &str, version: &str, fields: &[(&str, &str)]) {
    let deb = DebBuilder::new(name, version, "amd64").compression(Compression::Gzip);
    let deb = fields.iter().fold(deb, |deb, (name, value)| deb.control_field(name, value));
    let deb = deb.file(&format!("usr/share/{name}/x"), version.as_bytes(), 0o644);
    place.package(&format!("{name}_{version}.deb"), &deb.build());
}

fn debs(place: &Place, packages: &str, more: &str) {
    place.image("demo", &format!("schema = 1\nformat = \"deb\"\npackages = [{packages}]\n{more}\n"));
}

#[test]
fn a_package_that_provides_and_asks_for_twenty_thousand_versions_is_looked_at_at_once() {
    const MANY: usize = 20_000;
    let place = place!();
    let list = |from: usize| (from..from + MANY).map(|at| format!("pp (= {at})")).collect::<Vec<_>>().join(", ");
    deb(&place, "met", "1", &[("Provides", &list(0)), ("Depends", &list(0))]);
    debs(&place, "\"met\"", "");
    let begun = Instant::now();
    compose(&place).ok();
    deb(&place, "unmet", "1", &[("Provides", &list(0)), ("Depends", &list(MANY))]);
    debs(&place, "\"unmet\"", "");
    let failed = compose(&place);
    assert!(failed.err.contains("depends on pp (= 20000), but the image has pp 0"), "{}", failed.error());
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
}

#[test]
fn any_of_several_versions_of_a_name_meets_a_relation() {
    let place = place!();
    deb(&place, "aa", "1", &[("Provides", "pp (= 3), pp (= 1:1), pp (= 2), qq")]);
    for (relation, is_met) in [
        ("pp", true),
        ("pp (= 2)", true),
        ("pp (= 2.0)", false),
        ("pp (= 0:3)", true),
        ("pp (>> 1:0)", true),
        ("pp (>> 1:1)", false),
        ("pp (>= 1:1)", true),
        ("pp (<< 2)", false),
        ("pp (<= 2)", true),
        ("qq", true),
        ("qq (>= 0)", false),
        ("rr | pp (= 3)", true),
    ] {
        deb(&place, "bb", "1", &[("Depends", relation)]);
        debs(&place, "\"aa\", \"bb\"", "");
        assert_eq!(compose(&place).code() == Some(0), is_met, "{relation}");
    }
}

#[test]
fn an_interpreter_without_its_standard_library_is_refused() {
    let place = place!();
    deb(
        &place,
        "python3.13-minimal",
        "3.13.5-2",
        &[("Pre-Depends", "libc6 (>= 2.36)"), ("Depends", "libpython3.13-minimal (= 3.13.5-2)")],
    );
    deb(&place, "libpython3.13-minimal", "3.13.5-2", &[]);
    deb(&place, "libc6", "2.41-12", &[]);
    debs(&place, "\"python3.13-minimal\", \"libc6\"", "");
    let failed = compose(&place);
    assert_eq!(
        failed.error(),
        "deb:python3.13-minimal=3.13.5-2/amd64 depends on libpython3.13-minimal (= 3.13.5-2), which is not in the image \
         (package libpython3.13-minimal provides it)"
    );
    debs(&place, "\"python3.13-minimal\", \"libc6\", \"libpython3.13-minimal\"", "");
    compose(&place).ok();
    debs(&place, "\"python3.13-minimal\", \"libpython3.13-minimal\"", "");
    let failed = compose(&place);
    assert!(failed.error().contains("depends on libc6 (>= 2.36), which is not in the image"), "{failed:?}");
    assert_eq!(compose(&place).error(), failed.error(), "it fails again in a store that knows the packages");
}

#[test]
fn an_edge_that_is_left_out_on_purpose_is_waived_by_the_line_that_the_hint_says() {
    let place = place!();
    deb(&place, "certificates", "1", &[("Depends", "openssl (>= 1.1.1), debconf (>= 0.5) | debconf-2.0")]);
    debs(&place, "\"certificates\"", "");
    let failed = compose(&place);
    assert_eq!(failed.err.lines().filter(|line| line.contains(" depends on ")).count(), 2, "{failed:?}");
    let hint = failed.lines("hint:").join("");
    let (_, proposed) = hint.split_once("waive = ").unwrap();
    assert_eq!(proposed, "[\"certificates -> openssl: WHY\", \"certificates -> debconf: WHY\"]");
    debs(&place, "\"certificates\"", &format!("waive = {proposed}"));
    let done = compose(&place).ok();
    assert!(done.err.contains("deb:certificates=1/amd64 -> openssl: waived (WHY)"), "{done:?}");
    // Any of the alternatives will do, and what is waived below is waived above.
    place.image("below", "schema = 1\nformat = \"deb\"\npackages = [\"certificates\"]\nwaive = [\"certificates -> openssl: data\", \"certificates -> debconf-2.0: data\"]\n");
    place.image("demo", "schema = 1\nextends = \"below\"\n");
    assert_eq!(compose(&place).ok().lines("warning:"), [""; 0]);
}

#[test]
fn a_dependency_is_met_by_versions_alternatives_and_what_is_provided() {
    let place = place!();
    deb(&place, "has", "2.0-1", &[("Provides", "bare, versioned (= 5)")]);
    for (depends, is_met) in [
        ("has", true),
        ("has (>= 2)", true),
        ("has (>> 2.0-1)", false),
        ("has (<< 3), has (>= 1)", true),
        ("none | has", true),
        ("none | has (= 1)", false),
        ("bare", true),
        ("bare (>= 1)", false),
        ("versioned (>= 4)", true),
        ("versioned (>= 6)", false),
        ("has:any", true),
        ("has:i386", false),
        ("wants", true),
    ] {
        deb(&place, "wants", "1", &[("Depends", depends)]);
        debs(&place, "\"has\", \"wants\"", "");
        assert_eq!(compose(&place).code(), Some(i32::from(!is_met)), "{depends}");
    }
    deb(&place, "wants", "1", &[("Depends", "has (>> 3)")]);
    debs(&place, "\"has\", \"wants\"", "");
    let sentence = "deb:wants=1/amd64 depends on has (>> 3), but the image has has 2.0-1";
    assert_eq!(compose(&place).error(), sentence);
}

#[test]
fn dependencies_of_an_apk_are_met_by_names_libraries_commands_and_paths() {
    let place = place!();
    let apk = |name: &str| ApkBuilder::new(name, "1.2-r0", "x86_64");
    place.package(
        "has.apk",
        &apk("has")
            .provides("so:libhas.so.1=1.0")
            .provides("cmd:has=1.2-r0")
            .file("bin/has", b"#!/bin/has", 0o755)
            .build(),
    );
    for (depends, is_met) in [
        ("has", true),
        ("has>=1.2", true),
        ("has~1.2", true),
        ("has<1", false),
        ("so:libhas.so.1", true),
        ("so:libnone.so.1", false),
        ("cmd:has", true),
        ("cmd:none", false),
        ("/bin/has", true),
        ("/bin/none", false),
        ("!none", true),
    ] {
        place.package("wants.apk", &apk("wants").depend(depends).file("etc/x", depends.as_bytes(), 0o644).build());
        place.image("demo", "schema = 1\nformat = \"apk\"\npackages = [\"has\", \"wants\"]\n");
        assert_eq!(compose(&place).code(), Some(i32::from(!is_met)), "{depends}");
    }
}
