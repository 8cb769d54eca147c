//! Does what is here of a package prove itself: its row by its checksum, tree and facts by their names, and what
//! was made of it by the packs that hold its bytes.
//!
//! A package that does needs no source. One that does not can be had from its source only, so that stays, whoever asks
//! to have sources removed; and an object whose number of kind or state was damaged is what its content says it is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use super::journal::{Journal, Kept};
use super::roots::OF_IMAGES;
use super::verify::{Depth, VerifyOptions};
use super::{Inner, Kind, ObjectRef, StoreError, tree_row};
use crate::index::{Directory, NameList, PackageRow, Reader};
use dlstore_model::digest::{Digest, OciDigest, PackageKey};
use dlstore_model::escape::Escaped;
use dlstore_model::format::Format;

/// What a collection knows that lets go of sources.
#[derive(Default)]
pub(super) struct Dependents {
    /// The packages that the lists of names and the journal have of each source.
    pub(super) packages: BTreeMap<OciDigest, BTreeSet<PackageKey>>,
    /// Whether an outcome, by its row, lacks a pack: many packages ask it of the same image.
    lacking: Mutex<BTreeMap<i64, bool>>,
}

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

/// Why a source has to stay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Needed {
    /// A package does not prove itself.
    By(PackageKey),
    /// Layers that were made of a package are not all here.
    ByLayersOf(PackageKey),
    /// The root of an image keeps a package until the image is composed again.
    ByRoot(String),
}

impl std::fmt::Display for Needed {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::By(key) => {
                write!(out, "{} is damaged and can only be restored from it", ObjectRef::Package(*key))
            }
            Self::ByLayersOf(key) => write!(
                out,
                "layers that were made of {} are damaged and can only be restored from it",
                ObjectRef::Package(*key)
            ),
            Self::ByRoot(root) => write!(
                out,
                "the image of the root {} has to be composed again, or the root removed",
                Escaped::text(root)
            ),
        }
    }
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
    fn lacks_pack(&self, reader: &Reader<'_>, outcome: &ObjectRef, id: i64) -> Result<bool, StoreError> {
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

    /// Gives why the bytes that images took of a package may not all be here: an outcome that was made of it lacks a pack,
    /// or the root of an image waits for the image to be composed again of it.
    fn is_unpacked(
        &self,
        reader: &Reader<'_>,
        key: &PackageKey,
        listed: &Dependents,
    ) -> Result<Option<Needed>, StoreError> {
        let Some(row) = reader.object(&ObjectRef::Package(*key))? else { return Ok(None) };
        let mut lacking = listed.lacking.lock().unwrap_or_else(PoisonError::into_inner);
        let mut outcomes = reader.referrers(row.id)?;
        let roots = reader.roots_of(row.id)?;
        // What was made ahead, when it was added, hangs on the root of the package.
        for root in &roots {
            for kept in reader.root(root)?.unwrap_or_default() {
                outcomes.extend(reader.object(&kept)?.map(|row| (row.id, kept)));
            }
        }
        for (id, above) in outcomes {
            if !matches!(above, ObjectRef::Action(_)) {
                continue;
            }
            let lacks = match lacking.get(&id) {
                Some(lacks) => *lacks,
                None => self.lacks_pack(reader, &above, id)?,
            };
            lacking.insert(id, lacks);
            if lacks {
                return Ok(Some(Needed::ByLayersOf(*key)));
            }
        }
        let waiting = roots.into_iter().find(|root| root.starts_with(OF_IMAGES));
        Ok(waiting.map(Needed::ByRoot))
    }

    /// Gives why a source has to stay, if it does: `id` is the row of the source, if it has one.
    pub(super) fn who_needs(
        &self,
        reader: &Reader<'_>,
        source: &OciDigest,
        id: Option<i64>,
        listed: &Dependents,
    ) -> Result<Option<Needed>, StoreError> {
        let rows = reader.packages_of(source)?.into_iter().map(|row| row.object());
        let above = id.map(|id| reader.referrers(id)).transpose()?;
        let above = above.into_iter().flatten().map(|(_, object)| object);
        let keys = rows.chain(above).filter_map(|object| match object {
            ObjectRef::Package(key) => Some(key),
            _ => None,
        });
        let keys: BTreeSet<PackageKey> =
            keys.chain(listed.packages.get(source).into_iter().flatten().copied()).collect();
        for key in keys {
            if !is_whole(reader, &key)? {
                return Ok(Some(Needed::By(key)));
            }
            if let Some(why) = self.is_unpacked(reader, &key, listed)? {
                return Ok(Some(why));
            }
        }
        Ok(None)
    }

    /// Gives what the lists of names and the journal say of all sources.
    pub(super) fn listed_by_source(&self) -> Result<Dependents, StoreError> {
        self.index.snapshot(|reader| {
            let mut listed = Dependents::default();
            // What the index has lost every row of is told by the journal alone.
            let journal = Journal::read(&self.layout.journal())?.unwrap_or_default();
            for kept in journal.roots.values().flatten().flat_map(Kept::all) {
                if let (Some(ObjectRef::Package(key)), Some(package)) = (kept.object(), kept.package()) {
                    listed.packages.entry(package.source).or_default().insert(key);
                }
            }
            for (format, name) in reader.audit_names().rows {
                let Some(format) = Format::from_name(&format) else { continue };
                let NameList::Whole(list) = reader.names(format, &name)? else { continue };
                for named in list {
                    listed.packages.entry(named.source).or_default().insert(named.key);
                }
            }
            Ok(listed)
        })
    }
}
