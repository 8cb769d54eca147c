//! An error that shows only when an image is composed names the file, the line and the key of the definition that says what
//! is wrong, as the errors of reading it do.

use dlstore_formats::archive::decompress::Compression;
use dlstore_formats::package::fixture::{ApkBuilder, DebBuilder};

use dlstore_kit::{Done, Place, elf, place};

const HEAD: &str = "schema = 1\nextends = \"base\"\n";

/// A project whose image `demo` extends `base`.
fn project(base: &str, demo: &str) -> Place {
    let place = place!();
    place.image("base", &format!("schema = 1\n\n{base}"));
    place.image("demo", &format!("{HEAD}{demo}"));
    place.project_file("images/demo/arm64", &elf::program("arm64"));
    place.project_file(
        "images/demo/lib/alone",
        &elf::Elf { needed: &["libaa.so.1"], ..elf::Elf::default() }.build("amd64"),
    );
    place.project_file("images/demo/text.pem", b"no certificate");
    place.project_file("images/base/text.pem", b"no certificate");
    let deb = |name: &str| DebBuilder::new(name, "1:0.5+b1", "amd64").compression(Compression::Gzip);
    let package = deb("aa").file("usr/share/aa", b"aa", 0o644).file("etc/passwd", b"root:x:0\n", 0o644);
    place.package("aa.deb", &package.build());
    place.package("arm.deb", &deb("only-arm").build());
    let apk = ApkBuilder::new("aa", "1-r0", "x86_64").file("etc/passwd", b"app:x:7:7::/:/x\n", 0o644);
    place.package("aa.apk", &apk.build());
    place
}

fn compose(place: &Place, flags: &[&str]) -> Done {
    let command = ["compose", "demo", "--arch", "amd64", "--from", "../packages"];
    place.run(command.iter().chain(flags))
}

/// What is wrong: what `base` says from its line 3 on, what `demo` does, and how the error begins.
const CASES: [(&str, &str, &str); 24] = [
    // Files of the host.
    ("", "files.\"/x\" = { source = \"absent\" }", "images/demo/image.toml:3: files.\"/x\".source: "),
    ("", "[files.\"/x/\"]\nmode = \"0755\"\nsource = \"absent\"", "images/demo/image.toml:5: files.\"/x/\".source: "),
    ("files.\"/x\" = { source = \"absent\" }", "", "images/base/image.toml:3: files.\"/x\".source: "),
    ("", "files.\"/x\" = { source = \".\" }", "images/demo/image.toml:3: files.\"/x\".source: "),
    ("", "certificates = [\n  \"absent.pem\",\n]", "images/demo/image.toml:4: certificates \"absent.pem\": "),
    (
        "certificates = [\"text.pem\"]",
        "",
        "images/base/image.toml:3: certificates \"text.pem\": it contains no certificate",
    ),
    // Accounts that only a package could bring.
    (
        "format = \"apk\"",
        "files.\"/x\" = { content = \"\", owner = \"who\" }",
        "images/demo/image.toml:3: files.\"/x\".owner: \"who\" is not an account",
    ),
    ("format = \"apk\"", "user = \"who\"", "images/demo/image.toml:3: user: \"who\" is neither an account"),
    ("format = \"apk\"\nuser = \"who\"", "", "images/base/image.toml:4: user: \"who\" is neither an account"),
    (
        "format = \"apk\"\npackages = [\"aa\"]\naccounts-from = \"aa\"\noverrides = [\"/etc/passwd\"]",
        "accounts = [{ name = \"app\", uid = 1 }]",
        "images/demo/image.toml:3: accounts \"app\": app already has the number 7 in /etc/passwd",
    ),
    (
        "format = \"deb\"\npackages = [\"aa\"]\naccounts-from = \"aa\"\noverrides = [\"/etc/passwd\"]",
        "",
        "images/base/image.toml:5: accounts-from: line 1 of /etc/passwd ",
    ),
    // What is run.
    ("", "entrypoint = [\"/app\"]", "images/demo/image.toml:3: entrypoint /app: "),
    ("entrypoint = [\"/app\"]", "cmd = [\"x\"]", "images/base/image.toml:3: entrypoint /app: "),
    ("", "cmd = [\"app\"]", "images/demo/image.toml:3: cmd app: "),
    ("workdir = \"/srv\"", "", "images/base/image.toml:3: workdir /srv: "),
    ("volumes = [\"/a\"]\nfiles.\"/a/\" = {}", "volumes = [\n\"/b\"\n]", "images/demo/image.toml:4: volumes /b: "),
    // What files of its own are, and where.
    (
        "",
        "files.\"/run\" = { source = \"arm64\", mode = \"0755\" }",
        "/run of definition:demo (images/demo/image.toml:3: files.\"/run\") was built for arm64",
    ),
    (
        "",
        "files.\"/lib/\" = { source = \"lib/\" }",
        "/lib/alone of definition:demo (images/demo/image.toml:3: files.\"/lib/\") needs libaa.so.1",
    ),
    ("", "links.\"/a\" = \"b\"", "/a of definition:demo (images/demo/image.toml:3: links.\"/a\") needs b, which"),
    (
        "files.\"/x\" = { content = \"\" }",
        "files.\"/x/y\" = { content = \"\" }",
        "/x/y of definition:demo (images/demo/image.toml:3: files.\"/x/y\") is below /x, which is not a directory in \
         definition:base (images/base/image.toml:3: files.\"/x\")",
    ),
    (
        "files.\"/etc/group\" = { content = \"\" }",
        "",
        "/etc/group is in both definition:base (images/base/image.toml:3: files.\"/etc/group\") and fixup:accounts",
    ),
    (
        "",
        "files.\"/x\" = { content = \"\", mode = \"4755\" }",
        "/x of definition:demo (images/demo/image.toml:3: files.\"/x\") is setuid",
    ),
    // Packages.
    (
        "format = \"deb\"\npackages = [\"aa\"]",
        "packages = [\"bb\"]",
        "no deb package bb for amd64 (demo, images/demo/image.toml:3)",
    ),
    (
        "format = \"deb\"",
        "packages = [\"aa\"]\narch.amd64.packages = [\n  \"aa=2\",\n]",
        "no deb package aa 2 for amd64 (demo, images/demo/image.toml:5)",
    ),
];

#[test]
fn an_error_of_composing_names_file_line_and_key() {
    for (base, demo, expected) in CASES {
        let place = project(base, demo);
        let done = compose(&place, &[]);
        assert_eq!(done.code(), Some(1), "{base}\n{demo}: {done:?}");
        let error = done.err.lines().next().unwrap().strip_prefix("error: ").unwrap();
        assert!(error.starts_with(expected), "{base}\n{demo}:\n{error}\n{expected}\n{done:?}");
    }
}

#[test]
fn a_flavor_is_named_where_it_says_the_key_and_its_base_where_that_does() {
    let place = project("", "");
    let text = "schema = 1\nworkdir = \"/a\"\nvolumes = [\"/c\"]\n[flavors.one]\n[flavors.two]\nworkdir = \"/b\"\n";
    place.image("demo", text);
    let of = |flavor: &str| place.run(["compose", flavor, "--arch", "amd64"]);
    for (flavor, lines) in [
        ("demo:one", ["images/demo/image.toml:2: workdir /a: ", "images/demo/image.toml:3: volumes /c: "]),
        ("demo:two", ["images/demo/image.toml:6: workdir /b: ", "images/demo/image.toml:3: volumes /c: "]),
    ] {
        let done = of(flavor);
        for line in lines {
            assert!(done.err.contains(line), "{flavor}: {line}: {done:?}");
        }
    }
}

#[test]
fn a_package_of_a_built_in_image_is_named_with_the_built_in_definition() {
    let done = place!().run(["compose", "static:debian", "--arch", "amd64", "--from", "../packages"]);
    assert!(done.error().contains("(static:debian, built-in images/static/image.toml:"), "{done:?}");
}

#[test]
fn a_variable_of_the_command_line_is_named_by_its_flag_and_one_of_a_definition_by_its_line() {
    let many: Vec<String> = (0..300).map(|number| format!("/{number}")).collect();
    let many = many.join(":");
    let sentence = "LD_LIBRARY_PATH has 300 directories; at most 256 are searched";
    let place = project(&format!("env.LD_LIBRARY_PATH = \"{many}\""), "");
    let of_definition = format!("images/base/image.toml:3: env.LD_LIBRARY_PATH: {sentence}");
    assert_eq!(compose(&place, &[]).error(), of_definition);
    let place = project("", "");
    let flag = format!("LD_LIBRARY_PATH={many}");
    assert_eq!(compose(&place, &["-e", &flag]).error(), format!("--env LD_LIBRARY_PATH: {sentence}"));
    // What is no pair at all is said by the flag as well.
    for (flag, value) in [("--label", "-=x"), ("--annotation", "x"), ("-e", "=x"), ("-t", "A:b")] {
        let done = compose(&place, &[&format!("{flag}={value}")]);
        let long = match flag {
            "-e" => "--env",
            "-t" => "--tag",
            long => long,
        };
        assert_eq!(done.code(), Some(2), "{done:?}");
        assert!(done.err.contains(long), "{flag}: {done:?}");
    }
}

#[test]
fn a_tag_that_comes_to_nothing_names_its_line() {
    let place =
        project("format = \"deb\"\narch.arm64.packages = [\"only-arm\"]", "tags = [\n\"{version:only-arm}\"\n]");
    let expected = "images/demo/image.toml:4: tags \"{version:only-arm}\": the image has no package `only-arm`";
    assert_eq!(compose(&place, &[]).error(), expected);
    // Of another flavor the tag is longer than the definition says it.
    let flavors = "schema = 1\nformat = \"deb\"\narch.arm64.packages = [\"only-arm\"]\n\
                   tags = [\"{version:only-arm}\"]\n[flavors.one]\n[flavors.two]\n";
    place.image("demo", flavors);
    let done = place.run(["compose", "demo:two", "--arch", "amd64", "--from", "../packages"]);
    let expected = "images/demo/image.toml:4: tags \"{version:only-arm}\": the image has no package `only-arm`";
    assert_eq!(done.error(), expected);
}

#[test]
fn a_repository_that_no_registry_takes_and_a_circle_are_found_when_the_definition_is_read() {
    for name in ["ghcr.io/acme/a..b", "ghcr.io/acme/a___b"] {
        let place = project("", &format!("repository = \"{name}\""));
        assert!(
            compose(&place, &[]).error().starts_with("images/demo/image.toml:3:14: a repository must be"),
            "{name}"
        );
    }
    let place = project("", "");
    place.image("base", "schema = 1\n\nextends = \"demo\"\n");
    let done = compose(&place, &[]);
    assert_eq!(done.error(), "images/base/image.toml:3:11: cannot extend `demo`");
    assert_eq!(done.lines("cause:"), ["a definition cannot extend itself: demo -> base -> demo"]);
}
