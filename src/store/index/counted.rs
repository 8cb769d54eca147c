//! Counting again: what the counters and the table `content` should say, told from the rows.
//!
//! Objects are counted by whoever walks through them anyway, or in a walk of their own. What packages have in common
//! is sorted in memory, 40 bytes for each: grouped by SQLite, their rows would be read in the order of their trees,
//! which is no order on the disk, and each page many times.

use std::collections::BTreeMap;

use super::{Counters, IndexError, Reader, failed};

/// Totals that the rows of roots and files tell, with their names. Each in two parts, the upper and the lower 32 bits of
/// what is added up: a damaged row may say any size, and a sum in SQLite fails when it gets too large.
const COUNTED: &str = "SELECT 'root rows', 0, count(*) FROM root
    UNION ALL SELECT 'file bytes 1', sum(size >> 32), sum(size & 0xffffffff) FROM file WHERE directory = 1
    UNION ALL SELECT 'file bytes 2', sum(size >> 32), sum(size & 0xffffffff) FROM file WHERE directory = 2
    UNION ALL SELECT 'raw bytes', sum(raw_size >> 32), sum(raw_size & 0xffffffff) FROM file";

/// What the rows say that are no objects.
#[derive(Debug)]
pub struct Counted {
    /// The counters as they should be, those of objects left out.
    pub counters: Counters,
    /// Whether the rows of `content` are others than the packages make.
    pub is_content_wrong: bool,
}

/// What live packages have: the tree of each and the bytes of its content, sorted.
struct Contents {
    all: Vec<([u8; 32], i64)>,
    /// Bytes of the content of all packages, each counted.
    package_content: i128,
    /// Whether a row of a package could not be read as what it should be.
    is_damaged: bool,
}

impl Contents {
    /// Gives each tree once: how many packages have it, and the bytes of its content.
    fn trees(&self) -> impl Iterator<Item = ([u8; 32], i64, i64)> {
        let of_one = self.all.chunk_by(|(one, _), (other, _)| one == other);
        of_one.filter_map(|of| {
            let (tree, size) = *of.last()?;
            Some((tree, i64::try_from(of.len()).ok()?, size))
        })
    }
}

impl Reader<'_> {
    /// Counts again what the counters should say. Takes a walk through the tables.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn counted(&self) -> Result<Counters, IndexError> {
        Ok(self.counted_objects()?.and(self.counted_beside()?.counters))
    }

    /// Counts again how many objects there are of each kind and state.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn counted_objects(&self) -> Result<Counters, IndexError> {
        let read = failed("count");
        // Counted here: grouping a million rows would sort them first.
        let mut query = self.0.prepare_cached("SELECT kind, state FROM object ORDER BY id").map_err(&read)?;
        let mut rows = query.query([]).map_err(&read)?;
        let mut counts = BTreeMap::new();
        while let Some(row) = rows.next().map_err(&read)? {
            let kind_and_state: (i64, i64) = (row.get(0).map_err(&read)?, row.get(1).map_err(&read)?);
            *counts.entry(kind_and_state).or_insert(0) += 1;
        }
        Ok(Counters::counting(counts))
    }

    /// Counts again what is beside the objects.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn counted_beside(&self) -> Result<Counted, IndexError> {
        let mut counters = self.counters_by(COUNTED)?;
        let contents = self.contents()?;
        let unique: i128 = contents.trees().map(|(_, _, size)| i128::from(size)).sum();
        counters.set("package content".to_owned(), narrow(contents.package_content));
        counters.set("unique content".to_owned(), narrow(unique));
        Ok(Counted { counters, is_content_wrong: contents.is_damaged || !self.is_content(&contents)? })
    }

    fn contents(&self) -> Result<Contents, IndexError> {
        let read = failed("count");
        // Packages first, whatever SQLite thinks: of all objects they are the fewer.
        let sql = "SELECT tree, content_size FROM package CROSS JOIN object ON object.id = package.object
            WHERE state = 1";
        let mut query = self.0.prepare(sql).map_err(&read)?;
        let mut rows = query.query([]).map_err(&read)?;
        let mut contents = Contents { all: Vec::new(), package_content: 0, is_damaged: false };
        while let Some(row) = rows.next().map_err(&read)? {
            let size = row.get(1);
            contents.package_content += i128::from(*size.as_ref().unwrap_or(&0));
            match (row.get(0), size) {
                (Ok(tree), Ok(size)) => contents.all.push((tree, size)),
                _ => contents.is_damaged = true,
            }
        }
        contents.all.sort_unstable();
        Ok(contents)
    }

    /// Says whether the table `content` says just this.
    fn is_content(&self, contents: &Contents) -> Result<bool, IndexError> {
        let read = failed("count");
        let mut query = self.0.prepare("SELECT tree, packages, size FROM content ORDER BY tree").map_err(&read)?;
        let mut rows = query.query([]).map_err(&read)?;
        let mut trees = contents.trees();
        while let Some(row) = rows.next().map_err(&read)? {
            let found = match (row.get(0), row.get(1), row.get(2)) {
                (Ok(tree), Ok(packages), Ok(size)) => Some((tree, packages, size)),
                _ => None,
            };
            if found.is_none() || found != trees.next() {
                return Ok(false);
            }
        }
        Ok(trees.next().is_none())
    }
}

/// Ends a sum at the largest and the smallest number that a counter can have.
pub(super) fn narrow(value: i128) -> i64 {
    i64::try_from(value).unwrap_or(if value < 0 { i64::MIN } else { i64::MAX })
}
