//! The definition's own files, directories and links of one level, read from the host.
//!
//! They belong to root with 0755 or 0644 by the executable bit and have no date, unless the
//! definition says otherwise. `{arch}` in a source is the architecture being composed; such files go
//! with what differs between architectures, all others with what does not.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::RootfsError;
use super::part::{Bytes, Origin, Part, Reach};
use crate::definition::accounts::Ids;
use crate::definition::{self, FileSpec, Image, KeyLine, Level};
use dlstore_formats::elf::Elf;
use dlstore_formats::package::Limits;
use dlstore_fsx::input::read_regular;
use dlstore_ingest::directory::{self, HostFiles};
use dlstore_ingest::facts::MAX_TEXT;
use dlstore_ingest::select::layer_tree::resolve_owned;
use dlstore_ingest::select::merged_usr::MergedUsr;
use dlstore_ingest::start::{Look, Starts};
use dlstore_model::arch::Arch;
use dlstore_model::digest::{Digest, KeyBuilder};
use dlstore_model::path::TreePath;
use dlstore_model::tree::{Entry, Meta, Node, Tree};

/// What the definition's own words of one level bring, on one architecture.
#[derive(Default)]
pub(crate) struct OwnFiles {
    all: Own,
    one: Own,
    /// Certificates.
    pub(crate) certificates: Vec<OwnCertificate>,
}

/// A file of certificates of a definition.
#[derive(Clone)]
pub(crate) struct OwnCertificate {
    /// Its name without the ending.
    pub(crate) name: String,
    /// What it holds.
    pub(crate) pem: Vec<u8>,
    /// Where the definition says it: for people, and part of no key.
    pub(crate) key: Option<KeyLine>,
}

impl OwnFiles {
    /// Says how many entries they are.
    pub(crate) fn entries(&self) -> usize {
        self.all.entries.len() + self.one.entries.len()
    }
}

#[derive(Default)]
struct Own {
    entries: BTreeMap<TreePath, Entry>,
    files: HostFiles,
    memory: BTreeMap<Digest, Vec<u8>>,
    elf: Vec<(TreePath, Elf)>,
    starts: Starts,
}

/// Says whether what a level brings may be other files on another architecture.
pub(crate) fn differ(level: &Level) -> bool {
    let sources = level.files.iter().filter_map(|spec| spec.source.as_deref());
    let certificates = level.certificates.iter().filter_map(|one| one.path.to_str());
    sources.chain(certificates).any(|text| text.contains("{arch}"))
}

/// Reads what one level brings.
///
/// # Errors
/// When a source cannot be read, or an owner is not known.
pub(crate) fn read(image: &Image, level: &Level, arch: Arch) -> Result<OwnFiles, RootfsError> {
    let mut own = OwnFiles::default();
    let ids = Ids::of(image);
    for spec in &level.files {
        let written = spec.written().unwrap_or_default();
        let at = |error: RootfsError, key| error.at(level.key_lines.nearest(&["files", &written, key]));
        let owner = owner(&ids, spec).map_err(|error| at(error, "owner"))?;
        let differs = spec.source.as_ref().is_some_and(|text| text.contains("{arch}"));
        let into = if differs { &mut own.one } else { &mut own.all };
        add_source(into, level, spec, arch, owner).map_err(|error| at(error, "source"))?;
    }
    for (path, target) in &level.links {
        let node = Node::Symlink { target: target.clone().into_bytes() };
        own.all.entries.insert(path.clone(), Entry::new(node, Meta::LINK));
    }
    for spec in &level.certificates {
        let key = level.key_lines.nearest(&["certificates", &spec.written]);
        let pem = certificate(level, &spec.path, arch).map_err(|error| error.at(key.clone()))?;
        let name = spec.path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        own.certificates.push(OwnCertificate { name, pem, key });
    }
    Ok(own)
}

fn add_source(own: &mut Own, level: &Level, spec: &FileSpec, arch: Arch, owner: (u32, u32)) -> Result<(), RootfsError> {
    let source = spec.source.as_ref().map(|text| host_path(level, text, arch)).transpose()?;
    add(own, spec, source.as_deref(), owner)
}

fn certificate(level: &Level, path: &Path, arch: Arch) -> Result<Vec<u8>, RootfsError> {
    let place = host_path(level, &path.to_string_lossy(), arch)?;
    Ok(read_regular(&place, MAX_TEXT).map_err(dlstore_ingest::IngestError::from)?)
}

/// Follows links of the host, which must not lead out of the project.
fn host_path(level: &Level, source: &str, arch: Arch) -> Result<PathBuf, RootfsError> {
    let root = level.root.as_deref().ok_or_else(|| RootfsError::NoDirectory(level.name.clone()))?;
    Ok(definition::host_path(root, source, arch)?)
}

fn add(own: &mut Own, spec: &FileSpec, source: Option<&Path>, (uid, gid): (u32, u32)) -> Result<(), RootfsError> {
    let Some(source) = source else {
        let Some(text) = &spec.content else {
            let meta = Meta { mode: spec.mode.unwrap_or(0o755), uid, gid, mtime: 0 };
            own.entries.insert(spec.path.clone(), Entry::new(Node::Directory, meta));
            return Ok(());
        };
        let content = Digest::of(text.as_bytes());
        let node = Node::File { content, size: text.len() as u64 };
        let meta = Meta { mode: spec.mode.unwrap_or(0o644), uid, gid, mtime: 0 };
        own.entries.insert(spec.path.clone(), Entry::new(node, meta));
        own.memory.insert(content, text.clone().into_bytes());
        match Look::at(&text.as_bytes(), text.len() as u64) {
            Look::Elf(reading) => own.elf.push((spec.path.clone(), reading.elf)),
            Look::Start(start) => drop(own.starts.insert(spec.path.clone(), start)),
            Look::Other => {}
        }
        return Ok(());
    };
    if !spec.is_directory {
        let file = directory::read_file(source)?;
        let mode = spec.mode.unwrap_or(if file.is_executable { 0o755 } else { 0o644 });
        let node = Node::File { content: file.content, size: file.size };
        own.entries.insert(spec.path.clone(), Entry::new(node, Meta { mode, uid, gid, mtime: 0 }));
        own.files.insert(spec.path.clone(), source.to_owned());
        own.starts.extend(file.start.map(|start| (spec.path.clone(), start)));
        own.elf.extend(file.elf.map(|elf| (spec.path.clone(), elf)));
        return Ok(());
    }
    let found = directory::read_directory(source, &Limits::default())?;
    let top = Meta { mode: spec.mode.unwrap_or(0o755), uid, gid, mtime: 0 };
    own.entries.insert(spec.path.clone(), Entry::new(Node::Directory, top));
    let place = |path: &TreePath| {
        spec.path.join(path.as_bytes()).map_err(|error| RootfsError::OwnPath(spec.path.clone(), error))
    };
    for (path, entry) in &found.tree {
        let at = place(path)?;
        let meta = Meta { uid, gid, ..entry.meta };
        if matches!(entry.node, Node::File { .. }) {
            own.files.insert(at.clone(), source.join(std::ffi::OsStr::new(&host_name(path))));
        }
        own.entries.insert(at, Entry { meta, ..entry.clone() });
    }
    for (path, elf) in found.elf {
        own.elf.push((place(&path)?, elf));
    }
    for (path, start) in found.starts {
        own.starts.insert(place(&path)?, start);
    }
    Ok(())
}

fn host_name(path: &TreePath) -> std::ffi::OsString {
    use std::os::unix::ffi::OsStringExt;
    std::ffi::OsString::from_vec(path.as_bytes().to_vec())
}

/// Finds uid and gid of `nonroot`, `65532` or `65532:65532`.
fn owner(ids: &Ids<'_>, spec: &FileSpec) -> Result<(u32, u32), RootfsError> {
    let Some(text) = &spec.owner else { return Ok((0, 0)) };
    ids.find(text).ok_or_else(|| RootfsError::Owner(text.clone()))
}

/// Makes the parts of a level out of them.
///
/// # Errors
/// When two entries land on one path.
pub(crate) fn parts(own: &OwnFiles, at: usize, level: &Level, merged: &MergedUsr) -> Result<Vec<Part>, RootfsError> {
    let mut parts = Vec::new();
    for (own, reach) in [(&own.all, Reach::All), (&own.one, Reach::One)] {
        if own.entries.is_empty() {
            continue;
        }
        let entries: Vec<_> = own.entries.iter().map(|(path, entry)| (path.clone(), entry.clone())).collect();
        let tree = Tree::new(entries).map_err(dlstore_ingest::IngestError::Tree)?;
        let content_size = tree.content_size();
        let entries = resolve_owned(tree, merged).map_err(dlstore_ingest::IngestError::Tree)?;
        let mut files = HostFiles::default();
        for (path, file) in own.files.iter() {
            files.insert(merged.resolve_name(path), file.clone());
        }
        files.keep_in_memory(own.memory.clone());
        parts.push(Part {
            origin: Origin::Definition(level.name.clone()),
            origins: BTreeMap::new(),
            level: at,
            reach,
            alone: None,
            content_size,
            entries,
            elf: own.elf.iter().map(|(path, elf)| (merged.resolve_name(path), elf.clone())).collect(),
            starts: own.starts.iter().map(|(path, start)| (merged.resolve_name(path), start.clone())).collect(),
            bytes: Bytes::Host(Arc::new(files)),
            package: None,
            key_lines: Some(Arc::clone(&level.key_lines)),
        });
    }
    Ok(parts)
}

/// Adds everything of a level's own files that decides the image.
pub(crate) fn add_to_key(own: &OwnFiles, key: &mut KeyBuilder) {
    for own in [&own.all, &own.one] {
        let entries: Vec<_> = own.entries.iter().map(|(path, entry)| (path.clone(), entry.clone())).collect();
        match Tree::new(entries) {
            Ok(tree) => key.bytes(tree.digest().as_bytes()),
            Err(error) => key.bytes(error.to_string().as_bytes()),
        };
    }
    key.number(own.certificates.len() as u64);
    for OwnCertificate { name, pem, key: _ } in &own.certificates {
        key.bytes(name.as_bytes()).bytes(pem);
    }
}
