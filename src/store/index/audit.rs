//! The index read by who trusts nothing: row by row, whatever is in them.
//!
//! Ordinary reading may give up at a row that this program never writes; looking for damage may not. So every row of
//! interest is listed as it is, an error of SQLite in the middle of a table ends that table only, and what does not
//! belong together is named. The sweeps at the end remove rows that nobody can reach by an object: they are what
//! `store verify --repair` begins with.

use super::{IndexError, Kind, ObjectRef, Reader, State, Writer, failed};

/// What reading one table gave: its rows, and what SQLite said where it could not go on.
#[derive(Debug)]
pub struct Audit<T> {
    /// The rows that could be read.
    pub rows: Vec<T>,
    /// Why the table ended before its end.
    pub broken: Option<String>,
}

/// An object's row as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawObject {
    /// Its row.
    pub id: i64,
    /// What it is; `None` when kind or key are none that this program knows.
    pub object: Option<ObjectRef>,
    /// Its state; `None` when it is none that this program knows.
    pub state: Option<State>,
}

impl RawObject {
    /// Says whether its row holds what this program never writes.
    #[must_use]
    pub const fn is_unknown(&self) -> bool {
        self.object.is_none() || self.state.is_none()
    }
}

/// Tables whose rows belong to an object, with the kind that it must be of.
pub(super) const CONTENT: [(&str, &str, Kind); 7] = [
    ("tree", "object", Kind::Tree),
    ("fact", "object", Kind::Fact),
    ("package", "object", Kind::Package),
    ("soname", "package", Kind::Package),
    ("pack", "object", Kind::Pack),
    ("action", "object", Kind::Action),
    ("blob", "object", Kind::Blob),
];

/// Tables that refer to rows of others: table, column, table referred to.
pub(super) const REFERENCES: [(&str, &str, &str); 7] = [
    ("edge", "src", "object"),
    ("edge", "dst", "object"),
    ("root_target", "root", "root"),
    ("root_target", "object", "object"),
    ("held", "lease", "lease"),
    ("held", "object", "object"),
    ("object", "file", "file"),
];

/// Says why reading ended, with SQLite's own words.
fn said(error: &rusqlite::Error) -> String {
    error.to_string()
}

impl Reader<'_> {
    /// Says whether there is any object at all.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn has_objects(&self) -> Result<bool, IndexError> {
        let read = failed("look for objects");
        self.0.prepare("SELECT 1 FROM object LIMIT 1").and_then(|mut query| query.exists([])).map_err(read)
    }

    /// Lists objects as they are, behind a row: at most `most` of them.
    #[must_use]
    pub fn audit_objects(&self, behind: i64, most: u32) -> Audit<RawObject> {
        let sql = "SELECT id, kind, key, state FROM object WHERE id > ?1 ORDER BY id LIMIT ?2";
        self.audit_with(sql, [behind, most.into()], |row| {
            let (kind, key, state) = (row.get::<_, i64>(1), row.get::<_, [u8; 32]>(2), row.get::<_, i64>(3));
            Ok(RawObject {
                id: row.get(0)?,
                object: kind.ok().zip(key.ok()).and_then(|(kind, key)| ObjectRef::from_row(kind, key).ok()),
                state: state.ok().and_then(|state| State::from_row(state).ok()),
            })
        })
    }

    /// Lists rows of objects of kinds and states that nobody knows, as far as the table can be read.
    #[must_use]
    pub fn unknown_objects(&self) -> Vec<i64> {
        let (mut unknown, mut behind) = (Vec::new(), i64::MIN);
        loop {
            let rows = self.audit_objects(behind, 10_000).rows;
            let Some(last) = rows.last() else { return unknown };
            behind = last.id;
            unknown.extend(rows.iter().filter(|row| row.is_unknown()).map(|row| row.id));
        }
    }

    /// Finds out what a row of the objects is; `None` when it is nothing that this program knows.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn audit_object(&self, id: i64) -> Result<Option<(ObjectRef, State)>, IndexError> {
        let read = failed("look up an object");
        let mut query = self.0.prepare_cached("SELECT kind, key, state FROM object WHERE id = ?1").map_err(&read)?;
        let mut rows = query.query([id]).map_err(&read)?;
        let Some(row) = rows.next().map_err(&read)? else { return Ok(None) };
        let object = ObjectRef::from_row(row.get(0).map_err(&read)?, row.get(1).map_err(&read)?)?;
        Ok(Some((object, State::from_row(row.get(2).map_err(&read)?)?)))
    }

    /// Lists rows of content that belong to no object, or to one of another kind: table and row.
    #[must_use]
    pub fn audit_content(&self) -> Vec<Audit<(&'static str, i64)>> {
        let of = |(table, column, kind): (&'static str, &str, Kind)| {
            let sql = format!(
                "SELECT {table}.{column} FROM {table} LEFT JOIN object ON object.id = {table}.{column}
                    WHERE object.id IS NULL OR object.kind <> {}",
                kind as i64
            );
            self.audit(&sql, |row| Ok((table, row.get(0)?)))
        };
        CONTENT.into_iter().map(of).collect()
    }

    /// Lists the lists of names as they are: format and name, of those where both are text.
    #[must_use]
    pub fn audit_names(&self) -> Audit<(String, String)> {
        let sql = "SELECT format, name FROM name ORDER BY format, name";
        let audit = self.audit(sql, |row| {
            let (format, name) = (row.get_ref(0)?.as_str().ok(), row.get_ref(1)?.as_str().ok());
            Ok(format.zip(name).map(|(format, name)| (format.to_owned(), name.to_owned())))
        });
        Audit { rows: audit.rows.into_iter().flatten().collect(), broken: audit.broken }
    }

    /// Lists rows whose texts are no text, of lists of names and of origins: table and row.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn garbled_rows(&self) -> Result<Vec<(&'static str, i64)>, IndexError> {
        let read = failed("look for texts that are none");
        let mut garbled = Vec::new();
        for (table, sql) in [
            ("name", "SELECT id, format, name FROM name ORDER BY id"),
            ("origin", "SELECT id, signer, generator FROM origin ORDER BY id"),
        ] {
            let mut query = self.0.prepare(sql).map_err(&read)?;
            let mut rows = query.query([]).map_err(&read)?;
            while let Some(row) = rows.next().map_err(&read)? {
                let is_text = |column| Ok::<_, rusqlite::Error>(row.get_ref(column)?.as_str().is_ok());
                if !(is_text(1).map_err(&read)? && is_text(2).map_err(&read)?) {
                    garbled.push((table, row.get(0).map_err(&read)?));
                }
            }
        }
        Ok(garbled)
    }

    /// Reads every other table once, so that damage in it is seen.
    #[must_use]
    pub fn audit_rest(&self) -> Vec<Audit<()>> {
        let tables = ["file", "origin", "edge", "root", "root_target", "lease", "held", "counter"];
        tables.into_iter().map(|table| self.audit(&format!("SELECT * FROM {table}"), |_| Ok(()))).collect()
    }

    /// Lists the names under which a package is known to have libraries, sorted.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn sonames_of(&self, package: i64) -> Result<Vec<Vec<u8>>, IndexError> {
        let read = failed("read the libraries of a package");
        let mut query =
            self.0.prepare_cached("SELECT name FROM soname WHERE package = ?1 ORDER BY name").map_err(&read)?;
        query.query_map([package], |row| row.get(0)).map_err(&read)?.collect::<Result<_, _>>().map_err(&read)
    }

    /// Lists the roots that keep nothing, by name; those whose names are no text are left out.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn empty_roots(&self) -> Result<Vec<String>, IndexError> {
        let read = failed("list roots that keep nothing");
        let sql = "SELECT name FROM root WHERE id NOT IN (SELECT root FROM root_target) ORDER BY name";
        let mut query = self.0.prepare(sql).map_err(&read)?;
        let rows = query.query_map([], |row| Ok(row.get_ref(0)?.as_str().ok().map(str::to_owned))).map_err(&read)?;
        rows.filter_map(Result::transpose).collect::<Result<_, _>>().map_err(&read)
    }

    /// Lists the roots that keep an object, by name.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn roots_of(&self, id: i64) -> Result<Vec<String>, IndexError> {
        let read = failed("list the roots of an object");
        let sql = "SELECT name FROM root JOIN root_target ON root = root.id WHERE object = ?1 ORDER BY name";
        let mut query = self.0.prepare_cached(sql).map_err(&read)?;
        query.query_map([id], |row| row.get(0)).map_err(&read)?.collect::<Result<_, _>>().map_err(&read)
    }

    /// Lets SQLite compare every index with its table; empty when all is sound.
    ///
    /// # Errors
    /// When the check cannot run.
    pub fn integrity_check(&self) -> Result<Vec<String>, IndexError> {
        let read = failed("check itself");
        let mut query = self.0.prepare("PRAGMA integrity_check(20)").map_err(&read)?;
        let rows = query.query_map([], |row| row.get::<_, String>(0)).map_err(&read)?;
        let mut found: Vec<String> = rows.collect::<Result<_, _>>().map_err(&read)?;
        found.retain(|line| line != "ok");
        Ok(found)
    }

    /// Lists what refers to an object: live objects by row.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn referrers(&self, dst: i64) -> Result<Vec<(i64, ObjectRef)>, IndexError> {
        let read = failed("read what refers to an object");
        let sql = "SELECT id, kind, key FROM edge JOIN object ON id = src WHERE dst = ?1 AND state <> 2";
        let mut query = self.0.prepare_cached(sql).map_err(&read)?;
        let rows = query.query_map([dst], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).map_err(&read)?;
        rows.map(|row| {
            let (id, kind, key) = row.map_err(&read)?;
            Ok((id, ObjectRef::from_row(kind, key)?))
        })
        .collect()
    }

    fn audit<T>(&self, sql: &str, read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>) -> Audit<T> {
        self.audit_with(sql, [], read)
    }

    fn audit_with<T>(
        &self,
        sql: &str,
        with: impl rusqlite::Params,
        mut read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Audit<T> {
        let mut audit = Audit { rows: Vec::new(), broken: None };
        let outcome = (|| {
            let mut query = self.0.prepare(sql)?;
            let columns = query.column_count();
            let mut rows = query.query(with)?;
            while let Some(row) = rows.next()? {
                // Columns are read to their end, also where nobody wants them: pages of their own may be bad. A text
                // that is none is a row's own damage.
                for column in 0..columns {
                    row.get_ref(column)?;
                }
                audit.rows.push(read(row)?);
            }
            Ok::<_, rusqlite::Error>(())
        })();
        audit.broken = outcome.err().map(|error| said(&error));
        audit
    }
}

impl Writer<'_> {
    /// Lets SQLite make all its indexes anew from their tables.
    ///
    /// # Errors
    /// When a table is damaged itself, or says a key twice.
    pub fn remake_indexes(&self) -> Result<(), IndexError> {
        self.0.0.execute_batch("REINDEX").map_err(failed("make its indexes anew"))
    }

    /// Removes objects of kinds and states that nobody knows, rows that name rows that are not there, rows of content
    /// without an object of their kind, and files that are said to lie nowhere; gives how many rows went.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn sweep_dangling(&self, unknown: &[i64]) -> Result<usize, IndexError> {
        let write = failed("remove rows that lead nowhere");
        let connection = self.0.0;
        let mut gone = 0;
        for id in unknown {
            for sql in [
                "DELETE FROM edge WHERE src = ?1 OR dst = ?1",
                "DELETE FROM root_target WHERE object = ?1",
                "DELETE FROM held WHERE object = ?1",
                "DELETE FROM object WHERE id = ?1",
            ] {
                gone += connection.execute(sql, [id]).map_err(&write)?;
            }
        }
        // Where nobody knows to look there is nothing: it is looked for, and made again, where it belongs.
        for sql in [
            "UPDATE object SET file = NULL WHERE file IN (SELECT id FROM file WHERE directory NOT IN (1, 2))",
            "DELETE FROM file WHERE directory NOT IN (1, 2)",
            "UPDATE object SET place = 1 WHERE place NOT IN (1, 2)",
        ] {
            gone += connection.execute(sql, []).map_err(&write)?;
        }
        for (table, column, kind) in CONTENT {
            let sql = format!(
                "DELETE FROM {table} WHERE {column} NOT IN (SELECT id FROM object WHERE kind = {})",
                kind as i64
            );
            gone += connection.execute(&sql, []).map_err(&write)?;
        }
        for (table, column, parent) in REFERENCES {
            let dangling = format!("{column} IS NOT NULL AND {column} NOT IN (SELECT id FROM {parent})");
            // An object whose file's row is gone has none: looking at it says what is lost.
            let sql = match table {
                "object" => format!("UPDATE object SET {column} = NULL WHERE {dangling}"),
                table => format!("DELETE FROM {table} WHERE {dangling}"),
            };
            gone += connection.execute(&sql, []).map_err(&write)?;
        }
        // Who made a thing that says so no more: nobody knows.
        let lost = "INSERT OR IGNORE INTO origin(id, signer, generator)
            SELECT DISTINCT origin, '', 'lost ' || origin FROM object WHERE origin NOT IN (SELECT id FROM origin)";
        gone += connection.execute(lost, []).map_err(&write)?;
        Ok(gone)
    }

    /// Sets right what [`Reader::garbled_rows`] gives: lists of names are made again from the packages, and of who made
    /// a thing nobody knows any more.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn mend_garbled(&self) -> Result<(), IndexError> {
        let write = failed("remove texts that are none");
        for (table, id) in self.garbled_rows()? {
            let sql = match table {
                "name" => "DELETE FROM name WHERE id = ?1",
                _ => "UPDATE origin SET signer = '', generator = 'lost ' || id WHERE id = ?1",
            };
            self.0.0.execute(sql, [id]).map_err(&write)?;
        }
        Ok(())
    }

    /// Takes an object out of all roots; gives the names of the roots that kept it.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn unroot(&self, id: i64) -> Result<Vec<String>, IndexError> {
        let write = failed("take an object out of its roots");
        let names = self.roots_of(id)?;
        self.0.0.execute("DELETE FROM root_target WHERE object = ?1", [id]).map_err(&write)?;
        Ok(names)
    }

    /// Makes a root keep an object too.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn keep_too(&self, root: &str, object: i64) -> Result<(), IndexError> {
        let sql = "INSERT OR IGNORE INTO root_target(root, object) SELECT id, ?2 FROM root WHERE name = ?1";
        let row = rusqlite::params![root, object];
        self.0.0.execute(sql, row).map(|_| ()).map_err(failed("keep an object under a root"))
    }

    /// Lets roots keep the packages and packs that an object refers to whose row is lost, or says that it is dead or what
    /// nobody knows, in its place; gives their names. Its references tell what it was made of.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn inherit_lost(&self) -> Result<Vec<String>, IndexError> {
        let write = failed("keep what a lost object refers to");
        let connection = self.0.0;
        let from = "FROM root_target JOIN root ON root.id = root JOIN edge ON src = root_target.object
            JOIN object ON object.id = dst
            WHERE root_target.object NOT IN (SELECT id FROM object WHERE state IN (1, 3)) AND kind IN (3, 4) AND state = 1";
        let mut query = connection.prepare(&format!("SELECT DISTINCT name {from} ORDER BY name")).map_err(&write)?;
        let names = query.query_map([], |row| row.get(0)).map_err(&write)?;
        let names: Vec<String> = names.collect::<Result<_, _>>().map_err(&write)?;
        if !names.is_empty() {
            let sql = format!("INSERT OR IGNORE INTO root_target(root, object) SELECT root, dst {from}");
            connection.execute(&sql, []).map_err(&write)?;
        }
        Ok(names)
    }

    /// Makes an object refer to another, also.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn add_edge(&self, src: i64, dst: i64) -> Result<(), IndexError> {
        let sql = "INSERT OR IGNORE INTO edge(src, dst) VALUES (?1, ?2)";
        self.0.0.execute(sql, [src, dst]).map(|_| ()).map_err(failed("record what an object refers to"))
    }

    /// Makes an object dead, whoever claims it: it refers to nothing, and nothing refers to it or holds it. A source's
    /// file is left: it may be what its own name says, and all that is left of a package.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn write_off(&self, id: i64) -> Result<(), IndexError> {
        let write = failed("let an object go");
        for sql in [
            "DELETE FROM edge WHERE src = ?1 OR dst = ?1",
            "DELETE FROM root_target WHERE object = ?1",
            "DELETE FROM held WHERE object = ?1",
            "UPDATE object SET state = 2,
                file = CASE WHEN file IN (SELECT id FROM file WHERE directory = 2) THEN NULL ELSE file END
                WHERE id = ?1",
        ] {
            self.0.0.prepare_cached(sql).and_then(|mut change| change.execute([id])).map_err(&write)?;
        }
        Ok(())
    }

    /// Removes the list of a name that this program cannot read.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn remove_list(&self, format: &str, name: &str) -> Result<(), IndexError> {
        let sql = "DELETE FROM name WHERE format = ?1 AND name = ?2";
        self.0.0.execute(sql, [format, name]).map(|_| ()).map_err(failed("remove the list of a name"))
    }

    /// Forgets the libraries of a package.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn forget_sonames(&self, package: i64) -> Result<(), IndexError> {
        let sql = "DELETE FROM soname WHERE package = ?1";
        self.0.0.execute(sql, [package]).map(|_| ()).map_err(failed("forget the libraries of a package"))
    }
}
