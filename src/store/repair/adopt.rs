//! Adopting: files that lie where they belong, and whose rows were lost or say something else.
//!
//! A source has the name of its bytes, and a package names it; the row of a pack says which bytes are its. So what lies
//! there is hashed, and when it is right it is the store's again. Nothing has to be made for that.

use super::super::verify::{Depth, VerifyOptions};
use super::super::{Inner, ObjectRef, Store, StoreError};
use super::Healer;
use crate::index::{Directory, FileRow, NewObject, PackageRow, Reader};
use dlstore_formats::layer::PackInfo;
use dlstore_fsx::file::{self, Found, Stamp};
use dlstore_model::digest::{ActionKey, OciDigest};

impl Store {
    /// Says whether a source of a package lies here that the index does not know: a repair takes it over.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn has_adoptable(&self) -> Result<bool, StoreError> {
        self.0.index.read(|reader| Ok(!self.0.adoptable(reader)?.is_empty()))
    }
}

impl Inner {
    /// Lists the sources in `sources/` that belong to a package which is here, and that are no objects.
    pub(super) fn adoptable(&self, reader: &Reader<'_>) -> Result<Vec<OciDigest>, StoreError> {
        let names = file::list_digests(&self.layout.directory(Directory::Sources))?;
        let mut sources = reader.without_row(Directory::Sources, &names)?;
        let unused = reader.unused_files(u32::MAX)?;
        sources.extend(unused.iter().filter(|row| row.directory == Directory::Sources).map(|row| row.sha256));
        let mut found = Vec::new();
        for source in sources {
            let is_whole = |row: &PackageRow| matches!(row, PackageRow::Whole(_));
            if reader.packages_of(&source)?.iter().any(is_whole) {
                found.push(source);
            }
        }
        Ok(found)
    }

    /// Hashes a source, and remembers what it looks like if it is right.
    pub(super) fn hash_source(&self, sha256: &OciDigest) -> Result<(), StoreError> {
        let path = self.layout.file(Directory::Sources, sha256);
        let Found::File(opened) = file::open_regular(&path)? else { return Ok(()) };
        let stamp = Stamp::of(&opened, &path)?;
        if file::sha256(&opened, &path)? == *sha256 {
            let row = FileRow { id: 0, directory: Directory::Sources, sha256: *sha256, stamp };
            self.remember_right(&row, stamp);
        }
        Ok(())
    }
}

impl Healer<'_> {
    /// Takes a source over again whose bytes are right.
    pub(super) fn adopt(&self, sha256: &OciDigest) -> Result<bool, StoreError> {
        let path = self.store.layout.file(Directory::Sources, sha256);
        let Found::File(opened) = file::open_regular(&path)? else { return Ok(false) };
        let stamp = Stamp::of(&opened, &path)?;
        let row = FileRow { id: 0, directory: Directory::Sources, sha256: *sha256, stamp };
        let is_right = self.store.is_hashed(&row) || file::sha256(&opened, &path)? == *sha256;
        if !is_right || self.store.restamp(self.writer, &row, &path, stamp)?.is_none() {
            return Ok(false);
        }
        let Some(row) = self.writer.file(Directory::Sources, sha256)? else { return Ok(false) };
        let new = NewObject { size: row.stamp.size, file: Some(row.id), origin: self.origin, now: self.now };
        self.writer.put_object(&ObjectRef::Source(*sha256), new)?;
        Ok(true)
    }

    /// Takes the sources of packages over again that lie here, and of which the rows were lost or never came to be.
    pub(super) fn adopt_all(&mut self) -> Result<(), StoreError> {
        for source in self.store.adoptable(self.writer)? {
            if !self.adopt(&source)? {
                // Bytes that are bad would be taken for what could be had.
                let path = self.store.layout.file(Directory::Sources, &source);
                if file::exists(&path)? {
                    self.store.quarantine(&path)?;
                    self.name_those_without(&source)?;
                }
                continue;
            }
            for row in self.writer.packages_of(&source)? {
                let object = row.object();
                if let (PackageRow::Whole(_), Some(row)) = (&row, self.writer.live(&object)?) {
                    self.join(&object, row.id)?;
                }
            }
        }
        Ok(())
    }

    /// Takes the file of a pack over again whose row says what it is, and whose bytes are that.
    pub(super) fn adopt_pack(&self, key: &ActionKey) -> Result<bool, StoreError> {
        let Some(pack) = self.writer.pack(key)? else { return Ok(false) };
        let Ok(info) = PackInfo::decode(&pack.info) else { return Ok(false) };
        let path = self.store.layout.file(Directory::Packs, &info.blob);
        let Found::File(opened) = file::open_regular(&path)? else { return Ok(false) };
        let stamp = Stamp::of(&opened, &path)?;
        if stamp.size != info.size || file::sha256(&opened, &path)? != info.blob {
            return Ok(false);
        }
        let row = FileRow { id: 0, directory: Directory::Packs, sha256: info.blob, stamp };
        if self.store.restamp(self.writer, &row, &path, stamp)?.is_none() {
            return Ok(false);
        }
        let Some(row) = self.writer.file(Directory::Packs, &info.blob)? else { return Ok(false) };
        let object = ObjectRef::Pack(*key);
        let new = NewObject { size: info.size, file: Some(row.id), origin: self.origin, now: self.now };
        self.writer.put_object(&object, new)?;
        Ok(self.store.examine(self.writer, &object, &VerifyOptions::new(Depth::Quick))?.is_empty())
    }
}
