//! The final tree as a process inside the image sees it: folders listed, links followed.
//!
//! Folders that no entry describes exist when something lies below them. Links are followed as the
//! kernel does, at most 40 of them (`path_resolution(7)`), so no loop of links is endless.
//!
//! Packages decide how much is looked at: by patterns, by long targets of links, by many names. So each
//! folder is listed once, every step of every resolution is counted, and whoever asks stops when
//! [`View::is_spent`] says that it was too much.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use super::Root;
use dlstore_formats::elf::Elf;
use dlstore_model::path::TreePath;
use dlstore_model::tree::{Entry, Node};

/// Most symbolic links in one resolution: the kernel's own limit.
const MAX_LINKS: usize = 40;
/// Most steps: components walked, names listed and compared. The images of a distribution take some
/// hundreds for `ld.so.conf` and ten for each library; this is a second's work at most.
const MOST_STEPS: usize = 2_000_000;

/// Where a path leads when every link is followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// A folder; `None` is the root.
    Folder(Option<TreePath>),
    /// A regular file, by the name that it lies under.
    File(TreePath),
    /// A device or a pipe.
    Other,
}

/// Entries by path, with the questions that a scan asks.
pub(super) struct View<'a> {
    entries: &'a [(TreePath, Entry)],
    root: Root<'a>,
    steps: Cell<usize>,
    listed: RefCell<HashMap<Option<TreePath>, Names<'a>>>,
}

/// The names in a folder, shared by all who ask for them.
pub(super) type Names<'a> = Rc<[&'a [u8]]>;

impl<'a> View<'a> {
    pub(super) fn new(root: &Root<'a>) -> Self {
        let (steps, listed) = (Cell::new(0), RefCell::default());
        Self { entries: root.tree.iter().as_slice(), root: *root, steps, listed }
    }

    /// Counts work that was done.
    pub(super) fn spend(&self, steps: usize) {
        self.steps.set(self.steps.get().saturating_add(steps));
    }

    /// Says whether more was looked at than any honest root needs.
    pub(super) fn is_spent(&self) -> bool {
        self.steps.get() > MOST_STEPS
    }

    /// Gives what the file at `path` is as an ELF file, whichever of its names that is.
    pub(super) fn elf(&self, path: &TreePath) -> Option<&'a Elf> {
        (self.root.elf)(path).or_else(|| match &self.root.tree.get(path)?.node {
            Node::HardLink { target } => (self.root.elf)(target),
            _ => None,
        })
    }

    /// Gives the bytes of the file that `path` leads to.
    pub(super) fn text(&self, path: &[u8]) -> Option<Vec<u8>> {
        match self.resolve(path)? {
            Found::File(path) => (self.root.text)(&path),
            _ => None,
        }
    }

    /// Gives the names in a folder in bytewise order; `None` is the root. Each folder is listed once.
    pub(super) fn names(&self, folder: Option<&TreePath>) -> Names<'a> {
        let key = folder.cloned();
        if let Some(known) = self.listed.borrow().get(&key) {
            return Rc::clone(known);
        }
        let prefix = folder.map_or_else(Vec::new, |path| [path.as_bytes(), b"/"].concat());
        let before = |bound: &[u8]| self.entries.partition_point(|(path, _)| path.as_bytes() < bound);
        let mut at = before(&prefix);
        let mut names: Vec<&'a [u8]> = Vec::new();
        while let Some(rest) = self.entries.get(at).and_then(|(path, _)| path.as_bytes().strip_prefix(&prefix[..])) {
            match rest.iter().position(|byte| *byte == b'/') {
                None => {
                    names.push(rest);
                    at += 1;
                }
                // All that lies below this name ends before the name with the character behind the slash.
                Some(end) => {
                    names.push(&rest[..end]);
                    at = before(&[&prefix[..], &rest[..end], b"0"].concat());
                }
            }
        }
        names.sort_unstable();
        names.dedup();
        self.spend(names.len());
        let names: Names<'a> = names.into();
        self.listed.borrow_mut().insert(key, Rc::clone(&names));
        names
    }

    /// Gives the entry at exactly this path, links not followed.
    pub(super) fn entry(&self, path: &TreePath) -> Option<&'a Entry> {
        self.root.tree.get(path)
    }

    /// Follows a path from the root, links included. A relative path begins at the root too, where
    /// `ldconfig -r` stands.
    pub(super) fn resolve(&self, path: &[u8]) -> Option<Found> {
        let mut todo: VecDeque<Vec<u8>> = parts(path).collect();
        let mut here: Option<TreePath> = None;
        let mut links = 0;
        while let Some(name) = todo.pop_front() {
            self.spend(1);
            if self.is_spent() {
                return None;
            }
            if name == b".." {
                here = here.and_then(|path| path.parent());
                continue;
            }
            let next = match &here {
                Some(folder) => folder.join(&name).ok()?,
                None => TreePath::new(&name).ok()?,
            };
            match self.entry(&next).map(|entry| &entry.node) {
                Some(Node::Folder) => here = Some(next),
                Some(Node::Symlink { target }) => {
                    links += 1;
                    if links > MAX_LINKS {
                        return None;
                    }
                    if target.starts_with(b"/") {
                        here = None;
                    }
                    for part in parts(target).collect::<Vec<_>>().into_iter().rev() {
                        todo.push_front(part);
                    }
                }
                Some(_) if !todo.is_empty() => return None,
                Some(Node::File { .. } | Node::HardLink { .. }) => return Some(Found::File(next)),
                Some(_) => return Some(Found::Other),
                None if self.is_implied(&next) => here = Some(next),
                None => return None,
            }
        }
        Some(Found::Folder(here))
    }

    fn is_implied(&self, folder: &TreePath) -> bool {
        let prefix = [folder.as_bytes(), b"/"].concat();
        let at = self.entries.partition_point(|(path, _)| path.as_bytes() < prefix.as_slice());
        self.entries.get(at).is_some_and(|(path, _)| path.is_below(folder))
    }
}

fn parts(path: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    path.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".").map(<[u8]>::to_vec)
}
