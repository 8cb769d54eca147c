//! How much a store holds, and what it saves.
//!
//! Logical is what the packages say they hold, unique counts equal trees once, stored is what the disk
//! pays: packs, sources, the index, and what was left behind. Counts and sums are kept by the index, so this takes
//! the same time in a store of a thousand packages and of a hundred thousand.

use super::gc::total;
use super::{Kind, Store, StoreError};
use dlstore_fsx::file::Stamp;

/// Counts and sizes of one store, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoreInfo {
    /// Packages.
    pub packages: u64,
    /// Kept sources.
    pub sources: u64,
    /// Trees, layer trees among them.
    pub trees: u64,
    /// Packs.
    pub packs: u64,
    /// Remembered outcomes.
    pub actions: u64,
    /// Small blobs.
    pub blobs: u64,
    /// Roots.
    pub roots: u64,
    /// Content of all packages, each counted.
    pub logical: u64,
    /// Content of all packages, those with equal trees counted once.
    pub unique: u64,
    /// Facts.
    pub facts: u64,
    /// Raw bytes of the layers in `packs/`, each file counted once.
    pub packed_raw: u64,
    /// Files in `packs/`.
    pub pack_files: u64,
    /// Files in `sources/`.
    pub source_files: u64,
    /// The database and its log.
    pub index_files: u64,
    /// Files in stages whose owners are dead: the next collection sweeps them.
    pub dead_stages: u64,
    /// What lies in quarantine.
    pub quarantine: u64,
    /// Everything that the store takes: packs, sources, index, dead stages and quarantine.
    pub stored: u64,
    /// Room that is set aside and given back when a collection needs it; no part of what is stored.
    pub reserve: u64,
    /// Files in quarantine.
    pub quarantined: u64,
    /// Damaged objects.
    pub damaged: u64,
}

impl Store {
    /// Counts and adds up. Looks at the index, not at every file.
    ///
    /// # Errors
    /// When the store cannot be read.
    #[expect(clippy::redundant_closure_for_method_calls, reason = "a path is not general enough in its lifetime")]
    pub fn info(&self) -> Result<StoreInfo, StoreError> {
        let totals = self.0.index.read(|reader| reader.totals())?;
        let size = |name: &str| Ok(Stamp::at(&self.root().join(name))?.map_or(0, |stamp| stamp.size));
        let index_files = ["index.db", "index.db-wal"].into_iter().map(size).sum::<Result<u64, StoreError>>()?;
        let dead_stages = self.0.staged(&self.0.dead_leases()?)?;
        let quarantined = self.0.quarantined()?;
        let quarantine = total(quarantined.iter().map(|orphan| orphan.bytes));
        Ok(StoreInfo {
            packages: totals.of(Kind::Package),
            sources: totals.of(Kind::Source),
            trees: totals.of(Kind::Tree),
            packs: totals.of(Kind::Pack),
            actions: totals.of(Kind::Action),
            blobs: totals.of(Kind::Blob),
            facts: totals.of(Kind::Fact),
            roots: totals.roots,
            logical: totals.package_content,
            unique: totals.unique_content,
            packed_raw: totals.raw_packs,
            pack_files: totals.pack_files,
            source_files: totals.source_files,
            index_files,
            dead_stages,
            quarantine,
            stored: total([totals.pack_files, totals.source_files, index_files, dead_stages, quarantine]),
            reserve: self.0.reserved()?,
            quarantined: quarantined.len() as u64,
            damaged: totals.damaged,
        })
    }
}
