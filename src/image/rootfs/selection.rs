//! What a level keeps of its packages, as packages are added and as parts are made.
//!
//! Paths in `overrides` are left out like any other, so a pack that was predicted with the same definition fits.

use std::sync::Arc;

use crate::definition::Level;
use dlstore_ingest::{Keeps, Selection};
use dlstore_model::digest::KeyBuilder;
use dlstore_model::glob::{Pattern, PatternSet};
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
