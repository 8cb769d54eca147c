//! Questions about the index as a whole: is it sound, and does it refer to what is there.
//!
//! Only SQL is asked here; whether files are as their rows say is the store's question. What is found is
//! a suspicion until it was seen again under the write lock.

use std::collections::BTreeSet;

use rusqlite::Connection;

use super::migrate::{MIGRATIONS, migrate};
use super::{IndexError, ObjectRef, Reader, failed};

/// A reference to something that is not live.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dangling {
    /// A live object refers to it.
    Edge {
        /// What refers.
        from: ObjectRef,
        /// What is not live.
        to: ObjectRef,
    },
    /// A root keeps it.
    Root {
        /// The name of the root.
        name: String,
        /// What is not live.
        to: ObjectRef,
    },
    /// A row names a row that is not there.
    Row {
        /// The table of the row that names.
        table: String,
        /// The table of the row that is not there.
        parent: String,
    },
}

/// A table, an index or a trigger, as `sqlite_schema` has it.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Definition {
    name: String,
    kind: String,
    table: String,
    sql: Option<String>,
}

fn definitions(connection: &Connection) -> Result<BTreeSet<Definition>, IndexError> {
    let read = failed("check itself");
    let sql = "SELECT name, type, tbl_name, sql FROM sqlite_schema";
    let mut query = connection.prepare(sql).map_err(&read)?;
    let rows = query.query_map([], |row| {
        Ok(Definition { name: row.get(0)?, kind: row.get(1)?, table: row.get(2)?, sql: row.get(3)? })
    });
    rows.map_err(&read)?.collect::<Result<_, _>>().map_err(&read)
}

impl Reader<'_> {
    /// Lets SQLite check its own structure; empty when it is sound.
    ///
    /// # Errors
    /// When the check cannot run.
    pub fn quick_check(&self) -> Result<Vec<String>, IndexError> {
        let read = failed("check itself");
        let mut query = self.0.prepare("PRAGMA quick_check(20)").map_err(&read)?;
        let rows = query.query_map([], |row| row.get::<_, String>(0)).map_err(&read)?;
        let mut found: Vec<String> = rows.collect::<Result<_, _>>().map_err(&read)?;
        found.retain(|line| line != "ok");
        Ok(found)
    }

    /// Lists the tables, indexes and triggers that are not as this format has them. SQLite only asks that their
    /// definitions can be read, and a trigger that names a column which is not there fails when it fires.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn strange_definitions(&self) -> Result<Vec<String>, IndexError> {
        let mut model = Connection::open_in_memory().map_err(failed("check itself"))?;
        migrate(&mut model, MIGRATIONS, || ())?;
        let (found, right) = (definitions(self.0)?, definitions(&model)?);
        let mut strange: Vec<String> = found.symmetric_difference(&right).map(|one| one.name.clone()).collect();
        strange.dedup();
        Ok(strange.into_iter().map(|name| format!("the definition of {name:?} is another one")).collect())
    }

    /// Says whether packages and sources do not fit together: a source without a package, a row of a package whose
    /// object is none, an object of a package that is damaged or has no row.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn has_packages_astray(&self) -> Result<bool, IndexError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM object WHERE kind = 1 AND state <> 2 AND key NOT IN
                (SELECT source FROM package JOIN object ON id = object WHERE kind = 3 AND state = 1))
            OR EXISTS (SELECT 1 FROM package WHERE object NOT IN
                (SELECT id FROM object WHERE kind = 3 AND state IN (1, 2)))
            OR EXISTS (SELECT 1 FROM object WHERE kind = 3 AND state NOT IN (1, 2))
            OR EXISTS (SELECT 1 FROM object WHERE kind = 3 AND state = 1 AND id NOT IN (SELECT object FROM package))";
        self.0.query_row(sql, [], |row| row.get(0)).map_err(failed("look for packages that are not found"))
    }

    /// Lists what refers to something that is not live, sorted.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn dangling(&self) -> Result<Vec<Dangling>, IndexError> {
        let read = failed("check what refers to what");
        let mut found = Vec::new();
        let mut query = self.0.prepare("PRAGMA foreign_key_check").map_err(&read)?;
        let mut rows = query.query([]).map_err(&read)?;
        while let Some(row) = rows.next().map_err(&read)? {
            found.push(Dangling::Row { table: row.get(0).map_err(&read)?, parent: row.get(2).map_err(&read)? });
        }
        let sql =
            "SELECT s.kind, s.key, d.kind, d.key FROM object d JOIN edge ON dst = d.id JOIN object s ON s.id = src
            WHERE d.state = 2 AND s.state <> 2";
        let mut query = self.0.prepare(sql).map_err(&read)?;
        let mut rows = query.query([]).map_err(&read)?;
        while let Some(row) = rows.next().map_err(&read)? {
            let object = |at: usize| -> Result<ObjectRef, IndexError> {
                ObjectRef::from_row(row.get(at).map_err(&read)?, row.get(at + 1).map_err(&read)?)
            };
            found.push(Dangling::Edge { from: object(0)?, to: object(2)? });
        }
        let sql = "SELECT name, kind, key FROM object JOIN root_target ON object = object.id
            JOIN root ON root.id = root_target.root WHERE state = 2";
        let mut query = self.0.prepare(sql).map_err(&read)?;
        let mut rows = query.query([]).map_err(&read)?;
        while let Some(row) = rows.next().map_err(&read)? {
            let to = ObjectRef::from_row(row.get(1).map_err(&read)?, row.get(2).map_err(&read)?)?;
            found.push(Dangling::Root { name: row.get(0).map_err(&read)?, to });
        }
        found.sort();
        found.dedup();
        Ok(found)
    }
}
