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
use super::root::Inputs;
use crate::definition::Layering;
use crate::rootfs::part::{Origin, Part, Reach};
use crate::rootfs::union::Union;
use dlstore_formats::layer;
use dlstore_ingest::IngestError;
use dlstore_ingest::select::layer_tree::layer_tree;
use dlstore_model::digest::{ActionKey, Digest};
use dlstore_model::path::TreePath;
use dlstore_model::tree::{Entry, Meta, Node, Tree, Xattrs};

/// Content above which a package has a layer of its own, in bytes.
const ALONE: u64 = 8 << 20;
/// Layers of one image: room is left for those of its users (runtimes stop at about 125).
const BUDGET: usize = 40;

/// One layer of a plan.
pub struct PlannedLayer {
    /// For people: `static:debian, all architectures`.
    pub title: String,
    /// Its parts, by index into the root's.
    pub parts: Vec<usize>,
    /// Names of its layer trees.
    pub digests: Vec<Digest>,
    /// Key of its pack.
    pub key: ActionKey,
}

impl PlannedLayer {
    /// Gives the folders of the layer trees of all parts, united. The trees themselves need not be made for that.
    #[must_use]
    pub fn folders(&self, parts: &[Arc<Part>], union: &Union) -> Tree {
        let mut paths: BTreeSet<TreePath> = BTreeSet::new();
        for at in &self.parts {
            let mut before = None;
            for (path, entry) in parts[*at].entries.iter().filter(|(path, entry)| survives(*at, path, entry, union)) {
                if entry.is_folder() {
                    paths.insert(path.clone());
                }
                // Neighbours in path order lie in one folder nearly always.
                let parent = path.parent();
                if parent != before {
                    paths.extend(path.ancestors());
                    before = parent;
                }
            }
        }
        let folder = |path: TreePath| {
            let (meta, xattrs) = union.folder(&path).unwrap_or((Meta::FOLDER, Xattrs::new()));
            (path, Entry { node: Node::Folder, meta: Meta { mtime: 0, ..meta }, xattrs })
        };
        Tree::new(paths.into_iter().map(folder).collect()).expect("folders lie in folders")
    }
}

/// Says whether an entry of part `at` is in the image.
fn survives(at: usize, path: &TreePath, entry: &Entry, union: &Union) -> bool {
    union.get(path).is_some_and(|slot| if entry.is_folder() { slot.entry.is_folder() } else { slot.owner == at })
}

/// Gives the layer tree of part `at` of a root. It is made when it is needed: most packs are known, and a tree is as
/// large as the part.
///
/// # Errors
/// When the part does not make a tree.
pub fn tree_of(at: usize, part: &Part, union: &Union) -> Result<Tree, ComposeError> {
    let entries = part.entries.iter().filter(|(path, entry)| survives(at, path, entry, union)).cloned();
    Ok(layer_tree(entries, &|path| union.folder(path)).map_err(IngestError::Tree)?)
}

/// Plans the layers of united parts.
///
/// # Errors
/// When a part does not make a tree.
pub fn plan(inputs: &Inputs<'_>, parts: &[Arc<Part>], union: &Union) -> Result<Vec<PlannedLayer>, ComposeError> {
    // Names of the layer trees, of those that are not empty.
    let mut digests = Vec::new();
    for (at, part) in parts.iter().enumerate() {
        let tree = tree_of(at, part, union)?;
        digests.push((!tree.is_empty()).then(|| tree.digest()));
    }
    let mut groups: Vec<(String, Vec<usize>)> = Vec::new();
    for at in order(parts) {
        if digests[at].is_none() {
            continue;
        }
        let title = title(inputs, &parts[at]);
        match groups.last_mut().filter(|_| joins(inputs.layering, &parts[at])) {
            Some((last, members)) if *last == title => members.push(at),
            _ => groups.push((title, vec![at])),
        }
    }
    while groups.len() > BUDGET {
        let (_, rest) = groups.remove(BUDGET - 1);
        groups[BUDGET - 2].1.extend(rest);
        groups[BUDGET - 2].0 = format!("{}, the rest", inputs.image.name);
    }
    Ok(groups
        .into_iter()
        .map(|(title, parts)| {
            let digests: Vec<Digest> = parts.iter().filter_map(|at| digests[*at]).collect();
            let key = layer::pack_key(inputs.codec, &digests);
            PlannedLayer { title, parts, digests, key }
        })
        .collect())
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

fn title(inputs: &Inputs<'_>, part: &Part) -> String {
    let level = &inputs.image.levels[part.level].name;
    match (inputs.layering, &part.origin) {
        (Layering::Flat, _) => format!("{}, flat", inputs.image.name),
        (layering, Origin::Package { name, version, .. }) if layering == Layering::Package || is_alone(part) => {
            format!("{name} {version}")
        }
        _ => match part.reach {
            Reach::All => format!("{level}, all architectures"),
            Reach::One => format!("{level}, {}", inputs.arch),
        },
    }
}
