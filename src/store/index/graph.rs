//! The index as the collector sees it: who refers to whom, who is claimed, and how the dead leave.
//!
//! The graph is read whole: deciding in memory is faster than a recursive query, and the decision
//! can then be a pure function. The rows of the dead leave in batches, so that no writer waits long.

use std::collections::BTreeSet;

use super::object::FILE;
use super::{FileRow, IndexError, Kind, ObjectRef, Reader, State, Writer, failed};

/// An object without its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObjectNode {
    /// Its row.
    pub id: i64,
    /// Its name.
    pub object: ObjectRef,
    /// What may be done with it.
    pub state: State,
    /// When it was published or revived, in seconds since 1970.
    pub born: u64,
    /// Bytes that it takes, in its file or its rows.
    pub size: u64,
    /// The row of its file, which several packs may share.
    pub file: Option<i64>,
}

/// A root by rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootNode {
    /// Its name.
    pub name: String,
    /// When it was last used.
    pub used_at: u64,
    /// The rows of what it keeps.
    pub targets: Vec<i64>,
}

/// Everything that reachability depends on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Graph {
    /// All objects, by row.
    pub objects: Vec<ObjectNode>,
    /// Pairs of rows, from what refers to what is referred to, sorted.
    pub edges: Vec<(i64, i64)>,
    /// All roots, by name.
    pub roots: Vec<RootNode>,
    /// Leases by name, and the rows of what they hold.
    pub held: Vec<(String, i64)>,
}

impl Graph {
    /// Finds the place of an object among [`Graph::objects`].
    #[must_use]
    pub fn position(&self, id: i64) -> Option<usize> {
        self.objects.binary_search_by_key(&id, |node| node.id).ok()
    }
}

impl Reader<'_> {
    /// Reads the graph. Run it inside a snapshot or a write.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn graph(&self) -> Result<Graph, IndexError> {
        let read = failed("read what refers to what");
        let mut graph = Graph::default();
        let mut query =
            self.0.prepare("SELECT id, kind, key, state, born, size, file FROM object ORDER BY id").map_err(&read)?;
        let mut rows = query.query([]).map_err(&read)?;
        while let Some(row) = rows.next().map_err(&read)? {
            let number = |column| row.get::<_, i64>(column).map_err(&read);
            graph.objects.push(ObjectNode {
                id: number(0)?,
                object: ObjectRef::from_row(number(1)?, row.get(2).map_err(&read)?)?,
                state: State::from_row(number(3)?)?,
                born: number(4)?.cast_unsigned(),
                size: number(5)?.cast_unsigned(),
                file: row.get(6).map_err(&read)?,
            });
        }
        let mut query = self.0.prepare("SELECT src, dst FROM edge ORDER BY src, dst").map_err(&read)?;
        let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).map_err(&read)?;
        graph.edges = rows.collect::<Result<_, _>>().map_err(&read)?;
        let sql = "SELECT name, used_at, object FROM root LEFT JOIN root_target ON root = root.id ORDER BY name";
        let mut query = self.0.prepare(sql).map_err(&read)?;
        let rows = query
            .query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?, row.get::<_, Option<i64>>(2)?)))
            .map_err(&read)?;
        for row in rows {
            let (name, used_at, object) = row.map_err(&read)?;
            if graph.roots.last().is_none_or(|root| root.name != name) {
                graph.roots.push(RootNode { name, used_at: used_at.cast_unsigned(), targets: Vec::new() });
            }
            if let (Some(root), Some(object)) = (graph.roots.last_mut(), object) {
                root.targets.push(object);
            }
        }
        let sql = "SELECT name, object FROM lease JOIN held ON held.lease = lease.id ORDER BY name, object";
        let mut query = self.0.prepare(sql).map_err(&read)?;
        let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).map_err(&read)?;
        graph.held = rows.collect::<Result<_, _>>().map_err(&read)?;
        Ok(graph)
    }

    /// Lists up to `limit` files that no object lies in.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn unused_files(&self, limit: u32) -> Result<Vec<FileRow>, IndexError> {
        let read = failed("list unused files");
        let sql = format!(
            "SELECT {FILE} FROM file WHERE NOT EXISTS (SELECT 1 FROM object WHERE object.file = file.id) LIMIT ?1"
        );
        let mut query = self.0.prepare_cached(&sql).map_err(&read)?;
        let rows = query.query_map([limit], FileRow::read).map_err(&read)?;
        rows.map(|row| row.map_err(&read)?).collect()
    }
}

impl Writer<'_> {
    /// Makes objects dead: nobody sees them any more, and they refer to nothing.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn bury(&self, ids: &[i64]) -> Result<(), IndexError> {
        let write = failed("mark the dead");
        let connection = self.0.0;
        let mut mark = connection.prepare_cached("UPDATE object SET state = 2 WHERE id = ?1").map_err(&write)?;
        let mut detach = connection.prepare_cached("DELETE FROM edge WHERE src = ?1").map_err(&write)?;
        for id in ids {
            mark.execute([id]).map_err(&write)?;
            detach.execute([id]).map_err(&write)?;
        }
        Ok(())
    }

    /// Finds the objects that lie in one file.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn objects_in(&self, file: i64) -> Result<Vec<i64>, IndexError> {
        let read = failed("list what lies in a file");
        let mut query = self.0.0.prepare_cached("SELECT id FROM object WHERE file = ?1 ORDER BY id").map_err(&read)?;
        query.query_map([file], |row| row.get(0)).map_err(&read)?.collect::<Result<_, _>>().map_err(&read)
    }

    /// Lets packages forget their sources, and roots the sources of packages.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn forget_sources(&self) -> Result<(), IndexError> {
        let (package, source) = (Kind::Package as i64, Kind::Source as i64);
        for sql in [
            "DELETE FROM root_target WHERE object IN (SELECT edge.dst FROM edge
                JOIN object s ON s.id = edge.dst JOIN object p ON p.id = edge.src WHERE s.kind = ?1 AND p.kind = ?2)",
            "DELETE FROM edge WHERE dst IN (SELECT id FROM object WHERE kind = ?1)
                AND src IN (SELECT id FROM object WHERE kind = ?2)",
        ] {
            self.0.0.execute(sql, [source, package]).map_err(failed("forget sources"))?;
        }
        Ok(())
    }

    /// Removes the rows of up to `limit` dead objects; gives how many, and the files that nobody lies in now.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn remove_dead(&self, limit: u32) -> Result<(usize, Vec<FileRow>), IndexError> {
        let write = failed("remove the dead");
        let connection = self.0.0;
        let mut select = connection
            .prepare_cached("SELECT id, file FROM object WHERE state = 2 ORDER BY id LIMIT ?1")
            .map_err(&write)?;
        let rows = select.query_map([limit], |row| Ok((row.get(0)?, row.get(1)?))).map_err(&write)?;
        let dead: Vec<(i64, Option<i64>)> = rows.collect::<Result<_, _>>().map_err(&write)?;
        let mut delete = connection.prepare_cached("DELETE FROM object WHERE id = ?1").map_err(&write)?;
        for (id, _) in &dead {
            delete.execute([id]).map_err(&write)?;
        }
        let files: BTreeSet<i64> = dead.iter().filter_map(|(_, file)| *file).collect();
        let mut used = connection.prepare_cached("SELECT 1 FROM object WHERE file = ?1 LIMIT 1").map_err(&write)?;
        let mut unused = Vec::new();
        for file in files {
            if !used.exists([file]).map_err(&write)? {
                unused.extend(self.file_by_id(file)?);
            }
        }
        Ok((dead.len(), unused))
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
