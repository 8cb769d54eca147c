//! Why a use case failed: an error of the floors below, or of what was asked for.
//!
//! Errors of lower floors are carried as they are, with their kinds and hints; only what a use case finds out itself has
//! a sentence here.

use std::io;
use std::path::PathBuf;

use serde::Serializer;

use dlstore_image::compose::ComposeError;
use dlstore_image::definition::tags::TagError;
use dlstore_image::definition::{DefinitionError, KeyLine};
use dlstore_ingest::IngestError;
use dlstore_model::arch::Arch;
use dlstore_model::diagnose::{Diagnose, Hint, Kind, one_line};
use dlstore_model::escape::Escaped;
use dlstore_oci::OciError;
use dlstore_oci::load::LoadError;
use dlstore_oci::name::NameError;
use dlstore_oci::output::OutputError;
use dlstore_oci::reading::ReadError;
use dlstore_store::StoreError;

/// Tells why a use case failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A mistake in what was typed, found after the arguments were read.
    #[error("{0}")]
    Usage(String),
    /// Nothing says where the store lies.
    #[error("cannot find a directory for the store: set DLSTORE_ROOT, XDG_DATA_HOME or HOME")]
    NoPlace,
    /// The current directory is not known.
    #[error("the current directory cannot be found")]
    Current(#[source] io::Error),
    /// One of several images cannot be composed.
    #[error("cannot compose {reference}")]
    OfImage {
        /// The image as it was asked for.
        reference: String,
        /// Why.
        source: Box<ComposeError>,
    },
    /// A file of one's own that is not a program.
    #[error("{} is not an ELF file (a script needs its interpreter)", Escaped::path(.0))]
    NotElf(PathBuf),
    /// A directory of one's own with no program in it.
    #[error("{} has no ELF files", Escaped::path(.0))]
    NoElf(PathBuf),
    /// A directory that is neither a layout nor a definition.
    #[error("{} has neither an index.json, as a layout has, nor an image.toml", Escaped::path(.0))]
    NoImage(PathBuf),
    /// An image that is for other architectures.
    #[error("image {image} does not support {arch}")]
    NotFor {
        /// Its name.
        image: String,
        /// What was asked for.
        arch: Arch,
        /// The architectures that it is made for, with commas between them.
        offered: String,
    },
    /// A store that cannot be made where it would lie.
    #[error(transparent)]
    Unmade(StoreError),
    /// Packages that are there for other architectures only.
    #[error("package {what} is not available for {wanted}, only for {has}")]
    OtherArchitecture {
        /// The packages as they were named.
        what: String,
        /// The architectures that were asked for.
        wanted: String,
        /// Those that there are.
        has: String,
    },
    /// Packages that are there in other versions only.
    #[error("no package {}; available versions of {}: {has}", Escaped::text(what), Escaped::text(name))]
    OtherVersions {
        /// The package as it was named.
        what: String,
        /// Its name.
        name: String,
        /// The versions that there are.
        has: String,
    },
    /// Two things that are for different architectures.
    #[error("{old} and {new} have no architecture in common: {old} is for {old_has}, {new} for {new_has}")]
    NothingInCommon {
        /// The first one as it was named.
        old: String,
        /// Its architectures.
        old_has: String,
        /// The second one.
        new: String,
        /// Its architectures.
        new_has: String,
    },
    /// Several packages where there must be one.
    #[error("{} names several packages: {has}", Escaped::text(what))]
    SeveralPackages {
        /// The packages as they were named.
        what: String,
        /// What they are.
        has: String,
    },
    /// Neither a package nor an image.
    #[error("no package or image is named `{}`{}", Escaped::text(what), meant(package.as_deref(), image.as_deref()))]
    Neither {
        /// What was named.
        what: String,
        /// The package that is called much the same.
        package: Option<String>,
        /// The image that is.
        image: Option<String>,
        /// What else there is.
        next: Next,
    },
    /// No package for a pattern of names, which no image has.
    #[error("no package has a name like {}", Escaped::text(.0))]
    NoneLike(String),
    /// Nothing that a root could keep.
    #[error(
        "no package or root is named {}{} (`dlstore store roots list` lists the roots)",
        Escaped::text(what),
        meant(package.as_deref(), None)
    )]
    NothingNamed {
        /// What was named.
        what: String,
        /// The package that is called much the same.
        package: Option<String>,
    },
    /// A root that there is not.
    #[error("no root is named {0}")]
    NoRoot(String),
    /// An engine did not take an image.
    #[error("cannot load {reference}")]
    Load {
        /// The image as it was asked for.
        reference: String,
        /// Why.
        #[source]
        source: LoadError,
    },
    /// What `--load` was given.
    #[error(transparent)]
    Loader(#[from] LoadError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Adding packages.
    #[error(transparent)]
    Ingest(#[from] IngestError),
    /// Definitions.
    #[error(transparent)]
    Definition(#[from] DefinitionError),
    /// A name that was typed for an image, and that none can have.
    #[error(transparent)]
    Misnamed(DefinitionError),
    /// Composing.
    #[error(transparent)]
    Compose(#[from] ComposeError),
    /// Reading built images.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Writing images.
    #[error(transparent)]
    Oci(#[from] OciError),
    /// Where images go.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// A name of an image that nothing takes.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A tag of a definition.
    #[error("{}{error}", key.as_ref().map(|key| format!("{key}: ")).unwrap_or_default())]
    Tag {
        /// Where the definition says it.
        key: Option<KeyLine>,
        /// What is wrong with it.
        error: TagError,
    },
}

/// Where to look after a name that is nothing's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// A layout or an archive of that name lies in the current directory.
    Path,
    /// There is no store, so there is no package.
    NoStore,
    /// There are packages whose names contain it.
    Containing,
    /// Nowhere.
    Nothing,
}

impl Next {
    fn hint(self, what: &str) -> Option<Hint> {
        match self {
            Self::Path => Some(Hint::new(format!("./{}", Escaped::text(what)))),
            Self::NoStore => Some(Hint::new(
                "there is no store yet, so no package: dlstore add PATH makes one; dlstore list --images lists images",
            )),
            Self::Containing => Some(Hint::new(format!("dlstore list '*{what}*' lists packages that contain it"))),
            Self::Nothing => None,
        }
    }
}

/// Writes an error into JSON, with all its causes on one line.
pub(super) fn line<S: Serializer>(error: &Error, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&one_line(error))
}

/// Asks whether one of those was meant.
fn meant(package: Option<&str>, image: Option<&str>) -> String {
    let of = |kind: &str, name: Option<&str>| name.map(|name| format!("the {kind} `{name}`"));
    let meant: Vec<String> = [of("package", package), of("image", image)].into_iter().flatten().collect();
    if meant.is_empty() { String::new() } else { format!("; did you mean {}?", meant.join(" or ")) }
}

impl Diagnose for Error {
    fn kind(&self) -> Kind {
        match self {
            Self::Usage(_)
            | Self::NotFor { .. }
            | Self::Neither { .. }
            | Self::NoneLike(_)
            | Self::OtherVersions { .. }
            | Self::Misnamed(_) => Kind::Usage,
            Self::NoPlace | Self::Current(_) => Kind::Environment,
            Self::NotElf(_)
            | Self::NoElf(_)
            | Self::NoImage(_)
            | Self::OtherArchitecture { .. }
            | Self::NothingInCommon { .. }
            | Self::SeveralPackages { .. }
            | Self::NothingNamed { .. }
            | Self::NoRoot(_)
            | Self::Name(_)
            | Self::Tag { .. } => Kind::Input,
            Self::Load { source, .. } | Self::Loader(source) => source.kind(),
            Self::Store(error) | Self::Unmade(error) => error.kind(),
            Self::Ingest(error) => error.kind(),
            Self::Definition(error) => error.kind(),
            Self::OfImage { source, .. } => source.kind(),
            Self::Compose(error) => error.kind(),
            Self::Read(error) => error.kind(),
            Self::Oci(error) => error.kind(),
            Self::Output(error) => error.kind(),
        }
    }

    fn hint(&self) -> Option<Hint> {
        match self {
            Self::Load { source, .. } | Self::Loader(source) => source.hint(),
            Self::Neither { what, next, .. } => next.hint(what),
            Self::NotFor { offered, .. } => Some(Hint::new(format!("--arch {offered}"))),
            Self::Unmade(_) => {
                Some(Hint::new("choose another directory for the store: --store DIR, or DLSTORE_ROOT=DIR"))
            }
            Self::Store(error) => error.hint(),
            Self::Ingest(error) => error.hint(),
            Self::Definition(error) => error.hint(),
            Self::Compose(error) => error.hint(),
            Self::Read(error) => error.hint(),
            Self::Oci(error) => error.hint(),
            Self::Output(error) => error.hint(),
            _ => None,
        }
    }
}
