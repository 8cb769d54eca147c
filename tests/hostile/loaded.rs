//! Libraries are found where loaders find them: where the environment says, by the run path of who loads a file, and because
//! they are loaded already.

use dlstore_kit::{Done, Place, elf, place, without_lines};

const GLIBC: &str = "/lib64/ld-linux-x86-64.so.2";
const MUSL: &str = "/lib/ld-musl-x86_64.so.1";

/// A program with its loader, and two libraries where no loader looks by itself, of which one needs the other.
fn prepare(loader: &str, program: &elf::Elf<'_>) -> Place {
    let place = place!();
    let program = elf::Elf { interpreter: Some(loader), ..program.clone() };
    place.project_file("images/demo/run", &program.build("amd64"));
    place.project_file("images/demo/loader", &elf::program("amd64"));
    place.project_file("images/demo/one", &elf::library("amd64", "libone.so", &["libtwo.so"]));
    place.project_file("images/demo/two", &elf::library("amd64", "libtwo.so", &[]));
    place
}

fn compose(place: &Place, loader: &str, lines: &str) -> Done {
    let text = format!(
        "schema = 1
extends = \"static\"
entrypoint = [\"/run\"]
files.\"/run\" = {{ source = \"run\", mode = \"0755\" }}
files.\"{loader}\" = {{ source = \"loader\", mode = \"0755\" }}
files.\"/opt/lib/libone.so\" = {{ source = \"one\" }}
files.\"/opt/lib/libtwo.so\" = {{ source = \"two\" }}
{lines}
"
    );
    place.image("demo", &text);
    place.run(["compose", "demo", "--arch", "amd64", "-o", "oci:out"])
}

const ONE_LACKS: &str = "/opt/lib/libone.so of definition:demo needs libtwo.so, which is at /opt/lib/libtwo.so, where its loader does not look";

#[test]
fn a_library_is_found_by_the_run_path_of_who_loads_it_or_when_it_is_loaded_already() {
    let path = Some("/opt/lib");
    let one: &[&str] = &["libone.so"];
    let new = elf::Elf { needed: one, search: path, ..elf::Elf::default() };
    let old = elf::Elf { needed: one, inherited: path, ..elf::Elf::default() };
    let both = elf::Elf { needed: &["libone.so", "libtwo.so"], search: path, ..elf::Elf::default() };
    for (loader, program, is_found) in
        [(GLIBC, &new, false), (GLIBC, &old, true), (GLIBC, &both, true), (MUSL, &new, true), (MUSL, &old, true)]
    {
        let place = prepare(loader, program);
        for user in ["root", "nonroot"] {
            let done = compose(&place, loader, &format!("user = \"{user}\""));
            if is_found {
                assert_eq!(done.code(), Some(0), "{loader} {program:?}: {done:?}");
            } else {
                assert_eq!(done.sentence(), ONE_LACKS);
                assert_eq!(done.lines("hint:"), ["set env.LD_LIBRARY_PATH = \"/opt/lib\""]);
            }
        }
    }
    // Whoever may not read it does not have it, however it would be found.
    let place = prepare(GLIBC, &old);
    let closed = compose(&place, GLIBC, "files.\"/opt/lib/\" = { mode = \"0700\" }");
    let sentence = "/run needs libone.so: /opt/lib/libone.so is in a directory that the image's user cannot enter";
    assert_eq!(closed.sentence(), format!("entrypoint /run: {sentence}"));
}

#[test]
fn a_library_is_found_where_the_environment_says_and_the_hint_composes() {
    for loader in [GLIBC, MUSL] {
        let place = prepare(loader, &elf::Elf { needed: &["libone.so"], ..elf::Elf::default() });
        let failed = compose(&place, loader, "");
        let sentence =
            "/run of definition:demo needs libone.so, which is at /opt/lib/libone.so, where its loader does not look";
        assert!(without_lines(&failed.err).contains(&format!("{ONE_LACKS}\n{sentence}\n")), "{failed:?}");
        let hint = "env.LD_LIBRARY_PATH = \"/opt/lib\"";
        assert_eq!(failed.lines("hint:"), [format!("set {hint}")]);
        compose(&place, loader, hint).ok();
        // The same root with another environment is another question.
        assert_eq!(compose(&place, loader, "env.LD_LIBRARY_PATH = \"/srv\"").code(), Some(1));
        let failed = compose(&place, loader, "env.LD_LIBRARY_PATH = \"/srv\"");
        assert_eq!(failed.lines("hint:"), ["set env.LD_LIBRARY_PATH = \"/srv:/opt/lib\""]);
        compose(&place, loader, "env.LD_LIBRARY_PATH = \"lib\"\nworkdir = \"/opt\"").ok();
        let empty = compose(&place, loader, "env.LD_LIBRARY_PATH = \"/srv:\"\nworkdir = \"/opt/lib\"");
        assert_eq!(empty.code() == Some(0), loader == GLIBC, "{empty:?}");
        // A program with more rights than its user's does not look there.
        let privileged = "privileged = [\"/run\"]\n";
        let text = std::fs::read_to_string(place.project().join("images/demo/image.toml")).unwrap();
        let text = text.replace("mode = \"0755\" }\nfiles.\"/lib", "mode = \"4755\" }\nfiles.\"/lib");
        let text = text.replace("env.LD_LIBRARY_PATH = \"/srv:\"\nworkdir = \"/opt/lib\"", hint);
        place.image("demo", &format!("{text}{privileged}"));
        let failed = place.run(["compose", "demo", "--arch", "amd64", "-o", "oci:out"]);
        assert_eq!(failed.sentence(), sentence);
    }
}

#[test]
fn an_environment_with_more_directories_than_are_searched_is_an_error() {
    let place = prepare(GLIBC, &elf::Elf::default());
    let path = (0..257).map(|at| format!("/opt/{at}")).collect::<Vec<_>>().join(":");
    let failed = compose(&place, GLIBC, &format!("env.LD_LIBRARY_PATH = \"{path}\""));
    assert_eq!(failed.sentence(), "env.LD_LIBRARY_PATH: LD_LIBRARY_PATH has 257 directories; at most 256 are searched");
}
