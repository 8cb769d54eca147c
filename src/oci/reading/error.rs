//! Why an image that is already made cannot be read.
//!
//! Sentences name the file as the user finds it: its path, with the member behind it where it lies in an archive. All
//! that comes out of the image is escaped here.

use std::path::PathBuf;

use dlstore_formats::archive::ArchiveError;
use dlstore_fsx::input::InputError;
use dlstore_model::diagnose::{Diagnose, Hint, Kind};
use dlstore_model::digest::OciDigest;
use dlstore_model::escape::Escaped;
use dlstore_model::path::PathError;

/// Tells why an image cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A file cannot be opened or read.
    #[error(transparent)]
    Input(#[from] InputError),
    /// Neither a layout nor an archive of an image.
    #[error("{} is not {expected}", Escaped::path(path))]
    NotAnImage {
        /// The file or directory.
        path: PathBuf,
        /// What it should be: `an OCI layout: it has no index.json`.
        expected: &'static str,
    },
    /// A compressed archive: what lies in it cannot be looked up.
    #[error("{} is compressed, which an archive of an image must not be", Escaped::path(.0))]
    Compressed(PathBuf),
    /// An archive that breaks a rule.
    #[error("cannot read {}", Escaped::path(path))]
    Archive {
        /// The file.
        path: PathBuf,
        /// Which rule.
        #[source]
        source: ArchiveError,
    },
    /// JSON that cannot be read.
    #[error("cannot read {}", Escaped::text(place))]
    Json {
        /// Where it stands.
        place: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A document, a layer or a name in one of them is not what it must be.
    #[error("{}: {why}", Escaped::text(place))]
    Content {
        /// Where it stands.
        place: String,
        /// What is wrong.
        why: String,
    },
    /// A link of a layout that leads out of it.
    #[error("{} leads out of the layout", Escaped::path(.0))]
    Outside(PathBuf),
    /// A blob that is not there.
    #[error("{} does not contain {digest}", Escaped::path(path))]
    Missing {
        /// The layout or archive.
        path: PathBuf,
        /// The blob.
        digest: OciDigest,
    },
    /// A blob of another length than what names it says.
    #[error("{} has {found} bytes, but {digest} has {expected}", Escaped::text(place))]
    Size {
        /// Where it stands.
        place: String,
        /// The blob.
        digest: OciDigest,
        /// Bytes that it should have.
        expected: u64,
        /// Bytes that it has.
        found: u64,
    },
    /// A blob with other bytes than its name says.
    #[error("{} does not hold the bytes of {digest}", Escaped::text(place))]
    Damaged {
        /// Where it stands.
        place: String,
        /// The blob.
        digest: OciDigest,
    },
    /// A layer that unpacks to something else than the configuration says.
    #[error("{} does not unpack to {diff_id}, its diff ID in the configuration", Escaped::text(place))]
    DiffId {
        /// Where the layer stands.
        place: String,
        /// What it should unpack to.
        diff_id: OciDigest,
    },
    /// A layer that cannot be unpacked.
    #[error("cannot read the layer {}", Escaped::text(place))]
    Layer {
        /// Where it stands.
        place: String,
        /// Why.
        #[source]
        source: ArchiveError,
    },
    /// A path in a layer that no file can have.
    #[error("{}: a path that no file can have", Escaped::text(place))]
    Path {
        /// The layer.
        place: String,
        /// What is wrong with it.
        #[source]
        source: PathError,
    },
    /// A bound is exceeded.
    #[error("{}: {what} exceeds the limit of {limit}", Escaped::text(place))]
    Limit {
        /// Where.
        place: String,
        /// What is too large.
        what: &'static str,
        /// The bound.
        limit: u64,
    },
    /// Several images, and none of them was named.
    #[error("{} has several images: {}", Escaped::path(path), names(has))]
    Several {
        /// The layout or archive.
        path: PathBuf,
        /// What they are called, sorted.
        has: Vec<String>,
        /// How the first of them is named, if one has a name.
        first: Option<String>,
    },
    /// An image that is not there by its name.
    #[error("{} has no image named `{}`; it has {}", Escaped::path(path), Escaped::text(name), names(has))]
    Unknown {
        /// The layout or archive.
        path: PathBuf,
        /// What was asked for.
        name: String,
        /// What there is, sorted.
        has: Vec<String>,
    },
    /// No image at all.
    #[error("{} has no image", Escaped::path(.0))]
    Empty(PathBuf),
    /// `oci:` and nothing behind it.
    #[error("`{}` names no file or directory", Escaped::text(.0))]
    NoPath(String),
}

/// Names that are shown of what a layout or an archive has.
const SHOWN: usize = 20;

/// Lists names for people.
fn names(names: &[String]) -> String {
    if names.is_empty() {
        return "none of them has a name".to_owned();
    }
    let mut shown: Vec<String> = names.iter().take(SHOWN).map(|name| Escaped::text(name).to_string()).collect();
    if names.len() > SHOWN {
        shown.push(format!("and {} more", names.len() - SHOWN));
    }
    shown.join(", ")
}

impl Diagnose for ReadError {
    fn kind(&self) -> Kind {
        match self {
            Self::Several { .. } | Self::Unknown { .. } | Self::NoPath(_) => Kind::Usage,
            Self::Input(InputError::Fs(error)) => Kind::of_io(&error.source),
            Self::Archive { source, .. } | Self::Layer { source, .. } => source.kind(),
            _ => Kind::Input,
        }
    }

    fn hint(&self) -> Option<Hint> {
        match self {
            Self::Several { first, .. } => {
                let first = first.as_ref()?;
                Some(Hint::new(format!("name one of them: {}", Escaped::text(first))))
            }
            Self::Compressed(path) => Some(Hint::new(format!("decompress {} first", Escaped::path(path)))),
            _ => None,
        }
    }
}
