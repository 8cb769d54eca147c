//! Packages as the index knows them.
//!
//! A row ties what a package is known by (its key: source, decoder, given name) to what the decoder made of it:
//! the tree, **every** fact with its digest, and the names that people use. Its checksum covers all of that and
//! the key, so a row is whole or it is damage, never an answer.
//!
//! Rows come sorted, so that no listing depends on the order of insertion.

use rusqlite::{OptionalExtension as _, Row, params};

use super::content::checksum_of;
use super::{IndexError, ObjectRef, Reader, Writer, failed};
use dlstore_model::digest::{Digest, OciDigest, PackageKey};
use dlstore_model::encoding::{DecodeError, Decoder, Encoder};
use dlstore_model::format::Format;

/// A fact that a package has: its kind and the name of its bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FactRef {
    /// Which kind: `elf`, `text`.
    pub kind: String,
    /// BLAKE3 of its bytes.
    pub digest: Digest,
}

/// A package as the index knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageRecord {
    /// SHA-256 of the archive that it came in.
    pub source: OciDigest,
    /// Bytes of the source.
    pub source_size: u64,
    /// The version of the decoder that read it.
    pub decoder: u32,
    /// The name that it got from outside: of a plain tar or a directory, else empty.
    pub given: String,
    /// What it holds.
    pub tree: Digest,
    /// All its facts, by kind, those that are empty included.
    pub facts: Vec<FactRef>,
    /// How it was packed.
    pub format: Format,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// In the format's own words.
    pub architecture: String,
    /// Entries of the tree.
    pub entries: u64,
    /// Content bytes of the tree.
    pub content_size: u64,
    /// Newest date of what is not a directory (`Tree::date`).
    pub date: u64,
}

impl PackageRecord {
    /// Gives what the package is known by.
    #[must_use]
    pub fn key(&self) -> PackageKey {
        PackageKey::new(&self.source, self.decoder, &self.given)
    }

    /// Gives the package as an object.
    #[must_use]
    pub fn object(&self) -> ObjectRef {
        ObjectRef::Package(self.key())
    }

    /// Finds the digest of its fact of one kind; `None` when its decoder knew no such kind.
    #[must_use]
    pub fn fact(&self, kind: &str) -> Option<Digest> {
        self.facts.iter().find(|fact| fact.kind == kind).map(|fact| fact.digest)
    }

    fn checksum(&self) -> [u8; 32] {
        let mut checksum = checksum_of(&self.object());
        checksum.bytes(self.source.as_bytes()).number(self.source_size).number(u64::from(self.decoder));
        checksum.text(&self.given).bytes(self.tree.as_bytes()).bytes(&encode_facts(&self.facts));
        checksum.text(self.format.name()).text(&self.name).text(&self.version).text(&self.architecture);
        checksum.number(self.entries).number(self.content_size).number(self.date);
        *checksum.finish().as_bytes()
    }
}

/// A row of the table as it was read: the package, or only what it is known by when it is damaged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PackageRow {
    /// The row is whole.
    Whole(Box<PackageRecord>),
    /// It is not.
    Damaged(PackageKey),
}

impl PackageRow {
    /// Gives its object.
    #[must_use]
    pub fn object(&self) -> ObjectRef {
        match self {
            Self::Whole(record) => record.object(),
            Self::Damaged(key) => ObjectRef::Package(*key),
        }
    }
}

fn encode_facts(facts: &[FactRef]) -> Vec<u8> {
    let mut out = Encoder::default();
    for fact in facts {
        out.bytes(fact.kind.as_bytes()).raw(fact.digest.as_bytes());
    }
    out.finish()
}

pub(super) fn decode_facts(bytes: &[u8]) -> Result<Vec<FactRef>, DecodeError> {
    let mut input = Decoder::new(bytes, "")?;
    let mut facts = Vec::new();
    while input.left() > 0 {
        facts.push(FactRef { kind: input.text()?, digest: Digest::from_bytes(input.digest()?) });
    }
    Ok(facts)
}

/// Without the plus, SQLite goes through all objects of the kind rather than through an index of packages.
const SELECT: &str =
    "SELECT key, source, source_size, decoder, given, tree, facts, format, name, version, architecture,
    entries, content_size, date, checksum
    FROM package JOIN object ON object.id = package.object WHERE +object.kind = 3 AND object.state = 1";

fn read(row: &Row<'_>) -> rusqlite::Result<PackageRow> {
    let key = PackageKey::from_bytes(row.get(0)?);
    // What cannot be read as its type is as damaged as what does not fit its checksum.
    Ok(match record(row) {
        Some((record, checksum)) if record.key() == key && record.checksum() == *checksum => {
            PackageRow::Whole(Box::new(record))
        }
        _ => PackageRow::Damaged(key),
    })
}

/// Reads a row that fits its checksum: as [`SELECT`] has it, with anything in the place of the key.
pub(super) fn proven(row: &Row<'_>) -> Option<PackageRecord> {
    let (record, checksum) = record(row)?;
    (record.checksum() == *checksum).then_some(record)
}

fn record(row: &Row<'_>) -> Option<(PackageRecord, Vec<u8>)> {
    let number = |column: usize| row.get::<_, i64>(column).map(i64::cast_unsigned).ok();
    let facts: Vec<u8> = row.get(6).ok()?;
    let record = PackageRecord {
        source: OciDigest::from_bytes(row.get(1).ok()?),
        source_size: number(2)?,
        decoder: u32::try_from(number(3)?).ok()?,
        given: row.get(4).ok()?,
        tree: Digest::from_bytes(row.get(5).ok()?),
        facts: decode_facts(&facts).ok()?,
        format: Format::from_name(&row.get::<_, String>(7).ok()?)?,
        name: row.get(8).ok()?,
        version: row.get(9).ok()?,
        architecture: row.get(10).ok()?,
        entries: number(11)?,
        content_size: number(12)?,
        date: number(13)?,
    };
    Some((record, row.get(14).ok()?))
}

impl Reader<'_> {
    /// Finds a live package by its key; a damaged row is said to be one.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn package(&self, key: &PackageKey) -> Result<Option<PackageRow>, IndexError> {
        let attempt = failed("look up a package");
        let mut query =
            self.0.prepare_cached(&format!("{SELECT} AND object.kind = 3 AND key = ?1")).map_err(&attempt)?;
        query.query_row([key.as_bytes()], read).optional().map_err(&attempt)
    }

    /// Finds a package by its key, live, damaged or dead.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn package_in_any_state(&self, key: &PackageKey) -> Result<Option<PackageRow>, IndexError> {
        let attempt = failed("look up a package");
        let sql = format!("{} AND object.kind = 3 AND key = ?1", SELECT.replace(" AND object.state = 1", ""));
        let mut query = self.0.prepare_cached(&sql).map_err(&attempt)?;
        query.query_row([key.as_bytes()], read).optional().map_err(&attempt)
    }

    /// Finds the live packages that came in this archive: by other decoders, or under other names.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn packages_of(&self, source: &OciDigest) -> Result<Vec<PackageRow>, IndexError> {
        let attempt = failed("look up the packages of a source");
        let mut query = self.0.prepare_cached(&format!("{SELECT} AND source = ?1 ORDER BY key")).map_err(&attempt)?;
        let rows = query.query_map([source.as_bytes()], read).map_err(&attempt)?;
        rows.collect::<Result<_, _>>().map_err(&attempt)
    }

    /// Lists the live packages that an object refers to and that got their names from outside; damaged ones are
    /// left out.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn given_packages_below(&self, id: i64) -> Result<Vec<PackageRecord>, IndexError> {
        let attempt = failed("look up the packages of an outcome");
        let sql = format!(
            "{SELECT} AND package.object IN (SELECT dst FROM edge WHERE src = ?1) AND given <> '' ORDER BY key"
        );
        let mut query = self.0.prepare_cached(&sql).map_err(&attempt)?;
        let rows: Vec<PackageRow> =
            query.query_map([id], read).map_err(&attempt)?.collect::<Result<_, _>>().map_err(&attempt)?;
        Ok(whole(rows))
    }

    /// Lists the live packages by format, name, architecture, version, source, given name and decoder.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn packages(&self) -> Result<Vec<PackageRow>, IndexError> {
        let attempt = failed("list packages");
        let order = "ORDER BY format, name, architecture, version, source, given, decoder";
        // Packages first, whatever SQLite thinks: of all objects they are the fewer.
        let select = SELECT.replace(" JOIN ", " CROSS JOIN ");
        let mut query = self.0.prepare_cached(&format!("{select} {order}")).map_err(&attempt)?;
        query.query_map([], read).map_err(&attempt)?.collect::<Result<_, _>>().map_err(&attempt)
    }

    /// Lists the live packages of one name, of any format, in the order of [`Reader::packages`].
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn packages_called(&self, name: &str) -> Result<Vec<PackageRow>, IndexError> {
        let attempt = failed("list packages");
        let sql = format!("{SELECT} AND name = ?1 ORDER BY format, architecture, version, source, given, decoder");
        let mut query = self.0.prepare_cached(&sql).map_err(&attempt)?;
        query.query_map([name], read).map_err(&attempt)?.collect::<Result<_, _>>().map_err(&attempt)
    }

    /// Lists the live packages whose name fits a pattern, in the order of [`Reader::packages`].
    ///
    /// In the pattern `*` stands for any characters and `?` for any one. What stands before the first of them
    /// is looked up in the index of names.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn packages_like(&self, pattern: &str) -> Result<Vec<PackageRow>, IndexError> {
        let attempt = failed("list packages");
        let sql = format!(
            "{SELECT} AND name >= ?1 AND name < ?2 AND name GLOB ?3
                ORDER BY format, name, architecture, version, source, given, decoder"
        );
        let mut query = self.0.prepare_cached(&sql).map_err(&attempt)?;
        let start = &pattern[..pattern.find(['*', '?']).unwrap_or(pattern.len())];
        // No text holds the greatest code point behind a name: it is no character.
        let (end, glob) = (format!("{start}\u{10ffff}"), pattern.replace('[', "[[]"));
        query.query_map([start, &end, &glob], read).map_err(&attempt)?.collect::<Result<_, _>>().map_err(&attempt)
    }

    /// Lists the live packages whose tree or source has a name between two names, both included, in the order
    /// of [`Reader::packages`].
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn packages_between(&self, first: &[u8; 32], last: &[u8; 32]) -> Result<Vec<PackageRow>, IndexError> {
        let attempt = failed("list packages");
        let sql = format!(
            "{SELECT} AND package.object IN (SELECT object FROM package WHERE source BETWEEN ?1 AND ?2
                UNION SELECT object FROM package WHERE tree BETWEEN ?1 AND ?2)
                ORDER BY format, name, architecture, version, source, given, decoder"
        );
        let mut query = self.0.prepare_cached(&sql).map_err(&attempt)?;
        query.query_map([first, last], read).map_err(&attempt)?.collect::<Result<_, _>>().map_err(&attempt)
    }

    /// Lists the live packages that have a library of this name; damaged ones are left out.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn packages_with(&self, soname: &[u8]) -> Result<Vec<PackageRecord>, IndexError> {
        let attempt = failed("look up who has a library");
        let sql = format!(
            "{SELECT} AND object.id IN (SELECT package FROM soname WHERE soname.name = ?1)
                ORDER BY format, name, architecture, version, source"
        );
        let mut query = self.0.prepare_cached(&sql).map_err(&attempt)?;
        let rows: Vec<PackageRow> =
            query.query_map([soname], read).map_err(&attempt)?.collect::<Result<_, _>>().map_err(&attempt)?;
        Ok(whole(rows))
    }
}

fn whole(rows: Vec<PackageRow>) -> Vec<PackageRecord> {
    let whole = rows.into_iter().map(|row| match row {
        PackageRow::Whole(record) => Some(*record),
        PackageRow::Damaged(_) => None,
    });
    whole.flatten().collect()
}

impl Writer<'_> {
    /// Writes the row of a package and what it has libraries of, unless it is there.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn put_package(&self, id: i64, package: &PackageRecord, sonames: &[Vec<u8>]) -> Result<(), IndexError> {
        let write = failed("write a package");
        if self.package(&package.key())? != Some(PackageRow::Whole(Box::new(package.clone()))) {
            // Not OR REPLACE, which would remove a row behind the back of the triggers that count.
            let sql = "INSERT INTO package(object, source, source_size, decoder, given, tree, facts, format,
                name, version, architecture, entries, content_size, date, checksum)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)
                ON CONFLICT(object) DO UPDATE SET source = excluded.source, source_size = excluded.source_size,
                decoder = excluded.decoder, given = excluded.given, tree = excluded.tree, facts = excluded.facts,
                format = excluded.format, name = excluded.name, version = excluded.version,
                architecture = excluded.architecture, entries = excluded.entries,
                content_size = excluded.content_size, date = excluded.date, checksum = excluded.checksum";
            let mut insert = self.0.0.prepare_cached(sql).map_err(&write)?;
            let row = params![
                id,
                package.source.as_bytes(),
                package.source_size.cast_signed(),
                package.decoder,
                package.given,
                package.tree.as_bytes(),
                encode_facts(&package.facts),
                package.format.name(),
                package.name,
                package.version,
                package.architecture,
                package.entries.cast_signed(),
                package.content_size.cast_signed(),
                package.date.cast_signed(),
                package.checksum(),
            ];
            insert.execute(row).map_err(&write)?;
        }
        let mut insert =
            self.0.0.prepare_cached("INSERT OR IGNORE INTO soname(name, package) VALUES (?1, ?2)").map_err(&write)?;
        for soname in sonames {
            insert.execute(params![soname, id]).map_err(&write)?;
        }
        Ok(())
    }
}
