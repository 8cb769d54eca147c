//! What the store's errors mean to whoever works with it: again, heal first, or make room.
//!
//! A file of the store that is missing is gone, as a row is: the store looks at no other files.

use crate::StoreError;
use crate::index::IndexError;
use dlstore_model::diagnose::{Diagnose, Hint, Kind};
use dlstore_model::escape::Escaped;

/// What helps where rows of the index are damaged.
const MEND: &str = "dlstore store verify --repair, or dlstore store rebuild where that does not help";

impl Diagnose for StoreError {
    fn kind(&self) -> Kind {
        match self {
            Self::File(error) if error.is_missing() => Kind::Gone,
            Self::File(error) => error.kind().of_the_store(),
            Self::Index(error) => error.kind(),
            Self::Gone(_) => Kind::Gone,
            // That disk is not the store's.
            Self::TemporaryFull { .. } => Kind::Full,
            Self::Format { .. } | Self::Damaged(_) | Self::DamagedName { .. } | Self::Behind { .. } => Kind::Damaged,
            Self::Forgotten { .. }
            | Self::Absent(_)
            | Self::Occupied { .. }
            | Self::Owner(_)
            | Self::OneUser(_)
            | Self::Exposed(_)
            | Self::Network { .. }
            | Self::Newer { .. }
            | Self::Older { .. }
            | Self::Features { .. }
            | Self::IndexLost { .. }
            | Self::Private(_)
            | Self::Temporary { .. }
            | Self::ReadOnly { .. }
            | Self::ReadOnlyPlace(_)
            | Self::ReadOnlyUser(_) => Kind::Environment,
            Self::Rebuilding(_) | Self::InUse(_) => Kind::Busy,
            Self::WrongDigest(_) | Self::StagedMissing(_) | Self::StagedSize { .. } | Self::ForeignLease(_) => {
                Kind::Internal
            }
            Self::RootName(_) => Kind::Input,
        }
    }

    fn hint(&self) -> Option<Hint> {
        match self {
            Self::Owner(_) => Some(Hint::new(
                "--trust-owner, or DLSTORE_TRUST_OWNER=1, if its owner and the members of its group are trusted",
            )),
            Self::OneUser(root) => Some(Hint::new(format!(
                "run the command as its owner, or make the store yours: chown -R \"$(id -u)\" {}",
                Escaped::path(root)
            ))),
            Self::Absent(_) => Some(Hint::new("dlstore add PATH makes one, and adds packages to it")),
            Self::Network { .. } => {
                Some(Hint::new("dlstore store init --network-file-system, if only this host uses it"))
            }
            Self::Temporary { .. } | Self::TemporaryFull { .. } => {
                Some(Hint::new("set TMPDIR to a directory that this user may write to, with room for the index"))
            }
            Self::DamagedName { .. } => Some(Hint::new("dlstore store verify --repair")),
            Self::Forgotten { root, .. } => Some(Hint::new(format!(
                "add the package again with dlstore add, or do without it: dlstore store roots remove {}",
                Escaped::text(root)
            ))),
            Self::Behind { .. } => {
                Some(Hint::new("dlstore store verify --repair, by a user who may write to the store"))
            }
            Self::Format { path, .. } => Some(Hint::new(format!(
                "remove {}, and run the command again: it is written anew",
                Escaped::path(path)
            ))),
            Self::Index(IndexError::Malformed(_)) => Some(Hint::new(MEND)),
            Self::File(error) => error.hint(),
            Self::Index(error) if error.is_refused() && dlstore_fsx::process::limits_files() => {
                Some(Hint::file_limit())
            }
            error if error.is_index_lost() => Some(Hint::new("dlstore store rebuild")),
            // A row that cannot be read, or that lets no other be written.
            Self::Index(error) if error.is_damage() && !error.is_refused() => Some(Hint::new(MEND)),
            _ => None,
        }
    }
}
