//! Rows of content whose object is gone: trees, facts and packages that still say what they are.
//!
//! The name of a tree or a fact is the hash of its bytes, and a package's row has all that its key is made of and a
//! checksum over it. So the object can be said again, under the number that edges and roots know it by. Layers, outcomes
//! and documents do not say their keys; composing makes them again.

use rusqlite::params;

use super::content::TreeRow;
use super::package::{self, PackageRecord};
use super::{IndexError, ObjectRef, Reader, Writer, failed};

/// Content without an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stray {
    /// The row of a tree.
    Tree(TreeRow),
    /// The bytes of a fact.
    Fact(Vec<u8>),
    /// The row of a package, which fits its checksum.
    Package(Box<PackageRecord>),
}

const TREES: &str =
    "SELECT object, raw_size, data FROM tree WHERE object NOT IN (SELECT id FROM object) ORDER BY object";
const FACTS: &str = "SELECT object, data FROM fact WHERE object NOT IN (SELECT id FROM object) ORDER BY object";
/// The columns behind the number are those that [`package::proven`] reads.
const PACKAGES: &str =
    "SELECT object, source, source_size, decoder, given, tree, facts, format, name, version, architecture,
    entries, content_size, date, checksum
    FROM package WHERE object NOT IN (SELECT id FROM object) ORDER BY object";

impl Reader<'_> {
    /// Gives content whose object is gone, one by one, with its number; a row that cannot be read is left out.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn strays(&self) -> Result<Vec<(i64, Stray)>, IndexError> {
        let read = failed("look for content without an object");
        let mut strays = Vec::new();
        let mut query = self.0.prepare(TREES).map_err(&read)?;
        let trees = query.query_map([], |row| {
            let row_of = |row: &rusqlite::Row<'_>| {
                Some(TreeRow { raw_size: u64::try_from(row.get::<_, i64>(1).ok()?).ok()?, data: row.get(2).ok()? })
            };
            Ok((row.get(0)?, row_of(row).map(Stray::Tree)))
        });
        strays.extend(trees.map_err(&read)?.collect::<Result<Vec<_>, _>>().map_err(&read)?);
        let mut query = self.0.prepare(FACTS).map_err(&read)?;
        let facts = query.query_map([], |row| Ok((row.get(0)?, row.get(1).ok().map(Stray::Fact))));
        strays.extend(facts.map_err(&read)?.collect::<Result<Vec<_>, _>>().map_err(&read)?);
        let mut query = self.0.prepare(PACKAGES).map_err(&read)?;
        let packages = query.query_map([], |row| {
            Ok((row.get(0)?, package::proven(row).map(|record| Stray::Package(Box::new(record)))))
        });
        strays.extend(packages.map_err(&read)?.collect::<Result<Vec<_>, _>>().map_err(&read)?);
        Ok(strays.into_iter().filter_map(|(id, stray)| Some((id, stray?))).collect())
    }
}

impl Writer<'_> {
    /// Says an object again under the number that it had; `false` when another object has its name.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn name_again(
        &self,
        id: i64,
        object: &ObjectRef,
        size: u64,
        origin: i64,
        now: u64,
    ) -> Result<bool, IndexError> {
        let sql = "INSERT OR IGNORE INTO object(id, kind, key, state, place, born, size, origin, file)
            VALUES (?1, ?2, ?3, 1, 1, ?4, ?5, ?6, NULL)";
        let values = params![id, object.kind() as i64, object.key(), now.cast_signed(), size.cast_signed(), origin];
        self.0.0.execute(sql, values).map(|rows| rows == 1).map_err(failed("record an object"))
    }
}
