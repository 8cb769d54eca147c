//! Counters: totals that are kept, so that nobody has to walk through a hundred thousand rows for them.
//!
//! Triggers of the schema keep them (`store-schema/0002-init.sql` says which there are). They could have been
//! kept by the writers here; but rows also leave by cascades, and come by migrations, and a trigger sees all of
//! that in the same transaction, for a microsecond each. They decide nothing: what they say is shown to people,
//! compared with the rows by whoever verifies, and set right by the collector.

use std::collections::BTreeMap;

use rusqlite::OptionalExtension as _;

use super::counted::narrow;
use super::{IndexError, Kind, Reader, State, Writer, failed};

/// Totals by name; those that are 0 are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters(BTreeMap<String, i64>);

/// The counters that triggers change and never make.
const MADE: [&str; 6] = ["root rows", "file bytes 1", "file bytes 2", "raw bytes", "package content", "unique content"];

/// How the names of the counters of objects begin; kind and state follow.
const OBJECTS: &str = "objects ";

/// What a counter is called whose name is no text.
const NAMELESS: &str = "a counter without a name";

/// The rows of `content` that the packages make.
const COUNTED_CONTENT: &str = "SELECT tree, count(*), max(content_size)
    FROM package CROSS JOIN object ON object.id = package.object WHERE state = 1 GROUP BY tree";

/// The counters that tell what happened and not what is there.
const EVENTS: [&str; 4] = ["roots", "collections", JOURNAL_MARK, JOURNAL_LENGTH];

/// By what the roots' journal is known, and how long it is by what was committed.
const JOURNAL_MARK: &str = "journal mark";
const JOURNAL_LENGTH: &str = "journal length";

/// Where the roots' journal ends by what was committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalEnd {
    /// The first 63 bits of the BLAKE3 of up to 4,096 bytes before its end.
    pub mark: u64,
    /// Its length in bytes.
    pub length: u64,
}

/// Counts and sums over live objects.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Live objects by kind, in the order of [`Kind`].
    pub objects: [u64; 7],
    /// Roots.
    pub roots: u64,
    /// Dead objects whose rows were not removed yet.
    pub dead: u64,
    /// Damaged objects.
    pub damaged: u64,
    /// Content bytes of all packages, each counted.
    pub package_content: u64,
    /// Raw bytes of the layers in `packs/`, each file counted once.
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

impl Counters {
    /// Gives how many objects there are, in any state.
    #[must_use]
    pub fn objects(&self) -> u64 {
        let counts = self.0.iter().filter(|(name, _)| name.starts_with(OBJECTS));
        counts.map(|(_, value)| value.max(&0).cast_unsigned()).fold(0, u64::saturating_add)
    }

    /// Takes the totals apart.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let value = |name: &str| self.0.get(name).map_or(0, |value| value.max(&0).cast_unsigned());
        let in_state = |state: State| {
            (1..=7).map(|kind| value(&format!("{OBJECTS}{kind} {}", state as i64))).fold(0, u64::saturating_add)
        };
        let mut objects = [0; 7];
        for (at, place) in objects.iter_mut().enumerate() {
            *place = value(&format!("{OBJECTS}{} {}", at + 1, State::Live as i64));
        }
        Totals {
            objects,
            roots: value("root rows"),
            dead: in_state(State::Dead),
            damaged: in_state(State::Damaged),
            package_content: value("package content"),
            raw_packs: value("raw bytes"),
            unique_content: value("unique content"),
            pack_files: value("file bytes 1"),
            source_files: value("file bytes 2"),
        }
    }

    /// Says where two disagree, each as `name: this instead of that`.
    #[must_use]
    pub fn differences(&self, counted: &Self) -> Vec<String> {
        let names: std::collections::BTreeSet<&String> = self.0.keys().chain(counted.0.keys()).collect();
        let value = |of: &Self, name: &str| of.0.get(name).copied().unwrap_or(0);
        let different = names.into_iter().filter(|name| value(self, name) != value(counted, name));
        different.map(|name| format!("{name}: {} instead of {}", value(self, name), value(counted, name))).collect()
    }

    /// Makes the counters of objects out of how many there are of each kind and state.
    #[must_use]
    pub fn counting(objects: impl IntoIterator<Item = ((i64, i64), i64)>) -> Self {
        let mut counters = Self::default();
        for ((kind, state), count) in objects {
            counters.set(format!("{OBJECTS}{kind} {state}"), count);
        }
        counters
    }

    /// Puts two together that count different things.
    pub(super) fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// Leaves out all but those of objects.
    #[must_use]
    pub fn of_objects(mut self) -> Self {
        self.0.retain(|name, _| name.starts_with(OBJECTS));
        self
    }

    /// Leaves out those of objects.
    #[must_use]
    pub fn beside_objects(mut self) -> Self {
        self.0.retain(|name, _| !name.starts_with(OBJECTS));
        self
    }

    pub(super) fn set(&mut self, name: String, value: i64) {
        if value != 0 && !EVENTS.contains(&name.as_str()) {
            self.0.insert(name, value);
        }
    }
}

impl Reader<'_> {
    /// Reads the counters, those of events left out.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn counters(&self) -> Result<Counters, IndexError> {
        self.counters_by("SELECT name, 0, value FROM counter")
    }

    pub(super) fn counters_by(&self, sql: &str) -> Result<Counters, IndexError> {
        let read = failed("count");
        let mut query = self.0.prepare_cached(sql).map_err(&read)?;
        let part = |row: &rusqlite::Row<'_>, column: usize| {
            row.get::<_, Option<i64>>(column).map(|part| i128::from(part.unwrap_or(0)))
        };
        let rows = query
            .query_map([], |row| {
                Ok((row.get_ref(0)?.as_str().ok().map(str::to_owned), (part(row, 1)? << 32) + part(row, 2)?))
            })
            .map_err(&read)?;
        let mut counters = Counters::default();
        for row in rows {
            let (name, value) = row.map_err(&read)?;
            match name {
                Some(name) => counters.set(name, narrow(value)),
                // Whatever it counted: it is one too many.
                None => counters.set(NAMELESS.to_owned(), 1),
            }
        }
        Ok(counters)
    }

    /// Gives where the roots' journal ends by what was committed; `None` when no commit says it.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn journal_end(&self) -> Result<Option<JournalEnd>, IndexError> {
        let read = failed("read where the journal ends");
        let sql = "SELECT mark.value, length.value FROM counter AS mark JOIN counter AS length
            WHERE mark.name = ?1 AND length.name = ?2";
        let mut query = self.0.prepare_cached(sql).map_err(&read)?;
        let found = query.query_row([JOURNAL_MARK, JOURNAL_LENGTH], |row| {
            let number = |column| row.get::<_, i64>(column).map(i64::cast_unsigned);
            Ok(JournalEnd { mark: number(0)?, length: number(1)? })
        });
        found.optional().map_err(&read)
    }

    /// Gives counts and sums, as they are kept.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn totals(&self) -> Result<Totals, IndexError> {
        Ok(self.counters()?.totals())
    }
}

impl Writer<'_> {
    /// Sets the counters right.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn recount(&self) -> Result<(), IndexError> {
        let write = failed("count again");
        let connection = self.0.0;
        let mut events = Vec::new();
        for name in EVENTS {
            let mut query = connection.prepare_cached("SELECT value FROM counter WHERE name = ?1").map_err(&write)?;
            let value: Option<i64> = query.query_row([name], |row| row.get(0)).optional().map_err(&write)?;
            events.extend(value.map(|value| (name, value)));
        }
        // The counters first, all of them: triggers find none then that they could make too large or too small.
        connection.execute("DELETE FROM counter", []).map_err(&write)?;
        let sql = format!("DELETE FROM content; INSERT INTO content {COUNTED_CONTENT};");
        connection.execute_batch(&sql).map_err(&write)?;
        let sql = "INSERT INTO counter VALUES (?1, ?2) ON CONFLICT(name) DO UPDATE SET value = excluded.value";
        let mut insert = connection.prepare_cached(sql).map_err(&write)?;
        let counted = self.counted()?.0;
        let counted = counted.iter().map(|(name, value)| (name.as_str(), *value));
        for (name, value) in MADE.map(|name| (name, 0)).into_iter().chain(counted).chain(events) {
            insert.execute(rusqlite::params![name, value]).map_err(&write)?;
        }
        Ok(())
    }

    /// Says where the roots' journal ends.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn set_journal_end(&self, end: JournalEnd) -> Result<(), IndexError> {
        let write = failed("say where the journal ends");
        let sql = "INSERT INTO counter VALUES (?1, ?2) ON CONFLICT(name) DO UPDATE SET value = excluded.value";
        let mut query = self.0.0.prepare_cached(sql).map_err(&write)?;
        for (name, value) in [(JOURNAL_MARK, end.mark), (JOURNAL_LENGTH, end.length)] {
            query.execute(rusqlite::params![name, value.cast_signed()]).map_err(&write)?;
        }
        Ok(())
    }

    /// Counts a collection that marked something: a change that can be waited for. Behind the largest number comes the
    /// first one.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn count_collection(&self) -> Result<(), IndexError> {
        let sql = "INSERT INTO counter VALUES ('collections', 1) ON CONFLICT(name) DO UPDATE
            SET value = CASE WHEN value BETWEEN 0 AND 0x7ffffffffffffffe THEN value + 1 ELSE 1 END";
        self.0.0.execute(sql, []).map(|_| ()).map_err(failed("count a collection"))
    }
}
