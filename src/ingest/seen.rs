//! Seen: which source a file of the host was when it was read last, so that it is not read again while nothing about
//! it has changed.
//!
//! A file is known by its device, inode, length, modification time and change time. The change time cannot be set from
//! outside, so whoever changes a file cannot hide it; but a change within one tick of the file system's clock would
//! leave all of them as they are. So, as git does for its index, a file that changed just before it was read is not
//! remembered: it is read again until it has settled.
//!
//! What is remembered is a name and nothing more. The package that it leads to is looked up by its key, and only where
//! its source is kept: what is lost of a package can then be made again, as for any other of the store.

use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use dlstore_formats::package::Format;
use dlstore_model::digest::{ActionKey, KeyBuilder, OciDigest, PackageKey};
use dlstore_model::encoding::{DecodeError, Decoder, Encoder};
use dlstore_store::session::Session;
use dlstore_store::{NewAction, PackageRecord, Store};

use super::IngestError;
use super::input::given_name;

const KIND: &str = "seen 1";
const MAGIC: &str = "seen 1\n";

/// How long a file must not have changed before what was read of it is remembered. Clocks of file systems tick at
/// least every two seconds (FAT), and most of them many times in one.
const SETTLED: Duration = Duration::from_secs(2);

/// What is looked at of a file before it is read.
pub(super) struct Look {
    key: ActionKey,
    is_settled: bool,
}

impl Look {
    pub(super) fn at(file: &Metadata, format: Format) -> Self {
        let newest = |seconds: i64, nanoseconds: i64| {
            let since = Duration::new(u64::try_from(seconds).ok()?, u32::try_from(nanoseconds).ok()?);
            SystemTime::UNIX_EPOCH.checked_add(since)
        };
        let times = [newest(file.mtime(), file.mtime_nsec()), newest(file.ctime(), file.ctime_nsec())];
        // A time in the future says nothing about now.
        let is_old = |time: Option<SystemTime>| {
            time.and_then(|time| SystemTime::now().duration_since(time).ok()).is_some_and(|age| age >= SETTLED)
        };
        Self { key: key(file, format), is_settled: times.into_iter().all(is_old) }
    }

    /// Remembers which source the file is, if it is still what it was and has settled.
    pub(super) fn remember(&self, session: &Session<'_>, file: &File, format: Format, source: &OciDigest) {
        let is_same = file.metadata().is_ok_and(|now| key(&now, format) == self.key);
        if !self.is_settled || !is_same || !session.store().is_writable() {
            return;
        }
        let mut value = Encoder::new(MAGIC);
        value.raw(source.as_bytes());
        session.add_action(NewAction { key: self.key, kind: "seen".into(), value: value.finish(), refs: Vec::new() });
    }

    /// Finds the source that the file was.
    pub(super) fn source(&self, store: &Store) -> Result<Option<OciDigest>, IngestError> {
        Ok(store.action(&self.key)?.and_then(|value| decode(&value).ok()))
    }
}

/// Finds the package that a file was when it was read last; `None` when it may have changed, or the store no longer has
/// all that it takes. The file is not opened.
///
/// # Errors
/// When the store cannot be read.
pub fn find(store: &Store, path: &Path, format: Format) -> Result<Option<PackageRecord>, IngestError> {
    let Some(file) = path.metadata().ok().filter(Metadata::is_file) else { return Ok(None) };
    let Some(source) = Look::at(&file, format).source(store)? else { return Ok(None) };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let key = PackageKey::new(&source, dlstore_store::decoder(), given_name(format, &name));
    let Some(record) = store.package(&key)? else { return Ok(None) };
    Ok(store.open_source(&source)?.map(|_| record))
}

fn key(file: &Metadata, format: Format) -> ActionKey {
    let mut key = KeyBuilder::new(KIND);
    key.number(file.dev()).number(file.ino()).number(file.size()).text(format.name());
    for (seconds, nanoseconds) in [(file.mtime(), file.mtime_nsec()), (file.ctime(), file.ctime_nsec())] {
        key.bytes(&seconds.to_le_bytes()).bytes(&nanoseconds.to_le_bytes());
    }
    key.finish()
}

fn decode(value: &[u8]) -> Result<OciDigest, DecodeError> {
    let mut input = Decoder::new(value, MAGIC)?;
    let source = OciDigest::from_bytes(input.digest()?);
    input.finish()?;
    Ok(source)
}
