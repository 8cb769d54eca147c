//! Opening and making a store.
//!
//! Opening must be cheap: three looks at the folder, one small file, one connection. Making happens
//! under a lock of the folder and ends with `format.json`: what lacks it was never finished and is
//! made anew.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};

use super::layout::{FILES, FOLDERS, Layout, ROOTS};
use super::{Inner, ReadOnly, Store, StoreError, read_only};
use crate::index::Index;
use dlstore_fsx::file::{self, Durability};
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
    /// The members of the folder's group, who trust each other.
    Group,
}

impl Sharing {
    pub(super) const fn folder_mode(self) -> u32 {
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
    #[error("the store lies on FUSE: make sure that no other host uses it")]
    Fuse,
    /// A directory of the host, seen from a virtual machine.
    #[error(
        "the store lies in a directory that the host shares with this virtual machine: make sure that nothing on the host uses it"
    )]
    Virtual,
    /// It was forced.
    #[error("the store lies on {0}: no other host may use it")]
    Network(&'static str),
}

/// Finds the place of the user's store: `$DLSTORE_ROOT`, else `dlstore` in the platform's data folder
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
        let format = match read_format(&layout)? {
            Some(format) => format,
            None if options.access == Access::Create => create(&layout, options)?,
            None => return Err(StoreError::Absent(root.to_path_buf())),
        };
        let sharing = if format.shared { Sharing::Group } else { Sharing::Private };
        let writing = place::writing(root)?;
        check_owner(root, sharing, options.sharing, writing)?;
        let network = if format.network_file_system { Network::Force } else { options.network };
        let warnings = check_place(root, network)?;
        let (index, copy) = match writing {
            Writing::Allowed => (Index::open(&layout.index())?, None),
            Writing::ReadOnly | Writing::Denied => read_only::open(&layout.index(), writing)?,
        };
        let features = Some(format.features.read_only_compatible.join(", ")).filter(|names| !names.is_empty());
        let why_read_only = match writing {
            Writing::ReadOnly => Some(ReadOnly::FileSystem),
            Writing::Denied => Some(ReadOnly::User),
            Writing::Allowed => features.map(ReadOnly::Features),
        };
        let own_leases = Arc::default();
        let roots_changed = AtomicBool::new(false);
        let hashed = Mutex::default();
        Ok(Self(Arc::new(Inner {
            layout,
            index,
            sharing,
            warnings,
            read_only: why_read_only,
            roots_changed,
            hashed,
            own_leases,
            _copy: copy,
        })))
    }
}

pub(super) fn read_format(layout: &Layout) -> Result<Option<FormatFile>, StoreError> {
    let path = layout.format();
    let Some(bytes) = file::read(&path)? else { return Ok(None) };
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

fn check_owner(root: &Path, sharing: Sharing, asked: Sharing, writing: Writing) -> Result<(), StoreError> {
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
        return Err(StoreError::Owner(root.to_path_buf()));
    }
    if found.others_may_write || found.group_may_write && !is_shared {
        return Err(StoreError::Exposed(root.to_path_buf()));
    }
    Ok(())
}

fn check_place(root: &Path, network: Network) -> Result<Vec<Warning>, StoreError> {
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

fn create(layout: &Layout, options: OpenOptions) -> Result<FormatFile, StoreError> {
    let (root, sharing) = (&layout.root, options.sharing);
    if let Some(parent) = root.parent() {
        std::fs::create_dir_all(parent)
            .map_err(|source| dlstore_fsx::FsError::new("make the folder", parent, source))?;
    }
    file::make_folder(root, sharing.folder_mode())?;
    let _held = lock::folder(root)?;
    // Another process may have made it while this one waited.
    if let Some(format) = read_format(layout)? {
        return Ok(format);
    }
    let ours = |name: &PathBuf| {
        let name = name.to_string_lossy();
        FOLDERS.contains(&&*name) || FILES.contains(&&*name) || name.starts_with(ROOTS)
    };
    if let Some(found) = file::list(root)?.into_iter().find(|name| !ours(name)) {
        return Err(StoreError::Occupied { root: root.clone(), found });
    }
    if sharing == Sharing::Group {
        if let Some(group) = options.group {
            place::give_to_group(root, group)?;
        }
        // Also when the directory was there: what is made in it belongs to its group.
        file::set_mode(root, sharing.folder_mode())?;
    }
    check_owner(root, sharing, sharing, Writing::Allowed)?;
    check_place(root, options.network)?;
    for name in FOLDERS {
        file::make_folder(&root.join(name), sharing.folder_mode())?;
    }
    stop::point("create.folders");
    for name in FILES {
        // Only an unfinished attempt can have left these.
        file::unlink(&root.join(name))?;
    }
    // Made first, so that the log and its shared memory take over the mode.
    file::write_new(&layout.index(), sharing.file_mode(), b"", Durability::Eventual)?;
    Index::create(&layout.index())?;
    stop::point("create.index");
    let format = FormatFile {
        format: "dlstore".to_owned(),
        version: VERSION,
        shared: sharing == Sharing::Group,
        network_file_system: options.network == Network::Force,
        features: Features::default(),
    };
    write_format(layout, &format)?;
    stop::point("create.format");
    Ok(format)
}

/// Writes `format.json`, whole or not at all; the caller holds the directory's lock.
pub(super) fn write_format(layout: &Layout, format: &FormatFile) -> Result<(), StoreError> {
    let sharing = if format.shared { Sharing::Group } else { Sharing::Private };
    let mut text =
        serde_json::to_vec_pretty(format).map_err(|source| StoreError::Format { path: layout.format(), source })?;
    text.push(b'\n');
    let temporary = layout.root.join("format.json.new");
    Ok(file::write_whole(&layout.format(), &temporary, sharing.file_mode(), &text, Durability::Synced)?)
}
