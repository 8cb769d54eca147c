//! Numbers of objects: given in order, never twice, and never near the last one there is.
//!
//! SQLite keeps the last number that it gave in a table of its own. When that, or the number of a row, is the largest
//! of all, it gives none any more and says that the disk is full. No store gets there by giving numbers; a damaged row
//! does. Then the numbers are given anew, behind the last one that makes sense.

use super::audit::{CONTENT, REFERENCES};
use super::{IndexError, Reader, Writer, failed};

/// The last number that counts: a quarter of all, and more than anybody can give.
const LAST: i64 = 1 << 62;

impl Reader<'_> {
    /// Says whether an object has a number that no object can have, or SQLite's note of the last one is wrong.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn has_strange_numbers(&self) -> Result<bool, IndexError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM object WHERE id < 1) OR EXISTS (SELECT 1 FROM object WHERE id > ?1)
            OR EXISTS (SELECT 1 FROM sqlite_sequence WHERE name IS NOT 'object' OR typeof(seq) <> 'integer'
                OR seq > ?1 OR seq < (SELECT max(id) FROM object))
            OR (SELECT count(*) FROM sqlite_sequence) <> 1 AND EXISTS (SELECT 1 FROM object)";
        self.0.query_row(sql, [LAST], |row| row.get(0)).map_err(failed("look at the numbers of objects"))
    }
}

impl Writer<'_> {
    /// Gives objects with strange numbers new ones, wherever rows name them, and sets the note of the last one right.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn number_anew(&self) -> Result<(), IndexError> {
        let write = failed("number the objects anew");
        let connection = self.0.0;
        let sql = "SELECT max(coalesce((SELECT max(id) FROM object WHERE id BETWEEN 1 AND ?1), 0),
            coalesce((SELECT max(seq) FROM sqlite_sequence WHERE typeof(seq) = 'integer' AND seq BETWEEN 1 AND ?1), 0))";
        let mut last: i64 = connection.query_row(sql, [LAST], |row| row.get(0)).map_err(&write)?;
        let mut query =
            connection.prepare("SELECT id FROM object WHERE id < 1 OR id > ?1 ORDER BY id").map_err(&write)?;
        let strange: Vec<i64> =
            query.query_map([LAST], |row| row.get(0)).map_err(&write)?.collect::<Result<_, _>>().map_err(&write)?;
        // What names them is changed one table after the other: only the commit asks whether all fits together.
        connection.execute_batch("PRAGMA defer_foreign_keys = ON").map_err(&write)?;
        for old in strange {
            // Below the largest number: no store has so many rows.
            last = last.saturating_add(1);
            connection.execute("UPDATE object SET id = ?2 WHERE id = ?1", [old, last]).map_err(&write)?;
            let own = CONTENT.iter().map(|(table, column, _)| (*table, *column));
            let named = REFERENCES.iter().filter(|(_, _, parent)| *parent == "object");
            for (table, column) in own.chain(named.map(|(table, column, _)| (*table, *column))) {
                let sql = format!("UPDATE {table} SET {column} = ?2 WHERE {column} = ?1");
                connection.execute(&sql, [old, last]).map_err(&write)?;
            }
        }
        connection.execute("DELETE FROM sqlite_sequence", []).map_err(&write)?;
        let note = "INSERT INTO sqlite_sequence(name, seq) VALUES ('object', ?1)";
        connection.execute(note, [last]).map(|_| ()).map_err(&write)
    }
}
