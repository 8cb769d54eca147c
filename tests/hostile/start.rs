//! What an image runs is there, and its user may run it.

use dlstore_formats::archive::decompress::Compression;
use dlstore_formats::package::fixture::DebBuilder;

use dlstore_kit::{Done, Place, elf, place};

fn compose(place: &Place) -> Done {
    place.run(["compose", "demo", "--arch", "amd64", "--from", "../packages", "-v"])
}

fn image(place: &Place, text: &str) {
    place.image("demo", &format!("schema = 1\n{text}\n"));
}

/// Composes what is good, and what is bad with the sentence that it must give.
#[track_caller]
fn judge(place: &Place, text: &str, expected: Option<&str>) {
    image(place, text);
    let done = compose(place);
    match expected {
        None => drop(done.ok()),
        Some(sentence) => assert_eq!(done.sentence(), sentence, "{text}\n{done:?}"),
    }
}

const PROGRAM: &str = "files.\"/opt/app/run\" = { source = \"run\", mode = \"0755\" }\n";

#[test]
fn the_first_word_is_found_by_the_path_of_the_image() {
    let place = place!();
    place.project_file("images/demo/run", &elf::program("amd64"));
    let says = |more: &str| format!("{PROGRAM}{more}");
    for (more, expected) in [
        ("entrypoint = [\"/opt/app/run\", \"--flag\"]", None),
        ("cmd = [\"/opt/app/run\"]", None),
        ("entrypoint = [\"/opt/app/run\"]\ncmd = [\"no program\"]", None),
        ("entrypoint = [\"run\"]\nenv.PATH = \"/usr/bin:/opt/app\"", None),
        ("entrypoint = [\"run\"]\nlinks.\"/usr/bin/run\" = \"../../opt/app/run\"", None),
        ("entrypoint = [\"./run\"]\nworkdir = \"/opt/app\"", None),
        (
            "entrypoint = [\"run\"]",
            Some(
                "entrypoint run: not found in PATH \
                 /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            ),
        ),
        ("cmd = [\"/opt/app/rum\"]", Some("cmd /opt/app/rum: /opt/app/rum is not in the image")),
        ("entrypoint = [\"/opt/app\"]", Some("entrypoint /opt/app: /opt/app is a directory")),
        ("entrypoint = [\"app\"]\nenv.PATH = \"/opt\"", Some("entrypoint app: /opt/app is a directory")),
    ] {
        judge(&place, &says(more), expected);
    }
}

#[test]
fn what_is_started_must_be_executable_by_the_user() {
    let place = place!();
    place.project_file("images/demo/run", &elf::program("amd64"));
    let refused = "entrypoint /opt/app/run: /opt/app/run cannot be executed by the image's user";
    let closed = "entrypoint /opt/app/run: /opt/app/run is in a directory that the image's user cannot enter";
    for (mode, more, expected) in [
        ("0644", "", Some(refused)),
        ("0700", "", None),
        ("0700", "user = \"nonroot\"\n", Some(refused)),
        ("0755", "user = \"nonroot\"\n", None),
        ("0700\", owner = \"nonroot", "user = \"nonroot\"\n", None),
        ("0750\", owner = \"0:65532", "user = \"nonroot\"\n", None),
        ("0755", "user = \"nonroot\"\nfiles.\"/opt/app/\" = { mode = \"0700\" }\n", Some(closed)),
        ("0755", "files.\"/opt/app/\" = { mode = \"0700\" }\n", None),
    ] {
        let program = PROGRAM.replace("0755", mode);
        judge(&place, &format!("entrypoint = [\"/opt/app/run\"]\n{more}{program}"), expected);
    }
}

#[test]
fn a_script_s_interpreter_is_there_and_executable() {
    let place = place!();
    place.project_file("images/demo/run", &elf::program("amd64"));
    let script = |line: &str, more: &str| {
        format!(
            "entrypoint = [\"/run.sh\"]\nfiles.\"/run.sh\" = {{ content = \"{line}\\n\", mode = \"0755\" }}\n{PROGRAM}{more}"
        )
    };
    let env = "files.\"/usr/bin/env\" = { source = \"run\", mode = \"0755\" }\nenv.PATH = \"/opt/app\"\n";
    for (line, more, expected) in [
        ("#!/opt/app/run -x", "", None),
        ("#! /opt/app/run", "", None),
        ("#!/bin/sh", "", Some("entrypoint /run.sh: /run.sh needs /bin/sh: /bin/sh is not in the image")),
        ("#!", "", Some("entrypoint /run.sh: /run.sh has no interpreter after #!")),
        ("echo", "", Some("entrypoint /run.sh: /run.sh is neither an ELF program nor a script starting with #!")),
        ("#!/run.sh", "", Some("has more than 5 nested interpreters")),
        ("#!/usr/bin/env run", env, None),
        ("#!/usr/bin/env -S A=1 run -x", env, None),
        ("#!/usr/bin/env python3", env, Some("entrypoint /run.sh: /run.sh needs python3: not found in PATH /opt/app")),
    ] {
        let text = script(line, more);
        if line == "#!/run.sh" {
            image(&place, &text);
            assert!(compose(&place).sentence().ends_with(expected.unwrap()), "{line}");
        } else {
            judge(&place, &text, expected);
        }
    }
    let not = "files.\"/opt/sh\" = { content = \"#!/opt/app/run\\n\" }\n";
    let sentence = "entrypoint /run.sh: /run.sh needs /opt/sh: /opt/sh cannot be executed by the image's user";
    judge(&place, &script("#!/opt/sh", not), Some(sentence));
}

#[test]
fn a_script_of_a_package_is_looked_at_like_an_own_one() {
    let place = place!();
    let deb = DebBuilder::new("tool", "1", "amd64")
        .compression(Compression::Gzip)
        .file("usr/bin/tool", b"#!/usr/bin/python3\nprint()\n", 0o755)
        .hard_link("usr/bin/a-tool", "usr/bin/tool")
        .file("usr/bin/text", b"text", 0o755);
    place.package("tool.deb", &deb.build());
    for (word, expected) in [
        ("tool", "needs /usr/bin/python3: /usr/bin/python3 is not in the image"),
        ("a-tool", "needs /usr/bin/python3: /usr/bin/python3 is not in the image"),
        ("text", "/usr/bin/text is neither an ELF program nor a script starting with #!"),
    ] {
        image(&place, &format!("format = \"deb\"\npackages = [\"tool\"]\nentrypoint = [\"{word}\"]"));
        // The same in a store that knows the package already.
        for _ in 0..2 {
            let error = compose(&place).sentence();
            assert!(error.starts_with(&format!("entrypoint {word}: ")) && error.ends_with(expected), "{error}");
        }
        place.ok(["add", "../packages"]);
    }
}

#[test]
fn an_elf_interpreter_must_be_executable_too() {
    let place = place!();
    let elf = elf::Elf { interpreter: Some("/lib/ld-own.so"), ..elf::Elf::default() };
    place.project_file("images/demo/run", &elf.build("amd64"));
    place.project_file("images/demo/loader", &elf::program("amd64"));
    let text = |mode| {
        format!(
            "entrypoint = [\"/opt/app/run\"]\n{PROGRAM}files.\"/lib/ld-own.so\" = {{ source = \"loader\", mode = \"{mode}\" }}\n"
        )
    };
    judge(&place, &text("0755"), None);
    let sentence = "entrypoint /opt/app/run: its interpreter /lib/ld-own.so cannot be executed by the image's user";
    judge(&place, &text("0644"), Some(sentence));
}

#[test]
fn a_workdir_other_than_the_root_exists() {
    let place = place!();
    for (text, expected) in [
        ("workdir = \"/\"", None),
        ("workdir = \"/srv\"\nfiles.\"/srv/\" = {}", None),
        ("workdir = \"/srv\"\nfiles.\"/srv/data/x\" = { content = \"\" }", None),
        ("workdir = \"/data\"\nlinks.\"/data\" = \"srv\"\nfiles.\"/srv/\" = {}", None),
        ("workdir = \"/srv\"", Some("workdir /srv: it is not in the image")),
        ("workdir = \"/srv\"\nfiles.\"/srv/\" = { mode = \"0700\" }", None),
        (
            "workdir = \"/srv\"\nuser = \"nonroot\"\nfiles.\"/srv/\" = { mode = \"0700\" }",
            Some("workdir /srv: nonroot cannot enter it"),
        ),
        (
            "workdir = \"/srv/a\"\nuser = \"nonroot\"\nfiles.\"/srv/\" = { mode = \"0700\" }\nfiles.\"/srv/a/\" = {}",
            Some("workdir /srv/a: it is in a directory that nonroot cannot enter"),
        ),
        ("workdir = \"/srv\"\nfiles.\"/srv\" = { content = \"\" }", Some("workdir /srv: it is not a directory")),
    ] {
        judge(&place, text, expected);
    }
    // On a base it is the same.
    place.image("base", "schema = 1\n");
    for (mode, is_good) in [("0755", true), ("0700", false)] {
        let text = format!("workdir = \"/srv\"\nuser = \"nonroot\"\nfiles.\"/srv/\" = {{ mode = \"{mode}\" }}");
        place.image("demo", &format!("schema = 1\nextends = \"base\"\n{text}\n"));
        assert_eq!(compose(&place).code() == Some(0), is_good, "{mode}");
    }
    image(&place, "workdir = \"/srv\"");
    let failed = compose(&place);
    assert_eq!(failed.lines("hint:"), ["files.\"/srv/\" = {}"]);
    image(&place, &format!("workdir = \"/srv\"\n{}", failed.lines("hint:")[0]));
    compose(&place).ok();
}

#[test]
fn a_volume_is_there_and_its_user_may_write_to_it() {
    let place = place!();
    let of = |more: &str| format!("volumes = [\"/data\"]\nuser = \"nonroot\"\n{more}");
    for (text, expected) in [
        (of(""), Some("volumes /data: it is not in the image")),
        (of("files.\"/data/\" = {}"), Some("volumes /data: nonroot cannot write to it")),
        (
            of("files.\"/data/\" = { owner = \"nonroot\", mode = \"0500\" }"),
            Some("volumes /data: nonroot cannot write to it"),
        ),
        (
            "volumes = [\"/srv/data\"]\nuser = \"nonroot\"\nfiles.\"/srv/\" = { mode = \"0700\" }\n\
             files.\"/srv/data/\" = { owner = \"nonroot\" }"
                .to_owned(),
            Some("volumes /srv/data: it is in a directory that nonroot cannot enter"),
        ),
        (of("files.\"/data/\" = { owner = \"nonroot\" }"), None),
        (of("files.\"/data/\" = { mode = \"1777\" }"), None),
        ("volumes = [\"/data\"]\nfiles.\"/data/\" = {}".to_owned(), None),
    ] {
        judge(&place, &text, expected);
    }
    // What the hint says makes it.
    image(&place, &of(""));
    let failed = compose(&place);
    let hint = failed.lines("hint:")[0].to_owned();
    assert_eq!(hint, "files.\"/data/\" = { owner = \"nonroot\", mode = \"0750\" }");
    judge(&place, &of(&hint), None);
}

#[test]
fn the_line_for_a_volume_composes_wherever_that_is() {
    let place = place!();
    let of = |volume: &str, more: &str| {
        format!("extends = \"static\"\nvolumes = [\"{volume}\"]\nuser = \"nonroot\"\n{more}\n")
    };
    let mine = "{ owner = \"nonroot\", mode = \"0750\" }";
    // Through a link, below a link of the base, through a link and a directory that is not there.
    for (volume, more, line) in [
        ("/data", "links.\"/data\" = \"home\"", format!("files.\"/home/\" = {mine}")),
        ("/bin/x", "", format!("files.\"/usr/bin/x/\" = {mine}")),
        ("/a/b/c", "links.\"/a\" = \"/usr/../srv\"\nfiles.\"/srv/x\" = {}", format!("files.\"/srv/b/c/\" = {mine}")),
        ("/new/data", "", format!("files.\"/new/data/\" = {mine}")),
        ("/usr", "", format!("files.\"/usr/\" = {mine}")),
    ] {
        let more = more.replace("= {}", "= { content = \"\" }");
        image(&place, &of(volume, &more));
        let failed = compose(&place);
        assert_eq!(failed.lines("hint:"), std::slice::from_ref(&line), "{volume}");
        judge(&place, &of(volume, &format!("{more}\n{line}")), None);
    }
    // What the definition lists already is completed there.
    for (volume, more, key) in [
        ("/data", "files.\"/data/\" = { }", "files.\"/data/\""),
        ("/data", "links.\"/data\" = \"srv\"\nfiles.\"/srv/\" = { }", "files.\"/srv/\""),
    ] {
        image(&place, &of(volume, more));
        let words = "owner = \"nonroot\", mode = \"0750\"";
        assert_eq!(compose(&place).lines("hint:"), [format!("set {words} in {key}")]);
        judge(&place, &of(volume, &more.replace("{ }", &format!("{{ {words} }}"))), None);
    }
    // Where no directory can be, or its user does not get to it, nothing is to be written but a waiver.
    for (volume, more) in [
        ("/f/x", "files.\"/f\" = { content = \"\" }"),
        ("/f", "files.\"/f\" = { content = \"\" }"),
        ("/p/x", "files.\"/p/\" = { mode = \"0700\" }"),
        ("/l/x", "links.\"/l\" = \"/p/y\"\nfiles.\"/p/\" = { mode = \"0700\" }\nfiles.\"/p/y/\" = {}"),
    ] {
        image(&place, &of(volume, more));
        let waive = format!("waive = [\"volumes -> {volume}: WHY\"]");
        let hint = format!("to do without it, give the reason in the definition: {waive}");
        assert_eq!(compose(&place).lines("hint:"), [hint]);
        judge(&place, &of(volume, &format!("{more}\n{waive}")), None);
    }
    // Two that are listed are completed each.
    let listed = "files.\"/a/\" = {}\nfiles.\"/b/\" = {}";
    image(&place, &of("/a\", \"/b", listed));
    let failed = compose(&place);
    for key in ["files.\"/a/\"\n", "files.\"/b/\"\n"] {
        assert!(failed.err.contains(&format!(" in {key}")), "{failed:?}");
    }
}

#[test]
fn a_user_is_an_account_or_a_number() {
    let place = place!();
    for user in ["nonroot", "1000", "1000:1000", "app:staff"] {
        judge(&place, &format!("user = \"{user}\"\naccounts = [{{ name = \"app\", uid = 1000 }}]"), None);
    }
    image(&place, "user = \"somebody\"");
    assert_eq!(compose(&place).code(), Some(1));
}

#[test]
fn all_that_is_wrong_with_how_an_image_runs_is_one_error_and_can_be_waived() {
    let place = place!();
    let text = "entrypoint = [\"/app\"]\nworkdir = \"/srv\"\nvolumes = [\"/data\"]\n";
    image(&place, text);
    let failed = compose(&place);
    for sentence in ["entrypoint /app: ", "workdir /srv: ", "volumes /data: "] {
        assert!(failed.err.contains(sentence), "{failed:?}");
    }
    let waivers = "waive = [\"entrypoint -> /app: comes on top\", \"workdir -> /srv: comes on top\", \"volumes -> /data: mounted\"]";
    image(&place, &format!("{text}{waivers}"));
    let done = compose(&place).ok();
    assert!(done.err.contains("entrypoint -> /app: waived (comes on top)"), "{done:?}");
    // A root that is known does not hide what another configuration lacks.
    image(&place, "");
    compose(&place).ok();
    image(&place, text);
    assert_eq!(compose(&place).code(), Some(1));
}

#[test]
fn an_own_file_that_may_not_be_executed_is_given_the_mode_by_the_hint() {
    let place = place!();
    place.project_file("images/demo/run", &elf::program("amd64"));
    let of = |mode: &str| format!("files.\"/usr/bin/run\" = {{ source = \"run\"{mode} }}\nentrypoint = [\"run\"]");
    for mode in ["", ", mode = \"0600\""] {
        image(&place, &of(mode));
        assert_eq!(compose(&place).lines("hint:"), ["set mode = \"0755\" in files.\"/usr/bin/run\""]);
    }
    judge(&place, &of(", mode = \"0755\""), None);
}

#[test]
fn a_script_must_be_read_by_the_user_and_a_program_need_not() {
    let place = place!();
    place.project_file("images/demo/run", &elf::program("amd64"));
    let of = |script: &str, program: &str, user: &str| {
        format!(
            "files.\"/script\" = {{ content = \"#!/run\\n\", mode = \"{script}\" }}\n\
             files.\"/run\" = {{ source = \"run\", mode = \"{program}\" }}\n\
             entrypoint = [\"/script\"]\nuser = \"{user}\""
        )
    };
    let refused = "entrypoint /script: /script is a script that the image's user cannot read";
    judge(&place, &of("0711", "0711", "nonroot"), Some(refused));
    assert_eq!(compose(&place).lines("hint:"), ["set mode = \"0755\" in files.\"/script\""]);
    judge(&place, &of("0755", "0711", "nonroot"), None);
    judge(&place, &of("0711", "0711", "root"), None);
}

#[test]
fn lines_to_write_stand_each_by_itself_and_a_directory_once() {
    let place = place!();
    let of =
        |lines: &str| format!("{lines}\nuser = \"nonroot\"\nworkdir = \"/data\"\nvolumes = [\"/data\", \"/more\"]");
    image(&place, &of(""));
    let failed = compose(&place);
    let (_, lines) = failed.err.split_once("hint: ").unwrap();
    let expected =
        ["data", "more"].map(|name| format!("files.\"/{name}/\" = {{ owner = \"nonroot\", mode = \"0750\" }}\n"));
    assert_eq!(lines, expected.concat());
    judge(&place, &of(lines), None);
    // Words of a path are no words of the line.
    let of = |lines: &str| format!("{lines}\nuser = \"nonroot\"\nvolumes = [\"/a in b\", \"/c in b\"]");
    image(&place, &of(""));
    let expected =
        ["a in b", "c in b"].map(|name| format!("files.\"/{name}/\" = {{ owner = \"nonroot\", mode = \"0750\" }}\n"));
    let failed = compose(&place);
    let (_, lines) = failed.err.split_once("hint: ").unwrap();
    assert_eq!(lines, expected.concat());
    judge(&place, &of(lines), None);
}

#[test]
fn env_finds_what_it_is_told_to_run_and_no_more() {
    let place = place!();
    place.project_file("images/demo/run", &elf::program("amd64"));
    let files = "files.\"/usr/bin/env\" = { source = \"run\", mode = \"0755\" }\nenv.PATH = \"/opt/app\"\n";
    let compose_line = |line: &str| {
        let script = format!("files.\"/run.sh\" = {{ content = '''\n{line}\n''', mode = \"0755\" }}\n");
        image(&place, &format!("entrypoint = [\"/run.sh\"]\n{script}{files}{PROGRAM}"));
        compose(&place)
    };
    for line in [
        "#!/usr/bin/env run",
        "#!/usr/bin/env  run\t",
        "#!/usr/bin/env -S run -u",
        "#!/usr/bin/env -S -u NAME run",
        "#!/usr/bin/env -S A=1 B=2 run",
        "#!/usr/bin/env -S -i PATH=/opt/app run",
        "#!/usr/bin/env -S --split-string 'run -u'",
        "#!/usr/bin/env -S -C /opt app/run",
        "#!/usr/bin/env -S -C / opt/app/run",
    ] {
        compose_line(line).ok();
    }
    let one_word = "(everything after env is passed as one argument; -S splits it)";
    let again = "makes env run the script itself, in an endless loop";
    let nowhere = "not found in PATH /opt/app";
    for (line, expected) in [
        ("#!/usr/bin/env run -u", format!("needs run -u: {nowhere} {one_word}")),
        ("#!/usr/bin/env A=1 run", format!("{again} {one_word}")),
        ("#!/usr/bin/env -u NAME run", format!("{again} {one_word}")),
        ("#!/usr/bin/env", again.to_owned()),
        ("#!/usr/bin/env -S A=1", again.to_owned()),
        ("#!/usr/bin/env -S -i run", "needs run: not found in PATH /bin:/usr/bin".to_owned()),
        ("#!/usr/bin/env -S A=1 python3 -u", format!("needs python3: {nowhere}")),
        ("#!/usr/bin/env -S -C /opt ./run", "needs ./run: /opt/run is not in the image".to_owned()),
        (
            "#!/usr/bin/env -S -C /none /opt/app/run",
            "changes to the directory /none: it is not in the image".to_owned(),
        ),
        ("#!/usr/bin/env -S 'run", "has an invalid argument of env -S: unterminated quote".to_owned()),
    ] {
        assert_eq!(compose_line(line).sentence(), format!("entrypoint /run.sh: /run.sh {expected}"), "{line}");
    }
}

#[test]
fn busybox_splits_no_word_behind_env() {
    let place = place!();
    place.project_file("images/demo/run", &elf::program("amd64"));
    let of = |line: &str, file: &str| {
        let script = format!("files.\"/run.sh\" = {{ content = '{line}', mode = \"0755\" }}\n");
        let env =
            format!("files.\"{file}\" = {{ source = \"run\", mode = \"0755\" }}\nlinks.\"/bin/env\" = \"{file}\"\n");
        image(&place, &format!("entrypoint = [\"/run.sh\"]\n{script}{env}env.PATH = \"/opt/app\"\n{PROGRAM}"));
        compose(&place)
    };
    for line in ["#!/bin/env -S run -u", "#!/bin/env -vSrun", "#!/bin/env --split-string=run"] {
        of(line, "/usr/bin/coreutils").ok();
        let refused = "entrypoint /run.sh: /run.sh needs env -S, which busybox does not have";
        assert_eq!(of(line, "/usr/bin/busybox").sentence(), refused, "{line}");
    }
    of("#!/bin/env run", "/usr/bin/busybox").ok();
}

#[test]
fn busybox_takes_its_applet_from_the_line_as_one_word() {
    let place = place!();
    place.project_file("images/demo/run", &elf::program("amd64"));
    let script = "entrypoint = [\"/run.sh\"]\nfiles.\"/run.sh\" = { content = \"LINE\", mode = \"0755\" }\n";
    let busybox = "files.\"/bin/busybox\" = { source = \"run\", mode = \"0755\" }\nlinks.\"/bin/sh\" = \"busybox\"\n";
    for (line, expected) in [
        ("#!/bin/busybox sh", None),
        ("#! /bin/busybox  sh ", None),
        // Nobody but busybox knows what its applets are, and a script may be called as one.
        ("#!/bin/busybox", None),
        ("#!/bin/sh -e", None),
        ("#!/bin/busybox env", Some("makes env run the script itself, in an endless loop")),
        (
            "#!/bin/busybox sh -e",
            Some("needs the busybox applet `sh -e` (everything after busybox is passed as one argument)"),
        ),
        (
            "#!/bin/busybox env sh",
            Some("needs the busybox applet `env sh` (everything after busybox is passed as one argument)"),
        ),
    ] {
        let expected = expected.map(|why| format!("entrypoint /run.sh: /run.sh {why}"));
        judge(&place, &format!("{}{busybox}", script.replace("LINE", line)), expected.as_deref());
    }
}

#[test]
fn a_volume_can_be_read_by_its_user_too() {
    let place = place!();
    let of = |mode: &str| {
        let directory = format!("files.\"/data/\" = {{ owner = \"nonroot\", mode = \"{mode}\" }}");
        format!("volumes = [\"/data\"]\nuser = \"nonroot\"\n{directory}")
    };
    let refused = "volumes /data: nonroot cannot list its contents";
    for (mode, expected) in [("0300", Some(refused)), ("0370", Some(refused)), ("0700", None)] {
        judge(&place, &of(mode), expected);
    }
}

#[test]
fn a_script_whose_first_name_another_package_takes_is_one_by_its_other_names() {
    let place = place!();
    let deb = |name| DebBuilder::new(name, "1", "amd64").compression(Compression::Gzip);
    let one = deb("one").file("usr/bin/a", b"#!/opt/app/run\n", 0o755).hard_link("usr/bin/b", "usr/bin/a");
    let two = deb("two").file("usr/bin/a", b"text", 0o755).control_field("Replaces", "one");
    place.package("one.deb", &one.build());
    place.package("two.deb", &two.build());
    place.project_file("images/demo/run", &elf::program("amd64"));
    let of =
        |word: &str| format!("format = \"deb\"\npackages = [\"one\", \"two\"]\nentrypoint = [\"{word}\"]\n{PROGRAM}");
    judge(&place, &of("b"), None);
    let sentence = "entrypoint a: /usr/bin/a is neither an ELF program nor a script starting with #!";
    judge(&place, &of("a"), Some(sentence));
}
