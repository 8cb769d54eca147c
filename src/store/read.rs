//! Reading: no lease, and what is damaged is a miss.
//!
//! Files are believed as the module `believe` says. Rows are believed when they hash to their name or to the
//! checksum beside them. Who opened a file keeps it, whatever the collector does meanwhile.

use std::fs::File;

use super::verify::Reading;
use super::{ObjectRef, PackageRecord, Store, StoreError, StoredFile, tree_row};
use crate::index::{Commit, Directory, NameList, Named, PackageRow};
use crate::journal::Lacking;
use dlstore_formats::layer::PackInfo;
use dlstore_formats::package::Format;
use dlstore_model::digest::{ActionKey, Digest, OciDigest, PackageKey};
use dlstore_model::tree::Tree;

impl Store {
    /// Finds a package; `None` when it is not there or its row is damaged.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn package(&self, key: &PackageKey) -> Result<Option<PackageRecord>, StoreError> {
        let row = self.0.index.read(|reader| reader.package(key))?;
        Ok(row.and_then(whole))
    }

    /// Lists all packages by format, name, architecture, version, source and given name: each source once, in the
    /// record of this program's decoder where there is one. The damaged ones come beside them.
    ///
    /// # Errors
    /// When the index cannot be read.
    #[expect(clippy::redundant_closure_for_method_calls, reason = "a path is not general enough in its lifetime")]
    pub fn packages(&self) -> Result<Listing, StoreError> {
        Ok(Listing::of(self.0.index.read(|reader| reader.packages())?))
    }

    /// Lists the packages of one name, of all formats, as [`Store::packages`] does.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn packages_called(&self, name: &str) -> Result<Listing, StoreError> {
        Ok(Listing::of(self.0.index.read(|reader| reader.packages_called(name))?))
    }

    /// Lists names of packages, of all formats, that stand next to a name in their order: at most `most` on each side,
    /// itself among those after it. That takes no longer in a large store.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn names_around(&self, name: &str, most: u32) -> Result<Vec<String>, StoreError> {
        self.0.index.read(|reader| Ok(reader.names_around(name, most)?))
    }

    /// Lists the packages whose names fit a pattern, as [`Store::packages`] does: `*` stands for any characters,
    /// `?` for any one.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn packages_like(&self, pattern: &str) -> Result<Listing, StoreError> {
        Ok(Listing::of(self.0.index.read(|reader| reader.packages_like(pattern))?))
    }

    /// Lists the packages whose tree or source has a name between two names, both included, as [`Store::packages`]
    /// does.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn packages_between(&self, first: &[u8; 32], last: &[u8; 32]) -> Result<Listing, StoreError> {
        Ok(Listing::of(self.0.index.read(|reader| reader.packages_between(first, last))?))
    }

    /// Lists the packages that have a library of this name.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn packages_with(&self, soname: &[u8]) -> Result<Vec<PackageRecord>, StoreError> {
        self.0.index.read(|reader| Ok(reader.packages_with(soname)?))
    }

    /// Checks that the roots' journal names no package that the index lacks: of a name, or of any.
    ///
    /// # Errors
    /// [`StoreError::Behind`] when it does, [`StoreError::Forgotten`] when nothing else is left of it; when the index cannot
    /// be read.
    pub fn check_journal(&self, wanted: Option<(Format, &str)>) -> Result<(), StoreError> {
        match self.0.lacks(wanted)? {
            None => Ok(()),
            Some(Lacking { format, name, root: None }) => Err(StoreError::Behind { format, name }),
            Some(Lacking { format, name, root: Some(root) }) => Err(StoreError::Forgotten { format, name, root }),
        }
    }

    /// Checks that what the index says of a root is no older than the roots' journal.
    ///
    /// # Errors
    /// As [`Store::check_journal`].
    pub fn check_root(&self, name: &str) -> Result<(), StoreError> {
        if self.0.tail_names_root(name)? { self.check_journal(None) } else { Ok(()) }
    }

    /// Gives every package that a choice by name is made from: one for each source and given name. A record that
    /// is damaged, or of another decoder, is `None`: it has to be made again from its source.
    ///
    /// # Errors
    /// [`StoreError::DamagedName`] when the list of the name is not whole, [`StoreError::Behind`] when it is an old one; when
    /// the index cannot be read.
    pub fn candidates(&self, format: Format, name: &str) -> Result<Vec<Candidate>, StoreError> {
        self.check_journal(Some((format, name)))?;
        self.0.index.snapshot(|reader| {
            let NameList::Whole(list) = reader.names(format, name)? else {
                return Err(StoreError::DamagedName { format, name: name.to_owned() });
            };
            let mut candidates: Vec<Candidate> = Vec::with_capacity(list.len());
            for named in list {
                let record = reader.package(&named.key)?.and_then(whole);
                candidates.push(Candidate { named, record });
            }
            Ok(candidates)
        })
    }

    /// Brings back what the roots' journal knows and the index lost: packages are there again, and are to be made from
    /// their sources.
    ///
    /// # Errors
    /// As [`Store::heal`].
    pub fn catch_up(&self) -> Result<(), StoreError> {
        // Nothing is found, and so nothing is read.
        let reading = Reading { action: &|_, _| None, package: &|_, _| None };
        self.heal(&[], reading).map(|_| ())
    }

    /// Makes the list of a name again from the packages that are here.
    ///
    /// # Errors
    /// [`StoreError::DamagedName`] when not all packages may be here, so that the list would say less than is true;
    /// when the index cannot be written.
    pub fn remake_names(&self, format: Format, name: &str) -> Result<(), StoreError> {
        self.0.check_writable()?;
        self.0.index.write(Commit::Durable, |writer| {
            if self.0.misses_packages(writer)? {
                return Err(StoreError::DamagedName { format, name: name.to_owned() });
            }
            Ok(writer.remake_names(format, name)?)
        })
    }

    /// Reads a tree; `None` when it is not there or damaged.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn tree(&self, digest: &Digest) -> Result<Option<Tree>, StoreError> {
        let row = self.0.index.read(|reader| reader.tree(digest))?;
        Ok(row.and_then(|row| tree_row::read(&row, digest)))
    }

    /// Reads a fact; `None` when it is not there or damaged.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn fact(&self, digest: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        let found = self.0.index.read(|reader| reader.fact(digest))?;
        Ok(found.filter(|data| Digest::of(data) == *digest))
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
        self.0.open_file(Directory::Packs, &info.blob)
    }

    /// Gives the file of a pack's bytes, for hard links; believed as by [`Store::open_pack`].
    ///
    /// # Errors
    /// When the index or a file that is there cannot be read.
    pub fn pack_file(&self, info: &PackInfo) -> Result<Option<StoredFile>, StoreError> {
        self.0.believe(Directory::Packs, &info.blob)
    }

    /// Opens a kept source, checked as by [`Store::open_pack`].
    ///
    /// # Errors
    /// When the index or a file that is there cannot be read.
    pub fn open_source(&self, sha256: &OciDigest) -> Result<Option<File>, StoreError> {
        self.0.open_file(Directory::Sources, sha256)
    }

    /// Reads a remembered outcome.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn action(&self, key: &ActionKey) -> Result<Option<Vec<u8>>, StoreError> {
        let row = self.0.index.read(|reader| reader.action(key))?;
        Ok(row.map(|row| row.value))
    }

    /// Reads remembered outcomes in the order of the keys, all of one moment.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn actions(&self, keys: &[ActionKey]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        self.0.index.snapshot(|reader| keys.iter().map(|key| Ok(reader.action(key)?.map(|row| row.value))).collect())
    }

    /// Says whether a source is kept, checked as by [`Store::open_source`].
    ///
    /// # Errors
    /// When the index or a file that is there cannot be read.
    pub fn keeps_source(&self, sha256: &OciDigest) -> Result<bool, StoreError> {
        Ok(self.0.believe(Directory::Sources, sha256)?.is_some())
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

/// Gives the record of a row that is whole.
pub(super) fn whole(row: PackageRow) -> Option<PackageRecord> {
    match row {
        PackageRow::Whole(record) => Some(*record),
        PackageRow::Damaged(_) => None,
    }
}

/// What may be chosen by a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// What the list of the name says.
    pub named: Named,
    /// The package; `None` when it has to be made again.
    pub record: Option<PackageRecord>,
}

/// Packages in order, and what cannot be listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// The packages.
    pub packages: Vec<PackageRecord>,
    /// Rows that are damaged.
    pub damaged: Vec<PackageKey>,
}

impl Listing {
    fn of(rows: Vec<PackageRow>) -> Self {
        let mut listing = Self::default();
        let ours = super::decoder();
        for row in rows {
            let record = match row {
                PackageRow::Whole(record) => *record,
                PackageRow::Damaged(key) => {
                    listing.damaged.push(key);
                    continue;
                }
            };
            // Records of one source stand beside each other.
            match listing.packages.last_mut() {
                Some(last) if (last.source, &last.given) == (record.source, &record.given) => {
                    if record.decoder == ours {
                        *last = record;
                    }
                }
                _ => listing.packages.push(record),
            }
        }
        listing
    }
}
