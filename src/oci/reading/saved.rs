//! Which image of a `docker save` is meant, by its `manifest.json`.
//!
//! ```text
//! [{"Config": "HEX.json", "RepoTags": ["app:1"], "Layers": ["ID/layer.tar", ...]}, ...]     up to docker 24, podman, skopeo
//! [{"Config": "blobs/sha256/HEX", "RepoTags": ["app:1"], "Layers": ["blobs/sha256/HEX", ...]}, ...]          since docker 25
//! ```
//! What stands there are names of members. One that is called after a digest must have it. The format knows no platforms:
//! where each image is called `NAME-ARCH` after its own architecture, as this program writes them, they are one image.

use std::collections::BTreeSet;
use std::path::Path;

use super::blobs::{Blobs, Piece};
use super::documents::{self, Configuration, MAX_DOCUMENT, Saved};
use super::error::ReadError;
use super::layout::MOST_BYTES;
use super::names;
use super::platform::{Layer, Platform, Stored};
use super::source::{Form, Source};
use crate::entries::MAX_INDEX;
use crate::name::ImageName;
use dlstore_model::digest::OciDigest;
use dlstore_model::path::TreePath;

/// Images of one archive.
const MOST_IMAGES: usize = 1_000;

/// Finds the platforms of an image by its name, or of the only one.
pub(super) fn choose(blobs: &Blobs, source: &Source) -> Result<Vec<Platform>, ReadError> {
    let name = TreePath::new(b"manifest.json").expect("it is a path");
    let path = blobs.path().to_owned();
    let Some(piece) = blobs.find(&name)? else {
        let expected = "a docker-archive: it has no manifest.json";
        return Err(ReadError::NotAnImage { path, expected });
    };
    let images: Vec<Saved> = documents::parse(&piece.whole(MAX_INDEX)?, &piece.place)?;
    if images.len() > MOST_IMAGES {
        let what = "the number of its images";
        return Err(ReadError::Limit { place: piece.place, what, limit: MOST_IMAGES as u64 });
    }
    let mut named = Vec::new();
    let mut left = MOST_BYTES;
    for image in images {
        let platform = platform(blobs, &image, &piece.place, &mut left)?;
        let names = image.repo_tags.unwrap_or_default();
        let suffix = platform.arch.map(|arch| format!("-{}", arch.tag()));
        let base = |name: &String| suffix.as_ref().and_then(|suffix| name.strip_suffix(suffix)).map(str::to_owned);
        let bases: BTreeSet<String> = names.iter().filter_map(base).collect();
        named.push(Named { names, bases, platform });
    }
    pick(named, source, &path)
}

/// An image of the archive.
struct Named {
    names: Vec<String>,
    /// Its names without its architecture, of those that end in it.
    bases: BTreeSet<String>,
    platform: Platform,
}

fn pick(images: Vec<Named>, source: &Source, path: &Path) -> Result<Vec<Platform>, ReadError> {
    let has: BTreeSet<String> = images.iter().flat_map(|image| image.names.iter().cloned()).collect();
    let has: Vec<String> = has.into_iter().collect();
    let path = path.to_owned();
    let Some(name) = &source.name else {
        if images.is_empty() {
            return Err(ReadError::Empty(path));
        }
        let bases = images[0].bases.clone();
        if images.len() > 1 && (bases.is_empty() || images.iter().any(|image| image.bases != bases)) {
            // Whatever a person typed: here it is known what kind of archive it is.
            let source = Source { form: Form::DockerArchive, ..source.clone() };
            let first = has.first().map(|name| source.named(name));
            return Err(ReadError::Several { path, has, first });
        }
        return Ok(images.into_iter().map(|image| image.platform).collect());
    };
    let full = name.parse::<ImageName>().map_or_else(|_| name.clone(), |name| name.to_string());
    let is_called = |image: &Named| image.names.iter().any(|own| own == name || *own == full);
    let is_part = |image: &Named| image.bases.contains(name) || image.bases.contains(&full);
    let exact = images.iter().any(is_called);
    let found: Vec<Platform> = images
        .into_iter()
        .filter(|image| if exact { is_called(image) } else { is_part(image) })
        .map(|image| image.platform)
        .collect();
    if found.is_empty() {
        return Err(ReadError::Unknown { path, name: name.clone(), has });
    }
    let mut seen = BTreeSet::new();
    if found.iter().any(|platform| !seen.insert(platform.name.as_str())) {
        let (place, why) = (path.display().to_string(), format!("two images have the name `{name}`"));
        return Err(ReadError::Content { place, why });
    }
    Ok(found)
}

/// Reads a configuration and finds its layers; `left` is how many bytes of configurations are still read.
fn platform(blobs: &Blobs, image: &Saved, place: &str, left: &mut u64) -> Result<Platform, ReadError> {
    let piece = member(blobs, &image.config, place)?;
    let exceeded = || {
        let what = "the length of its configurations";
        ReadError::Limit { place: place.to_owned(), what, limit: MOST_BYTES }
    };
    *left = left.checked_sub(piece.size).ok_or_else(exceeded)?;
    let bytes = piece.whole(MAX_DOCUMENT)?;
    let digest = OciDigest::of(&bytes);
    if let Some(named) = digest_of(&image.config).filter(|named| *named != digest) {
        return Err(ReadError::Damaged { place: piece.place, digest: named });
    }
    let configuration: Configuration = documents::parse(&bytes, &piece.place)?;
    let mut layers = Vec::new();
    for name in image.layers.iter().flatten() {
        let piece = member(blobs, name, place)?;
        let digest = name.contains("blobs/sha256/").then(|| digest_of(name)).flatten();
        layers.push((Layer { title: String::new(), digest, diff_id: None, size: piece.size }, Stored::Piece(piece)));
    }
    Platform::new(configuration, digest, layers, &piece.place)
}

/// Finds a member that `manifest.json` names.
fn member(blobs: &Blobs, name: &str, place: &str) -> Result<Piece, ReadError> {
    let wrong = |why: String| ReadError::Content { place: place.to_owned(), why };
    let path = names::of(name.as_bytes()).map_err(|error| wrong(error.to_string()))?;
    let found = path.map(|path| blobs.find(&path)).transpose()?.flatten();
    found.ok_or_else(|| wrong(format!("it names {name:?}, which is not there")))
}

/// Gives the digest that a member is called after: `blobs/sha256/HEX`, `HEX.json`.
fn digest_of(name: &str) -> Option<OciDigest> {
    let file = name.rsplit('/').next()?;
    OciDigest::from_hex(file.split('.').next()?).ok()
}
