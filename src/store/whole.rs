//! Does what is here of a package prove itself: its row by its checksum, tree and facts by their names, and what
//! was made of it by the packs that hold its bytes.
//!
//! A package that does needs no source. One that does not can be had from its source only, so that stays, whoever asks
//! to have sources removed; and an object whose number of kind or state was damaged is what its content says it is.

use super::verify::{Depth, VerifyOptions};
use super::{Inner, Kind, ObjectRef, StoreError, tree_row};
use crate::index::{Directory, PackageRow, Reader};
use dlstore_model::digest::{Digest, PackageKey};

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
    /// Looks at the files of all packs that do not look as they did; those that are bad leave for quarantine, and their
    /// packs are marked.
    pub(super) fn believe_packs(&self) -> Result<(), StoreError> {
        for row in self.index.read(|reader| Ok::<_, StoreError>(reader.files()?))? {
            if row.directory == Directory::Packs
                && dlstore_fsx::file::Stamp::at(&self.layout.file(row.directory, &row.sha256))? != Some(row.stamp)
            {
                self.believe(row.directory, &row.sha256)?;
            }
        }
        Ok(())
    }

    /// Says whether an outcome lacks a pack that it names, or has one that is not as its rows say.
    pub(super) fn lacks_pack(&self, reader: &Reader<'_>, outcome: &ObjectRef, id: i64) -> Result<bool, StoreError> {
        let mut names = reader.edges(id)?;
        if let ObjectRef::Action(key) = outcome {
            match reader.action(key)? {
                Some(row) => names.extend(row.names),
                None => return Ok(true),
            }
        }
        let options = VerifyOptions::new(Depth::Quick);
        for name in names.iter().filter(|name| name.kind() == Kind::Pack) {
            if reader.live(name)?.is_none() || !self.examine(reader, name, &options)?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
