//! Words of a definition that do nothing: patterns that match no path, waivers that accept nothing, fix-ups that
//! are skipped and would have made nothing.
//!
//! Whoever wrote one believes that it does something, so it is a warning. Definitions that are built into the program
//! are not looked at: nobody can change them, and packages differ from one release of a distribution to the next.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::super::notes::warning;
use super::super::part::Part;
use super::super::union::Union;
use super::waivers::Waivers;
use crate::definition::Level;
use dlstore_model::escape::Escaped;
use dlstore_model::glob::{Pattern, Unmatched};
use dlstore_model::tree::Tree;

/// What a pattern of a level is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    Keep,
    Exclude,
    Override,
}

/// The patterns of a level that are held against paths of its packages.
fn patterns(level: &Level) -> impl Iterator<Item = (Use, &str)> {
    let chosen =
        level.selection.iter().map(|(keeps, text)| (if *keeps { Use::Keep } else { Use::Exclude }, text.as_str()));
    chosen.chain(level.overrides.iter().map(|text| (Use::Override, text.as_str())))
}

/// Says whether the words of a level are looked at.
fn is_own(level: &Level) -> bool {
    level.root.is_some()
}

/// Gives the numbers of a level's patterns that match nothing in one of its packages.
#[must_use]
pub fn unmatched(level: &Level, tree: &Tree) -> BTreeSet<usize> {
    if !is_own(level) {
        return BTreeSet::new();
    }
    let patterns = patterns(level).enumerate().filter_map(|(at, (_, text))| Some((at, Pattern::new(text).ok()?)));
    let mut unmatched = Unmatched::new(patterns);
    for (path, _) in tree {
        unmatched.meet(path);
    }
    unmatched.left()
}

/// Warns of patterns of all levels that match nothing.
#[must_use]
pub fn of_patterns(levels: &[Level], parts: &[Arc<Part>], union: &Union) -> Vec<String> {
    let mut warnings = Vec::new();
    for (at, level) in levels.iter().enumerate().filter(|(_, level)| is_own(level)) {
        let all: Vec<(Use, &str)> = patterns(level).collect();
        let mut left: BTreeSet<usize> = (0..all.len()).collect();
        for package in parts.iter().filter(|part| part.level == at).filter_map(|part| part.package.as_ref()) {
            left.retain(|number| package.unmatched.contains(number));
        }
        for (what, text) in left.into_iter().map(|number| all[number]) {
            let (name, shown) = (Escaped::text(&level.name), Escaped::text(text));
            let below = Some(text).filter(|_| what == Use::Exclude).and_then(|text| below(text, at, parts, union));
            let below = below.map(|level| Escaped::text(&levels[level].name).to_string());
            warnings.push(warning(&match (what, below) {
                (Use::Exclude, Some(below)) => format!(
                    "{name} excludes {shown}, which {below} brings: a definition leaves out files of its own packages only, \
                     so say it in {below}"
                ),
                (Use::Exclude, None) => format!("{name} excludes {shown}, which none of its packages has"),
                (Use::Keep, _) => format!("{name} keeps {shown}, which none of its packages has"),
                (Use::Override, _) => format!("{name} overrides {shown}, which none of its packages has"),
            }));
        }
    }
    warnings
}

/// Gives the level below that brings what a pattern matches.
fn below(text: &str, at: usize, parts: &[Arc<Part>], union: &Union) -> Option<usize> {
    let pattern = Pattern::new(text).ok()?;
    let brought = union.iter().filter(|(path, _)| pattern.matches(path)).map(|(_, slot)| &parts[slot.owner]);
    brought.filter(|part| part.level < at).map(|part| part.level).max()
}

/// Warns of waivers that accepted nothing.
#[must_use]
pub fn of_waivers(levels: &[Level], waivers: &Waivers<'_>) -> Vec<String> {
    let all = levels.iter().flat_map(|level| level.waivers.iter().map(move |waiver| (level, waiver)));
    let unused = all.enumerate().filter(|(at, (level, _))| is_own(level) && waivers.is_unused(*at));
    unused
        .map(|(_, (level, waiver))| {
            let (name, from, to) = (Escaped::text(&level.name), Escaped::text(&waiver.from), Escaped::text(&waiver.to));
            warning(&format!("{name} waives {from} -> {to}, which nothing lacks"))
        })
        .collect()
}

/// Warns of fix-ups that are skipped and would have made nothing; `makes` says whether one makes something.
#[must_use]
pub fn of_fixups(levels: &[Level], makes: impl Fn(&str) -> bool) -> Vec<String> {
    let own = levels.iter().filter(|level| is_own(level));
    let skipped: BTreeSet<(&str, &str)> =
        own.flat_map(|level| level.skip.iter().map(|skip| (skip.as_str(), level.name.as_str()))).collect();
    let useless = skipped.into_iter().filter(|(skip, _)| !makes(skip));
    useless
        .map(|(skip, name)| warning(&format!("{} skips {skip}, which would make nothing here", Escaped::text(name))))
        .collect()
}
