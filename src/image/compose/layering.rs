//! Cutting a root into layers.
//!
//! `grouped`, the default: for each level of `extends`, one layer of what is the same on all
//! architectures and one of what is not; a package of 8 MiB or more stands alone. `package`: a layer
//! for each package, and the made content on top. `flat`: one layer.
//!
//! A layer is a list of layer trees, those of its parts. Which parts go together is decided by names
//! and declarations alone (`part::Reach`), so it never depends on what else is composed.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::ComposeError;
use super::plan::{ComponentPlan, LayerPlan, PackState};
use super::request::Request;
use crate::definition::Layering;
use crate::rootfs::union::Slot;
use crate::rootfs::{Origin, Part, Reach, Rootfs};
use dlstore_formats::layer::{self, Codec};
use dlstore_ingest::IngestError;
use dlstore_ingest::select::layer_tree::layer_tree;
use dlstore_model::arch::Arch;
use dlstore_model::digest::Digest;
use dlstore_model::path::TreePath;
use dlstore_model::tree::{Entry, Meta, Node, Tree, Xattrs};

/// Content above which a package has a layer of its own, in bytes.
const ALONE: u64 = 8 << 20;
/// Layers of one image: room is left for those of its users (runtimes stop at about 125).
pub(super) const BUDGET: usize = 40;

/// Gives the directories of the layer trees of all components of a layer, united. The trees themselves need not be made for
/// that.
pub(super) fn directories(layer: &LayerPlan, rootfs: &Rootfs) -> Tree {
    let mut paths: BTreeSet<TreePath> = BTreeSet::new();
    for at in layer.components.iter().map(|component| component.part) {
        let mut before = None;
        let entries = rootfs.parts()[at].entries.iter();
        for (path, entry) in entries.filter(|(path, entry)| survives(at, path, entry, rootfs)) {
            if entry.is_directory() {
                paths.insert(path.clone());
            }
            // Neighbours in path order lie in one directory nearly always.
            let parent = path.parent();
            if parent != before {
                paths.extend(path.ancestors());
                before = parent;
            }
        }
    }
    let directory = |path: TreePath| {
        let (meta, xattrs) = rootfs.directory(&path).unwrap_or((Meta::DIRECTORY, Xattrs::new()));
        (path, Entry { node: Node::Directory, meta: Meta { mtime: 0, ..meta }, xattrs })
    };
    Tree::new(paths.into_iter().map(directory).collect()).expect("directories lie in directories")
}

/// Says whether an entry of part `at` is in the image.
fn survives(at: usize, path: &TreePath, entry: &Entry, rootfs: &Rootfs) -> bool {
    rootfs.get(path).is_some_and(|slot| if entry.is_directory() { slot.entry.is_directory() } else { slot.owner == at })
}

/// Gives the name of the layer tree of part `at` where that is what it would be if nothing else were in the image, and
/// is known: all of its entries are, and nobody gives its directories, or those above them, another mode, owner or
/// attributes.
fn known_alone(at: usize, part: &Part, rootfs: &Rootfs) -> Option<Digest> {
    let (digest, implied) = part.alone.as_ref()?;
    let same = |slot: Slot<'_>, meta: Meta, xattrs: &Xattrs| {
        slot.entry.is_directory() && Meta { mtime: 0, ..slot.entry.meta } == meta && slot.entry.xattrs == *xattrs
    };
    let stands = |path: &TreePath, entry: &Entry| {
        let slot = rootfs.get(path);
        slot.is_some_and(
            |slot| if entry.is_directory() { same(slot, entry.meta, &entry.xattrs) } else { slot.owner == at },
        )
    };
    let is_implied = |path: &TreePath| rootfs.get(path).is_none_or(|slot| same(slot, Meta::DIRECTORY, &Xattrs::new()));
    let is_alone = part.entries.iter().all(|(path, entry)| stands(path, entry)) && implied.iter().all(is_implied);
    is_alone.then_some(*digest)
}

/// Gives the layer tree of part `at` of a rootfs. It is made when it is needed: most packs are known, and a tree is as
/// large as the part.
///
/// # Errors
/// When the part does not make a tree.
pub(super) fn tree_of(at: usize, rootfs: &Rootfs) -> Result<Tree, ComposeError> {
    let entries = rootfs.parts()[at].entries.iter().filter(|(path, entry)| survives(at, path, entry, rootfs)).cloned();
    Ok(layer_tree(entries, &|path| rootfs.directory(path)).map_err(IngestError::Tree)?)
}

/// Plans the layers of a rootfs. Which packs are here is for others to say.
///
/// # Errors
/// When a part does not make a tree.
pub(super) fn plan(request: &Request<'_>, arch: Arch, rootfs: &Rootfs) -> Result<Vec<LayerPlan>, ComposeError> {
    let parts = rootfs.parts();
    let mut groups: Vec<(String, Vec<ComponentPlan>)> = Vec::new();
    for at in order(parts) {
        let part = &parts[at];
        let Some(component) = component(at, rootfs, request.codec)? else { continue };
        let title = title(request, arch, part);
        match groups.last_mut().filter(|_| joins(request.layering, part)) {
            Some((last, members)) if *last == title => members.push(component),
            _ => groups.push((title, vec![component])),
        }
    }
    while groups.len() > BUDGET {
        let (_, rest) = groups.remove(BUDGET - 1);
        groups[BUDGET - 2].1.extend(rest);
        groups[BUDGET - 2].0 = format!("{}, the rest", request.image.name);
    }
    let layer = |(title, components): (String, Vec<ComponentPlan>)| {
        let trees: Vec<Digest> = components.iter().map(|component| component.tree).collect();
        let pack = layer::pack_key(request.codec, &trees);
        LayerPlan { title, pack, state: PackState::Missing, components }
    };
    Ok(groups.into_iter().map(layer).collect())
}

/// Plans what a part brings; `None` when that is nothing.
fn component(at: usize, rootfs: &Rootfs, codec: Codec) -> Result<Option<ComponentPlan>, ComposeError> {
    let part = &rootfs.parts()[at];
    let of = |tree: Digest, entries: &[(TreePath, Entry)]| ComponentPlan {
        part: at,
        origin: part.makers(),
        reach: part.reach,
        files: entries.iter().filter(|(_, entry)| matches!(entry.node, Node::File { .. })).count(),
        bytes: entries.iter().map(|(_, entry)| entry.content_size()).sum(),
        tree,
        pack: layer::pack_key(codec, &[tree]),
        state: PackState::Missing,
    };
    if let Some(tree) = known_alone(at, part, rootfs) {
        return Ok((!part.entries.is_empty()).then(|| of(tree, &part.entries)));
    }
    let tree = tree_of(at, rootfs)?;
    Ok((!tree.is_empty()).then(|| of(tree.digest(), tree.iter().as_slice())))
}

/// By level, what is for all architectures first: upper layers change more often than lower ones.
fn order(parts: &[Arc<Part>]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..parts.len()).collect();
    order.sort_by_key(|at| (parts[*at].level, parts[*at].reach, is_alone(&parts[*at]), *at));
    order
}

fn is_alone(part: &Part) -> bool {
    part.package.is_some() && part.content_size >= ALONE
}

fn joins(layering: Layering, part: &Part) -> bool {
    match layering {
        Layering::Flat => true,
        Layering::Grouped => !is_alone(part),
        Layering::Package => part.package.is_none(),
    }
}

/// Gives the title of the layer of a part, for people.
pub(super) fn title(request: &Request<'_>, arch: Arch, part: &Part) -> String {
    let level = &request.image.levels[part.level].name;
    match (request.layering, &part.origin) {
        (Layering::Flat, _) => format!("{}, flat", request.image.name),
        (layering, Origin::Package { name, version, .. }) if layering == Layering::Package || is_alone(part) => {
            format!("{name} {version}")
        }
        _ => match part.reach {
            Reach::All => format!("{level}, all architectures"),
            Reach::One => format!("{level}, {arch}"),
        },
    }
}
