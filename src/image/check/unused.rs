//! Words of a definition that do nothing: patterns that match no path, waivers that accept nothing, fix-ups that
//! are skipped and would have made nothing.
//!
//! Whoever wrote one believes that it does something, so it is a warning. Definitions that are built into the program
//! are not looked at: nobody can change them, and packages differ from one release of a distribution to the next.
//!
//! A warning is remembered with what was made of the image, and the text of a definition may change without changing that.
//! So its line is looked up when it is told ([`with_line`]).

use std::collections::{BTreeMap, BTreeSet};

use super::note::{Note, Weight};
use super::waivers::Waivers;
use crate::definition::{Fixup, Image, KeyLine, Level, Use, Waiver};
use crate::rootfs::Rootfs;
use dlstore_model::escape::Escaped;
use dlstore_model::glob::{Pattern, Unmatched};
use dlstore_model::shown::Shown;

/// Something that a level says, by how a warning of it begins, and the keys that lead to it.
type Word = (String, [String; 2]);

/// How a warning of something begins; a comma follows.
fn beginning(level: &Level, verb: &str, word: &str) -> String {
    format!("{} {verb} {}", Escaped::text(&level.name), Escaped::text(word))
}

fn of_use(level: &Level, what: Use, text: &str) -> Word {
    let (verb, key) = match what {
        Use::Exclude => ("excludes", "exclude"),
        Use::Keep => ("keeps", "keep"),
        Use::Override => ("overrides", "overrides"),
    };
    let kept_by_exclude = ["exclude".to_owned(), format!("!{text}")];
    let said = [key.to_owned(), text.to_owned()];
    let is_said = level.key_lines.exactly(&[key, text]).is_some();
    (beginning(level, verb, text), if what == Use::Keep && !is_said { kept_by_exclude } else { said })
}

fn of_waiver(level: &Level, Waiver { from, to, reason }: &Waiver) -> Word {
    let accepted = format!("{from} -> {to}");
    (beginning(level, "waives", &accepted), ["waive".to_owned(), format!("{accepted}: {reason}")])
}

fn of_skip(level: &Level, skip: Fixup) -> Word {
    (beginning(level, "skips", skip.name()), ["skip".to_owned(), skip.name().to_owned()])
}

/// Gives all that a level says and may say in vain.
fn words(level: &Level) -> impl Iterator<Item = Word> {
    let patterns = level.patterns().map(move |(what, text)| of_use(level, what, text));
    let waivers = level.waivers.iter().map(move |waiver| of_waiver(level, waiver));
    patterns.chain(waivers).chain(level.skip.iter().map(move |skip| of_skip(level, *skip)))
}

/// Puts the line of the definition in front of a warning about something that it says in vain.
pub(crate) fn with_line(note: Note, image: &Image) -> Note {
    if note.weight != Weight::Warning {
        return note;
    }
    let own = image.levels.iter().filter(|level| level.is_own());
    let all = own.flat_map(|level| words(level).map(move |word| (level, word)));
    let is_meant = |begins: &str| note.text.strip_prefix(begins).is_some_and(|rest| rest.starts_with(','));
    let meant = all.filter(|(_, (begins, _))| is_meant(begins)).max_by_key(|(_, (begins, _))| begins.len());
    let key = meant.and_then(|(level, (_, [key, word]))| level.key_lines.nearest(&[&key, &word]));
    match key.as_ref().and_then(KeyLine::line) {
        Some(line) => Note { text: format!("{line}: {}", note.text), ..note },
        None => note,
    }
}

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
            warnings.push(|| {
                let (says, _) = of_use(level, what, text);
                let Some(below) = below.get(&number).map(|below| &levels[*below]) else {
                    return format!("{says}, which matches nothing in its packages");
                };
                let name = Escaped::text(&below.name);
                let rest =
                    if below.is_own() { format!("so exclude it in {name}") } else { format!("and {name} is built in") };
                format!("{says}, which is in {name}: a definition can exclude only files of its own packages, {rest}")
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
        warnings.push(|| format!("{}, but nothing needs that waiver", of_waiver(level, waiver).0));
    }
    warnings.with_rest("waivers accept nothing").into_iter().map(Note::warning).collect()
}

/// Warns of fix-ups that are skipped and would have made nothing; `makes` says whether one makes something.
pub(crate) fn of_fixups(levels: &[Level], makes: impl Fn(Fixup) -> bool) -> Vec<Note> {
    let own = levels.iter().filter(|level| level.is_own());
    let skipped: BTreeSet<(Fixup, String)> =
        own.flat_map(|level| level.skip.iter().map(|skip| (*skip, of_skip(level, *skip).0))).collect();
    let useless = skipped.into_iter().filter(|(skip, _)| !makes(*skip));
    useless.map(|(_, says)| Note::warning(format!("{says}, which would make nothing here"))).collect()
}
