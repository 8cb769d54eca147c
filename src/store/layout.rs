//! Where things lie in a store's directory.
//!
//! The picture is in `store-schema/README.md`. Names are made here and nowhere else, and a directory that
//! holds other names is not taken for a store.

use std::path::{Path, PathBuf};

use crate::index::{Directory, LeaseName};
use dlstore_model::digest::OciDigest;

/// The paths of one store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) root: PathBuf,
    /// The name of the index: another one while it is made anew.
    index: &'static str,
}

/// The directories that every store has.
pub(super) const DIRECTORIES: [&str; 5] = ["packs", "sources", "stage", "leases", "quarantine"];

/// All other names that a store's directory may hold.
pub(super) const FILES: [&str; 14] = [
    "format.json",
    "format.json.new",
    "index.db",
    "index.db-wal",
    "index.db-shm",
    "index.db-journal",
    "index.db.rebuild",
    "index.db.rebuild-wal",
    "index.db.rebuild-shm",
    "index.db.rebuild-journal",
    "reserve",
    "roots.journal",
    "roots.journal.compact",
    "roots.journal.new",
];

/// What SQLite puts behind the name of a database for the files beside it.
pub(super) const BESIDE: [&str; 3] = ["-wal", "-shm", "-journal"];

impl Layout {
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.to_path_buf(), index: "index.db" }
    }

    /// The same store with the index that is in the making.
    pub(super) fn rebuilding(root: &Path) -> Self {
        Self { root: root.to_path_buf(), index: "index.db.rebuild" }
    }

    pub(super) fn format(&self) -> PathBuf {
        self.root.join("format.json")
    }

    pub(super) fn index(&self) -> PathBuf {
        self.root.join(self.index)
    }

    /// A file that SQLite keeps beside the index.
    pub(super) fn beside_index(&self, ending: &str) -> PathBuf {
        self.root.join(format!("{}{ending}", self.index))
    }

    pub(super) fn directory(&self, directory: Directory) -> PathBuf {
        self.root.join(directory_name(directory))
    }

    pub(super) fn file(&self, directory: Directory, sha256: &OciDigest) -> PathBuf {
        let mut path = self.directory(directory);
        path.push(sha256.to_hex());
        path
    }

    pub(super) fn stages(&self) -> PathBuf {
        self.root.join("stage")
    }

    pub(super) fn stage(&self, lease: LeaseName) -> PathBuf {
        self.stages().join(lease.to_string())
    }

    pub(super) fn leases(&self) -> PathBuf {
        self.root.join("leases")
    }

    pub(super) fn lock(&self, lease: LeaseName) -> PathBuf {
        self.leases().join(format!("{lease}.lock"))
    }

    pub(super) fn quarantine(&self) -> PathBuf {
        self.root.join("quarantine")
    }

    pub(super) fn reserve(&self) -> PathBuf {
        self.root.join("reserve")
    }

    pub(super) fn journal(&self) -> PathBuf {
        self.root.join("roots.journal")
    }

    /// A journal that a collector writes while others work.
    pub(super) fn compacted_journal(&self) -> PathBuf {
        self.root.join("roots.journal.compact")
    }

    /// A journal that is written under the write lock, because there is none.
    pub(super) fn new_journal(&self) -> PathBuf {
        self.root.join("roots.journal.new")
    }
}

pub(super) const fn directory_name(directory: Directory) -> &'static str {
    match directory {
        Directory::Packs => "packs",
        Directory::Sources => "sources",
    }
}

/// Reads a lease's name out of the name of its lock file; `None` when it is no lock file's.
pub(super) fn lease_of_lock(name: &Path) -> Option<LeaseName> {
    LeaseName::parse(name.to_str()?.strip_suffix(".lock")?)
}

/// Reads a lease's name out of the name of its stage; `None` when it is no stage's.
pub(super) fn lease_of_stage(name: &Path) -> Option<LeaseName> {
    LeaseName::parse(name.to_str()?)
}
