//! What the index's errors mean: SQLite's codes become kinds here and nowhere else.
//!
//! A row that this program never writes is damage, as a page is that SQLite cannot read.

use rusqlite::Error::SqlInputError;
use rusqlite::ErrorCode;

use super::IndexError;
use dlstore_model::diagnose::{Diagnose, Kind};

impl Diagnose for IndexError {
    fn kind(&self) -> Kind {
        match self {
            error if error.is_full() => Kind::StoreFull,
            // All SQL is ours: what it does not fit is a schema that is not whole.
            Self::Malformed(_) | Self::Sqlite { source: SqlInputError { .. }, .. } => Kind::Damaged,
            Self::Sqlite { source, .. } => match source.sqlite_error_code() {
                Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Kind::Busy,
                Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Kind::Damaged,
                _ => Kind::Environment,
            },
            Self::ReadOnly => Kind::Internal,
            Self::PathTooLong { .. }
            | Self::Newer { .. }
            | Self::Older { .. }
            | Self::Foreign(_)
            | Self::NoFile(_)
            | Self::NoWriteAheadLog(_) => Kind::Environment,
        }
    }
}

impl IndexError {
    /// Says whether the system refused to read or write: SQLite does not say why.
    pub(crate) fn is_refused(&self) -> bool {
        matches!(self, Self::Sqlite { source, .. } if source.sqlite_error_code() == Some(ErrorCode::SystemIoFailure))
    }
}
