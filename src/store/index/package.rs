//! Packages as the index knows them.
//!
//! A row ties a source to the tree that came out of it, under the names that people use. Rows come
//! sorted, so that no listing depends on the order of insertion.

use rusqlite::{OptionalExtension as _, Row, params};

use super::{IndexError, Reader, Writer, failed};
use dlstore_formats::package::Format;
use dlstore_model::digest::{Digest, OciDigest};

/// A package as the index knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageRecord {
    /// SHA-256 of the archive that it came in; also the name of the package itself.
    pub source: OciDigest,
    /// Bytes of the source.
    pub source_size: u64,
    /// What it holds.
    pub tree: Digest,
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
    /// Newest date of what is not a folder (`Tree::date`).
    pub date: u64,
}

const SELECT: &str = "SELECT key, source_size, tree, format, name, version, architecture, entries, content_size, date
    FROM package JOIN object ON object.id = package.object WHERE object.state = 1";

fn read(row: &Row<'_>) -> rusqlite::Result<(PackageRecord, bool)> {
    let number = |column| row.get::<_, i64>(column).map(i64::cast_unsigned);
    let format = Format::from_name(&row.get::<_, String>(3)?);
    let record = PackageRecord {
        source: OciDigest::from_bytes(row.get(0)?),
        source_size: number(1)?,
        tree: Digest::from_bytes(row.get(2)?),
        format: format.unwrap_or(Format::Tar),
        name: row.get(4)?,
        version: row.get(5)?,
        architecture: row.get(6)?,
        entries: number(7)?,
        content_size: number(8)?,
        date: number(9)?,
    };
    Ok((record, format.is_some()))
}

fn parse((record, format_is_known): (PackageRecord, bool)) -> Result<PackageRecord, IndexError> {
    if format_is_known { Ok(record) } else { Err(IndexError::Malformed("a package has an unknown format")) }
}

impl Reader<'_> {
    /// Finds the live package that came in this archive.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn package(&self, source: &OciDigest) -> Result<Option<PackageRecord>, IndexError> {
        let attempt = failed("look up a package");
        let mut query =
            self.0.prepare_cached(&format!("{SELECT} AND object.kind = 3 AND key = ?1")).map_err(&attempt)?;
        query.query_row([source.as_bytes()], read).optional().map_err(&attempt)?.map(parse).transpose()
    }

    /// Lists the live packages, all or those of one name, by format, name, architecture, version, source.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn packages(&self, named: Option<(Format, &str)>) -> Result<Vec<PackageRecord>, IndexError> {
        let attempt = failed("list packages");
        let order = "ORDER BY format, name, architecture, version, key";
        let rows: Vec<_> = match named {
            None => {
                let mut query = self.0.prepare_cached(&format!("{SELECT} {order}")).map_err(&attempt)?;
                query.query_map([], read).map_err(&attempt)?.collect()
            }
            Some((format, name)) => {
                let sql = format!("{SELECT} AND format = ?1 AND name = ?2 {order}");
                let mut query = self.0.prepare_cached(&sql).map_err(&attempt)?;
                query.query_map([format.name(), name], read).map_err(&attempt)?.collect()
            }
        };
        rows.into_iter().map(|row| parse(row.map_err(&attempt)?)).collect()
    }
}

impl Writer<'_> {
    /// Writes the row of a package, unless it is there.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn put_package(&self, id: i64, package: &PackageRecord) -> Result<(), IndexError> {
        if self.package(&package.source)?.as_ref() == Some(package) {
            return Ok(());
        }
        let write = failed("write a package");
        let sql = "INSERT OR REPLACE INTO package(object, source_size, tree, format, name, version, architecture,
            entries, content_size, date) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
        let mut insert = self.0.0.prepare_cached(sql).map_err(&write)?;
        let row = params![
            id,
            package.source_size.cast_signed(),
            package.tree.as_bytes(),
            package.format.name(),
            package.name,
            package.version,
            package.architecture,
            package.entries.cast_signed(),
            package.content_size.cast_signed(),
            package.date.cast_signed(),
        ];
        insert.execute(row).map(|_| ()).map_err(&write)
    }
}
