//! Which errors have a hint, read from the source: the arms of `fn hint` in every `impl Diagnose`.
//!
//! So that a new one without a test fails, whoever makes errors compares what it makes with this. It leans on the
//! indentation that rustfmt gives.

use std::collections::BTreeSet;

use crate::source::sources;

/// Gives `Type::Variant` of all errors that have a hint, or the hint of another one; `Type::_` stands for what an arm
/// without a variant catches, and `Type` for an error that is no enum.
#[track_caller]
pub fn bearing() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for source in sources("src") {
        for block in source.text.split("\nimpl Diagnose for ").skip(1) {
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
