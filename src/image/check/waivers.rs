//! Waivers: what an image does without, because its definition says so and why.
//!
//! `FROM -> TO: reason` names who needs something, a package, files by a pattern or a key of the definition, and
//! what that is. Of several that accept one thing the first gives the reason; all of them have been used.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};

use crate::definition::{Level, Waiver};
use dlstore_model::glob::{Pattern, PatternSet, Unmatched};
use dlstore_model::path::TreePath;

/// The waivers of all levels in order, by what may be lacking.
pub(super) struct Waivers<'w> {
    all: Vec<&'w Waiver>,
    by_name: HashMap<&'w [u8], WhoMayLack<'w>>,
    used: RefCell<BTreeSet<usize>>,
}

/// Numbers of waivers, by the file or the package that may lack something.
#[derive(Default)]
struct WhoMayLack<'w> {
    files: PatternSet,
    /// Those of `files`, each by itself, until it was used.
    unused: RefCell<Unmatched>,
    names: HashMap<&'w str, Vec<usize>>,
}

impl<'w> Waivers<'w> {
    /// Takes those of all levels.
    pub(super) fn of(levels: &'w [Level]) -> Self {
        let all: Vec<&Waiver> = levels.iter().flat_map(|level| &level.waivers).collect();
        let mut files: HashMap<&[u8], Vec<(usize, Pattern)>> = HashMap::new();
        let mut by_name: HashMap<&[u8], WhoMayLack<'_>> = HashMap::new();
        for (at, one) in all.iter().enumerate() {
            by_name.entry(one.to.as_bytes()).or_default().names.entry(&one.from).or_default().push(at);
            if let Ok(pattern) = Pattern::new(&one.from) {
                files.entry(one.to.as_bytes()).or_default().push((at, pattern));
            }
        }
        for (name, patterns) in files {
            let who = by_name.entry(name).or_default();
            who.files = PatternSet::new(patterns.clone());
            who.unused = RefCell::new(Unmatched::new(patterns));
        }
        Self { all, by_name, used: RefCell::default() }
    }

    /// Gives the reason why this may be lacking: to the file at `path`, or to a package or a key of that name.
    pub(super) fn find(&self, path: Option<&TreePath>, who: Option<&str>, what: &[u8]) -> Option<&'w str> {
        let mut first: Option<usize> = None;
        for may_lack in [what, b"*"].into_iter().filter_map(|what| self.by_name.get(what)) {
            let by_name = who.and_then(|name| may_lack.names.get(name)).into_iter().flatten().copied();
            let by_file = path.and_then(|path| may_lack.files.first(path));
            let found: Vec<usize> = by_name.chain(by_file).collect();
            first = first.into_iter().chain(found.iter().copied()).min();
            if found.is_empty() {
                continue;
            }
            let mut used = self.used.borrow_mut();
            used.extend(found);
            if let Some(path) = path {
                may_lack.unused.borrow_mut().meet(path, |at| {
                    used.insert(at);
                });
            }
        }
        first.map(|at| self.all[at].reason.as_str())
    }

    /// Says whether one of a level's waivers, which are counted from `before`, accepted nothing.
    pub(super) fn is_unused(&self, at: usize) -> bool {
        !self.used.borrow().contains(&at)
    }
}
