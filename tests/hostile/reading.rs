//! The libraries of what an image starts are where the user of the image may read them.

use dlstore_kit::{Done, Place, elf, place};

fn compose(place: &Place) -> Done {
    place.run(["compose", "demo", "--arch", "amd64", "-o", "oci:out"])
}

/// A program with a loader, a library and the library of that.
const FILES: &str = "files.\"/run\" = { source = \"run\", mode = \"0755\" }
files.\"/lib64/ld-linux-x86-64.so.2\" = { source = \"loader\", mode = \"0711\" }
entrypoint = [\"/run\"]
";

fn prepare() -> Place {
    let place = place!();
    let loader = Some("/lib64/ld-linux-x86-64.so.2");
    let run = elf::Elf { needed: &["libone.so"], interpreter: loader, ..elf::Elf::default() };
    place.project_file("images/demo/run", &run.build("amd64"));
    place.project_file("images/demo/loader", &elf::program("amd64"));
    // The loader is there already, and nobody opens it again.
    place.project_file("images/demo/one", &elf::library("amd64", "libone.so", &["libtwo.so", "ld-linux-x86-64.so.2"]));
    place.project_file("images/demo/two", &elf::library("amd64", "libtwo.so", &[]));
    place
}

#[track_caller]
fn judge(place: &Place, lines: &str, expected: Option<&str>) -> Done {
    place.image("demo", &format!("schema = 1\nextends = \"static\"\n{FILES}{lines}\n"));
    let done = compose(place);
    match expected {
        None => assert_eq!(done.code(), Some(0), "{lines}: {done:?}"),
        Some(expected) => assert_eq!(done.sentence(), format!("entrypoint /run: {expected}"), "{lines}"),
    }
    done
}

#[test]
fn a_library_that_the_user_may_not_read_is_lacking() {
    let place = prepare();
    let of = |one: &str, two: &str| {
        format!(
            "files.\"/usr/lib/libone.so\" = {{ source = \"one\", mode = \"{one}\" }}\n\
             files.\"/usr/lib/libtwo.so\" = {{ source = \"two\", mode = \"{two}\" }}"
        )
    };
    for (one, two, expected) in [
        ("0644", "0644", None),
        ("0444", "0440\", owner = \"0:65532", None),
        ("0600", "0644", Some("/run needs libone.so: /usr/lib/libone.so cannot be read by the image's user")),
        ("0711", "0644", Some("/run needs libone.so: /usr/lib/libone.so cannot be read by the image's user")),
        (
            "0644",
            "0600",
            Some("/usr/lib/libone.so needs libtwo.so: /usr/lib/libtwo.so cannot be read by the image's user"),
        ),
    ] {
        let failed = judge(&place, &of(one, two), expected);
        // `static` has the user nonroot; root reads everything.
        judge(&place, &format!("user = \"root\"\n{}", of(one, two)), None);
        if expected.is_some() {
            let file = if one == "0644" { "two" } else { "one" };
            let hint = format!("set mode = \"0644\" in files.\"/usr/lib/lib{file}.so\"");
            assert_eq!(failed.lines("hint:"), [hint]);
        }
    }
}

#[test]
fn a_library_in_a_directory_that_the_user_may_not_enter_is_lacking_unless_there_is_another() {
    let place = prepare();
    let run = elf::Elf {
        needed: &["libone.so"],
        interpreter: Some("/lib64/ld-linux-x86-64.so.2"),
        search: Some("$ORIGIN/opt/lib"),
        ..elf::Elf::default()
    };
    place.project_file("images/demo/run", &run.build("amd64"));
    let of = |mode: &str, more: &str| {
        format!(
            "files.\"/opt/\" = {{ mode = \"{mode}\" }}\nfiles.\"/opt/lib/libone.so\" = {{ source = \"one\" }}\n\
             files.\"/usr/lib/libtwo.so\" = {{ source = \"two\" }}\n{more}"
        )
    };
    let closed = "/run needs libone.so: /opt/lib/libone.so is in a directory that the image's user cannot enter";
    judge(&place, &of("0755", ""), None);
    judge(&place, &of("0711", ""), None);
    judge(&place, &of("0700", ""), Some(closed));
    judge(&place, &of("0700", "files.\"/usr/lib/libone.so\" = { source = \"one\" }"), None);
    // The way that a link leads through counts, not where it ends.
    let link = "files.\"/priv/\" = { mode = \"0700\" }\nlinks.\"/usr/lib/libtwo.so\" = \"/priv/libtwo.so\"\n\
                links.\"/priv/libtwo.so\" = \"/srv/libtwo.so\"\nfiles.\"/srv/libtwo.so\" = { source = \"two\" }\n\
                files.\"/usr/lib/libone.so\" = { source = \"one\" }";
    let closed =
        "/usr/lib/libone.so needs libtwo.so: /usr/lib/libtwo.so is in a directory that the image's user cannot enter";
    judge(&place, link, Some(closed));
    judge(&place, &format!("user = \"root\"\n{link}"), None);
}

#[test]
fn the_way_to_the_loader_is_open_to_the_user_too() {
    let place = prepare();
    let libraries =
        "files.\"/usr/lib/libone.so\" = { source = \"one\" }\nfiles.\"/usr/lib/libtwo.so\" = { source = \"two\" }";
    let closed = "its interpreter /lib64/ld-linux-x86-64.so.2 is in a directory that the image's user cannot enter";
    judge(&place, &format!("{libraries}\nfiles.\"/lib64/\" = {{ mode = \"0700\" }}"), Some(closed));
    judge(&place, &format!("{libraries}\nfiles.\"/lib64/\" = {{ mode = \"0711\" }}"), None);
}

#[test]
fn a_library_of_a_base_is_asked_for_again_by_another_user() {
    let place = prepare();
    let libraries = "files.\"/usr/lib/libone.so\" = { source = \"one\", mode = \"0600\" }\nfiles.\"/usr/lib/libtwo.so\" = { source = \"two\" }";
    judge(&place, &format!("user = \"root\"\n{libraries}"), None);
    let definition = std::fs::read_to_string(place.project().join("images/demo/image.toml")).unwrap();
    for name in ["run", "loader", "one", "two"] {
        let bytes = std::fs::read(place.project().join("images/demo").join(name)).unwrap();
        place.project_file(&format!("images/base/{name}"), &bytes);
    }
    place.image("base", &definition);
    place.image(
        "demo",
        "schema = 1\nextends = \"base\"\nentrypoint = [\"/run\"]\nfiles.\"/opt/x\" = { content = \"\" }\n",
    );
    compose(&place).ok();
    let text = "schema = 1\nextends = \"base\"\nentrypoint = [\"/run\"]\nuser = \"nonroot\"\n";
    for more in ["", "files.\"/opt/x\" = { content = \"\" }\n"] {
        place.image("demo", &format!("{text}{more}"));
        let sentence = "entrypoint /run: /run needs libone.so: /usr/lib/libone.so cannot be read by the image's user";
        assert_eq!(compose(&place).sentence(), sentence);
    }
}

#[test]
fn a_library_by_its_path_that_is_mounted_later_is_missing_once_and_waived_once() {
    let place = prepare();
    let needed = &["/opt/x/libfoo.so"];
    let run = elf::Elf { needed, interpreter: Some("/lib64/ld-linux-x86-64.so.2"), ..elf::Elf::default() };
    place.project_file("images/demo/run", &run.build("amd64"));
    let of = |more: &str| place.image("demo", &format!("schema = 1\nextends = \"static\"\n{FILES}{more}\n"));
    of("");
    let failed = compose(&place);
    assert_eq!(failed.sentence(), "/run of definition:demo needs /opt/x/libfoo.so, which is not in the image");
    assert_eq!(failed.err.matches("is not in the image").count(), 1, "{failed:?}");
    of("waive = [\"/run -> /opt/x/libfoo.so: mounted\"]");
    compose(&place).ok();
    // One that is there has to be readable.
    let closed = "/run needs /opt/x/libfoo.so: /opt/x/libfoo.so cannot be read by the image's user";
    judge(&place, "files.\"/opt/x/libfoo.so\" = { source = \"two\", mode = \"0600\" }", Some(closed));
    judge(&place, "files.\"/opt/x/libfoo.so\" = { source = \"two\" }", None);
}

#[test]
fn a_directory_that_is_spelled_in_several_ways_is_open_when_one_of_them_is() {
    let place = prepare();
    let run = |search: &str| {
        let interpreter = Some("/lib64/ld-linux-x86-64.so.2");
        let run = elf::Elf { needed: &["libone.so"], interpreter, search: Some(search), ..elf::Elf::default() };
        place.project_file("images/demo/run", &run.build("amd64"));
    };
    let files =
        "files.\"/opt/lib/libone.so\" = { source = \"one\" }\nfiles.\"/usr/lib/libtwo.so\" = { source = \"two\" }
files.\"/a/\" = { mode = \"0700\" }\nlinks.\"/a/lib\" = \"/opt/lib\"";
    run("/a/lib:/a//./lib/.");
    let closed = "/run needs libone.so: /a/lib/libone.so is in a directory that the image's user cannot enter";
    judge(&place, files, Some(closed));
    run("/a/lib:$ORIGIN/./opt//lib/");
    judge(&place, files, None);
}
