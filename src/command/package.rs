//! A package of the store as reports show it.
//!
//! What several reports say of a package, they say by the same keys.

use serde::Serialize;

use super::value::{Date, Text};
use dlstore_model::digest::{Digest, OciDigest};
use dlstore_store::PackageRecord;

/// A package of the store.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Package {
    /// `deb`, `apk` or `tar`.
    pub(crate) format: &'static str,
    /// Its name.
    pub(crate) name: Box<str>,
    /// Its version.
    pub(crate) version: Box<str>,
    /// In the words of its format.
    pub(crate) architecture: Box<str>,
    /// The digest of its files (BLAKE3).
    pub(crate) tree: Text<Digest>,
    /// The digest of the package file (`sha256:`).
    pub(crate) source: Text<OciDigest>,
    /// Bytes of the package file.
    pub(crate) source_size: u64,
    /// Bytes of its files.
    pub(crate) content_size: u64,
    /// How many files, directories and links it has.
    pub(crate) entries: u64,
    /// The newest of its files.
    pub(crate) date: Date,
}

impl Package {
    pub(super) fn of(record: PackageRecord) -> Self {
        Self {
            format: record.format.name(),
            name: record.name.into(),
            version: record.version.into(),
            architecture: record.architecture.into(),
            tree: Text(record.tree),
            source: Text(record.source),
            source_size: record.source_size,
            content_size: record.content_size,
            entries: record.entries,
            date: Date(record.date),
        }
    }
}
