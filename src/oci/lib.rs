//! Images as the outside world reads them: OCI documents, layouts, archives, and a running engine.
//!
//! ```text
//! ImageContent --documents--> Documents --+--layout---> a directory, blobs linked from the store
//!                                         +--archive--> one tar: oci-archive, docker-archive
//!                                         +--load-----> the same tar into docker or podman
//!
//! a layout or an archive, of whoever made it --reading--> platforms, configurations, files
//! ```
//!
//! Everything here is a function of its input: the same content gives the same bytes, and the same
//! documents give the same archive, wherever and whenever they are made. What a layer holds is none
//! of this module's business; it knows layers by digest and size, and asks a [`BlobSource`] for the
//! file with their bytes. Pushing and signing stand on the same [`Documents`].

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::{Path, PathBuf};

use dlstore_formats::layer::Codec;
use dlstore_fsx::FsError;
use dlstore_fsx::file::Stamp;
use dlstore_model::arch::Arch;
use dlstore_model::config::Config;
use dlstore_model::diagnose::{Diagnose, Hint, Kind};
use dlstore_model::digest::OciDigest;
use dlstore_model::escape::Escaped;
use dlstore_model::quantity::Size;

pub(crate) mod archive;
pub mod delivery;
pub mod documents;
pub(crate) mod layout;
pub mod load;
pub mod name;
pub mod output;
pub mod reading;

pub use layout::Takeover;

mod child;
mod entries;

/// Reads any bytes as the `index.json` of an output: what a fuzzer calls.
#[doc(hidden)]
pub fn fuzz_layout_index(data: &[u8]) {
    entries::fuzz(data);
}

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod peers;

/// One layer of one architecture's image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// How the blob is compressed; decides the media type.
    pub codec: Codec,
    /// Name of the compressed bytes.
    pub blob: OciDigest,
    /// Length of the compressed bytes.
    pub size: u64,
    /// Name of the raw tar.
    pub diff_id: OciDigest,
    /// For the config's history: `static:debian, all architectures`.
    pub title: String,
}

/// One architecture of an image, ready to be written down.
#[derive(Debug, Clone, PartialEq)]
pub struct Platform {
    /// The architecture.
    pub arch: Arch,
    /// The date that the config and its history carry, in seconds since 1970: of this architecture's
    /// own packages, so that it does not depend on which others are composed.
    pub created: u64,
    /// The layers, lowest first.
    pub layers: Vec<Layer>,
    /// What a container of this image starts with.
    pub config: Config,
}

/// An image over its architectures.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageContent {
    /// Annotations of every manifest and of the index.
    pub annotations: BTreeMap<String, String>,
    /// The architectures, in any order, each once.
    pub platforms: Vec<Platform>,
}

/// A JSON document as a blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Its OCI media type.
    pub media_type: String,
    /// SHA-256 of `data`.
    pub digest: OciDigest,
    /// The bytes, canonical: keys sorted, no white space, no newline at the end.
    pub data: Vec<u8>,
}

/// All documents of an image: per platform config and manifest, and the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Documents {
    /// One for each architecture, in the order of [`Arch`].
    pub platforms: Vec<PlatformDocuments>,
    /// The index over all of them: what names an image for several.
    pub index: Document,
}

/// The documents of one architecture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlatformDocuments {
    /// The architecture.
    pub arch: Arch,
    /// The image configuration; its digest is what docker calls the image's ID.
    pub config: Document,
    /// The manifest.
    pub manifest: Document,
    /// The layers that the manifest lists, in its order.
    pub layers: Vec<Layer>,
}

impl Documents {
    /// Gives what names the image: its index, or of an image for one architecture its manifest. Many tools do not look
    /// into an index for the one thing in it.
    #[must_use]
    pub fn image(&self) -> &Document {
        self.only().map_or(&self.index, |platform| &platform.manifest)
    }

    /// Gives the only architecture, if there is one.
    pub(crate) fn only(&self) -> Option<&PlatformDocuments> {
        if let [only] = self.platforms.as_slice() { Some(only) } else { None }
    }

    /// Gives every JSON document of the image once: configs and manifests by platform, an index last, so that
    /// nothing comes before what it refers to.
    pub fn all(&self) -> impl Iterator<Item = &Document> {
        let index = self.only().is_none().then_some(&self.index);
        self.platforms.iter().flat_map(PlatformDocuments::both).chain(index)
    }

    /// Gives every layer, those that several architectures share only once, in digest order.
    #[must_use]
    pub fn layers(&self) -> BTreeMap<OciDigest, &Layer> {
        self.platforms.iter().flat_map(|platform| &platform.layers).map(|layer| (layer.blob, layer)).collect()
    }
}

impl PlatformDocuments {
    fn both(&self) -> [&Document; 2] {
        [&self.config, &self.manifest]
    }
}

/// What a [`BlobSource`] may fail with; kept whole as the source of an [`OciError`].
pub type BlobError = Box<dyn std::error::Error + Send + Sync>;

/// A file that holds the bytes of a blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobFile {
    /// Where it lies.
    pub path: PathBuf,
    /// What it looked like when its bytes were believed: a link to it looks the same.
    pub stamp: Stamp,
}

/// Where the bytes of layers are: the store, or a directory in tests.
pub trait BlobSource {
    /// Finds the file that holds exactly the bytes of `digest`; `None` when they are not here. The
    /// caller sees to it that the file stays until the output is written (a lease).
    ///
    /// # Errors
    /// When looking fails.
    fn file(&self, digest: &OciDigest) -> Result<Option<BlobFile>, BlobError>;

    /// Takes note that the file of a blob was read, and holds other bytes.
    ///
    /// # Errors
    /// When it cannot be set aside.
    fn distrust(&self, digest: &OciDigest) -> Result<(), BlobError>;
}

/// Tells why an image was not written down.
#[derive(Debug, thiserror::Error)]
pub enum OciError {
    /// The content lists no architecture.
    #[error("the image has no architecture")]
    NoPlatform,
    /// The content lists an architecture twice.
    #[error("{0} is listed twice in the image")]
    SamePlatform(Arch),
    /// More layers than runtimes take once users have put theirs on top.
    #[error("the image for {arch} has {count} layers; {max} is the most a base image may have", max = documents::MAX_LAYERS)]
    TooManyLayers {
        /// The architecture.
        arch: Arch,
        /// How many layers there are.
        count: usize,
    },
    /// A date that RFC 3339 cannot write.
    #[error("the date {0} s after 1970 is later than the year 9999")]
    Date(u64),
    /// A blob that is known by digest, but whose bytes are not at hand.
    #[error("the bytes of layer {0} are missing")]
    MissingBlob(OciDigest),
    /// The place that keeps the blobs failed.
    #[error("cannot find the bytes of layer {digest}")]
    Source {
        /// The layer.
        digest: OciDigest,
        /// What the source said.
        #[source]
        source: BlobError,
    },
    /// The bytes of a blob are not those that its name promises.
    #[error("layer {digest} is damaged: {path} holds other bytes")]
    Damaged {
        /// The layer.
        digest: OciDigest,
        /// The file with the wrong bytes.
        path: PathBuf,
    },
    /// zstd in a format that has no place for it.
    #[error("a docker-archive cannot hold zstd layers, and layer {0} is one")]
    Zstd(OciDigest),
    /// Something too big for the headers of an archive.
    #[error("layer {0} has 8 GiB or more, which an archive cannot hold")]
    TooBig(OciDigest),
    /// An `index.json` that is none.
    #[error("{path} is not an OCI image index")]
    NotAnIndex {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: Option<serde_json::Error>,
    },
    /// A tag of a layout belongs to another image.
    #[error("the tag `{tag}` in {} belongs to the image {owner}", Escaped::path(dir))]
    Taken {
        /// The layout.
        dir: PathBuf,
        /// The tag.
        tag: String,
        /// The definition of that image.
        owner: String,
    },
    /// A disk that is full, or the user's share of it.
    #[error("no space left for {place} ({} needed)", Size(*needed))]
    NoSpace {
        /// What could not be written: `the layout out/static`.
        place: String,
        /// Bytes that it takes; of a layout, those that it does not have yet.
        needed: u64,
        /// What failed.
        #[source]
        source: Box<OciError>,
    },
    /// A file-system effect failed.
    #[error(transparent)]
    Place(#[from] FsError),
    /// An archive of which a part is on stdout already.
    #[error("the archive on stdout is incomplete")]
    Half(#[source] Box<OciError>),
    /// Writing into a stream failed.
    #[error("cannot write the archive")]
    Stream(#[source] std::io::Error),
}

impl OciError {
    /// Says that the file of a blob, found at `path`, failed; one that is missing was collected.
    fn of_blob(digest: OciDigest, path: &Path, error: FsError) -> Self {
        if error.is_missing() && error.path == path { Self::MissingBlob(digest) } else { Self::Place(error) }
    }
}

/// Says of an error that comes of a full disk what could not be written; `needed` gives the bytes that it takes.
fn without_space(error: OciError, place: impl Display, needed: impl FnOnce() -> u64) -> OciError {
    let is_full = match &error {
        OciError::Place(error) => error.is_full(),
        OciError::Stream(source) => Kind::of_io(source) == Kind::Full,
        OciError::Half(inner) => inner.kind() == Kind::Full,
        _ => false,
    };
    if is_full {
        OciError::NoSpace { place: place.to_string(), needed: needed(), source: Box::new(error) }
    } else {
        error
    }
}

impl Diagnose for OciError {
    fn kind(&self) -> Kind {
        match self {
            Self::NoPlatform | Self::SamePlatform(_) | Self::Date(_) => Kind::Internal,
            Self::TooManyLayers { .. }
            | Self::Zstd(_)
            | Self::TooBig(_)
            | Self::NotAnIndex { .. }
            | Self::Taken { .. } => Kind::Input,
            Self::MissingBlob(_) => Kind::Gone,
            // What a source says of its own is in the chain; and to try a half archive again would write another one
            // behind it, whatever the reason was.
            Self::Source { .. } | Self::Half(_) => Kind::Environment,
            Self::Damaged { .. } => Kind::Damaged,
            Self::NoSpace { .. } => Kind::Full,
            Self::Place(error) => error.kind(),
            Self::Stream(source) => Kind::of_io(source),
        }
    }

    fn hint(&self) -> Option<Hint> {
        match self {
            Self::TooManyLayers { .. } => Some(Hint::new("--layers grouped")),
            Self::Zstd(_) => Some(Hint::new("--compression gzip, or an oci-archive:FILE")),
            Self::Damaged { .. } => Some(Hint::new("dlstore store verify --full")),
            Self::Taken { dir, .. } => {
                Some(Hint::new(format!("-o oci:{}:TAG with another tag, or --force to replace it", Escaped::path(dir))))
            }
            Self::NotAnIndex { .. } => Some(Hint::new("choose another directory, or remove that file")),
            _ => None,
        }
    }
}
