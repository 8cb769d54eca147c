//! The index as the collector sees it: who refers to whom, and who is claimed.
//!
//! The graph is read whole, in one snapshot: deciding in memory is faster than a recursive query, and the
//! decision can then be a pure function. It has to be small for that. An object is a *place*: its rank among all
//! rows, in 32 bits; of an object only its row, its kind and some marks are kept, of a root its row and its
//! times. A million objects with two million references take 17 MB. Names, sizes and files are looked up
//! afterwards, of those that go ([`Reader::node`]).

use rusqlite::OptionalExtension as _;

use super::object::FILE;
use super::rows::Rows;
use super::{FileRow, IndexError, LeaseName, ObjectRef, Reader, State, failed};
use dlstore_model::digest::OciDigest;

/// What the collector knows of every object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    /// The number of its kind.
    pub kind: u8,
    /// What may be done with it.
    pub state: State,
    /// How old it is.
    pub age: Age,
}

/// How old an object is, compared with a time and a grace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Age {
    /// Old enough to be collected.
    Old,
    /// Younger than the grace.
    Young,
    /// Born later than now: a clock was wrong.
    Future,
}

impl Age {
    /// Compares a birth with the time, all in seconds since 1970.
    #[must_use]
    pub const fn of(born: u64, now: u64, grace: u64) -> Self {
        if born > now {
            Self::Future
        } else if now - born < grace {
            Self::Young
        } else {
            Self::Old
        }
    }
}

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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RootNode {
    /// Its row.
    pub id: i64,
    /// When it was set, or used if that is later, in seconds since 1970.
    pub used_at: u64,
}

/// Everything that reachability depends on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Graph {
    /// Rows of the objects, rising.
    ids: Rows,
    nodes: Vec<Packed>,
    /// Where the targets of an object begin; they end where those of the next begin.
    starts: Vec<u32>,
    targets: Vec<u32>,
    /// All roots, by row.
    pub roots: Vec<RootNode>,
    /// What they keep: the place of the root among [`Graph::roots`], and the object.
    pub kept: Vec<(u32, u32)>,
    /// What objects without a row refer to: nobody knows who keeps it.
    pub stray: Vec<u32>,
    /// Names of the leases; `None` where a row has a name that no lease can have: nobody knows whether its owner lives.
    pub leases: Vec<Option<LeaseName>>,
    /// What they hold: the place of the lease among [`Graph::leases`], and the object.
    pub held: Vec<(u32, u32)>,
}

/// A [`Node`] in a byte: four bits of kind, two of state, two of age.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Packed(u8);

impl Packed {
    const fn new(node: Node) -> Self {
        Self(node.kind << 4 | (node.state as u8) << 2 | node.age as u8)
    }

    const fn get(self) -> Node {
        let state = match self.0 >> 2 & 3 {
            1 => State::Live,
            2 => State::Dead,
            _ => State::Damaged,
        };
        let age = match self.0 & 3 {
            0 => Age::Old,
            1 => Age::Young,
            _ => Age::Future,
        };
        Node { kind: self.0 >> 4, state, age }
    }
}

/// More than 4,294,967,295 of anything is no store that this program can have made.
fn narrow(number: usize) -> Result<u32, IndexError> {
    u32::try_from(number).map_err(|_| IndexError::Malformed("there are more objects than can be counted"))
}

impl Graph {
    /// Gives how many objects there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.ids.len()
    }

    /// Says whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.ids.len() == 0
    }

    /// Finds the place of an object.
    #[must_use]
    pub fn place(&self, id: i64) -> Option<u32> {
        self.ids.find(id).and_then(|place| u32::try_from(place).ok())
    }

    /// Gives the row of an object; -1, which no row has, where there is none.
    #[must_use]
    pub fn id(&self, place: u32) -> i64 {
        self.ids.get(place as usize).unwrap_or(-1)
    }

    /// Gives what is known of an object.
    #[must_use]
    pub fn node(&self, place: u32) -> Node {
        self.nodes[place as usize].get()
    }

    /// Says whether an object is dead.
    #[must_use]
    pub fn is_dead(&self, place: u32) -> bool {
        self.node(place).state == State::Dead
    }

    /// Gives what an object refers to.
    #[must_use]
    pub fn targets(&self, place: u32) -> &[u32] {
        let start = self.starts[place as usize] as usize;
        let end = self.starts.get(place as usize + 1).map_or(self.targets.len(), |end| *end as usize);
        &self.targets[start..end]
    }

    /// Adds an object; its row comes behind those that are there.
    ///
    /// # Errors
    /// When it does not: then the table is damaged.
    pub fn add(&mut self, id: i64, node: Node) -> Result<(), IndexError> {
        if !self.ids.push(id) {
            return Err(IndexError::Malformed("the objects are not in the order of their rows"));
        }
        self.nodes.push(Packed::new(node));
        Ok(())
    }

    /// Adds all references, sorted; those to rows that are not there are left out.
    ///
    /// # Errors
    /// When one cannot be had, or there are too many.
    pub fn add_edges(
        &mut self,
        edges: impl IntoIterator<Item = Result<(i64, i64), IndexError>>,
    ) -> Result<(), IndexError> {
        narrow(self.ids.len())?;
        self.starts = Vec::with_capacity(self.ids.len());
        for edge in edges {
            let (src, dst) = edge?;
            while self.ids.get(self.starts.len()).is_some_and(|id| id <= src) {
                self.starts.push(narrow(self.targets.len())?);
            }
            let is_known = self.starts.len().checked_sub(1).and_then(|last| self.ids.get(last)) == Some(src);
            match self.place(dst) {
                Some(dst) if is_known => self.targets.push(dst),
                Some(dst) => self.stray.push(dst),
                None => {}
            }
        }
        let end = narrow(self.targets.len())?;
        self.starts.resize(self.ids.len(), end);
        Ok(())
    }
}

impl Reader<'_> {
    /// Reads the graph, with ages as they are at `now`. Run it inside a snapshot.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn graph(&self, now: u64, grace: u64) -> Result<Graph, IndexError> {
        let read = failed("read what refers to what");
        let mut graph = Graph::default();
        let last: Option<i64> = self.0.query_row("SELECT max(id) FROM object", [], |row| row.get(0)).map_err(&read)?;
        let expected = self.counters()?.objects().min(last.unwrap_or(0).max(0).cast_unsigned());
        // A bound of what is set aside: a damaged counter must not ask for all memory.
        let expected = usize::try_from(expected.min(1 << 26)).unwrap_or(0);
        graph.ids.reserve(expected);
        graph.nodes.reserve_exact(expected);
        let mut query = self.0.prepare("SELECT id, kind, state, born FROM object ORDER BY id").map_err(&read)?;
        let mut rows = query.query([]).map_err(&read)?;
        while let Some(row) = rows.next().map_err(&read)? {
            let number = |column| row.get::<_, i64>(column).map_err(&read);
            let kind = u8::try_from(number(1)?).ok().filter(|kind| (1..=7).contains(kind));
            let kind = kind.ok_or(IndexError::Malformed("an object has an unknown kind"))?;
            let age = Age::of(number(3)?.cast_unsigned(), now, grace);
            graph.add(number(0)?, Node { kind, state: State::from_row(number(2)?)?, age })?;
        }
        let mut query = self.0.prepare("SELECT src, dst FROM edge ORDER BY src, dst").map_err(&read)?;
        let edges = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).map_err(&read)?;
        graph.add_edges(edges.map(|edge| edge.map_err(&read)))?;
        self.claims(&mut graph)?;
        Ok(graph)
    }

    fn claims(&self, graph: &mut Graph) -> Result<(), IndexError> {
        let read = failed("read what is claimed");
        let mut query = self.0.prepare("SELECT id, max(set_at, used_at) FROM root ORDER BY id").map_err(&read)?;
        let roots =
            query.query_map([], |row| Ok(RootNode { id: row.get(0)?, used_at: row.get::<_, i64>(1)?.cast_unsigned() }));
        graph.roots = roots.map_err(&read)?.collect::<Result<_, _>>().map_err(&read)?;
        let mut query = self.0.prepare("SELECT root, object FROM root_target ORDER BY root, object").map_err(&read)?;
        let rows = query.query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get(1)?))).map_err(&read)?;
        for row in rows {
            let (root, object) = row.map_err(&read)?;
            let root = graph.roots.binary_search_by_key(&root, |node| node.id);
            if let (Ok(root), Some(place)) = (root, graph.place(object)) {
                graph.kept.push((narrow(root)?, place));
            }
        }
        let leases = self.leases()?;
        let mut query = self.0.prepare("SELECT lease, object FROM held ORDER BY lease, object").map_err(&read)?;
        let rows = query.query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get(1)?))).map_err(&read)?;
        for row in rows {
            let (lease, object) = row.map_err(&read)?;
            let lease = leases.binary_search_by_key(&lease, |row| row.id);
            if let (Ok(lease), Some(place)) = (lease, graph.place(object)) {
                graph.held.push((narrow(lease)?, place));
            }
        }
        graph.leases = leases.into_iter().map(|row| row.name).collect();
        Ok(())
    }

    /// Finds an object by its row.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn node(&self, id: i64) -> Result<Option<ObjectNode>, IndexError> {
        let read = failed("look up an object");
        let sql = "SELECT kind, key, state, born, size, file FROM object WHERE id = ?1";
        let mut query = self.0.prepare_cached(sql).map_err(&read)?;
        let found = query.query_row([id], |row| {
            let number = |column: usize| row.get::<_, i64>(column);
            Ok((number(0)?, row.get(1)?, number(2)?, number(3)?, number(4)?, row.get(5)?))
        });
        let found = found.optional().map_err(&read)?;
        let node = |(kind, key, state, born, size, file): (i64, [u8; 32], i64, i64, i64, Option<i64>)| {
            let (object, state) = (ObjectRef::from_row(kind, key)?, State::from_row(state)?);
            Ok(ObjectNode { id, object, state, born: born.cast_unsigned(), size: size.cast_unsigned(), file })
        };
        found.map(node).transpose()
    }

    /// Says whether an object that is not dead and that `goes` does not tell lies in a file.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn is_used_by_others(&self, file: i64, goes: impl Fn(i64) -> bool) -> Result<bool, IndexError> {
        let read = failed("list what lies in a file");
        let sql = "SELECT id FROM object WHERE file = ?1 AND state IN (1, 3)";
        let mut query = self.0.prepare_cached(sql).map_err(&read)?;
        for id in query.query_map([file], |row| row.get(0)).map_err(&read)? {
            if !goes(id.map_err(&read)?) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Gives a root's name and when it was last used; `None` when there is none, or its name is no text.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn root_by_id(&self, id: i64) -> Result<Option<(String, u64)>, IndexError> {
        let read = failed("look up a root");
        let mut query = self.0.prepare_cached("SELECT name, used_at FROM root WHERE id = ?1").map_err(&read)?;
        let found = query.query_row([id], |row| {
            let name = row.get_ref(0)?.as_str().ok().map(str::to_owned);
            Ok(name.zip(Some(row.get::<_, i64>(1)?.cast_unsigned())))
        });
        Ok(found.optional().map_err(&read)?.flatten())
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

    /// Says whether a live pack names no file that there is.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn has_packs_without_file(&self) -> Result<bool, IndexError> {
        let read = failed("look for packs without a file");
        let sql = "SELECT 1 FROM object WHERE kind = 4 AND state = 1
            AND (file IS NULL OR NOT EXISTS (SELECT 1 FROM file WHERE file.id = object.file)) LIMIT 1";
        self.0.prepare_cached(sql).and_then(|mut query| query.exists([])).map_err(read)
    }

    /// Finds the objects that lie in one file.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn objects_in(&self, file: i64) -> Result<Vec<i64>, IndexError> {
        let read = failed("list what lies in a file");
        let mut query = self.0.prepare_cached("SELECT id FROM object WHERE file = ?1 ORDER BY id").map_err(&read)?;
        query.query_map([file], |row| row.get(0)).map_err(&read)?.collect::<Result<_, _>>().map_err(&read)
    }

    /// Of names of files in a directory, sorted, gives those that have no row.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn without_row(&self, directory: super::Directory, names: &[OciDigest]) -> Result<Vec<OciDigest>, IndexError> {
        let read = failed("list files");
        let sql = "SELECT sha256 FROM file WHERE directory = ?1 ORDER BY sha256";
        let mut query = self.0.prepare_cached(sql).map_err(&read)?;
        let mut rows = query
            .query_map([directory as i64], |row| row.get::<_, [u8; 32]>(0).map(OciDigest::from_bytes))
            .map_err(&read)?;
        let mut next = rows.next().transpose().map_err(&read)?;
        let mut without = Vec::new();
        for name in names {
            while next.is_some_and(|known| known < *name) {
                next = rows.next().transpose().map_err(&read)?;
            }
            if next != Some(*name) {
                without.push(*name);
            }
        }
        Ok(without)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_fits_into_a_byte_and_comes_out_of_it() {
        for kind in 1..=7 {
            for state in [State::Live, State::Dead, State::Damaged] {
                for age in [Age::Old, Age::Young, Age::Future] {
                    let node = Node { kind, state, age };
                    assert_eq!(Packed::new(node).get(), node);
                }
            }
        }
    }

    #[test]
    fn places_and_targets_are_found_whatever_rows_are_missing() {
        let mut graph = Graph::default();
        let node = Node { kind: 2, state: State::Live, age: Age::Old };
        let ids = [3, 4, 5, 9, 200, 201];
        for id in ids {
            graph.add(id, node).unwrap();
        }
        // 1, 7 and 300 have no row.
        let edges = [(1, 3), (3, 9), (4, 7), (7, 3), (9, 3), (9, 200), (201, 300), (300, 3)];
        graph.add_edges(edges.into_iter().map(Ok)).unwrap();
        for (place, id) in ids.into_iter().enumerate() {
            assert_eq!(graph.place(id), Some(u32::try_from(place).unwrap()));
        }
        for id in [i64::MIN, 0, 2, 6, 8, 10, 199, 202, i64::MAX] {
            assert_eq!(graph.place(id), None, "{id}");
        }
        let targets: Vec<&[u32]> = (0..6).map(|place| graph.targets(place)).collect();
        assert_eq!(targets, [&[3][..], &[], &[], &[0, 4], &[], &[]]);
    }
}
