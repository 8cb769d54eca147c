//! Which image of a layout is meant, and the manifests that it consists of.
//!
//! ```text
//! index.json ─► entries ─► by its tag, or the only one ─► index ─► index ─► ... ─► manifests, one for each platform
//! ```
//! Entries with one digest are one image, and an entry that is a part of another one belongs to that: a layout with the
//! tags `1.2`, `latest` and `latest-amd64` has one image. What is attested of images is left aside, and so are platforms
//! whose manifest is not there: tools save an index whole and the blobs of one platform.

use std::collections::{BTreeMap, BTreeSet};

use oci_spec::image::ANNOTATION_REF_NAME;
use serde::Deserialize;

use super::blobs::Blobs;
use super::documents::{self, Descriptor, Document, MAX_DOCUMENT};
use super::error::ReadError;
use super::source::Source;
use crate::entries::{ANNOTATION_CONTAINERD_NAME, MAX_INDEX};
use crate::name::ImageName;
use dlstore_model::digest::OciDigest;
use dlstore_model::path::TreePath;

/// Indexes within indexes.
const MOST_DEPTH: usize = 4;
/// Documents that are read for one image.
const MOST_DOCUMENTS: usize = 1_000;
/// Bytes of all of them; those of an image for 8 architectures have some 100 KB.
pub(super) const MOST_BYTES: u64 = 16 << 20;
/// Entries of a layout up to which it is looked at which of them belong together.
const MOST_ENTRIES: usize = 100;

/// The file `index.json`.
#[derive(Deserialize)]
struct Top {
    #[serde(default)]
    manifests: Vec<Descriptor>,
}

/// A manifest that was found, and what is said of it.
pub(super) struct Found {
    /// Its digest.
    pub(super) digest: OciDigest,
    /// The descriptor that led to it.
    pub(super) descriptor: Descriptor,
    /// Its configuration.
    pub(super) config: Descriptor,
    /// Its layers, lowest first.
    pub(super) layers: Vec<Descriptor>,
    /// Its annotations.
    pub(super) annotations: BTreeMap<String, String>,
}

/// An image of a layout.
pub(super) struct Chosen {
    /// What names it: its index, or its only manifest.
    pub(super) digest: OciDigest,
    /// Annotations of what names it.
    pub(super) annotations: BTreeMap<String, String>,
    /// Its manifests, in the order of the index.
    pub(super) manifests: Vec<Found>,
}

/// Reads documents, and counts them.
pub(super) struct Documents<'b> {
    blobs: &'b Blobs,
    count: usize,
    bytes: u64,
}

impl<'b> Documents<'b> {
    pub(super) const fn new(blobs: &'b Blobs) -> Self {
        Self { blobs, count: 0, bytes: 0 }
    }

    /// Reads a blob that is JSON, and holds it against its digest. `None` when it is not there.
    pub(super) fn read(
        &mut self,
        descriptor: &Descriptor,
        place: &str,
    ) -> Result<Option<(Vec<u8>, super::blobs::Piece)>, ReadError> {
        let digest = descriptor.digest(place)?;
        let Some(piece) = self.blobs.blob(&digest, descriptor.size)? else { return Ok(None) };
        let exceeded =
            |what, limit| ReadError::Limit { place: self.blobs.path().to_string_lossy().into_owned(), what, limit };
        self.count += 1;
        self.bytes += piece.size;
        if self.count > MOST_DOCUMENTS {
            return Err(exceeded("the number of its documents", MOST_DOCUMENTS as u64));
        }
        if self.bytes > MOST_BYTES {
            return Err(exceeded("the length of its documents", MOST_BYTES));
        }
        let bytes = piece.whole(MAX_DOCUMENT)?;
        if OciDigest::of(&bytes) != digest {
            return Err(ReadError::Damaged { place: piece.place, digest });
        }
        Ok(Some((bytes, piece)))
    }

    fn missing(&self, digest: OciDigest) -> ReadError {
        ReadError::Missing { path: self.blobs.path().to_owned(), digest }
    }

    /// Reads a blob that is JSON and must be there.
    pub(super) fn must(
        &mut self,
        descriptor: &Descriptor,
        place: &str,
    ) -> Result<(Vec<u8>, super::blobs::Piece), ReadError> {
        let found = self.read(descriptor, place)?;
        found.map_or_else(|| Err(self.missing(descriptor.digest(place)?)), Ok)
    }

    /// Reads a manifest or an index; `None` when it is not there.
    fn document(&mut self, descriptor: &Descriptor, place: &str) -> Result<Option<(Document, String)>, ReadError> {
        let Some((bytes, piece)) = self.read(descriptor, place)? else { return Ok(None) };
        let document = documents::document(&bytes, descriptor.media_type.as_deref(), &piece)?;
        Ok(Some((document, piece.place)))
    }

    /// Collects the manifests below a descriptor.
    fn collect(
        &mut self,
        descriptor: &Descriptor,
        place: &str,
        depth: usize,
        found: &mut Vec<Found>,
    ) -> Result<Option<BTreeMap<String, String>>, ReadError> {
        let digest = descriptor.digest(place)?;
        let Some((document, inner)) = self.document(descriptor, place)? else { return Ok(None) };
        match document {
            Document::Manifest { config, layers, annotations } => {
                let all = annotations.clone();
                found.push(Found { digest, descriptor: descriptor.clone(), config, layers, annotations });
                Ok(Some(all))
            }
            Document::Index { .. } if depth == MOST_DEPTH => {
                let what = "the depth of indexes within indexes";
                Err(ReadError::Limit { place: inner, what, limit: MOST_DEPTH as u64 })
            }
            Document::Index { manifests, annotations } => {
                for one in manifests.iter().filter(|one| !one.is_aside()) {
                    self.collect(one, &inner, depth + 1, found)?;
                }
                Ok(Some(annotations))
            }
        }
    }

    /// Finds an image by its name, or the only one.
    pub(super) fn choose(&mut self, source: &Source) -> Result<Chosen, ReadError> {
        let name = TreePath::new(b"index.json").expect("it is a path");
        let path = self.blobs.path().to_owned();
        let Some(piece) = self.blobs.find(&name)? else {
            let expected = "an image in the OCI format: it has no index.json";
            return Err(ReadError::NotAnImage { path, expected });
        };
        let top: Top = documents::parse(&piece.whole(MAX_INDEX)?, &piece.place)?;
        let entries: Vec<&Descriptor> = top.manifests.iter().filter(|one| !one.is_aside()).collect();
        let entry = match &source.name {
            Some(name) => one_named(&entries, name, &piece.place)?,
            None => self.only(&entries, &piece.place, source)?,
        };
        let Some(entry) = entry else {
            return Err(match &source.name {
                Some(name) => ReadError::Unknown { path, name: name.clone(), has: names_of(&entries) },
                None => ReadError::Empty(path),
            });
        };
        let digest = entry.digest(&piece.place)?;
        let mut manifests = Vec::new();
        let annotations = self.collect(entry, &piece.place, 0, &mut manifests)?;
        let annotations = annotations.ok_or_else(|| self.missing(digest))?;
        Ok(Chosen { digest, annotations, manifests })
    }

    /// Finds the entry that all others belong to.
    fn only<'e>(
        &mut self,
        entries: &[&'e Descriptor],
        place: &str,
        source: &Source,
    ) -> Result<Option<&'e Descriptor>, ReadError> {
        let mut distinct: BTreeMap<&str, &Descriptor> = BTreeMap::new();
        for entry in entries {
            distinct.entry(entry.digest.as_str()).or_insert(entry);
        }
        if (2..=MOST_ENTRIES).contains(&distinct.len()) {
            let mut parts: BTreeSet<String> = BTreeSet::new();
            for entry in distinct.values() {
                if let Some((Document::Index { manifests, .. }, _)) = self.document(entry, place)? {
                    parts.extend(manifests.into_iter().map(|part| part.digest));
                }
            }
            distinct.retain(|digest, _| !parts.contains(*digest));
        }
        if distinct.len() > 1 {
            let has = names_of(entries);
            let first = has.first().map(|name| source.named(name));
            return Err(ReadError::Several { path: self.blobs.path().to_owned(), has, first });
        }
        Ok(distinct.into_values().next())
    }
}

/// Finds the entry of a name; two images must not have it.
fn one_named<'e>(entries: &[&'e Descriptor], name: &str, place: &str) -> Result<Option<&'e Descriptor>, ReadError> {
    let mut named = entries.iter().filter(|entry| is_named(entry, name));
    let first = named.next().copied();
    if named.any(|other| first.is_some_and(|first| first.digest != other.digest)) {
        let why = format!("two images have the name `{name}`");
        return Err(ReadError::Content { place: place.to_owned(), why });
    }
    Ok(first)
}

/// Gives the names of entries, sorted.
fn names_of(entries: &[&Descriptor]) -> Vec<String> {
    let name = |entry: &&Descriptor| {
        entry
            .annotation(ANNOTATION_REF_NAME)
            .or_else(|| entry.annotation(ANNOTATION_CONTAINERD_NAME))
            .map(str::to_owned)
    };
    entries.iter().filter_map(name).collect::<BTreeSet<_>>().into_iter().collect()
}

/// Says whether an entry has a name: as it stands there, or in the full form that containerd keeps.
fn is_named(entry: &Descriptor, name: &str) -> bool {
    let full = || name.parse::<ImageName>().ok().map(|name| name.containerd());
    entry.annotation(ANNOTATION_REF_NAME) == Some(name)
        || entry.annotation(ANNOTATION_CONTAINERD_NAME).is_some_and(|own| own == name || Some(own.to_owned()) == full())
}
