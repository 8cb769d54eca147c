//! The rules of the house that a compiler does not know, held against the text of `src`, and of `tests` and `benches` where
//! that is said.
//!
//! Crates guard the big floors: what a member may use is what its `Cargo.toml` lists, and that is compared
//! with [`CRATES`]. Inside a crate, files and directories that lie side by side use each other without a
//! circle; a `mod.rs` or `lib.rs` stands before its own files and may name them. Files are changed, lines
//! printed and SQL written in one place each. What the program itself does is looked at; what is compiled
//! for tests only is cut away before.
//!
//! A rule that has to give way is named in [`EXCEPTIONS`], with the reason. An exception that nothing
//! needs any more is a failure too, so that the table stays true.
#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use dlstore_kit::source::{self, Source};
use dlstore_kit::workspace;

/// The crates below the program, lowest first, each with those it may use.
const CRATES: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("formats", &["model"]),
    ("fsx", &["model"]),
    ("store", &["model", "formats", "fsx"]),
    ("ingest", &["model", "formats", "fsx", "store"]),
    ("oci", &["model", "formats", "fsx"]),
    ("image", &["model", "formats", "fsx", "store", "ingest", "oci"]),
];

/// The floors inside crates that have some, lowest first; the program has no name. Modules of one floor do not use each
/// other in a circle, as any others.
const FLOORS: &[(&str, &[&[&str]])] = &[
    ("image", &[&["definition"], &["choice", "rootfs"], &["linker", "embedded"], &["fixup"], &["check"], &["compose"]]),
    ("", &[&["allocator"], &["command"], &["cli"]]),
];

/// What stands where it should not, and why it may: rule, file, what is found there, reason.
const EXCEPTIONS: &[(&str, &str, &str, &str)] = &[
    (
        "surroundings",
        "src/ingest/seen.rs",
        "SystemTime::now(",
        "a file that changed just now is not remembered as read",
    ),
    ("unsafe code", "src/allocator.rs", "unsafe {", "what the C library keeps of freed memory has no safe interface"),
];

/// Most lines of a file.
const LINES: usize = 600;

/// Least lines of a module's header.
const HEADER: usize = 3;

/// The crate and the path of the module: `src/store/index/object.rs` is `index::object` of `store`,
/// and what lies in none of [`CRATES`] is of the program, whose name is empty.
fn module(source: &Source) -> (&str, Vec<&str>) {
    let path = source.name.strip_prefix("src/").unwrap_or(&source.name).trim_end_matches(".rs");
    let mut parts: Vec<&str> = path.split('/').collect();
    let member = CRATES.iter().map(|(name, _)| *name).find(|name| *name == parts[0]).unwrap_or_default();
    if !member.is_empty() {
        parts.remove(0);
    }
    if matches!(parts.last(), Some(&"mod" | &"lib" | &"main")) {
        parts.pop();
    }
    (member, parts)
}

/// A path of modules that code names, and the line where it does.
type Named = (usize, Vec<String>);

/// Gives the paths that code names from `crate::` or `super::` on, groups taken apart.
fn paths(source: &Source) -> Vec<Named> {
    let mut text = String::new();
    let mut starts = Vec::new();
    for (at, line) in &source.code {
        starts.push((text.len(), *at));
        text.push_str(line);
        text.push('\n');
    }
    let mut found = Vec::new();
    for word in ["crate::", "super::"] {
        for (at, _) in text.match_indices(word) {
            let before = text[..at].chars().next_back();
            let goes_on = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$' | ':');
            if before.is_some_and(goes_on) {
                continue;
            }
            let line = starts.iter().rev().find(|(start, _)| *start <= at).map_or(0, |(_, line)| *line);
            let mut trees = Vec::new();
            tree(&text[at..], &mut Vec::new(), &mut trees);
            found.extend(trees.into_iter().map(|path| (line, path)));
        }
    }
    found
}

/// Reads one tree of names, as `use` has them, and gives what is behind it.
fn tree<'t>(text: &'t str, before: &mut Vec<String>, found: &mut Vec<Vec<String>>) -> &'t str {
    let depth = before.len();
    let mut rest = text.trim_start();
    loop {
        if let Some(group) = rest.strip_prefix('{') {
            rest = group.trim_start();
            while !rest.is_empty() && !rest.starts_with('}') {
                let after = tree(rest, before, found).trim_start();
                // ` as name` and the comma between two trees.
                let next = after.find([',', '}', ';']).unwrap_or(after.len());
                rest = after[next..].strip_prefix(',').unwrap_or(&after[next..]).trim_start();
            }
            rest = rest.strip_prefix('}').unwrap_or(rest);
            break;
        }
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        before.push(rest[..end].to_owned());
        rest = &rest[end..];
        let Some(after) = rest.strip_prefix("::") else {
            found.push(before.clone());
            break;
        };
        rest = after;
    }
    before.truncate(depth);
    rest
}

/// Finds the module that a path leads to, seen from a module: the longest that is one.
fn target(from: &[&str], path: &[String], modules: &BTreeSet<Vec<String>>) -> Vec<String> {
    let mut at: Vec<String> = from.iter().map(|part| (*part).to_owned()).collect();
    for (position, name) in path.iter().enumerate() {
        match name.as_str() {
            "crate" if position == 0 => at.clear(),
            "self" if position == 0 => {}
            "super" => drop(at.pop()),
            _ => {
                at.push(name.clone());
                if !modules.contains(&at) {
                    at.pop();
                    break;
                }
            }
        }
    }
    at
}

/// Which of two modules side by side uses the other: edges by the crate and the module above both.
type Edges = BTreeMap<(String, Vec<String>), BTreeMap<String, BTreeSet<String>>>;

fn edges(sources: &[Source]) -> Edges {
    let mut modules: BTreeMap<&str, BTreeSet<Vec<String>>> = BTreeMap::new();
    for source in sources {
        let (member, path) = module(source);
        modules.entry(member).or_default().insert(path.iter().map(|part| (*part).to_owned()).collect());
    }
    let mut edges = Edges::new();
    for source in sources {
        let (member, from) = module(source);
        for (_, path) in paths(source) {
            let to = target(&from, &path, &modules[member]);
            let common = from.iter().zip(&to).take_while(|(from, to)| from == to).count();
            // One of the two stands before the other: a `mod.rs` and its own files.
            let (Some(user), Some(used)) = (from.get(common), to.get(common)) else { continue };
            let above = (member.to_owned(), to[..common].to_vec());
            edges.entry(above).or_default().entry((*user).to_owned()).or_default().insert(used.clone());
        }
    }
    edges
}

/// Gives the circles of a graph: groups whose members reach each other, largest groups, sorted.
fn circles(edges: &BTreeMap<String, BTreeSet<String>>) -> Vec<Vec<String>> {
    let reach = |from: &String| {
        let mut seen = BTreeSet::new();
        let mut next: Vec<&String> = edges.get(from).into_iter().flatten().collect();
        while let Some(at) = next.pop() {
            if seen.insert(at.clone()) {
                next.extend(edges.get(at).into_iter().flatten());
            }
        }
        seen
    };
    let reached: BTreeMap<&String, BTreeSet<String>> = edges.keys().map(|name| (name, reach(name))).collect();
    let mut found = BTreeSet::new();
    for (name, seen) in &reached {
        if seen.contains(*name) {
            let group = seen.iter().filter(|other| reached.get(other).is_some_and(|back| back.contains(*name)));
            found.insert(group.cloned().collect::<Vec<_>>());
        }
    }
    found.into_iter().collect()
}

/// Gives the crates of ours that a member's `Cargo.toml` lists for the program itself.
fn listed(member: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(workspace::root().join("src").join(member).join("Cargo.toml")).unwrap();
    let section = text.split("\n[dependencies]\n").nth(1).unwrap_or_default();
    let section = section.split("\n[").next().unwrap_or_default();
    let names = section.lines().filter_map(|line| line.strip_prefix("dlstore-"));
    names.map(|name| name.split(['.', ' ']).next().unwrap_or_default().to_owned()).collect()
}

fn floor(floors: &[&[&str]], module: &str) -> Option<usize> {
    floors.iter().position(|modules| modules.contains(&module))
}

/// Fails with all that breaks a rule and is not excepted, and with exceptions that nothing needs.
fn judge(rule: &str, found: &[(String, usize, String)]) {
    let excepted = |file: &str, what: &str| {
        EXCEPTIONS.iter().any(|(of, name, pattern, _)| *of == rule && *name == file && what.contains(pattern))
    };
    let mut wrong: Vec<String> = found
        .iter()
        .filter(|(file, _, what)| !excepted(file, what))
        .map(|(file, line, what)| format!("{file}:{line}: {what}"))
        .collect();
    for (of, file, pattern, _) in EXCEPTIONS.iter().filter(|(of, ..)| *of == rule) {
        if !found.iter().any(|(name, _, what)| name == file && what.contains(pattern)) {
            wrong.push(format!("{file}: the exception from {of} for {pattern:?} is no longer needed"));
        }
    }
    assert!(wrong.is_empty(), "rule {rule}:\n{}\n", wrong.join("\n"));
}

/// Finds words in the code of files that are not under one of `directories`.
fn words_outside(directories: &[&str], words: &[&str]) -> Vec<(String, usize, String)> {
    let mut found = Vec::new();
    for source in source::sources("src") {
        if directories.iter().any(|directory| source.lies_under(directory)) {
            continue;
        }
        for (at, line) in &source.code {
            if let Some(word) = words.iter().find(|word| has_word(line, word)) {
                found.push((source.name.clone(), *at, format!("{word} in `{}`", line.trim())));
            }
        }
    }
    found
}

/// Says whether a line has a word that is not the end of a longer name.
fn has_word(line: &str, word: &str) -> bool {
    let goes_on = |c: char| c.is_alphanumeric() || c == '_';
    let starts_name = word.starts_with(goes_on);
    line.match_indices(word).any(|(at, _)| !starts_name || !line[..at].chars().next_back().is_some_and(goes_on))
}

#[test]
fn crates_use_only_crates_of_lower_floors() {
    for (member, allowed) in CRATES {
        let allowed: BTreeSet<String> = allowed.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(listed(member), allowed, "src/{member}/Cargo.toml");
    }
}

#[test]
fn every_crate_is_a_member_that_a_plain_cargo_test_reaches() {
    let text = fs::read_to_string(workspace::root().join("Cargo.toml")).unwrap();
    let list = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap();
        line.split('"').skip(1).step_by(2).map(ToOwned::to_owned).collect::<BTreeSet<String>>()
    };
    let mut expected: BTreeSet<String> = CRATES.iter().map(|(name, _)| format!("src/{name}")).collect();
    // The kit has no tests of its own, and whoever builds the program needs none.
    let mut members = list("members = ");
    assert!(members.remove("tests/kit"), "{members:?}");
    assert_eq!(members, expected);
    expected.insert(".".to_owned());
    assert_eq!(list("default-members = "), expected);
    let entries = fs::read_dir(workspace::root().join("src")).unwrap().map(|entry| entry.unwrap().path());
    let found: BTreeSet<String> = entries
        .filter(|path| path.join("Cargo.toml").exists())
        .map(|path| format!("src/{}", path.file_name().unwrap().to_str().unwrap()))
        .collect();
    assert_eq!(found, members);
}

#[test]
fn every_module_of_a_crate_with_floors_has_its_own() {
    let sources = source::sources("src");
    for (member, floors) in FLOORS {
        let modules: BTreeSet<&str> = sources
            .iter()
            .map(module)
            .filter(|(of, _)| of == member)
            .filter_map(|(_, path)| path.first().copied())
            .collect();
        assert_eq!(modules, floors.iter().flat_map(|modules| modules.iter().copied()).collect(), "{member}");
    }
}

#[test]
fn no_module_uses_a_higher_floor_of_its_crate() {
    judge("floors", &climbs(&source::sources("src")));
}

/// Finds modules that use one of a higher floor.
fn climbs(sources: &[Source]) -> Vec<(String, usize, String)> {
    let mut found = Vec::new();
    for source in sources {
        let (member, module) = module(source);
        let Some((_, floors)) = FLOORS.iter().find(|(of, _)| *of == member) else { continue };
        let Some(own) = module.first().and_then(|name| floor(floors, name)) else { continue };
        for (at, path) in paths(source).into_iter().filter(|(_, path)| path[0] == "crate") {
            let Some((used, of)) = path.get(1).and_then(|used| Some((used, floor(floors, used)?))) else { continue };
            if of > own {
                found.push((source.name.clone(), at, format!("{} uses {used}, which is above it", module[0])));
            }
        }
    }
    found
}

#[test]
fn a_climb_to_a_higher_floor_is_found() {
    let file = Source::pretended;
    let sources = [
        file(
            "src/image/rootfs/part.rs",
            "use crate::definition::Level;\nuse crate::compose::{\n    Request, plan,\n};\n",
        ),
        file("src/image/linker/mod.rs", "// use crate::fixup::x;\nuse crate::rootfs::View;\n"),
    ];
    let expected = ("src/image/rootfs/part.rs".to_owned(), 2, "rootfs uses compose, which is above it".to_owned());
    assert_eq!(climbs(&sources), [expected.clone(), expected]);
}

#[test]
fn files_side_by_side_do_not_use_each_other_in_a_circle() {
    let mut found = Vec::new();
    for ((member, above), edges) in edges(&source::sources("src")) {
        let mut place = PathBuf::from("src").join(member);
        place.extend(above);
        let place = place.to_str().unwrap().trim_end_matches('/').to_owned();
        for circle in circles(&edges) {
            let inner: Vec<String> = circle
                .iter()
                .map(|name| {
                    let used: Vec<&str> =
                        edges[name].iter().filter(|to| circle.contains(to)).map(String::as_str).collect();
                    format!("{name} > {}", used.join(" "))
                })
                .collect();
            found.push((place.clone(), 0, format!("{} ({})", circle.join(" "), inner.join("; "))));
        }
    }
    judge("circle", &found);
}

#[test]
fn a_circle_is_found_whatever_way_it_is_written() {
    let file = Source::pretended;
    let sources = [
        file("src/store/lib.rs", "pub mod a;\npub use crate::a::One;\n"),
        file("src/store/a.rs", "use super::{\n    One,\n    b::{self, Two as Other},\n};\nuse dlstore_model::c;\n"),
        file("src/store/b/mod.rs", "mod inner;\n"),
        file("src/store/b/inner.rs", "fn x() {\n    crate::c::f();\n}\n#[cfg(test)]\nuse crate::d;\n"),
        file("src/store/c.rs", "use super::a;\npub(super) fn f() {}\n// use crate::d::x;\n"),
        file("src/store/d.rs", "use super::{a, c};\n"),
    ];
    let edges = edges(&sources);
    let found: Vec<_> = edges.values().flat_map(circles).collect();
    assert_eq!(found, [["a", "b", "c"].map(str::to_owned)]);
}

#[test]
fn files_are_moved_removed_synced_and_locked_in_one_place() {
    // By way of `std::fs`, `rustix::fs` or a file: calls of `fsx` itself are what is wanted.
    let words = [
        "fs::rename",
        "fs::remove_",
        "fs::hard_link",
        "fs::unlink",
        "fs::syncfs",
        "fs::fsync",
        "fs::fdatasync",
        "fs::flock",
        "fs::fallocate",
        "fs::ioctl_ficlone",
        ".sync_all(",
        ".sync_data(",
        ".lock_shared(",
        ".try_lock_shared(",
        ".try_lock(",
        "remove_file(",
        "remove_dir",
        "syncfs(",
        "flock(",
        "ioctl_ficlone(",
        "statfs(",
        "fallocate(",
    ];
    judge("effects", &words_outside(&["fsx"], &words));
}

#[test]
fn only_the_command_line_prints() {
    let words = ["println!", "eprintln!", "print!", "eprint!", "io::stdout", "io::stderr", "stdout()", "stderr()"];
    judge("printing", &words_outside(&["cli"], &words));
}

#[test]
fn use_cases_know_no_arguments_no_environment_and_no_clock() {
    let words = ["clap", "std::env", "env::", "Instant", "SystemTime", "anyhow", "json!"];
    let sources = source::sources("src");
    let found: Vec<String> = sources
        .iter()
        .filter(|source| source.lies_under("command"))
        .flat_map(|source| source.code.iter().map(|(at, line)| (source.name.as_str(), *at, line)))
        .filter(|(_, _, line)| words.iter().any(|word| has_word(line, word)))
        .map(|(name, at, line)| format!("{name}:{at}: {}", line.trim()))
        .collect();
    assert!(sources.iter().filter(|source| source.lies_under("command")).count() > 15);
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn only_the_index_speaks_sql() {
    let words = ["rusqlite", "SELECT ", "INSERT ", "DELETE FROM", "PRAGMA ", "BEGIN IMMEDIATE"];
    judge("sql", &words_outside(&["store/index"], &words));
}

#[test]
fn the_index_knows_no_files() {
    let words = ["std::fs", "File::", "dlstore_fsx", "crate::session", "crate::lease", "super::super"];
    let sources = source::sources("src");
    let index: Vec<&Source> = sources.iter().filter(|source| source.lies_under("store/index")).collect();
    assert!(index.len() > 5, "the index lies in src/store/index");
    let found: Vec<String> = index
        .iter()
        .flat_map(|source| source.code.iter().map(|(at, line)| (source.name.as_str(), *at, line)))
        // How a file is recognised again is a value of a row.
        .map(|(name, at, line)| (name, at, line.replace("dlstore_fsx::file::Stamp", "Stamp")))
        .filter(|(_, _, line)| words.iter().any(|word| has_word(line, word)))
        .map(|(name, at, line)| format!("{name}:{at}: {}", line.trim()))
        .collect();
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn nothing_is_left_unfinished_or_unwrapped() {
    let words = [".unwrap()", "todo!(", "unimplemented!(", "dbg!(", ".unwrap_err()"];
    judge("unfinished", &words_outside(&[], &words));
}

#[test]
fn the_clock_and_chance_enter_in_few_places() {
    let words = ["SystemTime::now(", "Instant::now(", "getrandom(", "thread_rng(", "env::var"];
    judge("surroundings", &words_outside(&["cli", "fsx", "store"], &words));
}

#[test]
fn unsafe_code_stands_in_one_file_of_the_program() {
    judge("unsafe code", &words_outside(&[], &["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern"]));
    for source in source::sources("src").into_iter().filter(|source| source.name.ends_with("lib.rs")) {
        assert!(source.text.contains("\n#![forbid(unsafe_code)]\n"), "{}", source.name);
    }
}

#[test]
fn no_file_is_too_long_to_be_one_idea() {
    let all = ["src", "tests", "benches"].into_iter().flat_map(source::sources);
    let found: Vec<(String, usize, String)> = all
        .map(|source| (source.name, source.text.lines().count()))
        .filter(|(_, lines)| *lines > LINES)
        .map(|(name, lines)| (name, lines, format!("{lines} lines, of {LINES} at most")))
        .collect();
    judge("length", &found);
}

#[test]
fn every_module_says_what_it_is_for() {
    let mut found = Vec::new();
    for source in ["src", "tests", "benches"].into_iter().flat_map(source::sources) {
        let is_short = source.is_test || !source.name.starts_with("src/") && !source.name.starts_with("tests/kit/");
        let (lines, least) = (source.header(), if is_short { 1 } else { HEADER });
        if lines < least {
            found.push((source.name, 1, format!("a header of {lines} lines, of {least} at least")));
        }
    }
    judge("header", &found);
}

#[test]
fn no_file_of_tests_and_benches_is_forgotten() {
    // cargo finds `tests/NAME.rs` by itself; what lies in a directory is compiled if somebody declares it.
    let mut forgotten = Vec::new();
    for source in ["tests", "benches"].into_iter().flat_map(source::sources) {
        let parts: Vec<&str> = source.name.trim_end_matches(".rs").split('/').collect();
        let [of, target, module] = parts[..] else {
            assert!(parts.len() == 2, "{} lies too deep to be looked for", source.name);
            continue;
        };
        if matches!(module, "lib" | "main") {
            continue;
        }
        let above = [format!("{of}/{target}.rs"), format!("{of}/{target}/main.rs"), format!("{of}/{target}/lib.rs")];
        let above = above.iter().map(|path| workspace::root().join(path)).find(|path| path.exists());
        let text = above.map(|path| fs::read_to_string(path).unwrap()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let is_declared = lines.iter().enumerate().any(|(at, line)| {
            let is_it = line.trim_start_matches("pub ").strip_prefix("mod ") == Some(format!("{module};").as_str());
            let path = format!("#[path = \"{target}/{module}.rs\"]");
            is_it && (of != "tests" || target == "kit" || at > 0 && lines[at - 1] == path)
        });
        if !is_declared {
            forgotten.push(source.name);
        }
    }
    assert_eq!(forgotten, Vec::<String>::new(), "no target has them as a module");
}

#[test]
fn tests_leave_the_list_of_lints_alone() {
    // It is the one of Cargo.toml, and what tests may do beyond it stands in clippy.toml, for code that is compiled for tests.
    let mut found = Vec::new();
    for source in source::sources("tests") {
        if !source.name.starts_with("tests/kit/")
            && source.name.matches('/').count() == 1
            && !source.text.lines().any(|line| line == "#![cfg(test)]")
        {
            found.push((source.name.clone(), 1, "a target without #![cfg(test)]".to_owned()));
        }
        for (at, line) in source.text.lines().enumerate().filter(|(_, line)| line.trim_start().starts_with("#![allow("))
        {
            found.push((source.name.clone(), at + 1, line.to_owned()));
        }
    }
    judge("lints", &found);
}

#[test]
fn no_test_below_src_builds_a_path_on_the_directory_of_its_crate() {
    // It is not that of the workspace, and what is absent there is skipped in silence.
    let word = "CARGO_MANIFEST_DIR";
    let found: Vec<_> =
        source::sources("src").into_iter().filter(|source| source.text.contains(word)).map(|one| one.name).collect();
    assert_eq!(found, Vec::<String>::new(), "dlstore_kit::workspace finds the workspace");
}

#[test]
fn words_that_were_given_up_stay_away() {
    // What stands for them is in the glossary of docs/architecture.md.
    let retired = ["folder", "shelf", "wish"];
    let root = workspace::root();
    let mut texts: Vec<(String, String)> =
        source::sources("src").into_iter().map(|source| (source.name, source.text)).collect();
    let pages =
        ["README.md", "docs/architecture.md", "docs/commands.md", "docs/definition.md", "store-schema/README.md"];
    let images =
        fs::read_dir(root.join("images")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let definitions: Vec<String> = images.map(|name| format!("images/{name}/image.toml")).collect();
    assert!(!definitions.is_empty(), "no definitions below images/");
    for page in pages.into_iter().map(str::to_owned).chain(definitions) {
        let text = fs::read_to_string(root.join(&page)).unwrap_or_else(|error| panic!("{page}: {error}"));
        texts.push((page, text));
    }
    let mut found = Vec::new();
    for (name, text) in &texts {
        for (at, line) in text.lines().enumerate() {
            let small = line.to_lowercase();
            if let Some(word) = retired.iter().find(|word| small.contains(**word)) {
                found.push((name.clone(), at + 1, (*word).to_owned()));
            }
        }
    }
    judge("words", &found);
}
