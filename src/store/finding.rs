//! The names of damage and of leftovers. They are stable: scripts and JSON use them.
//!
//! A finding is damage that was seen twice, the second time under the write lock. A note is what a killed
//! process leaves behind: nothing is wrong, and the collector sweeps it.

use std::collections::BTreeSet;

use super::ObjectRef;
use super::StoreError;
use crate::index::IndexError;
use dlstore_model::digest::OciDigest;

/// The kinds of damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FindingKind {
    /// SQLite's own structure is broken.
    IndexDamaged,
    /// A row names a row that is not there.
    RowDangling,
    /// A live object refers to a dead one.
    EdgeDangling,
    /// An object does not refer to what its row names, so that a collection could take it.
    EdgeMissing,
    /// A row does not fit its checksum, or is not there.
    RowDamaged,
    /// The list of the packages of a name is not whole.
    NameDamaged,
    /// A root keeps a dead object.
    RootDangling,
    /// What a package's row says is not what its facts and its tree say.
    PackageMismatch,
    /// The libraries that hints know of a package are not those that it has.
    SonameDamaged,
    /// A directory, a pipe, a link where a file of the store belongs, or something else where a directory does.
    NotAFile,
    /// Something among the locks and the stages of leases has a name that no lease can have.
    StrangeName,
    /// A file or a row of content is not there.
    ObjectMissing,
    /// A file has another length.
    ObjectSizeMismatch,
    /// Bytes do not hash to their name or checksum.
    ObjectDigestMismatch,
    /// A tree cannot be decompressed or decoded.
    TreeMalformed,
    /// What is known of a pack cannot be decoded, or speaks of another blob.
    PackMalformed,
    /// A pack lies under another key than that of its layer trees and codec.
    PackKeyMismatch,
    /// A pack does not hold its layer trees.
    PackTreeMismatch,
    /// What is remembered cannot be decoded.
    ActionMalformed,
    /// It was found damaged before and nobody healed it.
    ObjectDamaged,
    /// Totals that are kept are not what the rows add up to; a collection sets them right.
    CountersWrong,
    /// A collection could not remove it.
    NotRemoved,
}

impl FindingKind {
    /// Gives the stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::IndexDamaged => "index-damaged",
            Self::RowDangling => "row-dangling",
            Self::EdgeDangling => "edge-dangling",
            Self::EdgeMissing => "edge-missing",
            Self::RowDamaged => "row-damaged",
            Self::NameDamaged => "name-damaged",
            Self::RootDangling => "root-dangling",
            Self::PackageMismatch => "package-mismatch",
            Self::SonameDamaged => "soname-damaged",
            Self::NotAFile => "not-a-file",
            Self::StrangeName => "strange-name",
            Self::ObjectMissing => "object-missing",
            Self::ObjectSizeMismatch => "object-size-mismatch",
            Self::ObjectDigestMismatch => "object-digest-mismatch",
            Self::TreeMalformed => "tree-malformed",
            Self::PackMalformed => "pack-malformed",
            Self::PackKeyMismatch => "pack-key-mismatch",
            Self::PackTreeMismatch => "pack-tree-mismatch",
            Self::ActionMalformed => "action-malformed",
            Self::ObjectDamaged => "object-damaged",
            Self::CountersWrong => "counters-wrong",
            Self::NotRemoved => "not-removed",
        }
    }
}

/// One damage.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// Of which kind.
    pub kind: FindingKind,
    /// To what; `None` when it is the index itself.
    pub object: Option<ObjectRef>,
    /// More, for people: which file, which fact, which root.
    pub detail: String,
}

/// Sources that stay although somebody asked to let go of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stays {
    /// Those that something cannot be restored without.
    pub findings: Vec<Finding>,
    /// Those of packages of which no layer is here, or that have to be read again.
    pub unused: BTreeSet<OciDigest>,
}

impl Finding {
    /// Says that something of the index could not be read or written, because it is damaged.
    pub(super) fn of_index(error: &IndexError, object: Option<ObjectRef>) -> Self {
        let (kind, detail) = match error {
            IndexError::Sqlite { source, .. } => (FindingKind::IndexDamaged, format!("{error}: {source}")),
            // A row that can be read and says what nobody knows: the row itself is found as well.
            error => (FindingKind::RowDamaged, error.to_string()),
        };
        Self { kind, object, detail }
    }
}

/// The kinds of leftovers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NoteKind {
    /// A file in `packs/` or `sources/` without a row.
    OrphanFile,
    /// A name in `packs/` or `sources/` that no store makes.
    UnknownFile,
    /// Rows of dead objects.
    DeadObjects,
    /// A row of a file that no object lies in.
    UnusedFile,
    /// A lease whose owner is dead, or its stage.
    StaleLease,
    /// The roots' journal is missing, or says other things than the index, or one was not finished.
    RootsJournal,
    /// Bad bytes that were kept.
    Quarantined,
}

impl NoteKind {
    /// Gives the stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::OrphanFile => "orphan-file",
            Self::UnknownFile => "unknown-file",
            Self::DeadObjects => "dead-objects",
            Self::UnusedFile => "unused-file",
            Self::StaleLease => "stale-lease",
            Self::RootsJournal => "roots-journal",
            Self::Quarantined => "quarantined-file",
        }
    }
}

/// One leftover.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Note {
    /// Of which kind.
    pub kind: NoteKind,
    /// Which, for people.
    pub detail: String,
}

/// Turns an error of SQLite into the finding that it is.
pub(super) fn as_finding(
    looked: Result<Vec<Finding>, StoreError>,
    object: Option<ObjectRef>,
) -> Result<Vec<Finding>, StoreError> {
    match looked {
        Err(StoreError::Index(error)) if error.is_damage() => Ok(vec![Finding::of_index(&error, object)]),
        outcome => outcome,
    }
}
