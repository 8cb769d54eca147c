//! Where the store lies, what it holds, and what that costs.
//!
//! The totals are kept by the index, so this takes as long in a large store as in a small one.

use serde::Serialize;

use crate::command::context::Context;
use crate::command::error::Error;
use crate::command::value;
use dlstore_store::Access;

/// Counts and sizes of a store.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Report {
    /// The store's directory.
    pub(crate) path: String,
    /// How many packages.
    pub(crate) packages: u64,
    /// How many kept package files.
    pub(crate) sources: u64,
    /// How many trees, those of layers among them.
    pub(crate) trees: u64,
    /// How many layers.
    pub(crate) packs: u64,
    /// How many remembered outcomes.
    pub(crate) actions: u64,
    /// How many documents.
    pub(crate) blobs: u64,
    /// How many facts of packages.
    pub(crate) facts: u64,
    /// How many roots.
    pub(crate) roots: u64,
    /// Bytes of all files of all packages.
    pub(crate) logical_size: u64,
    /// Bytes of them, equal trees counted once.
    pub(crate) unique_size: u64,
    /// Bytes that the layers unpack to.
    pub(crate) packed_raw_size: u64,
    /// Bytes of the layers on the disk.
    pub(crate) pack_files_size: u64,
    /// Bytes of the kept package files.
    pub(crate) source_files_size: u64,
    /// Bytes of the index and its log.
    pub(crate) index_size: u64,
    /// Bytes of all that lies on the disk, but for the reserve.
    pub(crate) stored_size: u64,
    /// Bytes that killed commands left.
    pub(crate) dead_stages_size: u64,
    /// Bytes that are set aside for collecting on a full disk.
    pub(crate) reserve_size: u64,
    /// How many files are in quarantine.
    pub(crate) quarantined: u64,
    /// Bytes of them.
    pub(crate) quarantined_size: u64,
    /// How many objects are known to be damaged.
    pub(crate) damaged: u64,
}

/// Counts and adds up.
///
/// # Errors
/// When there is no store, or it cannot be read.
pub(crate) fn run(context: &Context) -> Result<Report, Error> {
    let store = context.open(Access::Existing)?;
    let info = store.info()?;
    Ok(Report {
        path: value::path(store.root()),
        packages: info.packages,
        sources: info.sources,
        trees: info.trees,
        packs: info.packs,
        actions: info.actions,
        blobs: info.blobs,
        facts: info.facts,
        roots: info.roots,
        logical_size: info.logical,
        unique_size: info.unique,
        packed_raw_size: info.packed_raw,
        pack_files_size: info.pack_files,
        source_files_size: info.source_files,
        index_size: info.index_files,
        stored_size: info.stored,
        dead_stages_size: info.dead_stages,
        reserve_size: info.reserve,
        quarantined: info.quarantined,
        quarantined_size: info.quarantine,
        damaged: info.damaged,
    })
}
