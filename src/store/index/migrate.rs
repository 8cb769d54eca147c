//! Formats of the index: which one this program writes, and how an older one becomes it.
//!
//! `PRAGMA user_version` is the format, and nothing else says it. It is looked at when an index is opened and again
//! inside every write, because another process may have moved it meanwhile. A migration is one transaction that
//! holds the write lock from its first statement: a process that is killed in the middle leaves the format that was
//! there. Foreign keys are off while tables are made anew, and checked as a whole before the commit.

use rusqlite::{Connection, TransactionBehavior};

use super::{IndexError, failed};

/// One numbered file of `store-schema/`: the format that it brings the index to, and how.
pub type Migration<'m> = (i64, &'m str);

/// The numbered files of `store-schema/`, in order. Format 1 was never released and is not read.
pub(super) const MIGRATIONS: &[Migration<'static>] = &[(2, include_str!("../../../store-schema/0002-init.sql"))];

/// The newest format that this program knows: that of its last migration.
pub const FORMAT: i64 = MIGRATIONS[MIGRATIONS.len() - 1].0;

/// The oldest format that can be brought to the newest one.
const OLDEST: i64 = MIGRATIONS[0].0;

/// Refuses formats that this program neither reads nor can bring forward.
pub(super) fn check_known(found: i64) -> Result<(), IndexError> {
    match found {
        _ if found > FORMAT => Err(IndexError::Newer { found, known: FORMAT }),
        _ if found < OLDEST => Err(IndexError::Older { found }),
        _ => Ok(()),
    }
}

/// Refuses any format but the newest, within a transaction.
pub(super) fn check_current(connection: &Connection) -> Result<(), IndexError> {
    let found = user_version(connection)?;
    if found == FORMAT { Ok(()) } else { check_known(found).and(Err(IndexError::Older { found })) }
}

fn user_version(connection: &Connection) -> Result<i64, IndexError> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(failed("read its format"))
}

/// Brings the schema to the format of the last of `migrations`, in one transaction.
///
/// `applied` is called before the commit: where a test ends the process.
pub(super) fn migrate(
    connection: &mut Connection,
    migrations: &[Migration<'_>],
    applied: impl Fn(),
) -> Result<(), IndexError> {
    let step = failed("change its format");
    let enforce = |connection: &Connection, on: bool| {
        connection.pragma_update(None, "foreign_keys", on).map_err(failed("change its format"))
    };
    // SQLite ignores this inside a transaction.
    enforce(connection, false)?;
    let moved = (|| {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(&step)?;
        let found = user_version(&transaction)?;
        let known = migrations.last().map_or(0, |(format, _)| *format);
        if found > known {
            return Err(IndexError::Newer { found, known });
        }
        for (_, sql) in migrations.iter().filter(|(format, _)| *format > found) {
            transaction.execute_batch(sql).map_err(&step)?;
        }
        applied();
        let dangling = transaction.prepare("PRAGMA foreign_key_check").and_then(|mut check| check.exists([]));
        if dangling.map_err(&step)? {
            return Err(IndexError::Malformed("rows name rows that are not there, so its format stays as it was"));
        }
        transaction.pragma_update(None, "user_version", known).map_err(&step)?;
        transaction.commit().map_err(&step)
    })();
    enforce(connection, true)?;
    moved
}

#[cfg(test)]
mod tests {
    use super::super::connect::{create, for_reading};
    use super::super::migrate_with;
    use super::*;

    #[test]
    fn a_migration_runs_once_however_many_open_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("index.db");
        create(&path).unwrap();
        let later = [(3, "CREATE TABLE later(id INTEGER PRIMARY KEY)")];
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| migrate_with(&path, &later, || ()).unwrap());
            }
        });
        let refused = super::super::Index::open(&path).err().unwrap();
        assert!(matches!(refused, IndexError::Newer { found: 3, known: 2 }), "{refused}");
        let broken = [later[0], (4, "CREATE TABLE third(id)"), (5, "no SQL")];
        assert!(migrate_with(&path, &broken, || ()).is_err());
        let tables = "SELECT count(*) FROM sqlite_schema WHERE name = 'third'";
        let left: i64 = for_reading(&path).unwrap().query_row(tables, [], |row| row.get(0)).unwrap();
        assert_eq!(left, 0, "a failed migration leaves nothing");
    }

    #[test]
    fn a_format_before_the_first_is_refused_with_a_sentence() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("index.db");
        create(&path).unwrap();
        for_reading(&path).unwrap().pragma_update(None, "user_version", 1).unwrap();
        let refused = super::super::Index::open(&path).err().unwrap();
        assert_eq!(
            refused.to_string(),
            "the index has format 1, which this program no longer reads: remove the store and add the packages again"
        );
    }

    #[test]
    fn a_writer_that_was_open_before_the_format_moved_writes_nothing_more() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("index.db");
        create(&path).unwrap();
        let index = super::super::Index::open(&path).unwrap();
        let write = || index.write(super::super::Commit::Durable, |writer| writer.origin("", "test"));
        write().unwrap();
        migrate_with(&path, &[(3, "ALTER TABLE object ADD COLUMN later INTEGER")], || ()).unwrap();
        assert!(matches!(write(), Err(IndexError::Newer { found: 3, known: 2 })));
    }

    #[test]
    fn a_migration_that_leaves_rows_dangling_is_taken_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("index.db");
        create(&path).unwrap();
        let dangling = "INSERT INTO root_target(root, object) VALUES (7, 7)";
        assert!(matches!(migrate_with(&path, &[(3, dangling)], || ()), Err(IndexError::Malformed(_))));
        assert_eq!(user_version(&for_reading(&path).unwrap()).unwrap(), 2);
    }
}
