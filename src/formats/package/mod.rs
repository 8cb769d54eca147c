//! Packages as their formats define them: what a reader finds, before anything is stored.
//!
//! ```text
//! reader      any format, first byte to last: control, then entries
//! ├── deb     ar: control.tar, data.tar          control   the stanza of control
//! ├── apk     gzip members: signatures, control, data      pkginfo   .PKGINFO
//! └── (tar)   a tar of its own
//! ```
//!
//! A package is foreign input. Everything that is given out of here has passed the grammar of its
//! format and the rules of this program, and everything has a bound ([`Limits`]). What is read is
//! exactly what is there: which extended attributes survive, who owns a path, whether setuid files
//! are wanted is decided on higher floors.

mod apk;
pub mod control;
mod deb;
pub mod declared;
#[doc(hidden)]
pub mod fixture;
#[doc(hidden)]
pub mod fuzzing;
mod grammar;
mod held;
pub mod installed;
mod members;
pub mod memory;
pub mod pkginfo;
pub mod reader;
pub mod size;
mod sniff;
mod source;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io::Read;

use crate::archive::ArchiveError;
pub use dlstore_model::format::Format;
use dlstore_model::package::Metadata;
use dlstore_model::path::TreePath;
use dlstore_model::quantity::Size;
use dlstore_model::tree::{Meta, Xattrs};

/// What every reader reads from.
type Input<'a> = Box<dyn Read + Send + 'a>;
/// How much of a control archive is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ControlPart {
    /// Every member.
    Whole,
    /// The member that says who the package is; the others are read and checked, and are empty.
    Identity,
}

/// Bounds on what is read, whatever the input claims.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Entries of one package.
    pub entries: usize,
    /// Bytes of all paths and link targets of one package.
    pub path_bytes: usize,
    /// Bytes of all extended attributes of one package, names and values.
    pub xattr_bytes: usize,
    /// Bytes of one control archive, raw, with each hard link counted like the file that it names.
    pub control_bytes: u64,
    /// Raw bytes of all of one package's content.
    pub raw_bytes: u64,
    /// Bytes of one file: a package, or a file of a definition or a directory. `max_size` allows larger packages.
    pub file_bytes: u64,
    /// Memory that one decompressor may ask for, in bytes (dictionary or window).
    pub decoder_memory: u64,
    /// Bytes of the package file, when it is one: what it unpacks to is held against it ([`size`]).
    pub source_size: Option<u64>,
    /// How much of the control archive is kept.
    pub control: ControlPart,
    /// Bytes of content that somebody allowed, whatever the file and its declarations justify.
    pub max_size: Option<u64>,
}

impl Limits {
    /// What packages of real distributions need, with room to spare: the largest has 116,148 entries
    /// (`papirus-icon-theme`), the longest control member is of 12 MB (`texlive-fonts-extra`).
    pub const DEFAULT: Self = Self {
        entries: 250_000,
        path_bytes: 16 << 20,
        xattr_bytes: 16 << 20,
        control_bytes: 16 << 20,
        raw_bytes: 64 << 30,
        file_bytes: 8 << 30,
        decoder_memory: 80 << 20,
        source_size: None,
        control: ControlPart::Whole,
        max_size: None,
    };
}

impl Limits {
    /// Gives how long a package file may be, in bytes.
    #[must_use]
    pub fn package_bytes(&self) -> u64 {
        self.max_size.unwrap_or(0).max(self.file_bytes)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// What kind of entry an archive holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A regular file; its content follows.
    File,
    /// A symbolic link.
    Symlink(Vec<u8>),
    /// Another name of an entry that came before.
    HardLink(TreePath),
    /// A character device: major, minor.
    CharDevice(u32, u32),
    /// A block device: major, minor.
    BlockDevice(u32, u32),
    /// A named pipe.
    Fifo,
}

/// One entry as the archive holds it, in the archive's order. The root itself is never one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Where it goes.
    pub path: TreePath,
    /// What it is.
    pub kind: Kind,
    /// Owner, mode and date.
    pub meta: Meta,
    /// Length of the content in bytes; 0 unless it is a file.
    pub size: u64,
    /// Extended attributes (pax `SCHILY.xattr.*`), all of them.
    pub xattrs: Xattrs,
    /// SHA-1 of the content that the archive states for it (`APK-TOOLS.checksum.SHA1`).
    pub sha1: Option<[u8; 20]>,
}

/// The control part of a package: what it says, and the files that say it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Control {
    /// What the package says of itself, read and checked.
    pub metadata: Metadata,
    /// The members of the control archive, verbatim, by file name without `./`: `control`,
    /// `md5sums`, `conffiles`, `.PKGINFO`, maintainer scripts. Empty for a tar.
    pub members: BTreeMap<String, Vec<u8>>,
}

/// Tells what is wrong with a package. Every sentence fits one line; the caller adds the file.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// The input could not be read, or a decompressor found it damaged or truncated.
    #[error("cannot read {what}")]
    Read {
        /// Which part: `control.tar.xz`, `the ar header`.
        what: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It is not what its name says: an HTML page, an apk v3, an unknown compression.
    #[error("{0}")]
    Format(String),
    /// A rule of the format or of this program is broken.
    #[error("{0}")]
    Content(String),
    /// A bound of [`Limits`] is exceeded.
    #[error("{what} exceeds the limit of {limit}")]
    Limit {
        /// What is too large.
        what: &'static str,
        /// The bound.
        limit: u64,
    },
    /// It unpacks to more than its size and its own words justify ([`size`]).
    #[error(
        "it unpacks to more than {}, which is more than its size allows (`add --max-size` allows more)",
        Size(*limit)
    )]
    Size {
        /// The bound in bytes.
        limit: u64,
    },
}

impl PackageError {
    /// Takes what an archive reader found wrong, with the part of the package that it was reading.
    pub(crate) fn archive(what: &str, error: ArchiveError) -> Self {
        match error {
            ArchiveError::Read(source) => Self::Read { what: what.to_owned(), source },
            ArchiveError::Malformed(sentence) => Self::Content(format!("{what}: {sentence}")),
            ArchiveError::Limit { what, limit } => Self::Limit { what, limit },
            ArchiveError::Size { limit } => Self::Size { limit },
        }
    }
}
