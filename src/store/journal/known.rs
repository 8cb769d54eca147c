//! What is known of packages whose rows do not tell any more: by the lists of names, else by the journal.
//!
//! Both are read when the first such package is met, and once: ordinary work meets none.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{Inner, Journal, Kept, KeptPackage};
use crate::index::{NameList, PackageRow, Reader};
use crate::{ObjectRef, StoreError};
use dlstore_model::digest::PackageKey;
use dlstore_model::format::Format;

type Packages = BTreeMap<PackageKey, KeptPackage>;

/// The records that tell a package's name, format and source beside its row.
pub(crate) struct Known<'k> {
    reader: &'k Reader<'k>,
    journal: PathBuf,
    listed: OnceCell<Packages>,
    said: OnceCell<Packages>,
}

impl Inner {
    /// Begins to ask what is known of packages.
    pub(crate) fn known<'k>(&self, reader: &'k Reader<'k>) -> Known<'k> {
        Known { reader, journal: self.layout.journal(), listed: OnceCell::new(), said: OnceCell::new() }
    }
}

impl Known<'_> {
    /// Gives what a root keeps as the journal says it: a package with what it can be made again from, an outcome with
    /// the packages that it names.
    pub(super) fn kept(&self, object: &ObjectRef) -> Result<Kept, StoreError> {
        let mut kept = match object {
            ObjectRef::Package(key) => self.kept_package(key)?,
            object => Kept::plain(object),
        };
        if let ObjectRef::Action(key) = object {
            let mut named = self.reader.action(key)?.map(|row| row.names).unwrap_or_default();
            if let Some(row) = self.reader.object(object)? {
                named.extend(self.reader.edges(row.id)?);
            }
            named.sort_unstable();
            named.dedup();
            for name in named {
                if let ObjectRef::Package(key) = name {
                    kept.packages.push(self.kept_package(&key)?);
                }
            }
            kept.packages.sort();
        }
        Ok(kept)
    }

    fn kept_package(&self, key: &PackageKey) -> Result<Kept, StoreError> {
        let plain = Kept::plain(&ObjectRef::Package(*key));
        if let Some(PackageRow::Whole(record)) = self.reader.package_in_any_state(key)? {
            let (source, format, given, name) = (record.source, record.format, record.given, record.name);
            return Ok(plain.named(KeptPackage { source, format, given, name }));
        }
        Ok(match self.package(key)? {
            Some(package) => plain.named(package),
            None => plain,
        })
    }

    /// Gives what a package is whose row does not tell.
    pub(crate) fn package(&self, key: &PackageKey) -> Result<Option<KeptPackage>, StoreError> {
        if let Some(package) = self.listed()?.get(key) {
            return Ok(Some(package.clone()));
        }
        Ok(self.said()?.get(key).cloned())
    }

    fn listed(&self) -> Result<&Packages, StoreError> {
        if let Some(listed) = self.listed.get() {
            return Ok(listed);
        }
        let mut found = Packages::new();
        for (format, name) in self.reader.audit_names().rows {
            let Some(format) = Format::from_name(&format) else { continue };
            let NameList::Whole(list) = self.reader.names(format, &name)? else { continue };
            let given = if format == Format::Tar { name.as_str() } else { "" };
            found.extend(list.into_iter().map(|named| {
                let package = KeptPackage { source: named.source, format, given: given.to_owned(), name: name.clone() };
                (named.key, package)
            }));
        }
        Ok(self.listed.get_or_init(|| found))
    }

    fn said(&self) -> Result<&Packages, StoreError> {
        if let Some(said) = self.said.get() {
            return Ok(said);
        }
        let journal = Journal::read(&self.journal)?.unwrap_or_default();
        // A package of a root that was removed, then those of roots that are there, by the keys that they say.
        let by_source = journal
            .packages
            .iter()
            .map(|package| (PackageKey::new(&package.source, crate::decoder(), &package.given), package.clone()));
        let mut said: Packages = by_source.collect();
        for kept in journal.roots.values().flatten().flat_map(Kept::all) {
            if let (Some(ObjectRef::Package(key)), Some(package)) = (kept.object(), kept.package()) {
                said.insert(key, package);
            }
        }
        Ok(self.said.get_or_init(|| said))
    }
}
