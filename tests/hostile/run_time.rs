//! What would be missing at run time is an error when the image is made.

use std::process::Command;

use dlstore_formats::archive::decompress::Compression;
use dlstore_formats::package::fixture::DebBuilder;

use dlstore_kit::{Done, Place, place};

fn compose(place: &Place) -> Done {
    place.run(["compose", "demo", "--arch", "amd64", "--from", "../packages", "-v"])
}

/// Programs that a C compiler makes: one that needs `libown.so.1`, and that library.
fn programs(place: &Place) -> Option<(Vec<u8>, Vec<u8>)> {
    if !cfg!(target_arch = "x86_64") {
        println!("not amd64: programs are not made");
        return None;
    }
    let directory = place.path().join("c");
    std::fs::create_dir(&directory).unwrap();
    std::fs::write(directory.join("own.c"), "int own(void) { return 42; }\n").unwrap();
    std::fs::write(directory.join("main.c"), "int own(void);\nint main(void) { return own() != 42; }\n").unwrap();
    let cc = |arguments: &[&str]| {
        let status = Command::new("cc").args(arguments).current_dir(&directory).status();
        assert!(status.is_ok_and(|status| status.success()), "a C compiler is needed");
    };
    cc(&["-shared", "-nostdlib", "-Wl,-soname,libown.so.1", "-o", "libown.so.1", "own.c"]);
    cc(&["-o", "main", "main.c", "./libown.so.1"]);
    Some((std::fs::read(directory.join("main")).unwrap(), std::fs::read(directory.join("libown.so.1")).unwrap()))
}

#[test]
fn a_missing_library_is_an_error_that_names_file_library_and_package() {
    let place = place!();
    let Some((main, library)) = programs(&place) else { return };
    let deb = |name: &str| DebBuilder::new(name, "1.0", "amd64").compression(Compression::Gzip);
    place.package("main.deb", &deb("main").file("usr/bin/main", &main, 0o755).build());
    let own = deb("libown1").file("usr/lib/x86_64-linux-gnu/libown.so.1", &library, 0o644).build();
    place.package("libown1.deb", &own);
    let image = |packages: &str, more: &str| {
        place.image("demo", &format!("schema = 1\nformat = \"deb\"\npackages = [{packages}]\n{more}\n"));
    };
    image("\"main\"", "");
    let failed = compose(&place);
    assert_eq!(failed.code(), Some(1));
    for words in ["/usr/bin/main of deb:main", "libown.so.1", "libc.so.6", "/lib64/ld-linux-x86-64.so.2"] {
        assert!(failed.err.contains(words), "{words}: {failed:?}");
    }
    // In the store, the package that has it is named.
    place.ok(["add", "../packages"]);
    image(
        "\"main\"",
        "waive = [\"/usr/bin/main -> libc.so.6: a test\", \"/usr/bin/main -> /lib64/ld-linux-x86-64.so.2: a test\"]",
    );
    let failed = compose(&place);
    assert!(failed.error().contains("(package libown1 provides it)"), "{failed:?}");
    assert!(failed.lines("hint:")[0].contains("libown1"), "{failed:?}");
    let waivers =
        "waive = [\"/usr/bin/main -> libc.so.6: a test\", \"/usr/bin/main -> /lib64/ld-linux-x86-64.so.2: a test\"";
    image("\"main\", \"libown1\"", &format!("{waivers}]"));
    let done = compose(&place).ok();
    assert!(done.err.contains("waived (a test)"), "{done:?}");
    image("\"main\"", &format!("{waivers}, \"main -> libown.so.1: comes by a volume\"]"));
    compose(&place).ok();
}

#[test]
fn a_dangling_link_is_an_error_unless_waived() {
    let place = place!();
    let deb = DebBuilder::new("links", "1.0", "amd64").symlink("usr/bin/editor", "nowhere").file("etc/x", b"", 0o644);
    place.package("links.deb", &deb.build());
    place.image("demo", "schema = 1\nformat = \"deb\"\npackages = [\"links\"]\n");
    let failed = compose(&place);
    assert!(failed.error().contains("/usr/bin/editor of deb:links"), "{failed:?}");
    place.image(
        "demo",
        "schema = 1\nformat = \"deb\"\npackages = [\"links\"]\nwaive = [\"/usr/bin/editor -> nowhere: on purpose\"]\n",
    );
    compose(&place).ok();
}

#[test]
fn at_most_twenty_gaps_are_explained_and_the_rest_counted() {
    let place = place!();
    let deb = (0..5000).fold(DebBuilder::new("links", "1.0", "amd64"), |deb, at| {
        deb.symlink(&format!("usr/share/links/{at:04}"), "nowhere")
    });
    place.package("links.deb", &deb.build());
    let image = |more: &str| {
        place.image("demo", &format!("schema = 1\nformat = \"deb\"\npackages = [\"links\"]\n{more}"));
    };
    image("");
    let failed = compose(&place);
    assert_eq!(failed.err.lines().filter(|line| line.contains("needs nowhere")).count(), 20, "{failed:?}");
    assert!(failed.err.contains("\nand 4,980 more\n"), "{failed:?}");
    // What is waived is noted in the same measure.
    image("waive = [\"links -> nowhere: on purpose\"]\n");
    let done = compose(&place).ok();
    assert_eq!(done.err.matches("waived (on purpose)").count(), 20, "{done:?}");
    assert!(done.err.contains("and 4,980 more are waived\n"), "{done:?}");
}

#[test]
fn of_many_bad_packages_twenty_are_noted_and_the_rest_counted() {
    let place = place!();
    for at in 0..1234 {
        place.package(&format!("bad-{at}.deb"), b"no package");
    }
    place.image("demo", "schema = 1\n");
    let done = compose(&place).ok();
    let notes = done.lines("note:");
    assert_eq!(notes.iter().filter(|note| note.contains(" is skipped: ")).count(), 20, "{done:?}");
    assert_eq!(notes.last(), Some(&"and 1,214 more are skipped"));
}

#[test]
fn a_loader_configuration_that_names_too_many_directories_is_an_error_that_says_so() {
    let place = place!();
    let directories = (0..65).map(|at| format!("/opt/{at}\n")).collect::<Vec<_>>().concat();
    let deb = DebBuilder::new("libc-bin", "1.0", "amd64").file("etc/ld.so.conf", directories.as_bytes(), 0o644);
    place.package("conf.deb", &deb.build());
    place.image("demo", "schema = 1\nformat = \"deb\"\npackages = [\"libc-bin\"]\n");
    let failed = compose(&place);
    assert_eq!(failed.error(), "fix-up ld-so-cache");
    let cause = "/etc/ld.so.conf and what it includes name more than 64 directories";
    assert_eq!(failed.lines("cause:"), [cause]);
}

#[test]
fn loops_of_links_end() {
    let place = place!();
    let deb = DebBuilder::new("links", "1.0", "amd64").symlink("a", "b").symlink("b", "a").symlink("self", "self/self");
    place.package("links.deb", &deb.build());
    place.image("demo", "schema = 1\nformat = \"deb\"\npackages = [\"links\"]\n");
    assert_eq!(compose(&place).code(), Some(1));
}
