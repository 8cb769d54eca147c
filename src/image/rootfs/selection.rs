//! What a level keeps of its packages, as packages are added and as parts are made.
//!
//! Paths in `overrides` are left out like any other, so a pack that was predicted with the same definition fits.
//!
//! What a definition leaves out in words of its own says nothing in the image either: no certificate of it is trusted,
//! and no system is named by it ([`OwnWords`]). What `slim` leaves out by itself counts all the same, for it leaves out
//! files and not what they say: a bundle takes the place of single certificates.

use std::sync::Arc;

use crate::definition::Level;
use dlstore_ingest::select::matter::Matter;
use dlstore_ingest::{Keeps, Selection};
use dlstore_model::digest::KeyBuilder;
use dlstore_model::glob::{self, Pattern, PatternSet};
use dlstore_model::path::TreePath;

/// Gives what a level keeps of its packages, and that as bytes for keys.
pub(crate) fn selection(level: &Level) -> Selection {
    let overrides = PatternSet::new(level.overrides.iter().filter_map(|text| Pattern::new(text).ok()).enumerate());
    let mut key = KeyBuilder::new("selection 3");
    key.list(&level.overrides, |key, text| {
        key.text(text);
    });
    let patterns = level.patterns().enumerate();
    let patterns: Arc<[_]> = patterns.filter_map(|(at, (_, text))| Some((at, Pattern::new(text).ok()?))).collect();
    // Which of them match nothing is told of each package.
    key.number(patterns.len() as u64);
    let Ok(chosen) = level.chosen() else {
        return Selection { keeps: Arc::new(|_: &TreePath| true), key: key.finish(), patterns };
    };
    key.bytes(&chosen.key());
    let keeps: Keeps = Arc::new(move |path: &TreePath| overrides.first(path).is_none() && chosen.selects(path));
    Selection { keeps, key: key.finish(), patterns }
}

/// What a level leaves out of its packages in words of its own, which `slim` is not.
pub(crate) struct OwnWords {
    overrides: PatternSet,
    rules: Option<glob::Selection>,
}

impl OwnWords {
    /// Reads them.
    pub(crate) fn of(level: &Level) -> Self {
        let overrides = level.overrides.iter().filter_map(|text| Pattern::new(text).ok());
        let rules = level.selection.iter().map(|(keeps, pattern)| (*keeps, pattern.as_str()));
        Self { overrides: PatternSet::new(overrides.enumerate()), rules: glob::Selection::new(rules).ok() }
    }

    /// Says whether they leave out a path, by the package's own name.
    pub(crate) fn leave_out(&self, path: &TreePath) -> bool {
        self.overrides.first(path).is_some() || self.exclude(path)
    }

    /// Says whether what a path of a package is about is not to be heard. Account files that give way to a fix-up are
    /// heard: that makes the image's of them.
    pub(crate) fn silence(&self, path: &TreePath, matter: Option<Matter>) -> bool {
        if matter == Some(Matter::Accounts) { self.exclude(path) } else { self.leave_out(path) }
    }

    fn exclude(&self, path: &TreePath) -> bool {
        self.rules.as_ref().is_some_and(|rules| !rules.selects(path))
    }
}
