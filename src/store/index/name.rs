//! Names of packages: which packages a choice by name is made from.
//!
//! Choosing takes the highest version of a name, so a package that is lost would silently give way to an older
//! one. Therefore the list of a name is a record of its own: it says which packages there are, each with its
//! source, under a checksum that covers the name. What it lists and is not here is damage; so is a list that is
//! absent while packages of that name are there.

use rusqlite::{OptionalExtension as _, params};

use super::{IndexError, Reader, Writer, failed};
use dlstore_model::digest::{KeyBuilder, OciDigest, PackageKey};
use dlstore_model::format::Format;

/// One package of a name: what it is known by, and what it can be made again from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Named {
    /// Its key.
    pub key: PackageKey,
    /// Its source.
    pub source: OciDigest,
}

/// The list of a name as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameList {
    /// These packages, by key; none when nothing has the name.
    Whole(Vec<Named>),
    /// It is damaged, or absent where it must be there.
    Damaged,
}

fn encode(list: &[Named]) -> Vec<u8> {
    list.iter().flat_map(|one| [*one.key.as_bytes(), *one.source.as_bytes()]).flatten().collect()
}

fn decode(bytes: &[u8]) -> Option<Vec<Named>> {
    let (pairs, []) = bytes.as_chunks::<64>() else { return None };
    let named = pairs.iter().map(|pair| {
        let (key, source) = pair.split_first_chunk::<32>()?;
        Some(Named { key: PackageKey::from_bytes(*key), source: OciDigest::from_bytes(source.try_into().ok()?) })
    });
    named.collect()
}

fn checksum(format: Format, name: &str, list: &[u8]) -> [u8; 32] {
    *KeyBuilder::new("name 2").text(format.name()).text(name).bytes(list).finish().as_bytes()
}

impl Reader<'_> {
    /// Reads the list of a name.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn names(&self, format: Format, name: &str) -> Result<NameList, IndexError> {
        let read = failed("look up a name");
        let mut query = self
            .0
            .prepare_cached("SELECT packages, checksum FROM name WHERE format = ?1 AND name = ?2")
            .map_err(&read)?;
        let found = query
            .query_row([format.name(), name], |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, Vec<u8>>(1)?)))
            .optional()
            .map_err(&read)?;
        let Some((list, sum)) = found else {
            let sql = "SELECT 1 FROM package JOIN object ON id = object
                WHERE name = ?1 AND format = ?2 AND state = 1 LIMIT 1";
            let mut query = self.0.prepare_cached(sql).map_err(&read)?;
            let is_there = query.exists([name, format.name()]).map_err(&read)?;
            return Ok(if is_there { NameList::Damaged } else { NameList::Whole(Vec::new()) });
        };
        let is_whole = sum == checksum(format, name, &list);
        Ok(decode(&list).filter(|_| is_whole).map_or(NameList::Damaged, NameList::Whole))
    }

    /// Lists names of packages, of all formats, that stand next to a name in their order: at most `most` on each side,
    /// itself among those after it.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn names_around(&self, name: &str, most: u32) -> Result<Vec<String>, IndexError> {
        let read = failed("list names");
        let mut found = Vec::new();
        for sql in [
            "SELECT name FROM name WHERE format = ?1 AND name >= ?2 ORDER BY name LIMIT ?3",
            "SELECT name FROM name WHERE format = ?1 AND name < ?2 ORDER BY name DESC LIMIT ?3",
        ] {
            let mut query = self.0.prepare_cached(sql).map_err(&read)?;
            for format in Format::ALL {
                let rows = query.query_map(params![format.name(), name, most], |row| row.get(0)).map_err(&read)?;
                for row in rows {
                    found.push(row.map_err(&read)?);
                }
            }
        }
        Ok(found)
    }
}

impl Writer<'_> {
    /// Puts a package on the list of its name. A list that is damaged stays so: what else it held is not known here, and
    /// whoever makes it again finds the package.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn put_name(&self, format: Format, name: &str, named: Named) -> Result<(), IndexError> {
        let NameList::Whole(mut list) = self.names(format, name)? else { return Ok(()) };
        match list.binary_search_by_key(&named.key, |known| known.key) {
            Ok(at) if list[at] == named => return Ok(()),
            Ok(at) => list[at] = named,
            Err(at) => list.insert(at, named),
        }
        self.write_names(format, name, &list)
    }

    /// Takes packages off the list of their name; `false` when that is damaged, and stays so.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn remove_names(&self, format: Format, name: &str, keys: &[PackageKey]) -> Result<bool, IndexError> {
        let NameList::Whole(before) = self.names(format, name)? else { return Ok(false) };
        let list: Vec<Named> = before.into_iter().filter(|one| !keys.contains(&one.key)).collect();
        self.write_names(format, name, &list).map(|()| true)
    }

    /// Makes the list of a name again from the packages that are here.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn remake_names(&self, format: Format, name: &str) -> Result<(), IndexError> {
        let list = self.named_rows(format, name)?;
        self.write_names(format, name, &list)
    }

    fn named_rows(&self, format: Format, name: &str) -> Result<Vec<Named>, IndexError> {
        let read = failed("list the packages of a name");
        let sql = "SELECT key, source FROM package JOIN object ON id = object
            WHERE name = ?1 AND format = ?2 AND +kind = 3 AND state = 1 ORDER BY key";
        let mut query = self.0.0.prepare_cached(sql).map_err(&read)?;
        let rows = query.query_map([name, format.name()], |row| {
            Ok(Named { key: PackageKey::from_bytes(row.get(0)?), source: OciDigest::from_bytes(row.get(1)?) })
        });
        rows.map_err(&read)?.collect::<Result<_, _>>().map_err(&read)
    }

    fn write_names(&self, format: Format, name: &str, list: &[Named]) -> Result<(), IndexError> {
        let write = failed("write the list of a name");
        let connection = self.0.0;
        if list.is_empty() {
            let sql = "DELETE FROM name WHERE format = ?1 AND name = ?2";
            connection
                .prepare_cached(sql)
                .and_then(|mut delete| delete.execute([format.name(), name]))
                .map_err(&write)?;
            return Ok(());
        }
        let encoded = encode(list);
        let sql = "INSERT INTO name(format, name, packages, checksum) VALUES (?1, ?2, ?3, ?4)
            ON CONFLICT(format, name) DO UPDATE SET packages = excluded.packages, checksum = excluded.checksum";
        let mut insert = connection.prepare_cached(sql).map_err(&write)?;
        insert
            .execute(params![format.name(), name, encoded, checksum(format, name, &encoded)])
            .map(|_| ())
            .map_err(&write)
    }
}
