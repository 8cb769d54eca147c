//! How the dead leave: one by one, each decided by what stands in the index at that moment.
//!
//! A plan may be old when it is carried out. So nothing of it is believed here: an object is buried when it is
//! still as it was planned, and no root, no lease and nothing that is not dead refers to it. That is asked of
//! indexes, so it takes the same time in a small store and in a large one. When what refers comes before what it
//! refers to, each row can be decided alone, and every commit in between leaves live objects that refer to live
//! objects only.

use std::collections::BTreeSet;

use rusqlite::{OptionalExtension as _, params};

use super::{FileRow, IndexError, Kind, PackageRow, Reader, Writer, failed};
use dlstore_model::digest::PackageKey;
use dlstore_model::format::Format;

/// Where a package stands in a list: the list's format and name, and the package.
pub type Listed = (Format, String, PackageKey);

/// What became of a dead object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// Its rows are gone, and nothing lies in this file any more.
    Gone(Option<FileRow>),
    /// It is no longer dead, or no longer there.
    Revived,
    /// Something refers to it all the same, which is damage: it stays.
    Claimed,
}

impl Reader<'_> {
    /// Finds the lists of names that hold one of these packages, by looking at every list: for packages whose
    /// rows no longer say what they are called.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn lists_with(&self, keys: &BTreeSet<PackageKey>) -> Result<Vec<Listed>, IndexError> {
        let mut found = Vec::new();
        if keys.is_empty() {
            return Ok(found);
        }
        let read = failed("search lists of names");
        let mut query =
            self.0.prepare("SELECT format, name, packages FROM name ORDER BY format, name").map_err(&read)?;
        let mut rows = query.query([]).map_err(&read)?;
        while let Some(row) = rows.next().map_err(&read)? {
            let text = |column| row.get_ref(column).map(|text| text.as_str().ok()).map_err(&read);
            // A list of no name that can be read is none of a package's.
            let Some((format, name)) = text(0)?.and_then(Format::from_name).zip(text(1)?) else { continue };
            let list: Vec<u8> = row.get(2).map_err(&read)?;
            for (key, _) in list.as_chunks::<64>().0.iter().filter_map(|pair| pair.split_first_chunk::<32>()) {
                let key = PackageKey::from_bytes(*key);
                if keys.contains(&key) {
                    found.push((format, name.to_owned(), key));
                }
            }
        }
        Ok(found)
    }

    /// Gives what a package is called, whatever its state; `None` when its row does not tell.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn name_of(&self, key: &PackageKey) -> Result<Option<(Format, String)>, IndexError> {
        Ok(match self.package_in_any_state(key)? {
            Some(PackageRow::Whole(record)) => Some((record.format, record.name)),
            _ => None,
        })
    }

    /// Lists up to `limit` dead objects behind a row.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn dead(&self, behind: i64, limit: u32) -> Result<Vec<i64>, IndexError> {
        let read = failed("list the dead");
        // The second condition is that of the index: SQLite does not see that the first implies it.
        let sql = "SELECT id FROM object WHERE state = 2 AND state <> 1 AND id > ?1 ORDER BY id LIMIT ?2";
        let mut select = self.0.prepare_cached(sql).map_err(&read)?;
        let rows = select.query_map([behind, i64::from(limit)], |row| row.get(0));
        rows.map_err(&read)?.collect::<Result<_, _>>().map_err(&read)
    }

    /// Says whether a root, a lease or an object that is not dead claims an object.
    fn is_claimed(&self, id: i64) -> Result<bool, IndexError> {
        let read = failed("ask who claims an object");
        for sql in [
            "SELECT 1 FROM root_target WHERE object = ?1",
            "SELECT 1 FROM held WHERE object = ?1",
            "SELECT 1 FROM edge JOIN object ON object.id = src WHERE dst = ?1 AND state IN (1, 3)",
        ] {
            if self.0.prepare_cached(sql).and_then(|mut query| query.exists([id])).map_err(&read)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Writer<'_> {
    /// Makes an object dead if it is not, was born when the plan says, and nothing claims it: nobody sees it any
    /// more, and it refers to nothing. Gives whether that happened.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn bury(&self, id: i64, born: u64) -> Result<bool, IndexError> {
        let write = failed("mark the dead");
        let connection = self.0.0;
        let sql = "SELECT 1 FROM object WHERE id = ?1 AND born = ?2 AND state IN (1, 3)";
        let is_as_planned =
            connection.prepare_cached(sql).and_then(|mut query| query.exists(params![id, born.cast_signed()]));
        if !is_as_planned.map_err(&write)? || self.is_claimed(id)? {
            return Ok(false);
        }
        // Whatever still refers to it is dead, and should refer to nothing.
        for sql in [
            "UPDATE object SET state = 2 WHERE id = ?1",
            "DELETE FROM edge WHERE src = ?1",
            "DELETE FROM edge WHERE dst = ?1",
        ] {
            connection.prepare_cached(sql).and_then(|mut change| change.execute([id])).map_err(&write)?;
        }
        Ok(true)
    }

    /// Lets packages forget a source, and roots too, unless a lease holds it.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn forget_source(&self, id: i64) -> Result<(), IndexError> {
        let write = failed("forget a source");
        let connection = self.0.0;
        let held = "SELECT 1 FROM held WHERE object = ?1";
        if connection.prepare_cached(held).and_then(|mut query| query.exists([id])).map_err(&write)? {
            return Ok(());
        }
        let sql = "DELETE FROM root_target WHERE object = ?1";
        connection.prepare_cached(sql).and_then(|mut change| change.execute([id])).map_err(&write)?;
        let sql = "DELETE FROM edge WHERE dst = ?1 AND src IN
            (SELECT object.id FROM edge JOIN object ON object.id = src WHERE dst = ?1 AND kind = ?2)";
        let mut change = connection.prepare_cached(sql).map_err(&write)?;
        change.execute([id, Kind::Package as i64]).map(|_| ()).map_err(&write)
    }

    /// Sets the birth of an object to now if it lies in the future; gives whether it did.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn clamp_birth(&self, id: i64, now: u64) -> Result<bool, IndexError> {
        let write = failed("set a birth right");
        let mut update =
            self.0.0.prepare_cached("UPDATE object SET born = ?2 WHERE id = ?1 AND born > ?2").map_err(&write)?;
        Ok(update.execute([id, now.cast_signed()]).map_err(&write)? > 0)
    }

    /// Removes the rows of an object if it is dead.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn remove_dead(&self, id: i64) -> Result<Removal, IndexError> {
        let write = failed("remove the dead");
        let sql = "SELECT file FROM object WHERE id = ?1 AND state = 2";
        let found =
            self.0.0.prepare_cached(sql).and_then(|mut query| query.query_row([id], |row| row.get(0)).optional());
        let Some(file): Option<Option<i64>> = found.map_err(&write)? else { return Ok(Removal::Revived) };
        let mut delete = self.0.0.prepare_cached("DELETE FROM object WHERE id = ?1").map_err(&write)?;
        match delete.execute([id]) {
            Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation) => {
                return Ok(Removal::Claimed);
            }
            outcome => outcome.map_err(&write)?,
        };
        Ok(Removal::Gone(match file {
            Some(file) if !self.is_used(file)? => self.file_by_id(file)?,
            _ => None,
        }))
    }

    /// Says whether any object, a dead one too, lies in a file.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn is_used(&self, file: i64) -> Result<bool, IndexError> {
        let used = self.0.0.prepare_cached("SELECT 1 FROM object WHERE file = ?1 LIMIT 1");
        used.and_then(|mut used| used.exists([file])).map_err(failed("ask for what lies in a file"))
    }

    /// Removes the row of a file that no object lies in.
    ///
    /// # Errors
    /// When the index cannot be written, or an object lies in it.
    pub fn remove_file_row(&self, id: i64) -> Result<(), IndexError> {
        let write = failed("remove the row of a file");
        let mut delete = self.0.0.prepare_cached("DELETE FROM file WHERE id = ?1").map_err(&write)?;
        delete.execute([id]).map(|_| ()).map_err(&write)
    }
}
