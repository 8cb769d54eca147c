//! The sources of the workspace, read as text: what a compiler does not hold is held against that.
//!
//! Comments and what is compiled for tests only are cut away, line by line. That leans on the indentation that rustfmt
//! gives, which CI checks.

use std::fs;
use std::path::{Path, PathBuf};

use crate::files::with_extension;
use crate::workspace;

/// One file of Rust.
#[derive(Debug, Clone)]
pub struct Source {
    /// Relative to the workspace, with slashes.
    pub name: String,
    /// The file as it is.
    pub text: String,
    /// What is not a comment and not for tests only, by line; empty for a file that tests own.
    pub code: Vec<(usize, String)>,
    /// Only compiled for tests.
    pub is_test: bool,
}

impl Source {
    /// A file of the program that is not there, to try rules on.
    pub fn pretended(name: &str, text: &str) -> Self {
        Self { name: name.into(), text: text.into(), code: code(text), is_test: false }
    }

    /// Says whether it is a directory's, or the file of that name: `store` has `src/store.rs` and all in `src/store`.
    pub fn lies_under(&self, directory: &str) -> bool {
        self.name == format!("src/{directory}.rs") || self.name.starts_with(&format!("src/{directory}/"))
    }

    /// Lines of the header at the top, as `//!` has them.
    pub fn header(&self) -> usize {
        self.text.lines().take_while(|line| line.starts_with("//!")).count()
    }
}

/// Gives all files of Rust below a directory of the workspace, by name.
#[track_caller]
pub fn sources(directory: &str) -> Vec<Source> {
    let texts: Vec<(PathBuf, String)> = with_extension(&workspace::own(directory), "rs")
        .into_iter()
        .map(|file| (file.clone(), fs::read_to_string(file).unwrap()))
        .collect();
    let tests: Vec<PathBuf> = texts.iter().flat_map(|(file, text)| test_modules(file, text)).collect();
    let root = workspace::root();
    texts
        .into_iter()
        .map(|(file, text)| {
            let is_test = tests.iter().any(|test| file.starts_with(test) || file == test.with_extension("rs"));
            let name = file.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
            let code = if is_test { Vec::new() } else { code(&text) };
            Source { name, text, code, is_test }
        })
        .collect()
}

/// Directories (or, with `.rs`, files) of the modules that a file declares for tests only.
fn test_modules(file: &Path, text: &str) -> Vec<PathBuf> {
    let stem = file.file_stem().unwrap().to_str().unwrap();
    let directory = file.parent().unwrap();
    let directory = if ["mod", "lib", "main"].contains(&stem) { directory.to_owned() } else { directory.join(stem) };
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    lines
        .windows(2)
        .filter(|pair| is_for_tests(pair[0]))
        .filter_map(|pair| pair[1].split_once("mod ")?.1.strip_suffix(';'))
        .map(|name| directory.join(name))
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
