//! From a package's tree to what of it is in an image: selection, usr-merge, layer trees.
//!
//! All of it is pure, and the same functions serve `add`, which predicts the layer tree that an
//! image will ask for, and `compose`, which asks. When the prediction is right, composing finds the
//! finished pack by its key.

pub mod layer_tree;
pub mod merged_usr;

use std::collections::{BTreeMap, BTreeSet};

use dlstore_model::path::TreePath;
use dlstore_model::tree::{Entry, Node, Tree};

/// Leaves out of a tree what `keeps` says no to.
///
/// A folder that the package filled and the selection emptied goes; one that the package shipped
/// empty stays, unless it is left out itself. A symbolic link whose target was left out stays. When
/// the first name of a hard-link group goes, the next one in byte order becomes the file.
#[must_use]
pub fn select(tree: &Tree, keeps: &dyn Fn(&TreePath) -> bool) -> Tree {
    let mut kept: BTreeMap<TreePath, Entry> = BTreeMap::new();
    let mut filled: BTreeSet<TreePath> = BTreeSet::new();
    let mut moved: BTreeMap<TreePath, TreePath> = BTreeMap::new();
    for (path, entry) in tree {
        if let Some(parent) = path.parent() {
            filled.insert(parent);
        }
        if entry.is_folder() || !keeps(path) {
            continue;
        }
        let entry = match &entry.node {
            Node::HardLink { target } => relink(tree, &kept, &mut moved, path, target, entry),
            _ => entry.clone(),
        };
        kept.insert(path.clone(), entry);
    }
    let needed: BTreeSet<TreePath> = kept.keys().flat_map(|path| path.ancestors().collect::<Vec<_>>()).collect();
    let mut empty: Vec<(TreePath, Entry)> = Vec::new();
    let mut folders: Vec<(TreePath, Entry)> = Vec::new();
    for (path, entry) in tree.iter().filter(|(_, entry)| entry.is_folder()) {
        if needed.contains(path) {
            folders.push((path.clone(), entry.clone()));
        } else if !filled.contains(path) && keeps(path) {
            empty.push((path.clone(), entry.clone()));
        }
    }
    // What holds a folder that was shipped empty is not emptied either.
    let holders: BTreeSet<TreePath> = empty.iter().flat_map(|(path, _)| path.ancestors().collect::<Vec<_>>()).collect();
    for (path, entry) in tree.iter().filter(|(_, entry)| entry.is_folder()) {
        if holders.contains(path) && !needed.contains(path) {
            folders.push((path.clone(), entry.clone()));
        }
    }
    let entries = kept.into_iter().chain(folders).chain(empty).collect();
    Tree::new(entries).expect("what is left of a tree keeps its invariants")
}

/// Keeps a name of a hard-link group: as a link while the group's file is kept, else as the file
/// (the first one) or as a link to that.
fn relink(
    tree: &Tree,
    kept: &BTreeMap<TreePath, Entry>,
    moved: &mut BTreeMap<TreePath, TreePath>,
    path: &TreePath,
    target: &TreePath,
    entry: &Entry,
) -> Entry {
    if kept.contains_key(target) {
        return entry.clone();
    }
    if let Some(file) = moved.get(target) {
        return Entry { node: Node::HardLink { target: file.clone() }, ..entry.clone() };
    }
    moved.insert(target.clone(), path.clone());
    let file = tree.get(target).expect("a tree's hard links have their file").node.clone();
    Entry { node: file, ..entry.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dlstore_model::digest::Digest;
    use dlstore_model::tree::Meta;

    fn path(text: &str) -> TreePath {
        TreePath::new(text.as_bytes()).unwrap()
    }

    fn tree(folders: &[&str], files: &[&str], links: &[(&str, &str)]) -> Tree {
        let folder = |text: &&str| (path(text), Entry::new(Node::Folder, Meta::FOLDER));
        let file = |text: &&str| (path(text), Entry::new(Node::File { content: Digest::of(b""), size: 0 }, Meta::FILE));
        let link =
            |(from, to): &(&str, &str)| (path(from), Entry::new(Node::HardLink { target: path(to) }, Meta::FILE));
        Tree::new(folders.iter().map(folder).chain(files.iter().map(file)).chain(links.iter().map(link)).collect())
            .unwrap()
    }

    fn names(tree: &Tree) -> Vec<String> {
        tree.iter().map(|(path, _)| path.to_string()).collect()
    }

    #[test]
    fn a_folder_that_was_emptied_goes_and_one_shipped_empty_stays() {
        let whole = tree(&["a", "a/doc", "empty", "deep", "deep/empty", "man"], &["a/doc/x", "a/y"], &[]);
        let left = select(&whole, &|path| !path.as_bytes().starts_with(b"a/doc") && path.as_bytes() != b"man");
        assert_eq!(names(&left), ["/a", "/a/y", "/deep", "/deep/empty", "/empty"]);
    }

    #[test]
    fn the_next_name_of_a_hard_link_group_becomes_the_file() {
        let whole = tree(&[], &["a"], &[("b", "a"), ("c", "a")]);
        let left = select(&whole, &|path| path.as_bytes() != b"a");
        assert_eq!(left, tree(&[], &["b"], &[("c", "b")]));
        assert_eq!(select(&whole, &|path| path.as_bytes() != b"b"), tree(&[], &["a"], &[("c", "a")]));
    }
}
