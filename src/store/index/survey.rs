//! A survey: does everything that rows name lie where they say, asked of the whole index in one pass.
//!
//! A quick look at a large store reads each table once, in the order in which it lies on the disk, and holds what it
//! reads against a list of the objects in memory ([`Graph`]). It says *that* something is wrong, and of which
//! objects; what exactly is asked of those alone afterwards, under the write lock.

use std::collections::{BTreeMap, BTreeSet};

use super::audit::CONTENT;
use super::object::FILE;
use super::rows::Rows;
use super::{Age, Counters, Directory, FileRow, Graph, IndexError, Kind, Node, Reader, State, failed};
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
    /// Whether the counters of objects say something else than the rows.
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

/// All files, by their rows.
struct Files {
    ids: Rows,
    rows: Vec<FileRow>,
}

impl Files {
    fn of(rows: Vec<FileRow>) -> Result<Self, IndexError> {
        Ok(Self { ids: rising(rows.iter().map(|row| Ok(row.id)))?, rows })
    }

    fn place(&self, id: i64) -> Option<usize> {
        self.ids.find(id)
    }
}

/// Takes rows that a query gives in their order.
fn rising(found: impl IntoIterator<Item = Result<i64, IndexError>>) -> Result<Rows, IndexError> {
    let mut rows = Rows::default();
    for row in found {
        if !rows.push(row?) {
            return Err(IndexError::Malformed("the rows of a table are not in their order"));
        }
    }
    Ok(rows)
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

    fn survey_objects(&self) -> Result<Surveyed, IndexError> {
        let read = failed("look at the objects");
        let files = Files::of(self.files()?)?;
        let origins = self.survey_ids("SELECT id FROM origin ORDER BY id")?;
        let mut surveyed =
            Surveyed { graph: Graph::default(), seen: Vec::new(), edges: Vec::new(), found: Survey::default() };
        let found = &mut surveyed.found;
        let mut counts: BTreeMap<(i64, i64), i64> = BTreeMap::new();
        let sql = "SELECT id, kind, state, file, origin, size, CASE kind WHEN 1 THEN key END FROM object ORDER BY id";
        let mut query = self.0.prepare(sql).map_err(&read)?;
        let mut rows = query.query([]).map_err(&read)?;
        while let Some(row) = rows.next().map_err(&read)? {
            let number = |column| row.get::<_, i64>(column).map_err(&read);
            let (id, kind, state) = (number(0)?, number(1)?, number(2)?);
            *counts.entry((kind, state)).or_insert(0) += 1;
            let kind = u8::try_from(kind).ok().filter(|kind| (1..=7).contains(kind));
            let kind = kind.ok_or(IndexError::Malformed("an object has an unknown kind"))?;
            let state = State::from_row(state)?;
            let file: Option<i64> = row.get(3).map_err(&read)?;
            let place = file.and_then(|file| files.place(file));
            found.is_dangling |= file.is_some() && place.is_none() || origins.find(number(4)?).is_none();
            found.objects += u64::from(state != State::Dead);
            let is_live = state == State::Live;
            let is_astray = || -> Result<bool, IndexError> {
                let Some(file) = place.map(|place| &files.rows[place]) else { return Ok(false) };
                let (size, key): (i64, Option<[u8; 32]>) = (number(5)?, row.get(6).map_err(&read)?);
                let is_named = key.is_some_and(|key| OciDigest::from_bytes(key) == file.sha256);
                Ok(file.directory != Directory::Sources || !is_named || file.stamp.size != size.cast_unsigned())
            };
            let is_suspect = state == State::Damaged
                || is_live && IN_FILES.contains(&kind) && file.is_none()
                || is_live && kind == Kind::Source as u8 && is_astray()?;
            if is_suspect {
                found.suspects.insert(id);
            }
            surveyed.graph.add(id, Node { kind, state, age: Age::Old })?;
        }
        found.is_miscounted = !self.counters()?.of_objects().differences(&Counters::counting(counts)).is_empty();
        surveyed.seen = vec![false; surveyed.graph.len()];
        surveyed.edges = vec![0; surveyed.graph.len()];
        Ok(surveyed)
    }

    fn survey_ids(&self, sql: &str) -> Result<Rows, IndexError> {
        let read = failed("list rows");
        let mut query = self.0.prepare(sql).map_err(&read)?;
        let ids = query.query_map([], |row| row.get(0)).map_err(&read)?;
        rising(ids.map(|id| id.map_err(&read)))
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
                surveyed.found.is_dangling |= !is_there || owners.find(owner).is_none();
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
