//! An image for one platform, as its documents say: what a container starts with, and its layers.
//!
//! Where the bytes of the layers are is kept beside them. What the descriptor of an index says counts where the
//! configuration says nothing.

use std::collections::BTreeMap;

use super::blobs::Piece;
use super::documents::{self, Configuration, PlatformName};
use super::error::ReadError;
use super::layout::{Documents, Found};
use dlstore_model::arch::Arch;
use dlstore_model::config::Config;
use dlstore_model::digest::OciDigest;

/// Layers of one platform; engines stop at 128.
const MOST_LAYERS: usize = 1_000;

/// An image for one platform.
pub struct Platform {
    /// As `--arch` takes it, or `OS/ARCH` of what that does not know.
    pub name: String,
    /// The architecture, if it is one of those.
    pub arch: Option<Arch>,
    /// The digest of its manifest. `docker save` has none.
    pub manifest: Option<OciDigest>,
    /// The digest of its configuration.
    pub configuration: OciDigest,
    /// When it was made, as it says.
    pub created: Option<String>,
    /// What a container starts with.
    pub config: Config,
    /// Other settings of its configuration by their keys, as JSON: `Healthcheck`, `OnBuild`, `Shell`.
    pub others: BTreeMap<String, String>,
    /// Annotations of its manifest.
    pub annotations: BTreeMap<String, String>,
    /// Its layers, lowest first.
    pub layers: Vec<Layer>,
    pub(super) stored: Vec<Stored>,
}

/// A layer.
#[derive(Debug, Clone)]
pub struct Layer {
    /// What it is called, or what made it; may be empty.
    pub title: String,
    /// The digest of the blob, where it is named by it.
    pub digest: Option<OciDigest>,
    /// The digest of what it unpacks to.
    pub diff_id: Option<OciDigest>,
    /// Bytes of the blob.
    pub size: u64,
}

/// Where the bytes of a layer are.
pub(super) enum Stored {
    /// Here.
    Piece(Piece),
    /// In the blobs, under its digest; looked for when it is read.
    Blob(OciDigest),
}

impl Platform {
    /// Reads the configuration of a manifest.
    pub(super) fn found(documents: &mut Documents<'_>, found: Found) -> Result<Self, ReadError> {
        let place = found.digest.to_string();
        let (bytes, piece) = documents.must(&found.config, &place)?;
        let mut configuration: Configuration = documents::parse(&bytes, &piece.place)?;
        let said = found.descriptor.platform.clone().unwrap_or_default();
        if configuration.platform.architecture.is_empty() {
            configuration.platform = said;
        } else if configuration.platform.architecture == said.architecture {
            // Docker leaves the variant to the index.
            configuration.platform.variant = configuration.platform.variant.or(said.variant);
        }
        let mut layers = Vec::new();
        for layer in found.layers {
            let digest = layer.digest(&place)?;
            let title = documents::title(layer.annotation("org.opencontainers.image.title").unwrap_or_default());
            layers.push((Layer { title, digest: Some(digest), diff_id: None, size: layer.size }, Stored::Blob(digest)));
        }
        let digest = found.config.digest(&place)?;
        let platform = Self::new(configuration, digest, layers, &piece.place)?;
        Ok(Self { manifest: Some(found.digest), annotations: found.annotations, ..platform })
    }

    /// Puts a configuration and the layers that it speaks of together.
    pub(super) fn new(
        configuration: Configuration,
        digest: OciDigest,
        layers: Vec<(Layer, Stored)>,
        place: &str,
    ) -> Result<Self, ReadError> {
        let wrong = |why: String| Err(ReadError::Content { place: place.to_owned(), why });
        let diff_ids = configuration.diff_ids(place)?;
        if layers.len() != diff_ids.len() {
            return wrong(format!("it has {} diff IDs for {} layers", diff_ids.len(), layers.len()));
        }
        if layers.len() > MOST_LAYERS {
            let (what, limit) = ("the number of layers", MOST_LAYERS as u64);
            return Err(ReadError::Limit { place: place.to_owned(), what, limit });
        }
        let (mut layers, stored): (Vec<Layer>, Vec<Stored>) = layers.into_iter().unzip();
        let titles = configuration.titles();
        // A history of another length says nothing of single layers.
        let titles = if titles.len() == layers.len() { titles } else { vec![String::new(); layers.len()] };
        for ((layer, diff_id), title) in layers.iter_mut().zip(diff_ids).zip(titles) {
            layer.diff_id = Some(diff_id);
            if layer.title.is_empty() {
                layer.title = title;
            }
        }
        let (name, arch) = named(&configuration.platform);
        let created = configuration.created.clone();
        let others = configuration.others();
        let config = configuration.runtime();
        let (manifest, annotations) = (None, BTreeMap::new());
        Ok(Self { name, arch, manifest, configuration: digest, created, config, others, annotations, layers, stored })
    }
}

/// Gives the name of a platform, and the architecture if it is one that `--arch` takes.
fn named(platform: &PlatformName) -> (String, Option<Arch>) {
    let PlatformName { os, architecture, variant } = platform;
    let machine = match variant.as_deref().filter(|variant| !variant.is_empty()) {
        Some(variant) => format!("{architecture}/{variant}"),
        None => architecture.clone(),
    };
    let arch = if matches!(os.as_str(), "" | "linux") { machine.parse::<Arch>().ok() } else { None };
    let name = match arch {
        Some(arch) => arch.to_string(),
        None => [os.as_str(), &machine].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/"),
    };
    (name, arch)
}
