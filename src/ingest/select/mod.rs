//! From a package's tree to what of it is in an image: selection, usr-merge, layer trees.
//!
//! All of it is pure, and the same functions serve `add`, which predicts the layer tree that an
//! image will ask for, and `compose`, which asks. When the prediction is right, composing finds the
//! finished pack by its key.
//!
//! A package may have hundreds of thousands of entries, so each step works on sorted lists and copies
//! no path: what lies below a directory is a run of the list, found by its two ends.

pub mod layer_tree;
pub mod matter;
pub mod merged_usr;

use std::collections::BTreeMap;

use dlstore_model::path::TreePath;
use dlstore_model::tree::{Entry, Node, Tree, TreeError};

/// Leaves out of a tree what `keeps` says no to.
///
/// A directory that the package filled and the selection emptied goes; one that the package shipped
/// empty stays, unless it is left out itself. A symbolic link whose target was left out stays. When
/// the first name of a hard-link group goes, the next one in byte order becomes the file.
///
/// # Errors
/// When what is left is not a tree; of what [`Tree::new`] made, it always is.
pub fn select(tree: &Tree, keeps: &dyn Fn(&TreePath) -> bool) -> Result<Tree, TreeError> {
    let entries = tree.iter().as_slice();
    Ok(take(entries, &kept(entries, keeps))?.0)
}

/// Leaves out of a tree what [`select`] does, and uses it up: a large one is not there twice. Says beside that where
/// the files went whose own name was not selected: to the first name of their hard-link group that was. What is known
/// of a file by its path follows it there.
///
/// # Errors
/// As [`select`].
pub fn select_owned(
    tree: Tree,
    keeps: &dyn Fn(&TreePath) -> bool,
) -> Result<(Tree, BTreeMap<TreePath, TreePath>), TreeError> {
    let mut entries = tree.into_entries();
    let kept = kept(&entries, keeps);
    let is_kept = |path: &TreePath| entries.binary_search_by(|(probe, _)| probe.cmp(path)).is_ok_and(|at| kept[at]);
    let loses_its_file = |entry: &Entry| matches!(&entry.node, Node::HardLink { target } if !is_kept(target));
    if entries.iter().zip(&kept).any(|((_, entry), kept)| *kept && loses_its_file(entry)) {
        return take(&entries, &kept);
    }
    let mut at = 0..kept.len();
    entries.retain(|_| at.next().is_some_and(|at| kept[at]));
    Ok((Tree::new(entries)?, BTreeMap::new()))
}

/// Says of each entry whether it stays.
fn kept(entries: &[(TreePath, Entry)], keeps: &dyn Fn(&TreePath) -> bool) -> Vec<bool> {
    let mut kept: Vec<bool> = entries.iter().map(|(path, entry)| !entry.is_directory() && keeps(path)).collect();
    let filled_by = |kept: &[bool]| -> Vec<u32> {
        let mut count = 0;
        std::iter::once(0)
            .chain(kept.iter().map(|kept| {
                count += u32::from(*kept);
                count
            }))
            .collect()
    };
    let files = filled_by(&kept);
    let mut empty = vec![false; entries.len()];
    for (at, (path, _)) in entries.iter().enumerate().filter(|(_, (_, entry))| entry.is_directory()) {
        let (start, end) = below(entries, path);
        empty[at] = start == end && keeps(path);
        kept[at] = empty[at] || files[start] < files[end];
    }
    // What holds a directory that was shipped empty is not emptied either.
    let empty = filled_by(&empty);
    for (at, (path, _)) in entries.iter().enumerate().filter(|(_, (_, entry))| entry.is_directory()) {
        let (start, end) = below(entries, path);
        kept[at] |= empty[start] < empty[end];
    }
    kept
}

/// Takes the entries that stay; says which files went where.
fn take(entries: &[(TreePath, Entry)], kept: &[bool]) -> Result<(Tree, BTreeMap<TreePath, TreePath>), TreeError> {
    let mut left = Vec::with_capacity(kept.iter().filter(|kept| **kept).count());
    let mut moved: BTreeMap<&TreePath, &TreePath> = BTreeMap::new();
    for ((path, entry), _) in entries.iter().zip(kept).filter(|(_, kept)| **kept) {
        let entry = match &entry.node {
            Node::HardLink { target } => relink(entries, kept, &mut moved, path, target, entry)?,
            _ => entry.clone(),
        };
        left.push((path.clone(), entry));
    }
    let moved = moved.into_iter().map(|(from, to)| (from.clone(), to.clone())).collect();
    Ok((Tree::new(left)?, moved))
}

/// Gives the run of entries below a directory: in bytewise order it is one, behind `path/` and before
/// the first path that `path` and a greater byte begin.
fn below(entries: &[(TreePath, Entry)], directory: &TreePath) -> (usize, usize) {
    let directory = directory.as_bytes();
    let tail = |path: &TreePath| {
        let path = path.as_bytes();
        let shared = path.len().min(directory.len());
        path[..shared].cmp(&directory[..shared]).then_with(|| match path.get(directory.len()) {
            Some(next) => next.cmp(&b'/'),
            None => std::cmp::Ordering::Less,
        })
    };
    let start = entries.partition_point(|(path, _)| tail(path).is_lt());
    let end = start + entries[start..].partition_point(|(path, _)| tail(path).is_eq());
    (start, end)
}

/// Keeps a name of a hard-link group: as a link while the group's file is kept, else as the file
/// (the first one) or as a link to that.
fn relink<'t>(
    entries: &'t [(TreePath, Entry)],
    kept: &[bool],
    moved: &mut BTreeMap<&'t TreePath, &'t TreePath>,
    path: &'t TreePath,
    target: &'t TreePath,
    entry: &Entry,
) -> Result<Entry, TreeError> {
    let broken = || TreeError::HardLink { path: path.clone(), target: target.clone() };
    let at = entries.binary_search_by(|(probe, _)| probe.cmp(target)).map_err(|_| broken())?;
    if kept[at] {
        return Ok(entry.clone());
    }
    if let Some(file) = moved.get(target) {
        return Ok(Entry { node: Node::HardLink { target: (*file).clone() }, ..entry.clone() });
    }
    moved.insert(target, path);
    Ok(Entry { node: entries[at].1.node.clone(), ..entry.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use dlstore_model::digest::Digest;
    use dlstore_model::tree::Meta;

    fn path(text: &str) -> TreePath {
        TreePath::new(text.as_bytes()).unwrap()
    }

    fn tree(directories: &[&str], files: &[&str], links: &[(&str, &str)]) -> Tree {
        let directory = |text: &&str| (path(text), Entry::new(Node::Directory, Meta::DIRECTORY));
        let file = |text: &&str| (path(text), Entry::new(Node::File { content: Digest::of(b""), size: 0 }, Meta::FILE));
        let link =
            |(from, to): &(&str, &str)| (path(from), Entry::new(Node::HardLink { target: path(to) }, Meta::FILE));
        Tree::new(
            directories.iter().map(directory).chain(files.iter().map(file)).chain(links.iter().map(link)).collect(),
        )
        .unwrap()
    }

    fn names(tree: &Tree) -> Vec<String> {
        tree.iter().map(|(path, _)| path.to_string()).collect()
    }

    #[test]
    fn a_directory_that_was_emptied_goes_and_one_shipped_empty_stays() {
        let whole = tree(&["a", "a/doc", "empty", "deep", "deep/empty", "man"], &["a/doc/x", "a/y"], &[]);
        let left = select(&whole, &|path| !path.as_bytes().starts_with(b"a/doc") && path.as_bytes() != b"man").unwrap();
        assert_eq!(names(&left), ["/a", "/a/y", "/deep", "/deep/empty", "/empty"]);
    }

    #[test]
    fn the_next_name_of_a_hard_link_group_becomes_the_file() {
        let whole = tree(&[], &["a"], &[("b", "a"), ("c", "a")]);
        let (left, moved) = select_owned(whole.clone(), &|path| path.as_bytes() != b"a").unwrap();
        assert_eq!(left, tree(&[], &["b"], &[("c", "b")]));
        assert_eq!(moved, BTreeMap::from([(path("a"), path("b"))]));
        let (left, moved) = select_owned(whole, &|path| path.as_bytes() != b"b").unwrap();
        assert_eq!(left, tree(&[], &["a"], &[("c", "a")]));
        assert_eq!(moved, BTreeMap::new());
    }

    #[test]
    fn a_directory_that_is_not_in_the_archive_still_fills_the_one_above_it() {
        // `a` and `a/x/z`, and no `a/x`: legal, and `a` is not empty.
        for (directories, files) in [(&["a", "a/x/z"][..], &[][..]), (&["a"], &["a/x/z"])] {
            let whole = tree(directories, files, &[]);
            assert_eq!(select(&whole, &|_| true), Ok(whole.clone()));
            let left = select(&whole, &|path| path.as_bytes() != b"a/x/z").unwrap();
            assert_eq!(names(&left), Vec::<String>::new(), "what filled it was left out");
        }
    }

    #[test]
    fn names_that_sort_between_a_directory_and_what_it_holds_do_not_belong_to_it() {
        let whole = tree(&["a", "a.d", "b"], &["a-b", "a/x", "a0", "b.txt"], &[]);
        let left = select(&whole, &|path| path.as_bytes() != b"a/x").unwrap();
        assert_eq!(names(&left), ["/a-b", "/a.d", "/a0", "/b", "/b.txt"]);
    }
}
