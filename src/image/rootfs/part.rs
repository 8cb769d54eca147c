//! Parts: what a root is made of, each with where its bytes come from.
//!
//! A part is one package, the definition's own files of one level, the data that is built into the
//! program, or what the fix-ups of one level made. Parts are united in order (`union`), and each then
//! has its layer tree.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::owned::Matter;
use crate::fixup::dpkg_database::Md5sums;
use dlstore_formats::elf::Elf;
use dlstore_formats::layer::Contents;
use dlstore_formats::package::Control;
use dlstore_ingest::Keeps;
use dlstore_ingest::facts::{MAX_TEXT, Sha1s, Starts, Texts};
use dlstore_ingest::folder::HostFiles;
use dlstore_model::digest::Digest;
use dlstore_model::path::TreePath;
use dlstore_model::tree::{Entry, Meta, Node};
use dlstore_store::PackageRecord;

/// Whether a part is the same on all architectures of a definition.
///
/// This is decided by names and by what a package declares, never by comparing architectures, so an
/// architecture's layers do not depend on which others are composed beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reach {
    /// Data for every architecture.
    All,
    /// Libraries, programs, databases of one.
    One,
}

/// Who brought an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A package.
    Package {
        /// Its format.
        format: &'static str,
        /// Its name.
        name: String,
        /// Its version.
        version: String,
        /// Its architecture in the format's words.
        architecture: String,
    },
    /// The definition itself, by the name of its level.
    Definition(String),
    /// Data that is built into the program.
    Embedded,
    /// A fix-up, with the packages that it made something of, each as this writes it.
    Fixup(&'static str, Vec<String>),
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Package { format, name, version, architecture } => {
                write!(f, "{format}:{name}={version}/{architecture}")
            }
            Self::Definition(level) => write!(f, "definition:{level}"),
            Self::Embedded => f.write_str("embedded"),
            Self::Fixup(name, _) => write!(f, "fixup:{name}"),
        }
    }
}

/// Where the bytes of a part's files are read from.
#[derive(Clone)]
pub enum Bytes {
    /// The kept source of a package, decoded again with this selection.
    Source(Box<PackageRecord>, Keeps),
    /// Files of the host.
    Host(Arc<HostFiles>),
    /// Memory.
    Memory(Arc<BTreeMap<Digest, Vec<u8>>>),
}

impl Bytes {
    /// Reads a small file that does not come from a package.
    #[must_use]
    pub fn small_text(&self, path: &TreePath, entry: &Entry) -> Option<Vec<u8>> {
        let Node::File { content, size } = &entry.node else { return None };
        if *size > MAX_TEXT {
            return None;
        }
        let mut bytes = vec![0; usize::try_from(*size).ok()?];
        match self {
            Self::Source(..) => return None,
            Self::Host(files) => files.read_at(path, content, 0, &mut bytes).ok()?,
            Self::Memory(contents) => contents.read_at(path, content, 0, &mut bytes).ok()?,
        }
        Some(bytes)
    }
}

/// A package as the fix-ups see it.
#[derive(Clone)]
pub struct PackageView {
    /// The index row.
    pub record: PackageRecord,
    /// What it says of itself.
    pub control: Control,
    /// Its texts, by the path where they would land.
    pub texts: Texts,
    /// Metadata of those texts.
    pub metas: BTreeMap<TreePath, Meta>,
    /// Its `md5sums` member, when it has one.
    pub md5sums: Option<Md5sums>,
    /// SHA-1 of its files, by the path where they would land.
    pub sha1s: Sha1s,
    /// What it ships at paths that belong to fix-ups, by its own names, whether or not it is selected.
    pub claims: Vec<(TreePath, Matter)>,
    /// Numbers of its level's patterns that match none of its paths.
    pub unmatched: BTreeSet<usize>,
}

/// One part.
#[derive(Clone)]
pub struct Part {
    /// Who brought it; entries of a joined fix-up part say more exactly who.
    pub origin: Origin,
    /// Origins of single entries where they differ from `origin`.
    pub origins: BTreeMap<TreePath, Origin>,
    /// The level of the definition that it belongs to.
    pub level: usize,
    /// Whether it is the same on all architectures.
    pub reach: Reach,
    /// Its entries where they land, in path order.
    pub entries: Vec<(TreePath, Entry)>,
    /// Its ELF files where they land.
    pub elf: Vec<(TreePath, Elf)>,
    /// How its scripts begin, where they land.
    pub starts: Starts,
    /// Where bytes come from.
    pub bytes: Bytes,
    /// The package, when it is one.
    pub package: Option<PackageView>,
    /// Bytes of content, to tell large packages.
    pub content_size: u64,
}

impl Part {
    /// Says who brought the entry at `path`.
    #[must_use]
    pub fn origin_of(&self, path: &TreePath) -> &Origin {
        self.origins.get(path).unwrap_or(&self.origin)
    }
}
