//! Opening and making a store.
//!
//! Opening must be cheap: three looks at the directory, one small file, one connection. Making happens
//! under a lock of the directory and ends with `format.json`: what lacks it, and holds nothing, was never finished and
//! is made anew. What lacks it and holds anything is a store that lost it: with an index of ours it is written
//! again, without one the store waits for `store rebuild` (`rebuild`). Nothing is ever removed that somebody put in.
//!
//! Who has a store open shares the lock of its directory; who makes its index anew has it alone.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};

use super::layout::{BESIDE, DIRECTORIES, FILES, Layout};
use super::{Inner, ReadOnly, Store, StoreError, read_only};
use crate::index::{Commit, Directory, Index, IndexError};
use dlstore_fsx::file::{self, Durability, Found};
use dlstore_fsx::place::{self, FileSystem, Owner, Writing};
use dlstore_fsx::{lock, stop};

/// The version of the layout that this program writes.
const VERSION: u64 = 2;

/// How a store is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Make it when it is not there.
    Create,
    /// It must exist.
    Existing,
}

/// Who uses a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// One user.
    Private,
    /// The members of the directory's group, who trust each other.
    Group,
}

impl Sharing {
    pub(super) const fn directory_mode(self) -> u32 {
        match self {
            Self::Private => 0o700,
            Self::Group => 0o2770,
        }
    }

    pub(super) const fn file_mode(self) -> u32 {
        match self {
            Self::Private => 0o600,
            Self::Group => 0o660,
        }
    }
}

/// What to do on a file system that is shared between hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// Refuse it.
    Refuse,
    /// Use it: the user says that only one host does.
    Force,
}

/// How, by whom and where a store is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenOptions {
    /// Whether it may be made.
    pub access: Access,
    /// Who will use it when it is made; and, with `Group`, that it may belong to another user.
    pub sharing: Sharing,
    /// What to do on a network file system.
    pub network: Network,
    /// The group that a shared store is made for; none: that which the system gives a new directory.
    pub group: Option<u32>,
}

impl OpenOptions {
    /// Says: private, on a local file system.
    #[must_use]
    pub const fn new(access: Access) -> Self {
        Self { access, sharing: Sharing::Private, network: Network::Refuse, group: None }
    }
}

/// What is worth telling the user about the place of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Warning {
    /// FUSE: whether locks and maps work depends on the program behind it.
    #[error("the store is on a FUSE file system: make sure that no other host uses it")]
    Fuse,
    /// A directory of the host, seen from a virtual machine.
    #[error(
        "the store is in a directory that the host shares with this virtual machine: make sure that nothing on the host uses it"
    )]
    Virtual,
    /// It was forced.
    #[error("the store lies on {0}: no other host may use it")]
    Network(&'static str),
    /// It was lost, and is there again.
    #[error("the store's format.json was missing or empty, and was written again")]
    FormatRestored,
    /// One of its directories was lost, and is there again.
    #[error("the store's directory {name} was missing, and was made again{lost}", name = .0, lost = what_was_lost(.0))]
    DirectoryRestored(&'static str),
    /// Something else lies in the place of one of its directories.
    #[error("{0} in the store is not a directory: `dlstore store verify --repair` moves it out of the way")]
    NotADirectory(&'static str),
}

/// Says how to learn what was in a directory: only of some there are rows.
fn what_was_lost(directory: &str) -> &'static str {
    match directory {
        "packs" | "sources" => ": `dlstore store verify` lists what was in it",
        _ => "",
    }
}

/// Finds the place of the user's store: `$DLSTORE_ROOT`, else `dlstore` in the platform's data directory
/// (XDG Base Directory Specification: `$XDG_DATA_HOME`, else `~/.local/share`; relative ones ignored).
#[must_use]
pub fn default_root(env: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let set = |name: &str| env(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let absolute = |name: &str| set(name).filter(|path| path.is_absolute());
    set("DLSTORE_ROOT")
        .or_else(|| absolute("XDG_DATA_HOME").map(|data| data.join("dlstore")))
        .or_else(|| absolute("HOME").map(|home| home.join(".local/share/dlstore")))
}

/// `format.json`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct FormatFile {
    format: String,
    version: u64,
    #[serde(default)]
    pub(super) shared: bool,
    /// The user said that no other host uses it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) network_file_system: bool,
    #[serde(default)]
    features: Features,
}

/// Names of what a store uses beyond its version. This program knows none yet.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Features {
    /// May be ignored.
    #[serde(default)]
    compatible: Vec<String>,
    /// May be ignored by who only reads.
    #[serde(default)]
    read_only_compatible: Vec<String>,
    /// Must be known.
    #[serde(default)]
    incompatible: Vec<String>,
}

impl Store {
    /// Opens a store, and makes it first when that is asked for and nothing is there.
    ///
    /// # Errors
    /// When it is not there (or cannot be made), not a store, not ours, exposed to others, on a
    /// network file system, or of a newer format.
    pub fn open_with(root: &Path, options: OpenOptions) -> Result<Self, StoreError> {
        let layout = Layout::new(root);
        Index::check_path(&layout.index())?;
        let (format, restored) = match read_format(&layout)? {
            Some(format) => (format, None),
            None => find_or_create(&layout, options)?,
        };
        let sharing = format.sharing();
        let writing = place::writing(root)?;
        check_owner(root, sharing, options.sharing, writing)?;
        let mut warnings = check_place(root, format.network(options.network))?;
        warnings.extend(restored);
        let opened = share(&layout)?;
        // Before a copy is made: what is appended afterwards is not in it.
        let journal = file::Stamp::at(&layout.journal())?.map_or(0, |stamp| stamp.size);
        let (index, copy) = open_index(&layout, writing)?;
        let features = Some(format.features.read_only_compatible.join(", ")).filter(|names| !names.is_empty());
        let read_only = match writing {
            Writing::ReadOnly => Some(ReadOnly::FileSystem),
            Writing::Denied => Some(ReadOnly::User),
            Writing::Allowed => features.map(ReadOnly::Features),
        };
        if read_only.is_none() {
            warnings.extend(restore_directories(&layout, sharing)?);
        }
        Ok(Self(Arc::new(Inner {
            layout,
            index,
            sharing,
            warnings,
            read_only,
            has_journal: true,
            tail: Mutex::default(),
            journal_when_copied: copy.is_some().then_some(journal),
            held: opened,
            hashed: Mutex::default(),
            own_leases: Arc::default(),
            copy,
        })))
    }
}

impl Inner {
    /// Opens the index as it is now, where it had to be copied; the copy has to stay for as long as it is used.
    pub(super) fn index_anew(&self) -> Result<Option<(Index, Option<read_only::Copy>)>, StoreError> {
        self.copy.as_ref().map(|_| open_index(&self.layout, Writing::Denied)).transpose()
    }
}

impl FormatFile {
    fn new(sharing: Sharing, network: Network) -> Self {
        Self {
            format: "dlstore".to_owned(),
            version: VERSION,
            shared: sharing == Sharing::Group,
            network_file_system: network == Network::Force,
            features: Features::default(),
        }
    }

    pub(super) const fn sharing(&self) -> Sharing {
        if self.shared { Sharing::Group } else { Sharing::Private }
    }

    /// What to do on a network file system, unless the store was made for one.
    pub(super) const fn network(&self, otherwise: Network) -> Network {
        if self.network_file_system { Network::Force } else { otherwise }
    }
}

/// Shares the lock of the store's directory; waits for who makes the store, and refuses while its index is made anew.
fn share(layout: &Layout) -> Result<File, StoreError> {
    let root = &layout.root;
    loop {
        if let Some(shared) = lock::directory_shared(root)? {
            return Ok(shared);
        }
        if file::exists(&Layout::rebuilding(root).index())? {
            return Err(StoreError::Rebuilding(root.clone()));
        }
        drop(lock::directory(root)?);
    }
}

/// Opens the index; that it is lost or broken is an error of its own, with the way out.
fn open_index(layout: &Layout, writing: Writing) -> Result<(Index, Option<read_only::Copy>), StoreError> {
    let path = layout.index();
    let lost = |source| StoreError::IndexLost { root: layout.root.clone(), source: Box::new(source) };
    // A pipe where SQLite expects its log would make it wait for ever.
    for beside in BESIDE.map(|ending| layout.beside_index(ending)).into_iter().chain([path.clone()]) {
        if file::exists(&beside)? && file::Stamp::at(&beside)?.is_none() {
            return Err(lost(IndexError::NoFile(beside)));
        }
    }
    if file::Stamp::at(&path)?.is_none() {
        return Err(lost(IndexError::NoFile(path)));
    }
    let opened = match writing {
        Writing::Allowed => Index::open(&path).map(|index| (index, None)).map_err(StoreError::from),
        Writing::ReadOnly | Writing::Denied => read_only::open(&path, writing),
    };
    opened.map_err(|error| match error {
        StoreError::Index(error @ IndexError::Foreign(_)) => lost(error),
        StoreError::Index(error) if error.is_corrupt() => lost(error),
        error => error,
    })
}

/// Says what to do about a directory without `format.json`: a store that lost it, or none yet.
fn find_or_create(layout: &Layout, options: OpenOptions) -> Result<(FormatFile, Option<Warning>), StoreError> {
    let root = &layout.root;
    match options.access {
        Access::Create => {
            if let Some(parent) = root.parent() {
                std::fs::create_dir_all(parent)
                    .map_err(|source| dlstore_fsx::FsError::new("make the directory", parent, source))?;
            }
            file::make_directory(root, options.sharing.directory_mode())?;
        }
        Access::Existing if place::ownership(root)?.is_none() => return Err(StoreError::Absent(root.clone())),
        Access::Existing => {}
    }
    let _held = loop {
        if let Some(alone) = lock::directory_now(root)? {
            break alone;
        }
        if let Some(_shared) = lock::directory_shared(root)? {
            // Others have it open, for who knows how long: it is a store, and has lost only this file.
            return match read_format(layout)? {
                Some(format) => Ok((format, None)),
                None => restore(layout, options),
            };
        }
        drop(lock::directory(root)?);
    };
    // Another process may have made it while this one waited.
    if let Some(format) = read_format(layout)? {
        return Ok((format, None));
    }
    if holds_anything(layout)? {
        return restore(layout, options);
    }
    match options.access {
        Access::Create => Ok((create(layout, options)?, None)),
        Access::Existing => Err(StoreError::Absent(root.clone())),
    }
}

/// Writes the `format.json` of a store again that lost it; the caller has the lock of its directory, or shares it.
fn restore(layout: &Layout, options: OpenOptions) -> Result<(FormatFile, Option<Warning>), StoreError> {
    let root = &layout.root;
    check_names(root)?;
    let sharing = sharing_of(root)?;
    let writing = place::writing(root)?;
    check_owner(root, sharing, options.sharing, writing)?;
    let (index, _copy) = open_index(layout, writing)?;
    let format = FormatFile::new(sharing, Network::Refuse);
    if writing == Writing::Allowed {
        // One after the other, where several share the lock of the directory.
        index.write(Commit::Relaxed, |_| match read_format(layout)? {
            Some(_) => Ok(()),
            None => write_format(layout, &format),
        })?;
    }
    Ok((format, Some(Warning::FormatRestored)))
}

/// Says whether somebody put something into the store: files, roots, or rows of an index that can be read. The
/// caller has the lock of the directory: to look into an index in the making would make that fail.
fn holds_anything(layout: &Layout) -> Result<bool, StoreError> {
    for directory in Directory::ALL {
        if !file::list(&layout.directory(directory))?.is_empty() {
            return Ok(true);
        }
    }
    if file::Stamp::at(&layout.journal())?.is_some_and(|stamp| stamp.size > 0) {
        return Ok(true);
    }
    match open_index(layout, place::writing(&layout.root)?) {
        Ok((index, _copy)) => index.read(|reader| Ok(reader.has_objects()?)),
        // There is none yet, or none that can be read.
        Err(error) if error.is_index_lost() => Ok(false),
        // Whoever made it was stopped before it had its tables.
        Err(StoreError::Index(IndexError::Older { found: 0 })) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Reads off a store's directory who uses it.
pub(super) fn sharing_of(root: &Path) -> Result<Sharing, StoreError> {
    let found = place::ownership(root)?.ok_or_else(|| StoreError::Absent(root.to_path_buf()))?;
    Ok(if found.group_may_write { Sharing::Group } else { Sharing::Private })
}

/// Refuses a directory with names that no store has.
pub(super) fn check_names(root: &Path) -> Result<(), StoreError> {
    let is_ours = |name: &PathBuf| {
        let name = name.to_string_lossy();
        DIRECTORIES.contains(&&*name) || FILES.contains(&&*name)
    };
    match file::list(root)?.into_iter().find(|name| !is_ours(name)) {
        Some(found) => Err(StoreError::Occupied { root: root.to_path_buf(), found }),
        None => Ok(()),
    }
}

/// Reads a store's `format.json`; `None` when it is not there, is no file, or says nothing: what a power cut leaves of a file
/// that was not synced is empty, or zeros.
pub(super) fn read_format(layout: &Layout) -> Result<Option<FormatFile>, StoreError> {
    let path = layout.format();
    let bytes = match file::open_regular(&path)? {
        // Whatever else lies there is no file that was written: it is set aside when that is written again.
        Found::Nothing | Found::Other => return Ok(None),
        Found::File(mut opened) => {
            let mut bytes = Vec::new();
            opened.read_to_end(&mut bytes).map_err(|source| dlstore_fsx::FsError::new("read", &path, source))?;
            bytes
        }
    };
    if bytes.iter().all(|byte| *byte == 0 || byte.is_ascii_whitespace()) {
        return Ok(None);
    }
    let format: FormatFile =
        serde_json::from_slice(&bytes).map_err(|source| StoreError::Format { path: path.clone(), source })?;
    if format.format != "dlstore" {
        let source = serde::de::Error::custom("it is of another program");
        return Err(StoreError::Format { path, source });
    }
    let root = layout.root.clone();
    if format.version < VERSION {
        return Err(StoreError::Older { root, found: format.version });
    }
    if format.version > VERSION {
        return Err(StoreError::Newer { root, found: format.version, known: VERSION });
    }
    if !format.features.incompatible.is_empty() {
        return Err(StoreError::Features { root, features: format.features.incompatible.join(", ") });
    }
    Ok(Some(format))
}

pub(super) fn check_owner(root: &Path, sharing: Sharing, asked: Sharing, writing: Writing) -> Result<(), StoreError> {
    let Some(found) = place::ownership(root)? else { return Err(StoreError::Absent(root.to_path_buf())) };
    let is_shared = sharing == Sharing::Group;
    let is_for_reading = writing != Writing::Allowed;
    // What the administrator put somewhere to be read is as good as the programs there.
    let is_taken = match found.owner {
        Owner::Us => true,
        Owner::Root if is_for_reading => true,
        Owner::Root | Owner::Other => asked == Sharing::Group && (is_shared || is_for_reading),
    };
    if !is_taken {
        let root = root.to_path_buf();
        // Trust would not help: what this user wrote into a store of one other user, that user could not read.
        return Err(if asked == Sharing::Group { StoreError::OneUser(root) } else { StoreError::Owner(root) });
    }
    if found.others_may_write || found.group_may_write && !is_shared {
        return Err(StoreError::Exposed(root.to_path_buf()));
    }
    Ok(())
}

pub(super) fn check_place(root: &Path, network: Network) -> Result<Vec<Warning>, StoreError> {
    Ok(match (place::file_system(root)?, network) {
        (FileSystem::Local, _) => Vec::new(),
        (FileSystem::Fuse, _) => vec![Warning::Fuse],
        (FileSystem::Virtual, _) => vec![Warning::Virtual],
        (FileSystem::Network(kind), Network::Force) => vec![Warning::Network(kind)],
        (FileSystem::Network(kind), Network::Refuse) => {
            return Err(StoreError::Network { root: root.to_path_buf(), kind });
        }
    })
}

/// Makes a store; the caller has the lock of its directory, and nothing is in it.
fn create(layout: &Layout, options: OpenOptions) -> Result<FormatFile, StoreError> {
    let (root, sharing) = (&layout.root, options.sharing);
    check_names(root)?;
    if sharing == Sharing::Group {
        if let Some(group) = options.group {
            place::give_to_group(root, group)?;
        }
        // Also when the directory was there: what is made in it belongs to its group.
        file::set_mode(root, sharing.directory_mode())?;
    }
    check_owner(root, sharing, sharing, Writing::Allowed)?;
    check_place(root, options.network)?;
    make_directories(layout, sharing)?;
    stop::point("create.directories");
    for name in FILES {
        // Only an unfinished attempt can have left these: nothing is in them.
        clear(layout, &root.join(name), sharing)?;
    }
    // Made here, so that no publication has to bring its name to the disk.
    file::write_new(&layout.journal(), sharing.file_mode(), b"", Durability::Eventual)?;
    // Made first, so that the log and its shared memory take over the mode.
    file::write_new(&layout.index(), sharing.file_mode(), b"", Durability::Eventual)?;
    Index::create(&layout.index())?;
    file::sync_data(&layout.index())?;
    stop::point("create.index");
    let format = FormatFile::new(sharing, options.network);
    write_format(layout, &format)?;
    stop::point("create.format");
    Ok(format)
}

/// Makes the directories that a store has, as far as they are not there.
pub(super) fn make_directories(layout: &Layout, sharing: Sharing) -> Result<(), StoreError> {
    for name in DIRECTORIES {
        file::make_directory(&layout.root.join(name), sharing.directory_mode())?;
    }
    Ok(())
}

/// Makes directories again that are gone: what was in them is gone with them, and what comes has a place. What lies
/// in the place of one stays, because others may be about to move it: who heals holds the write lock.
fn restore_directories(layout: &Layout, sharing: Sharing) -> Result<Vec<Warning>, StoreError> {
    let mut warnings = Vec::new();
    for name in DIRECTORIES {
        let path = layout.root.join(name);
        match std::fs::metadata(&path) {
            Ok(found) if found.is_dir() => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let is_made = file::make_directory(&path, sharing.directory_mode())?;
                // Somebody else may have made it meanwhile.
                let is_there = is_made || file::is_directory(&path)?;
                warnings.push(if is_there { Warning::DirectoryRestored(name) } else { Warning::NotADirectory(name) });
            }
            _ => warnings.push(Warning::NotADirectory(name)),
        }
    }
    Ok(warnings)
}

/// Writes a `format.json` that was lost; the caller has the lock of the directory.
pub(super) fn restore_format(layout: &Layout, sharing: Sharing) -> Result<(), StoreError> {
    write_format(layout, &FormatFile::new(sharing, Network::Refuse))
}

/// Writes `format.json`, whole or not at all; the caller has the directory's lock, or shares it and has that of the
/// index.
pub(super) fn write_format(layout: &Layout, format: &FormatFile) -> Result<(), StoreError> {
    let sharing = if format.shared { Sharing::Group } else { Sharing::Private };
    let mut text =
        serde_json::to_vec_pretty(format).map_err(|source| StoreError::Format { path: layout.format(), source })?;
    text.push(b'\n');
    let temporary = layout.root.join("format.json.new");
    // Only who died can have left it: whoever writes it has a lock.
    clear(layout, &temporary, sharing)?;
    if matches!(file::open_regular(&layout.format())?, Found::Other) {
        clear(layout, &layout.format(), sharing)?;
    }
    Ok(file::write_whole(&layout.format(), &temporary, sharing.file_mode(), &text, Durability::Synced)?)
}

/// Makes room for a file of the store's own: removes a file of that name, and moves a directory to quarantine.
pub(super) fn clear(layout: &Layout, path: &Path, sharing: Sharing) -> Result<(), StoreError> {
    match file::unlink(path) {
        Err(error) if file::is_directory(path)? => {
            let quarantine = layout.quarantine();
            let mut name = path.file_name().unwrap_or_default().to_os_string();
            name.push(format!(".{}", file::random_name()?));
            if !(file::make_directory(&quarantine, sharing.directory_mode())? || file::is_directory(&quarantine)?) {
                return Err(error.into());
            }
            Ok(file::rename(path, &quarantine.join(name))?)
        }
        outcome => Ok(outcome.map(|_| ())?),
    }
}
