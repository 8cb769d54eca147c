//! The layer tree: what one package brings to an image, ready to be packed.
//!
//! It holds the package's surviving entries and all directories above them. Directories carry the metadata of
//! the final tree and the date 0, so a directory that stands in two layers is the same in both, and two
//! architectures whose packages differ only in what is left out share a layer.

use std::collections::BTreeMap;

use super::merged_usr::MergedUsr;
use dlstore_model::path::TreePath;
use dlstore_model::tree::{Entry, Meta, Node, Tree, TreeError, Xattrs};

/// Metadata of a directory in the final tree.
pub type DirectoryMeta = (Meta, Xattrs);

/// Moves a selected tree to where its entries land under the usr-merge links of a root.
///
/// # Errors
/// When two entries land on one path and differ.
pub fn resolve(tree: &Tree, merged: &MergedUsr) -> Result<Vec<(TreePath, Entry)>, TreeError> {
    resolve_owned(tree.clone(), merged)
}

/// Moves a selected tree as [`resolve`] does, and uses it up: a large one is not there twice.
///
/// # Errors
/// As [`resolve`].
pub fn resolve_owned(tree: Tree, merged: &MergedUsr) -> Result<Vec<(TreePath, Entry)>, TreeError> {
    let mut landed = tree.into_entries();
    landed.retain(|(path, entry)| !merged.replaces(path, entry));
    for (path, entry) in &mut landed {
        if let Node::HardLink { target } = &mut entry.node {
            *target = merged.resolve_name(target);
        }
        *path = merged.resolve(path, entry);
    }
    // Of two directories on one path the one whose own path came first counts: the sort is stable.
    sort(&mut landed);
    let mut clash = None;
    landed.dedup_by(|next, known| {
        let same = next.0 == known.0;
        if same && !(known.1.is_directory() && next.1.is_directory()) && known.1 != next.1 {
            clash.get_or_insert_with(|| next.0.clone());
        }
        same
    });
    clash.map_or(Ok(landed), |path| Err(TreeError::Duplicate(path)))
}

/// Makes the layer tree of landed entries.
///
/// # Errors
/// When an entry lies below something that is not a directory.
pub fn layer_tree(
    entries: impl IntoIterator<Item = (TreePath, Entry)>,
    directory: &dyn Fn(&TreePath) -> Option<DirectoryMeta>,
) -> Result<Tree, TreeError> {
    let mut all: Vec<(TreePath, Entry)> = entries.into_iter().collect();
    sort(&mut all);
    let mut missing = Vec::new();
    missing_directories(&all, |path| {
        missing.push((path, Entry::new(Node::Directory, Meta::DIRECTORY)));
        true
    });
    if !missing.is_empty() {
        all.append(&mut missing);
        sort(&mut all);
    }
    for (path, entry) in all.iter_mut().filter(|(_, entry)| entry.is_directory()) {
        if let Some((meta, xattrs)) = directory(path) {
            entry.meta = meta;
            entry.xattrs = xattrs;
        }
        entry.meta.mtime = 0;
    }
    relink(&mut all);
    Tree::new(all)
}

/// Brings entries into path order, those of one path in the order in which they are.
fn sort(entries: &mut [(TreePath, Entry)]) {
    // Nearly always they are in order, and sorting would take memory for half of them to find out.
    if !entries.is_sorted_by(|a, b| a.0 <= b.0) {
        entries.sort_by(|a, b| a.0.cmp(&b.0));
    }
}

/// Gives each directory that holds an entry of a sorted list and is not in the list itself, once, until
/// `see` says no.
///
/// All that lies below a directory is one run of the list, so a directory is new where the entry before
/// does not lie below it too.
pub fn missing_directories(entries: &[(TreePath, Entry)], mut see: impl FnMut(TreePath) -> bool) {
    let mut before: &[u8] = b"";
    for (path, _) in entries {
        let path = path.as_bytes();
        let shared = path.iter().zip(before).take_while(|(a, b)| a == b).count();
        for (end, _) in path.iter().enumerate().skip(shared).filter(|(_, byte)| **byte == b'/') {
            let is_there = entries.binary_search_by(|(probe, _)| probe.as_bytes().cmp(&path[..end])).is_ok();
            if !is_there
                && let Ok(directory) = TreePath::new(&path[..end])
                && !see(directory)
            {
                return;
            }
        }
        before = path;
    }
}

/// Says whether [`relink`] would change anything.
#[must_use]
pub fn is_relinked(entries: &[(TreePath, Entry)]) -> bool {
    entries.iter().any(|(path, entry)| {
        matches!(&entry.node, Node::HardLink { target } if target > path
            && entries.binary_search_by(|(probe, _)| probe.cmp(target))
                .is_ok_and(|at| matches!(entries[at].1.node, Node::File { .. })))
    })
}

/// Makes the first name of each hard-link group the file again, where moving changed the order of a sorted list.
pub fn relink(all: &mut [(TreePath, Entry)]) {
    let find = |all: &[(TreePath, Entry)], path: &TreePath| all.binary_search_by(|(probe, _)| probe.cmp(path)).ok();
    // The first such name takes the file; the rest of the group follows it.
    let mut first: BTreeMap<TreePath, TreePath> = BTreeMap::new();
    for (path, entry) in all.iter() {
        if let Node::HardLink { target } = &entry.node
            && target > path
            && find(all, target).is_some_and(|at| matches!(all[at].1.node, Node::File { .. }))
        {
            first.entry(target.clone()).or_insert_with(|| path.clone());
        }
    }
    // One walk for all groups: a package may have as many groups as entries.
    for (_, entry) in all.iter_mut().filter(|_| !first.is_empty()) {
        if let Node::HardLink { target } = &mut entry.node
            && let Some(path) = first.get(target)
        {
            *target = path.clone();
        }
    }
    for (target, path) in first {
        let (Some(file), Some(place)) = (find(all, &target), find(all, &path)) else { continue };
        let link = Node::HardLink { target: path };
        let link = Entry { node: link, ..all[file].1.clone() };
        all[place].1 = std::mem::replace(&mut all[file].1, link);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dlstore_formats::package::Format;
    use dlstore_model::arch::Arch;
    use dlstore_model::digest::Digest;

    fn path(text: &str) -> TreePath {
        TreePath::new(text.as_bytes()).unwrap()
    }

    #[test]
    fn parents_are_there_with_the_final_trees_metadata_and_no_date() {
        let file = Entry::new(Node::File { content: Digest::of(b""), size: 0 }, Meta { mtime: 5, ..Meta::FILE });
        let own = Entry::new(Node::Directory, Meta { mtime: 9, mode: 0o700, uid: 0, gid: 0 });
        let tree = Tree::new(vec![(path("lib/x/y"), file.clone()), (path("lib/x"), own)]).unwrap();
        let merged = MergedUsr::usual(Format::Deb, Some(Arch::Amd64));
        let sticky = Meta { mode: 0o1777, ..Meta::DIRECTORY };
        let landed = resolve(&tree, &merged).unwrap();
        let layer = layer_tree(landed, &|at| (*at == path("usr")).then(|| (sticky, Xattrs::new()))).unwrap();
        let expected = [
            ("usr", Entry::new(Node::Directory, sticky)),
            ("usr/lib", Entry::new(Node::Directory, Meta::DIRECTORY)),
            ("usr/lib/x", Entry::new(Node::Directory, Meta { mode: 0o700, ..Meta::DIRECTORY })),
            ("usr/lib/x/y", file),
        ];
        assert_eq!(layer, Tree::new(expected.map(|(at, entry)| (path(at), entry)).to_vec()).unwrap());
    }

    #[test]
    fn directories_that_nobody_lists_are_found_once_each() {
        let file = Entry::new(Node::File { content: Digest::of(b""), size: 0 }, Meta::FILE);
        let directory = Entry::new(Node::Directory, Meta::DIRECTORY);
        let at = |text: &str, entry: &Entry| (path(text), entry.clone());
        let list =
            [at("a", &directory), at("a-b/c", &file), at("a/x/y/z", &file), at("a/x/y0", &file), at("a/x/z/1", &file)];
        let mut found = Vec::new();
        missing_directories(&list, |path| {
            found.push(path.to_string());
            true
        });
        assert_eq!(found, ["/a-b", "/a/x", "/a/x/y", "/a/x/z"]);
    }

    #[test]
    fn a_hard_link_group_that_moved_points_at_its_first_name_again() {
        let file = Entry::new(Node::File { content: Digest::of(b""), size: 0 }, Meta::FILE);
        let link = Entry::new(Node::HardLink { target: path("lib/a") }, Meta::FILE);
        let tree = Tree::new(vec![(path("lib/a"), file.clone()), (path("opt/b"), link.clone()), (path("opt/c"), link)])
            .unwrap();
        let merged = MergedUsr::usual(Format::Deb, None);
        let layer = layer_tree(resolve(&tree, &merged).unwrap(), &|_| None).unwrap();
        assert_eq!(layer.get(&path("opt/b")), Some(&file));
        for other in ["opt/c", "usr/lib/a"] {
            let node = &layer.get(&path(other)).unwrap().node;
            assert_eq!(*node, Node::HardLink { target: path("opt/b") });
        }
    }
}
