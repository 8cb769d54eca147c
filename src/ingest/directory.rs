//! A directory of the host as a tree: nothing of the host's user, umask or clock gets in.
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
use super::findings::{Findings, limit};
use super::start::{Look, Start, Starts};
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
    /// How it begins, when a kernel may run it and it is none that was read.
    pub start: Option<Start>,
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
/// When it cannot be read, or is longer than a file may be.
pub fn read_file(path: &Path) -> Result<HostFile, IngestError> {
    let (file, found) = hash_file(path, Limits::default().file_bytes)?;
    Ok(match Look::at(&file, found.size) {
        Look::Elf(reading) => HostFile { elf: Some(reading.elf), ..found },
        Look::Start(start) => HostFile { start: Some(start), ..found },
        Look::Other => found,
    })
}

/// Hashes a file and gives it open, with its ELF facts not yet read. Its length is looked at before a byte is read.
fn hash_file(path: &Path, limit: u64) -> Result<(File, HostFile), IngestError> {
    let failed = |source| IngestError::Read { path: path.to_owned(), source };
    let file = open_regular(path)?;
    let meta = file.metadata().map_err(failed)?;
    let too_large = |size| IngestError::LargeFile { path: path.to_owned(), size, limit };
    if meta.len() > limit {
        return Err(too_large(meta.len()));
    }
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; 256 << 10];
    let mut size = 0;
    loop {
        match (&file).read(&mut buffer).map_err(failed)? {
            0 => break,
            count => {
                hasher.update(&buffer[..count]);
                size += count as u64;
                if size > limit {
                    return Err(too_large(size));
                }
            }
        }
    }
    let is_executable = meta.permissions().mode() & 0o100 != 0;
    Ok((file, HostFile { content: Digest::from_hasher(&hasher), size, is_executable, elf: None, start: None }))
}

/// What lies in a directory of the host.
pub struct HostDirectory {
    /// Its entries.
    pub tree: Tree,
    /// Where their content is read from.
    pub files: HostFiles,
    /// The ELF files among them, in path order.
    pub elf: Vec<(TreePath, Elf)>,
    /// The texts among them that fix-ups read.
    pub texts: Texts,
    /// How the scripts among them begin, and the ELF files that were not read.
    pub starts: Starts,
    /// What was left out or not understood, for people.
    pub notes: Vec<String>,
}

/// Reads a directory of the host.
///
/// # Errors
/// When something cannot be read, is neither directory, file nor symbolic link, or exceeds the limits.
pub fn read_directory(root: &Path, limits: &Limits) -> Result<HostDirectory, IngestError> {
    let mut walk =
        Walk { limits, entries: Vec::new(), files: HostFiles::default(), sums: (0, 0), findings: <_>::default() };
    walk.directory(root, None)?;
    let Walk { entries, files, findings, .. } = walk;
    let tree = Tree::new(entries).map_err(IngestError::Tree)?;
    let Findings { elf, texts, starts, notes, .. } = findings;
    Ok(HostDirectory { tree, files, elf: elf.into_iter().collect(), texts, starts, notes: notes.into_lines() })
}

/// Directories in one another that are walked into: each costs a frame of the stack and an open directory.
const MOST_LEVELS: usize = 256;

/// What was found in a directory so far.
struct Walk<'l> {
    limits: &'l Limits,
    entries: Vec<(TreePath, Entry)>,
    files: HostFiles,
    findings: Findings,
    /// Bytes of all paths and links, and of all contents.
    sums: (usize, u64),
}

impl Walk<'_> {
    fn directory(&mut self, directory: &Path, at: Option<&TreePath>) -> Result<(), IngestError> {
        let failed = |source| IngestError::Read { path: directory.to_owned(), source };
        for item in fs::read_dir(directory).map_err(failed)? {
            let item = item.map_err(failed)?;
            let name = item.file_name();
            let path = match at {
                None => TreePath::new(name.as_bytes()),
                Some(parent) => parent.join(name.as_bytes()),
            };
            let path = path.map_err(|error| PackageError::Content(error.to_string()))?;
            let kind = item.file_type().map_err(failed)?;
            let host = item.path();
            self.count(path.as_bytes().len())?;
            if kind.is_dir() {
                if path.ancestors().count() >= MOST_LEVELS {
                    return Err(limit("directories in one another", MOST_LEVELS as u64));
                }
                self.entries.push((path.clone(), Entry::new(Node::Directory, Meta::DIRECTORY)));
                self.directory(&host, Some(&path))?;
            } else if kind.is_symlink() {
                let target = fs::read_link(&host).map_err(failed)?.into_os_string().into_vec();
                self.sums.0 += target.len();
                self.entries.push((path, Entry::new(Node::Symlink { target }, Meta::LINK)));
            } else if kind.is_file() {
                self.file(path, host)?;
            } else {
                return Err(IngestError::Special(host));
            }
        }
        Ok(())
    }

    fn count(&mut self, path: usize) -> Result<(), IngestError> {
        if self.entries.len() >= self.limits.entries {
            return Err(limit("the number of files", self.limits.entries as u64));
        }
        self.sums.0 += path;
        if self.sums.0 > self.limits.path_bytes {
            return Err(limit("the length of all paths", self.limits.path_bytes as u64));
        }
        Ok(())
    }

    fn file(&mut self, path: TreePath, host: PathBuf) -> Result<(), IngestError> {
        // Twice that of one file: many without content may each claim nearly as much.
        let most = self.limits.package_bytes();
        let all = most.saturating_mul(2);
        let left = all.saturating_sub(self.sums.1);
        let (open, file) = hash_file(&host, most.min(left)).map_err(|error| match error {
            IngestError::LargeFile { size, .. } if size <= most => limit("the length of all files of a directory", all),
            other => other,
        })?;
        self.sums.1 += file.size;
        let mode = if file.is_executable { 0o755 } else { 0o644 };
        let node = Node::File { content: file.content, size: file.size };
        self.entries.push((path.clone(), Entry::new(node, Meta { mode, ..Meta::FILE })));
        self.findings.take(&path, file.size, false, &open)?;
        self.files.insert(path, host);
        Ok(())
    }
}
