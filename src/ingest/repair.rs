//! Making again: what is lost of a package comes back from its kept source.
//!
//! A record lists everything that belongs to it, so "not here" is always damage. Whoever meets it, in whatever step,
//! calls [`remake`]: the source is decoded again, hashed on the way, and what comes out is pending in the session
//! and replaces what was bad when it is published. The same is done for a record of another decoder, whose root
//! then moves to the new one. A source that is bad itself is set aside, and the answer is to add the package again.

use std::cell::RefCell;
use std::io::BufReader;

use super::add::{limits_again, pend, rooted, spool};
use super::decode::{self, Decoded, Package};
use super::hashing::{HashingReader, Passed};
use super::spool::Spool;
use super::{IngestError, Keeps, root_name};
use dlstore_formats::package::reader::PackageReader;
use dlstore_formats::package::{Control, Format};
use dlstore_model::digest::OciDigest;
use dlstore_store::session::Session;
use dlstore_store::{Named, PackageRecord};

/// What is known of a package that has to be made again.
#[derive(Debug, Clone, Copy)]
pub struct Lost<'l> {
    /// Its source.
    pub source: OciDigest,
    /// Its format.
    pub format: Format,
    /// Its name.
    pub name: &'l str,
    /// Its version, empty when that is lost too.
    pub version: &'l str,
}

impl<'l> Lost<'l> {
    /// Says what is known from a record.
    #[must_use]
    pub fn record(record: &'l PackageRecord) -> Self {
        Self { source: record.source, format: record.format, name: &record.name, version: &record.version }
    }

    /// Says what is known from the list of a name.
    #[must_use]
    pub const fn named(named: &Named, format: Format, name: &'l str) -> Self {
        Self { source: named.source, format, name, version: "" }
    }
}

/// Makes a package again from its kept source: tree, facts and record are pending afterwards.
///
/// # Errors
/// [`IngestError::NoSource`] when the source is not kept or is bad.
pub fn remake(session: &Session<'_>, lost: &Lost<'_>) -> Result<PackageRecord, IngestError> {
    let (control, decoded, size) = read_again(session, lost, &|_| false, &mut spool(session)?)?;
    let record = pend(session, &control, (lost.source, size), &decoded, None);
    if let Some(mut keeps) = rooted(session, &record)? {
        keeps.retain(|object| !matches!(object, dlstore_store::ObjectRef::Package(_)));
        keeps.insert(0, record.object());
        session.add_root(root_name(&record), keeps);
    }
    tracing::info!(size, "healed {} {} {}", record.name, record.version, record.architecture);
    session.note(format!("{} {} was decoded again from its kept source", record.name, record.version));
    Ok(record)
}

/// Decodes a kept source again, with the content that `keeps` wants in the spool.
///
/// # Errors
/// [`IngestError::NoSource`] when the source is not kept or is bad.
pub fn decode_again(session: &Session<'_>, record: &PackageRecord, keeps: &Keeps) -> Result<Spool, IngestError> {
    let mut spool = spool(session)?;
    read_again(session, &Lost::record(record), &|path| keeps(path), &mut spool)?;
    Ok(spool)
}

/// Decodes a kept source, with the content that is wanted in the spool: control part, tree and facts, and its size.
pub(super) fn read_again(
    session: &Session<'_>,
    lost: &Lost<'_>,
    wanted: &dyn Fn(&dlstore_model::path::TreePath) -> bool,
    spool: &mut Spool,
) -> Result<(Control, Decoded, u64), IngestError> {
    let no_source = || IngestError::NoSource { name: lost.name.to_owned(), version: lost.version.to_owned() };
    let file = session.open_source(&lost.source)?.ok_or_else(no_source)?;
    let size = file.metadata().map_err(IngestError::Stage)?.len();
    let name = match lost.format {
        Format::Tar => format!("{}{}", lost.name, tar_ending(&file)),
        format => format!("{}.{}", lost.name, format.name()),
    };
    drop(file);
    // A package may be read twice (`decode`): each time it is hashed.
    let passes: RefCell<Vec<Passed>> = RefCell::default();
    let open = || -> Result<PackageReader<'_>, IngestError> {
        let (input, passed) = HashingReader::new(session.open_source(&lost.source)?.ok_or_else(no_source)?);
        passes.borrow_mut().push(passed);
        let input = Box::new(BufReader::with_capacity(256 << 10, input));
        Ok(PackageReader::open(lost.format, &name, input, limits_again())?)
    };
    let outcome = decode::decode(&open, wanted, spool);
    // Only bytes that are what their name says count, whatever came out of them.
    for passed in passes.into_inner() {
        if passed.finish().map_err(IngestError::Stage)? != lost.source {
            session.store().distrust_source(&lost.source)?;
            return Err(no_source());
        }
    }
    let Package { control, decoded, .. } = outcome?;
    Ok((control, decoded, size))
}

/// Finds the ending that a tar's compression has, by its first bytes.
fn tar_ending(file: &std::fs::File) -> &'static str {
    use std::os::unix::fs::FileExt as _;
    let mut start = [0; 6];
    // What is too short for that is not a compressed tar.
    let length = file.read_at(&mut start, 0).unwrap_or(0);
    match &start[..length] {
        [0x1f, 0x8b, ..] => ".tar.gz",
        [0xfd, b'7', b'z', b'X', b'Z', 0] => ".tar.xz",
        [0x28, 0xb5, 0x2f, 0xfd, ..] => ".tar.zst",
        [b'B', b'Z', b'h', ..] => ".tar.bz2",
        _ => ".tar",
    }
}
