//! The union of parts: which entry stands at each path of an image, and whose it is.
//!
//! - Two equal entries merge; the first part keeps it.
//! - Two folders merge; their modes and owners must agree, unless the definition or a fix-up says.
//! - Else a package that declares `Replaces` of the other wins (versions are compared), of two apks
//!   with one origin the later wins, and what is left is an error that names both and the path.
//! - The definition's own files win over packages. A path of a package that a fix-up makes is an
//!   error, unless the definition lists it in `overrides` (then it was left out before).
//!
//! The loser's entry is dropped from the loser, so no path is ever twice in an image.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use super::ComposeError;
use super::part::{Origin, Part};
use super::run;
use dlstore_formats::package::Format;
use dlstore_model::package::Metadata;
use dlstore_model::path::TreePath;
use dlstore_model::tree::{Entry, Meta, Node, Xattrs};

/// Entries that the parts of an image may have on one architecture, all of them together. So many are added, united and
/// packed by one command in less than 200 MiB; the largest package of real distributions has 116,148.
pub const MOST_ENTRIES: usize = 130_000;

/// One path of the union.
#[derive(Debug, Clone, Copy)]
pub struct Slot<'u> {
    /// Index of the part that has it.
    pub owner: usize,
    /// The entry.
    pub entry: &'u Entry,
}

/// Entries of all parts so far, by path.
#[derive(Default)]
pub struct Union {
    slots: BTreeMap<TreePath, Place>,
    parts: Vec<Arc<Part>>,
    entries: usize,
}

/// Where an entry of the union stands: nothing is there twice, because an image may have hundreds of thousands.
#[derive(Clone, Copy)]
struct Place {
    part: u32,
    entry: u32,
}

impl Union {
    /// Says how many entries all parts have.
    #[must_use]
    pub const fn entries(&self) -> usize {
        self.entries
    }

    fn slot(&self, place: Place) -> Slot<'_> {
        let owner = place.part as usize;
        Slot { owner, entry: &self.parts[owner].entries[place.entry as usize].1 }
    }

    /// Finds what stands at a path.
    #[must_use]
    pub fn get(&self, path: &TreePath) -> Option<Slot<'_>> {
        self.slots.get(path).map(|place| self.slot(*place))
    }

    /// Gives everything in path order.
    pub fn iter(&self) -> impl Iterator<Item = (&TreePath, Slot<'_>)> {
        self.slots.iter().map(|(path, place)| (path, self.slot(*place)))
    }

    /// Gives what lies below a folder.
    pub fn below<'u>(&'u self, folder: &'u TreePath) -> impl Iterator<Item = (&'u TreePath, Slot<'u>)> + 'u {
        self.slots
            .range((Bound::Excluded(folder), Bound::Unbounded))
            .take_while(|(path, _)| path.as_bytes().starts_with(folder.as_bytes()))
            .filter(|(path, _)| path.is_below(folder))
            .map(|(path, place)| (path, self.slot(*place)))
    }

    /// Gives the metadata of a folder in the final tree; `None` when nobody describes it.
    #[must_use]
    pub fn folder(&self, path: &TreePath) -> Option<(Meta, Xattrs)> {
        let slot = self.get(path).filter(|slot| slot.entry.is_folder())?;
        Some((slot.entry.meta, slot.entry.xattrs.clone()))
    }

    /// Adds the entries of the next part.
    ///
    /// # Errors
    /// When two parts want different things at one path and nothing says who wins, or there are too many entries.
    pub fn add(&mut self, part: &Arc<Part>) -> Result<(), ComposeError> {
        self.entries += part.entries.len();
        if self.entries > MOST_ENTRIES {
            return Err(ComposeError::Entries(part.origin.to_string()));
        }
        let number = |at: usize| u32::try_from(at).expect("there are at most MOST_ENTRIES");
        let at = number(self.parts.len());
        self.parts.push(Arc::clone(part));
        for (index, (path, entry)) in part.entries.iter().enumerate() {
            let new = Place { part: at, entry: number(index) };
            let Some(known) = self.slots.get(path).copied() else {
                self.slots.insert(path.clone(), new);
                continue;
            };
            let slot = self.slot(known);
            let holder = &self.parts[slot.owner];
            let winner = if slot.entry.is_folder() && entry.is_folder() {
                merge_folders(path, (slot.entry, holder), (part, entry))?
            } else if same(slot.entry, entry) {
                Winner::Known
            } else {
                decide(path, holder, part)?
            };
            if winner == Winner::New {
                self.slots.insert(path.clone(), new);
            }
        }
        Ok(())
    }

    /// Checks that every entry lies in folders.
    ///
    /// # Errors
    /// When a path leads through a link or a file of some part.
    pub fn check_paths(&self, parts: &[Arc<Part>]) -> Result<(), ComposeError> {
        let mut checked: Option<TreePath> = None;
        for (path, slot) in self.iter() {
            // Neighbours in path order lie in one folder nearly always.
            let parent = path.parent();
            if parent.is_none() || parent == checked {
                continue;
            }
            checked = parent;
            for parent in path.ancestors() {
                match self.get(&parent) {
                    Some(above) if !above.entry.is_folder() => {
                        return Err(ComposeError::Through {
                            path: path.clone(),
                            origin: parts[slot.owner].origin_of(path).to_string(),
                            parent: parent.clone(),
                            holder: parts[above.owner].origin_of(&parent).to_string(),
                        });
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

/// Equal but for the date.
fn same(a: &Entry, b: &Entry) -> bool {
    let dateless = |meta: Meta| Meta { mtime: 0, ..meta };
    a.node == b.node && a.xattrs == b.xattrs && dateless(a.meta) == dateless(b.meta)
}

fn merge_folders(
    path: &TreePath,
    (known, holder): (&Entry, &Part),
    (part, entry): (&Part, &Entry),
) -> Result<Winner, ComposeError> {
    if same(known, entry) {
        return Ok(Winner::Known);
    }
    match (&holder.origin, &part.origin) {
        (_, Origin::Definition(_)) => Ok(Winner::New),
        (Origin::Definition(_), _) => Ok(Winner::Known),
        (_, Origin::Fixup(_)) => Ok(Winner::New),
        _ => Err(conflict(path, holder, part)),
    }
}

#[derive(PartialEq, Eq)]
enum Winner {
    Known,
    New,
}

fn decide(path: &TreePath, holder: &Part, part: &Part) -> Result<Winner, ComposeError> {
    match (&holder.origin, &part.origin) {
        (Origin::Package { .. } | Origin::Embedded, Origin::Definition(_)) => Ok(Winner::New),
        (Origin::Definition(before), Origin::Definition(after)) if before != after => Ok(Winner::New),
        (Origin::Package { .. } | Origin::Embedded, Origin::Fixup(_))
            if run::extends_packages(part.origin_of(path)) =>
        {
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

fn conflict(path: &TreePath, holder: &Part, part: &Part) -> ComposeError {
    ComposeError::Conflict {
        path: path.clone(),
        first: holder.origin_of(path).to_string(),
        second: part.origin_of(path).to_string(),
    }
}

/// Says whether an entry is a regular file or another name of one.
#[must_use]
pub const fn is_file(entry: &Entry) -> bool {
    matches!(entry.node, Node::File { .. } | Node::HardLink { .. })
}
