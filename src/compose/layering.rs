//! Cutting a root into layers.
//!
//! `grouped`, the default: for each level of `extends`, one layer of what is the same on all
//! architectures and one of what is not; a package of 8 MiB or more stands alone. `package`: a layer
//! for each package, and the made content on top. `flat`: one layer.
//!
//! A layer is a list of layer trees, those of its parts. Which parts go together is decided by names
//! and declarations alone (`part::Reach`), so it never depends on what else is composed.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ComposeError;
use super::part::{Origin, Part, Reach};
use super::root::Inputs;
use super::union::Union;
use crate::definition::Layering;
use dlstore_formats::layer;
use dlstore_ingest::IngestError;
use dlstore_ingest::select::layer_tree::layer_tree;
use dlstore_model::digest::{ActionKey, Digest};
use dlstore_model::path::TreePath;
use dlstore_model::tree::{Entry, Tree};

/// Content above which a package has a layer of its own, in bytes.
const ALONE: u64 = 8 << 20;
/// Layers of one image: room is left for those of its users (runtimes stop at about 125).
const BUDGET: usize = 40;

/// One layer of a plan.
pub struct PlannedLayer {
    /// For people: `static:debian, all architectures`.
    pub title: String,
    /// Its parts: index into the root's parts, and the layer tree.
    pub parts: Vec<(usize, Tree)>,
    /// Names of its layer trees.
    pub digests: Vec<Digest>,
    /// Key of its pack.
    pub key: ActionKey,
}

impl PlannedLayer {
    /// Gives the folders of all parts, united.
    #[must_use]
    pub fn folders(&self) -> Tree {
        let mut folders: BTreeMap<TreePath, Entry> = BTreeMap::new();
        for (_, tree) in &self.parts {
            for (path, entry) in tree.iter().filter(|(_, entry)| entry.is_folder()) {
                folders.insert(path.clone(), entry.clone());
            }
        }
        Tree::new(folders.into_iter().collect()).expect("folders of one root agree with each other")
    }
}

/// Plans the layers of united parts.
///
/// # Errors
/// When a part does not make a tree.
pub fn plan(inputs: &Inputs<'_>, parts: &[Arc<Part>], union: &Union) -> Result<Vec<PlannedLayer>, ComposeError> {
    let mut trees = Vec::new();
    for (at, part) in parts.iter().enumerate() {
        let survives =
            |path: &TreePath, entry: &Entry| entry.is_folder() || union.get(path).is_some_and(|slot| slot.owner == at);
        let entries = part.entries.iter().filter(|(path, entry)| survives(path, entry)).cloned();
        trees.push(layer_tree(entries, &|path| union.folder(path)).map_err(IngestError::Tree)?);
    }
    let mut groups: Vec<(String, Vec<usize>)> = Vec::new();
    for at in order(parts) {
        if trees[at].is_empty() {
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
    let mut trees: Vec<Option<Tree>> = trees.into_iter().map(Some).collect();
    Ok(groups
        .into_iter()
        .map(|(title, members)| {
            let parts: Vec<(usize, Tree)> =
                members.into_iter().filter_map(|at| Some((at, trees[at].take()?))).collect();
            let digests: Vec<Digest> = parts.iter().map(|(_, tree)| tree.digest()).collect();
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
