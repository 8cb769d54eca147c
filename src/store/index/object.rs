//! Objects: what can be kept, collected and referred to; and the files that some of them lie in.
//!
//! An object is live or dead; only the collector buries, and only a publication revives. Its number is
//! never given twice, so an edge cannot come to mean something else.

use rusqlite::{OptionalExtension as _, Row, params};

use super::{IndexError, Reader, Writer, failed};
use dlstore_fsx::file::Stamp;
use dlstore_model::digest::{ActionKey, Digest, OciDigest, PackageKey};

/// Anything that gc can keep or collect, and that something else can refer to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectRef {
    /// A kept source by its SHA-256.
    Source(OciDigest),
    /// A tree by its name.
    Tree(Digest),
    /// A package by its key: its source, the decoder, and the name that it got from outside.
    Package(PackageKey),
    /// A pack by its key.
    Pack(ActionKey),
    /// A remembered outcome.
    Action(ActionKey),
    /// A blob of OCI that is no layer (config, manifest, index).
    Blob(OciDigest),
    /// What was found out about a package's content, by the name of its bytes.
    Fact(Digest),
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
    /// A blob that is no layer.
    Blob = 6,
    /// A fact.
    Fact = 7,
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
            Self::Fact => "fact",
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
            Self::Fact(_) => Kind::Fact,
        }
    }

    /// Gives the 32 bytes that name it among its kind.
    #[must_use]
    pub const fn key(&self) -> &[u8; 32] {
        match self {
            Self::Source(name) | Self::Blob(name) => name.as_bytes(),
            Self::Tree(name) | Self::Fact(name) => name.as_bytes(),
            Self::Package(key) => key.as_bytes(),
            Self::Pack(key) | Self::Action(key) => key.as_bytes(),
        }
    }

    /// Reads what [`Kind::name`] and 32 bytes say.
    #[must_use]
    pub fn from_name(kind: &str, key: [u8; 32]) -> Option<Self> {
        (1..).map_while(|number| Self::from_row(number, key).ok()).find(|object| object.kind().name() == kind)
    }

    pub(super) fn from_row(kind: i64, key: [u8; 32]) -> Result<Self, IndexError> {
        Ok(match kind {
            1 => Self::Source(OciDigest::from_bytes(key)),
            2 => Self::Tree(Digest::from_bytes(key)),
            3 => Self::Package(PackageKey::from_bytes(key)),
            4 => Self::Pack(ActionKey::from_bytes(key)),
            5 => Self::Action(ActionKey::from_bytes(key)),
            6 => Self::Blob(OciDigest::from_bytes(key)),
            7 => Self::Fact(Digest::from_bytes(key)),
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

/// Where the bytes of an object are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// In this store.
    Here = 1,
    /// Known, and not here: a remote has them. Whoever needs the bytes fetches them first.
    Elsewhere = 2,
}

impl Place {
    pub(super) const fn from_row(place: i64) -> Result<Self, IndexError> {
        match place {
            1 => Ok(Self::Here),
            2 => Ok(Self::Elsewhere),
            _ => Err(IndexError::Malformed("an object lies in an unknown place")),
        }
    }
}

/// The directories that hold files by their SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Directory {
    /// `packs/`.
    Packs = 1,
    /// `sources/`.
    Sources = 2,
}

impl Directory {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Packs, Self::Sources];

    pub(super) const fn from_row(directory: i64) -> Result<Self, IndexError> {
        match directory {
            1 => Ok(Self::Packs),
            2 => Ok(Self::Sources),
            _ => Err(IndexError::Malformed("a file lies in an unknown directory")),
        }
    }
}

/// A file as it was recorded when it was published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileRow {
    /// Its row.
    pub id: i64,
    /// Where it lies.
    pub directory: Directory,
    /// Its name.
    pub sha256: OciDigest,
    /// What it looked like.
    pub stamp: Stamp,
}

/// The columns of a file, in the order that [`FileRow::read`] wants.
pub(super) const FILE: &str = "file.id, directory, sha256, file.size, device, inode, mtime_ns, mode, uid, gid";

impl FileRow {
    /// Reads the columns [`FILE`]; the inner result tells a row that this program never writes.
    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Result<Self, IndexError>> {
        let number = |column: usize| row.get::<_, i64>(column);
        // Owners and modes have 32 bits; another value is no stamp of a file, so the file will be hashed.
        let short = |column: usize| Ok::<_, rusqlite::Error>(u32::try_from(number(column)?).unwrap_or(u32::MAX));
        let stamp = Stamp {
            size: number(3)?.cast_unsigned(),
            device: number(4)?.cast_unsigned(),
            inode: number(5)?.cast_unsigned(),
            mtime_ns: number(6)?,
            mode: short(7)?,
            uid: short(8)?,
            gid: short(9)?,
        };
        let (id, sha256) = (number(0)?, OciDigest::from_bytes(row.get(2)?));
        Ok(Directory::from_row(number(1)?).map(|directory| Self { id, directory, sha256, stamp }))
    }
}

/// An object's own row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObjectRow {
    /// Its row; never used for another object.
    pub id: i64,
    /// What may be done with it.
    pub state: State,
    /// Where its bytes are.
    pub place: Place,
    /// Bytes that it takes, in its file or its rows.
    pub size: u64,
    /// The row of its file.
    pub file: Option<i64>,
}

/// What is recorded of an object that becomes live.
#[derive(Debug, Clone, Copy)]
pub struct NewObject {
    /// Bytes that it takes, in its file or its rows.
    pub size: u64,
    /// The row of its file.
    pub file: Option<i64>,
    /// The row of its origin.
    pub origin: i64,
    /// The time, in seconds since 1970.
    pub now: u64,
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
            .prepare_cached("SELECT id, state, size, file, place, kind, key FROM object WHERE kind = ?1 AND key = ?2")
            .map_err(&read)?;
        let found = query
            .query_row(params![object.kind() as i64, object.key()], |row| {
                let number = |column: usize| row.get::<_, i64>(column);
                Ok((number(0)?, number(1)?, number(2)?, row.get(3)?, number(4)?, number(5)?, row.get::<_, Vec<u8>>(6)?))
            })
            .optional()
            .map_err(&read)?;
        found
            // An index that leads to another row than it says is damaged: that is a miss.
            .filter(|(.., kind, key)| *kind == object.kind() as i64 && key == object.key())
            .map(|(id, state, size, file, place, ..)| {
                let (state, place) = (State::from_row(state)?, Place::from_row(place)?);
                Ok(ObjectRow { id, state, place, size: size.cast_unsigned(), file })
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

    /// Finds a file by its directory and name.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn file(&self, directory: Directory, sha256: &OciDigest) -> Result<Option<FileRow>, IndexError> {
        let read = failed("look up a file");
        let sql = format!("SELECT {FILE} FROM file WHERE directory = ?1 AND sha256 = ?2");
        let mut query = self.0.prepare_cached(&sql).map_err(&read)?;
        let found =
            query.query_row(params![directory as i64, sha256.as_bytes()], FileRow::read).optional().map_err(&read)?;
        // An index that leads to another row than it says is damaged: that is a miss.
        Ok(found.transpose()?.filter(|row| row.directory == directory && row.sha256 == *sha256))
    }

    /// Finds a file by its row.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn file_by_id(&self, id: i64) -> Result<Option<FileRow>, IndexError> {
        let read = failed("look up a file");
        let mut query = self.0.prepare_cached(&format!("SELECT {FILE} FROM file WHERE id = ?1")).map_err(&read)?;
        query.query_row([id], FileRow::read).optional().map_err(&read)?.transpose()
    }
}

impl Writer<'_> {
    /// Gives the row of an origin, made when it is not there.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn origin(&self, signer: &str, generator: &str) -> Result<i64, IndexError> {
        let write = failed("record an origin");
        let found = self
            .0
            .0
            .prepare_cached("SELECT id FROM origin WHERE signer = ?1 AND generator = ?2")
            .and_then(|mut query| query.query_row([signer, generator], |row| row.get(0)).optional())
            .map_err(&write)?;
        if let Some(id) = found {
            return Ok(id);
        }
        let mut insert =
            self.0.0.prepare_cached("INSERT INTO origin(signer, generator) VALUES (?1, ?2)").map_err(&write)?;
        insert.insert([signer, generator]).map_err(&write)
    }

    /// Makes an object live and here, whatever it was, and gives its row.
    ///
    /// An object that was live already and looks the same is not written.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn put_object(&self, object: &ObjectRef, new: NewObject) -> Result<i64, IndexError> {
        let write = failed("record an object");
        let NewObject { size, file, origin, now } = new;
        if let Some(row) = self.object(object)? {
            if (row.state, row.place, row.size, row.file) != (State::Live, Place::Here, size, file) {
                let sql = "UPDATE object SET state = 1, place = 1, size = ?2, file = ?3, origin = ?5,
                    born = CASE WHEN state = 1 THEN born ELSE ?4 END WHERE id = ?1";
                let mut update = self.0.0.prepare_cached(sql).map_err(&write)?;
                let row = params![row.id, size.cast_signed(), file, now.cast_signed(), origin];
                update.execute(row).map_err(&write)?;
            }
            return Ok(row.id);
        }
        let sql = "INSERT INTO object(kind, key, state, place, born, size, origin, file)
            VALUES (?1, ?2, 1, 1, ?3, ?4, ?5, ?6)";
        let mut insert = self.0.0.prepare_cached(sql).map_err(&write)?;
        let row = params![object.kind() as i64, object.key(), now.cast_signed(), size.cast_signed(), origin, file];
        insert.insert(row).map_err(&write).or_else(|error| {
            // SQLite says the same of a full disk and of numbers that are used up.
            let is_used_up = error.is_full() && self.has_strange_numbers()?;
            Err(if is_used_up { IndexError::Malformed("the numbers of its objects are used up") } else { error })
        })
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
    pub fn put_file(&self, directory: Directory, sha256: &OciDigest, stamp: Stamp) -> Result<i64, IndexError> {
        let write = failed("record a file");
        let sql = "INSERT INTO file(directory, sha256, size, device, inode, mtime_ns, mode, uid, gid)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
            ON CONFLICT(directory, sha256) DO UPDATE
            SET size = excluded.size, device = excluded.device, inode = excluded.inode, mtime_ns = excluded.mtime_ns,
                mode = excluded.mode, uid = excluded.uid, gid = excluded.gid RETURNING id";
        let mut insert = self.0.0.prepare_cached(sql).map_err(&write)?;
        let row = params![
            directory as i64,
            sha256.as_bytes(),
            stamp.size.cast_signed(),
            stamp.device.cast_signed(),
            stamp.inode.cast_signed(),
            stamp.mtime_ns,
            stamp.mode,
            stamp.uid,
            stamp.gid,
        ];
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
