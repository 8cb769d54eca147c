//! An OCI image layout: a directory that holds images by tag.
//!
//! ```text
//! DIR/
//!   oci-layout                {"imageLayoutVersion":"1.0.0"}
//!   index.json                what each tag names (module `entries`)
//!   blobs/sha256/<64 hex>     documents, written; layers, linked from the store
//! ```
//!
//! Blobs come first and `index.json` last, each under its name only when it is whole, so a reader
//! never finds a tag whose blobs are missing. Any number of images are written at once, each blob once and
//! `index.json` once; several processes may write into one layout: the directory is locked, other tags are kept. Blobs that no tag names any more are left: the
//! directory is the user's, and other tools may have put them there.
//!
//! The common case is that everything is there already. [`are_current`] finds that out, and then nothing is written
//! or locked. A layer is believed when it is the store's own file, by the stamp that the store believes it by; one
//! that was copied is hashed; documents are read. So an edit, a `chown` or a `chmod` of a blob is seen, and the next
//! writing replaces it.
//!
//! Specification: <https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md>.
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use oci_spec::image::OciLayout;
use rayon::prelude::*;

use super::documents::{canonical, oci_layout, sorted};
use super::entries::{Existing, MAX_INDEX, Named};
use super::{BlobFile, BlobSource, Document, Layer, OciError, without_space};
use dlstore_fsx::FsError;
use dlstore_fsx::file::{self, Stamp};
use dlstore_fsx::input::{self, InputError};
use dlstore_fsx::output::{self, LockedDirectory, NewDirectories, Placed, Placement};
use dlstore_model::digest::OciDigest;
use dlstore_model::escape::Escaped;

/// Counts what writing a layout did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Written {
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

/// An image, its name in a layout, and where its layers are.
#[derive(Clone, Copy)]
pub(crate) struct Image<'i> {
    /// What it is, and what it is called.
    pub(crate) named: Named<'i>,
    /// Where its layers are.
    pub(crate) source: &'i (dyn BlobSource + Sync),
}

/// What happens to a tag that belongs to another image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takeover {
    /// It stays: that is an error.
    Refused,
    /// It is replaced.
    Forced,
}

/// Says whether the layout names exactly the documents of these images by their tags and has all their blobs, whole.
///
/// With [`Placement::Copy`] a layer that shares its file with another place is not current.
pub(crate) fn are_current(dir: &Path, images: &[Image<'_>], placement: Placement) -> bool {
    let Ok(Some(bytes)) = read(&dir.join("index.json")) else { return false };
    let Ok(index) = Existing::read(&bytes) else { return false };
    let blobs = blobs(dir);
    let has = |document: &&Document| {
        let path = blobs.join(document.digest.to_hex());
        output::is_placed(&path, document.data.len() as u64, Placement::Link)
            && matches!(read(&path), Ok(Some(bytes)) if bytes == document.data)
    };
    let holds = |(layer, source): &(&Layer, &(dyn BlobSource + Sync))| {
        let target = blobs.join(layer.blob.to_hex());
        output::is_placed(&target, layer.size, placement)
            && find(layer, *source).is_ok_and(|file| stands(&target, layer, &file, placement) == Standing::Right)
    };
    matches!(read(&dir.join("oci-layout")), Ok(Some(bytes)) if is_layout(&bytes))
        && all(images, |image| index.agrees(&image.named))
        && all(&documents_of(images), has)
        && all(&layers_of(images), holds)
}

/// Threads are started only when there is work for them.
fn all<T: Sync>(items: &[T], is_so: impl Fn(&T) -> bool + Send + Sync) -> bool {
    if items.len() < SIDE_BY_SIDE { items.iter().all(is_so) } else { items.par_iter().all(is_so) }
}

/// Images or blobs from which on several are looked at side by side.
const SIDE_BY_SIDE: usize = 256;

/// Gives the documents of all images, each once.
fn documents_of<'i>(images: &[Image<'i>]) -> Vec<&'i Document> {
    let all = images.iter().flat_map(|image| image.named.documents.all());
    all.map(|document| (document.digest, document)).collect::<BTreeMap<_, _>>().into_values().collect()
}

/// Gives the layers of all images, each once, with where it is.
fn layers_of<'i>(images: &[Image<'i>]) -> Vec<(&'i Layer, &'i (dyn BlobSource + Sync))> {
    let mut layers = BTreeMap::new();
    for image in images {
        layers.extend(image.named.documents.layers().into_values().map(|layer| (layer.blob, (layer, image.source))));
    }
    layers.into_values().collect()
}

/// What lies where a layer belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// The store's file itself; or, where it could not be linked, a copy that is right.
    Right,
    /// A copy that is right, where the store's own file could be.
    Copied,
    /// Nothing, or nothing that can be believed.
    Wrong,
}

fn stands(target: &Path, layer: &Layer, file: &BlobFile, placement: Placement) -> Standing {
    let Ok(Some(stamp)) = Stamp::at(target) else { return Standing::Wrong };
    match placement {
        Placement::Link if stamp == file.stamp => return Standing::Right,
        // Of the store's inode, and not as the store knows it: it is being changed just now.
        Placement::Link if (stamp.device, stamp.inode) == (file.stamp.device, file.stamp.inode) => {
            return Standing::Wrong;
        }
        Placement::Copy if !output::is_placed(target, layer.size, placement) => return Standing::Wrong,
        _ => {}
    }
    // A copy of ours: nobody else may write to it, and it is no program.
    let is_ours = stamp.uid == dlstore_fsx::place::own_user() && stamp.mode & 0o7133 == 0;
    if !is_ours || !has_bytes(target, &layer.blob) {
        return Standing::Wrong;
    }
    let could_link = placement == Placement::Link && stamp.device == file.stamp.device;
    if could_link { Standing::Copied } else { Standing::Right }
}

/// Says whether a file's bytes are those of a blob.
fn has_bytes(path: &Path, digest: &OciDigest) -> bool {
    fs::File::open(path).is_ok_and(|opened| file::sha256(&opened, path).is_ok_and(|found| found == *digest))
}

/// Writes images into a layout, each under its tag; nothing at all when all of them [are current](are_current). Of
/// images with one tag the last stays.
///
/// # Errors
/// When a layer is missing or has another length than its name promises, when `index.json` is
/// foreign, when a tag belongs to another image and may not be taken, or when the file system refuses.
pub(crate) fn write(
    dir: &Path,
    images: &[Image<'_>],
    placement: Placement,
    takeover: Takeover,
) -> Result<Written, OciError> {
    let place = format_args!("the layout {}", Escaped::path(dir));
    let outcome = put(dir, images, placement, takeover);
    outcome.map_err(|error| without_space(error, place, || lacking(dir, images, placement)))
}

/// Adds up the bytes that a layout has to get before images are in it: what is there is not written again, and layers
/// that are linked take no room.
fn lacking(dir: &Path, images: &[Image<'_>], placement: Placement) -> u64 {
    let device = fs::metadata(dir).ok().map(|found| found.dev());
    let blobs = blobs(dir);
    let lacks = |digest: &OciDigest, size| !output::is_placed(&blobs.join(digest.to_hex()), size, placement);
    let is_linked = |layer: &Layer, source: &dyn BlobSource| {
        placement == Placement::Link && find(layer, source).is_ok_and(|file| Some(file.stamp.device) == device)
    };
    let layers = layers_of(images).into_iter().filter(|(layer, _)| lacks(&layer.blob, layer.size));
    let layers = layers.filter(|(layer, source)| !is_linked(layer, *source)).map(|(layer, _)| layer.size);
    let documents = documents_of(images).into_iter().map(|document| (document, document.data.len() as u64));
    let documents = documents.filter(|(document, size)| lacks(&document.digest, *size)).map(|(_, size)| size);
    layers.sum::<u64>() + documents.sum::<u64>()
}

fn put(dir: &Path, images: &[Image<'_>], placement: Placement, takeover: Takeover) -> Result<Written, OciError> {
    let layers = layers_of(images);
    if are_current(dir, images, placement) {
        return Ok(Written { kept: layers.len(), ..Written::default() });
    }
    let new = NewDirectories::make(&blobs(dir))?;
    let outcome = LockedDirectory::new(dir).map_err(OciError::from).and_then(|_lock| {
        let outcome = fill(dir, images, &layers, placement, takeover);
        if outcome.is_err() && new.has(dir) {
            clear(dir, images);
        }
        outcome
    });
    if outcome.is_err() {
        new.remove();
    }
    outcome
}

/// Removes what a layout got that was made for images which could not all be written. It is locked still.
fn clear(dir: &Path, images: &[Image<'_>]) {
    if dir.join("index.json").symlink_metadata().is_ok() {
        return;
    }
    let blobs = blobs(dir);
    let documents = documents_of(images).into_iter().map(|document| document.digest);
    let layers = layers_of(images).into_iter().map(|(layer, _)| layer.blob);
    for path in documents.chain(layers).map(|digest| blobs.join(digest.to_hex())).chain([dir.join("oci-layout")]) {
        let _ = output::remove(&path);
    }
}

/// Writes images into a layout that is locked.
fn fill(
    dir: &Path,
    images: &[Image<'_>],
    layers: &[(&Layer, &(dyn BlobSource + Sync))],
    placement: Placement,
    takeover: Takeover,
) -> Result<Written, OciError> {
    let blobs = blobs(dir);
    let index_path = dir.join("index.json");
    let old = read(&index_path)?;
    let existing = Existing::read(old.as_deref().unwrap_or_default())
        .map_err(|source| OciError::NotAnIndex { path: index_path.clone(), source })?;
    for Image { named, .. } in images.iter().filter(|_| takeover == Takeover::Refused) {
        if let Some((tag, owner)) = existing.taken(named) {
            return Err(OciError::Taken { dir: dir.to_owned(), tag, owner });
        }
    }

    let mut written = Written::default();
    let place =
        |(layer, source): &(&Layer, &(dyn BlobSource + Sync))| place_layer(dir, &blobs, layer, *source, placement);
    for placed in each(layers, place)? {
        match placed {
            Placed::Kept => written.kept += 1,
            Placed::Linked => written.linked += 1,
            Placed::Reflinked => written.reflinked += 1,
            Placed::Copied => written.copied += 1,
        }
    }
    let update = |path: &Path, bytes: &[u8], old: Option<&[u8]>| -> Result<usize, OciError> {
        // A link to the right bytes is replaced too: `are_current` takes files only.
        let is_there = old == Some(bytes) && output::is_placed(path, bytes.len() as u64, Placement::Link);
        if !is_there {
            output::write(dir, path, bytes)?;
        }
        Ok(usize::from(!is_there))
    };
    let document = |document: &&Document| {
        let path = blobs.join(document.digest.to_hex());
        // Whatever else lies there is replaced.
        let old = read(&path).ok().flatten();
        update(&path, &document.data, old.as_deref())
    };
    written.documents = each(&documents_of(images), document)?.into_iter().sum();
    let mark = dir.join("oci-layout");
    if !read(&mark)?.is_some_and(|bytes| is_layout(&bytes)) {
        written.documents += update(&mark, &canonical(&sorted(&oci_layout())), None)?;
    }
    let named: Vec<Named<'_>> = images.iter().map(|image| image.named).collect();
    written.documents += update(&index_path, &existing.merge(&named), old.as_deref())?;
    Ok(written)
}

fn each<T: Sync, R: Send>(
    items: &[T],
    work: impl Fn(&T) -> Result<R, OciError> + Send + Sync,
) -> Result<Vec<R>, OciError> {
    if items.len() < SIDE_BY_SIDE { items.iter().map(work).collect() } else { items.par_iter().map(work).collect() }
}

fn place_layer(
    dir: &Path,
    blobs: &Path,
    layer: &Layer,
    source: &dyn BlobSource,
    placement: Placement,
) -> Result<Placed, OciError> {
    let target = blobs.join(layer.blob.to_hex());
    let file = find(layer, source)?;
    match stands(&target, layer, &file, placement) {
        Standing::Right => return Ok(Placed::Kept),
        Standing::Copied if !output::link_over(dir, &file.path, &target) => return Ok(Placed::Kept),
        Standing::Copied => return Ok(Placed::Linked),
        Standing::Wrong => {}
    }
    let placed = output::replace(dir, &file.path, &target, placement)
        .map_err(|error| OciError::of_blob(layer.blob, &file.path, error))?;
    // What was copied was read: it is hashed before anybody is told that it is there.
    if placed != Placed::Linked && !has_bytes(&target, &layer.blob) {
        output::remove(&target)?;
        return Err(damaged(layer, source, file.path));
    }
    Ok(placed)
}

/// Takes note that the bytes of a layer are bad.
pub(super) fn damaged(layer: &Layer, source: &dyn BlobSource, path: PathBuf) -> OciError {
    let digest = layer.blob;
    match source.distrust(&digest) {
        Ok(()) => OciError::Damaged { digest, path },
        Err(source) => OciError::Source { digest, source },
    }
}

/// Finds the file of a layer and compares its length.
pub(super) fn find(layer: &Layer, source: &dyn BlobSource) -> Result<BlobFile, OciError> {
    let digest = layer.blob;
    let file = source
        .file(&digest)
        .map_err(|source| OciError::Source { digest, source })?
        .ok_or(OciError::MissingBlob(digest))?;
    if file.stamp.size == layer.size { Ok(file) } else { Err(OciError::Damaged { digest, path: file.path }) }
}

/// Says whether these are the words of `oci-layout`, in whichever spacing: skopeo writes them anew.
fn is_layout(bytes: &[u8]) -> bool {
    serde_json::from_slice::<OciLayout>(bytes).is_ok_and(|layout| layout == oci_layout())
}

fn blobs(dir: &Path) -> PathBuf {
    dir.join("blobs").join("sha256")
}

/// Reads what lies in an output, where anybody may have put anything.
fn read(path: &Path) -> Result<Option<Vec<u8>>, FsError> {
    match input::read_regular(path, MAX_INDEX) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(InputError::Fs(error)) if error.is_missing() => Ok(None),
        Err(InputError::Fs(error)) => Err(error),
        Err(other) => Err(FsError::new("read", path, std::io::Error::other(other))),
    }
}

#[cfg(test)]
mod tests;
