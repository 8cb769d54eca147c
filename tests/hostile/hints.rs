//! What is missing is said in one go, with the packages that have it as one list to paste.

use dlstore_formats::archive::decompress::Compression;
use dlstore_formats::package::fixture::{ApkBuilder, DebBuilder};

use dlstore_kit::{Done, Place, elf, place};

fn compose(place: &Place) -> Done {
    place.run(["compose", "demo", "--arch", "amd64", "--from", "../packages"])
}

fn deb(name: &str) -> DebBuilder {
    DebBuilder::new(name, "1.0", "amd64").compression(Compression::Gzip)
}

fn image(place: &Place, packages: &str, more: &str) {
    place.image("demo", &format!("schema = 1\nformat = \"deb\"\npackages = [{packages}]\n{more}"));
}

/// A program that needs two libraries, and their packages; one of them depends on more.
fn prepare(place: &Place) {
    let program = elf::Elf { needed: &["libaa.so.1", "libbb-2.so"], ..elf::Elf::default() }.build("amd64");
    let library = |name: &str| elf::library("amd64", name, &[]);
    for (name, package) in [
        ("app", deb("app").file("usr/bin/app", &program, 0o755)),
        (
            "libaa1",
            deb("libaa1")
                .control_field("Depends", "libaa-data, none | libcc3 (>= 1)")
                .control_file("shlibs", b"libaa 1 libaa1 (>= 1)\n")
                .file("usr/lib/libaa.so.1", &library("libaa.so.1"), 0o644),
        ),
        (
            "libbb2",
            deb("libbb2").control_file("shlibs", b"udeb: libbb 2 libbb2-udeb\nlibbb 2 libbb2\n").file(
                "usr/lib/libbb-2.so",
                &library("libbb-2.so"),
                0o644,
            ),
        ),
        ("libaa-data", deb("libaa-data").control_field("Depends", "libaa1 (= 1.0)").file("etc/aa", b"", 0o644)),
        ("libcc3", deb("libcc3").control_field("Depends", "app").file("etc/cc", b"", 0o644)),
    ] {
        place.package(&format!("{name}.deb"), &package.build());
    }
}

#[test]
fn missing_libraries_are_said_with_the_packages_of_from_that_have_them_and_their_closure() {
    let place = place!();
    prepare(&place);
    image(&place, "\"app\"", "");
    let failed = compose(&place);
    for (library, package) in [("libaa.so.1", "libaa1"), ("libbb-2.so", "libbb2")] {
        let sentence = format!("needs {library}, which is not in the image (package {package} provides it)");
        assert!(failed.err.contains(&sentence), "{sentence}: {failed:?}");
    }
    let list = "\"libaa-data\", \"libaa1\", \"libbb2\", \"libcc3\"";
    assert_eq!(failed.lines("hint:"), [format!("add {list} to packages")]);
    // The list is enough.
    image(&place, &format!("\"app\", {list}"), "");
    compose(&place).ok();
}

#[test]
fn packages_of_the_store_are_known_beside_those_of_from() {
    let place = place!();
    prepare(&place);
    place.ok(["add", "../packages"]);
    for name in ["libaa1", "libbb2", "libaa-data", "libcc3"] {
        std::fs::remove_file(place.packages().join(format!("{name}.deb"))).unwrap();
    }
    image(&place, "\"app\"", "");
    let list = "\"libaa-data\", \"libaa1\", \"libbb2\", \"libcc3\"";
    assert_eq!(compose(&place).lines("hint:"), [format!("add {list} to packages")]);
}

#[test]
fn what_the_image_has_already_is_not_proposed_but_what_it_leaves_out() {
    let place = place!();
    prepare(&place);
    image(
        &place,
        "\"app\", \"libaa1\", \"libaa-data\", \"libbb2\", \"libcc3\"",
        "exclude = [\"/usr/lib/libbb-2.so\"]\n",
    );
    let failed = compose(&place);
    assert!(failed.error().ends_with("needs libbb-2.so, which is not in the image"), "{failed:?}");
    assert_eq!(failed.lines("hint:"), ["to keep the file that is left out: keep = [\"/usr/lib/libbb-2.so\"]"]);
}

#[test]
fn a_hint_never_begins_with_or_and_names_every_waiver_where_nothing_else_helps() {
    let place = place!();
    prepare(&place);
    for name in ["libaa1", "libbb2"] {
        std::fs::remove_file(place.packages().join(format!("{name}.deb"))).unwrap();
    }
    image(&place, "\"app\"", "");
    let hint = compose(&place).lines("hint:").join("");
    let waivers = "[\"/usr/bin/app -> libaa.so.1: WHY\", \"/usr/bin/app -> libbb-2.so: WHY\"]";
    assert_eq!(
        hint,
        format!(
            "add the packages that provide libaa.so.1, libbb-2.so to packages, and their files to --from; \
             or, if the image runs without them, give the reason in the definition: waive = {waivers}"
        )
    );
    image(&place, "\"app\"", &format!("waive = {waivers}\n"));
    compose(&place).ok();
}

#[test]
fn a_package_that_is_not_there_is_to_be_got_before_it_is_waived() {
    let place = place!();
    place.package("app.deb", &deb("app").control_field("Depends", "libzz1 (>= 2)").file("etc/app", b"", 0o644).build());
    image(&place, "\"app\"", "");
    let get = "add the package that provides libzz1 (>= 2) to packages, and its file to --from";
    let waive = "or, if the image runs without it, give the reason in the definition: waive = [\"app -> libzz1: WHY\"]";
    assert_eq!(compose(&place).lines("hint:"), [format!("{get}; {waive}")]);
}

#[test]
fn for_a_program_of_musl_no_package_of_glibc_is_proposed_and_none_that_its_loader_does_not_find() {
    let place = place!();
    let loader = "/lib/ld-musl-x86_64.so.1";
    let program = |interpreter| elf::Elf { needed: &["libzz.so.1"], interpreter, ..elf::Elf::default() }.build("amd64");
    place.project_file("images/demo/program", &program(Some(loader)));
    let own = "schema = 1\nformat = \"deb\"\nfiles.\"/usr/bin/program\" = { source = \"program\", mode = \"0755\" }\n\
               files.\"/lib/ld-musl-x86_64.so.1\" = { source = \"loader\", mode = \"0755\" }\n";
    place.project_file("images/demo/loader", &elf::program("amd64"));
    place.image("demo", own);
    let library = |needed: &[&str]| elf::library("amd64", "libzz.so.1", needed);
    let glibc = deb("zz-glibc").control_field("Depends", "libc6").control_file("shlibs", b"libzz 1 zz-glibc\n");
    place.package("glibc.deb", &glibc.file("usr/lib/libzz.so.1", &library(&["libc.so.6"]), 0o644).build());
    let aside = deb("zz-aside").file("usr/lib/x86_64-linux-gnu/libzz.so.1", &library(&[]), 0o644);
    place.package("aside.deb", &aside.build());
    let none = "add the package that provides libzz.so.1 for musl to packages, and its file to --from; ";
    let needs = || place.ok(["needs", "images/demo/program"]);
    let from = |place: &Place, from: &str| place.run(["compose", "demo", "--arch", "amd64", "--from", from]);
    assert!(from(&place, "../packages").lines("hint:")[0].starts_with(none));
    place.ok(["add", "../packages"]);
    assert!(from(&place, "store").lines("hint:")[0].starts_with(none));
    assert!(
        needs().contains("libzz.so.1               not in any built-in image or any package of the store"),
        "{}",
        needs()
    );

    // One of musl's, where its loader looks.
    let musl = deb("zz-musl").control_field("Depends", "musl");
    place.package("musl.deb", &musl.file("usr/lib/libzz.so.1", &library(&["libc.so"]), 0o644).build());
    place.ok(["add", "../packages"]);
    assert!(from(&place, "store").err.contains("(package zz-musl provides it)"));
    assert!(needs().contains("add package deb:zz-musl\n"), "{}", needs());
    // And a program of glibc is not sent there.
    place.project_file("images/demo/program", &program(Some("/lib64/ld-linux-x86-64.so.2")));
    assert!(needs().contains("add package deb:zz-aside or deb:zz-glibc\n"), "{}", needs());
}

#[test]
fn libraries_of_apks_are_found_by_what_they_provide() {
    let place = place!();
    let apk = |name: &str| ApkBuilder::new(name, "1-r0", "x86_64");
    place.package("app.apk", &apk("app").depend("so:libaa.so.1").file("etc/app", b"", 0o644).build());
    let library = elf::library("amd64", "libaa.so.1", &[]);
    let package = apk("aa").provides("so:libaa.so.1=1").depend("cmd:bb").file("usr/lib/libaa.so.1", &library, 0o755);
    place.package("aa.apk", &package.build());
    place.package("bb.apk", &apk("bb").provides("cmd:bb=1-r0").file("etc/bb", b"", 0o644).build());
    place.image("demo", "schema = 1\nformat = \"apk\"\npackages = [\"app\"]\n");
    assert_eq!(compose(&place).lines("hint:"), ["add \"aa\", \"bb\" to packages"]);
    place.image("demo", "schema = 1\nformat = \"apk\"\npackages = [\"app\", \"aa\", \"bb\"]\n");
    compose(&place).ok();
}
