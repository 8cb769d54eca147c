//! Every path of a rootfs, for people: what stands there, and who brought it.
//!
//! It is what a layer has, and the directories that a runtime makes because something is in them. What a package or a
//! fix-up brought names it; a fix-up also names the packages that it made the file of.

use std::collections::{BTreeMap, BTreeSet};

use super::{Origin, Rootfs};
use dlstore_ingest::select::layer_tree::relink;
use dlstore_model::path::TreePath;
use dlstore_model::tree::{Entry, Meta, Node};

/// One path of a rootfs.
pub struct Listed {
    /// The path.
    pub path: TreePath,
    /// What stands there.
    pub entry: Entry,
    /// Who brought it.
    pub origin: String,
    /// The packages that a fix-up made it of.
    pub of: Vec<String>,
}

/// A package of a rootfs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ListedPackage {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its format: `deb`, `apk`, `tar`.
    pub format: &'static str,
}

/// Lists the packages of a rootfs, sorted.
pub(crate) fn packages(rootfs: &Rootfs) -> Vec<ListedPackage> {
    let of = |origin: &Origin| match origin {
        Origin::Package { format, name, version, .. } => {
            Some(ListedPackage { name: name.clone(), version: version.clone(), format })
        }
        _ => None,
    };
    rootfs.parts().iter().filter_map(|part| of(&part.origin)).collect::<BTreeSet<_>>().into_iter().collect()
}

/// Lists every path of a rootfs. Directories that nobody lists but that hold something are there too, as the runtime
/// will see them.
pub(crate) fn listing(rootfs: &Rootfs) -> Vec<Listed> {
    let mut all: BTreeMap<TreePath, (Entry, String, Vec<String>)> = BTreeMap::new();
    for (path, slot) in rootfs.iter() {
        let maker = rootfs.parts()[slot.owner].origin_of(path);
        let origin = maker.to_string();
        for parent in path.ancestors() {
            all.entry(parent)
                .or_insert_with(|| (Entry::new(Node::Directory, Meta::DIRECTORY), origin.clone(), Vec::new()));
        }
        let mut entry = slot.entry.clone();
        if entry.is_directory() {
            entry.meta.mtime = 0;
        }
        let of = if let Origin::Fixup(_, packages) = maker { packages.clone() } else { Vec::new() };
        all.insert(path.clone(), (entry, origin, of));
    }
    // As in a layer, the first name of a file is the file.
    let mut entries: Vec<_> = all.iter_mut().map(|(path, (entry, ..))| (path.clone(), entry.clone())).collect();
    relink(&mut entries);
    let both = all.into_values().zip(entries);
    both.map(|((_, origin, of), (path, entry))| Listed { path, entry, origin, of }).collect()
}
