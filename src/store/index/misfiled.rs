//! Objects that have content of one kind, and say another kind or another state than live.
//!
//! The row of content leads to its object by number. When the object's own numbers are damaged, nothing finds the
//! content any more; these look from the other end.

use rusqlite::{ErrorCode, params};

use super::{IndexError, Kind, Reader, Writer, failed};

/// An object as its row has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfiled {
    /// Its row.
    pub id: i64,
    /// Its key.
    pub key: [u8; 32],
    kind: i64,
    state: i64,
}

impl Reader<'_> {
    /// Lists the objects that have content of a kind and say another kind or state; of those that are not live what something
    /// keeps. `kind` is one whose content proves itself.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn misfiled(&self, kind: Kind) -> Result<Vec<Misfiled>, IndexError> {
        let read = failed("look for objects that say another kind or state");
        let table = match kind {
            Kind::Tree => "tree",
            Kind::Fact => "fact",
            Kind::Pack => "pack",
            Kind::Action => "action",
            Kind::Blob => "blob",
            Kind::Source | Kind::Package => "package",
        };
        let sql = format!(
            "SELECT id, key, object.kind, state FROM {table} CROSS JOIN object ON id = {table}.object
            WHERE length(key) = 32 AND (state = 1 AND object.kind <> ?1
                OR state <> 1 AND (EXISTS (SELECT 1 FROM root_target WHERE root_target.object = object.id)
                    OR EXISTS (SELECT 1 FROM edge JOIN object AS above ON above.id = src WHERE dst = object.id AND above.state <> 2)))
            ORDER BY id"
        );
        let mut query = self.0.prepare(&sql).map_err(&read)?;
        let rows = query.query_map([kind as i64], |row| {
            Ok(Misfiled { id: row.get(0)?, key: row.get(1)?, kind: row.get(2)?, state: row.get(3)? })
        });
        rows.map_err(&read)?.collect::<Result<_, _>>().map_err(&read)
    }
}

impl Writer<'_> {
    /// Makes an object live and of a kind; `false` when another object has its key already.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn refile(&self, id: i64, kind: Kind) -> Result<bool, IndexError> {
        self.number_object(id, kind as i64, 1)
    }

    /// Gives an object the numbers that it had.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn put_back(&self, misfiled: &Misfiled) -> Result<(), IndexError> {
        self.number_object(misfiled.id, misfiled.kind, misfiled.state).map(|_| ())
    }

    fn number_object(&self, id: i64, kind: i64, state: i64) -> Result<bool, IndexError> {
        let write = failed("change the kind and state of an object");
        let sql = "UPDATE object SET kind = ?2, state = ?3 WHERE id = ?1";
        let mut update = self.0.0.prepare_cached(sql).map_err(&write)?;
        match update.execute(params![id, kind, state]) {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => Ok(false),
            outcome => outcome.map(|_| true).map_err(&write),
        }
    }
}
