//! The index: what a store knows, in SQLite. SQL is in this directory and nowhere else.
//!
//! The index knows rows, never files: it records *that* a file with a digest, a size and a stamp
//! belongs to an object, and leaves opening, renaming and unlinking to the floor above. The tables
//! are explained in `store-schema/README.md`.
//!
//! - Everything that can be kept or collected is an *object* ([`ObjectRef`]) with a state; what it
//!   refers to are *edges*. Live objects refer to live objects only: the invariant on which the
//!   collector stands.
//! - A read takes one connection out of a small pool and gives it back before it returns, so no read
//!   transaction outlives one step and threads do not wait for each other.
//! - A write holds the one writing connection of the process and begins IMMEDIATE: whoever writes
//!   holds SQLite's write lock from its first statement to its commit, across all processes.
//!
//! [`Reader`] and [`Writer`] are what a step is given; their methods are spread over the files here
//! by subject.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use rusqlite::Connection;

mod audit;
mod check;
mod claim;
mod connect;
mod content;
mod counted;
mod counter;
mod dead;
mod diagnose;
mod graph;
mod lease_name;
mod migrate;
mod misfiled;
mod name;
mod named;
mod number;
mod object;
mod package;
mod rows;
mod stray;
mod survey;

pub use audit::{Audit, RawObject};
pub use check::Dangling;
pub use claim::{LeaseRow, RootRow};
pub use connect::ASK_AGAIN;
pub use content::{ActionRow, PackRow, TreeRow};
pub use counted::Counted;
pub use counter::{Counters, JournalEnd, Totals};
pub use dead::{Listed, Removal};
pub use graph::{Age, Graph, Node, ObjectNode, RootNode};
pub use lease_name::LeaseName;
pub use migrate::{FORMAT, Migration};
pub use misfiled::Misfiled;
pub use name::{NameList, Named};
pub use object::{Directory, FileRow, Kind, NewObject, ObjectRef, ObjectRow, Place, State};
pub use package::{FactRef, PackageRecord, PackageRow};
pub use stray::Stray;
pub use survey::Survey;

use dlstore_model::escape::Escaped;

/// Connections that are kept open for reading while nobody uses them.
const IDLE_READERS: usize = 8;

/// Tells why the index did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// SQLite said no.
    #[error("the index cannot {attempt}")]
    Sqlite {
        /// What was attempted, as a verb.
        attempt: &'static str,
        /// What SQLite said.
        #[source]
        source: rusqlite::Error,
    },
    /// A row holds what this program never writes.
    #[error("the index is damaged: {0}")]
    Malformed(&'static str),
    /// A newer program changed the format.
    #[error("the index has format {found}, this program knows formats up to {known}: use a newer dlstore")]
    Newer {
        /// The format of the index.
        found: i64,
        /// The newest format that this program knows.
        known: i64,
    },
    /// The format of a program that was never released.
    #[error(
        "the index has format {found}, which this program no longer reads: remove the store and add the packages again"
    )]
    Older {
        /// The format of the index.
        found: i64,
    },
    /// An SQLite database of another program, or none at all.
    #[error("{} is not the index of a dlstore store", Escaped::path(.0))]
    Foreign(PathBuf),
    /// The database, or a file that SQLite keeps beside it, is not there or not a file.
    #[error("{} does not exist or is not a file", Escaped::path(.0))]
    NoFile(PathBuf),
    /// The path of the index is longer than SQLite takes.
    #[error(
        "the path {} is too long for SQLite, which takes {most} bytes: use a directory with a shorter path",
        Escaped::path(path)
    )]
    PathTooLong {
        /// The path.
        path: PathBuf,
        /// The most bytes that it may have.
        most: usize,
    },
    /// A write to an index that was opened for reading only.
    #[error("the index was opened for reading only")]
    ReadOnly,
    /// The write-ahead log, on which everything rests, cannot be had.
    #[error("the index cannot use a write-ahead log here (SQLite chose the journal mode {0:?})")]
    NoWriteAheadLog(String),
}

impl IndexError {
    /// Says whether the disk is full.
    #[must_use]
    pub fn is_full(&self) -> bool {
        let Self::Sqlite { source, .. } = self else { return false };
        // The memory that connections share grows by a write of its own, which has an error of its own.
        source.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull)
            || source.sqlite_error().is_some_and(|error| error.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE)
    }

    /// Says whether the database itself is damaged, so that only making it again helps.
    #[must_use]
    pub fn is_corrupt(&self) -> bool {
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
        match self {
            Self::Sqlite { source, .. } => {
                matches!(source.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase))
            }
            Self::Malformed(_) => true,
            _ => false,
        }
    }

    /// Says whether rows, or the file that they lie in, are the reason, and not the place or another process.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        use rusqlite::Error::{
            FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType, SqlInputError, Utf8Error,
        };
        use rusqlite::ErrorCode::{ConstraintViolation, SystemIoFailure, TypeMismatch, Unknown};
        match self {
            Self::Sqlite { source, .. } => match source {
                // All SQL is ours: what it does not fit is a schema that is not whole.
                FromSqlConversionFailure(..)
                | IntegralValueOutOfRange(..)
                | InvalidColumnType(..)
                | SqlInputError { .. }
                | Utf8Error(..) => true,
                // `Unknown` is what SQLite says of a table that is not there: ours are, in a schema that is whole.
                source => {
                    let code = source.sqlite_error_code();
                    matches!(code, Some(Unknown | TypeMismatch | ConstraintViolation | SystemIoFailure))
                        || self.is_corrupt()
                }
            },
            _ => self.is_corrupt(),
        }
    }
}

pub(crate) fn failed(attempt: &'static str) -> impl Fn(rusqlite::Error) -> IndexError {
    move |source| IndexError::Sqlite { attempt, source }
}

/// Whether a write has to survive a power cut before it returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Commit {
    /// Yes: `synchronous=FULL`.
    Durable,
    /// No: it may be rolled back whole, which is harmless for claims of a process that is dead then,
    /// and for rows of files that are already gone.
    Relaxed,
}

/// An open index.
pub struct Index {
    path: PathBuf,
    mode: Mode,
    readers: Mutex<Vec<Connection>>,
    writer: Mutex<Option<WriteConnection>>,
    /// What is called when a write has waited for a while.
    waiting: OnceLock<Waiting>,
}

/// How connections are opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// For reading and writing.
    Shared,
    /// For reading a file that nobody changes.
    Immutable,
    /// For reading a copy of one's own.
    Copied,
}

/// Tells somebody that a write waits.
type Waiting = Box<dyn Fn() + Send + Sync>;

struct WriteConnection {
    connection: Connection,
    commit: Commit,
}

/// One step of reading.
pub struct Reader<'a>(pub(crate) &'a Connection);

/// One step of writing, all or nothing. Reads what it wrote.
pub struct Writer<'a>(Reader<'a>);

impl<'a> std::ops::Deref for Writer<'a> {
    type Target = Reader<'a>;

    fn deref(&self) -> &Reader<'a> {
        &self.0
    }
}

impl Index {
    /// Makes an index where none is. The caller keeps others from doing the same, and brings it to the disk.
    ///
    /// # Errors
    /// When SQLite refuses, or the file system cannot carry a write-ahead log.
    pub fn create(path: &Path) -> Result<(), IndexError> {
        connect::create(path)
    }

    /// Opens an index for reading and, on the first write, for writing.
    ///
    /// # Errors
    /// When it is not there, not ours, or of a newer format.
    pub fn open(path: &Path) -> Result<Self, IndexError> {
        let (index, connection) = Self::connected(path, Mode::Shared)?;
        let found = connect::format_of(&connection, path)?;
        migrate::check_known(found)?;
        if found < FORMAT {
            migrate::migrate(&mut connect::for_writing(path)?, migrate::MIGRATIONS, || ())?;
        }
        lock(&index.readers).push(connection);
        Ok(index)
    }

    /// Opens an index that nobody changes, where nothing can be written: without locks, log and shared memory.
    ///
    /// # Errors
    /// As [`Index::open`], and when its format is an older one.
    pub fn open_immutable(path: &Path) -> Result<Self, IndexError> {
        Self::open_for_reading(path, Mode::Immutable)
    }

    /// Opens a copy of an index, for reading: what is written to a copy is lost.
    ///
    /// # Errors
    /// As [`Index::open`], and when its format is an older one.
    pub fn open_copied(path: &Path) -> Result<Self, IndexError> {
        Self::open_for_reading(path, Mode::Copied)
    }

    fn open_for_reading(path: &Path, mode: Mode) -> Result<Self, IndexError> {
        let (index, connection) = Self::connected(path, mode)?;
        migrate::check_known(connect::format_of(&connection, path)?)?;
        migrate::check_current(&connection)?;
        lock(&index.readers).push(connection);
        Ok(index)
    }

    fn connected(path: &Path, mode: Mode) -> Result<(Self, Connection), IndexError> {
        let index = Self {
            path: path.to_path_buf(),
            mode,
            readers: Mutex::new(Vec::new()),
            writer: Mutex::new(None),
            waiting: OnceLock::new(),
        };
        let connection = index.connect()?;
        Ok((index, connection))
    }

    fn connect(&self) -> Result<Connection, IndexError> {
        match self.mode {
            Mode::Shared | Mode::Copied => connect::for_reading(&self.path),
            Mode::Immutable => connect::immutable(&self.path),
        }
    }

    /// Refuses a path that SQLite could not open.
    ///
    /// # Errors
    /// [`IndexError::PathTooLong`].
    pub fn check_path(path: &Path) -> Result<(), IndexError> {
        connect::check_path(path)
    }

    /// Says what is called, once for each write, when it has waited two seconds for the lock. The first one counts.
    pub fn when_waiting(&self, call: impl Fn() + Send + Sync + 'static) {
        let _first_counts = self.waiting.set(Box::new(call));
    }

    /// Runs one step of reading.
    ///
    /// # Errors
    /// What the step gives.
    pub fn read<T, E: From<IndexError>>(&self, step: impl FnOnce(&Reader<'_>) -> Result<T, E>) -> Result<T, E> {
        let idle = lock(&self.readers).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => self.connect()?,
        };
        let outcome = step(&Reader(&connection));
        let mut readers = lock(&self.readers);
        if readers.len() < IDLE_READERS {
            readers.push(connection);
        }
        outcome
    }

    /// Runs one step of reading in which all statements see the same state.
    ///
    /// # Errors
    /// What the step gives.
    pub fn snapshot<T, E: From<IndexError>>(&self, step: impl FnOnce(&Reader<'_>) -> Result<T, E>) -> Result<T, E> {
        self.read(|reader| {
            let transaction = reader.0.unchecked_transaction().map_err(failed("begin reading"))?;
            let outcome = step(&Reader(&transaction))?;
            transaction.finish().map_err(failed("end reading"))?;
            Ok(outcome)
        })
    }

    /// Runs one step of writing under SQLite's write lock; nothing is kept when the step fails.
    ///
    /// # Errors
    /// What the step gives, or that the lock or the commit failed.
    pub fn write<T, E: From<IndexError>>(
        &self,
        commit: Commit,
        step: impl FnOnce(&Writer<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut guard = lock(&self.writer);
        let writer = self.writer(&mut guard, commit)?;
        let transaction = connect::begin(&writer.connection, || {
            if let Some(waiting) = self.waiting.get() {
                waiting();
            }
        })?;
        // Another process may have moved the format since this one opened the index.
        migrate::check_current(&transaction)?;
        let outcome = step(&Writer(Reader(&transaction)))?;
        transaction.commit().map_err(failed("commit"))?;
        Ok(outcome)
    }

    /// Runs one step of writing if nobody else is writing at this moment; `None` when somebody is.
    ///
    /// # Errors
    /// What the step gives, or that the commit failed.
    pub fn write_at_once<T>(
        &self,
        step: impl FnOnce(&Writer<'_>) -> Result<T, IndexError>,
    ) -> Result<Option<T>, IndexError> {
        let Ok(mut guard) = Mutex::try_lock(&self.writer) else { return Ok(None) };
        let writer = self.writer(&mut guard, Commit::Relaxed)?;
        let Some(transaction) = connect::begin_at_once(&writer.connection)? else { return Ok(None) };
        migrate::check_current(&transaction)?;
        let outcome = step(&Writer(Reader(&transaction)))?;
        transaction.commit().map_err(failed("commit"))?;
        Ok(Some(outcome))
    }

    /// Gives the writing connection, made when there is none, with the durability that is asked for.
    fn writer<'g>(
        &self,
        guard: &'g mut Option<WriteConnection>,
        commit: Commit,
    ) -> Result<&'g mut WriteConnection, IndexError> {
        if self.mode != Mode::Shared {
            return Err(IndexError::ReadOnly);
        }
        let writer = match guard {
            Some(writer) => writer,
            None => {
                guard.insert(WriteConnection { connection: connect::for_writing(&self.path)?, commit: Commit::Durable })
            }
        };
        if writer.commit != commit {
            connect::set_commit(&writer.connection, commit)?;
            writer.commit = commit;
        }
        Ok(writer)
    }

    /// Lets go of all connections: the files can be renamed then. Whoever asks again opens new ones.
    pub fn close(&self) {
        lock(&self.readers).clear();
        lock(&self.writer).take();
    }

    /// Gives up to so many pages of removed rows back to the file system; gives whether there are more.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn shrink(&self, pages: u32) -> Result<bool, IndexError> {
        self.with_writer(|connection| connect::shrink(connection, pages))
    }

    /// Folds the write-ahead log into the database and empties it, as far as others let it.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn fold(&self) -> Result<(), IndexError> {
        self.with_writer(connect::fold)
    }

    fn with_writer<T>(&self, step: impl FnOnce(&Connection) -> Result<T, IndexError>) -> Result<T, IndexError> {
        let mut guard = lock(&self.writer);
        let writer = self.writer(&mut guard, Commit::Durable)?;
        step(&writer.connection)
    }
}

/// Brings an index to a format that this program does not have, and calls `applied` before the commit: for tests of
/// migrations.
///
/// # Errors
/// When a migration fails; the index is then as it was.
#[doc(hidden)]
pub fn migrate_with(path: &Path, later: &[Migration<'_>], applied: impl Fn()) -> Result<(), IndexError> {
    let all: Vec<Migration<'_>> = migrate::MIGRATIONS.iter().chain(later).copied().collect();
    migrate::migrate(&mut connect::for_writing(path)?, &all, applied)
}

impl Drop for Index {
    fn drop(&mut self) {
        if let Some(writer) = lock(&self.writer).as_ref() {
            // A log that stays costs the next opener a little time and nobody any data.
            let _stays = connect::fold_long(&writer.connection);
        }
    }
}

/// A panic in another thread leaves a connection usable: its transaction was rolled back.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
