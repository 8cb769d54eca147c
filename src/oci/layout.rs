//! An OCI image layout: a folder that holds images by tag.
//!
//! ```text
//! DIR/
//!   oci-layout                {"imageLayoutVersion":"1.0.0"}
//!   index.json                what each tag names (module `entries`)
//!   blobs/sha256/<64 hex>     documents, written; layers, linked from the store
//! ```
//!
//! Blobs come first and `index.json` last, each under its name only when it is whole, so a reader
//! never finds a tag whose blobs are missing. Several images and several processes may write into one
//! layout: the folder is locked, other tags are kept. Blobs that no tag names any more are left: the
//! folder is the user's, and other tools may have put them there.
//!
//! The common case is that everything is there already. [`is_current`] finds that out with one read
//! and one `stat` for each blob, and then nothing is written or locked.
//!
//! Specification: <https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md>.
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::entries::Existing;
use super::name::RefName;
use super::place::{self, LockedFolder, PlaceError, Placed, Placement};
use super::{BlobSource, Document, Documents, Layer, OciError};
use crate::digest::OciDigest;

/// The whole of the file `oci-layout`.
pub(super) const OCI_LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// Counts what writing a layout did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Written {
    /// Layers that were there.
    pub kept: usize,
    /// Layers that share their file with the store.
    pub linked: usize,
    /// Layers that share their blocks with the store.
    pub reflinked: usize,
    /// Layers whose bytes were copied.
    pub copied: usize,
    /// Documents, `index.json` and `oci-layout` among them, that were written.
    pub documents: usize,
}

/// Says whether the layout names exactly these documents by this tag and has all their blobs.
///
/// Blobs are compared by size, not by content. With [`Placement::Copy`] a layer that shares its file
/// with another place is not current.
#[must_use]
pub fn is_current(dir: &Path, tag: &RefName, documents: &Documents, placement: Placement) -> bool {
    let Ok(bytes) = fs::read(dir.join("index.json")) else { return false };
    let mut blob = blobs(dir);
    let mut has = |digest: &OciDigest, size: u64, placement: Placement| {
        blob.push(digest.to_hex());
        let placed = place::is_placed(&blob, size, placement);
        blob.pop();
        placed
    };
    Existing::read(&bytes).is_ok_and(|index| index.agrees(tag.as_str(), documents))
        && place::is_placed(&dir.join("oci-layout"), OCI_LAYOUT.len() as u64, Placement::Link)
        && documents.all().all(|document| has(&document.digest, document.data.len() as u64, Placement::Link))
        && documents.layers().values().all(|layer| has(&layer.blob, layer.size, placement))
}

/// Writes an image into a layout under a tag; nothing at all when it [is current](is_current).
///
/// # Errors
/// When a layer is missing or has another length than its name promises, when `index.json` is
/// foreign, or when the file system refuses.
pub fn write(
    dir: &Path,
    tag: &RefName,
    documents: &Documents,
    source: &dyn BlobSource,
    placement: Placement,
) -> Result<Written, OciError> {
    let layers = documents.layers();
    if is_current(dir, tag, documents, placement) {
        return Ok(Written { kept: layers.len(), ..Written::default() });
    }
    let blobs = blobs(dir);
    place::folder(&blobs)?;
    let _lock = LockedFolder::new(dir)?;
    let index_path = dir.join("index.json");
    let old = read(&index_path)?;
    let existing = Existing::read(old.as_deref().unwrap_or_default())
        .map_err(|source| OciError::NotAnIndex { path: index_path.clone(), source })?;

    let mut written = Written::default();
    for layer in layers.into_values() {
        match place_layer(dir, &blobs, layer, source, placement)? {
            Placed::Kept => written.kept += 1,
            Placed::Linked => written.linked += 1,
            Placed::Reflinked => written.reflinked += 1,
            Placed::Copied => written.copied += 1,
        }
    }
    let mut update = |path: PathBuf, bytes: &[u8], old: Option<&[u8]>| -> Result<(), PlaceError> {
        if old != Some(bytes) {
            place::write(dir, &path, bytes)?;
            written.documents += 1;
        }
        Ok(())
    };
    for Document { digest, data, .. } in documents.all() {
        let path = blobs.join(digest.to_hex());
        let old = read(&path)?;
        update(path, data, old.as_deref())?;
    }
    let oci_layout = dir.join("oci-layout");
    let old_layout = read(&oci_layout)?;
    update(oci_layout, OCI_LAYOUT, old_layout.as_deref())?;
    update(index_path, &existing.merge(tag.as_str(), documents), old.as_deref())?;
    Ok(written)
}

fn place_layer(
    dir: &Path,
    blobs: &Path,
    layer: &Layer,
    source: &dyn BlobSource,
    placement: Placement,
) -> Result<Placed, OciError> {
    let target = blobs.join(layer.blob.to_hex());
    if place::is_placed(&target, layer.size, placement) {
        return Ok(Placed::Kept);
    }
    let path = find(layer, source)?;
    Ok(place::place(dir, &path, &target, layer.size, placement)?)
}

/// Finds the file of a layer and compares its length.
pub(super) fn find(layer: &Layer, source: &dyn BlobSource) -> Result<PathBuf, OciError> {
    let digest = layer.blob;
    let path = source
        .path(&digest)
        .map_err(|source| OciError::Source { digest, source })?
        .ok_or(OciError::MissingBlob(digest))?;
    match fs::metadata(&path) {
        Ok(found) if found.is_file() && found.len() == layer.size => Ok(path),
        Ok(_) => Err(OciError::Damaged { digest, path }),
        Err(source) => Err(PlaceError { attempt: "read", path, source }.into()),
    }
}

fn blobs(dir: &Path) -> PathBuf {
    dir.join("blobs").join("sha256")
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, PlaceError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(PlaceError { attempt: "read", path: path.to_owned(), source }),
    }
}
