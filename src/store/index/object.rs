//! Objects: what can be kept, collected and referred to; and the files that some of them lie in.
//!
//! An object is live or dead; only the collector buries, and only a publication revives. Its number is
//! never given twice, so an edge cannot come to mean something else.

use rusqlite::{OptionalExtension as _, Row, params};

use super::{IndexError, Reader, Writer, failed};
use dlstore_fsx::file::Stamp;
use dlstore_model::digest::{ActionKey, Digest, OciDigest};

/// Anything that gc can keep or collect, and that something else can refer to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectRef {
    /// A kept source by its SHA-256.
    Source(OciDigest),
    /// A tree by its name; its facts go with it.
    Tree(Digest),
    /// A package: source it came from.
    Package(OciDigest),
    /// A pack by its key.
    Pack(ActionKey),
    /// A remembered outcome.
    Action(ActionKey),
    /// A small blob kept in the index (config, manifest, index).
    Blob(OciDigest),
}

/// The kind of an object without its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A kept source.
    Source = 1,
    /// A tree.
    Tree = 2,
    /// A package.
    Package = 3,
    /// A pack.
    Pack = 4,
    /// A remembered outcome.
    Action = 5,
    /// A small blob.
    Blob = 6,
}

impl Kind {
    /// Gives the word for messages and listings.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Tree => "tree",
            Self::Package => "package",
            Self::Pack => "pack",
            Self::Action => "action",
            Self::Blob => "blob",
        }
    }
}

impl ObjectRef {
    /// Gives the kind.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Source(_) => Kind::Source,
            Self::Tree(_) => Kind::Tree,
            Self::Package(_) => Kind::Package,
            Self::Pack(_) => Kind::Pack,
            Self::Action(_) => Kind::Action,
            Self::Blob(_) => Kind::Blob,
        }
    }

    /// Gives the 32 bytes that name it among its kind.
    #[must_use]
    pub const fn key(&self) -> &[u8; 32] {
        match self {
            Self::Source(name) | Self::Package(name) | Self::Blob(name) => name.as_bytes(),
            Self::Tree(name) => name.as_bytes(),
            Self::Pack(key) | Self::Action(key) => key.as_bytes(),
        }
    }

    pub(super) fn from_row(kind: i64, key: [u8; 32]) -> Result<Self, IndexError> {
        Ok(match kind {
            1 => Self::Source(OciDigest::from_bytes(key)),
            2 => Self::Tree(Digest::from_bytes(key)),
            3 => Self::Package(OciDigest::from_bytes(key)),
            4 => Self::Pack(ActionKey::from_bytes(key)),
            5 => Self::Action(ActionKey::from_bytes(key)),
            6 => Self::Blob(OciDigest::from_bytes(key)),
            _ => return Err(IndexError::Malformed("an object has an unknown kind")),
        })
    }
}

/// Writes kind and name: `tree 4ae3..`, all digits.
impl std::fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.kind().name(), dlstore_model::digest::to_hex(self.key()))
    }
}

/// What may be done with an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// It is whole, and so is everything that it refers to.
    Live = 1,
    /// Nobody can reach it; readers do not see it; the collector removes it, a writer may revive it.
    Dead = 2,
    /// Its bytes were found bad; readers do not see it; a writer heals it.
    Damaged = 3,
}

impl State {
    pub(super) const fn from_row(state: i64) -> Result<Self, IndexError> {
        match state {
            1 => Ok(Self::Live),
            2 => Ok(Self::Dead),
            3 => Ok(Self::Damaged),
            _ => Err(IndexError::Malformed("an object has an unknown state")),
        }
    }
}

/// The folders that hold files by their SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Folder {
    /// `packs/`.
    Packs = 1,
    /// `sources/`.
    Sources = 2,
}

impl Folder {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Packs, Self::Sources];

    pub(super) const fn from_row(folder: i64) -> Result<Self, IndexError> {
        match folder {
            1 => Ok(Self::Packs),
            2 => Ok(Self::Sources),
            _ => Err(IndexError::Malformed("a file lies in an unknown folder")),
        }
    }
}

/// A file as it was recorded when it was published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileRow {
    /// Its row.
    pub id: i64,
    /// Where it lies.
    pub folder: Folder,
    /// Its name.
    pub sha256: OciDigest,
    /// What it looked like.
    pub stamp: Stamp,
}

impl FileRow {
    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<(i64, i64, [u8; 32], i64, i64, i64)> {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
    }

    pub(super) fn parse(
        (id, folder, sha256, size, inode, mtime_ns): (i64, i64, [u8; 32], i64, i64, i64),
    ) -> Result<Self, IndexError> {
        let stamp = Stamp { inode: inode.cast_unsigned(), size: size.cast_unsigned(), mtime_ns };
        Ok(Self { id, folder: Folder::from_row(folder)?, sha256: OciDigest::from_bytes(sha256), stamp })
    }
}

/// An object's own row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObjectRow {
    /// Its row; never used for another object.
    pub id: i64,
    /// What may be done with it.
    pub state: State,
    /// Bytes that it takes, in its file or its rows.
    pub size: u64,
    /// The row of its file.
    pub file: Option<i64>,
}

impl Reader<'_> {
    /// Finds an object in any state.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn object(&self, object: &ObjectRef) -> Result<Option<ObjectRow>, IndexError> {
        let read = failed("look up an object");
        let mut query = self
            .0
            .prepare_cached("SELECT id, state, size, file FROM object WHERE kind = ?1 AND key = ?2")
            .map_err(&read)?;
        let found = query
            .query_row(params![object.kind() as i64, object.key()], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?, row.get(3)?))
            })
            .optional()
            .map_err(&read)?;
        found
            .map(|(id, state, size, file)| {
                Ok(ObjectRow { id, state: State::from_row(state)?, size: size.cast_unsigned(), file })
            })
            .transpose()
    }

    /// Finds an object that is live.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn live(&self, object: &ObjectRef) -> Result<Option<ObjectRow>, IndexError> {
        Ok(self.object(object)?.filter(|row| row.state == State::Live))
    }

    /// Finds a file by its folder and name.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn file(&self, folder: Folder, sha256: &OciDigest) -> Result<Option<FileRow>, IndexError> {
        let read = failed("look up a file");
        let sql = "SELECT id, folder, sha256, size, inode, mtime_ns FROM file WHERE folder = ?1 AND sha256 = ?2";
        let mut query = self.0.prepare_cached(sql).map_err(&read)?;
        let found =
            query.query_row(params![folder as i64, sha256.as_bytes()], FileRow::read).optional().map_err(&read)?;
        found.map(FileRow::parse).transpose()
    }

    /// Finds a file by its row.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn file_by_id(&self, id: i64) -> Result<Option<FileRow>, IndexError> {
        let read = failed("look up a file");
        let sql = "SELECT id, folder, sha256, size, inode, mtime_ns FROM file WHERE id = ?1";
        let mut query = self.0.prepare_cached(sql).map_err(&read)?;
        query.query_row([id], FileRow::read).optional().map_err(&read)?.map(FileRow::parse).transpose()
    }

    /// Lists all files, in order of folder and name.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn files(&self) -> Result<Vec<FileRow>, IndexError> {
        let read = failed("list files");
        let sql = "SELECT id, folder, sha256, size, inode, mtime_ns FROM file ORDER BY folder, sha256";
        let mut query = self.0.prepare(sql).map_err(&read)?;
        let rows = query.query_map([], FileRow::read).map_err(&read)?;
        rows.map(|row| FileRow::parse(row.map_err(&read)?)).collect()
    }
}

impl Writer<'_> {
    /// Makes an object live, whatever it was, and gives its row.
    ///
    /// An object that was live already and looks the same is not written.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn put_object(&self, object: &ObjectRef, size: u64, file: Option<i64>, now: u64) -> Result<i64, IndexError> {
        let write = failed("record an object");
        if let Some(row) = self.object(object)? {
            if (row.state, row.size, row.file) != (State::Live, size, file) {
                let sql = "UPDATE object SET state = 1, size = ?2, file = ?3,
                    born = CASE WHEN state = 1 THEN born ELSE ?4 END WHERE id = ?1";
                let mut update = self.0.0.prepare_cached(sql).map_err(&write)?;
                update.execute(params![row.id, size.cast_signed(), file, now.cast_signed()]).map_err(&write)?;
            }
            return Ok(row.id);
        }
        let sql = "INSERT INTO object(kind, key, state, born, size, file) VALUES (?1, ?2, 1, ?3, ?4, ?5)";
        let mut insert = self.0.0.prepare_cached(sql).map_err(&write)?;
        let row = params![object.kind() as i64, object.key(), now.cast_signed(), size.cast_signed(), file];
        insert.insert(row).map_err(&write)
    }

    /// Says what an object refers to, instead of what was said before.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn set_edges(&self, src: i64, targets: &[i64]) -> Result<(), IndexError> {
        let write = failed("record what an object refers to");
        let mut wanted = targets.to_vec();
        wanted.sort_unstable();
        wanted.dedup();
        let mut query = self.0.0.prepare_cached("SELECT dst FROM edge WHERE src = ?1 ORDER BY dst").map_err(&write)?;
        let found: Vec<i64> =
            query.query_map([src], |row| row.get(0)).map_err(&write)?.collect::<Result<_, _>>().map_err(&write)?;
        if found == wanted {
            return Ok(());
        }
        self.0.0.prepare_cached("DELETE FROM edge WHERE src = ?1").map_err(&write)?.execute([src]).map_err(&write)?;
        let mut insert = self.0.0.prepare_cached("INSERT INTO edge(src, dst) VALUES (?1, ?2)").map_err(&write)?;
        for dst in wanted {
            insert.execute([src, dst]).map_err(&write)?;
        }
        Ok(())
    }

    /// Records what a published file looks like.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn put_file(&self, folder: Folder, sha256: &OciDigest, stamp: Stamp) -> Result<i64, IndexError> {
        let write = failed("record a file");
        let sql = "INSERT INTO file(folder, sha256, size, inode, mtime_ns) VALUES (?1, ?2, ?3, ?4, ?5)
            ON CONFLICT(folder, sha256) DO UPDATE
            SET size = excluded.size, inode = excluded.inode, mtime_ns = excluded.mtime_ns RETURNING id";
        let mut insert = self.0.0.prepare_cached(sql).map_err(&write)?;
        let (size, inode) = (stamp.size.cast_signed(), stamp.inode.cast_signed());
        let row = params![folder as i64, sha256.as_bytes(), size, inode, stamp.mtime_ns];
        insert.query_row(row, |row| row.get(0)).map_err(&write)
    }

    /// Marks objects whose bytes were found bad.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn set_state(&self, id: i64, state: State) -> Result<(), IndexError> {
        let write = failed("change the state of an object");
        let mut update = self.0.0.prepare_cached("UPDATE object SET state = ?2 WHERE id = ?1").map_err(&write)?;
        update.execute([id, state as i64]).map(|_| ()).map_err(&write)
    }
}
