//! A folder of the host as a tree: nothing of the host's user, umask or clock gets in.
//!
//! Every entry belongs to root, has 0755 or 0644 by the executable bit, and no date. Names that a
//! host file system gives are bytes; sockets, devices and pipes are refused. Files are hashed here
//! and read again when a pack is made, where their content must still be the same.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::IngestError;
use super::facts::Texts;
use super::findings::Findings;
use dlstore_formats::elf::Elf;
use dlstore_formats::layer::Contents;
use dlstore_formats::package::{Limits, PackageError};
use dlstore_fsx::input::open_regular;
use dlstore_model::digest::Digest;
use dlstore_model::path::TreePath;
use dlstore_model::tree::{Entry, Meta, Node, Tree};

/// The files behind a tree that was read from the host.
#[derive(Default)]
pub struct HostFiles {
    files: BTreeMap<TreePath, PathBuf>,
    memory: BTreeMap<Digest, Vec<u8>>,
}

/// One file of the host, hashed.
pub struct HostFile {
    /// BLAKE3 of its content.
    pub content: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// Says whether its owner may execute it.
    pub is_executable: bool,
    /// What it needs, when it is an ELF file.
    pub elf: Option<Elf>,
}

impl HostFiles {
    /// Adds a file.
    pub fn insert(&mut self, at: TreePath, file: PathBuf) {
        self.files.insert(at, file);
    }

    /// Adds content that no file of the host holds.
    pub fn keep_in_memory(&mut self, contents: BTreeMap<Digest, Vec<u8>>) {
        self.memory.extend(contents);
    }

    /// Gives the files by where they stand in the tree.
    pub fn iter(&self) -> impl Iterator<Item = (&TreePath, &PathBuf)> {
        self.files.iter()
    }
}

impl Contents for HostFiles {
    fn read_at(&self, path: &TreePath, content: &Digest, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        if self.memory.contains_key(content) {
            return self.memory.read_at(path, content, offset, buffer);
        }
        let file = open_regular(self.files.get(path).ok_or(io::ErrorKind::NotFound)?).map_err(io::Error::other)?;
        file.read_exact_at(buffer, offset)
    }
}

/// Reads and hashes one file of the host.
///
/// # Errors
/// When it cannot be read.
pub fn read_file(path: &Path) -> Result<HostFile, IngestError> {
    let (file, found) = hash_file(path)?;
    Ok(HostFile { elf: Elf::read(&file), ..found })
}

/// Hashes a file and gives it open, with its ELF facts not yet read.
fn hash_file(path: &Path) -> Result<(File, HostFile), IngestError> {
    let failed = |source| IngestError::Read { path: path.to_owned(), source };
    let file = open_regular(path)?;
    let meta = file.metadata().map_err(failed)?;
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; 256 << 10];
    let mut size = 0;
    loop {
        match (&file).read(&mut buffer).map_err(failed)? {
            0 => break,
            count => {
                hasher.update(&buffer[..count]);
                size += count as u64;
            }
        }
    }
    let is_executable = meta.permissions().mode() & 0o100 != 0;
    Ok((file, HostFile { content: Digest::from_hasher(&hasher), size, is_executable, elf: None }))
}

/// What lies in a folder of the host.
pub struct HostFolder {
    /// Its entries.
    pub tree: Tree,
    /// Where their content is read from.
    pub files: HostFiles,
    /// The ELF files among them, in path order.
    pub elf: Vec<(TreePath, Elf)>,
    /// The texts among them that fix-ups read.
    pub texts: Texts,
    /// What was left out or not understood, for people.
    pub notes: Vec<String>,
}

/// Reads a folder of the host.
///
/// # Errors
/// When something cannot be read, or is neither folder, file nor symbolic link.
pub fn read_folder(root: &Path) -> Result<HostFolder, IngestError> {
    let mut entries = Vec::new();
    let mut files = HostFiles::default();
    let mut findings = Findings::default();
    walk(root, None, &mut entries, &mut files, &mut findings)?;
    let tree = Tree::new(entries).map_err(IngestError::Tree)?;
    let Findings { elf, texts, notes, .. } = findings;
    Ok(HostFolder { tree, files, elf: elf.into_iter().collect(), texts, notes: notes.into_lines() })
}

/// Directories in one another that are walked into: each costs a frame of the stack and an open directory.
const MOST_LEVELS: usize = 256;

fn walk(
    folder: &Path,
    at: Option<&TreePath>,
    entries: &mut Vec<(TreePath, Entry)>,
    files: &mut HostFiles,
    findings: &mut Findings,
) -> Result<(), IngestError> {
    let failed = |source| IngestError::Read { path: folder.to_owned(), source };
    for item in fs::read_dir(folder).map_err(failed)? {
        let item = item.map_err(failed)?;
        let name = item.file_name();
        let path = match at {
            None => TreePath::new(name.as_bytes()),
            Some(parent) => parent.join(name.as_bytes()),
        };
        let path = path.map_err(|error| PackageError::Content(error.to_string()))?;
        let kind = item.file_type().map_err(failed)?;
        let host = item.path();
        if entries.len() >= Limits::default().entries {
            return Err(PackageError::Limit { what: "the number of files", limit: entries.len() as u64 }.into());
        }
        if kind.is_dir() {
            if path.ancestors().count() >= MOST_LEVELS {
                return Err(
                    PackageError::Limit { what: "directories in one another", limit: MOST_LEVELS as u64 }.into()
                );
            }
            entries.push((path.clone(), Entry::new(Node::Folder, Meta::FOLDER)));
            walk(&host, Some(&path), entries, files, findings)?;
        } else if kind.is_symlink() {
            let target = fs::read_link(&host).map_err(failed)?.into_os_string().into_vec();
            entries.push((path, Entry::new(Node::Symlink { target }, Meta::LINK)));
        } else if kind.is_file() {
            let (open, file) = hash_file(&host)?;
            let mode = if file.is_executable { 0o755 } else { 0o644 };
            let node = Node::File { content: file.content, size: file.size };
            entries.push((path.clone(), Entry::new(node, Meta { mode, ..Meta::FILE })));
            findings.take(&path, file.size, false, &open)?;
            files.insert(path, host);
        } else {
            return Err(IngestError::Special(host));
        }
    }
    Ok(())
}
