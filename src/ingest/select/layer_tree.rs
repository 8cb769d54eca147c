//! The layer tree: what one package brings to an image, ready to be packed.
//!
//! It holds the package's surviving entries and all folders above them. Folders carry the metadata of
//! the final tree and the date 0, so a folder that stands in two layers is the same in both, and two
//! architectures whose packages differ only in what is left out share a layer.

use std::collections::BTreeMap;

use super::merged_usr::MergedUsr;
use dlstore_model::path::TreePath;
use dlstore_model::tree::{Entry, Meta, Node, Tree, TreeError, Xattrs};

/// Metadata of a folder in the final tree.
pub type FolderMeta = (Meta, Xattrs);

/// Moves a selected tree to where its entries land under the usr-merge links of a root.
///
/// # Errors
/// When two entries land on one path and differ.
pub fn resolve(tree: &Tree, merged: &MergedUsr) -> Result<Vec<(TreePath, Entry)>, TreeError> {
    let mut landed: BTreeMap<TreePath, Entry> = BTreeMap::new();
    for (path, entry) in tree.iter().filter(|(path, entry)| !merged.replaces(path, entry)) {
        let at = merged.resolve(path, entry);
        let mut entry = entry.clone();
        if let Node::HardLink { target } = &mut entry.node {
            *target = merged.resolve_name(target);
        }
        match landed.get(&at) {
            Some(known) if known.is_folder() && entry.is_folder() => {}
            Some(known) if *known == entry => {}
            Some(_) => return Err(TreeError::Duplicate(at)),
            None => {
                landed.insert(at, entry);
            }
        }
    }
    Ok(landed.into_iter().collect())
}

/// Makes the layer tree of landed entries.
///
/// # Errors
/// When an entry lies below something that is not a folder.
pub fn layer_tree(
    entries: impl IntoIterator<Item = (TreePath, Entry)>,
    folder: &dyn Fn(&TreePath) -> Option<FolderMeta>,
) -> Result<Tree, TreeError> {
    let mut all: BTreeMap<TreePath, Entry> = entries.into_iter().collect();
    let missing: Vec<TreePath> = all
        .keys()
        .flat_map(|path| path.ancestors().collect::<Vec<_>>())
        .filter(|path| !all.contains_key(path))
        .collect();
    for path in missing {
        all.entry(path).or_insert_with(|| Entry::new(Node::Folder, Meta::FOLDER));
    }
    for (path, entry) in all.iter_mut().filter(|(_, entry)| entry.is_folder()) {
        if let Some((meta, xattrs)) = folder(path) {
            entry.meta = meta;
            entry.xattrs = xattrs;
        }
        entry.meta.mtime = 0;
    }
    Tree::new(relink(all))
}

/// Hard links whose order changed by moving point at the first name again.
fn relink(mut all: BTreeMap<TreePath, Entry>) -> Vec<(TreePath, Entry)> {
    let early: Vec<(TreePath, TreePath)> = all
        .iter()
        .filter_map(|(path, entry)| match &entry.node {
            Node::HardLink { target } if target > path => Some((path.clone(), target.clone())),
            _ => None,
        })
        .collect();
    // The first such name takes the file; the rest of the group follows it.
    let mut first: BTreeMap<TreePath, TreePath> = BTreeMap::new();
    for (path, target) in early {
        if all.get(&target).is_some_and(|entry| matches!(entry.node, Node::File { .. })) {
            first.entry(target).or_insert(path);
        }
    }
    // One walk for all groups: a package may have as many groups as entries.
    for entry in all.values_mut().filter(|_| !first.is_empty()) {
        if let Node::HardLink { target } = &mut entry.node
            && let Some(path) = first.get(target)
        {
            *target = path.clone();
        }
    }
    for (target, path) in first {
        let link = Node::HardLink { target: path.clone() };
        let Some(file) = all.get_mut(&target) else { continue };
        let file = std::mem::replace(file, Entry { node: link, ..file.clone() });
        all.insert(path, file);
    }
    all.into_iter().collect()
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
        let own = Entry::new(Node::Folder, Meta { mtime: 9, mode: 0o700, uid: 0, gid: 0 });
        let tree = Tree::new(vec![(path("lib/x/y"), file.clone()), (path("lib/x"), own)]).unwrap();
        let merged = MergedUsr::usual(Format::Deb, Some(Arch::Amd64));
        let sticky = Meta { mode: 0o1777, ..Meta::FOLDER };
        let landed = resolve(&tree, &merged).unwrap();
        let layer = layer_tree(landed, &|at| (*at == path("usr")).then(|| (sticky, Xattrs::new()))).unwrap();
        let expected = [
            ("usr", Entry::new(Node::Folder, sticky)),
            ("usr/lib", Entry::new(Node::Folder, Meta::FOLDER)),
            ("usr/lib/x", Entry::new(Node::Folder, Meta { mode: 0o700, ..Meta::FOLDER })),
            ("usr/lib/x/y", file),
        ];
        assert_eq!(layer, Tree::new(expected.map(|(at, entry)| (path(at), entry)).to_vec()).unwrap());
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
