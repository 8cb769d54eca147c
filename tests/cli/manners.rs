//! Help, exit codes, streams, errors.

use std::io::Read as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;

use dlstore_kit::{Place, packages, place};

const COMMANDS: [&[&str]; 20] = [
    &[],
    &["add"],
    &["compose"],
    &["list"],
    &["show"],
    &["files"],
    &["tree"],
    &["needs"],
    &["store"],
    &["store", "init"],
    &["store", "info"],
    &["store", "verify"],
    &["store", "rebuild"],
    &["store", "gc"],
    &["store", "roots"],
    &["store", "roots", "list"],
    &["store", "roots", "add"],
    &["store", "roots", "remove"],
    &["completions"],
    &["man"],
];

#[test]
fn every_command_explains_itself_and_needs_no_store_for_it() {
    let place = place!();
    for command in COMMANDS {
        for flag in ["-h", "--help"] {
            let done = place.run(command.iter().chain(&[flag])).ok();
            assert!(done.out.contains("Usage: dlstore"), "{command:?} {flag}: {}", done.out);
            assert_eq!(done.err, "", "{command:?} {flag}");
        }
    }
    let long = place.ok(["--help"]);
    for word in ["0 done", "1 failure", "2 usage", "130 interrupted", "DLSTORE_ROOT", "First steps"] {
        assert!(long.contains(word), "{word} in {long}");
    }
    assert_eq!(place.ok(["--version"]), format!("dlstore {}\n", env!("CARGO_PKG_VERSION")));
    assert!(!place.store().exists());
}

#[test]
fn flags_of_every_command_stand_apart_from_its_own() {
    let place = place!();
    for command in COMMANDS.into_iter().filter(|command| !command.is_empty()) {
        let help = place.ok(command.iter().chain(&["--help"]));
        let (own, global) = help.split_once("\nGlobal options:\n").unwrap_or_else(|| panic!("{command:?}: {help}"));
        let flags = |text: &str| -> Vec<String> {
            let lines = text.lines().filter_map(|line| line.split_whitespace().find(|word| word.starts_with("--")));
            lines.map(|flag| flag.trim_end_matches([',', '.']).to_owned()).collect()
        };
        let wanted = ["--store", "--trust-owner", "--quiet", "--verbose", "--progress", "--jobs"];
        let listed = |text: &str| {
            let lines = text.lines().filter(|line| line.trim_start().starts_with('-'));
            flags(&lines.collect::<Vec<_>>().join("\n"))
        };
        assert_eq!(listed(global), wanted, "{command:?}");
        assert!(!listed(own).iter().any(|flag| wanted.contains(&flag.as_str())), "{command:?}: {own}");
    }
}

#[test]
fn what_was_typed_wrong_exits_with_2_and_prints_no_result() {
    let place = place!();
    for arguments in [
        &[][..],
        &["compos"],
        &["add"],
        &["compose"],
        &["compose", "static", "--nonsense"],
        &["compose", "static", "--layers", "some"],
        &["compose", "static", "--arch", "z80"],
        &["compose", "static", "--arch", "armhf"],
        &["compose", "static", "--arch", ","],
        &["compose", "Hello"],
        &["compose", ""],
        &["compose", ":x"],
        &["compose", "static@sha256:abc"],
        &["show", "Hello"],
        &["show", "nope*"],
        &["show", "static", "--arch", "foo"],
        &["compose", "static", "-o", "bare"],
        &["compose", "static", "-o", "./some/path"],
        &["compose", "static", "-o", "zip:file"],
        &["compose", "static", "--from", "store", "packages"],
        &["compose", "static", "--date", "env"],
        &["compose", "static", "--load", "lxc"],
        &["list", "--jobs", "0"],
        &["list", "--jobs", "257"],
        &["list", "--jobs", "many"],
        &["store", "gc", "--older-than", "soon"],
        &["store", "verify", "--full", "--part", "3/2"],
        &["store", "roots", "remove"],
    ] {
        let done = place.run(arguments);
        assert_eq!((done.code(), done.out.as_str()), (Some(2), ""), "{arguments:?}: {done:?}");
        assert!(!done.err.is_empty(), "{arguments:?}");
    }
    assert!(!place.store().exists(), "a mistake makes no store");
    assert_eq!(dlstore_kit::names(&place.project()), Vec::<String>::new());
}

#[test]
fn a_misspelt_flag_gets_a_hint_only_where_one_is_meant() {
    let place = place!();
    let usage = "Usage: dlstore compose";
    for (flag, hints) in [("--arhc", vec!["a similar argument exists: '--arch'"]), ("--nope", vec![])] {
        let done = place.run(["compose", "static", flag]);
        assert_eq!((done.code(), done.lines("hint:")), (Some(2), hints), "{done:?}");
        assert!(!done.err.contains("tip:") && !done.err.contains(&format!("-- {flag}")), "{done:?}");
        assert!(done.err.contains(&format!("\n\n{usage}")) && !done.err.contains("\n\n\n"), "{done:?}");
    }
    // What was typed is no hint of ours.
    let done = place.run(["compose", "static", "--x\n  tip: y"]);
    assert_eq!((done.code(), done.lines("hint:")), (Some(2), vec![]), "{done:?}");
}

#[test]
fn plans_and_findings_of_the_store_are_results_and_what_was_done_is_for_people() {
    let place = place!();
    let done = |arguments: &[&str]| place.run(arguments).ok();
    let silent = |arguments: &[&str], said: &str| {
        let done = done(arguments);
        assert!(done.out.is_empty() && done.err.contains(said), "{arguments:?}: {done:?}");
    };
    silent(&["store", "init"], "made the store");
    silent(&["store", "gc", "--dry-run", "--grace", "0"], "would delete 0 objects");
    place.package("one.deb", &packages::deb("one", 1, "amd64").build());
    place.ok(["add", "../packages"]);
    let root = place.ok(["store", "roots", "list"]);
    silent(&["store", "roots", "add", "mine", "one"], "mine keeps");
    silent(&["store", "roots", "remove", "mine", root.trim()], "removed 2 roots");
    silent(&["store", "verify", "--full"], "no findings");

    let plan = done(&["store", "gc", "--dry-run", "--grace", "0"]);
    let would_delete = format!("would delete {} object", plan.out.lines().count());
    assert!(!plan.out.is_empty() && plan.err.contains(&would_delete), "{plan:?}");
    let packs = place.store().join("packs");
    let pack = packs.join(&dlstore_kit::names(&packs)[0]);
    std::fs::remove_file(&pack).unwrap();
    let found = place.run(["store", "verify", "--full"]);
    assert_eq!((found.code(), found.out.lines().count()), (Some(1), 1), "{found:?}");
    assert!(found.err.contains("1 finding"), "{found:?}");
}

#[test]
fn what_fails_exits_with_1_says_why_and_prints_no_result() {
    let place = place!();
    for (arguments, sentence) in [
        (&["list"][..], "there is no store at"),
        (&["store", "info"], "there is no store at"),
        (&["compose", "static:debian", "--arch", "amd64"], "no deb package base-files for amd64"),
        (&["add", "absent.deb"], "cannot read absent.deb"),
        (&["compose", "./absent.toml"], "absent.toml"),
    ] {
        let done = place.run(arguments);
        assert!(done.error().contains(sentence), "{arguments:?}: {done:?}");
        assert_eq!(done.out, "", "{arguments:?}");
    }
    let done = place.run(["compose", "static:debian", "--arch", "amd64"]);
    assert_eq!(done.lines("hint:"), ["use --from PATH to say where packages are (files or directories)"]);
    let done = place.run(["compose", "static", "-o", "bare"]);
    assert_eq!(done.lines("hint:"), ["-o oci:bare"]);
    let done = place.run(["add", "absent.deb"]);
    assert_eq!(done.lines("cause:"), ["No such file or directory (os error 2)"]);
}

#[test]
fn stdout_is_the_result_and_nothing_else() {
    let place = place!();
    let done = place.run(["compose", "static", "--arch", "amd64"]).ok();
    let (name, digest) = done.out.trim_end().split_once("@sha256:").unwrap();
    assert_eq!((name, digest.len(), done.out.lines().count()), ("static", 64, 1));
    for word in ["composed static (1 architecture)", "written to out/static", "next: docker buildx build"] {
        assert!(done.err.contains(word), "{word} in {}", done.err);
    }
    assert!(!done.err.contains('\x1b'), "no colours off a terminal");
    let quiet = place.run(["compose", "static", "--arch", "amd64", "-q"]).ok();
    assert_eq!((quiet.out, quiet.err.as_str()), (done.out, ""));
}

#[test]
fn every_answer_in_json_parses_and_names_its_shape() {
    let place = place!();
    let deb = place.package("one.deb", &packages::deb("one", 1, "amd64").build());
    let deb = deb.to_str().unwrap();
    for arguments in [
        &["add", deb][..],
        &["compose", "static", "--arch", "amd64"],
        &["list"],
        &["list", "--images"],
        &["show", "one"],
        &["show", "static"],
        &["files", "one"],
        &["files", "static", "--arch", "amd64"],
        &["needs", "/bin/true"],
        &["store", "info"],
        &["store", "verify"],
        &["store", "verify", "--full"],
        &["store", "roots", "list"],
        &["store", "gc", "--dry-run"],
        &["store", "gc"],
    ] {
        assert_eq!(place.json(arguments)["schema"], 1, "{arguments:?}");
    }
    // A failure of one of many is in the answer too.
    let bad = place.package("bad.deb", b"no package");
    let done = place.run(["add", bad.to_str().unwrap(), deb, "--json"]);
    let answer: Value = serde_json::from_str(&done.out).unwrap();
    assert_eq!((done.code(), &answer["schema"], answer["failed"].as_array().unwrap().len()), (Some(1), &1.into(), 1));
}

#[test]
fn a_reader_that_goes_away_ends_the_program_without_a_word() {
    let place = place!();
    let many = (0..4000).fold(packages::deb("many", 1, "amd64"), |deb, at| {
        deb.file(&format!("usr/share/many/a-file-with-a-name-of-some-length-{at}"), b"", 0o644)
    });
    let deb = place.package("many.deb", &many.build());
    place.ok(["add".as_ref(), deb.as_os_str()]);
    for arguments in [
        &["files", "many"][..],
        &["files", "many", "--json"],
        &["tree", "many", "--depth", "9"],
        &["--help"],
        &["compose", "--help"],
    ] {
        for wanted in [0, 1] {
            let mut child = place.command(arguments).spawn().unwrap();
            let mut stdout = child.stdout.take().unwrap();
            let mut start = vec![0; wanted];
            stdout.read_exact(&mut start).unwrap();
            drop(stdout);
            let mut said = String::new();
            child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
            let status = child.wait().unwrap();
            assert_eq!((status.code(), said.as_str()), (Some(0), ""), "{arguments:?} after {wanted} bytes");
        }
    }
}

/// Runs a command whose reader is gone before it writes, and gives its exit code and what it says to people.
fn unread(place: &Place, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = place.command(arguments);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let done = command.stdout(writer).output().unwrap();
    (done.status.code(), String::from_utf8(done.stderr).unwrap())
}

#[test]
fn a_reader_that_goes_away_hides_no_failure() {
    let place = place!();
    place.image("good", "schema = 1\nextends = \"static\"\n");
    place.image("other", "schema = 1\nextends = \"static\"\n");
    place.image("wrong", "schema = 1\nextends = \"nope\"\n");
    let deb = place.package("one.deb", &packages::deb("one", 1, "amd64").build());
    place.ok(["add".as_ref(), deb.as_os_str()]);
    let compose: &[&str] = &["compose", "--all", "--keep-going", "--arch", "amd64", "-q"];
    let dry: Vec<&str> = compose.iter().copied().chain(["--dry-run", "--json"]).collect();
    for arguments in [compose, &dry] {
        let done = place.run(arguments);
        assert_eq!(done.code(), Some(1), "{done:?}");
        assert_eq!(unread(&place, arguments), (Some(1), done.err), "{arguments:?}");
    }
    let packs = place.store().join("packs");
    std::fs::remove_dir_all(&packs).unwrap();
    std::fs::create_dir(&packs).unwrap();
    let damaged = place.run(["store", "verify"]);
    assert!(damaged.code() == Some(1) && damaged.out.lines().count() > 1, "{damaged:?}");
    assert_eq!(unread(&place, &["store", "verify"]), (Some(1), damaged.err));
    assert_eq!(unread(&place, &["list"]), (Some(0), String::new()));
}

#[test]
fn a_usage_line_names_no_command_that_is_refused() {
    let place = place!();
    let done = place.run(["compose", "--all-flavors"]);
    let (_, usage) = done.err.split_once("Usage: ").unwrap();
    let usage: Vec<&str> = usage.lines().take(2).map(str::trim).collect();
    assert_eq!(usage, ["dlstore compose [OPTIONS] <IMAGE>...", "dlstore compose [OPTIONS] --all [--all-flavors]"]);
}

/// Packs a file as a tar by itself.
fn tar(place: &Place, archive: &str) {
    place.project_file("tree/usr/share/bar", b"bar");
    let archive = place.package(archive, b"");
    let mut tar = std::process::Command::new("tar");
    tar.arg("cf").arg(archive).arg("-C").arg(place.project().join("tree")).arg("usr");
    assert!(tar.status().unwrap().success());
}

#[test]
fn tars_in_a_directory_are_packages_and_an_empty_directory_is_none() {
    let place = place!();
    tar(&place, "bar.tar");
    place.package("APKINDEX.tar.gz", b"an index");
    place.image("x", "schema = 1\nformat = \"tar\"\npackages = [\"bar\"]\n");
    let of_directory = place.run(["compose", "x", "--arch", "amd64", "--from", "../packages", "-q"]).ok();
    let of_file = place.run(["compose", "x", "--arch", "amd64", "--from", "../packages/bar.tar", "-q"]).ok();
    assert_eq!(of_directory.out, of_file.out);
    let names = |path: &str| -> Vec<String> {
        let added = place.json(&["add", path])["added"].as_array().unwrap().clone();
        added
            .iter()
            .map(|one| format!("{} {}", one["name"].as_str().unwrap(), one["version"].as_str().unwrap()))
            .collect()
    };
    assert_eq!(names("../packages"), ["bar 0"]);
    // Any other directory is itself one, and an empty one is nothing.
    assert_eq!(names("tree"), ["tree 0"]);
    std::fs::create_dir(place.project().join("empty")).unwrap();
    let failed = place.run(["add", "./empty"]);
    assert_eq!(failed.error(), "./empty is an empty directory: there is no package in it, and it is none itself");
    let lacking = place.run(["compose", "x", "--arch", "amd64", "--from", "empty"]);
    assert!(lacking.error().starts_with("no tar package bar for amd64"), "{lacking:?}");
}

#[test]
fn closed_streams_break_nothing() {
    let place = place!();
    let script = "exec \"$0\" compose static --arch amd64 >&- 2>&- <&-";
    let mut command = place.command([""; 0]);
    let program = command.get_program().to_owned();
    let envs: Vec<_> =
        command.get_envs().filter_map(|(key, value)| Some((key.to_owned(), value?.to_owned()))).collect();
    command.stdout(Stdio::null());
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", script]).arg(program).envs(envs).current_dir(place.project());
    shell.status().unwrap();
    assert_eq!(place.verified().0, Vec::<String>::new());
    place.ok(["compose", "static", "--arch", "amd64"]);
}

/// The same command with SIGINT as a terminal's programs have it: a shell that runs the tests in the
/// background has them ignore it, and what is ignored is inherited.
fn interruptible(command: &std::process::Command) -> std::process::Command {
    let mut outer = std::process::Command::new("env");
    outer.arg("--default-signal=INT").arg(command.get_program()).args(command.get_args());
    outer.env_clear().envs(command.get_envs().filter_map(|(key, value)| Some((key, value?))));
    outer.current_dir(command.get_current_dir().expect("a place's commands have one"));
    outer.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    outer
}

#[test]
fn an_interrupted_add_leaves_a_sound_store() {
    let place = place!();
    for number in 0..20 {
        let name = format!("p{number}");
        place.package(&format!("{name}.deb"), &packages::deb(&name, number, "amd64").build());
    }
    let begun = Instant::now();
    place.ok(["add", "../packages", "--store", "whole"]);
    let span = begun.elapsed();
    let mut interrupted = 0;
    for at in 0..10 {
        let child = interruptible(&place.command(["add", "../packages"])).spawn().unwrap();
        std::thread::sleep(span * at / 12);
        let id = rustix::process::Pid::from_child(&child);
        let _ = rustix::process::kill_process(id, rustix::process::Signal::INT);
        let ended = child.wait_with_output().unwrap();
        let status = ended.status;
        let by_signal = std::os::unix::process::ExitStatusExt::signal(&status) == Some(2);
        assert!(status.success() || by_signal || status.code() == Some(130), "{ended:?}");
        interrupted += u32::from(!status.success());
        if place.store().join("format.json").exists() {
            assert_eq!(place.verified().0, Vec::<String>::new());
        }
    }
    println!("interrupted {interrupted} of 10");
    assert!(interrupted > 0);
    place.ok(["add", "../packages"]);
    place.ok(["store", "gc", "--grace", "0"]);
    assert_eq!(place.verified(), (vec![], vec![]));
    assert_eq!(place.json(&["list"])["packages"].as_array().unwrap().len(), 20);
    assert!(begun.elapsed() < Duration::from_secs(120));
}

#[test]
fn completions_and_manual_pages_are_printed_for_every_shell_and_command() {
    let place = place!();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let text = place.ok(["completions", shell]);
        assert!(text.contains("compose") && text.contains("drop-sources"), "{shell}");
        assert_eq!(text, place.ok(["completions", shell]), "{shell}");
    }
    for words in [&[][..], &["compose"], &["store"], &["store", "gc"], &["store", "roots", "add"]] {
        let page = place.ok([&["man"], words].concat());
        let title = [&["dlstore"], words].concat().join("-");
        assert!(page.contains(&format!(".TH {title} 1 ")), "{words:?}: {}", &page[..200]);
    }
    let refused = place.run(["man", "nosuch"]);
    assert!(refused.code() == Some(2) && refused.err.contains("no command named `dlstore nosuch`"), "{refused:?}");
    assert!(!place.store().exists(), "no store is needed, or made");
}

#[test]
fn an_image_that_there_is_not_is_a_mistake_in_what_was_typed_and_in_a_definition_one_in_a_file() {
    let place = place!();
    place.image("app", "schema = 1\nextends = \"nosuch\"\n");
    for (arguments, code) in [
        (&["compose", "nosuch"][..], 2),
        (&["compose", "static:nosuch"], 2),
        (&["compose", "static:embeded"], 2),
        (&["compose", "static", "--arch", "nosuch"], 2),
        (&["compose", "static", "--platform", "linux/nosuch"], 2),
        (&["compose", "app"], 1),
    ] {
        assert_eq!(place.run(arguments).code(), Some(code), "{arguments:?}");
    }
    for (what, sentence) in [
        ("musl-dynamik", "no package or image is named `musl-dynamik`; did you mean the image `musl-dynamic`?"),
        ("libpq", "no package or image is named `libpq`\n"),
    ] {
        for command in ["show", "files", "tree"] {
            let done = place.run([command, what]);
            assert!(done.code() == Some(2) && done.err.contains(sentence), "{command}: {done:?}");
        }
    }
    let [arch, platform] = [["--arch", "arm/v7"], ["--platform", "linux/arm/v7"]]
        .map(|words| place.ok([&["compose", "static"][..], &words].concat()));
    assert_eq!(arch, platform);
}

#[test]
fn whatever_is_misspelt_is_answered_with_what_was_probably_meant() {
    let place = place!();
    let deb = place.package("one.deb", &packages::deb("libssl3", 1, "amd64").build());
    place.ok(["add".as_ref(), deb.as_os_str()]);
    place.image("app", "schema = 1\nformat = \"deb\"\npackages = [\"libsl3\"]\n");
    for (arguments, meant) in [
        (&["lst"][..], "'list'"),
        (&["store", "verfy"], "'verify'"),
        (&["store", "roots", "lst"], "'list'"),
        (&["man", "compse"], "`compose`"),
        (&["man", "store", "verfy"], "`verify`"),
        (&["completions", "bsh"], "'bash'"),
        (&["compose", "static", "--arhc", "all"], "'--arch'"),
        (&["compose", "static", "--layers", "groupd"], "'grouped'"),
        (&["compose", "static", "--arch", "amd46"], "amd64?"),
        (&["compose", "static", "--arch", "ALL"], "did you mean all? Expected 386,"),
        (&["files", "static", "--arch", "linux/amr64"], "arm64?"),
        (&["compose", "statik"], "`static`?"),
        (&["compose", "static:embeded"], "`embedded`?"),
        (&["show", "static:embeded"], "`embedded`?"),
        (&["tree", "statik"], "the image `static`?"),
        (&["show", "libsl3"], "the package `libssl3`?"),
        (&["compose", "app", "--arch", "amd64", "--from", "store"], "libssl3?"),
        (&["store", "roots", "add", "mine", "libsl3"], "the package `libssl3`?"),
    ] {
        let done = place.run(arguments);
        let is_asked = done.err.contains("did you mean ") || done.err.contains("\nhint: a similar ");
        assert!(done.code() != Some(0) && is_asked && done.err.contains(meant), "{arguments:?}: {done:?}");
    }
}
