//! An image that is already made: its platforms, what they are configured to do, and their layers.
//!
//! Opening reads the documents of all platforms, each held against its digest; layers are read when somebody asks for the
//! files of a platform ([`Image::rootfs`]).

use std::collections::{BTreeMap, BTreeSet};

use super::blobs::Blobs;
use super::error::ReadError;
use super::layer::{self, Budget};
use super::layout::Documents;
use super::platform::{Platform, Stored};
use super::rootfs::Rootfs;
use super::saved;
use super::source::{Form, Source};
use dlstore_model::digest::OciDigest;
use dlstore_model::path::TreePath;

/// An image that is already made.
pub struct Image {
    /// Where it is, as it was named.
    pub name: String,
    /// What names it: its index, or its only manifest. `docker save` has neither.
    pub digest: Option<OciDigest>,
    /// Annotations of what names it.
    pub annotations: BTreeMap<String, String>,
    /// Its platforms, in the order of [`dlstore_model::arch::Arch`], those of other architectures last; at least one.
    pub platforms: Vec<Platform>,
    blobs: Blobs,
}

impl Image {
    /// Opens an image and reads its documents.
    ///
    /// # Errors
    /// When it is no image, when which of several is meant is not said, when a document is damaged or breaks a rule.
    pub fn open(source: &Source) -> Result<Self, ReadError> {
        let blobs = match source.form {
            Form::Layout => Blobs::of_directory(&source.path)?,
            _ => Blobs::of_archive(&source.path)?,
        };
        let has = |name: &str| -> Result<bool, ReadError> {
            Ok(blobs.find(&TreePath::new(name.as_bytes()).expect("it is a path"))?.is_some())
        };
        let is_layout = match source.form {
            Form::Layout | Form::OciArchive => true,
            Form::DockerArchive => false,
            Form::Archive => {
                let is_layout = has("index.json")?;
                if !is_layout && !has("manifest.json")? {
                    let expected = "an archive of an image: it has neither index.json nor manifest.json";
                    return Err(ReadError::NotAnImage { path: source.path.clone(), expected });
                }
                is_layout
            }
        };
        let (digest, annotations, platforms) = if is_layout {
            let mut documents = Documents::new(&blobs);
            let chosen = documents.choose(source)?;
            let platforms = chosen.manifests.into_iter().map(|found| Platform::found(&mut documents, found));
            (Some(chosen.digest), chosen.annotations, platforms.collect::<Result<Vec<_>, _>>()?)
        } else {
            (None, BTreeMap::new(), saved::choose(&blobs, source)?)
        };
        let platforms = sorted(platforms);
        if platforms.is_empty() {
            return Err(ReadError::Empty(source.path.clone()));
        }
        Ok(Self { name: source.to_string(), digest, annotations, platforms, blobs })
    }

    /// Unpacks the layers of a platform over one another, in memory and without the content of files; every blob is held
    /// against its digest and its diff ID. The content of files of which `keeps` says so is kept. What is read goes off
    /// `budget`.
    ///
    /// # Errors
    /// When a layer is missing or damaged, breaks a rule, or unpacks to more than is read.
    pub fn rootfs(
        &self,
        platform: &Platform,
        budget: &mut Budget,
        keeps: impl Fn(&TreePath) -> bool,
    ) -> Result<Rootfs, ReadError> {
        let mut rootfs = Rootfs::default();
        for (at, (layer, stored)) in platform.layers.iter().zip(&platform.stored).enumerate() {
            let found;
            let piece = match stored {
                Stored::Piece(piece) => piece,
                Stored::Blob(digest) => {
                    let missing = || ReadError::Missing { path: self.blobs.path().to_owned(), digest: *digest };
                    found = self.blobs.blob(digest, layer.size)?.ok_or_else(missing)?;
                    &found
                }
            };
            let changes = layer::read(piece, layer, budget, &keeps)?;
            rootfs.apply(changes, at, &piece.place)?;
        }
        Ok(rootfs)
    }
}

/// Puts platforms in order; of two with one name the first counts, as for runtimes.
fn sorted(mut platforms: Vec<Platform>) -> Vec<Platform> {
    let mut seen = BTreeSet::new();
    platforms.retain(|platform| seen.insert(platform.name.clone()));
    platforms.sort_by_key(|platform| (platform.arch.is_none(), platform.arch, platform.name.clone()));
    platforms
}
