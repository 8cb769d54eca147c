//! What can go wrong with a store, each with what it is about.
//!
//! Sentences name the path or the object and what was attempted; sources are kept. Callers branch on
//! variants: a thing that is gone can be made again, a full disk cannot.

use std::path::PathBuf;

use crate::index::{IndexError, ObjectRef};
use dlstore_fsx::FsError;
use dlstore_model::escape::Escaped;
use dlstore_model::format::Format;
use dlstore_model::quantity::Size;

/// Tells why the store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// An effect on the file system failed.
    #[error(transparent)]
    File(#[from] FsError),
    /// The index failed.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// Nothing is there.
    #[error("there is no store at {}", Escaped::path(.0))]
    Absent(PathBuf),
    /// The directory holds something else.
    #[error("{} is not empty and not a store (it holds {})", Escaped::path(root), Escaped::path(found))]
    Occupied {
        /// The directory.
        root: PathBuf,
        /// One of the names in it.
        found: PathBuf,
    },
    /// Somebody else owns the directory.
    #[error("the store {} belongs to another user", Escaped::path(.0))]
    Owner(PathBuf),
    /// The store belongs to another user and was made for that user alone.
    #[error("the store {} is private to another user", Escaped::path(.0))]
    OneUser(PathBuf),
    /// It was to be shared, and was made for one user.
    #[error("the store {} was made for one user: make a shared one in another directory, and add the packages there", Escaped::path(.0))]
    Private(PathBuf),
    /// Others could put anything into it.
    #[error("others may write to the store {}: its mode must be 0700, or 2770 when shared with a group", Escaped::path(.0))]
    Exposed(PathBuf),
    /// The file system is shared between hosts.
    #[error(
        "the store {} lies on {kind}, where locks do not reach other hosts: use a directory on a local disk",
        Escaped::path(root)
    )]
    Network {
        /// The directory.
        root: PathBuf,
        /// Which kind of file system.
        kind: &'static str,
    },
    /// `format.json` is not what this program writes.
    #[error("{} does not describe a store", Escaped::path(path))]
    Format {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A newer program made it.
    #[error(
        "the store {} has format {found}, this program knows formats up to {known}: use a newer dlstore",
        Escaped::path(root)
    )]
    Newer {
        /// The directory.
        root: PathBuf,
        /// Its format.
        found: u64,
        /// The newest format that this program knows.
        known: u64,
    },
    /// A program before the first release made it.
    #[error(
        "the store {} has format {found}, which this program no longer reads: remove it and add the packages again",
        Escaped::path(root)
    )]
    Older {
        /// The directory.
        root: PathBuf,
        /// Its format.
        found: u64,
    },
    /// A newer program used features that this one does not know.
    #[error("the store {} uses {features}, which this program does not know: use a newer dlstore", Escaped::path(root))]
    Features {
        /// The directory.
        root: PathBuf,
        /// Their names.
        features: String,
    },
    /// A newer program used features with which this one may only read.
    #[error("the store {} uses {features}: this program can read it, but not write to it", Escaped::path(root))]
    ReadOnly {
        /// The directory.
        root: PathBuf,
        /// Their names.
        features: String,
    },
    /// The index is not there, or no database of ours, or so damaged that it cannot be read.
    #[error(
        "the store {} has no usable index: run `dlstore store rebuild` to make it again from the kept packages",
        Escaped::path(root)
    )]
    IndexLost {
        /// The directory.
        root: PathBuf,
        /// What is wrong with it.
        #[source]
        source: Box<IndexError>,
    },
    /// Another process makes the index anew.
    #[error("another process is rebuilding the index of the store {}: wait for it to end", Escaped::path(.0))]
    Rebuilding(PathBuf),
    /// Another process has the store open.
    #[error("the store {} is in use: its index can be rebuilt only while no other command uses it", Escaped::path(.0))]
    InUse(PathBuf),
    /// Its file system is mounted read-only.
    #[error("the store {} is on a read-only file system: its contents can be used, but nothing can be added", Escaped::path(.0))]
    ReadOnlyPlace(PathBuf),
    /// The user may not write to it.
    #[error("this user may not write to the store {}: its contents can be used, but nothing can be added", Escaped::path(.0))]
    ReadOnlyUser(PathBuf),
    /// The index cannot be used where it lies, and not be copied either.
    #[error("cannot copy the index into the temporary directory {}", Escaped::path(directory))]
    Temporary {
        /// The directory: `$TMPDIR`, else that of the platform.
        directory: PathBuf,
        /// What is wrong with it.
        #[source]
        source: Box<StoreError>,
    },
    /// There is no room for a copy of the index.
    #[error(
        "no space left for a copy of the index in the temporary directory {} ({} needed)",
        Escaped::path(directory),
        Size(*needed)
    )]
    TemporaryFull {
        /// The directory: `$TMPDIR`, else that of the platform.
        directory: PathBuf,
        /// Bytes of the index and its log.
        needed: u64,
        /// What failed.
        #[source]
        source: Box<StoreError>,
    },
    /// What is known of something is not whole.
    #[error("{0} is damaged in the store")]
    Damaged(ObjectRef),
    /// The list of the packages of a name is not whole.
    #[error("the store's list of packages named {name} ({}) is damaged", format.name())]
    DamagedName {
        /// The format of the packages.
        format: Format,
        /// Their name.
        name: String,
    },
    /// The roots' journal names packages that the index does not know: it is older than it was.
    #[error("the store's index is older than its roots.journal, which has other packages named {name} ({})", format.name())]
    Behind {
        /// The format of the packages.
        format: Format,
        /// Their name.
        name: String,
    },
    /// The roots' journal names a package of which nothing else is left: another one of the name would be chosen for it.
    #[error("the roots' journal names a package {name} ({}) that is gone from the store, and its source is not kept", format.name())]
    Forgotten {
        /// The format of the package.
        format: Format,
        /// Its name.
        name: String,
        /// A root that kept it.
        root: String,
    },
    /// Something that has to be there is not, or was collected.
    #[error("{0} is not in the store")]
    Gone(ObjectRef),
    /// The bytes have another name.
    #[error("the content to be published as {0} has a different digest")]
    WrongDigest(ObjectRef),
    /// A staged file is not there.
    #[error("the staged file {} is missing", Escaped::path(.0))]
    StagedMissing(PathBuf),
    /// A staged file has another length than was said.
    #[error("the staged file {} has {found} bytes instead of {expected}", Escaped::path(path))]
    StagedSize {
        /// The file.
        path: PathBuf,
        /// Bytes that were announced.
        expected: u64,
        /// Bytes that are there.
        found: u64,
    },
    /// A lease of another store.
    #[error("the lease {0} is not one of this store")]
    ForeignLease(String),
    /// Not a name for a root.
    #[error("{0:?} cannot be the name of a root: words of printable characters with slashes between them")]
    RootName(String),
}

impl StoreError {
    /// Says whether the index is lost or broken, so that only `store rebuild` helps.
    #[must_use]
    pub fn is_index_lost(&self) -> bool {
        match self {
            Self::IndexLost { .. } => true,
            // A row that makes no sense is set right where it is.
            Self::Index(error) => error.is_corrupt() && !matches!(error, IndexError::Malformed(_)),
            _ => false,
        }
    }

    /// Says whether rows of the index, or the file that they lie in, are the reason.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Index(error) if error.is_damage())
    }

    /// Says whether the disk is full, so that collecting may help.
    #[must_use]
    pub fn is_full(&self) -> bool {
        match self {
            Self::File(error) => error.is_full(),
            Self::Index(error) => error.is_full(),
            _ => false,
        }
    }
}
