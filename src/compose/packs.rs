//! Making the packs that planned layers lack.
//!
//! Nearly always every part's pack is known: `add` predicted it. What is not is made from the part's
//! bytes: the kept source is decoded once more, or memory, or files of the host are read. A layer of
//! several parts joins their packs' pieces verbatim. Each pack is made once, however many
//! architectures and layers want it, and all of them in parallel.

use std::collections::BTreeMap;
use std::sync::Arc;

use rayon::prelude::*;

use super::ComposeError;
use super::layering::PlannedLayer;
use super::part::{Bytes, Part};
use super::root::Root;
use dlstore_formats::layer::{self, Codec, Contents, PackInfo, StoredPack};
use dlstore_ingest::IngestError;
use dlstore_model::digest::{ActionKey, Digest};
use dlstore_model::tree::Tree;
use dlstore_store::session::Session;

/// What was needed and what of it was there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Layers whose pack was known.
    pub reused: usize,
    /// Layers that were made.
    pub made: usize,
}

/// Makes what is missing of the layers of some roots.
///
/// # Errors
/// When bytes are missing or damaged.
pub fn make(session: &Session<'_>, roots: &[&Root], codec: Codec) -> Result<Tally, ComposeError> {
    let mut missing: BTreeMap<ActionKey, (&Root, &PlannedLayer)> = BTreeMap::new();
    let mut tally = Tally::default();
    let mut seen = std::collections::BTreeSet::new();
    for root in roots {
        for layer in &root.layers {
            if !seen.insert(layer.key) {
                continue;
            }
            if is_here(session, &layer.key)? {
                tally.reused += 1;
            } else {
                tally.made += 1;
                missing.insert(layer.key, (root, layer));
            }
        }
    }
    let mut singles: BTreeMap<Digest, (&Part, &Tree)> = BTreeMap::new();
    for (root, layer) in missing.values() {
        for ((at, tree), digest) in layer.parts.iter().zip(&layer.digests) {
            if !singles.contains_key(digest) && !is_here(session, &layer::pack_key(codec, &[*digest]))? {
                singles.insert(*digest, (&root.parts[*at], tree));
            }
        }
    }
    let mut work: Vec<_> = singles.into_values().collect();
    work.sort_by_key(|(part, _)| std::cmp::Reverse(part.content_size));
    work.into_par_iter().with_max_len(1).try_for_each(|(part, tree)| write_one(session, part, tree, codec))?;
    let joins: Vec<_> = missing.into_values().filter(|(_, layer)| layer.parts.len() > 1).collect();
    joins.into_par_iter().with_max_len(1).try_for_each(|(root, layer)| join(session, root, layer, codec))?;
    Ok(tally)
}

/// Says whether a pack is known and its bytes are there.
///
/// # Errors
/// When the store cannot be read.
pub fn is_here(session: &Session<'_>, key: &ActionKey) -> Result<bool, ComposeError> {
    match session.pack(key)? {
        Some(info) => Ok(session.open_pack(key, &info)?.is_some()),
        None => Ok(false),
    }
}

fn write_one(session: &Session<'_>, part: &Part, tree: &Tree, codec: Codec) -> Result<(), ComposeError> {
    let tree = &Arc::new(tree.clone());
    let write = |contents: &dyn Contents| dlstore_ingest::write_pack(session, tree, contents, codec).map(|_| ());
    match &part.bytes {
        Bytes::Host(files) => write(files.as_ref())?,
        Bytes::Memory(contents) => write(contents.as_ref())?,
        Bytes::Source(record, keeps) => {
            let spool = dlstore_ingest::decode_again(session, record, keeps)?;
            write(&spool)?;
        }
    }
    Ok(())
}

fn join(session: &Session<'_>, root: &Root, layer: &PlannedLayer, codec: Codec) -> Result<(), ComposeError> {
    let mut parts = Vec::new();
    for ((at, tree), digest) in layer.parts.iter().zip(&layer.digests) {
        let key = layer::pack_key(codec, &[*digest]);
        let mut found = stored(session, &key)?;
        if found.is_none() {
            // Its bytes were bad under an intact stamp: it is made again here, so that however many are bad, this
            // is one attempt.
            write_one(session, &root.parts[*at], tree, codec)?;
            found = stored(session, &key)?;
        }
        parts.push(found.ok_or_else(|| ComposeError::Gone(layer.title.clone()))?);
    }
    let staged = session.stage_path()?;
    let mut file = std::fs::File::create_new(&staged).map_err(IngestError::Stage)?;
    let info = layer::merge_packs(&layer.folders(), &parts, codec, &mut file)?;
    session.add_pack(layer.key, layer.digests.clone(), info, staged);
    Ok(())
}

/// Opens a pack whose bytes are right; `None` when they are gone or bad.
fn stored(session: &Session<'_>, key: &ActionKey) -> Result<Option<StoredPack>, ComposeError> {
    let Some(info) = session.pack(key)? else { return Ok(None) };
    Ok(session.open_pack_hashed(key, &info)?.map(|file| StoredPack { info, file }))
}

/// Gives the pack of a layer, which must have been made.
///
/// # Errors
/// When it is not there.
pub fn info(session: &Session<'_>, key: &ActionKey) -> Result<Option<PackInfo>, ComposeError> {
    Ok(session.pack(key)?)
}
