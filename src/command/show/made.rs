//! A built image: what its documents say, and the packages that its databases name.
//!
//! All its platforms are listed; what is in the configuration is shown for those that are asked for.

use std::collections::BTreeMap;

use serde::Serialize;

use super::start::Start;
use crate::command::context::Context;
use crate::command::error::Error;
use crate::command::made::{chosen, unpack};
use crate::command::value::Text;
use dlstore_model::digest::OciDigest;
use dlstore_oci::reading::{self, Source};

/// A built image.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Image {
    /// Where it is, as it was named.
    pub(crate) name: String,
    /// Its digest (`sha256:`): of its index, or of its only manifest; `null` in what `docker save` wrote.
    pub(crate) digest: Option<Text<OciDigest>>,
    /// Annotations of its index, or of its only manifest, by key.
    pub(crate) annotations: BTreeMap<String, String>,
    /// Its architectures; of one that `--arch` does not know `OS/ARCH`.
    pub(crate) architectures: Vec<String>,
    /// What it is on those that are shown.
    pub(crate) platforms: Vec<Platform>,
}

/// A built image, on one architecture.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Platform {
    /// The architecture.
    pub(crate) architecture: String,
    /// The digest of its manifest (`sha256:`); `null` in what `docker save` wrote.
    pub(crate) manifest: Option<Text<OciDigest>>,
    /// The digest of its configuration (`sha256:`), which engines call the image's ID.
    pub(crate) configuration: Text<OciDigest>,
    /// When it was made, as it says.
    pub(crate) created: Option<String>,
    /// What a container starts with.
    #[serde(flatten)]
    pub(crate) start: Start,
    /// Annotations of its manifest by key.
    pub(crate) annotations: BTreeMap<String, String>,
    /// Its layers, lowest first.
    pub(crate) layers: Vec<Layer>,
    /// The packages that its databases name, sorted.
    pub(crate) packages: Vec<Package>,
}

/// A layer of a built image.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Layer {
    /// What it is called, or the command that made it; may be empty.
    pub(crate) title: String,
    /// The digest of the blob (`sha256:`); `null` where only what it unpacks to has one.
    pub(crate) digest: Option<Text<OciDigest>>,
    /// The digest of what it unpacks to (`sha256:`).
    pub(crate) diff_id: Option<Text<OciDigest>>,
    /// Bytes of the blob.
    pub(crate) size: u64,
}

/// A package that a database of the image names.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Package {
    /// `deb` or `apk`.
    pub(crate) format: &'static str,
    /// Its name.
    pub(crate) name: String,
    /// Its version.
    pub(crate) version: String,
    /// In the words of its format.
    pub(crate) architecture: String,
}

/// Opens an image and shows what it is.
///
/// # Errors
/// When it cannot be read, or is not for an architecture that is asked for.
pub(super) fn show(context: &Context, source: &Source, arch: Option<&str>) -> Result<Image, Error> {
    let image = reading::Image::open(source)?;
    let mut budget = reading::Budget::default();
    let shown = chosen(context, &image, arch)?.into_iter().map(|one| platform(&image, one, &mut budget));
    let platforms = shown.collect::<Result<_, Error>>()?;
    Ok(Image {
        name: image.name,
        digest: image.digest.map(Text),
        annotations: image.annotations,
        architectures: image.platforms.into_iter().map(|platform| platform.name).collect(),
        platforms,
    })
}

fn platform(
    image: &reading::Image,
    platform: &reading::Platform,
    budget: &mut reading::Budget,
) -> Result<Platform, Error> {
    let packages = unpack(image, platform, budget)?.packages.into_iter().map(|(format, one)| Package {
        format: format.name(),
        name: one.name,
        version: one.version,
        architecture: one.architecture,
    });
    Ok(Platform {
        architecture: platform.name.clone(),
        manifest: platform.manifest.map(Text),
        configuration: Text(platform.configuration),
        created: platform.created.clone(),
        start: platform.config.clone().into(),
        annotations: platform.annotations.clone(),
        layers: platform.layers.iter().map(Layer::of).collect(),
        packages: packages.collect(),
    })
}

impl Layer {
    fn of(layer: &reading::Layer) -> Self {
        let reading::Layer { title, digest, diff_id, size } = layer.clone();
        Self { title, digest: digest.map(Text), diff_id: diff_id.map(Text), size }
    }
}
