//! Where paths of a united root lead when its symbolic links are followed.
//!
//! As the kernel does it (`path_resolution(7)`), but for a link's own `..`, which are taken lexically; at
//! most 40 links, so that circles end. Every link is followed once, whoever asks: what packages hold
//! decides how many links there are and how long their targets, and the time is that of reading each
//! target once, not of reading it for every path that leads through it. Nothing recurses.

use std::cell::RefCell;
use std::collections::HashMap;

use super::union::Union;
use dlstore_model::path::TreePath;
use dlstore_model::tree::Node;

/// Longest chain of symbolic links that is followed, as Linux does.
const MAX_LINKS: u32 = 40;

/// The links of a root, and where those lead that were asked for.
pub struct Links<'u> {
    union: &'u Union,
    known: RefCell<HashMap<TreePath, State>>,
}

/// What is known of a link.
#[derive(Debug, Clone)]
enum State {
    /// It is being followed: meeting it again is a circle.
    Followed,
    /// It leads in a circle, or through too many links.
    Lost,
    /// It leads to a path without links in it (none: the root), through so many links, itself included.
    Leads(Option<TreePath>, u32),
}

/// A path that is being walked: as far as `here` it has no links.
struct Walk {
    here: Option<TreePath>,
    /// What is left, the next component last.
    left: Vec<Vec<u8>>,
    links: u32,
    /// The link that this is the target of.
    of: Option<TreePath>,
}

impl Walk {
    fn new(path: &TreePath, of: Option<TreePath>) -> Self {
        let left = path.components().rev().map(<[u8]>::to_vec).collect();
        Self { here: None, left, links: u32::from(of.is_some()), of }
    }
}

impl<'u> Links<'u> {
    /// Looks at a root.
    #[must_use]
    pub fn new(union: &'u Union) -> Self {
        Self { union, known: RefCell::default() }
    }

    /// Gives where a path leads; `None` when nothing stands there, or when that is the root.
    #[must_use]
    pub fn follow(&self, path: &TreePath) -> Option<TreePath> {
        let at = self.walk(path)?;
        let stands = self.union.get(&at).is_some() || self.union.below(&at).next().is_some();
        stands.then_some(at)
    }

    fn walk(&self, path: &TreePath) -> Option<TreePath> {
        let mut known = self.known.borrow_mut();
        let mut walks = vec![Walk::new(path, None)];
        loop {
            let walk = walks.last_mut()?;
            let Some(name) = walk.left.pop() else {
                let Walk { here, links, of, .. } = walks.pop()?;
                let Some(link) = of else { return here };
                known.insert(link, State::Leads(here, links));
                continue;
            };
            let next = match &walk.here {
                Some(folder) => folder.join(&name),
                None => TreePath::new(&name),
            };
            let state = match next.as_ref().map(|next| (next, self.union.get(next).map(|slot| &slot.entry.node))) {
                Err(_) => State::Lost,
                Ok((next, Some(Node::Symlink { target }))) => {
                    if let Some(state) = known.get(next) {
                        state.clone()
                    } else if let Some(to) = next.resolve_target(target) {
                        // The name is taken again once the link is known.
                        walk.left.push(name);
                        known.insert(next.clone(), State::Followed);
                        let inner = Walk::new(&to, Some(next.clone()));
                        walks.push(inner);
                        continue;
                    } else {
                        State::Leads(None, 1)
                    }
                }
                Ok((next, _)) => {
                    walk.here = Some(next.clone());
                    continue;
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
                    return None;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::super::part::{Bytes, Origin, Part, Reach};
    use super::*;
    use dlstore_model::tree::{Entry, Meta};

    /// A root of links (`path -> target`) and folders.
    fn union(lines: impl Iterator<Item = String>) -> Union {
        let entry = |line: &String| match line.split_once(" -> ") {
            Some((path, target)) => (
                TreePath::new(path.as_bytes()).unwrap(),
                Entry::new(Node::Symlink { target: target.into() }, Meta::LINK),
            ),
            None => (TreePath::new(line.as_bytes()).unwrap(), Entry::new(Node::Folder, Meta::FOLDER)),
        };
        let lines: Vec<String> = lines.collect();
        let mut entries: Vec<_> = lines.iter().map(entry).collect();
        entries.sort_by(|(one, _), (other, _)| one.cmp(other));
        let part = Part {
            origin: Origin::Embedded,
            origins: BTreeMap::new(),
            level: 0,
            reach: Reach::All,
            entries,
            elf: Vec::new(),
            starts: BTreeMap::new(),
            bytes: Bytes::Memory(Arc::default()),
            package: None,
            content_size: 0,
        };
        let mut union = Union::default();
        union.add(&Arc::new(part)).unwrap();
        union
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
        ];
        let union = union(lines.into_iter().map(str::to_owned));
        let links = Links::new(&union);
        for _ in 0..2 {
            for (path, expected) in [
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
            ] {
                let found = links.follow(&TreePath::new(path.as_bytes()).unwrap());
                assert_eq!(found, expected.map(|path| TreePath::new(path.as_bytes()).unwrap()), "{path}");
            }
        }
    }

    #[test]
    fn a_hundred_thousand_links_one_behind_the_other_are_followed_once_each() {
        let last = 100_000;
        let chain = (0..last).map(|at| format!("{at:06} -> {:06}", at + 1)).chain([format!("{last:06}")]);
        let union = union(chain);
        let links = Links::new(&union);
        let begun = std::time::Instant::now();
        let found: Vec<bool> = (0..=last)
            .map(|at| links.follow(&TreePath::new(format!("{at:06}").as_bytes()).unwrap()).is_some())
            .collect();
        assert_eq!(found.iter().filter(|stands| **stands).count(), 41, "the last and 40 links before it");
        assert!(begun.elapsed() < std::time::Duration::from_secs(10), "{:?}", begun.elapsed());
    }
}
