//! What is said of a command that failed: the sentence, the chain of causes, one hint, and the exit code.
//!
//! The exit code says who has to act: 2 when it is what was typed, 1 for all else. A hint is given only where one thing
//! to do next is known. People read it line by line, programs as one object.

use std::error::Error;
use std::path::Path;

use serde::Serialize;

use super::diagnose;
use dlstore_model::diagnose::Kind;
use dlstore_model::escape::Escaped;

/// What helps where the store has no room left.
pub(crate) const MAKE_ROOM: &str = "run `dlstore store gc` to delete unused objects, or free space on the store's disk";

/// A command that failed.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Report {
    /// Why it failed.
    pub(crate) error: Failure,
}

/// Why a command failed.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Failure {
    /// The sentence.
    pub(crate) message: String,
    /// What caused it, the nearest first.
    pub(crate) causes: Vec<String>,
    /// What to type or to write next; `null` when that is not known.
    pub(crate) hint: Option<String>,
    /// The exit code.
    pub(crate) exit_code: u8,
}

impl Failure {
    /// Takes an error apart; `store` is where the store of the command lies.
    pub(crate) fn of(error: &(dyn Error + 'static), store: Option<&Path>) -> Self {
        // Whatever was written to it: what is full is the store's disk, and not what the command was about.
        let is_full = diagnose::kinds(error).any(|kind| kind == Kind::StoreFull);
        let full = store.filter(|_| is_full).map(no_space);
        let mut lines = full.into_iter().chain(sentences(error));
        let hint = diagnose::hint(error).map(|hint| hint.to_string());
        Self {
            message: lines.next().unwrap_or_default(),
            causes: lines.collect(),
            hint: hint.or_else(|| is_full.then(|| MAKE_ROOM.to_owned())),
            exit_code: diagnose::kinds(error).next().map_or(1, Kind::exit_code),
        }
    }
}

/// The sentence and its causes, none of them twice: SQLite's errors say what their codes mean once more.
fn sentences(error: &(dyn Error + 'static)) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for cause in diagnose::chain(error) {
        let line = cause.to_string();
        if lines.last().is_none_or(|last| !line.ends_with(last.as_str())) {
            lines.push(line);
        }
    }
    lines
}

/// Says that the store has no room left.
pub(super) fn no_space(store: &Path) -> String {
    format!("no space left for the store {}", Escaped::path(store))
}
