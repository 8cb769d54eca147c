//! Rows of content: trees, facts, packs, actions and blobs.
//!
//! What proves itself by its name (trees, facts, blobs) is checked by whoever reads it. What does not
//! (actions, what is known of packs) carries a BLAKE3 beside it, over the kind and the key of its object and
//! all of its columns: a flipped bit on the disk is a miss and never an answer, and so is a right value under a
//! wrong key.

use rusqlite::{OptionalExtension as _, params};

use super::{IndexError, ObjectRef, Reader, Writer, failed};
use dlstore_model::digest::{ActionKey, Digest, KeyBuilder, OciDigest};

/// A tree as it lies in its row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeRow {
    /// Length of the encoding in bytes.
    pub raw_size: u64,
    /// The encoding, compressed by zstd.
    pub data: Vec<u8>,
}

/// A pack as it lies in its row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackRow {
    /// The layer trees that it was made of, in order.
    pub parts: Vec<Digest>,
    /// Raw bytes of its tar.
    pub raw_size: u64,
    /// What is known of it, encoded.
    pub info: Vec<u8>,
}

/// An outcome as it lies in its row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionRow {
    /// What kind of work, for listings.
    pub kind: String,
    /// What came out.
    pub value: Vec<u8>,
    /// What the value names, in order of [`ObjectRef`], each once.
    pub names: Vec<ObjectRef>,
}

/// Starts the checksum of a row: it covers which object the row belongs to.
pub(super) fn checksum_of(object: &ObjectRef) -> KeyBuilder {
    let mut checksum = KeyBuilder::new("row 2");
    checksum.number(object.kind() as u64).bytes(object.key());
    checksum
}

/// Writes what an outcome names: of each a byte for its kind, and its key.
fn encode_names(names: &[ObjectRef]) -> Vec<u8> {
    names.iter().flat_map(|name| std::iter::once(name.kind() as u8).chain(*name.key())).collect()
}

/// Reads what an outcome names; `None` when that is not how it is written.
pub(super) fn decode_names(bytes: &[u8]) -> Option<Vec<ObjectRef>> {
    let (names, []) = bytes.as_chunks::<33>() else { return None };
    let read = |name: &[u8; 33]| {
        let (kind, key) = name.split_first_chunk::<1>()?;
        ObjectRef::from_row(i64::from(kind[0]), key.try_into().ok()?).ok()
    };
    names.iter().map(read).collect()
}

impl PackRow {
    fn checksum(&self, key: &ActionKey) -> [u8; 32] {
        let mut checksum = checksum_of(&ObjectRef::Pack(*key));
        checksum.list(&self.parts, |checksum, part| {
            checksum.bytes(part.as_bytes());
        });
        checksum.number(self.raw_size).bytes(&self.info);
        *checksum.finish().as_bytes()
    }
}

impl ActionRow {
    fn checksum(&self, key: &ActionKey) -> [u8; 32] {
        *checksum_of(&ObjectRef::Action(*key))
            .text(&self.kind)
            .bytes(&self.value)
            .bytes(&encode_names(&self.names))
            .finish()
            .as_bytes()
    }
}

impl Reader<'_> {
    /// Reads the row of a live tree.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn tree(&self, digest: &Digest) -> Result<Option<TreeRow>, IndexError> {
        let read = failed("read a tree");
        let sql = "SELECT raw_size, data FROM object JOIN tree ON object = object.id
            WHERE object.kind = 2 AND key = ?1 AND state = 1";
        let mut query = self.0.prepare_cached(sql).map_err(&read)?;
        let found = query.query_row([digest.as_bytes()], |row| {
            Ok(TreeRow { raw_size: row.get::<_, i64>(0)?.cast_unsigned(), data: row.get(1)? })
        });
        found.optional().map_err(&read)
    }

    /// Reads a live fact, unchecked.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn fact(&self, digest: &Digest) -> Result<Option<Vec<u8>>, IndexError> {
        let read = failed("read a fact");
        let sql = "SELECT data FROM object JOIN fact ON object = object.id
            WHERE object.kind = 7 AND key = ?1 AND state = 1";
        let mut query = self.0.prepare_cached(sql).map_err(&read)?;
        query.query_row([digest.as_bytes()], |row| row.get(0)).optional().map_err(&read)
    }

    /// Reads the row of a live pack; a damaged one is a miss.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn pack(&self, key: &ActionKey) -> Result<Option<PackRow>, IndexError> {
        let read = failed("read a pack");
        let sql = "SELECT raw_size, parts, info, checksum FROM object JOIN pack ON object = object.id
            WHERE object.kind = 4 AND key = ?1 AND state = 1";
        let mut query = self.0.prepare_cached(sql).map_err(&read)?;
        let found = query.query_row([key.as_bytes()], |row| {
            let parts: Vec<u8> = row.get(1)?;
            let parts = parts.as_chunks().0.iter().map(|part| Digest::from_bytes(*part)).collect();
            let raw_size = row.get::<_, i64>(0)?.cast_unsigned();
            Ok((PackRow { parts, raw_size, info: row.get(2)? }, row.get::<_, Vec<u8>>(3)?))
        });
        let found = found.optional().map_err(&read)?;
        Ok(found.filter(|(row, checksum)| row.checksum(key) == **checksum).map(|(row, _)| row))
    }

    /// Reads the row of a live action; a damaged one is a miss.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn action(&self, key: &ActionKey) -> Result<Option<ActionRow>, IndexError> {
        let read = failed("read an action");
        let sql = "SELECT action.kind, value, names, checksum FROM object JOIN action ON object = object.id
            WHERE object.kind = 5 AND key = ?1 AND state = 1";
        let mut query = self.0.prepare_cached(sql).map_err(&read)?;
        let found = query.query_row([key.as_bytes()], |row| {
            let names = decode_names(&row.get::<_, Vec<u8>>(2)?);
            // What is no text is no kind, and fits no checksum.
            let kind = row.get_ref(0)?.as_str().unwrap_or_default().to_owned();
            let row = |names| Ok((ActionRow { kind, value: row.get(1)?, names }, row.get::<_, Vec<u8>>(3)?));
            names.map(row).transpose()
        });
        let found = found.optional().map_err(&read)?.flatten();
        Ok(found.filter(|(row, checksum)| row.checksum(key) == **checksum).map(|(row, _)| row))
    }

    /// Reads a live blob that lies in the index, unchecked.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn blob(&self, digest: &OciDigest) -> Result<Option<Vec<u8>>, IndexError> {
        let read = failed("read a blob");
        let sql = "SELECT data FROM object JOIN blob ON object = object.id
            WHERE object.kind = 6 AND key = ?1 AND state = 1";
        let mut query = self.0.prepare_cached(sql).map_err(&read)?;
        let found = query.query_row([digest.as_bytes()], |row| row.get::<_, Option<Vec<u8>>>(0));
        Ok(found.optional().map_err(&read)?.flatten())
    }

    /// Gives the rows that an object refers to, with their objects.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn edges(&self, src: i64) -> Result<Vec<ObjectRef>, IndexError> {
        let read = failed("read what an object refers to");
        let sql = "SELECT kind, key FROM edge JOIN object ON id = dst WHERE src = ?1";
        let mut query = self.0.prepare_cached(sql).map_err(&read)?;
        let rows = query.query_map([src], |row| Ok((row.get(0)?, row.get(1)?))).map_err(&read)?;
        let mut found = rows
            .map(|row| row.map_err(&read).and_then(|(kind, key)| ObjectRef::from_row(kind, key)))
            .collect::<Result<Vec<_>, _>>()?;
        found.sort_unstable();
        Ok(found)
    }
}

impl Writer<'_> {
    /// Writes the row of a tree.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn put_tree(&self, id: i64, tree: &TreeRow) -> Result<(), IndexError> {
        let write = failed("write a tree");
        let sql = "INSERT OR REPLACE INTO tree(object, raw_size, data) VALUES (?1, ?2, ?3)";
        let mut insert = self.0.0.prepare_cached(sql).map_err(&write)?;
        insert.execute(params![id, tree.raw_size.cast_signed(), tree.data]).map(|_| ()).map_err(&write)
    }

    /// Writes a fact, unless it is there.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn put_fact(&self, digest: &Digest, id: i64, data: &[u8]) -> Result<(), IndexError> {
        if self.fact(digest)?.as_deref() == Some(data) {
            return Ok(());
        }
        let write = failed("write a fact");
        let mut insert =
            self.0.0.prepare_cached("INSERT OR REPLACE INTO fact(object, data) VALUES (?1, ?2)").map_err(&write)?;
        insert.execute(params![id, data]).map(|_| ()).map_err(&write)
    }

    /// Writes what is known of a pack, unless it is there.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn put_pack(&self, key: &ActionKey, id: i64, pack: &PackRow) -> Result<(), IndexError> {
        if self.pack(key)?.as_ref() == Some(pack) {
            return Ok(());
        }
        let write = failed("write a pack");
        let parts: Vec<u8> = pack.parts.iter().flat_map(|part| *part.as_bytes()).collect();
        let sql = "INSERT OR REPLACE INTO pack(object, raw_size, parts, info, checksum) VALUES (?1, ?2, ?3, ?4, ?5)";
        let mut insert = self.0.0.prepare_cached(sql).map_err(&write)?;
        let row = params![id, pack.raw_size.cast_signed(), parts, pack.info, pack.checksum(key)];
        insert.execute(row).map_err(&write)?;
        // Packs that share a file have the same raw bytes: they are counted with the file.
        let sql = "UPDATE file SET raw_size = ?2 WHERE id = (SELECT file FROM object WHERE id = ?1) AND raw_size <> ?2";
        let mut update = self.0.0.prepare_cached(sql).map_err(&write)?;
        update.execute(params![id, pack.raw_size.cast_signed()]).map(|_| ()).map_err(&write)
    }

    /// Writes the value of an action, unless it is there.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn put_action(&self, key: &ActionKey, id: i64, action: &ActionRow) -> Result<(), IndexError> {
        if self.action(key)?.as_ref() == Some(action) {
            return Ok(());
        }
        let write = failed("write an action");
        let sql = "INSERT OR REPLACE INTO action(object, kind, value, names, checksum) VALUES (?1, ?2, ?3, ?4, ?5)";
        let mut insert = self.0.0.prepare_cached(sql).map_err(&write)?;
        let row = params![id, action.kind, action.value, encode_names(&action.names), action.checksum(key)];
        insert.execute(row).map(|_| ()).map_err(&write)
    }

    /// Writes a blob that lies in the index, unless it is there.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn put_blob(&self, digest: &OciDigest, id: i64, media_type: &str, data: &[u8]) -> Result<(), IndexError> {
        if self.blob(digest)?.as_deref() == Some(data) {
            return Ok(());
        }
        let write = failed("write a blob");
        let sql = "INSERT OR REPLACE INTO blob(object, media_type, data) VALUES (?1, ?2, ?3)";
        let mut insert = self.0.0.prepare_cached(sql).map_err(&write)?;
        insert.execute(params![id, media_type, data]).map(|_| ()).map_err(&write)
    }
}
