//! The rules of the house that a compiler does not know, held against the text of `src`.
//!
//! A module stands on a floor and uses only those below, or its neighbours as long as no circle comes
//! of it. Files are changed, lines printed and SQL written in one place each. What the program itself
//! does is looked at; what is compiled for tests only is cut away before.
//!
//! A rule that has to give way is named in [`EXCEPTIONS`], with the reason. An exception that nothing
//! needs any more is a failure too, so that the table stays true.
#![expect(clippy::unwrap_used, reason = "a source that cannot be read fails the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The floors, lowest first.
const FLOORS: &[(&str, &[&str])] = &[
    ("F0", &["arch", "digest", "encoding", "escape", "glob", "path", "tree", "version"]),
    ("F0'", &["archive", "elf", "layer", "package", "select"]),
    ("F1", &["fsx"]),
    ("F2", &["index"]),
    ("F3", &["store"]),
    ("F3'", &["session"]),
    ("F4", &["definition", "embedded", "ingest"]),
    ("F5", &["compose", "oci"]),
    ("F6", &["cli"]),
];

/// What stands where it should not, and why it may: rule, file, what is found there, reason.
const EXCEPTIONS: &[(&str, &str, &str, &str)] = &[
    ("floors", "src/version/mod.rs", "package", "whose order of versions it is, the name of a format says"),
    (
        "floors",
        "src/embedded/mod.rs",
        "compose",
        "`fixup::Generated`, the shape of made content, lives with the fix-ups",
    ),
    ("floors", "src/embedded/zones.rs", "compose", "as above"),
];

/// Most lines of a file.
const LINES: usize = 600;

/// Least lines of a module's header.
const HEADER: usize = 3;

/// One file of `src`.
struct Source {
    /// Relative to the crate, with slashes.
    name: String,
    /// The file as it is.
    text: String,
    /// What is not a comment and not for tests only, by line; empty for a file that tests own.
    code: Vec<(usize, String)>,
    /// Only compiled for tests.
    is_test: bool,
}

impl Source {
    /// `src/store/gc.rs` is of the module `store`.
    fn module(&self) -> &str {
        let path = self.name.strip_prefix("src/").unwrap_or(&self.name);
        path.split('/').next().unwrap_or(path).trim_end_matches(".rs")
    }

    fn lies_under(&self, folder: &str) -> bool {
        self.name == format!("src/{folder}.rs") || self.name.starts_with(&format!("src/{folder}/"))
    }
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    walk(&root.join("src"), &mut files);
    files.sort();
    let texts: Vec<(PathBuf, String)> =
        files.into_iter().map(|file| (file.clone(), fs::read_to_string(file).unwrap())).collect();
    let tests: Vec<PathBuf> = texts.iter().flat_map(|(file, text)| test_modules(file, text)).collect();
    texts
        .into_iter()
        .map(|(file, text)| {
            let is_test = tests.iter().any(|test| file.starts_with(test) || file == test.with_extension("rs"));
            let name = file.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
            let code = if is_test { Vec::new() } else { code(&text) };
            Source { name, text, code, is_test }
        })
        .collect()
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// Folders (or, with `.rs`, files) of the modules that a file declares for tests only.
fn test_modules(file: &Path, text: &str) -> Vec<PathBuf> {
    let stem = file.file_stem().unwrap().to_str().unwrap();
    let folder = file.parent().unwrap();
    let folder = if ["mod", "lib", "main"].contains(&stem) { folder.to_owned() } else { folder.join(stem) };
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    lines
        .windows(2)
        .filter(|pair| is_for_tests(pair[0]))
        .filter_map(|pair| pair[1].split_once("mod ")?.1.strip_suffix(';'))
        .map(|name| folder.join(name))
        .collect()
}

fn is_for_tests(line: &str) -> bool {
    line.starts_with("#[cfg(test)]") || line.starts_with("#[cfg(all(test,")
}

/// Cuts away comments, and items that are for tests only (with the help of rustfmt's indentation).
fn code(text: &str) -> Vec<(usize, String)> {
    let mut kept = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((at, line)) = lines.next() {
        let trimmed = line.trim_start();
        if is_for_tests(trimmed) {
            let indent = &line[..line.len() - trimmed.len()];
            let ends = [format!("{indent}}}"), format!("{indent}}};")];
            for (_, line) in lines.by_ref() {
                let is_whole = line.starts_with(indent)
                    && !line[indent.len()..].starts_with([' ', '#'])
                    && (line.ends_with(';') || line.ends_with('}'));
                if is_whole || ends.iter().any(|end| line == end) {
                    break;
                }
            }
        } else if !trimmed.starts_with("//") {
            kept.push((at + 1, line.to_owned()));
        }
    }
    kept
}

/// Gives the top-level modules that code names by `crate::`.
fn uses(source: &Source) -> BTreeSet<(usize, String)> {
    let mut found = BTreeSet::new();
    for (at, line) in &source.code {
        for (start, _) in line.match_indices("crate::") {
            let before = line[..start].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '$') {
                continue;
            }
            let rest = &line[start + "crate::".len()..];
            let names = rest.strip_prefix('{').map_or_else(|| vec![rest], |group| group.split(',').collect());
            for name in names {
                let end = name.trim().find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
                let name = end.map_or(name.trim(), |end| &name.trim()[..end]);
                if floor(name).is_some() {
                    found.insert((*at, name.to_owned()));
                }
            }
        }
    }
    found
}

fn floor(module: &str) -> Option<usize> {
    FLOORS.iter().position(|(_, modules)| modules.contains(&module))
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

/// Finds words in the code of files that are not under one of `folders`.
fn words_outside(folders: &[&str], words: &[&str]) -> Vec<(String, usize, String)> {
    let mut found = Vec::new();
    for source in sources() {
        if folders.iter().any(|folder| source.lies_under(folder)) {
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
fn every_module_has_its_floor() {
    let modules: BTreeSet<String> = sources()
        .iter()
        .map(|source| source.module().to_owned())
        .filter(|module| !["lib", "main"].contains(&module.as_str()))
        .collect();
    let placed: BTreeSet<String> =
        FLOORS.iter().flat_map(|(_, modules)| modules.iter().map(|name| (*name).to_owned())).collect();
    assert_eq!(modules, placed);
}

#[test]
fn no_module_uses_a_higher_floor() {
    let mut found = Vec::new();
    for source in sources() {
        let Some(own) = floor(source.module()) else { continue };
        for (at, used) in uses(&source) {
            let of = floor(&used).unwrap();
            if of > own {
                let what = format!("{} ({}) uses {used} ({})", source.module(), FLOORS[own].0, FLOORS[of].0);
                found.push((source.name.clone(), at, what));
            }
        }
    }
    judge("floors", &found);
}

#[test]
fn neighbours_on_a_floor_do_not_use_each_other_in_a_circle() {
    let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for source in sources() {
        let module = source.module().to_owned();
        for (_, used) in uses(&source).into_iter().filter(|(_, used)| floor(used) == floor(&module)) {
            if used != module {
                edges.entry(module.clone()).or_default().insert(used);
            }
        }
    }
    // Whoever uses nobody that is left is taken away; what stays is a circle.
    while let Some(free) = edges.keys().find(|name| edges[*name].iter().all(|to| !edges.contains_key(to))).cloned() {
        edges.remove(&free);
    }
    assert!(edges.is_empty(), "these modules use each other in a circle: {edges:?}");
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
    ];
    judge("effects", &words_outside(&["fsx"], &words));
}

#[test]
fn only_the_command_line_prints() {
    let words = ["println!", "eprintln!", "print!", "eprint!", "io::stdout", "io::stderr", "stdout()", "stderr()"];
    judge("printing", &words_outside(&["cli"], &words));
}

#[test]
fn only_the_index_speaks_sql() {
    let words = ["rusqlite", "SELECT ", "INSERT ", "DELETE FROM", "PRAGMA ", "BEGIN IMMEDIATE"];
    judge("sql", &words_outside(&["index"], &words));
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
fn no_file_is_too_long_to_be_one_idea() {
    let found: Vec<(String, usize, String)> = sources()
        .into_iter()
        .map(|source| (source.name, source.text.lines().count()))
        .filter(|(_, lines)| *lines > LINES)
        .map(|(name, lines)| (name, lines, format!("{lines} lines, of {LINES} at most")))
        .collect();
    judge("length", &found);
}

#[test]
fn every_module_says_what_it_is_for() {
    let mut found = Vec::new();
    for source in sources() {
        let lines = source.text.lines().take_while(|line| line.starts_with("//!")).count();
        let least = if source.is_test { 1 } else { HEADER };
        if lines < least {
            found.push((source.name, 1, format!("a header of {lines} lines, of {least} at least")));
        }
    }
    judge("header", &found);
}
