//! Adding: a package file or a directory becomes a tree, facts, a kept source and a predicted pack.
//!
//! ```text
//! file ── SHA-256 ── known? ──────────────────────────────────────────► nothing to do (`add`)
//!                      │ no
//!                      ▼
//!        copy into the stage (the kept source), hashed again
//!                      ▼
//!        one pass: tree, facts, wanted content into the spool (`decode`, `facts`)
//!                      ▼
//!        selection ► usr-merge ► layer tree ► pack (`predict`)     ► all of it pending in the session
//! ```
//!
//! A package is a function of its source, the decoder's version and, for a plain tar or a directory, the name that
//! it gets from outside. What is lost of it is made again from the kept source (`repair`). What a package does
//! wrong fails that package alone.

#![forbid(unsafe_code)]

mod add;
pub mod decode;
mod diagnose;
pub mod directory;
pub mod facts;
pub mod findings;
#[doc(hidden)]
pub mod fuzzing;
mod glance;
mod hashing;
pub mod input;
pub mod landed;
pub mod parallel;
mod predict;
pub mod rebuild;
pub mod recall;
pub mod repair;
pub mod seen;
pub mod select;
pub mod spool;
pub mod start;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::input::Input;
use dlstore_formats::layer::{Codec, LayerError};
use dlstore_formats::package::reader::PackageReader;
use dlstore_formats::package::{Control, ControlPart, Format, Limits, PackageError};
use dlstore_fsx::FsError;
use dlstore_fsx::input::{InputError, open_regular};
use dlstore_model::digest::ActionKey;
use dlstore_model::escape::Escaped;
use dlstore_model::package::Metadata;
use dlstore_model::quantity::Size;
use dlstore_model::tree::TreeError;
use dlstore_store::session::Session;
use dlstore_store::{ObjectRef, PackageRecord, StoreError};

pub use add::{Expected, add, directory_metadata_of};
pub use glance::{Glance, glance};
pub use landed::{Keeps, Selection};
pub use predict::write_pack;
pub use repair::{decode_again, remake};

/// Tells why something could not be added.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// A file or directory of the host cannot be read.
    #[error("cannot read {path}", path = Escaped::path(path))]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A name that stands for no format.
    #[error("{} is not a .deb, .apk, .tar[.gz|.xz|.zst|.bz2] or a directory", Escaped::path(.0))]
    Unknown(PathBuf),
    /// A directory in which nothing lies.
    #[error("{} is an empty directory: there is no package in it, and it is none itself", Escaped::path(.0))]
    Empty(PathBuf),
    /// A socket, device or pipe of the host.
    #[error("{} is neither a file, a directory nor a symbolic link", Escaped::path(.0))]
    Special(PathBuf),
    /// What a person named is something else than a file, or too long.
    #[error(transparent)]
    Input(InputError),
    /// A package file that is longer than what is read.
    #[error(
        "{} has {}, which exceeds the limit of {} for a package (`add --max-size` allows more)",
        Escaped::path(path),
        Size(*size),
        Size(*limit)
    )]
    LargePackage {
        /// Which.
        path: PathBuf,
        /// Its length in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// A file of a definition or of a directory that is longer than what is read.
    #[error("{} has {}, which exceeds the limit of {} for a file", Escaped::path(path), Size(*size), Size(*limit))]
    LargeFile {
        /// Which.
        path: PathBuf,
        /// Its length in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// A file that changed between two readings.
    #[error("{} changed while it was read", Escaped::path(.0))]
    Changed(PathBuf),
    /// A package that has to be read again, and whose source is not kept or is damaged too.
    #[error("{name} {version} has to be read again, and its source is not in the store: add it again")]
    NoSource {
        /// Its name.
        name: String,
        /// Its version, as far as it is known.
        version: String,
    },
    /// The package itself is wrong.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// Its entries do not make a tree.
    #[error(transparent)]
    Tree(TreeError),
    /// The stage of the store cannot be written.
    #[error("cannot write into the store's stage")]
    Stage(#[source] io::Error),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The pack could not be made.
    #[error(transparent)]
    Layer(#[from] LayerError),
}

impl From<io::Error> for IngestError {
    fn from(source: io::Error) -> Self {
        Self::Stage(source)
    }
}

impl From<InputError> for IngestError {
    fn from(error: InputError) -> Self {
        match error {
            InputError::Fs(FsError { path, source, .. }) => Self::Read { path, source },
            other => Self::Input(other),
        }
    }
}

/// How packages are added.
pub struct Options<'a> {
    /// The selection that a package's pack is predicted with.
    pub selection: &'a (dyn Fn(&Metadata) -> Selection + Sync),
    /// The codec of the predicted pack.
    pub codec: Codec,
    /// Says whether sources are kept.
    pub keep_sources: KeepSources,
    /// Bounds on what is read.
    pub limits: Limits,
}

/// Whether the package files themselves stay in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeepSources {
    /// They stay: other selections, repair and provenance need no mirror.
    Yes,
    /// They do not.
    No,
}

/// What became of one thing that was to be added.
#[derive(Debug, Clone)]
pub struct Added {
    /// The package as the index knows it.
    pub record: PackageRecord,
    /// Says whether it was there before.
    pub was_known: bool,
    /// Bytes of the predicted pack, when one was made.
    pub packed: Option<u64>,
    /// Key of what was predicted, when that is known.
    pub landed: Option<ActionKey>,
    /// What was left out, for people.
    pub notes: Vec<String>,
}

impl Added {
    /// Says what became of it to whoever listens. Things are added in parallel; whoever has them in their order says it.
    pub fn say(&self) {
        self.say_as("added");
    }

    /// Says the same where nothing is published: what is new was read, and is forgotten.
    pub fn say_read(&self) {
        self.say_as("read");
    }

    fn say_as(&self, new: &str) {
        let PackageRecord { name, version, architecture, source_size, .. } = &self.record;
        let word = if self.was_known { "known" } else { new };
        tracing::info!(size = source_size, "{word} {name} {version} {architecture}");
    }
}

/// Adds many things in parallel, the largest first; results come in the order of `inputs`.
pub fn add_all(
    session: &Session<'_>,
    inputs: &[Input],
    options: &Options<'_>,
    finished: &(dyn Fn(&Input, &Result<Added, IngestError>) + Sync),
) -> Vec<Result<Added, IngestError>> {
    let mut order: Vec<usize> = (0..inputs.len()).collect();
    order.sort_by_key(|at| std::cmp::Reverse(inputs[*at].size));
    let mut results: Vec<(usize, Result<Added, IngestError>)> = parallel::map(&order, |at| {
        let result = add(session, &inputs[*at], options, &Expected::default());
        finished(&inputs[*at], &result);
        (*at, result)
    });
    results.sort_by_key(|(at, _)| *at);
    results.iter().filter_map(|(_, result)| result.as_ref().ok()).for_each(Added::say);
    results.into_iter().map(|(_, result)| result).collect()
}

/// Gives the root name that keeps a package that was added by name. A second source of the same version has a
/// root of its own.
#[must_use]
pub fn root_name(record: &PackageRecord) -> String {
    let source = &record.source.to_hex()[..12];
    format!("package/{}/{}/{}/{}/{source}", record.format.name(), record.name, record.version, record.architecture)
}

/// Gives what the root of an added package keeps: itself and what was predicted for it.
#[must_use]
pub fn kept_by(added: &Added) -> Vec<ObjectRef> {
    let mut keeps = vec![added.record.object()];
    keeps.extend(added.landed.map(ObjectRef::Action));
    keeps
}

/// Reads who a package is. Only that is kept, not the members of its control archive: a directory holds thousands of
/// packages.
fn identity_of(file: &File, path: &Path, format: Format, limits: Limits) -> Result<Metadata, IngestError> {
    Ok(read_control(file, path, format, Limits { control: ControlPart::Identity, ..limits })?.metadata)
}

/// Reads all that a package says of itself, and no file of it.
///
/// # Errors
/// When it cannot be read, or is no package.
pub fn peek_control(path: &Path, format: Format) -> Result<Control, IngestError> {
    let limits = Limits::default();
    read_control(&open_package(path, &limits)?, path, format, limits)
}

fn read_control(file: &File, path: &Path, format: Format, limits: Limits) -> Result<Control, IngestError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let reader = PackageReader::open(format, &name, Box::new(io::BufReader::new(file)), limits)?;
    Ok(reader.control().clone())
}

/// Opens a package file. Its length is looked at before a byte is read: a file without content may claim any.
fn open_package(path: &Path, limits: &Limits) -> Result<File, IngestError> {
    let file = open_regular(path)?;
    let size = file.metadata().map_err(|source| IngestError::Read { path: path.to_owned(), source })?.len();
    let limit = limits.package_bytes();
    if size > limit {
        return Err(IngestError::LargePackage { path: path.to_owned(), size, limit });
    }
    Ok(file)
}
