//! Which errors have a hint, read from the source: the arms of `fn hint` in every `impl Diagnose`.
//!
//! So that a new one without a test fails, whoever makes errors compares what it makes with this. It leans on the
//! indentation that rustfmt gives.
#![allow(dead_code, clippy::unwrap_used, reason = "each test program uses some of it, and fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Gives `Type::Variant` of all errors that have a hint, or the hint of another one; `Type::_` stands for what an arm
/// without a variant catches, and `Type` for an error that is no enum.
pub(crate) fn bearing(workspace: &Path) -> BTreeSet<String> {
    let mut files = Vec::new();
    walk(&workspace.join("src"), &mut files);
    let mut found = BTreeSet::new();
    for text in files.iter().map(|file| fs::read_to_string(file).unwrap()) {
        for block in text.split("\nimpl Diagnose for ").skip(1) {
            let block = block.split("\n}\n").next().unwrap();
            let name = block.split([' ', '<']).next().unwrap();
            let Some((_, hint)) = block.split_once("    fn hint(&self)") else { continue };
            found.extend(variants(hint.split("\n    }").next().unwrap()).into_iter().map(|variant| match variant {
                "" => name.to_owned(),
                variant => format!("{name}::{variant}"),
            }));
        }
    }
    assert!(found.len() > 20, "the impls of Diagnose are found: {found:?}");
    found
}

fn walk(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// Gives the variants whose arms give a hint.
fn variants(body: &str) -> BTreeSet<&str> {
    let Some((_, arms)) = body.split_once("match self {\n") else {
        let body = body.split_once("{\n").unwrap().1.trim();
        return match body.split_once("matches!(self, Self::") {
            _ if body == "None" => BTreeSet::new(),
            Some((_, named)) => BTreeSet::from([named.split(|c: char| !c.is_alphanumeric()).next().unwrap()]),
            None => BTreeSet::from([""]),
        };
    };
    let arms = arms.split("\n        }").next().unwrap();
    let mut found = BTreeSet::new();
    let mut rest = arms;
    while let Some((pattern, after)) = rest.split_once("=>") {
        // The body ends where a line begins as an arm does.
        let end = after.match_indices("\n            ").find(|(at, step)| {
            let next = &after[at + step.len()..];
            next.starts_with("Self::") || next.starts_with(|first: char| first.is_ascii_lowercase() || first == '_')
        });
        let (body, next) = end.map_or((after, ""), |(at, _)| after.split_at(at));
        rest = next;
        let body = body.trim().trim_end_matches(',');
        if body == "None" || body == "return None" {
            continue;
        }
        let named: Vec<&str> = pattern
            .split("Self::")
            .skip(1)
            .map(|one| one.split(|c: char| !c.is_alphanumeric()).next().unwrap())
            .collect();
        found.extend(if named.is_empty() { vec!["_"] } else { named });
    }
    found
}
