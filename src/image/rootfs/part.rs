//! Parts: what a root is made of, each with where its bytes come from.
//!
//! A part is one package, the definition's own files of one level, the data that is built into the
//! program, or what the fix-ups of one level made. Parts are united in order (`union`), and each then
//! has its layer tree.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::definition::{Fixup, KeyLines};
use dlstore_formats::elf::Elf;
use dlstore_formats::layer::Contents;
use dlstore_formats::package::Control;
use dlstore_ingest::Keeps;
use dlstore_ingest::directory::HostFiles;
use dlstore_ingest::facts::{MAX_TEXT, Sha1s, Texts};
use dlstore_ingest::landed::Claim;
use dlstore_ingest::start::Starts;
use dlstore_model::digest::Digest;
use dlstore_model::path::TreePath;
use dlstore_model::tree::{Entry, Node};
use dlstore_store::PackageRecord;

/// Whether a part is the same on all architectures of a definition.
///
/// This is decided by names and by what a package declares, never by comparing architectures, so an
/// architecture's layers do not depend on which others are composed beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Reach {
    /// Data for every architecture.
    All,
    /// Libraries, programs, databases of one.
    One,
}

/// Who brought an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
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
    Fixup(Fixup, Vec<String>),
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Package { format, name, version, architecture } => {
                write!(f, "{format}:{name}={version}/{architecture}")
            }
            Self::Definition(level) => write!(f, "definition:{level}"),
            Self::Embedded => f.write_str("embedded"),
            Self::Fixup(fixup, _) => write!(f, "fixup:{fixup}"),
        }
    }
}

/// Where the bytes of a part's files are read from.
#[derive(Clone)]
pub(crate) enum Bytes {
    /// The kept source of a package, decoded again with this selection.
    Source(Box<PackageRecord>, Keeps),
    /// Files of the host.
    Host(Arc<HostFiles>),
    /// Memory.
    Memory(Arc<BTreeMap<Digest, Vec<u8>>>),
}

impl Bytes {
    /// Reads a small file that does not come from a package.
    pub(crate) fn small_text(&self, path: &TreePath, entry: &Entry) -> Option<Vec<u8>> {
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
pub(crate) struct PackageView {
    /// The index row.
    pub(crate) record: PackageRecord,
    /// What it says of itself.
    pub(crate) control: Control,
    /// Its texts, by the path where they would land, but for those that its level leaves out in words of its own.
    pub(crate) texts: Texts,
    /// SHA-1 of its files, by the path where they would land.
    pub(crate) sha1s: Sha1s,
    /// What it ships at paths that belong to fix-ups, by its own names, of that what its level does not silence.
    pub(crate) claims: Vec<Claim>,
    /// Numbers of its level's patterns that match none of its paths.
    pub(crate) unmatched: BTreeSet<usize>,
}

/// One part.
#[derive(Clone)]
pub(crate) struct Part {
    /// Who brought it; entries of a joined fix-up part say more exactly who.
    pub(crate) origin: Origin,
    /// Origins of single entries where they differ from `origin`.
    pub(crate) origins: BTreeMap<TreePath, Origin>,
    /// The level of the definition that it belongs to.
    pub(crate) level: usize,
    /// Whether it is the same on all architectures.
    pub(crate) reach: Reach,
    /// Its entries where they land, in path order.
    pub(crate) entries: Vec<(TreePath, Entry)>,
    /// Its ELF files where they land.
    pub(crate) elf: Vec<(TreePath, Elf)>,
    /// How its scripts begin, and the ELF files that were not read, where they land.
    pub(crate) starts: Starts,
    /// Where bytes come from.
    pub(crate) bytes: Bytes,
    /// The package, when it is one.
    pub(crate) package: Option<PackageView>,
    /// Digest of its layer tree where all of it is in the image and nobody else says anything of its directories, and the
    /// directories above its entries that it does not list; `None` when that is not known.
    pub(crate) alone: Option<(Digest, Vec<TreePath>)>,
    /// Bytes of content, to tell large packages.
    pub(crate) content_size: u64,
    /// Where a definition says what it brings, when it is a definition's own.
    pub(crate) key_lines: Option<Arc<KeyLines>>,
}

impl Part {
    /// Names everybody who brought an entry of it.
    pub(crate) fn makers(&self) -> String {
        let fixup = |origin: &Origin| if let Origin::Fixup(fixup, _) = origin { Some(*fixup) } else { None };
        let fixups: BTreeSet<Fixup> = self.origins.values().filter_map(fixup).collect();
        if fixups.is_empty() {
            return self.origin.to_string();
        }
        format!("fixup:{}", fixups.iter().map(|fixup| fixup.name()).collect::<Vec<_>>().join("+"))
    }

    /// Says who brought the entry at `path`.
    pub(crate) fn origin_of(&self, path: &TreePath) -> &Origin {
        self.origins.get(path).unwrap_or(&self.origin)
    }

    /// Says who brought the entry at `path` in a sentence about it: of a definition also the line and the key.
    pub(crate) fn whose(&self, path: &TreePath) -> String {
        let origin = self.origin_of(path);
        match self.key_lines.as_ref().and_then(|lines| lines.of_path(path)) {
            Some(key) => format!("{origin} ({key})"),
            None => origin.to_string(),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Takes a path that a test says.
    pub(crate) fn path(text: &str) -> TreePath {
        TreePath::new(text.as_bytes()).unwrap()
    }

    /// A part of entries and nothing else.
    pub(crate) fn part(entries: Vec<(TreePath, Entry)>) -> Arc<Part> {
        Arc::new(bare(entries))
    }

    /// The same, to be added to.
    pub(crate) fn bare(mut entries: Vec<(TreePath, Entry)>) -> Part {
        entries.sort_by(|(one, _), (other, _)| one.cmp(other));
        Part {
            origin: Origin::Embedded,
            origins: BTreeMap::new(),
            level: 0,
            reach: Reach::All,
            entries,
            elf: Vec::new(),
            starts: BTreeMap::new(),
            bytes: Bytes::Memory(Arc::default()),
            package: None,
            alone: None,
            key_lines: None,
            content_size: 0,
        }
    }
}
