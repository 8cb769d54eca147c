//! A rootfs as a process inside sees it: links followed, directories listed, files told apart.
//!
//! Links are followed as the kernel does (`path_resolution(7)`): at most 40 of them, `..` where the walk stands,
//! nothing through what is not a directory. Directories that no entry describes exist when something lies below them.
//!
//! Every link is followed once, whoever asks: what packages hold decides how many links there are and how long their
//! targets, and the time is that of reading each target once, not of reading it for every path that leads through it.
//! Each directory is listed once. Nothing recurses, and nothing is copied: this borrows the rootfs, and what a fix-up
//! made beside it. Whoever looks up what a package's text says (patterns, names) also counts the steps, and stops when
//! [`View::is_spent`] says that it was too much.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use super::union::{Rootfs, is_file};
use dlstore_formats::elf::Elf;
use dlstore_ingest::start::Start;
use dlstore_model::path::TreePath;
use dlstore_model::tree::{Entry, Node};

/// Longest chain of symbolic links that is followed, as Linux does.
const MAX_LINKS: u32 = 40;
/// Most steps: components walked, names listed and compared. The images of a distribution take some
/// hundreds for `ld.so.conf` and ten for each library; this is a second's work at most.
const MOST_STEPS: usize = 2_000_000;

/// Where a path leads when every link is followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// A directory; `None` is the root.
    Directory(Option<TreePath>),
    /// A regular file, by the name that it lies under.
    File(TreePath),
    /// A device or a pipe.
    Other,
}

/// The names in a directory, shared by all who ask for them.
pub(crate) type Names<'r> = Rc<[&'r [u8]]>;

/// A rootfs, looked at.
pub(crate) struct View<'r> {
    rootfs: &'r Rootfs,
    /// What a fix-up made, where the rootfs has nothing.
    made: BTreeMap<&'r TreePath, &'r Entry>,
    links: RefCell<HashMap<TreePath, State>>,
    listed: RefCell<HashMap<Option<TreePath>, Names<'r>>>,
    elf: OnceCell<BTreeMap<&'r TreePath, &'r Elf>>,
    starts: OnceCell<BTreeMap<&'r TreePath, &'r Start>>,
    steps: Cell<usize>,
}

/// What is known of a link.
#[derive(Debug, Clone)]
enum State {
    /// It is being followed: meeting it again is a circle.
    Followed,
    /// It leads nowhere, in a circle, or through too many links.
    Lost,
    /// It leads to a path without links in it (none: the root), through so many links, itself included.
    Leads(Option<TreePath>, u32),
}

/// A path that is being walked: as far as `here` it is there, and has no links.
struct Walk {
    here: Option<TreePath>,
    /// What is left, the next component last.
    left: Vec<Vec<u8>>,
    links: u32,
    /// The link that this is the target of.
    of: Option<TreePath>,
}

impl Walk {
    fn new(from: Option<TreePath>, path: &[u8], of: Option<TreePath>) -> Self {
        let here = from.filter(|_| !path.starts_with(b"/"));
        let parts = path.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".");
        Self { here, left: parts.rev().map(<[u8]>::to_vec).collect(), links: u32::from(of.is_some()), of }
    }
}

impl<'r> View<'r> {
    /// Looks at a rootfs.
    pub(crate) fn new(rootfs: &'r Rootfs) -> Self {
        Self::beside(rootfs, &[])
    }

    /// Looks at a rootfs and what was made beside it.
    pub(crate) fn beside(rootfs: &'r Rootfs, made: &'r [(TreePath, Entry)]) -> Self {
        Self {
            rootfs,
            made: made
                .iter()
                .filter(|(path, _)| rootfs.get(path).is_none())
                .map(|(path, entry)| (path, entry))
                .collect(),
            links: RefCell::default(),
            listed: RefCell::default(),
            elf: OnceCell::new(),
            starts: OnceCell::new(),
            steps: Cell::new(0),
        }
    }

    /// Gives the rootfs itself.
    pub(crate) const fn rootfs(&self) -> &'r Rootfs {
        self.rootfs
    }

    /// Counts work that was done.
    pub(crate) fn spend(&self, steps: usize) {
        self.steps.set(self.steps.get().saturating_add(steps));
    }

    /// Says whether more was looked up than any honest rootfs needs.
    pub(crate) fn is_spent(&self) -> bool {
        self.steps.get() > MOST_STEPS
    }

    /// Gives the entry at exactly this path, links not followed.
    pub(crate) fn entry(&self, path: &TreePath) -> Option<&'r Entry> {
        self.rootfs.get(path).map(|slot| slot.entry).or_else(|| self.made.get(path).copied())
    }

    /// Gives where a path leads; `None` when nothing stands there, or when that is the root.
    pub(crate) fn follow(&self, path: &TreePath) -> Option<TreePath> {
        self.walk(path.as_bytes()).ok()?
    }

    /// Says whether a path leads to something, the root included.
    pub(crate) fn leads(&self, path: &TreePath) -> bool {
        self.walk(path.as_bytes()).is_ok()
    }

    /// Follows a path that is written somewhere, from the root: a relative one begins there too, where `ldconfig -r`
    /// stands. `None` when nothing stands there, or when the view is spent.
    pub(crate) fn resolve(&self, path: &[u8]) -> Option<Found> {
        if self.is_spent() { None } else { self.find(path) }
    }

    /// Follows such a path however much was looked up before: for those of which there are few.
    pub(crate) fn find(&self, path: &[u8]) -> Option<Found> {
        let Some(path) = self.walk(path).ok()? else { return Some(Found::Directory(None)) };
        Some(match self.entry(&path).map(|entry| &entry.node) {
            None | Some(Node::Directory) => Found::Directory(Some(path)),
            Some(Node::File { .. } | Node::HardLink { .. }) => Found::File(path),
            Some(_) => Found::Other,
        })
    }

    /// Gives the names in a directory in bytewise order; `None` is the root. Each directory is listed once.
    pub(crate) fn names(&self, directory: Option<&TreePath>) -> Names<'r> {
        let key = directory.cloned();
        if let Some(known) = self.listed.borrow().get(&key) {
            return Rc::clone(known);
        }
        let prefix = directory.map_or_else(Vec::new, |path| [path.as_bytes(), b"/"].concat());
        let mut names = self.rootfs.names(&prefix);
        let made = self.made.keys().filter_map(|path| path.as_bytes().strip_prefix(prefix.as_slice()));
        names.extend(made.map(|rest| rest.split(|byte| *byte == b'/').next().unwrap_or(rest)));
        names.sort_unstable();
        names.dedup();
        self.spend(names.len());
        let names: Names<'r> = names.into();
        self.listed.borrow_mut().insert(key, Rc::clone(&names));
        names
    }

    /// Gives the ELF files by the name that facts know them under.
    pub(crate) fn elf_files(&self) -> &BTreeMap<&'r TreePath, &'r Elf> {
        self.elf.get_or_init(|| self.rootfs.facts(|part| part.elf.iter().map(|(path, elf)| (path, elf))).collect())
    }

    /// Gives how files begin that are scripts, or ELF files that were not read, by the name that facts know them under.
    pub(crate) fn starts(&self) -> &BTreeMap<&'r TreePath, &'r Start> {
        self.starts.get_or_init(|| self.rootfs.facts(|part| part.starts.iter()).collect())
    }

    /// Gives what the file at `path` is as an ELF file, whichever of its names that is.
    pub(crate) fn elf(&self, path: &TreePath) -> Option<&'r Elf> {
        self.elf_files().get(self.name_of_file(path)).copied()
    }

    /// Gives the name under which facts know a file.
    pub(crate) fn name_of_file<'p>(&self, path: &'p TreePath) -> &'p TreePath
    where
        'r: 'p,
    {
        match self.rootfs.get(path).map(|slot| &slot.entry.node) {
            Some(Node::HardLink { target }) => target,
            _ => path,
        }
    }

    /// Gives the small text that `path` leads to.
    pub(crate) fn text(&self, path: &[u8]) -> Option<Vec<u8>> {
        let Some(Found::File(path)) = self.resolve(path) else { return None };
        let slot = self.rootfs.get(&path).filter(|slot| is_file(slot.entry))?;
        let part = &self.rootfs.parts()[slot.owner];
        match (&part.package, &part.bytes) {
            (Some(package), _) => package.texts.get(&path).cloned(),
            (None, bytes) => bytes.small_text(&path, slot.entry),
        }
    }

    /// Says whether a directory is there that no entry describes.
    pub(crate) fn is_implied(&self, directory: &TreePath) -> bool {
        self.rootfs.below(directory).next().is_some() || self.made.keys().any(|path| path.is_below(directory))
    }

    /// Walks a path from the root. Gives what it leads to, which is there (none: the root).
    fn walk(&self, path: &[u8]) -> Result<Option<TreePath>, Lost> {
        let mut known = self.links.borrow_mut();
        let mut walks = vec![Walk::new(None, path, None)];
        loop {
            let walk = walks.last_mut().ok_or(Lost)?;
            let Some(name) = walk.left.pop() else {
                let Walk { here, links, of, .. } = walks.pop().ok_or(Lost)?;
                let Some(link) = of else { return Ok(here) };
                known.insert(link, State::Leads(here, links));
                continue;
            };
            self.spend(1);
            let state = match self.step(walk, &name) {
                Step::Taken => continue,
                Step::Lost => State::Lost,
                Step::Link(link, target) => {
                    if let Some(state) = known.get(&link) {
                        state.clone()
                    } else {
                        // The name is taken again once the link is known.
                        walk.left.push(name);
                        let inner = Walk::new(walk.here.clone(), target, Some(link.clone()));
                        known.insert(link, State::Followed);
                        walks.push(inner);
                        continue;
                    }
                }
            };
            match state {
                State::Leads(at, links) if walk.links + links <= MAX_LINKS => {
                    walk.here = at;
                    walk.links += links;
                }
                _ => {
                    // It is lost, and so is every link that was on the way to it.
                    for walk in walks {
                        if let Some(link) = walk.of {
                            known.insert(link, State::Lost);
                        }
                    }
                    return Err(Lost);
                }
            }
        }
    }

    /// Takes one component, unless that is a link.
    fn step(&self, walk: &mut Walk, name: &[u8]) -> Step<'r> {
        if walk.here.as_ref().and_then(|here| self.entry(here)).is_some_and(|entry| !entry.is_directory()) {
            return Step::Lost;
        }
        if name == b".." {
            walk.here = walk.here.take().and_then(|here| here.parent());
            return Step::Taken;
        }
        let next = match &walk.here {
            Some(directory) => directory.join(name),
            None => TreePath::new(name),
        };
        let Ok(next) = next else { return Step::Lost };
        match self.entry(&next).map(|entry| &entry.node) {
            Some(Node::Symlink { target }) => return Step::Link(next, target),
            None if !self.is_implied(&next) => return Step::Lost,
            _ => walk.here = Some(next),
        }
        Step::Taken
    }
}

/// Nothing stands at the end of a path.
struct Lost;

/// What a component was.
enum Step<'r> {
    /// Something that is there, and the walk stands on it.
    Taken,
    /// Nothing, or below what is not a directory.
    Lost,
    /// A link, with its target.
    Link(TreePath, &'r [u8]),
}

#[cfg(test)]
mod tests {
    use super::super::part::tests::{part, path};
    use super::*;
    use dlstore_model::tree::Meta;

    /// A rootfs of links (`path -> target`), files (`path = text`) and directories.
    fn rootfs(lines: impl Iterator<Item = String>) -> Rootfs {
        let node = |line: &str| match (line.split_once(" -> "), line.split_once(" = ")) {
            (Some((at, target)), _) => (path(at), Entry::new(Node::Symlink { target: target.into() }, Meta::LINK)),
            (_, Some((at, text))) => {
                let content = dlstore_model::digest::Digest::of(text.as_bytes());
                (path(at), Entry::new(Node::File { content, size: text.len() as u64 }, Meta::FILE))
            }
            _ => (path(line), Entry::new(Node::Directory, Meta::DIRECTORY)),
        };
        let mut rootfs = Rootfs::default();
        rootfs.add(part(lines.map(|line| node(&line)).collect())).unwrap();
        rootfs
    }

    #[test]
    fn paths_lead_where_the_kernel_would_go() {
        let lines = [
            "usr/lib/sub",
            "lib -> usr/lib",
            "usr/lib/to-root -> /",
            "usr/lib/up -> ../lib/sub",
            "a -> b",
            "b -> /",
            "loop -> loop/loop",
            "c1 -> c2",
            "c2 -> c1",
            "gone -> nowhere",
            "into -> c1/x",
            "opt -> srv/implied",
            "srv/implied/only",
            "srv/deep -> ../usr/lib/sub",
            "beside -> srv/deep/../file",
            "usr/lib/file = text",
            "through -> usr/lib/file/../sub",
            "above -> ../../../usr",
        ];
        let rootfs = rootfs(lines.into_iter().map(str::to_owned));
        let view = View::new(&rootfs);
        for _ in 0..2 {
            for (asked, expected) in [
                ("lib/sub", Some("usr/lib/sub")),
                ("lib/up", Some("usr/lib/sub")),
                ("lib/to-root/lib/up", Some("usr/lib/sub")),
                ("a/usr", Some("usr")),
                ("a", None),
                ("usr", Some("usr")),
                ("loop", None),
                ("c1", None),
                ("c2/x", None),
                ("gone", None),
                ("into", None),
                ("absent", None),
                ("opt", Some("srv/implied")),
                // `..` is where the link leads, not where it is written.
                ("beside", Some("usr/lib/file")),
                ("through", None),
                ("usr/lib/file/x", None),
                ("above/lib/file", Some("usr/lib/file")),
            ] {
                assert_eq!(view.follow(&path(asked)), expected.map(path), "{asked}");
            }
        }
        assert_eq!(view.resolve(b"/a/./"), Some(Found::Directory(None)));
        assert_eq!(view.resolve(b"lib//file"), Some(Found::File(path("usr/lib/file"))));
    }

    #[test]
    fn what_was_made_beside_a_rootfs_is_seen_where_that_has_nothing() {
        let rootfs = rootfs(["usr/lib/sub".to_owned(), "bin -> usr".to_owned()].into_iter());
        let link =
            |at: &str, target: &[u8]| (path(at), Entry::new(Node::Symlink { target: target.to_vec() }, Meta::LINK));
        let made = [link("lib", b"usr/lib"), link("bin", b"usr/lib"), link("new/dir/x", b"/usr")];
        let view = View::beside(&rootfs, &made);
        assert_eq!(view.follow(&path("lib/sub")), Some(path("usr/lib/sub")));
        assert_eq!(view.follow(&path("bin")), Some(path("usr")));
        assert_eq!(view.follow(&path("new/dir/x/lib")), Some(path("usr/lib")));
        assert_eq!(*view.names(None), [b"bin".as_slice(), b"lib", b"new", b"usr"]);
    }

    #[test]
    fn directories_with_names_beside_each_other_are_listed_whole() {
        let lines = ["a-b", "a.d/x/y", "a/b", "a/c/d", "a/c-d", "a0/x"];
        let rootfs = rootfs(lines.into_iter().map(str::to_owned));
        let view = View::new(&rootfs);
        assert_eq!(*view.names(None), [b"a".as_slice(), b"a-b", b"a.d", b"a0"]);
        assert_eq!(*view.names(Some(&path("a"))), [b"b".as_slice(), b"c", b"c-d"]);
    }

    #[test]
    fn a_hundred_thousand_links_one_behind_the_other_are_followed_once_each() {
        let last = 100_000;
        let chain = (0..last).map(|at| format!("{at:06} -> {:06}", at + 1)).chain([format!("{last:06}")]);
        let rootfs = rootfs(chain);
        let view = View::new(&rootfs);
        let begun = std::time::Instant::now();
        let found: Vec<bool> = (0..=last).map(|at| view.follow(&path(&format!("{at:06}"))).is_some()).collect();
        assert_eq!(found.iter().filter(|stands| **stands).count(), 41, "the last and 40 links before it");
        assert!(begun.elapsed() < std::time::Duration::from_secs(10), "{:?}", begun.elapsed());
    }
}
