//! What surrounds the program: the names, limits and descriptors that it is started with.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use dlstore_kit::{Done, Place, finish, packages, place};

/// Runs the program below a shell that does something first.
fn below(place: &Place, first: &str, arguments: &[&str]) -> Done {
    let inner = place.command(arguments);
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", &format!("{first}; exec \"$0\" \"$@\"")]).arg(inner.get_program()).args(inner.get_args());
    shell.current_dir(place.project()).env_clear();
    shell.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    finish(shell)
}

#[test]
fn a_newline_in_the_path_of_a_store_begins_no_line() {
    let place = place!();
    let path = place.path().join("a\nb");
    let store = path.to_str().unwrap();
    let shown = store.replace('\n', "\\u{a}");
    let absent = place.run(["store", "info", "--store", store]);
    assert_eq!(absent.error(), format!("there is no store at {shown}"));
    assert_eq!(absent.err.lines().count(), 2, "{absent:?}");
    let made = place.run(["store", "init", "--store", store]).ok();
    assert_eq!(made.err, format!("made the store {shown}\n"));
    fs::write(path.join("format.json"), "{").unwrap();
    let damaged = place.run(["store", "info", "--store", store]);
    assert_eq!(damaged.error(), format!("{shown}/format.json does not describe a store"));
    fs::remove_file(path.join("format.json")).unwrap();
    fs::write(path.join("index.db"), "no database, but long enough to be one: ".repeat(400)).unwrap();
    fs::write(path.join("roots.journal"), "{\"remove\":\"a\",\"at\":1}\n").unwrap();
    let lost = place.run(["store", "info", "--store", store]);
    assert_eq!(lost.code(), Some(1));
    assert!(lost.err.lines().all(|line| ["error:", "cause:", "hint:"].iter().any(|word| line.starts_with(word))));
    let output = place.run(["compose", "static", "--arch", "amd64", "-o", "oci:x\ny"]).ok();
    assert!(output.err.contains("written to oci:x\\u{a}y"), "{output:?}");
}

#[test]
fn a_limit_on_file_sizes_is_an_error_and_no_death() {
    let place = place!();
    let large = packages::deb("large", 1, "amd64").file("large", &packages::text(7, 4 << 20), 0o644);
    place.package("large.deb", &large.compression(dlstore_formats::archive::decompress::Compression::None).build());
    // In units of 512 bytes: less than a store takes that is new; more than that, and less than the package.
    let none = below(&place, "ulimit -f 40", &["add", "../packages"]);
    assert_eq!(
        (none.code(), none.lines("hint:")),
        (Some(1), vec!["ulimit -f unlimited, or a higher limit"]),
        "{none:?}"
    );
    let done = below(&place, "ulimit -f 4000", &["add", "../packages"]);
    assert!(done.error().contains("File too large"), "{done:?}");
    below(&place, "ulimit -f 4000", &["compose", "static", "--arch", "amd64"]).ok();
    assert_eq!(place.verified(), (Vec::new(), Vec::new()));
    place.ok(["add", "../packages"]);
    assert_eq!(place.verified(), (Vec::new(), Vec::new()));
}

#[test]
fn a_umask_that_takes_everything_leaves_their_files_to_their_owner() {
    let place = place!();
    place.package("one.deb", &packages::deb("one", 1, "amd64").build());
    below(&place, "umask 0777", &["add", "../packages"]).ok();
    below(&place, "umask 0777", &["compose", "static", "--arch", "amd64", "-o", "oci:out", "-o", "oci-archive:a.tar"])
        .ok();
    let mode = |path: std::path::PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    for name in ["format.json", "index.db", "roots.journal", "reserve"] {
        assert_eq!(mode(place.store().join(name)), 0o600, "{name}");
    }
    for (name, expected) in [("out", 0o700), ("out/blobs", 0o700), ("out/index.json", 0o600), ("a.tar", 0o600)] {
        assert_eq!(mode(place.project().join(name)), expected, "{name}");
    }
    let usual = place!();
    below(&usual, "umask 0022", &["compose", "static", "--arch", "amd64", "-o", "oci:out"]).ok();
    assert_eq!(mode(usual.project().join("out")), 0o755, "what others may do is the user's to say");
    assert_eq!(mode(usual.project().join("out/index.json")), 0o644);
}

#[test]
fn a_result_that_cannot_be_written_is_a_failure_and_a_stdout_that_was_closed_is_none() {
    let place = place!();
    for arguments in [&["compose", "static", "--arch", "amd64"][..], &["list", "--images", "--json"], &["--version"]] {
        let full = below(&place, "exec >/dev/full", arguments);
        assert_eq!(full.code(), Some(1), "{full:?}");
        // As git and cargo have it.
        let closed = below(&place, "exec >&-", arguments);
        assert_eq!(closed.code(), Some(0), "{closed:?}");
    }
    let full = below(&place, "exec >/dev/full", &["compose", "static", "--arch", "amd64"]);
    assert_eq!(full.error(), "no space left for stdout");
    // What is asked for before there is a command, too.
    for arguments in [&["--help"][..], &["-h"], &["--version"], &["help", "compose"], &["compose", "--help"]] {
        let full = below(&place, "exec >/dev/full", arguments);
        assert_eq!((full.error().as_str(), full.out.as_str()), ("no space left for stdout", ""), "{arguments:?}");
    }
}
