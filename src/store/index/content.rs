//! Rows of content: trees, facts, packs, actions and small blobs.
//!
//! What proves itself by its name (trees, blobs) is checked by whoever reads it. What does not
//! (facts, actions, what is known of packs) carries a BLAKE3 beside it, so that a flipped bit on the
//! disk is a miss and never an answer.

use rusqlite::{OptionalExtension as _, params};

use super::{IndexError, Reader, Writer, failed};
use dlstore_model::digest::{ActionKey, Digest, OciDigest};

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
    /// What is known of it, encoded.
    pub info: Vec<u8>,
}

fn checked(checksum: [u8; 32], data: Vec<u8>) -> Option<Vec<u8>> {
    (Digest::of(&data).as_bytes() == &checksum).then_some(data)
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

    /// Reads a fact of a live tree; a damaged one is a miss.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn fact(&self, tree: &Digest, kind: &str) -> Result<Option<Vec<u8>>, IndexError> {
        let read = failed("read a fact");
        let sql = "SELECT checksum, data FROM object JOIN fact ON tree = object.id
            WHERE object.kind = 2 AND key = ?1 AND state = 1 AND fact.kind = ?2";
        let mut query = self.0.prepare_cached(sql).map_err(&read)?;
        let found = query.query_row(params![tree.as_bytes(), kind], |row| Ok((row.get(0)?, row.get(1)?)));
        Ok(found.optional().map_err(&read)?.and_then(|(checksum, data)| checked(checksum, data)))
    }

    /// Reads the row of a live pack; a damaged one is a miss.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn pack(&self, key: &ActionKey) -> Result<Option<PackRow>, IndexError> {
        let read = failed("read a pack");
        let sql = "SELECT parts, checksum, info FROM object JOIN pack ON object = object.id
            WHERE object.kind = 4 AND key = ?1 AND state = 1";
        let mut query = self.0.prepare_cached(sql).map_err(&read)?;
        let found = query
            .query_row([key.as_bytes()], |row| {
                Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, [u8; 32]>(1)?, row.get::<_, Vec<u8>>(2)?))
            })
            .optional()
            .map_err(&read)?;
        let Some((parts, checksum, info)) = found else { return Ok(None) };
        let parts: Vec<Digest> = parts.as_chunks().0.iter().map(|part| Digest::from_bytes(*part)).collect();
        Ok((pack_checksum(&parts, &info) == checksum).then_some(PackRow { parts, info }))
    }

    /// Reads the value of a live action; a damaged one is a miss.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn action(&self, key: &ActionKey) -> Result<Option<Vec<u8>>, IndexError> {
        let read = failed("read an action");
        let sql = "SELECT checksum, value FROM object JOIN action ON object = object.id
            WHERE object.kind = 5 AND key = ?1 AND state = 1";
        let mut query = self.0.prepare_cached(sql).map_err(&read)?;
        let found = query.query_row([key.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)));
        Ok(found.optional().map_err(&read)?.and_then(|(checksum, value)| checked(checksum, value)))
    }

    /// Reads a live small blob, unchecked.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn blob(&self, digest: &OciDigest) -> Result<Option<Vec<u8>>, IndexError> {
        let read = failed("read a blob");
        let sql = "SELECT data FROM object JOIN blob ON object = object.id
            WHERE object.kind = 6 AND key = ?1 AND state = 1";
        let mut query = self.0.prepare_cached(sql).map_err(&read)?;
        query.query_row([digest.as_bytes()], |row| row.get(0)).optional().map_err(&read)
    }

    /// Lists the kinds of a live tree's facts whose data is damaged.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn damaged_facts(&self, tree: i64) -> Result<Vec<String>, IndexError> {
        let read = failed("read facts");
        let mut query = self
            .0
            .prepare_cached("SELECT kind, checksum, data FROM fact WHERE tree = ?1 ORDER BY kind")
            .map_err(&read)?;
        let rows = query
            .query_map([tree], |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, [u8; 32]>(1)?, row.get::<_, Vec<u8>>(2)?))
            })
            .map_err(&read)?;
        let mut damaged = Vec::new();
        for row in rows {
            let (kind, checksum, data) = row.map_err(&read)?;
            if checked(checksum, data).is_none() {
                damaged.push(kind);
            }
        }
        Ok(damaged)
    }
}

fn pack_checksum(parts: &[Digest], info: &[u8]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(part.as_bytes());
    }
    hasher.update(info);
    *hasher.finalize().as_bytes()
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

    /// Writes a fact of a tree, unless it is there.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn put_fact(&self, tree: &Digest, id: i64, kind: &str, data: &[u8]) -> Result<(), IndexError> {
        if self.fact(tree, kind)?.as_deref() == Some(data) {
            return Ok(());
        }
        let write = failed("write a fact");
        let sql = "INSERT OR REPLACE INTO fact(tree, kind, checksum, data) VALUES (?1, ?2, ?3, ?4)";
        let mut insert = self.0.0.prepare_cached(sql).map_err(&write)?;
        insert.execute(params![id, kind, Digest::of(data).as_bytes(), data]).map(|_| ()).map_err(&write)
    }

    /// Writes what is known of a pack, unless it is there.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn put_pack(&self, key: &ActionKey, id: i64, raw_size: u64, pack: &PackRow) -> Result<(), IndexError> {
        if self.pack(key)?.as_ref() == Some(pack) {
            return Ok(());
        }
        let write = failed("write a pack");
        let parts: Vec<u8> = pack.parts.iter().flat_map(|part| *part.as_bytes()).collect();
        let sql = "INSERT OR REPLACE INTO pack(object, raw_size, parts, checksum, info) VALUES (?1, ?2, ?3, ?4, ?5)";
        let mut insert = self.0.0.prepare_cached(sql).map_err(&write)?;
        let row = params![id, raw_size.cast_signed(), parts, pack_checksum(&pack.parts, &pack.info), pack.info];
        insert.execute(row).map(|_| ()).map_err(&write)
    }

    /// Writes the value of an action, unless it is there.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn put_action(&self, key: &ActionKey, id: i64, kind: &str, value: &[u8]) -> Result<(), IndexError> {
        if self.action(key)?.as_deref() == Some(value) {
            return Ok(());
        }
        let write = failed("write an action");
        let sql = "INSERT OR REPLACE INTO action(object, kind, checksum, value) VALUES (?1, ?2, ?3, ?4)";
        let mut insert = self.0.0.prepare_cached(sql).map_err(&write)?;
        insert.execute(params![id, kind, Digest::of(value).as_bytes(), value]).map(|_| ()).map_err(&write)
    }

    /// Writes a small blob, unless it is there.
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
