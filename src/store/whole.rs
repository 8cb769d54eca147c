//! Does what the rows hold of a package prove itself: the row by its checksum, tree and facts by their names.
//!
//! A package that does needs no source. One that does not can be had from its source only, so that stays, whoever asks
//! to have sources removed; and an object whose number of kind or state was damaged is what its content says it is.

use std::collections::BTreeMap;

use super::journal::{Journal, Kept};
use super::{Inner, ObjectRef, StoreError, tree_row};
use crate::index::{NameList, PackageRow, Reader};
use dlstore_model::digest::{Digest, OciDigest, PackageKey};
use dlstore_model::format::Format;

/// The packages that the lists of names and the journal have of each source.
pub(super) type Listed = BTreeMap<OciDigest, Vec<PackageKey>>;

/// Says whether a live package proves itself.
pub(super) fn is_whole(reader: &Reader<'_>, key: &PackageKey) -> Result<bool, StoreError> {
    let Some(PackageRow::Whole(record)) = reader.package(key)? else { return Ok(false) };
    for fact in &record.facts {
        if !is_whole_fact(reader, &fact.digest)? {
            return Ok(false);
        }
    }
    is_whole_tree(reader, &record.tree)
}

/// Says whether a live tree proves itself.
pub(super) fn is_whole_tree(reader: &Reader<'_>, digest: &Digest) -> Result<bool, StoreError> {
    Ok(reader.tree(digest)?.is_some_and(|row| tree_row::read(&row, digest).is_some()))
}

/// Says whether a live fact proves itself.
pub(super) fn is_whole_fact(reader: &Reader<'_>, digest: &Digest) -> Result<bool, StoreError> {
    Ok(reader.fact(digest)?.is_some_and(|data| Digest::of(&data) == *digest))
}

impl Inner {
    /// Gives what the lists of names and the journal say of all sources.
    pub(super) fn listed_by_source(&self) -> Result<Listed, StoreError> {
        self.index.snapshot(|reader| {
            let mut listed = Listed::new();
            // What the index has lost every row of is told by the journal alone.
            let journal = Journal::read(&self.layout.journal())?.unwrap_or_default();
            for kept in journal.roots.values().flatten().flat_map(Kept::all) {
                if let (Some(ObjectRef::Package(key)), Some(package)) = (kept.object(), kept.package()) {
                    listed.entry(package.source).or_default().push(key);
                }
            }
            for (format, name) in reader.audit_names().rows {
                let Some(format) = Format::from_name(&format) else { continue };
                let NameList::Whole(list) = reader.names(format, &name)? else { continue };
                for named in list {
                    listed.entry(named.source).or_default().push(named.key);
                }
            }
            Ok(listed)
        })
    }
}

/// Gives a package that needs its source, if one does: `id` is the row of the source, if it has one.
pub(super) fn who_needs(
    reader: &Reader<'_>,
    source: &OciDigest,
    id: Option<i64>,
    listed: &Listed,
) -> Result<Option<PackageKey>, StoreError> {
    let rows = reader.packages_of(source)?.into_iter().map(|row| row.object());
    let above = id.map(|id| reader.referrers(id)).transpose()?;
    let above = above.into_iter().flatten().map(|(_, object)| object);
    let keys = rows.chain(above).filter_map(|object| match object {
        ObjectRef::Package(key) => Some(key),
        _ => None,
    });
    for key in keys.chain(listed.get(source).into_iter().flatten().copied()) {
        if !is_whole(reader, &key)? {
            return Ok(Some(key));
        }
    }
    Ok(None)
}
