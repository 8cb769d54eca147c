//! Seen: the identity and the source digest of a package file of the host, remembered by its stat data, so that a file
//! that has not changed is not read again.
//!
//! A file is known by its device, inode, length, modification time and change time. On the file systems of Linux itself
//! the change time cannot be set from outside, so whoever changes a file cannot hide it; on others (a network's, FAT, an
//! image) nothing is remembered. A change within one tick of the clock would leave all of them as they are, so a file
//! that changed in the two seconds before it was read is not remembered either. What a program writes through a memory
//! map shows only when the kernel writes it back.
//!
//! What is remembered is who the package is, and once all of it was read, the name of its source. The package that the
//! source leads to is looked up by its key, and only where the source is kept: what is lost of a package can then be
//! made again, as for any other of the store. A session that tries once more because something of the store was gone
//! or bad is led to no package: the file itself is there.

use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use dlstore_formats::package::{Format, Limits};
use dlstore_fsx::place;
use dlstore_model::digest::{ActionKey, KeyBuilder, OciDigest, PackageKey};
use dlstore_model::encoding::{DecodeError, Decoder, Encoder};
use dlstore_model::package;
use dlstore_store::session::Session;
use dlstore_store::{NewAction, PackageRecord, Store};

use super::IngestError;
use super::hashing;
use super::input::given_name;

const KIND: &str = "seen 2";
const MAGIC: &str = "seen 1\n";

/// How long a file must not have changed before what was read of it is remembered. Clocks of file systems tick at
/// least every two seconds (FAT), and most of them many times in one.
const SETTLED: Duration = Duration::from_secs(2);

/// What is looked at of a file before it is read.
pub(super) struct Look {
    key: ActionKey,
    is_settled: bool,
    /// Whether a change would show.
    is_told: bool,
}

impl Look {
    /// Looks at a file that was opened by its path.
    pub(super) fn at(file: &Metadata, path: &Path, format: Format) -> Self {
        Self { is_told: place::tells_changes(path).unwrap_or(false), ..Self::of(file, format) }
    }

    fn of(file: &Metadata, format: Format) -> Self {
        let newest = |seconds: i64, nanoseconds: i64| {
            let since = Duration::new(u64::try_from(seconds).ok()?, u32::try_from(nanoseconds).ok()?);
            SystemTime::UNIX_EPOCH.checked_add(since)
        };
        let times = [newest(file.mtime(), file.mtime_nsec()), newest(file.ctime(), file.ctime_nsec())];
        // A time in the future says nothing about now.
        let is_old = |time: Option<SystemTime>| {
            time.and_then(|time| SystemTime::now().duration_since(time).ok()).is_some_and(|age| age >= SETTLED)
        };
        Self { key: key(file, format), is_settled: times.into_iter().all(is_old), is_told: true }
    }

    /// Remembers what the file is, if it is still what it was and has settled.
    pub(super) fn remember(&self, session: &Session<'_>, file: &File, identity: &Identity, source: Option<OciDigest>) {
        if self.is_still(file, identity.format) {
            self.remember_settled(session, identity, source);
        }
    }

    fn is_still(&self, file: &File, format: Format) -> bool {
        file.metadata().is_ok_and(|now| key(&now, format) == self.key)
    }

    fn remember_settled(&self, session: &Session<'_>, identity: &Identity, source: Option<OciDigest>) {
        if self.is_told && self.is_settled && session.store().is_writable() {
            let value = encode(identity, source);
            session.add_action(NewAction { key: self.key, kind: "seen".into(), value, refs: Vec::new() });
        }
    }

    /// Finds the source that the file was.
    pub(super) fn source(&self, store: &Store, format: Format) -> Result<Option<OciDigest>, IngestError> {
        let value = if self.is_told { store.action(&self.key)? } else { None };
        Ok(value.and_then(|value| decode(&value, format).ok()).and_then(|(_, source)| source))
    }
}

/// Who a package is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Its format.
    pub format: Format,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its architecture in the format's own words.
    pub architecture: String,
}

impl From<&package::Metadata> for Identity {
    fn from(metadata: &package::Metadata) -> Self {
        Self {
            format: metadata.format,
            name: metadata.name.to_string(),
            version: metadata.version.to_string(),
            architecture: metadata.architecture.to_string(),
        }
    }
}

impl From<&PackageRecord> for Identity {
    fn from(record: &PackageRecord) -> Self {
        Self {
            format: record.format,
            name: record.name.clone(),
            version: record.version.clone(),
            architecture: record.architecture.clone(),
        }
    }
}

/// A package file of which it is known who it is, from before or by its control part.
pub struct Seen {
    /// Who it is.
    pub identity: Identity,
    look: Look,
    source: OnceLock<OciDigest>,
    /// The package that it was found to be, or became, in this command.
    record: OnceLock<PackageRecord>,
    /// Its control part was read now.
    is_new: bool,
}

/// Finds what is remembered of package files, in their order; `None` for one that may have changed since. None of them is
/// opened.
///
/// # Errors
/// When the store cannot be read.
pub fn find(store: &Store, files: &[(&Path, Format)]) -> Result<Vec<Option<Seen>>, IngestError> {
    let mut believed: HashMap<u64, bool> = HashMap::new();
    let look = |(path, format): &(&Path, Format)| {
        let file = path.metadata().ok().filter(Metadata::is_file)?;
        let tells = || place::tells_changes(path).unwrap_or(false);
        believed.entry(file.dev()).or_insert_with(tells).then(|| Look::of(&file, *format))
    };
    let looks: Vec<Option<Look>> = files.iter().map(look).collect();
    let keys: Vec<ActionKey> = looks.iter().flatten().map(|look| look.key).collect();
    let mut values = store.actions(&keys)?.into_iter();
    let one = |((path, format), look): (&(&Path, Format), Option<Look>)| {
        let look = look?;
        let (identity, source) = decode(&values.next()??, *format).ok()?;
        // A tar is called by its file's name, which may be another one now.
        if *format == Format::Tar && given(path, *format) != identity.name {
            return None;
        }
        let source = source.map(OnceLock::from).unwrap_or_default();
        Some(Seen { identity, look, source, record: OnceLock::new(), is_new: false })
    };
    Ok(files.iter().zip(looks).map(one).collect())
}

/// Reads only the control part of a package file.
///
/// # Errors
/// When its control part cannot be read.
pub fn peek(path: &Path, format: Format) -> Result<Seen, IngestError> {
    let limits = Limits::default();
    let file = super::open_package(path, &limits)?;
    let look = Look::at(&metadata_of(&file, path)?, path, format);
    let identity = Identity::from(&super::identity_of(&file, path, format, limits)?);
    let look = Look { is_settled: look.is_settled && look.is_still(&file, format), ..look };
    Ok(Seen { identity, look, source: OnceLock::new(), record: OnceLock::new(), is_new: true })
}

impl Seen {
    /// Remembers what was read now, unless the file changed just before.
    pub fn remember(&self, session: &Session<'_>) {
        if self.is_new {
            self.look.remember_settled(session, &self.identity, self.source.get().copied());
        }
    }

    /// Gives the SHA-256 of the file, which is read unless it is remembered, and remembered then.
    ///
    /// # Errors
    /// When it cannot be read, or is longer than a package.
    pub fn sha256(&self, session: &Session<'_>, path: &Path) -> Result<OciDigest, IngestError> {
        if let Some(source) = self.source.get() {
            return Ok(*source);
        }
        let format = self.identity.format;
        let mut file = super::open_package(path, &Limits::default())?;
        let was_same = self.look.is_still(&file, format);
        let hashed = hashing::hash(&mut file);
        let (sha256, _) = hashed.map_err(|source| IngestError::Read { path: path.to_owned(), source })?;
        if was_same && self.look.is_still(&file, format) {
            let _ = self.source.set(sha256);
            self.look.remember_settled(session, &self.identity, Some(sha256));
        }
        Ok(sha256)
    }

    /// Finds the package of the store that the file is. The file is not opened.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn record(&self, session: &Session<'_>, path: &Path) -> Result<Option<PackageRecord>, IngestError> {
        if session.is_holding() {
            return Ok(None);
        }
        if let Some(record) = self.record.get() {
            return Ok(Some(record.clone()));
        }
        let Some(source) = self.source.get() else { return Ok(None) };
        let key = PackageKey::new(source, dlstore_store::decoder(), &given(path, self.identity.format));
        let Some(record) = session.package(&key)? else { return Ok(None) };
        let is_whole = Identity::from(&record) == self.identity && session.keeps_source(source)?;
        if is_whole {
            let _ = self.record.set(record.clone());
        }
        Ok(is_whole.then_some(record))
    }

    /// Takes the package that the file became when it was added: the next image of the command finds it.
    pub fn became(&self, record: &PackageRecord) {
        if self.source.get().is_none_or(|source| *source == record.source) {
            let _ = self.record.set(record.clone());
        }
    }
}

fn metadata_of(file: &File, path: &Path) -> Result<Metadata, IngestError> {
    file.metadata().map_err(|source| IngestError::Read { path: path.to_owned(), source })
}

/// Gives the part of a package's key that its bytes do not say.
fn given(path: &Path, format: Format) -> String {
    given_name(format, &path.file_name().unwrap_or_default().to_string_lossy()).to_owned()
}

fn key(file: &Metadata, format: Format) -> ActionKey {
    let mut key = KeyBuilder::new(KIND);
    // Who a package is was read by this decoder.
    key.number(u64::from(dlstore_store::decoder()));
    key.number(file.dev()).number(file.ino()).number(file.size()).text(format.name());
    for (seconds, nanoseconds) in [(file.mtime(), file.mtime_nsec()), (file.ctime(), file.ctime_nsec())] {
        key.bytes(&seconds.to_le_bytes()).bytes(&nanoseconds.to_le_bytes());
    }
    key.finish()
}

fn encode(identity: &Identity, source: Option<OciDigest>) -> Vec<u8> {
    let Identity { format: _, name, version, architecture } = identity;
    let mut value = Encoder::new(MAGIC);
    value.bytes(name.as_bytes()).bytes(version.as_bytes()).bytes(architecture.as_bytes());
    match source {
        Some(source) => value.u8(1).raw(source.as_bytes()),
        None => value.u8(0),
    };
    value.finish()
}

fn decode(value: &[u8], format: Format) -> Result<(Identity, Option<OciDigest>), DecodeError> {
    let mut input = Decoder::new(value, MAGIC)?;
    let mut text = || {
        let bytes = input.bytes()?.to_vec();
        String::from_utf8(bytes).map_err(|_| DecodeError("not UTF-8"))
    };
    let (name, version, architecture) = (text()?, text()?, text()?);
    let source = match input.u8()? {
        0 => None,
        1 => Some(OciDigest::from_bytes(input.digest()?)),
        _ => return Err(DecodeError("neither 0 nor 1")),
    };
    input.finish()?;
    Ok((Identity { format, name, version, architecture }, source))
}
