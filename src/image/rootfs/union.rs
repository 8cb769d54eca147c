//! A rootfs: the union of its parts. Which entry stands at each path, and whose it is.
//!
//! - Two equal entries merge; the first part keeps it.
//! - Two directories merge; their modes and owners must agree, unless the definition or a fix-up says.
//! - Else a package that declares `Replaces` of the other wins (versions are compared), of two apks
//!   with one origin the later wins, and what is left is an error that names both and the path.
//! - The definition's own files win over packages. A path of a package that a fix-up makes is an
//!   error, unless the definition lists it in `overrides` (then it was left out before).
//! - What a package replaces is noted. A loader or a libc is replaced only where the definition says
//!   `overrides = ["LOSER: PATH"]`, which decides between any two packages.
//!
//! The loser's entry is dropped from the loser, so no path is ever twice in an image. Where that was the first name of a
//! hard-link group, the next name that is left becomes the file.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use super::RootfsError;
use super::part::{Origin, PackageView, Part};
use crate::definition::Level;
use crate::definition::fixup::Replaces;
use dlstore_formats::package::Format;
use dlstore_model::escape::Escaped;
use dlstore_model::glob::{Pattern, PatternSet};
use dlstore_model::package::Metadata;
use dlstore_model::path::TreePath;
use dlstore_model::shown::Shown;
use dlstore_model::tree::{Entry, Meta, Node, Xattrs};

/// Entries that the parts of an image may have on one architecture, all of them together. So many are added, united and
/// packed by one command in less than 200 MiB; the largest package of real distributions has 116,148.
pub(crate) const MOST_ENTRIES: usize = 130_000;

/// One path of a rootfs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slot<'r> {
    /// Index of the part that has it.
    pub(crate) owner: usize,
    /// The entry.
    pub(crate) entry: &'r Entry,
}

/// All parts so far, and what stands where.
#[derive(Default)]
pub(crate) struct Rootfs {
    slots: BTreeMap<TreePath, Place>,
    parts: Vec<Arc<Part>>,
    entries: usize,
    /// What of which package others may replace, because the definition says so.
    replaceable: HashMap<String, PatternSet>,
    /// What was replaced in packages, for people.
    notes: Shown<String>,
    /// Parts that lost a file.
    losers: BTreeSet<usize>,
}

/// Where an entry of the union stands: nothing is listed twice, because an image may have hundreds of thousands.
#[derive(Clone, Copy)]
struct Place {
    part: u32,
    entry: u32,
}

impl Rootfs {
    /// An empty one for the levels of an image, which may say who replaces whom.
    pub(crate) fn of(levels: &[Level]) -> Self {
        let mut patterns: HashMap<String, Vec<Pattern>> = HashMap::new();
        for (package, pattern) in levels.iter().flat_map(Level::replaceable) {
            patterns.entry(package.to_owned()).or_default().extend(Pattern::new(pattern));
        }
        let sets = patterns.into_iter().map(|(package, list)| (package, PatternSet::new(list.into_iter().enumerate())));
        Self { replaceable: sets.collect(), ..Self::default() }
    }

    /// Gives what was replaced, in lines for people.
    pub(crate) fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes).with_rest("are replaced by other packages")
    }

    /// Says how many entries all parts have.
    pub(crate) const fn entries(&self) -> usize {
        self.entries
    }

    fn slot(&self, place: Place) -> Slot<'_> {
        let owner = place.part as usize;
        Slot { owner, entry: &self.parts[owner].entries[place.entry as usize].1 }
    }

    /// Finds what stands at a path.
    pub(crate) fn get(&self, path: &TreePath) -> Option<Slot<'_>> {
        self.slots.get(path).map(|place| self.slot(*place))
    }

    /// Gives everything in path order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&TreePath, Slot<'_>)> {
        self.slots.iter().map(|(path, place)| (path, self.slot(*place)))
    }

    /// Gives the paths that lie below a directory.
    pub(crate) fn below(&self, directory: &TreePath) -> impl Iterator<Item = &TreePath> {
        let prefix = [directory.as_bytes(), b"/"].concat();
        self.from(&prefix).take_while(move |path| path.as_bytes().starts_with(&prefix))
    }

    /// Gives the names of what lies in the directory whose path and a slash are `prefix`, the empty one for the root.
    /// Those of directories may come more than once, as each of their own entries would have it.
    pub(crate) fn names(&self, prefix: &[u8]) -> Vec<&[u8]> {
        let mut names: Vec<&[u8]> = Vec::new();
        let mut left = self.from(prefix);
        while let Some(rest) = left.next().and_then(|path| path.as_bytes().strip_prefix(prefix)) {
            match rest.iter().position(|byte| *byte == b'/') {
                None => names.push(rest),
                // All that lies below this name ends before the name with the character behind the slash.
                Some(end) => {
                    names.push(&rest[..end]);
                    left = self.from(&[prefix, &rest[..end], b"0"].concat());
                }
            }
        }
        names
    }

    fn from(&self, bound: &[u8]) -> impl Iterator<Item = &TreePath> + use<'_> {
        self.slots.range::<[u8], _>((Bound::Included(bound), Bound::Unbounded)).map(|(path, _)| path)
    }

    /// Gives all parts in their order.
    pub(crate) fn parts(&self) -> &[Arc<Part>] {
        &self.parts
    }

    /// Gives the packages among the parts: the number of the part, the part, and what is known of the package.
    pub(crate) fn packages(&self) -> impl DoubleEndedIterator<Item = (usize, &Part, &PackageView)> {
        self.parts.iter().enumerate().filter_map(|(at, part)| Some((at, part.as_ref(), part.package.as_ref()?)))
    }

    /// Gives what is known of the files of all parts, of those that stand in the rootfs.
    pub(crate) fn facts<'r, T: 'r, I: Iterator<Item = (&'r TreePath, T)> + 'r>(
        &'r self,
        of: impl Fn(&'r Part) -> I + 'r,
    ) -> impl Iterator<Item = (&'r TreePath, T)> + 'r {
        let parts = self.parts.iter().enumerate();
        parts.flat_map(move |(at, part)| {
            of(part).filter(move |(path, _)| self.get(path).is_some_and(|slot| slot.owner == at))
        })
    }

    /// Gives the metadata of a directory in the final tree; `None` when nobody describes it.
    pub(crate) fn directory(&self, path: &TreePath) -> Option<(Meta, Xattrs)> {
        let slot = self.get(path).filter(|slot| slot.entry.is_directory())?;
        Some((slot.entry.meta, slot.entry.xattrs.clone()))
    }

    /// Adds the entries of the next part.
    ///
    /// # Errors
    /// When two parts want different things at one path and nothing says who wins, or there are too many entries.
    pub(crate) fn add(&mut self, part: impl Into<Arc<Part>>) -> Result<(), RootfsError> {
        let part = part.into();
        self.entries += part.entries.len();
        if self.entries > MOST_ENTRIES {
            return Err(RootfsError::Entries(part.origin.to_string()));
        }
        let number = |at: usize| u32::try_from(at).expect("there are at most MOST_ENTRIES");
        let at = number(self.parts.len());
        self.parts.push(Arc::clone(&part));
        for (index, (path, entry)) in part.entries.iter().enumerate() {
            let new = Place { part: at, entry: number(index) };
            let Some(known) = self.slots.get(path).copied() else {
                self.slots.insert(path.clone(), new);
                continue;
            };
            let slot = self.slot(known);
            let owner = slot.owner;
            let (holder, was_file) = (&self.parts[owner], matches!(slot.entry.node, Node::File { .. }));
            let winner = if slot.entry.is_directory() && entry.is_directory() {
                merge_directories(path, (slot.entry, holder), (&part, entry))?
            } else if is_same(slot.entry, entry) && file_of(holder, slot.entry) == file_of(&part, entry) {
                Winner::Known
            } else {
                let (winner, reason) = self.decide(path, holder, &part)?;
                if let Some(reason) = reason {
                    let (winner, loser) = if winner == Winner::New { (&part, holder) } else { (holder, &part) };
                    let (winner, loser) = (winner.whose(path), loser.whose(path));
                    self.notes.push(|| format!("{path} of {loser} is replaced by {winner} ({reason})"));
                }
                winner
            };
            match winner {
                Winner::New => {
                    self.slots.insert(path.clone(), new);
                    self.losers.extend(was_file.then_some(owner));
                }
                Winner::Known => self.losers.extend(matches!(entry.node, Node::File { .. }).then_some(at as usize)),
            }
        }
        Ok(())
    }

    /// Says whether the definition lets others take a path of a package.
    pub(crate) fn may_lose(&self, package: &str, path: &TreePath) -> bool {
        self.replaceable.get(package).is_some_and(|patterns| patterns.first(path).is_some())
    }

    /// Says which of two parts has a path, and why one package's goes before another's.
    fn decide(
        &self,
        path: &TreePath,
        holder: &Part,
        part: &Part,
    ) -> Result<(Winner, Option<&'static str>), RootfsError> {
        if let (Some(known), Some(new)) = (&holder.package, &part.package) {
            let (known, new) = (&known.control.metadata, &new.control.metadata);
            let may_lose = |package: &Metadata| self.may_lose(&package.name, path);
            if may_lose(known) {
                return Ok((Winner::New, Some(SAID)));
            }
            if may_lose(new) {
                return Ok((Winner::Known, Some(SAID)));
            }
        }
        let winner = decide(path, holder, part)?;
        let (Some(known), Some(new)) = (&holder.package, &part.package) else { return Ok((winner, None)) };
        let (known, new) = (&known.control.metadata, &new.control.metadata);
        let (first, second) = if winner == Winner::New { (new, known) } else { (known, new) };
        let reason = if first.replaces(second) { "Replaces" } else { "same origin" };
        if is_libc(path.name()) {
            let (winner, loser) = if winner == Winner::New { (part, holder) } else { (holder, part) };
            return Err(RootfsError::Replaced {
                path: path.clone(),
                loser: loser.whose(path),
                package: second.name.to_string(),
                winner: winner.whose(path),
                reason,
            });
        }
        Ok((winner, Some(reason)))
    }

    /// Gives the files whose first name others took to the next name that is left of their hard-link group.
    pub(crate) fn relink(&mut self) {
        for at in std::mem::take(&mut self.losers) {
            if let Some(part) = self.relinked(at) {
                self.parts[at] = Arc::new(part);
            }
        }
    }

    /// A part with its hard links as they are left; `None` when it has none to change.
    fn relinked(&self, at: usize) -> Option<Part> {
        let part = &self.parts[at];
        let stays = |path: &TreePath| self.slots.get(path).is_some_and(|place| place.part as usize == at);
        // By the name that is lost: the name that is the file now.
        let mut heirs: BTreeMap<&TreePath, &TreePath> = BTreeMap::new();
        for (path, entry) in &part.entries {
            if let Node::HardLink { target } = &entry.node
                && stays(path)
                && !stays(target)
            {
                heirs.entry(target).or_insert(path);
            }
        }
        if heirs.is_empty() {
            return None;
        }
        let mut changed = Part { alone: None, ..Part::clone(part) };
        for (path, entry) in &mut changed.entries {
            let Node::HardLink { target } = &entry.node else { continue };
            let Some(heir) = heirs.get(target) else { continue };
            entry.node =
                if path == *heir { file_of(part, entry).clone() } else { Node::HardLink { target: (*heir).clone() } };
        }
        for (path, _) in &mut changed.elf {
            if let Some(heir) = heirs.get(path) {
                *path = (*heir).clone();
            }
        }
        for (lost, heir) in &heirs {
            if let Some(start) = changed.starts.remove(*lost) {
                changed.starts.insert((*heir).clone(), start);
            }
        }
        if let Some(package) = &mut changed.package {
            for (lost, heir) in heirs {
                if let Some(sum) = package.sha1s.get(lost).copied() {
                    package.sha1s.entry(heir.clone()).or_insert(sum);
                }
            }
        }
        Some(changed)
    }

    /// Gives a link's target, and the path that a path below it would have there.
    fn behind(path: &TreePath, link: &TreePath, target: &[u8]) -> Option<(String, TreePath)> {
        let rest = path.as_bytes().strip_prefix(link.as_bytes())?.strip_prefix(b"/")?;
        let instead = link.resolve_target(target)?.join(rest).ok()?;
        Some((Escaped::bytes(target).to_string(), instead))
    }

    /// Checks that every entry lies in directories.
    ///
    /// # Errors
    /// When a path leads through a link or a file of some part.
    pub(crate) fn check_paths(&self) -> Result<(), RootfsError> {
        let mut checked: Option<TreePath> = None;
        for (path, slot) in self.iter() {
            // Neighbours in path order lie in one directory nearly always.
            let parent = path.parent();
            if parent.is_none() || parent == checked {
                continue;
            }
            checked = parent;
            for parent in path.ancestors() {
                match self.get(&parent) {
                    Some(above) if !above.entry.is_directory() => {
                        let link = match &above.entry.node {
                            Node::Symlink { target } => Self::behind(path, &parent, target),
                            _ => None,
                        };
                        return Err(RootfsError::Through {
                            path: path.clone(),
                            origin: self.parts[slot.owner].whose(path),
                            parent: parent.clone(),
                            holder: self.parts[above.owner].whose(&parent),
                            link,
                        });
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

/// Equal in mode, owner and attributes.
fn is_same(a: &Entry, b: &Entry) -> bool {
    let dateless = |meta: Meta| Meta { mtime: 0, ..meta };
    a.xattrs == b.xattrs && dateless(a.meta) == dateless(b.meta)
}

/// What stands at an entry, for another name of a file the file itself.
fn file_of<'p>(part: &'p Part, entry: &'p Entry) -> &'p Node {
    match &entry.node {
        Node::HardLink { target } => {
            let file = part.entries.binary_search_by(|(path, _)| path.cmp(target));
            file.map_or(&entry.node, |at| &part.entries[at].1.node)
        }
        node => node,
    }
}

fn merge_directories(
    path: &TreePath,
    (known, holder): (&Entry, &Part),
    (part, entry): (&Part, &Entry),
) -> Result<Winner, RootfsError> {
    if is_same(known, entry) {
        return Ok(Winner::Known);
    }
    match (&holder.origin, &part.origin) {
        (_, Origin::Definition(_)) => Ok(Winner::New),
        (Origin::Definition(_), _) => Ok(Winner::Known),
        (_, Origin::Fixup(..)) => Ok(Winner::New),
        _ => Err(conflict(path, holder, part)),
    }
}

/// The reason where the definition decides.
const SAID: &str = "as the definition says";

/// Says whether what a fix-up makes goes before what a package ships at the same path: where the fix-up was given the
/// package's own file and extends it.
fn extends_packages(origin: &Origin) -> bool {
    matches!(origin, Origin::Fixup(fixup, _) if fixup.replaces() == Replaces::WhatItExtends)
}

/// Says whether a file name is that of a dynamic loader.
pub(crate) fn is_loader(name: &[u8]) -> bool {
    [b"ld-linux".as_slice(), b"ld-musl-", b"ld64.so."].iter().any(|start| name.starts_with(start))
        && name.windows(3).any(|part| part == b".so")
}

/// Says whether a file name is that of a dynamic loader or of a libc.
fn is_libc(name: &[u8]) -> bool {
    is_loader(name) || [b"libc.so".as_slice(), b"libc.musl-"].iter().any(|start| name.starts_with(start))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Winner {
    Known,
    New,
}

fn decide(path: &TreePath, holder: &Part, part: &Part) -> Result<Winner, RootfsError> {
    match (&holder.origin, &part.origin) {
        (Origin::Package { .. } | Origin::Embedded, Origin::Definition(_)) => Ok(Winner::New),
        (Origin::Definition(before), Origin::Definition(after)) if before != after => Ok(Winner::New),
        (Origin::Package { .. } | Origin::Embedded, Origin::Fixup(..)) if extends_packages(part.origin_of(path)) => {
            Ok(Winner::New)
        }
        _ => {
            let (Some(known), Some(new)) = (&holder.package, &part.package) else {
                return Err(conflict(path, holder, part));
            };
            let (known, new) = (&known.control.metadata, &new.control.metadata);
            match (new.replaces(known), known.replaces(new)) {
                (true, true) if new.replaces_priority < known.replaces_priority => Ok(Winner::Known),
                (true, _) => Ok(Winner::New),
                (false, true) => Ok(Winner::Known),
                (false, false) if same_origin(known, new) => Ok(Winner::New),
                (false, false) => Err(conflict(path, holder, part)),
            }
        }
    }
}

/// apk-tools lets packages of one origin overwrite each other; Debian does not.
fn same_origin(a: &Metadata, b: &Metadata) -> bool {
    a.format == Format::Apk && b.format == Format::Apk && a.origin == b.origin
}

fn conflict(path: &TreePath, holder: &Part, part: &Part) -> RootfsError {
    RootfsError::Conflict { path: path.clone(), first: holder.whose(path), second: part.whose(path) }
}

/// Says whether an entry is a regular file or another name of one.
pub(crate) const fn is_file(entry: &Entry) -> bool {
    matches!(entry.node, Node::File { .. } | Node::HardLink { .. })
}
