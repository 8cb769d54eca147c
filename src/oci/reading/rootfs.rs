//! Layers over one another, as a runtime unpacks them.
//!
//! - what a layer hides is hidden of lower layers only, wherever the whiteout stands in the archive;
//! - a directory on a directory keeps what is in it; anything else replaces what is there, with all below it;
//! - a path through a link of the rootfs lies where the link leads, never outside (containerd and podman do so);
//! - directories that nobody lists are made: 0755, root's;
//! - a hard link is another name of what its target is by then, and stays it when the target goes.
//!
//! In the outcome the bytewise first name of a group of hard links is the file, as in every tree of this program.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;

use super::error::ReadError;
use super::layer::{Added, Changes};
use dlstore_model::path::TreePath;
use dlstore_model::tree::{Entry, Meta, Node};

/// Links that are followed on the way to one path; Linux follows as many.
const MOST_LINKS: usize = 40;
/// Bytes of the paths of directories that are made because nobody lists them: a path may have 2,000 above it.
const MOST_IMPLIED: usize = 16 << 20;
/// Bytes of the paths that are gone through on ways with links; a link may lead through 2,000 directories.
const MOST_WALKED: usize = 256 << 20;

/// The files of a platform.
#[derive(Default)]
pub struct Rootfs {
    names: BTreeMap<TreePath, Name>,
    inodes: Vec<Inode>,
    /// Bytes of the paths of directories that nobody listed.
    implied: usize,
    /// Bytes of the paths that were gone through.
    walked: usize,
}

/// What a path leads to, and the layer that put it there.
#[derive(Clone, Copy)]
struct Name {
    inode: usize,
    layer: usize,
}

struct Inode {
    entry: Entry,
    content: Option<Vec<u8>>,
}

/// A path of a rootfs.
pub struct File {
    /// The path.
    pub path: TreePath,
    /// What stands there.
    pub entry: Entry,
    /// The layer that put it there, from 0.
    pub layer: usize,
}

impl Rootfs {
    /// Gives the content that was kept of a file.
    #[must_use]
    pub fn content(&self, path: &TreePath) -> Option<&[u8]> {
        self.inodes[self.names.get(path)?.inode].content.as_deref()
    }

    /// Gives the paths below a directory.
    pub fn below<'r>(&'r self, directory: &TreePath) -> impl Iterator<Item = &'r TreePath> + use<'r> {
        below(&self.names, directory).map(|(path, _)| path)
    }

    /// Gives all paths, sorted.
    #[must_use]
    pub fn into_files(self) -> Vec<File> {
        let mut first: HashMap<usize, TreePath> = HashMap::new();
        let mut files = Vec::with_capacity(self.names.len());
        for (path, Name { inode, layer }) in self.names {
            let mut entry = self.inodes[inode].entry.clone();
            if matches!(entry.node, Node::File { .. }) {
                match first.get(&inode) {
                    Some(target) => entry.node = Node::HardLink { target: target.clone() },
                    None => drop(first.insert(inode, path.clone())),
                }
            }
            files.push(File { path, entry, layer });
        }
        files
    }

    /// Puts a layer on top; `place` is where it stands.
    pub(super) fn apply(&mut self, changes: Changes, layer: usize, place: &str) -> Result<(), ReadError> {
        let wrong = |why: String| ReadError::Content { place: place.to_owned(), why };
        let new = self.new_directories(&changes.added);
        let is_new = |path: &TreePath| {
            !new.is_empty() && std::iter::successors(path.parent(), TreePath::parent).any(|at| new.contains(&at))
        };
        // What cannot be there below cannot be hidden either.
        for directory in changes.emptied {
            match directory {
                None => self.names.clear(),
                Some(directory) if new.contains(&directory) || is_new(&directory) => {}
                Some(directory) => {
                    if let Ok(Some(directory)) = self.find(&directory) {
                        self.clear(&directory);
                    }
                }
            }
        }
        for path in changes.removed.into_iter().filter(|path| !is_new(path)) {
            if let Ok(Some(path)) = self.find(&path) {
                self.remove(&path);
            }
        }
        for added in changes.added {
            self.add(added, layer).map_err(wrong)?;
        }
        let what = "the length of ways through links";
        let exceeded = ReadError::Limit { place: place.to_owned(), what, limit: MOST_WALKED as u64 };
        if self.walked > MOST_WALKED { Err(exceeded) } else { Ok(()) }
    }

    /// Finds the directories that a layer puts where a link stands: nothing of lower layers is in them, also not what lies
    /// where the link led.
    fn new_directories(&self, added: &[Added]) -> BTreeSet<TreePath> {
        let is_link = |path: &TreePath| matches!(self.node(path), Some(Node::Symlink { .. }));
        let new = added.iter().filter(|added| added.entry.is_directory() && is_link(&added.path));
        new.map(|added| added.path.clone()).collect()
    }

    fn node(&self, path: &TreePath) -> Option<&Node> {
        self.names.get(path).map(|name| &self.inodes[name.inode].entry.node)
    }

    fn clear(&mut self, directory: &TreePath) {
        let gone: Vec<TreePath> = below(&self.names, directory).map(|(path, _)| path.clone()).collect();
        for path in gone {
            self.names.remove(&path);
        }
    }

    fn remove(&mut self, path: &TreePath) {
        if matches!(self.node(path), Some(Node::Directory)) {
            self.clear(path);
        }
        self.names.remove(path);
    }

    fn add(&mut self, added: Added, layer: usize) -> Result<(), String> {
        let Added { path: written, entry, content } = added;
        let path = self.real(&written, layer)?;
        let inode = if let Node::HardLink { target } = &entry.node {
            let found = self.find(target)?.filter(|found| *found != path);
            let name = found.and_then(|found| self.names.get(&found)).copied();
            let Some(name) = name.filter(|name| !self.inodes[name.inode].entry.is_directory()) else {
                return Err(format!("{written} is a hard link to {target}, which is not a file that comes before it"));
            };
            // Runtimes give the file what the header of its newest name says.
            self.inodes[name.inode].entry.meta = entry.meta;
            name.inode
        } else {
            let is_both = entry.is_directory() && matches!(self.node(&path), Some(Node::Directory));
            if !is_both {
                self.remove(&path);
            }
            self.inodes.push(Inode { entry, content });
            self.inodes.len() - 1
        };
        if !self.inodes[inode].entry.is_directory() {
            self.remove(&path);
        }
        self.names.insert(path, Name { inode, layer });
        Ok(())
    }

    /// Finds where a path lies, if it is there.
    fn find(&mut self, path: &TreePath) -> Result<Option<TreePath>, String> {
        let is_plain = path.parent().is_none_or(|parent| matches!(self.node(&parent), Some(Node::Directory)));
        let real = if is_plain { Some(path.clone()) } else { self.walk(path)?.0 };
        Ok(real.filter(|path| self.names.contains_key(path)))
    }

    /// Finds where a path lies or would lie, and makes the directories that are missing for a layer.
    fn real(&mut self, path: &TreePath, layer: usize) -> Result<TreePath, String> {
        if path.parent().is_none_or(|parent| matches!(self.node(&parent), Some(Node::Directory))) {
            return Ok(path.clone());
        }
        let (real, missing) = self.walk(path)?;
        let real = real.ok_or_else(|| format!("{path} is the root directory, through a link"))?;
        for directory in missing {
            self.implied += directory.as_bytes().len();
            if self.implied > MOST_IMPLIED {
                return Err(format!("{path}: too many of its parent directories are in no layer"));
            }
            self.inodes.push(Inode { entry: Entry::new(Node::Directory, Meta::DIRECTORY), content: None });
            self.names.insert(directory, Name { inode: self.inodes.len() - 1, layer });
        }
        Ok(real)
    }

    /// Follows the links on the way to a path, but not the path itself, and gives the directories that are missing there.
    fn walk(&mut self, path: &TreePath) -> Result<(Option<TreePath>, BTreeSet<TreePath>), String> {
        let mut ahead: Vec<Vec<u8>> = path.components().rev().map(<[u8]>::to_vec).collect();
        let mut at: Option<TreePath> = None;
        let mut missing = BTreeSet::new();
        let (mut links, mut walked) = (0, 0);
        while let Some(name) = ahead.pop() {
            match name.as_slice() {
                b"" | b"." => continue,
                b".." => {
                    at = at.and_then(|at| at.parent());
                    continue;
                }
                _ => {}
            }
            let next = match &at {
                Some(at) => at.join(&name),
                None => TreePath::new(&name),
            };
            let next = next.map_err(|error| error.to_string())?;
            self.walked += next.as_bytes().len() + std::mem::take(&mut walked);
            if self.walked > MOST_WALKED {
                return Err(format!("{path}: the links on the way to it are too long"));
            }
            match self.node(&next).filter(|_| !ahead.is_empty()) {
                Some(Node::Symlink { target }) => {
                    links += 1;
                    if links > MOST_LINKS {
                        return Err(format!("{path}: more than {MOST_LINKS} links are on the way to it"));
                    }
                    if target.starts_with(b"/") {
                        at = None;
                    }
                    // Of whatever it is made: `./` leads nowhere, and takes time.
                    walked += target.len();
                    ahead.extend(target.split(|byte| *byte == b'/').rev().map(<[u8]>::to_vec));
                    continue;
                }
                Some(Node::Directory) => {}
                Some(_) => return Err(format!("{path} is below {next}, which is not a directory")),
                None if ahead.is_empty() => {}
                None => drop(missing.insert(next.clone())),
            }
            at = Some(next);
        }
        Ok((at, missing))
    }
}

fn below<'n>(
    names: &'n BTreeMap<TreePath, Name>,
    directory: &TreePath,
) -> impl Iterator<Item = (&'n TreePath, &'n Name)> + use<'n> {
    let start = [directory.as_bytes(), b"/"].concat();
    let range = names.range::<[u8], _>((Bound::Included(start.as_slice()), Bound::Unbounded));
    range.take_while(move |(path, _)| path.as_bytes().starts_with(&start))
}
