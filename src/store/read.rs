//! Reading: no lease, no write, and what is damaged is a miss.
//!
//! A file is believed when inode, length and modification time are those recorded when it was
//! published; otherwise it is hashed. Rows are believed when they hash to their name or to the
//! checksum beside them. Who opened a file keeps it, whatever the collector does meanwhile.

use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::path::{Path, PathBuf};

use sha2::Digest as _;

use super::{Inner, ObjectRef, PackageRecord, Store, StoreError, tree_row};
use crate::index::Folder;
use dlstore_formats::layer::PackInfo;
use dlstore_formats::package::Format;
use dlstore_fsx::FsError;
use dlstore_fsx::file::{self, Stamp};
use dlstore_model::digest::{ActionKey, Digest, OciDigest};
use dlstore_model::tree::Tree;

impl Store {
    /// Finds the package that came in this archive.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn package_by_source(&self, source: &OciDigest) -> Result<Option<PackageRecord>, StoreError> {
        self.0.index.read(|reader| Ok(reader.package(source)?))
    }

    /// Lists all packages, sorted by format, name, architecture, version text, source.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn packages(&self) -> Result<Vec<PackageRecord>, StoreError> {
        self.0.index.read(|reader| Ok(reader.packages(None)?))
    }

    /// Lists the packages of one name, sorted as [`Store::packages`].
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn packages_named(&self, format: Format, name: &str) -> Result<Vec<PackageRecord>, StoreError> {
        self.0.index.read(|reader| Ok(reader.packages(Some((format, name)))?))
    }

    /// Reads a tree; `None` when it is not there or damaged.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn tree(&self, digest: &Digest) -> Result<Option<Tree>, StoreError> {
        let row = self.0.index.read(|reader| reader.tree(digest))?;
        Ok(row.and_then(|row| tree_row::read(&row, digest)))
    }

    /// Reads a tree's facts of one kind; `None` when they are not there or damaged.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn fact(&self, tree: &Digest, kind: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.index.read(|reader| Ok(reader.fact(tree, kind)?))
    }

    /// Finds what is known of a pack; its bytes are asked for by [`Store::open_pack`].
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn pack(&self, key: &ActionKey) -> Result<Option<PackInfo>, StoreError> {
        let row = self.0.index.read(|reader| reader.pack(key))?;
        Ok(row.and_then(|row| PackInfo::decode(&row.info).ok()))
    }

    /// Opens a pack's bytes after the cheap check (inode, size, mtime as recorded; re-hash when they
    /// differ); `None` is a miss.
    ///
    /// # Errors
    /// When the index or a file that is there cannot be read.
    pub fn open_pack(&self, info: &PackInfo) -> Result<Option<File>, StoreError> {
        self.0.open_file(Folder::Packs, &info.blob)
    }

    /// Gives the path of a pack's bytes, for hard links; checked as by [`Store::open_pack`].
    ///
    /// # Errors
    /// When the index or a file that is there cannot be read.
    pub fn pack_path(&self, info: &PackInfo) -> Result<Option<PathBuf>, StoreError> {
        let Some(row) = self.0.index.read(|reader| reader.file(Folder::Packs, &info.blob))? else { return Ok(None) };
        let path = self.0.layout.file(Folder::Packs, &info.blob);
        if Stamp::at(&path)? == Some(row.stamp) {
            return Ok(Some(path));
        }
        Ok(self.open_pack(info)?.map(|_| path))
    }

    /// Opens a kept source, checked as by [`Store::open_pack`].
    ///
    /// # Errors
    /// When the index or a file that is there cannot be read.
    pub fn open_source(&self, sha256: &OciDigest) -> Result<Option<File>, StoreError> {
        self.0.open_file(Folder::Sources, sha256)
    }

    /// Reads a remembered outcome.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn action(&self, key: &ActionKey) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.index.read(|reader| Ok(reader.action(key)?))
    }

    /// Reads a small blob; `None` when it is not there or damaged.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn blob(&self, digest: &OciDigest) -> Result<Option<Vec<u8>>, StoreError> {
        let found = self.0.index.read(|reader| reader.blob(digest))?;
        Ok(found.filter(|data| OciDigest::of(data) == *digest))
    }

    /// Reads what a root keeps, in order of [`ObjectRef`].
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn root_target(&self, name: &str) -> Result<Option<Vec<ObjectRef>>, StoreError> {
        self.0.index.read(|reader| Ok(reader.root(name)?))
    }
}

impl Inner {
    /// Opens a file that its row vouches for.
    fn open_file(&self, folder: Folder, sha256: &OciDigest) -> Result<Option<File>, StoreError> {
        let Some(row) = self.index.read(|reader| reader.file(folder, sha256))? else { return Ok(None) };
        let path = self.layout.file(folder, sha256);
        let Some(mut opened) = file::open(&path)? else { return Ok(None) };
        let stamp = Stamp::of(&opened, &path)?;
        if stamp == row.stamp {
            return Ok(Some(opened));
        }
        if stamp.size != row.stamp.size || hash(&mut opened, &path)? != *sha256 {
            return Ok(None);
        }
        opened.rewind().map_err(|source| FsError::new("read", &path, source))?;
        Ok(Some(opened))
    }
}

/// Hashes a file from where it stands to its end.
pub(super) fn hash(file: &mut File, path: &Path) -> Result<OciDigest, FsError> {
    // 256 KiB: hashing runs at full speed, and the buffer stays in the second cache.
    let mut buffer = vec![0; 256 << 10];
    let mut hasher = sha2::Sha256::new();
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(OciDigest::from_hasher(hasher)),
            Ok(length) => hasher.update(&buffer[..length]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(FsError::new("read", path, error)),
        }
    }
}
