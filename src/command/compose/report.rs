//! What composing came to: the images with their digests, where they are, and what could not be composed.
//!
//! Everything here is read off the documents that were made, so a report cannot say another digest than a registry
//! would.

use serde::{Serialize, Serializer};

use super::{Error, Job};
use crate::command::error;
use crate::command::value::{Date, Text};
use dlstore_image::check::Note;
use dlstore_model::arch::Arch;
use dlstore_model::digest::OciDigest;
use dlstore_oci::output::{Names, Target};
use dlstore_oci::{Layer, PlatformDocuments};

/// What composing came to.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Report {
    /// The store's directory.
    pub(crate) store: String,
    /// The images, in the order in which they were asked for.
    pub(crate) images: Vec<Image>,
    /// Images that could not be composed, or not be written to all their places; empty without `--keep-going`.
    pub(crate) failed: Vec<Failed>,
    /// Where the images were written, as `-o` takes it.
    #[serde(serialize_with = "targets")]
    #[cfg_attr(test, schemars(with = "Vec<String>"))]
    pub(crate) outputs: Vec<Written>,
    /// What an engine has now.
    pub(crate) loaded: Vec<Loaded>,
    /// Flags give another digest than the definitions alone.
    #[serde(skip)]
    pub(crate) other_than_defined: bool,
    /// Data that is built into the program is in one of them.
    #[serde(skip)]
    pub(crate) has_embedded: bool,
}

/// An image that was composed.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Image {
    /// As it was asked for.
    pub(crate) reference: String,
    /// Its repository, else `NAME` or `NAME-FLAVOR`.
    pub(crate) name: String,
    /// Its digest (`sha256:`): of its index, or with one architecture of its manifest.
    pub(crate) digest: Text<OciDigest>,
    /// The newest `created` of its configurations.
    pub(crate) created: Date,
    /// Its architectures.
    pub(crate) platforms: Vec<Platform>,
    /// Its packages.
    pub(crate) packages: Packages,
    /// Its layers.
    pub(crate) layers: Layers,
    /// What people should know.
    #[serde(serialize_with = "texts")]
    #[cfg_attr(test, schemars(with = "Vec<String>"))]
    pub(crate) notes: Vec<Note>,
}

/// An image for one architecture.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Platform {
    /// The architecture, as `--arch` takes it.
    pub(crate) architecture: Text<Arch>,
    /// The digest of its manifest.
    pub(crate) manifest: Text<OciDigest>,
    /// The digest of its configuration.
    pub(crate) config: Text<OciDigest>,
    /// Its layers, lowest first.
    pub(crate) layers: Vec<PlatformLayer>,
}

/// A layer of an image.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct PlatformLayer {
    /// The digest of the blob.
    pub(crate) digest: Text<OciDigest>,
    /// Bytes of the blob.
    pub(crate) size: u64,
    /// The digest of what it unpacks to.
    pub(crate) diff_id: Text<OciDigest>,
    /// What it holds, for people.
    pub(crate) title: String,
}

/// How many packages went in.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Packages {
    /// Packages that the store had.
    pub(crate) cached: usize,
    /// Packages that were added to it.
    pub(crate) added: usize,
}

/// How many layers went in.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Layers {
    /// Layers that the store had.
    pub(crate) reused: usize,
    /// Layers that were made.
    pub(crate) made: usize,
}

/// An image that could not be composed, or not be written to all its places.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Failed {
    /// As it was asked for.
    pub(crate) reference: String,
    /// Why, with all causes.
    #[serde(serialize_with = "error::line")]
    #[cfg_attr(test, schemars(with = "String"))]
    pub(crate) error: Error,
    /// The digest (`sha256:`) of what `outputs` and `loaded` may have of it; `null` when it was not composed.
    pub(crate) digest: Option<Text<OciDigest>>,
}

impl Failed {
    /// An image that could not be composed.
    pub(super) const fn uncomposed(reference: String, error: Error) -> Self {
        Self { reference, error, digest: None }
    }

    /// An image that is not everywhere it should be.
    pub(super) fn undelivered(job: &Job<'_>, error: Error) -> Self {
        let digest = Some(Text(job.composed.documents.image().digest));
        Self { reference: job.reference.to_owned(), error, digest }
    }
}

/// An image in one place.
pub(crate) struct Written {
    /// `NAME` or `NAME-FLAVOR`.
    pub(crate) image: String,
    /// Where.
    pub(crate) target: Target,
    /// Whether nobody said where.
    pub(crate) is_default: bool,
    /// Whether it starts a program of its own; others are for building upon.
    pub(crate) has_command: bool,
    /// What it is called where it is pushed, when that is known.
    pub(crate) pushed: Option<String>,
}

/// An image that an engine has now.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Loaded {
    /// The name that the engine says.
    pub(crate) name: String,
    /// The architecture that was handed over.
    pub(crate) architecture: Text<Arch>,
    /// The engine's program.
    pub(crate) program: String,
}

fn targets<S: Serializer>(outputs: &[Written], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(outputs.iter().map(|written| written.target.to_string()))
}

fn texts<S: Serializer>(notes: &[Note], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(notes.iter().map(|note| &note.text))
}

/// Describes an image that was composed; `date` is that of `created` when it is not the packages'.
pub(super) fn image(job: &Job<'_>, names: &Names, date: Option<u64>) -> Image {
    let composed = &job.composed;
    let (packages, added) = composed.packages;
    Image {
        reference: job.reference.to_owned(),
        name: names.printed.clone(),
        digest: Text(composed.documents.image().digest),
        created: Date(date.unwrap_or(composed.date)),
        platforms: composed.documents.platforms.iter().map(platform).collect(),
        packages: Packages { cached: packages - added, added },
        layers: Layers { reused: composed.packs.len() - composed.made.len(), made: composed.made.len() },
        notes: composed.notes.clone(),
    }
}

fn platform(platform: &PlatformDocuments) -> Platform {
    let layer = |layer: &Layer| PlatformLayer {
        digest: Text(layer.blob),
        size: layer.size,
        diff_id: Text(layer.diff_id),
        title: layer.title.clone(),
    };
    Platform {
        architecture: Text(platform.arch),
        manifest: Text(platform.manifest.digest),
        config: Text(platform.config.digest),
        layers: platform.layers.iter().map(layer).collect(),
    }
}
