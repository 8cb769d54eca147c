//! A library that is there in a version that will not do is an error when the image is made.

use dlstore_formats::archive::decompress::Compression;
use dlstore_formats::package::fixture::{ApkBuilder, DebBuilder};

use dlstore_kit::{Done, Place, elf, place};

fn compose(place: &Place, arch: &str) -> Done {
    place.run(["compose", "demo", "--arch", arch, "--from", "../packages", "-v"])
}

fn library<'e>(soname: &'e str, defines: &'e [&'e str]) -> elf::Elf<'e> {
    elf::Elf { soname: Some(soname), defines, ..elf::Elf::default() }
}

const DEBIAN: [(&str, &str); 3] = [("amd64", "amd64"), ("arm/v7", "armhf"), ("s390x", "s390x")];

fn prepare(place: &Place, requires: &[(&str, &str, bool)], defines: &[&str]) {
    for (_, arch) in DEBIAN {
        let deb = |name: &str| DebBuilder::new(name, "1", arch).compression(Compression::Gzip);
        let own = library("libown.so.1", defines).build(arch);
        place.package(&format!("libown_{arch}.deb"), &deb("libown").file("usr/lib/libown.so.1", &own, 0o644).build());
        let user = elf::Elf { needed: &["libown.so.1"], requires, ..elf::Elf::default() }.build(arch);
        place.package(&format!("user_{arch}.deb"), &deb("user").file("usr/bin/user", &user, 0o755).build());
    }
    let packages = "schema = 1\nformat = \"deb\"\npackages = [\"libown\", \"user\"]\n";
    place.image("demo", &format!("{packages}architectures = [\"amd64\", \"arm/v7\", \"s390x\"]\n"));
}

#[test]
fn a_version_that_no_library_defines_is_an_error_that_names_file_library_and_version() {
    let place = place!();
    prepare(&place, &[("libown.so.1", "FOO_1", false), ("libown.so.1", "FOO_2", false)], &["libown.so.1", "FOO_1"]);
    let failed = compose(&place, "all");
    let lines: Vec<&str> = failed.err.lines().filter(|line| line.contains("/usr/bin/user")).collect();
    for ((_, arch), (oci, _)) in DEBIAN.iter().zip(DEBIAN) {
        let line = format!(
            "/usr/bin/user of deb:user=1/{arch} needs FOO_2 of libown.so.1, which the image's copy does not define (on {oci})"
        );
        assert!(lines.iter().any(|found| found.ends_with(&line)), "{line}: {failed:?}");
    }
    assert_eq!(compose(&place, "all").err, failed.err, "it fails again in a store that knows the packages");
    let hint = failed.lines("hint:").join("");
    assert!(hint.contains("waive = [\"/usr/bin/user -> FOO_2: WHY\""), "{failed:?}");
    let text =
        "schema = 1\nformat = \"deb\"\npackages = [\"libown\", \"user\"]\nwaive = [\"user -> FOO_2: never called\"]\n";
    place.image("demo", text);
    compose(&place, "amd64").ok();
}

#[test]
fn versions_that_are_defined_may_be_absent_or_are_not_said_are_no_error() {
    for (requires, defines) in [
        (&[("libown.so.1", "FOO_1", false)][..], &["FOO_1", "FOO_2"][..]),
        (&[("libown.so.1", "FOO_9", true)], &["FOO_1"]),
        (&[("libown.so.1", "FOO_9", false)], &[]),
        (&[], &["FOO_1"]),
    ] {
        let place = place!();
        prepare(&place, requires, defines);
        compose(&place, "all").ok();
    }
}

#[test]
fn musl_s_loader_does_not_look_at_versions() {
    let place = place!();
    let loader = library("libc.musl-x86_64.so.1", &[]).build("amd64");
    let own = library("libown.so.1", &["FOO_1"]).build("amd64");
    let requires = &[("libown.so.1", "FOO_2", false)];
    let needed = &["libown.so.1", "libc.musl-x86_64.so.1"];
    let interpreter = Some("/lib/ld-musl-x86_64.so.1");
    let user = elf::Elf { needed, interpreter, requires, ..elf::Elf::default() }.build("amd64");
    let apk = ApkBuilder::new("user", "1-r0", "x86_64")
        .file("lib/ld-musl-x86_64.so.1", &loader, 0o755)
        .file("usr/lib/libown.so.1", &own, 0o755)
        .file("usr/bin/user", &user, 0o755);
    place.package("user.apk", &apk.build());
    place.image("demo", "schema = 1\nformat = \"apk\"\npackages = [\"user\"]\n");
    compose(&place, "amd64").ok();
}

#[test]
fn a_library_that_passes_numbers_otherwise_is_not_the_one_that_a_program_finds() {
    let place = place!();
    let user = elf::Elf { needed: &["libown.so.1"], ..elf::Elf::default() }.build("armhf");
    let deb = DebBuilder::new("user", "1", "armhf")
        .file("usr/lib/libown.so.1", &library("libown.so.1", &[]).build("armel"), 0o644)
        .file("usr/bin/user", &user, 0o755);
    place.package("user.deb", &deb.build());
    place.image("demo", "schema = 1\nformat = \"deb\"\npackages = [\"user\"]\n");
    let failed = compose(&place, "arm/v7");
    assert!(failed.error().contains("needs libown.so.1, which is not in the image"), "{failed:?}");
}
