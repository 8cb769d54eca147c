//! What fails tells the next thing to do, once, on stderr; those that a child process can be brought to.
//!
//! The rest stands beside the list of errors: `src/cli/failure.rs`.

use crate::harness::{Place, packages};

#[test]
fn an_error_that_has_a_hint_shows_it_on_stderr_once() {
    let place = Place::new();
    let (hello, other) = (packages::deb("hello", 1, "amd64"), packages::deb("other", 1, "amd64"));
    place.package("a/hello.deb", &hello.clone().file("etc/same", b"a", 0o644).build());
    place.package("a/other.deb", &other.file("etc/same", b"b", 0o644).build());
    place.package("b/hello.deb", &hello.clone().file("etc/more", b"c", 0o644).build());
    place.package("c/hello.deb", &hello.file("usr/bin/su", b"su", 0o4755).build());
    place.project_file("notes.txt", b"not a package");
    place.project_file("occupied/index.json", b"not json");
    place.image("one", "schema = 1\nformat = \"deb\"\npackages = [\"hello\"]\n");
    place.image("two", "schema = 1\nformat = \"deb\"\npackages = [\"hello\", \"other\"]\n");
    for (arguments, code, hint) in [
        (&["compose", "one", "--arch", "amd64"][..], 1, "--from PATH"),
        (&["compose", "one", "--arch", "amd64", "--from", "store"], 1, "dlstore add hello_*_amd64.deb"),
        (&["compose", "one", "--arch", "arm64", "--from", "../packages"], 1, "add hello for arm64 to the directories"),
        (&["compose", "one", "--arch", "amd64", "--from", "../packages"], 1, "packages = [\"hello@sha256:"),
        (&["compose", "two", "--arch", "amd64", "--from", "../packages/a"], 1, "overrides = [\"/etc/same\"]"),
        (&["compose", "one", "--arch", "amd64", "--from", "../packages/c"], 1, "privileged = [\"/usr/bin/su\"]"),
        (&["add", "notes.txt"], 1, "dlstore add --help"),
        (&["compose", "static", "--arch", "amd64", "-o", "oci:occupied"], 1, "choose another folder"),
        (&["compose", "static", "-o", "bare"], 2, "-o oci:bare"),
        (&["compose", "static", "-o", "image.tar"], 2, "-o oci-archive:image.tar, or docker-archive:image.tar"),
        (&["compose", "static", "-o", "ocy:out"], 2, "-o oci:out"),
        (&["compose", "static", "-o", "docker://a/b"], 2, "oci:DIR:TAG"),
        (&["compose", "static", "-o", "oci:"], 2, "-o oci:out/image"),
        (&["compose", "static", "one", "-o", "oci-archive:x.tar"], 2, "-o oci:DIR"),
    ] {
        let done = place.run(arguments);
        assert_eq!((done.code(), done.out.as_str()), (Some(code), ""), "{arguments:?}: {done:?}");
        let hints = done.lines("hint:");
        assert!(matches!(hints.as_slice(), [found] if found.contains(hint)), "{arguments:?}: {done:?}");
    }
}
