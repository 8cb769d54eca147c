//! A survey: does everything that rows name lie where they say, asked of the whole index in one pass.
//!
//! A quick look at a large store reads each table once, in the order in which it lies on the disk, and holds what it
//! reads against a list of the objects in memory ([`Graph`]). It says *that* something is wrong, and of which
//! objects; what exactly is asked of those alone afterwards, under the write lock.

use std::collections::{BTreeMap, BTreeSet};

use super::audit::CONTENT;
use super::object::FILE;
use super::{Age, FileRow, Graph, IndexError, Kind, Node, Reader, State, failed};
use dlstore_model::digest::OciDigest;

/// What a survey found: what to look at closely.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// How many objects there are, dead ones left out.
    pub objects: u64,
    /// Rows of objects that are marked as damaged, or lack what an object of their kind has.
    pub suspects: BTreeSet<i64>,
    /// Whether rows name rows that are not there, or that are dead.
    pub is_dangling: bool,
    /// Whether there is content that belongs to no object of its kind.
    pub has_strays: bool,
    /// Whether the counters say something else than the rows.
    pub is_miscounted: bool,
}

/// Kinds whose bytes lie in a file.
const IN_FILES: [u8; 2] = [Kind::Source as u8, Kind::Pack as u8];

/// The objects while a survey goes on.
struct Surveyed {
    graph: Graph,
    /// Of each object, whether its content was seen.
    seen: Vec<bool>,
    /// Of each object, to how many others it refers, sources left out: a package may be without one.
    edges: Vec<u32>,
    found: Survey,
}

impl Reader<'_> {
    /// Looks at every row that says where something is; not at what the content says. Run it inside a snapshot.
    ///
    /// # Errors
    /// When a table cannot be read, or a row holds what this program never writes.
    pub fn survey(&self) -> Result<Survey, IndexError> {
        let mut surveyed = self.survey_objects()?;
        self.survey_edges(&mut surveyed)?;
        self.survey_claims(&mut surveyed)?;
        self.survey_content(&mut surveyed)?;
        Ok(surveyed.found)
    }

    /// Lists all files.
    ///
    /// # Errors
    /// When the index cannot be read, or one lies where no file can.
    pub fn files(&self) -> Result<Vec<FileRow>, IndexError> {
        let read = failed("list files");
        let mut query = self.0.prepare(&format!("SELECT {FILE} FROM file ORDER BY id")).map_err(&read)?;
        let rows = query.query_map([], FileRow::read).map_err(&read)?;
        rows.map(|row| row.map_err(&read)?).collect()
    }

    /// Lists sources whose files have a row, and that are no objects: their packages do not know that they are here.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn sources_without_object(&self) -> Result<Vec<OciDigest>, IndexError> {
        let read = failed("list sources");
        let sql = "SELECT sha256 FROM file
            WHERE directory = 2 AND NOT EXISTS (SELECT 1 FROM object WHERE object.file = file.id) ORDER BY id";
        let mut query = self.0.prepare(sql).map_err(&read)?;
        let rows = query.query_map([], |row| row.get(0).map(OciDigest::from_bytes)).map_err(&read)?;
        rows.collect::<Result<_, _>>().map_err(&read)
    }

    fn survey_objects(&self) -> Result<Surveyed, IndexError> {
        let read = failed("look at the objects");
        let ids = |sql: &str| self.survey_ids(sql);
        let (files, origins) = (ids("SELECT id FROM file ORDER BY id")?, ids("SELECT id FROM origin ORDER BY id")?);
        let is_in = |list: &[i64], id: i64| list.binary_search(&id).is_ok();
        let mut surveyed =
            Surveyed { graph: Graph::default(), seen: Vec::new(), edges: Vec::new(), found: Survey::default() };
        let found = &mut surveyed.found;
        let mut counts: BTreeMap<(i64, i64), i64> = BTreeMap::new();
        let mut query =
            self.0.prepare("SELECT id, kind, state, file, origin FROM object ORDER BY id").map_err(&read)?;
        let mut rows = query.query([]).map_err(&read)?;
        while let Some(row) = rows.next().map_err(&read)? {
            let number = |column| row.get::<_, i64>(column).map_err(&read);
            let (id, kind, state) = (number(0)?, number(1)?, number(2)?);
            *counts.entry((kind, state)).or_insert(0) += 1;
            let kind = u8::try_from(kind).ok().filter(|kind| (1..=7).contains(kind));
            let kind = kind.ok_or(IndexError::Malformed("an object has an unknown kind"))?;
            let state = State::from_row(state)?;
            let file: Option<i64> = row.get(3).map_err(&read)?;
            found.is_dangling |= file.is_some_and(|file| !is_in(&files, file)) || !is_in(&origins, number(4)?);
            found.objects += u64::from(state != State::Dead);
            let lacks_file = state == State::Live && IN_FILES.contains(&kind) && file.is_none();
            if lacks_file || state == State::Damaged {
                found.suspects.insert(id);
            }
            surveyed.graph.add(id, Node { kind, state, age: Age::Old })?;
        }
        found.is_miscounted = !self.counters()?.differences(&self.counted_beside(counts)?).is_empty();
        // By the index of keys: of all objects sources are the fewer.
        let astray = "SELECT object.id FROM object JOIN file ON file.id = object.file
            WHERE kind = 1 AND state = 1 AND (directory <> 2 OR sha256 <> key OR file.size <> object.size)";
        found.suspects.extend(self.survey_ids(astray)?);
        surveyed.seen = vec![false; surveyed.graph.len()];
        surveyed.edges = vec![0; surveyed.graph.len()];
        Ok(surveyed)
    }

    fn survey_ids(&self, sql: &str) -> Result<Vec<i64>, IndexError> {
        let read = failed("list rows");
        let mut query = self.0.prepare(sql).map_err(&read)?;
        query.query_map([], |row| row.get(0)).map_err(&read)?.collect::<Result<_, _>>().map_err(&read)
    }

    /// What a live object refers to is there, and not dead.
    fn survey_edges(&self, surveyed: &mut Surveyed) -> Result<(), IndexError> {
        let read = failed("look at what refers to what");
        let Surveyed { graph, edges, found, .. } = surveyed;
        let mut query = self.0.prepare("SELECT src, dst FROM edge ORDER BY src, dst").map_err(&read)?;
        let mut rows = query.query([]).map_err(&read)?;
        // All edges of an object come together.
        let mut last: Option<(i64, Option<u32>)> = None;
        while let Some(row) = rows.next().map_err(&read)? {
            let (src, dst): (i64, i64) = (row.get(0).map_err(&read)?, row.get(1).map_err(&read)?);
            let from = match last {
                Some((id, place)) if id == src => place,
                _ => graph.place(src),
            };
            last = Some((src, from));
            found.is_dangling |= match (from, graph.place(dst)) {
                (Some(from), Some(to)) => {
                    edges[from as usize] += u32::from(graph.node(to).kind != Kind::Source as u8);
                    !graph.is_dead(from) && graph.is_dead(to)
                }
                _ => true,
            };
        }
        self.survey_names(surveyed)
    }

    /// What a live object refers to is not less than what its row names. Layer trees of packs are left out: they need
    /// not be there.
    fn survey_names(&self, surveyed: &mut Surveyed) -> Result<(), IndexError> {
        let Surveyed { graph, edges, found, .. } = surveyed;
        let mut named = Vec::new();
        self.each_named(
            |kind| kind != Kind::Tree,
            |id, names| {
                let Some(place) = graph.place(id).filter(|place| graph.node(*place).state == State::Live) else {
                    return;
                };
                named.clear();
                named.extend(names.iter().copied().filter(|name| name.kind() != Kind::Source));
                named.sort_unstable();
                named.dedup();
                if (edges[place as usize] as usize) < named.len() {
                    found.suspects.insert(id);
                }
            },
        )
    }

    /// What roots keep and leases hold is there, and what roots keep is not dead.
    fn survey_claims(&self, surveyed: &mut Surveyed) -> Result<(), IndexError> {
        let read = failed("look at what is kept");
        for (owners, claims, may_be_dead) in [
            ("SELECT id FROM root ORDER BY id", "SELECT root, object FROM root_target", false),
            ("SELECT id FROM lease ORDER BY id", "SELECT lease, object FROM held", true),
        ] {
            let owners = self.survey_ids(owners)?;
            let mut query = self.0.prepare(claims).map_err(&read)?;
            let mut rows = query.query([]).map_err(&read)?;
            while let Some(row) = rows.next().map_err(&read)? {
                let (owner, object): (i64, i64) = (row.get(0).map_err(&read)?, row.get(1).map_err(&read)?);
                let state = surveyed.graph.place(object).map(|place| surveyed.graph.node(place).state);
                let is_there = state.is_some_and(|state| may_be_dead || state != State::Dead);
                surveyed.found.is_dangling |= !is_there || owners.binary_search(&owner).is_err();
            }
        }
        Ok(())
    }

    /// Content belongs to an object of its kind, and live objects have theirs.
    fn survey_content(&self, surveyed: &mut Surveyed) -> Result<(), IndexError> {
        let read = failed("look at what objects have");
        let Surveyed { graph, seen, found, .. } = surveyed;
        let mut kinds = BTreeSet::new();
        for (table, column, kind) in CONTENT {
            let is_own = column == "object";
            let mut query = self.0.prepare(&format!("SELECT {column} FROM {table}")).map_err(&read)?;
            let mut rows = query.query([]).map_err(&read)?;
            while let Some(row) = rows.next().map_err(&read)? {
                let place = graph.place(row.get(0).map_err(&read)?);
                match place.filter(|place| graph.node(*place).kind == kind as u8) {
                    Some(place) if is_own => seen[place as usize] = true,
                    Some(_) => {}
                    None => found.has_strays = true,
                }
            }
            kinds.insert(kind as u8);
        }
        for (place, seen) in (0_u32..).zip(seen.iter()) {
            let node = graph.node(place);
            if !seen && node.state == State::Live && kinds.contains(&node.kind) {
                found.suspects.insert(graph.id(place));
            }
        }
        Ok(())
    }
}
