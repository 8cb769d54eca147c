//! Questions about the index as a whole: is it sound, and how much is in it.
//!
//! Only SQL is asked here; whether files are as their rows say is the store's question. What is found is
//! a suspicion until it was seen again under the write lock.

use super::{IndexError, Kind, ObjectRef, Reader, failed};

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

/// Counts and sums over live objects.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Live objects by kind, in the order of [`Kind`].
    pub objects: [u64; 7],
    /// Roots.
    pub roots: u64,
    /// Leases with rows, dead ones among them.
    pub leases: u64,
    /// Dead objects whose rows were not removed yet.
    pub dead: u64,
    /// Damaged objects.
    pub damaged: u64,
    /// Content bytes of all packages, each counted.
    pub package_content: u64,
    /// Raw bytes of all packs, those that share a blob counted once.
    pub raw_packs: u64,
    /// Content bytes of the trees of all packages, each tree counted once.
    pub unique_content: u64,
    /// Bytes of files in `packs/`.
    pub pack_files: u64,
    /// Bytes of files in `sources/`.
    pub source_files: u64,
}

impl Totals {
    /// Gives the count of one kind.
    #[must_use]
    pub const fn of(&self, kind: Kind) -> u64 {
        self.objects[kind as usize - 1]
    }
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

    /// Counts and adds up.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn totals(&self) -> Result<Totals, IndexError> {
        let read = failed("count");
        let mut totals = Totals::default();
        let mut query =
            self.0.prepare("SELECT kind, count(*) FROM object WHERE state = 1 GROUP BY kind").map_err(&read)?;
        let mut rows = query.query([]).map_err(&read)?;
        while let Some(row) = rows.next().map_err(&read)? {
            let (kind, count): (i64, i64) = (row.get(0).map_err(&read)?, row.get(1).map_err(&read)?);
            let place = usize::try_from(kind - 1).ok().and_then(|at| totals.objects.get_mut(at));
            *place.ok_or(IndexError::Malformed("an object has an unknown kind"))? = count.cast_unsigned();
        }
        let sum =
            |sql: &str| self.0.query_row(sql, [], |row| row.get::<_, i64>(0)).map(i64::cast_unsigned).map_err(&read);
        totals.roots = sum("SELECT count(*) FROM root")?;
        totals.leases = sum("SELECT count(*) FROM lease")?;
        totals.dead = sum("SELECT count(*) FROM object WHERE state = 2")?;
        totals.damaged = sum("SELECT count(*) FROM object WHERE state = 3")?;
        let packages = "FROM package JOIN object ON object.id = object WHERE state = 1";
        totals.package_content = sum(&format!("SELECT coalesce(sum(content_size), 0) {packages}"))?;
        totals.unique_content =
            sum(&format!("SELECT coalesce(sum(s), 0) FROM (SELECT max(content_size) s {packages} GROUP BY tree)"))?;
        totals.raw_packs =
            sum("SELECT coalesce(sum(s), 0) FROM (SELECT max(raw_size) s FROM pack JOIN object ON object.id = object
                WHERE state = 1 GROUP BY file)")?;
        totals.pack_files = sum("SELECT coalesce(sum(size), 0) FROM file WHERE directory = 1")?;
        totals.source_files = sum("SELECT coalesce(sum(size), 0) FROM file WHERE directory = 2")?;
        Ok(totals)
    }
}
