//! Words of a definition that do nothing: patterns that match no path, waivers that accept nothing, fix-ups that
//! are skipped and would have made nothing.
//!
//! Whoever wrote one believes that it does something, so it is a warning. Definitions that are built into the program
//! are not looked at: nobody can change them, and packages differ from one release of a distribution to the next.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::Shown;
use super::super::notes::warning;
use super::waivers::Waivers;
use crate::definition::Level;
use crate::rootfs::part::Part;
use crate::rootfs::union::Union;
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
        unmatched.meet(path, |_| {});
    }
    unmatched.left()
}

/// Warns of patterns of all levels that match nothing.
#[must_use]
pub fn of_patterns(levels: &[Level], parts: &[Arc<Part>], union: &Union) -> Vec<String> {
    let mut warnings = Shown::default();
    for (at, level) in levels.iter().enumerate().filter(|(_, level)| is_own(level)) {
        let all: Vec<(Use, &str)> = patterns(level).collect();
        let mut left: BTreeSet<usize> = (0..all.len()).collect();
        for package in parts.iter().filter(|part| part.level == at).filter_map(|part| part.package.as_ref()) {
            left.retain(|number| package.unmatched.contains(number));
        }
        let excluded = left.iter().copied().filter(|number| all[*number].0 == Use::Exclude);
        let below = below(excluded.map(|number| (number, all[number].1)), at, parts, union);
        for number in left {
            let (what, text) = all[number];
            let (name, shown) = (Escaped::text(&level.name), Escaped::text(text));
            warnings.push(|| match (what, below.get(&number)) {
                (Use::Exclude, Some(below)) => {
                    let below = Escaped::text(&levels[*below].name);
                    format!(
                        "{name} excludes {shown}, which {below} brings: a definition leaves out files of its own packages \
                         only, so say it in {below}"
                    )
                }
                (Use::Exclude, None) => format!("{name} excludes {shown}, which none of its packages has"),
                (Use::Keep, _) => format!("{name} keeps {shown}, which none of its packages has"),
                (Use::Override, _) => format!("{name} overrides {shown}, which none of its packages has"),
            });
        }
    }
    warnings.with_rest("patterns match nothing").iter().map(|sentence| warning(sentence)).collect()
}

/// Finds the levels below one that bring what patterns match.
fn below<'t>(
    texts: impl Iterator<Item = (usize, &'t str)>,
    at: usize,
    parts: &[Arc<Part>],
    union: &Union,
) -> BTreeMap<usize, usize> {
    let mut unmatched = Unmatched::new(texts.filter_map(|(number, text)| Some((number, Pattern::new(text).ok()?))));
    let mut found = BTreeMap::new();
    for (path, slot) in union.iter() {
        let level = parts[slot.owner].level;
        if level < at {
            unmatched.meet(path, |number| {
                found.insert(number, level);
            });
        }
    }
    found
}

/// Warns of waivers that accepted nothing.
#[must_use]
pub fn of_waivers(levels: &[Level], waivers: &Waivers<'_>) -> Vec<String> {
    let all = levels.iter().flat_map(|level| level.waivers.iter().map(move |waiver| (level, waiver)));
    let mut warnings = Shown::default();
    for (_, (level, waiver)) in all.enumerate().filter(|(at, (level, _))| is_own(level) && waivers.is_unused(*at)) {
        warnings.push(|| {
            let (name, from, to) = (Escaped::text(&level.name), Escaped::text(&waiver.from), Escaped::text(&waiver.to));
            format!("{name} waives {from} -> {to}, which nothing lacks")
        });
    }
    warnings.with_rest("waivers accept nothing").iter().map(|sentence| warning(sentence)).collect()
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
