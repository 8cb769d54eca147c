//! A program for another machine is an error when the image is made.

use dlstore_formats::package::fixture::{ApkBuilder, DebBuilder};

use dlstore_kit::{Done, Place, elf, place};

/// The architectures by OCI's, Debian's and the definition's names.
const ALL: [(&str, &str, &str); 8] = [
    ("386", "i386", "386"),
    ("amd64", "amd64", "amd64"),
    ("arm64", "arm64", "arm64"),
    ("arm/v6", "armel", "armv6"),
    ("arm/v7", "armhf", "armv7"),
    ("ppc64le", "ppc64el", "ppc64le"),
    ("riscv64", "riscv64", "riscv64"),
    ("s390x", "s390x", "s390x"),
];

fn compose(place: &Place, arch: &str) -> Done {
    place.run(["compose", "demo", "--arch", arch, "--from", "../packages", "-v"])
}

const HELLO: &str = "schema = 1\nfiles.\"/usr/bin/hello\" = { source = \"hello\", mode = \"0755\" }\n";

#[test]
fn the_readme_s_hello_composed_for_all_architectures_is_an_error_that_says_where_the_others_go() {
    let place = place!();
    place.image("demo", HELLO);
    place.project_file("images/demo/hello", &elf::program("amd64"));
    let failed = compose(&place, "all");
    assert_eq!(
        failed.sentence(),
        "/usr/bin/hello of definition:demo was built for amd64, \
         but the image is for 386, arm64, arm/v6, arm/v7, ppc64le, riscv64, s390x"
    );
    let hint =
        "use a separate file for each architecture: files.\"/usr/bin/hello\" = { source = \"build/{arch}/hello\" }";
    assert_eq!(failed.lines("hint:"), [hint]);
    assert!(!place.project().join("out").exists(), "nothing is written");
    // It fails again in a store that has made the image of the one architecture that is right.
    compose(&place, "amd64").ok();
    assert_eq!(compose(&place, "all").sentence(), failed.sentence());
    compose(&place, "amd64").ok();
}

#[test]
fn of_an_own_directory_the_line_names_the_directory() {
    let place = place!();
    place.image("demo", "schema = 1\nfiles.\"/opt/\" = { source = \"dist/\" }\n");
    place.project_file("images/demo/dist/bin/hello", &elf::program("amd64"));
    let failed = compose(&place, "arm64");
    let hint = "use a separate file for each architecture: files.\"/opt/\" = { source = \"build/{arch}/dist/\" }";
    assert_eq!(failed.lines("hint:"), [hint]);
}

#[test]
fn every_architecture_takes_its_own_programs_and_those_of_no_other() {
    let place = place!();
    for (of, debian, tag) in ALL {
        place.image("demo", &HELLO.replace("\"hello\"", "\"build/{arch}/hello\""));
        place.project_file(&format!("images/demo/build/{tag}/hello"), &elf::program(debian));
        compose(&place, of).ok();
        for (other, _, _) in ALL.iter().filter(|(other, _, _)| *other != of) {
            place.image("demo", &HELLO.replace("\"hello\"", &format!("\"build/{tag}/hello\"")));
            // What is for 32-bit ARM does not say for which of its versions.
            let alike = of.starts_with("arm/") && other.starts_with("arm/");
            assert_eq!(compose(&place, other).code(), Some(i32::from(!alike)), "{of} on {other}");
        }
    }
}

#[test]
fn the_class_of_a_file_counts_as_its_machine_does() {
    let place = place!();
    place.image("demo", HELLO);
    place.project_file("images/demo/hello", &elf::program("x32"));
    let failed = compose(&place, "amd64");
    assert_eq!(failed.sentence(), "/usr/bin/hello of definition:demo was built for x32, but the image is for amd64");
}

#[test]
fn a_package_with_files_for_another_machine_is_an_error_unless_waived() {
    let place = place!();
    let deb = DebBuilder::new("firmware", "1", "all")
        .file("usr/lib/firmware/radio", &elf::program("xtensa"), 0o644)
        .file("usr/lib/firmware/more", &elf::program("arm64"), 0o644);
    place.package("firmware.deb", &deb.build());
    let image = |more: &str| {
        place.image("demo", &format!("schema = 1\nformat = \"deb\"\npackages = [\"firmware\"]\n{more}"));
    };
    image("");
    let failed = compose(&place, "amd64");
    assert_eq!(
        failed.err.lines().filter(|line| line.contains(" was built for ")).count(),
        2,
        "all of them are named: {failed:?}"
    );
    let hint = failed.lines("hint:").join("");
    for waiver in ["/usr/lib/firmware/radio -> machine:xtensa: WHY", "/usr/lib/firmware/more -> machine:arm64: WHY"] {
        assert!(hint.contains(waiver), "{failed:?}");
    }
    // The waiver that the hint proposes is one.
    let (_, proposed) = hint.split_once("waive = ").unwrap();
    image(&format!("waive = {proposed}\n"));
    let done = compose(&place, "amd64").ok();
    assert!(done.err.contains("/usr/lib/firmware/radio -> machine:xtensa: waived (WHY)"), "{done:?}");
    // So is one for many, and by the package's name. Both have been used.
    image(
        "waive = [\"/usr/lib/firmware/** -> machine:xtensa: the radio's own\", \"firmware -> *: the radio's own\"]\n",
    );
    let done = compose(&place, "amd64").ok();
    assert_eq!(done.lines("warning:"), [""; 0]);
}

#[test]
fn a_program_for_another_system_is_one_for_another_machine() {
    let place = place!();
    for (abi, system) in [(2, "netbsd"), (6, "solaris"), (9, "freebsd"), (12, "openbsd")] {
        let mut program = elf::program("amd64");
        program[7] = abi;
        place.project_file("images/demo/hello", &program);
        let image = |more: &str| place.image("demo", &format!("{HELLO}entrypoint = [\"hello\"]\n{more}"));
        image("");
        let failed = compose(&place, "amd64");
        let sentence =
            format!("/usr/bin/hello of definition:demo was built for {system}/amd64, but the image is for amd64");
        assert_eq!(failed.sentence(), sentence, "it is said once");
        let waive = format!("\"/usr/bin/hello -> machine:{system}/amd64: WHY\"");
        let hint = format!("to do without it, give the reason in the definition: waive = [{waive}]");
        assert_eq!(failed.lines("hint:"), [hint]);
        image(&format!("waive = [{waive}]"));
        let sentence = format!("entrypoint hello: /usr/bin/hello was built for {system}/amd64");
        assert_eq!(compose(&place, "amd64").sentence(), sentence, "nobody starts it all the same");
        // What says GNU or ARM there is for Linux.
        for abi in [3, 64, 97] {
            program[7] = abi;
            place.project_file("images/demo/hello", &program);
            image("");
            compose(&place, "amd64").ok();
        }
    }
}

#[test]
fn a_package_of_one_architecture_that_holds_programs_of_another_is_named() {
    let place = place!();
    let apk = ApkBuilder::new("tool", "1-r0", "x86_64").file("usr/bin/tool", &elf::program("s390x"), 0o755);
    place.package("tool.apk", &apk.build());
    place.image("demo", "schema = 1\nformat = \"apk\"\npackages = [\"tool\"]\n");
    let failed = compose(&place, "amd64");
    assert_eq!(
        failed.sentence(),
        "/usr/bin/tool of apk:tool=1-r0/x86_64 was built for s390x, but the image is for amd64"
    );
}
