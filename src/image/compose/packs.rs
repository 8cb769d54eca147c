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
use super::layering::{PlannedLayer, tree_of};
use super::root::Root;
use crate::rootfs::part::Bytes;
use dlstore_formats::layer::{self, Codec, Contents, PackInfo, StoredPack};
use dlstore_ingest::IngestError;
use dlstore_model::digest::{ActionKey, Digest, OciDigest};
use dlstore_store::session::Session;

/// What was needed and what of it was there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Layers whose pack was known.
    pub reused: usize,
    /// Layers that were made.
    pub made: usize,
}

impl Tally {
    /// Adds what was needed elsewhere.
    pub const fn add(&mut self, more: Self) {
        self.reused += more.reused;
        self.made += more.made;
    }
}

/// Makes what is missing of the layers of some roots.
///
/// # Errors
/// When bytes are missing or damaged.
pub fn make(session: &Session<'_>, roots: &[&Root], codec: Codec) -> Result<Tally, ComposeError> {
    let mut missing: BTreeMap<ActionKey, (&Root, &PlannedLayer)> = BTreeMap::new();
    let mut tally = Tally::default();
    let mut seen = std::collections::BTreeSet::new();
    let mut layers = Vec::new();
    for root in roots {
        for layer in &root.layers {
            if !seen.insert(layer.key) {
                continue;
            }
            let was_here = is_here(session, &layer.key)?;
            layers.push((layer, !was_here));
            if was_here {
                tally.reused += 1;
            } else {
                tally.made += 1;
                missing.insert(layer.key, (root, layer));
            }
        }
    }
    let mut singles: BTreeMap<Digest, (&Root, usize)> = BTreeMap::new();
    for (root, layer) in missing.values() {
        for (at, digest) in layer.parts.iter().zip(&layer.digests) {
            if !singles.contains_key(digest) && !is_here(session, &layer::pack_key(codec, &[*digest]))? {
                singles.insert(*digest, (root, *at));
            }
        }
    }
    let mut work: Vec<_> = singles.into_values().collect();
    work.sort_by_key(|(root, at)| std::cmp::Reverse(root.parts[*at].content_size));
    work.into_par_iter().with_max_len(1).try_for_each(|(root, at)| write_one(session, root, at, codec))?;
    let joins: Vec<_> = missing.into_values().filter(|(_, layer)| layer.parts.len() > 1).collect();
    joins.into_par_iter().with_max_len(1).try_for_each(|(root, layer)| join(session, root, layer, codec))?;
    if tracing::enabled!(tracing::Level::INFO) {
        for (layer, was_made) in layers {
            if let Some(info) = info(session, &layer.key)? {
                say(if was_made { "made" } else { "reused" }, &info.blob, info.size, &layer.title);
            }
        }
    }
    Ok(tally)
}

/// Says what became of a layer to whoever listens.
pub(super) fn say(word: &str, blob: &OciDigest, size: u64, title: &str) {
    tracing::info!(size, "{word} layer {} {title}", &blob.to_hex()[..12]);
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

fn write_one(session: &Session<'_>, root: &Root, at: usize, codec: Codec) -> Result<(), ComposeError> {
    let part = &root.parts[at];
    let tree = &Arc::new(tree_of(at, part, &root.union)?);
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
    let parts = layer.parts.iter().zip(&layer.digests).map(|(at, digest)| {
        let key = layer::pack_key(codec, &[*digest]);
        if let Some(stored) = stored(session, &key)? {
            return Ok(stored);
        }
        // Its bytes were bad under an intact stamp: it is made again here, so that however many are bad, this is one
        // attempt.
        write_one(session, root, *at, codec)?;
        stored(session, &key)?.ok_or_else(|| ComposeError::Gone(layer.title.clone()))
    });
    let staged = session.stage_path()?;
    let mut file = std::fs::File::create_new(&staged).map_err(IngestError::Stage)?;
    let folders = layer.folders(&root.parts, &root.union);
    let info = layer::merge_each(&folders, parts, codec, &mut file)?;
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
