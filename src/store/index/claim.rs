//! Claims: roots, which stay, and leases, which end with a command.
//!
//! Whatever can be reached from either is never collected. A lease's row is only half of it: its lock
//! file says whether the owner lives, and that is the store's to look at.

use std::collections::BTreeSet;

use rusqlite::{OptionalExtension as _, params};

use super::{IndexError, LeaseName, ObjectRef, Reader, Writer, failed};

/// A root: a name, since when, and what it keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootRow {
    /// For example `image/static/embedded`.
    pub name: String,
    /// When it was last set to something else, in seconds since 1970.
    pub set_at: u64,
    /// When it was last used, up to a day too early, in seconds since 1970.
    pub used_at: u64,
    /// What it keeps, in order of [`ObjectRef`].
    pub targets: Vec<ObjectRef>,
}

/// The row of a lease, whatever it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseRow {
    /// Its row.
    pub id: i64,
    /// Its name, also that of its lock file; `None` when no lease can have such a name.
    pub name: Option<LeaseName>,
    /// Whether the word on what it is for is text.
    pub has_note: bool,
}

impl Reader<'_> {
    /// Reads what a root keeps, sorted.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn root(&self, name: &str) -> Result<Option<Vec<ObjectRef>>, IndexError> {
        let read = failed("read a root");
        let sql = "SELECT object.kind, object.key FROM root LEFT JOIN root_target ON root = root.id
            LEFT JOIN object ON object.id = root_target.object WHERE name = ?1";
        let mut query = self.0.prepare_cached(sql).map_err(&read)?;
        let rows = query
            .query_map([name], |row| Ok((row.get::<_, Option<i64>>(0)?, row.get::<_, Option<[u8; 32]>>(1)?)))
            .map_err(&read)?;
        let mut targets = None;
        for row in rows {
            let found: &mut Vec<ObjectRef> = targets.get_or_insert_default();
            if let (Some(kind), Some(key)) = row.map_err(&read)? {
                found.push(ObjectRef::from_row(kind, key)?);
            }
        }
        if let Some(found) = targets.as_mut() {
            found.sort_unstable();
        }
        Ok(targets)
    }

    /// Lists all roots by name.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn roots(&self) -> Result<Vec<RootRow>, IndexError> {
        let mut roots = Vec::new();
        self.each_root(|root| {
            roots.push(root);
            Ok::<_, IndexError>(())
        })?;
        Ok(roots)
    }

    /// Reads the roots one by one, by name: what all of them keep may be more than fits in memory.
    ///
    /// # Errors
    /// When the index cannot be read, or a step fails.
    pub fn each_root<E: From<IndexError>>(&self, mut step: impl FnMut(RootRow) -> Result<(), E>) -> Result<(), E> {
        let read = failed("list roots");
        let sql =
            "SELECT name, set_at, used_at, object.kind, object.key FROM root LEFT JOIN root_target ON root = root.id
            LEFT JOIN object ON object.id = root_target.object ORDER BY name, object.kind, object.key";
        let mut query = self.0.prepare_cached(sql).map_err(&read)?;
        let rows = query
            .query_map([], |row| {
                let object = (row.get::<_, Option<i64>>(3)?, row.get::<_, Option<[u8; 32]>>(4)?);
                Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?, object))
            })
            .map_err(&read)?;
        let mut last: Option<RootRow> = None;
        for row in rows {
            let (name, set_at, used_at, object) = row.map_err(&read)?;
            if last.as_ref().is_none_or(|root| root.name != name) {
                let (set_at, used_at) = (set_at.cast_unsigned(), used_at.cast_unsigned());
                let before = last.replace(RootRow { name, set_at, used_at, targets: Vec::new() });
                before.map_or(Ok(()), &mut step)?;
            }
            if let (Some(root), (Some(kind), Some(key))) = (last.as_mut(), object) {
                root.targets.push(ObjectRef::from_row(kind, key)?);
            }
        }
        last.map_or(Ok(()), step)
    }

    /// Says when a root was last used, in seconds since 1970.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn root_used(&self, name: &str) -> Result<Option<u64>, IndexError> {
        let read = failed("read a root");
        let mut query = self.0.prepare_cached("SELECT used_at FROM root WHERE name = ?1").map_err(&read)?;
        let used = query.query_row([name], |row| row.get::<_, i64>(0)).optional().map_err(&read)?;
        Ok(used.map(i64::cast_unsigned))
    }

    /// Says whether a root keeps a live object itself.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn is_rooted(&self, object: &ObjectRef) -> Result<bool, IndexError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM object JOIN root_target ON object = object.id
            JOIN root ON root.id = root_target.root WHERE object.kind = ?1 AND key = ?2 AND state <> 2)";
        let row = rusqlite::params![object.kind() as i64, object.key()];
        self.0.query_row(sql, row, |row| row.get(0)).map_err(failed("look for a root"))
    }

    /// Says whether a root keeps something that refers to a live object.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn is_below_root(&self, object: &ObjectRef) -> Result<bool, IndexError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM object JOIN edge ON dst = object.id
            JOIN root_target ON root_target.object = src JOIN object above ON above.id = src
            WHERE object.kind = ?1 AND object.key = ?2 AND object.state <> 2 AND above.state <> 2)";
        let row = rusqlite::params![object.kind() as i64, object.key()];
        self.0.query_row(sql, row, |row| row.get(0)).map_err(failed("look for a root"))
    }

    /// Lists the names of all roots; those that are no text are left out.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn root_names(&self) -> Result<BTreeSet<String>, IndexError> {
        let read = failed("list roots");
        let mut query = self.0.prepare("SELECT name FROM root").map_err(&read)?;
        let rows = query.query_map([], |row| Ok(row.get_ref(0)?.as_str().ok().map(str::to_owned))).map_err(&read)?;
        rows.filter_map(Result::transpose).collect::<Result<_, _>>().map_err(&read)
    }

    /// Reads the names of all roots one by one.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn each_root_name(&self, mut step: impl FnMut(&str)) -> Result<(), IndexError> {
        let read = failed("list roots");
        let mut query = self.0.prepare("SELECT name FROM root").map_err(&read)?;
        let mut rows = query.query([]).map_err(&read)?;
        while let Some(row) = rows.next().map_err(&read)? {
            step(row.get_ref(0).and_then(|name| Ok(name.as_str()?)).map_err(&read)?);
        }
        Ok(())
    }

    /// Counts the roots.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn root_count(&self) -> Result<u64, IndexError> {
        let sql = "SELECT count(*) FROM root";
        self.0.query_row(sql, [], |row| row.get::<_, i64>(0)).map(i64::cast_unsigned).map_err(failed("count roots"))
    }

    /// Lists the leases that have rows, by row.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn leases(&self) -> Result<Vec<LeaseRow>, IndexError> {
        let read = failed("list leases");
        let mut query = self.0.prepare("SELECT id, name, note FROM lease ORDER BY id").map_err(&read)?;
        let rows = query.query_map([], |row| {
            let name = row.get_ref(1)?.as_str().ok().and_then(LeaseName::parse);
            Ok(LeaseRow { id: row.get(0)?, name, has_note: row.get_ref(2)?.as_str().is_ok() })
        });
        rows.map_err(&read)?.collect::<Result<_, _>>().map_err(&read)
    }

    /// Lists the rows of roots whose names are no text, or none that `is_name` takes.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn strange_roots(&self, is_name: impl Fn(&str) -> bool) -> Result<Vec<i64>, IndexError> {
        let read = failed("list roots");
        let mut query = self.0.prepare("SELECT id, name FROM root ORDER BY id").map_err(&read)?;
        let mut rows = query.query([]).map_err(&read)?;
        let mut strange = Vec::new();
        while let Some(row) = rows.next().map_err(&read)? {
            if !row.get_ref(1).map_err(&read)?.as_str().is_ok_and(&is_name) {
                strange.push(row.get(0).map_err(&read)?);
            }
        }
        Ok(strange)
    }

    /// Reads what a root keeps by its row, sorted.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn root_targets(&self, id: i64) -> Result<Vec<ObjectRef>, IndexError> {
        let read = failed("read a root");
        let sql = "SELECT kind, key FROM root_target JOIN object ON object.id = object WHERE root = ?1";
        let mut query = self.0.prepare_cached(sql).map_err(&read)?;
        let rows = query.query_map([id], |row| Ok((row.get(0)?, row.get(1)?))).map_err(&read)?;
        let mut targets = rows
            .map(|row| row.map_err(&read).and_then(|(kind, key)| ObjectRef::from_row(kind, key)))
            .collect::<Result<Vec<_>, _>>()?;
        targets.sort_unstable();
        Ok(targets)
    }
}

impl Writer<'_> {
    /// Sets a root; `false` when it kept exactly this already.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn set_root(&self, name: &str, targets: &[(ObjectRef, i64)], now: u64) -> Result<bool, IndexError> {
        let mut wanted: Vec<ObjectRef> = targets.iter().map(|(object, _)| *object).collect();
        wanted.sort_unstable();
        wanted.dedup();
        if self.root(name)?.as_ref() == Some(&wanted) {
            self.use_root(name, now)?;
            return Ok(false);
        }
        let write = failed("set a root");
        let sql = "INSERT INTO root(name, set_at, used_at) VALUES (?1, ?2, ?2)
            ON CONFLICT(name) DO UPDATE SET set_at = excluded.set_at, used_at = excluded.used_at RETURNING id";
        let root: i64 = self
            .0
            .0
            .prepare_cached(sql)
            .and_then(|mut insert| insert.query_row(params![name, now.cast_signed()], |row| row.get(0)))
            .map_err(&write)?;
        let connection = self.0.0;
        connection.execute("DELETE FROM root_target WHERE root = ?1", [root]).map_err(&write)?;
        let sql = "INSERT OR IGNORE INTO root_target(root, object) VALUES (?1, ?2)";
        let mut insert = connection.prepare_cached(sql).map_err(&write)?;
        for (_, id) in targets {
            insert.execute([root, *id]).map_err(&write)?;
        }
        Ok(true)
    }

    /// Notes that a root is used.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn use_root(&self, name: &str, now: u64) -> Result<(), IndexError> {
        let write = failed("note the use of a root");
        let mut update = self.0.0.prepare_cached("UPDATE root SET used_at = ?2 WHERE name = ?1").map_err(&write)?;
        update.execute(params![name, now.cast_signed()]).map(|_| ()).map_err(&write)
    }

    /// Removes a root, when given only if it was last used at that time; `false` when there is none such.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn remove_root(&self, name: &str, used_at: Option<u64>) -> Result<bool, IndexError> {
        let sql = "DELETE FROM root WHERE name = ?1 AND (?2 IS NULL OR used_at = ?2)";
        let removed =
            self.0.0.execute(sql, params![name, used_at.map(u64::cast_signed)]).map_err(failed("remove a root"))?;
        Ok(removed > 0)
    }

    /// Gives the row of a lease, made when it is not there.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn put_lease(&self, name: LeaseName, note: &str, now: u64) -> Result<i64, IndexError> {
        let write = failed("record a lease");
        let connection = self.0.0;
        let name = name.to_string();
        let found = connection
            .prepare_cached("SELECT id FROM lease WHERE name = ?1")
            .and_then(|mut query| query.query_row([&name], |row| row.get(0)).optional())
            .map_err(&write)?;
        if let Some(id) = found {
            return Ok(id);
        }
        connection
            .prepare_cached("INSERT INTO lease(name, note, born) VALUES (?1, ?2, ?3)")
            .and_then(|mut insert| insert.insert(params![name, note, now.cast_signed()]))
            .map_err(&write)
    }

    /// Holds an object under a lease.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn hold(&self, lease: i64, object: i64) -> Result<(), IndexError> {
        let write = failed("hold an object");
        let mut insert =
            self.0.0.prepare_cached("INSERT OR IGNORE INTO held(lease, object) VALUES (?1, ?2)").map_err(&write)?;
        insert.execute([lease, object]).map(|_| ()).map_err(&write)
    }

    /// Removes a lease and lets go of what it held, of up to `most` objects; `false` when it held more and stays.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn remove_lease(&self, name: LeaseName, most: u32) -> Result<bool, IndexError> {
        let write = failed("remove a lease");
        let name = name.to_string();
        let sql = "DELETE FROM held WHERE lease = (SELECT id FROM lease WHERE name = ?1) AND object IN
            (SELECT object FROM held WHERE lease = (SELECT id FROM lease WHERE name = ?1) LIMIT ?2)";
        let let_go = self.0.0.prepare_cached(sql).and_then(|mut delete| delete.execute(params![name, most]));
        if let_go.map_err(&write)? >= most as usize {
            return Ok(false);
        }
        self.0.0.execute("DELETE FROM lease WHERE name = ?1", [name]).map_err(&write)?;
        Ok(true)
    }

    /// Removes the rows of leases whose names no lease can have, and notes that are no text; gives whether there were
    /// any.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn mend_leases(&self) -> Result<bool, IndexError> {
        let write = failed("mend leases");
        let strange: Vec<LeaseRow> =
            self.leases()?.into_iter().filter(|row| row.name.is_none() || !row.has_note).collect();
        for row in &strange {
            let sql = match row.name {
                None => "DELETE FROM lease WHERE id = ?1",
                Some(_) => "UPDATE lease SET note = '' WHERE id = ?1",
            };
            self.0.0.execute(sql, [row.id]).map_err(&write)?;
        }
        Ok(!strange.is_empty())
    }

    /// Gives a root another name, by its row.
    ///
    /// # Errors
    /// When the index cannot be written, or has a root of that name.
    pub fn rename_root(&self, id: i64, name: &str) -> Result<(), IndexError> {
        let write = failed("rename a root");
        self.0.0.execute("UPDATE root SET name = ?2 WHERE id = ?1", params![id, name]).map(|_| ()).map_err(write)
    }
}
