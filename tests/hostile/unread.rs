//! An ELF file that cannot be read, or is no program, is nothing that an image runs, and hides no machine.

use dlstore_formats::package::fixture::DebBuilder;

use dlstore_kit::{Done, Place, elf, place};

fn compose(place: &Place) -> Done {
    place.run(["compose", "demo", "--arch", "amd64", "--from", "../packages", "-v"])
}

/// A program as something else by its `e_type`.
fn of_kind(arch: &str, kind: u8) -> Vec<u8> {
    let mut bytes = elf::program(arch);
    bytes[16..18].copy_from_slice(&u16::from(kind).to_le_bytes());
    bytes
}

const OBJECT: u8 = 1;
const CORE: u8 = 4;

/// Files that no kernel runs, with what is said of each.
fn unread() -> Vec<(Vec<u8>, &'static str)> {
    let whole = elf::program("amd64");
    let cut = |end: usize| whole[..end].to_vec();
    let mut no_segments = whole.clone();
    no_segments[56..58].fill(0);
    let no_class = [&b"\x7fELF\x07"[..], &whole[5..]].concat();
    vec![
        (of_kind("amd64", OBJECT), "it is an object file"),
        (of_kind("amd64", CORE), "it is a core dump"),
        (of_kind("amd64", 9), "it is neither a program nor a library"),
        (cut(4), "it is of no known class"),
        (cut(20), "it ends inside its headers"),
        (cut(64), "it ends inside its headers"),
        (cut(whole.len() - 1), "it is truncated: a segment ends behind its end"),
        (no_class, "it is of no known class"),
        (no_segments, "it has no program headers"),
        (elf::library("amd64", "libx.so.1", &[]), "it has no entry point"),
    ]
}

#[test]
fn an_entrypoint_is_an_elf_program_that_was_read() {
    let place = place!();
    for (bytes, why) in unread() {
        let expected = format!("entrypoint /run: /run cannot be run: {why}");
        place.project_file("images/demo/run", &bytes);
        place.image(
            "demo",
            "schema = 1\nentrypoint = [\"/run\"]\nfiles.\"/run\" = { source = \"run\", mode = \"0755\" }\n",
        );
        assert_eq!(compose(&place).sentence(), expected);
        // On a base, and by a script.
        place.image("base", "schema = 1\n");
        let on_base = "entrypoint = [\"/opt/run\"]\nfiles.\"/opt/run\" = { source = \"run\", mode = \"0755\" }\n";
        place.image("demo", &format!("schema = 1\nextends = \"base\"\n{on_base}"));
        assert_eq!(compose(&place).sentence(), expected.replace("/run", "/opt/run"));
        let script = "files.\"/script\" = { content = \"#!/opt/run\\n\", mode = \"0755\" }\n";
        place.image("demo", &format!("schema = 1\n{script}{}", on_base.replace("[\"/opt/run\"]", "[\"/script\"]")));
        let expected = format!("entrypoint /script: /script needs /opt/run: /opt/run cannot be run: {why}");
        assert_eq!(compose(&place).sentence(), expected);
    }
}

#[test]
fn a_package_s_program_is_looked_at_like_an_own_one_and_in_a_store_that_knows_it() {
    for (bytes, why) in unread() {
        let place = place!();
        let deb =
            DebBuilder::new("tool", "1", "amd64").file("usr/bin/z", &bytes, 0o755).hard_link("usr/bin/a", "usr/bin/z");
        place.package("tool.deb", &deb.build());
        let definition = "schema = 1\nformat = \"deb\"\npackages = [\"tool\"]\n";
        place.image("demo", &format!("{definition}entrypoint = [\"z\"]\n"));
        for _ in 0..2 {
            assert_eq!(compose(&place).sentence(), format!("entrypoint z: /usr/bin/z cannot be run: {why}"));
            place.ok(["add", "../packages"]);
        }
        // Nothing runs it: then it is a file like any other.
        place.image("demo", definition);
        compose(&place).ok();
        place
            .image("demo", &format!("{definition}entrypoint = [\"z\"]\nwaive = [\"entrypoint -> z: comes on top\"]\n"));
        compose(&place).ok();
    }
}

#[test]
fn a_loader_is_an_elf_file_that_was_read() {
    let place = place!();
    let program = elf::Elf { interpreter: Some("/lib/ld-own.so"), ..elf::Elf::default() };
    place.project_file("images/demo/run", &program.build("amd64"));
    place.image(
        "demo",
        "schema = 1\nentrypoint = [\"/run\"]\nfiles.\"/run\" = { source = \"run\", mode = \"0755\" }\n\
         files.\"/lib/ld-own.so\" = { source = \"loader\", mode = \"0755\" }\n",
    );
    let refused = |bytes: &[u8], expected: &str| {
        place.project_file("images/demo/loader", bytes);
        let sentence = format!("/run of definition:demo needs /lib/ld-own.so, which {expected}");
        assert_eq!(compose(&place).sentence(), sentence, "it is said once");
    };
    for (bytes, why) in unread() {
        refused(&bytes, &format!("cannot be loaded: {why}"));
    }
    for bytes in [&b"#!/run\n"[..], b"text"] {
        refused(bytes, "is not an ELF file");
    }
    refused(&elf::library("amd64", "libown.so", &[]), "cannot be loaded: it has no entry point");
    // Also of a program that the image does not start, and one that is for another machine is said of itself.
    let program = |mode: &str, loader: &[u8]| {
        place.project_file("images/demo/loader", loader);
        let files = "files.\"/run\" = { source = \"run\" }\nfiles.\"/lib/ld-own.so\" = { source = \"loader\" }\n";
        place.image("demo", &format!("schema = 1\n{files}{mode}"));
        compose(&place)
    };
    let cut = &elf::program("amd64")[..64];
    let sentence = "/run of definition:demo needs /lib/ld-own.so, which cannot be loaded: it ends inside its headers";
    let failed = program("", cut);
    assert_eq!(failed.sentence(), sentence);
    let waive = "waive = [\"/run -> /lib/ld-own.so: WHY\"]";
    assert_eq!(failed.lines("hint:"), [format!("to do without it, give the reason in the definition: {waive}")]);
    program(waive, cut).ok();
    let sentence = "/lib/ld-own.so of definition:demo was built for arm64, but the image is for amd64";
    assert_eq!(program("", &elf::program("arm64")).sentence(), sentence);
    let accepted = "waive = [\"/lib/ld-own.so -> machine:arm64: firmware\"]";
    let sentence = "/run of definition:demo needs /lib/ld-own.so, which was built for arm64";
    assert_eq!(program(accepted, &elf::program("arm64")).sentence(), sentence);
    place.image(
        "demo",
        "schema = 1\nentrypoint = [\"/run\"]\nfiles.\"/run\" = { source = \"run\", mode = \"0755\" }\n\
         files.\"/lib/ld-own.so\" = { source = \"loader\", mode = \"0755\" }\n",
    );
    place.project_file("images/demo/loader", &elf::program("amd64"));
    compose(&place).ok();
}

#[test]
fn a_cut_program_does_not_hide_its_machine_and_an_object_needs_none() {
    let place = place!();
    let whole = elf::program("arm64");
    let package = |file: &str, bytes: &[u8]| {
        let deb = DebBuilder::new("tool", "1", "amd64").file(file, bytes, 0o644);
        place.package("tool.deb", &deb.build());
    };
    let image = |more: &str| {
        place.image("demo", &format!("schema = 1\nformat = \"deb\"\npackages = [\"tool\"]\n{more}"));
    };
    image("");
    for end in [20, 64, whole.len() - 1, whole.len()] {
        package("usr/lib/tool", &whole[..end]);
        let failed = compose(&place);
        let sentence = "/usr/lib/tool of deb:tool=1/amd64 was built for arm64, but the image is for amd64";
        assert_eq!(failed.sentence(), sentence, "cut at {end}");
        let hint = failed.lines("hint:").join("");
        assert!(hint.contains("waive = [\"/usr/lib/tool -> machine:arm64: WHY\"]"), "{failed:?}");
        image("waive = [\"/usr/lib/tool -> machine:arm64: firmware\"]\n");
        compose(&place).ok();
        image("");
    }
    // What says no machine, or is linked and not run, is a file like any other; a note is made of what is damaged only.
    for (file, bytes, has_note) in [
        ("usr/lib/tool", &whole[..19], true),
        ("usr/lib/tool.o", &of_kind("arm64", OBJECT), false),
        ("usr/lib/tool.o", &of_kind("arm64", OBJECT)[..40], false),
        ("usr/lib/modules/tool.ko", &of_kind("arm64", OBJECT), false),
        ("var/core", &of_kind("arm64", CORE), false),
    ] {
        package(file, bytes);
        compose(&place).ok();
        let done = place.run(["add", "../packages", "--store", "other"]).ok();
        assert_eq!(done.err.contains("the ELF file cannot be read"), has_note, "{file}: {done:?}");
    }
}

#[test]
fn a_program_of_another_machine_is_none_to_start_with_whoever_waives_the_file() {
    let place = place!();
    place.project_file("images/demo/run", &elf::program("arm64"));
    let image = |more: &str| {
        let file = "files.\"/run\" = { source = \"run\", mode = \"0755\" }\n";
        place.image("demo", &format!("schema = 1\nentrypoint = [\"/run\"]\n{file}{more}"));
    };
    image("");
    let failed = compose(&place);
    assert_eq!(failed.sentence(), "/run of definition:demo was built for arm64, but the image is for amd64");
    assert!(!failed.err.contains("entrypoint"), "it is said once: {failed:?}");
    image("waive = [\"/run -> machine:arm64: firmware\"]\n");
    assert_eq!(compose(&place).sentence(), "entrypoint /run: /run was built for arm64");
    image("waive = [\"/run -> machine:arm64: by binfmt\", \"entrypoint -> /run: by binfmt\"]\n");
    compose(&place).ok();
}

#[test]
fn a_text_that_is_an_elf_file_is_looked_at_as_one() {
    let place = place!();
    let mark = "\\u007FELF\\u0002\\u0001\\u0001\\u0000\\u0000\\u0000\\u0000\\u0000\\u0000\\u0000\\u0000\\u0000";
    let file = format!("files.\"/run\" = {{ content = \"{mark}\\u0002\\u0000\\u0003\\u0000\", mode = \"0755\" }}\n");
    place.image("demo", &format!("schema = 1\n{file}"));
    assert_eq!(
        compose(&place).sentence(),
        "/run of definition:demo was built for machine-3, but the image is for amd64"
    );
}
