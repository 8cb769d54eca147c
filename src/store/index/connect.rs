//! Connections: how the database is made, opened and set.
//!
//! Reading must be cheap (a warm compose is a millisecond in all), so a reading connection sets only
//! flags that cost no statement, and never folds the log into the database when it closes. The order
//! of settings at creation matters: the page size cannot change once the log is on.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};

use super::migrate::{MIGRATIONS, migrate};
use super::{Commit, IndexError, failed};

/// "dlst": tells our database from any other (`PRAGMA application_id`).
const APPLICATION_ID: i64 = 0x646c_7374;

/// Ten minutes: longer than anything here holds the lock.
const PATIENCE: Duration = Duration::from_secs(600);

/// How long somebody who waits for the lock sleeps before he asks again. SQLite's own pauses grow to 100 ms, and
/// whoever takes the lock often, for a moment each, would take it many times in between: a collector leaves it
/// alone for longer than this after each turn, so that nobody waits for many turns.
pub const ASK_AGAIN: Duration = Duration::from_millis(4);

/// A wait of two seconds is more than a publication takes; a longer one is told to people.
const WORDLESS: Duration = Duration::from_secs(2);

/// Longest path that SQLite opens on Unix (`MAX_PATHNAME` in its `os_unix.c`).
const MAX_PATH: usize = 512;

/// Waits for the lock, up to [`PATIENCE`].
fn wait(times: i32) -> bool {
    std::thread::sleep(ASK_AGAIN);
    ASK_AGAIN.saturating_mul(times.unsigned_abs()) < PATIENCE
}

/// 8 KiB pages: the knee for rows of some 10 KiB. Neither can be changed once the log is on.
const CREATE: &str = "PRAGMA page_size = 8192; PRAGMA auto_vacuum = INCREMENTAL;";

/// The log is folded into the database every 4,000 pages (32 MiB), and cut back to 64 MiB.
const WRITER: &str = "PRAGMA synchronous = FULL; PRAGMA cell_size_check = ON; PRAGMA temp_store = MEMORY;
    PRAGMA wal_autocheckpoint = 4000; PRAGMA journal_size_limit = 67108864;";

/// 8 pages (64 KiB): every process that starts reads and checks the log, and most of them write nothing.
const LONG_LOG: i64 = 8;

pub(super) fn create(path: &Path) -> Result<(), IndexError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(failed("be made"))?;
    let set = failed("be set up");
    // Each step would wait for the disk by itself; whoever makes it brings it to the disk at once.
    connection.pragma_update(None, "synchronous", "OFF").map_err(&set)?;
    connection.execute_batch(CREATE).map_err(&set)?;
    connection.pragma_update(None, "application_id", APPLICATION_ID).map_err(&set)?;
    migrate(&mut connection, MIGRATIONS, || ())?;
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).map_err(&set)?;
    if mode != "wal" {
        return Err(IndexError::NoWriteAheadLog(mode));
    }
    connection.close().map_err(|(_, error)| set(error))
}

pub(super) fn for_reading(path: &Path) -> Result<Connection, IndexError> {
    connect(path)
}

/// Opens a database that nobody changes and where nothing can be written.
pub(super) fn immutable(path: &Path) -> Result<Connection, IndexError> {
    let mut uri = String::from("file:");
    for byte in path.as_os_str().as_encoded_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(byte) {
            uri.push(char::from(*byte));
        } else {
            write!(uri, "%{byte:02X}").expect("writing into a string cannot fail");
        }
    }
    uri.push_str("?immutable=1");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(&uri, flags).map_err(failed("be opened"))?;
    settle(&mut connection)?;
    Ok(connection)
}

/// Refuses a path that SQLite could not open: with links followed, and room for the longest ending that it adds.
pub(super) fn check_path(path: &Path) -> Result<(), IndexError> {
    let most = MAX_PATH - "-journal".len();
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    // What is not there yet has no links: only what is above it.
    let real = whole.ancestors().find_map(|above| Some((above.canonicalize().ok()?, whole.strip_prefix(above).ok()?)));
    let whole = real.map_or_else(|| whole.clone(), |(above, below)| above.join(below));
    if whole.as_os_str().len() > most {
        return Err(IndexError::PathTooLong { path: whole, most });
    }
    Ok(())
}

pub(super) fn for_writing(path: &Path) -> Result<Connection, IndexError> {
    let connection = connect(path)?;
    connection.execute_batch(WRITER).map_err(failed("be set up for writing"))?;
    // `begin` waits in its own way, and says so; whatever else needs the lock waits in SQLite's.
    connection.busy_timeout(PATIENCE).map_err(failed("be set up for writing"))?;
    Ok(connection)
}

fn connect(path: &Path) -> Result<Connection, IndexError> {
    // A reader writes too: the shared memory of the log.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(failed("be opened"))?;
    settle(&mut connection)?;
    Ok(connection)
}

fn settle(connection: &mut Connection) -> Result<(), IndexError> {
    let set = failed("be set up");
    connection.busy_handler(Some(wait)).map_err(&set)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, true).map_err(&set)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true).map_err(&set)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false).map_err(&set)?;
    // Else a statement is prepared anew each time a key is bound to it: the planner asks whether the key could meet the
    // condition of a partial index, and from then on takes the plan for one of that key.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map_err(&set)?;
    // Folding the log at each close would sync, and removing it costs the next reader half a millisecond.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map_err(&set)?;
    Ok(())
}

/// Statements that a connection keeps prepared: more than there are.
const STATEMENTS: usize = 256;

/// Takes the write lock; `waiting` is called when that took two seconds, and then it is waited on.
pub(super) fn begin(connection: &Connection, waiting: impl FnOnce()) -> Result<Transaction<'_>, IndexError> {
    let refused = failed("take the write lock");
    let begun = Instant::now();
    let (mut waiting, mut has_waited) = (Some(waiting), false);
    connection.busy_timeout(Duration::ZERO).map_err(&refused)?;
    loop {
        match Transaction::new_unchecked(connection, TransactionBehavior::Immediate) {
            Err(error) if is_busy(&error) && begun.elapsed() < PATIENCE => {}
            outcome => {
                connection.busy_timeout(PATIENCE).map_err(&refused)?;
                if has_waited {
                    tracing::debug!("waited {} ms for the write lock", begun.elapsed().as_millis());
                }
                return outcome.map_err(refused);
            }
        }
        has_waited = true;
        if begun.elapsed() > WORDLESS
            && let Some(waiting) = waiting.take()
        {
            waiting();
        }
        std::thread::sleep(ASK_AGAIN);
    }
}

/// Takes the write lock if it is free; `None` when another process has it.
pub(super) fn begin_at_once(connection: &Connection) -> Result<Option<Transaction<'_>>, IndexError> {
    let refused = failed("take the write lock");
    connection.busy_timeout(Duration::ZERO).map_err(&refused)?;
    let begun = match Transaction::new_unchecked(connection, TransactionBehavior::Immediate) {
        Err(error) if is_busy(&error) => Ok(None),
        outcome => outcome.map(Some).map_err(&refused),
    };
    connection.busy_timeout(PATIENCE).map_err(&refused)?;
    begun
}

fn is_busy(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
}

pub(super) fn set_commit(connection: &Connection, commit: Commit) -> Result<(), IndexError> {
    let sql = match commit {
        Commit::Durable => "PRAGMA synchronous = FULL",
        Commit::Relaxed => "PRAGMA synchronous = NORMAL",
    };
    connection.execute_batch(sql).map_err(failed("set its durability"))
}

/// Checks that the database is ours, and gives its format.
pub(super) fn format_of(connection: &Connection, path: &Path) -> Result<i64, IndexError> {
    let read = |pragma: &str| connection.query_row(pragma, [], |row| row.get::<_, i64>(0));
    let application = match read("PRAGMA application_id") {
        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::NotADatabase) => {
            return Err(IndexError::Foreign(path.to_path_buf()));
        }
        outcome => outcome.map_err(failed("be read"))?,
    };
    if application != APPLICATION_ID {
        return Err(IndexError::Foreign(path.to_path_buf()));
    }
    read("PRAGMA user_version").map_err(failed("be read"))
}

/// Gives up to `pages` free pages back, in a transaction of its own; gives whether that did anything and there are
/// more: nothing is given back where the database was made anew without that setting.
pub(super) fn shrink(connection: &Connection, pages: u32) -> Result<bool, IndexError> {
    let step = failed("give pages back");
    let free = || connection.query_row("PRAGMA freelist_count", [], |row| row.get::<_, i64>(0)).map_err(&step);
    let before = free()?;
    // Each step of the statement frees one page: it has to be run to its end.
    let mut vacuum = connection.prepare(&format!("PRAGMA incremental_vacuum({pages})")).map_err(&step)?;
    let mut rows = vacuum.query([]).map_err(&step)?;
    while rows.next().map_err(&step)?.is_some() {}
    let left = free()?;
    Ok(0 < left && left < before)
}

/// Folds the log at the end of a writing process if it has grown long.
///
/// Folding waits for the disk as long as publishing does; not folding makes whoever opens the index
/// next read the log, a millisecond for each MiB.
pub(super) fn fold_long(connection: &Connection) -> Result<(), IndexError> {
    if length_of_log(connection)? > LONG_LOG { fold(connection) } else { Ok(()) }
}

/// Gives how many pages the log has.
fn length_of_log(connection: &Connection) -> Result<i64, IndexError> {
    connection.query_row("PRAGMA wal_checkpoint(NOOP)", [], |row| row.get(1)).map_err(failed("measure its log"))
}

/// Folds the log into the database and empties it, unless others use it just now.
pub(super) fn fold(connection: &Connection) -> Result<(), IndexError> {
    let step = failed("fold its log");
    // First without the write lock, so that what has to be done under it is little.
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())).map_err(&step)?;
    connection.busy_timeout(Duration::ZERO).map_err(&step)?;
    let folded = match connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())) {
        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy) => Ok(()),
        outcome => outcome.map_err(&step),
    };
    connection.busy_timeout(PATIENCE).map_err(&step)?;
    folded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binding_another_key_prepares_nothing_anew() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("index.db");
        create(&path).unwrap();
        let connection = for_writing(&path).unwrap();
        let sql = "SELECT id FROM object WHERE kind = 6 AND key = ?1 AND state = 1";
        let mut query = connection.prepare_cached(sql).unwrap();
        for key in [[1_u8; 32], [2; 32], [3; 32]] {
            assert!(query.query([key]).unwrap().next().unwrap().is_none());
        }
        assert_eq!(query.get_status(rusqlite::StatementStatus::RePrepare), 0);
    }

    /// Gives how often pages are given back before there is nothing more to do, and how many stay free.
    fn shrunk(settings: &str) -> (usize, i64) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("index.db");
        create(&path).unwrap();
        let connection = for_writing(&path).unwrap();
        connection.execute_batch(settings).unwrap();
        let fill = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40)
            INSERT INTO content SELECT randomblob(8000), 1, 1 FROM n; DELETE FROM content;";
        connection.execute_batch(fill).unwrap();
        let steps = (0..1000).take_while(|_| shrink(&connection, 8).unwrap()).count();
        (steps, connection.query_row("PRAGMA freelist_count", [], |row| row.get(0)).unwrap())
    }

    #[test]
    fn giving_pages_back_ends_also_where_the_database_keeps_them() {
        let (steps, left) = shrunk("");
        assert!(steps > 1 && left == 0, "{steps} {left}");
        let (steps, left) =
            shrunk("PRAGMA journal_mode = DELETE; PRAGMA auto_vacuum = 0; VACUUM; PRAGMA journal_mode = WAL;");
        assert!(steps == 0 && left > 1, "{steps} {left}");
    }

    #[test]
    fn an_index_is_made_with_the_settings_of_the_format() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("index.db");
        create(&path).unwrap();
        let connection = for_writing(&path).unwrap();
        let read = |pragma: &str| -> String {
            connection
                .query_row(&format!("PRAGMA {pragma}"), [], |row| row.get::<_, rusqlite::types::Value>(0))
                .map(|value| match value {
                    rusqlite::types::Value::Integer(number) => number.to_string(),
                    rusqlite::types::Value::Text(text) => text,
                    other => format!("{other:?}"),
                })
                .unwrap()
        };
        let settings = [
            ("page_size", "8192"),
            ("auto_vacuum", "2"),
            ("journal_mode", "wal"),
            ("synchronous", "2"),
            ("foreign_keys", "1"),
            ("cell_size_check", "1"),
            ("trusted_schema", "0"),
            ("user_version", "2"),
        ];
        for (pragma, value) in settings {
            assert_eq!(read(pragma), value, "{pragma}");
        }
    }

    #[test]
    fn what_is_not_ours_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let (text, other) = (directory.path().join("text"), directory.path().join("other"));
        std::fs::write(&text, "no database, but long enough to be one: ".repeat(400)).unwrap();
        Connection::open(&other).unwrap().execute_batch("CREATE TABLE t(a)").unwrap();
        for path in [text, other] {
            assert!(matches!(super::super::Index::open(&path), Err(IndexError::Foreign(_))), "{path:?}");
        }
    }
}
