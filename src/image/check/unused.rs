//! Words of a definition that do nothing: patterns that match no path, waivers that accept nothing, fix-ups that
//! are skipped and would have made nothing.
//!
//! Whoever wrote one believes that it does something, so it is a warning. Definitions that are built into the program
//! are not looked at: nobody can change them, and packages differ from one release of a distribution to the next.

use std::collections::{BTreeMap, BTreeSet};

use super::note::Note;
use super::waivers::Waivers;
use crate::definition::{Fixup, Level, Use};
use crate::rootfs::Rootfs;
use dlstore_model::escape::Escaped;
use dlstore_model::glob::{Pattern, Unmatched};
use dlstore_model::shown::Shown;

/// Warns of patterns of all levels that match nothing.
pub(super) fn of_patterns(levels: &[Level], rootfs: &Rootfs) -> Vec<Note> {
    let mut warnings = Shown::default();
    for (at, level) in levels.iter().enumerate().filter(|(_, level)| level.is_own()) {
        let all: Vec<(Use, &str)> = level.patterns().collect();
        let mut left: BTreeSet<usize> = (0..all.len()).collect();
        for (_, _, package) in rootfs.packages().filter(|(_, part, _)| part.level == at) {
            left.retain(|number| package.unmatched.contains(number));
        }
        let excluded = left.iter().copied().filter(|number| all[*number].0 == Use::Exclude);
        let below = below(excluded.map(|number| (number, all[number].1)), at, rootfs);
        for number in left {
            let (what, text) = all[number];
            let (name, shown) = (Escaped::text(&level.name), Escaped::text(text));
            warnings.push(|| match (what, below.get(&number)) {
                (Use::Exclude, Some(below)) if !levels[*below].is_own() => {
                    let below = Escaped::text(&levels[*below].name);
                    format!(
                        "{name} excludes {shown}, which is in {below}: a definition can exclude only files of its own \
                         packages, and {below} is built in"
                    )
                }
                (Use::Exclude, Some(below)) => {
                    let below = Escaped::text(&levels[*below].name);
                    format!(
                        "{name} excludes {shown}, which is in {below}: a definition can exclude only files of its own \
                         packages, so exclude it in {below}"
                    )
                }
                (Use::Exclude, None) => format!("{name} excludes {shown}, which matches nothing in its packages"),
                (Use::Keep, _) => format!("{name} keeps {shown}, which matches nothing in its packages"),
                (Use::Override, _) => format!("{name} overrides {shown}, which matches nothing in its packages"),
            });
        }
    }
    warnings.with_rest("patterns match nothing").into_iter().map(Note::warning).collect()
}

/// Finds the levels below one that bring what patterns match.
fn below<'t>(texts: impl Iterator<Item = (usize, &'t str)>, at: usize, rootfs: &Rootfs) -> BTreeMap<usize, usize> {
    let mut unmatched = Unmatched::new(texts.filter_map(|(number, text)| Some((number, Pattern::new(text).ok()?))));
    let mut found = BTreeMap::new();
    for (path, slot) in rootfs.iter() {
        let level = rootfs.parts()[slot.owner].level;
        if level < at {
            unmatched.meet(path, |number| {
                found.insert(number, level);
            });
        }
    }
    found
}

/// Warns of waivers that accepted nothing.
pub(super) fn of_waivers(levels: &[Level], waivers: &Waivers<'_>) -> Vec<Note> {
    let all = levels.iter().flat_map(|level| level.waivers.iter().map(move |waiver| (level, waiver)));
    let mut warnings = Shown::default();
    for (_, (level, waiver)) in all.enumerate().filter(|(at, (level, _))| level.is_own() && waivers.is_unused(*at)) {
        warnings.push(|| {
            let (name, from, to) = (Escaped::text(&level.name), Escaped::text(&waiver.from), Escaped::text(&waiver.to));
            format!("{name} waives {from} -> {to}, but nothing needs that waiver")
        });
    }
    warnings.with_rest("waivers accept nothing").into_iter().map(Note::warning).collect()
}

/// Warns of fix-ups that are skipped and would have made nothing; `makes` says whether one makes something.
pub(crate) fn of_fixups(levels: &[Level], makes: impl Fn(Fixup) -> bool) -> Vec<Note> {
    let own = levels.iter().filter(|level| level.is_own());
    let skipped: BTreeSet<(Fixup, &str)> =
        own.flat_map(|level| level.skip.iter().map(|skip| (*skip, level.name.as_str()))).collect();
    let useless = skipped.into_iter().filter(|(skip, _)| !makes(*skip));
    let sentence = |(skip, name)| format!("{} skips {skip}, which would make nothing here", Escaped::text(name));
    useless.map(sentence).map(Note::warning).collect()
}
