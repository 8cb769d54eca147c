//! Who needs a source that somebody asked to be let go of.
//!
//! A source may go once what was made of its package is here and proves itself: the package (`whole`), and at least one
//! outcome that was made of it, with all of its packs. What a repair let go of leaves no outcome behind, and neither
//! does a package of which nothing was made yet; of both the source is all there is to compose from. The root of an
//! image that a repair left waiting keeps its packages, and so their sources.
//!
//! It is asked when a collection is planned, of what would be left then, and again under the lock, of what is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use super::finding::{Finding, FindingKind, Stays};
use super::journal::{Journal, Kept};
use super::roots::OF_IMAGES;
use super::whole::is_whole;
use super::{Inner, ObjectRef, StoreError};
use crate::index::{NameList, ObjectNode, PackageRow, Reader};
use dlstore_model::digest::{OciDigest, PackageKey};
use dlstore_model::escape::Escaped;
use dlstore_model::format::Format;

/// What a collection knows that lets go of sources.
#[derive(Default)]
pub(super) struct Dependents {
    /// The packages that the lists of names and the journal have of each source.
    packages: BTreeMap<OciDigest, BTreeSet<PackageKey>>,
    /// What is not asked any more, because it goes as well.
    going: BTreeSet<ObjectRef>,
    /// Roots that go.
    roots: BTreeSet<String>,
    /// Whether an outcome, by its row, lacks a pack: many packages ask it of the same image.
    lacking: Mutex<BTreeMap<i64, bool>>,
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
    /// Nothing that was made of a package is here.
    Unused(PackageKey),
    /// A package was read by another decoder, and has to be read again when it is used.
    Unread(PackageKey),
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
            Self::Unread(key) => write!(out, "{} has to be read again from it", ObjectRef::Package(*key)),
            Self::Unused(key) => {
                write!(out, "no layer of {} is here, so it is needed to make one", ObjectRef::Package(*key))
            }
        }
    }
}

impl Stays {
    /// Notes that a source stays.
    pub(super) fn add(&mut self, source: &OciDigest, needed: &Needed) {
        if let Needed::Unused(_) | Needed::Unread(_) = needed {
            self.unused.insert(*source);
            return;
        }
        let detail = format!("{source} is kept: {needed}");
        self.findings.push(Finding { kind: FindingKind::NotRemoved, object: Some(ObjectRef::Source(*source)), detail });
    }
}

impl Inner {
    /// Gives why the bytes that images took of a package may not all be here: an outcome that was made of it lacks a pack,
    /// there is none, or the root of an image waits for the image to be composed again of it.
    fn is_unpacked(
        &self,
        reader: &Reader<'_>,
        key: &PackageKey,
        listed: &Dependents,
    ) -> Result<Option<Needed>, StoreError> {
        let Some(row) = reader.object(&ObjectRef::Package(*key))? else { return Ok(None) };
        let mut lacking = listed.lacking.lock().unwrap_or_else(PoisonError::into_inner);
        let mut made = reader.referrers(row.id)?;
        let mut roots = reader.roots_of(row.id)?;
        roots.retain(|root| !listed.roots.contains(root));
        // What was made ahead, when it was added, hangs on the root of the package.
        for root in &roots {
            for kept in reader.root(root)?.unwrap_or_default() {
                made.extend(reader.object(&kept)?.map(|row| (row.id, kept)));
            }
        }
        made.retain(|(_, above)| matches!(above, ObjectRef::Action(_)) && !listed.going.contains(above));
        for (id, outcome) in &made {
            let lacks = match lacking.get(id) {
                Some(lacks) => *lacks,
                None => self.lacks_pack(reader, outcome, *id)?,
            };
            lacking.insert(*id, lacks);
            if lacks {
                return Ok(Some(Needed::ByLayersOf(*key)));
            }
        }
        if let Some(root) = roots.into_iter().find(|root| root.starts_with(OF_IMAGES)) {
            return Ok(Some(Needed::ByRoot(root)));
        }
        Ok(made.is_empty().then_some(Needed::Unused(*key)))
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
        let keys =
            rows.chain(above).filter(|object| !listed.going.contains(object)).filter_map(|object| match object {
                ObjectRef::Package(key) => Some(key),
                _ => None,
            });
        let keys: BTreeSet<PackageKey> =
            keys.chain(listed.packages.get(source).into_iter().flatten().copied()).collect();
        let mut is_read = false;
        for key in &keys {
            if !is_whole(reader, key)? {
                return Ok(Some(Needed::By(*key)));
            }
            if let Some(why) = self.is_unpacked(reader, key, listed)? {
                return Ok(Some(why));
            }
            is_read |=
                matches!(reader.package(key)?, Some(PackageRow::Whole(record)) if record.decoder == crate::decoder());
        }
        Ok(keys.first().filter(|_| !is_read).copied().map(Needed::Unread))
    }

    /// Of sources that a draft lets go of, gives the places in the graph of those that have to stay, and says why.
    pub(super) fn still_needed(
        &self,
        reader: &Reader<'_>,
        going: &[(u32, ObjectNode)],
        roots: &BTreeSet<&str>,
    ) -> Result<(BTreeSet<u32>, Stays), StoreError> {
        let objects: BTreeSet<ObjectRef> = going.iter().map(|(_, node)| node.object).collect();
        let mut listed = self.listed_by_source(reader, &objects)?;
        listed.going = objects;
        listed.roots = roots.iter().map(|name| (*name).to_owned()).collect();
        let (mut places, mut stays) = (BTreeSet::new(), Stays::default());
        for (place, node) in going {
            let ObjectRef::Source(sha256) = node.object else { continue };
            if let Some(why) = self.who_needs(reader, &sha256, Some(node.id), &listed)? {
                stays.add(&sha256, &why);
                places.insert(*place);
            }
        }
        Ok((places, stays))
    }

    /// Gives what the lists of names and the journal say of all sources, but for packages that go.
    pub(super) fn listed_by_source(
        &self,
        reader: &Reader<'_>,
        going: &BTreeSet<ObjectRef>,
    ) -> Result<Dependents, StoreError> {
        let mut listed = Dependents::default();
        let mut add = |source: OciDigest, key: PackageKey| {
            if !going.contains(&ObjectRef::Package(key)) {
                listed.packages.entry(source).or_default().insert(key);
            }
        };
        // What the index has lost every row of is told by the journal alone.
        let journal = Journal::read(&self.layout.journal())?.unwrap_or_default();
        for kept in journal.roots.values().flatten().flat_map(Kept::all) {
            if let (Some(ObjectRef::Package(key)), Some(package)) = (kept.object(), kept.package()) {
                add(package.source, key);
            }
        }
        for (format, name) in reader.audit_names().rows {
            let Some(format) = Format::from_name(&format) else { continue };
            let NameList::Whole(list) = reader.names(format, &name)? else { continue };
            for named in list {
                add(named.source, named.key);
            }
        }
        Ok(listed)
    }
}
