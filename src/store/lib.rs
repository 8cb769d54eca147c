//! The store: packages decoded once, layers packed once, kept until nobody wants them.
//!
//! ```text
//! STORE/                 0700; 2770 when shared with a group
//!   format.json          version and features; written last, so a store without it is no store
//!   index.db -wal -shm   what is known (`index`)
//!   packs/<64 hex>       layer blobs by SHA-256, 0444
//!   sources/<64 hex>     packages as they came, by SHA-256, 0444
//!   stage/<lease>/       files in the making
//!   leases/<lease>.lock  held by who works here
//!   quarantine/          bytes that were found bad
//!   roots.journal        a line for each change of a root (`journal`)
//!   index.db.rebuild     an index in the making (`rebuild`)
//!   reserve              room that the collector may take when the disk is full
//! ```
//!
//! What it promises, whatever is killed or switched off at any instruction:
//! - what a reader can open is whole, and what it cannot open is a miss, never half of something;
//! - what a root, a lease or a young object can reach is not collected;
//! - any number of processes and threads use it at once.
//!
//! **The one lock rule**: every rename into or out of, and every unlink from `packs/` and `sources/`
//! happens while SQLite's write lock is held. So a row and its file change together for whoever
//! holds that lock, and all others follow rows only.
//!
//! A hit takes no lease, and writes once a day that its root was used. This is the only module that knows both files and rows.

#![forbid(unsafe_code)]

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::index::{Directory, Index, LeaseName};
use dlstore_formats::layer::PackInfo;
use dlstore_fsx::file::Stamp;
use dlstore_model::digest::{ActionKey, Digest, OciDigest};
use dlstore_model::generation;
use dlstore_model::tree::Tree;

mod again;
mod believe;
mod collect;
mod damage;
mod diagnose;
mod draft;
mod error;
mod examine;
mod finding;
mod gc;
pub mod index;
mod info;
mod init;
mod journal;
mod layout;
mod lease;
mod leftover;
mod needed;
mod open;
mod place;
mod publish;
mod read;
mod read_only;
mod rebuild;
mod repair;
mod reserve;
mod root_name;
mod roots;
pub mod session;
mod spare;
mod strange;
mod tree_row;
mod turns;
mod verify;
mod waiting;
mod whole;

pub use crate::index::{FactRef, Kind, Named, ObjectRef, PackageRecord, RootRow};
pub use believe::StoredFile;
pub use collect::GcReport;
pub use error::StoreError;
pub use finding::{Finding, FindingKind, Note, NoteKind, Stays};
pub use gc::{Doomed, DroppedRoot, GcOptions, GcPlan, Leftover, Orphan, SourcePolicy};
pub use info::StoreInfo;
pub use init::Initialized;
pub use journal::{Journal, Kept, KeptPackage};
pub use lease::Lease;
pub use open::{Access, Network, OpenOptions, Sharing, Warning, default_root};
pub use read::{Candidate, Listing};
pub use rebuild::{Adopted, Rebuild};
pub use repair::{Healing, Unhealed};
pub use verify::{
    Depth, FactsOf, NamedBy, PackCheck, Part, Reading, Stated, StatedBy, Step, VerifyOptions, VerifyReport,
};

use layout::Layout;

/// An open store. Clones share it; threads use it at once.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    layout: Layout,
    index: Index,
    sharing: Sharing,
    warnings: Vec<Warning>,
    /// Why this process may only read.
    read_only: Option<ReadOnly>,
    /// Whether changes of roots are written down: not while the index is made anew.
    has_journal: bool,
    /// The tail of the journal, when it was looked at.
    tail: Mutex<Option<journal::Tail>>,
    /// How long the journal was when the index was copied, where it had to be.
    journal_when_copied: Option<u64>,
    /// Shared with all who have the store open, so that the index is made anew by who has it alone.
    held: std::fs::File,
    /// Files that this process hashed and found right, with the stamp that they had.
    hashed: Mutex<HashMap<(Directory, OciDigest), Stamp>>,
    /// Names of the leases that this process holds.
    own_leases: Arc<Mutex<HashSet<LeaseName>>>,
    /// The copy of an index that cannot be opened where it lies. Goes after the index.
    copy: Option<read_only::Copy>,
}

/// Why a store may only be read.
enum ReadOnly {
    /// A newer program wrote features with which this one can read only.
    Features(String),
    /// Its file system is mounted read-only.
    FileSystem,
    /// This user may not write to its directory.
    User,
}

/// A pack to publish: its bytes lie in a staged file, complete.
pub struct NewPack {
    /// Its key: layer trees, tar rule and codec.
    pub key: ActionKey,
    /// The layer trees that it was made of.
    pub parts: Vec<Digest>,
    /// What is known of it.
    pub info: PackInfo,
    /// Where its bytes lie, below the lease's stage.
    pub staged: PathBuf,
}

/// A source to publish: its bytes lie in a staged file, complete.
pub struct NewSource {
    /// Its name, computed while it was staged.
    pub sha256: OciDigest,
    /// Its length in bytes.
    pub size: u64,
    /// Where its bytes lie, below the lease's stage.
    pub staged: PathBuf,
}

/// A tree to publish.
pub struct NewTree {
    /// Its name.
    pub digest: Digest,
    /// Its canonical encoding, compressed.
    pub row: Arc<index::TreeRow>,
}

impl NewTree {
    /// Takes a tree's encoding, compressed at once: that of a large tree would otherwise wait in
    /// memory for the others of its batch.
    ///
    /// # Panics
    /// Never: compressing from memory into memory does not fail.
    #[must_use]
    pub fn new(tree: &Tree) -> Self {
        let (digest, row) = tree_row::pack(tree).expect("compressing from memory into memory does not fail");
        Self { digest, row: Arc::new(row) }
    }
}

/// A fact to publish.
pub struct NewFact {
    /// Its name.
    pub digest: Digest,
    /// Its bytes.
    pub data: Arc<Vec<u8>>,
}

/// A package to publish. Its tree and all its facts are live or in the same batch.
pub struct NewPackage {
    /// What is known of it.
    pub record: PackageRecord,
    /// Names of the libraries that it has, for hints.
    pub sonames: Vec<Vec<u8>>,
}

/// An outcome to remember.
pub struct NewAction {
    /// What was done, to what.
    pub key: ActionKey,
    /// The kind of work, for listings.
    pub kind: String,
    /// What came out.
    pub value: Vec<u8>,
    /// What the value names and what must live as long as it.
    pub refs: Vec<ObjectRef>,
}

/// A small blob to publish: configs, manifests, indexes.
pub struct NewBlob {
    /// Its name.
    pub digest: OciDigest,
    /// Its media type.
    pub media_type: String,
    /// Its bytes.
    pub data: Vec<u8>,
}

/// Everything that one publication adds, content before what refers to it. All or nothing.
#[derive(Default)]
pub struct Batch {
    /// Sources to keep; none when sources are not kept.
    pub sources: Vec<NewSource>,
    /// Trees of packages and layer trees.
    pub trees: Vec<NewTree>,
    /// Facts of packages.
    pub facts: Vec<NewFact>,
    /// Packages; each refers to its tree and facts, and to its source if that is live or in the batch.
    pub packages: Vec<NewPackage>,
    /// Packs.
    pub packs: Vec<NewPack>,
    /// Small blobs.
    pub blobs: Vec<NewBlob>,
    /// Outcomes.
    pub actions: Vec<NewAction>,
    /// Roots to set: name -> what it keeps.
    pub roots: Vec<(String, Vec<ObjectRef>)>,
}

impl Store {
    /// Opens a store of this user's own on a local file system.
    ///
    /// # Errors
    /// When it is not there (or cannot be made), not a store, not ours, or of a newer format.
    pub fn open(root: &Path, access: Access) -> Result<Self, StoreError> {
        Self::open_with(root, OpenOptions::new(access))
    }

    /// Gives the directory that the store lies in.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.0.layout.root
    }

    /// Says whether this process may write to this store at all.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.0.check_writable().is_ok()
    }

    /// Gives what is worth telling the user about the place of this store.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.0.warnings
    }
}

impl Inner {
    fn check_writable(&self) -> Result<(), StoreError> {
        match &self.read_only {
            None => Ok(()),
            Some(ReadOnly::Features(features)) => {
                Err(StoreError::ReadOnly { root: self.layout.root.clone(), features: features.clone() })
            }
            Some(ReadOnly::FileSystem) => Err(StoreError::ReadOnlyPlace(self.layout.root.clone())),
            Some(ReadOnly::User) => Err(StoreError::ReadOnlyUser(self.layout.root.clone())),
        }
    }
}

/// Gives the version of the decoder whose records count.
///
/// That of this program, unless a test runs it as one of another day (`dlstore_fsx::stop`).
#[must_use]
pub fn decoder() -> u32 {
    dlstore_fsx::stop::number("DLSTORE_TEST_DECODER").unwrap_or(generation::DECODER)
}

/// Gives the name of what makes things here, as `origin` has it.
fn generator() -> String {
    format!("dlstore {}", generation::GENERATOR)
}

/// Says what time it is, in seconds since 1970.
fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
