//! Making the packs that planned layers lack.
//!
//! Nearly always every part's pack is known: `add` predicted it. What is not is made from the part's
//! bytes: the kept source is decoded once more, or memory, or files of the host are read. A layer of
//! several parts joins their packs' pieces verbatim. Each pack is made once, however many
//! architectures and layers want it, and all of them in parallel.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::ComposeError;
use super::layering::{directories, tree_of};
use super::plan::{ComponentPlan, LayerPlan, PackState};
use super::side_by_side::try_each;
use crate::rootfs::Rootfs;
use crate::rootfs::part::Bytes;
use dlstore_formats::layer::{self, Codec, Contents, StoredPack};
use dlstore_ingest::IngestError;
use dlstore_model::digest::ActionKey;
use dlstore_store::session::Session;

/// Says in planned layers which packs are here.
///
/// # Errors
/// When the store cannot be read.
pub(super) fn look_up(session: &Session<'_>, layers: &mut [LayerPlan]) -> Result<(), ComposeError> {
    let state = |pack: &ActionKey| -> Result<PackState, ComposeError> {
        Ok(if is_here(session, pack)? { PackState::Here } else { PackState::Missing })
    };
    for layer in layers {
        layer.state = state(&layer.pack)?;
        for component in &mut layer.components {
            component.state = match layer.state {
                of_layer if component.pack == layer.pack => of_layer,
                PackState::Here => PackState::Unneeded,
                _ => state(&component.pack)?,
            };
        }
    }
    Ok(())
}

/// Makes what plans say is missing of the layers of some rootfs.
///
/// # Errors
/// When bytes are missing or damaged.
pub(super) fn make(
    session: &Session<'_>,
    planned: &[(&Rootfs, &[LayerPlan])],
    codec: Codec,
) -> Result<(), ComposeError> {
    let mut missing: BTreeMap<ActionKey, (&Rootfs, &LayerPlan)> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for (rootfs, layers) in planned {
        for layer in layers.iter().filter(|layer| seen.insert(layer.pack)) {
            // Another image of the command may have made it meanwhile.
            if layer.state != PackState::Here && !is_here(session, &layer.pack)? {
                missing.insert(layer.pack, (rootfs, layer));
            }
        }
    }
    let mut singles: BTreeMap<ActionKey, (&Rootfs, &ComponentPlan)> = BTreeMap::new();
    for (rootfs, layer) in missing.values() {
        for component in layer.components.iter().filter(|component| component.state != PackState::Here) {
            if !singles.contains_key(&component.pack) && !is_here(session, &component.pack)? {
                singles.insert(component.pack, (rootfs, component));
            }
        }
    }
    let mut work: Vec<_> = singles.into_values().collect();
    work.sort_by_key(|(rootfs, component)| Reverse(rootfs.parts()[component.part].content_size));
    let one = |(rootfs, component): (&Rootfs, &ComponentPlan)| write_one(session, rootfs, component.part, codec);
    try_each(work, one)?;
    let joins: Vec<_> = missing.into_values().filter(|(_, layer)| layer.components.len() > 1).collect();
    try_each(joins, |(rootfs, layer)| join(session, rootfs, layer, codec))
}

/// Says whether a pack is known and its bytes are there.
///
/// # Errors
/// When the store cannot be read.
pub(super) fn is_here(session: &Session<'_>, key: &ActionKey) -> Result<bool, ComposeError> {
    match session.pack(key)? {
        Some(info) => Ok(session.open_pack(key, &info)?.is_some()),
        None => Ok(false),
    }
}

fn write_one(session: &Session<'_>, rootfs: &Rootfs, at: usize, codec: Codec) -> Result<(), ComposeError> {
    tracing::debug!("packing a component of {}", rootfs.parts()[at].origin);
    let tree = &Arc::new(tree_of(at, rootfs)?);
    let write = |contents: &dyn Contents| dlstore_ingest::write_pack(session, tree, contents, codec).map(|_| ());
    match &rootfs.parts()[at].bytes {
        Bytes::Host(files) => write(files.as_ref())?,
        Bytes::Memory(contents) => write(contents.as_ref())?,
        Bytes::Source(record, keeps) => {
            let spool = dlstore_ingest::decode_again(session, record, keeps)?;
            write(&spool)?;
        }
    }
    Ok(())
}

fn join(session: &Session<'_>, rootfs: &Rootfs, layer: &LayerPlan, codec: Codec) -> Result<(), ComposeError> {
    let packs = layer.components.iter().map(|component| {
        if let Some(stored) = stored(session, &component.pack)? {
            return Ok(stored);
        }
        // Its bytes were bad under an intact stamp: it is made again here, so that however many are bad, this is one
        // attempt.
        write_one(session, rootfs, component.part, codec)?;
        stored(session, &component.pack)?.ok_or_else(|| ComposeError::Gone(layer.title.clone()))
    });
    tracing::debug!("joining {} components to {}", layer.components.len(), layer.title);
    let staged = session.stage_path()?;
    let mut file = std::fs::File::create_new(&staged).map_err(IngestError::Stage)?;
    let info = layer::merge_each(&directories(layer, rootfs), packs, codec, &mut file)?;
    let trees = layer.components.iter().map(|component| component.tree).collect();
    session.add_pack(layer.pack, trees, info, staged);
    Ok(())
}

/// Opens a pack whose bytes are right; `None` when they are gone or bad.
fn stored(session: &Session<'_>, key: &ActionKey) -> Result<Option<StoredPack>, ComposeError> {
    let Some(info) = session.pack(key)? else { return Ok(None) };
    Ok(session.open_pack_hashed(key, &info)?.map(|file| StoredPack { info, file }))
}
