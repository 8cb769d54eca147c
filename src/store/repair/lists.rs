//! Healing the lists of names: what a choice by name is made from is whole, or stays damaged.
//!
//! A list tells which packages there were, so what is on it and gone has to be made again. A list that lacks one is made
//! again last, when everything that it could hold is known: a list that were whole too early would let an older
//! package be chosen.

use std::collections::BTreeSet;

use super::{Healer, Unhealed};
use crate::StoreError;
use crate::index::{Directory, NameList, Named, PackageRow};
use dlstore_fsx::file;
use dlstore_model::digest::OciDigest;
use dlstore_model::format::Format;

/// Lists of names: format and name.
pub(super) type Lists = BTreeSet<(Format, String)>;

impl Healer<'_> {
    /// Looks through the lists of names: what is listed and gone has to be made again. Gives the lists that are not as
    /// they should be.
    pub(super) fn listed(&mut self) -> Result<Lists, StoreError> {
        let mut wrong = Lists::new();
        for (format, name) in self.writer.audit_names().rows {
            let Some(known) = Format::from_name(&format) else {
                self.writer.remove_list(&format, &name)?;
                continue;
            };
            let NameList::Whole(list) = self.writer.names(known, &name)? else {
                wrong.insert((known, name));
                continue;
            };
            for named in list {
                match self.writer.package(&named.key)? {
                    Some(PackageRow::Whole(record))
                        if (record.format, &record.name, record.source) == (known, &name, named.source) => {}
                    Some(PackageRow::Whole(_)) => {
                        wrong.insert((known, name.clone()));
                    }
                    // The list tells what it was.
                    Some(PackageRow::Damaged(key)) => {
                        self.package(&key)?;
                    }
                    None => self.make_again(listed(known, &name, &named)),
                }
            }
        }
        Ok(wrong)
    }

    /// Adds the lists that lack a package that is here, or that has to be made again.
    pub(super) fn unlisted(&self, wrong: &mut Lists) -> Result<(), StoreError> {
        let here = self.writer.packages()?.into_iter().filter_map(|row| match row {
            PackageRow::Whole(record) => Some((record.format, record.name.clone(), record.key(), record.source)),
            PackageRow::Damaged(_) => None,
        });
        let again = self.done.packages.iter().map(|one| (one.format, one.name.clone(), one.key, one.source));
        for (format, name, key, source) in here.chain(again) {
            match self.writer.names(format, &name)? {
                NameList::Whole(list) if list.contains(&Named { key, source }) => {}
                _ => {
                    wrong.insert((format, name));
                }
            }
        }
        Ok(())
    }

    /// Makes lists again from what is here and what has to be made again. One that is damaged stays so while there are
    /// sources of which nobody knows what they are: it may have held them.
    pub(super) fn remake_lists(&self, lists: &Lists) -> Result<(), StoreError> {
        let mut may_lack = None;
        for (format, name) in lists {
            if self.writer.names(*format, name)? == NameList::Damaged {
                let astray = may_lack.map_or_else(|| self.has_sources_astray(), Ok)?;
                may_lack = Some(astray);
                if astray {
                    continue;
                }
            }
            self.writer.remake_names(*format, name)?;
        }
        for package in &self.done.packages {
            let named = Named { key: package.key, source: package.source };
            self.writer.put_name(package.format, &package.name, named)?;
        }
        Ok(())
    }

    /// Says whether a source lies here that belongs to no package, here or to be made again.
    fn has_sources_astray(&self) -> Result<bool, StoreError> {
        let here = self.writer.packages()?.into_iter().filter_map(|row| match row {
            PackageRow::Whole(record) => Some(record.source),
            PackageRow::Damaged(_) => None,
        });
        let known: BTreeSet<OciDigest> = here.chain(self.done.packages.iter().map(|one| one.source)).collect();
        let lie = file::list_digests(&self.store.layout.directory(Directory::Sources))?;
        Ok(lie.iter().any(|source| !known.contains(source)))
    }
}

fn listed(format: Format, name: &str, named: &Named) -> Unhealed {
    let given = if format == Format::Tar { name.to_owned() } else { String::new() };
    let (name, version) = (name.to_owned(), String::new());
    Unhealed { format, name, version, given, source: named.source, key: named.key }
}
