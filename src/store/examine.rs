//! One object looked at: are its rows there, its file, its bytes?
//!
//! A file that looks as it was recorded is believed by a quick look, any other is hashed. What a row names must be
//! live and referred to, or a collection could take it.
//!
//! The same questions are asked twice of what looks bad: first beside all others, then under the
//! write lock. What is no longer there the second time was collected, and is no damage.

use super::finding::{Finding, FindingKind};
use super::place::is_whole;
use super::verify::{Depth, PackCheck, Stated, VerifyOptions};
use super::{Inner, ObjectRef, PackageRecord, StoreError, tree_row};
use crate::index::{Directory, NameList, ObjectRow, PackageRow, Reader, State};
use dlstore_formats::layer::{self, PackInfo};
use dlstore_fsx::file::{self, Stamp};
use dlstore_model::digest::{ActionKey, Digest, OciDigest};

impl Inner {
    /// Says how many bytes of trees and facts have to be decoded to look at an object.
    pub(super) fn weight(&self, object: &ObjectRef, options: &VerifyOptions<'_>) -> Result<u64, StoreError> {
        self.index.read(|reader| {
            let tree = |digest: &Digest| Ok::<_, StoreError>(reader.tree(digest)?.map_or(0, |row| row.raw_size));
            match object {
                _ if options.depth != Depth::Full => Ok(0),
                ObjectRef::Tree(digest) => tree(digest),
                ObjectRef::Package(key) => {
                    let Some(PackageRow::Whole(record)) = reader.package(key)? else { return Ok(0) };
                    let mut weight = tree(&record.tree)?;
                    for fact in &record.facts {
                        let size = reader.object(&ObjectRef::Fact(fact.digest))?.map_or(0, |row| row.size);
                        weight = weight.saturating_add(size);
                    }
                    Ok(weight)
                }
                ObjectRef::Pack(key) if options.check_pack.is_some() => {
                    let parts = reader.pack(key)?.map_or_else(Vec::new, |pack| pack.parts);
                    parts.iter().try_fold(0, |weight: u64, part| Ok(weight.saturating_add(tree(part)?)))
                }
                _ => Ok(0),
            }
        })
    }

    /// Checks one object; nothing when it is sound, or no longer there.
    pub(super) fn examine(
        &self,
        reader: &Reader<'_>,
        object: &ObjectRef,
        options: &VerifyOptions<'_>,
    ) -> Result<Vec<Finding>, StoreError> {
        let Some(row) = reader.object(object)? else { return Ok(Vec::new()) };
        let finding = |kind, detail: &str| Finding { kind, object: Some(*object), detail: detail.to_owned() };
        match row.state {
            State::Dead => return Ok(Vec::new()),
            State::Damaged => return Ok(vec![finding(FindingKind::ObjectDamaged, "")]),
            State::Live => {}
        }
        let is_full = options.depth == Depth::Full;
        let mut found = Vec::new();
        let mut name = None;
        match object {
            ObjectRef::Source(sha256) => name = Some(*sha256),
            ObjectRef::Tree(digest) => match reader.tree(digest)? {
                None => found.push(finding(FindingKind::ObjectMissing, "its row")),
                Some(row) if is_full && tree_row::read(&row, digest).is_none() => {
                    let kind = if tree_row::is_readable(&row) {
                        FindingKind::ObjectDigestMismatch
                    } else {
                        FindingKind::TreeMalformed
                    };
                    found.push(finding(kind, ""));
                }
                Some(_) => {}
            },
            ObjectRef::Package(key) => match reader.package(key)? {
                Some(PackageRow::Whole(record)) => {
                    let looked = examine_package(reader, row.id, &record, options)?.into_iter();
                    found.extend(looked.map(|(kind, detail)| finding(kind, &detail)));
                }
                _ => found.push(finding(FindingKind::RowDamaged, "its row is missing or damaged")),
            },
            ObjectRef::Fact(digest) => match reader.fact(digest)? {
                None => found.push(finding(FindingKind::ObjectMissing, "its row")),
                Some(data) if is_full && Digest::of(&data) != *digest => {
                    found.push(finding(FindingKind::ObjectDigestMismatch, ""));
                }
                Some(_) => {}
            },
            ObjectRef::Pack(key) => match reader.pack(key)? {
                None => found.push(finding(FindingKind::PackMalformed, "its row is missing or damaged")),
                Some(pack) => match PackInfo::decode(&pack.info) {
                    Ok(info) => {
                        name = Some(info.blob);
                        if layer::pack_key(info.codec, &pack.parts) != *key {
                            found.push(finding(FindingKind::PackKeyMismatch, "its layer trees have another key"));
                        }
                        if (info.raw_size, info.size) != (pack.raw_size, row.size) {
                            found.push(finding(FindingKind::PackMalformed, "its sizes are not those of its rows"));
                        }
                    }
                    Err(error) => found.push(finding(FindingKind::PackMalformed, &error.to_string())),
                },
            },
            ObjectRef::Action(key) => match reader.action(key)? {
                None => found.push(finding(FindingKind::ObjectDigestMismatch, "its row is missing or damaged")),
                Some(action) => {
                    let said = options.reading.map(|reading| (reading.action)(&action.kind, &action.value));
                    if said == Some(None) {
                        found.push(finding(FindingKind::ActionMalformed, &format!("of kind {}", action.kind)));
                    }
                    let mut names = action.names;
                    names.extend(said.flatten().unwrap_or_default());
                    names.sort_unstable();
                    names.dedup();
                    let looked = examine_edges(reader, row.id, names, Needs::Live)?;
                    found.extend(looked.into_iter().map(|(kind, detail)| finding(kind, &detail)));
                }
            },
            ObjectRef::Blob(digest) => match reader.blob(digest)? {
                None => found.push(finding(FindingKind::ObjectMissing, "its row")),
                Some(data) if is_full && OciDigest::of(&data) != *digest => {
                    found.push(finding(FindingKind::ObjectDigestMismatch, ""));
                }
                Some(_) => {}
            },
        }
        if let Some(sha256) = name {
            let looked = self.examine_file(reader, object, &row, &sha256, options)?;
            found.extend(looked.map(|kind| finding(kind, "its file")));
        }
        if let (true, Some(check), ObjectRef::Pack(key)) = (is_full && found.is_empty(), options.check_pack, object)
            && !self.examine_pack(reader, key, check)?
        {
            found.push(finding(FindingKind::PackTreeMismatch, ""));
        }
        Ok(found)
    }

    fn examine_file(
        &self,
        reader: &Reader<'_>,
        object: &ObjectRef,
        of: &ObjectRow,
        name: &OciDigest,
        options: &VerifyOptions<'_>,
    ) -> Result<Option<FindingKind>, StoreError> {
        let Some(id) = of.file else { return Ok(Some(FindingKind::ObjectMissing)) };
        let Some(row) = reader.file_by_id(id)? else { return Ok(Some(FindingKind::RowDangling)) };
        let (directory, misplaced) = match object {
            ObjectRef::Source(_) => (Directory::Sources, FindingKind::RowDamaged),
            _ => (Directory::Packs, FindingKind::PackMalformed),
        };
        if (row.directory, row.sha256) != (directory, *name) {
            return Ok(Some(misplaced));
        }
        let path = self.layout.file(row.directory, &row.sha256);
        let Some(stamp) = Stamp::at(&path)? else {
            let is_there = file::exists(&path)?;
            return Ok(Some(if is_there { FindingKind::NotAFile } else { FindingKind::ObjectMissing }));
        };
        if stamp.size != row.stamp.size {
            return Ok(Some(FindingKind::ObjectSizeMismatch));
        }
        if stamp.size != of.size {
            return Ok(Some(misplaced));
        }
        if options.depth == Depth::Full || stamp != row.stamp {
            if !is_whole(&path, &row)? {
                return Ok(Some(FindingKind::ObjectDigestMismatch));
            }
            if stamp != row.stamp {
                self.remember_right(&row, stamp);
            }
        }
        Ok(None)
    }

    /// Decodes a pack against its layer trees, if all of them are still there.
    fn examine_pack(&self, reader: &Reader<'_>, key: &ActionKey, check: PackCheck<'_>) -> Result<bool, StoreError> {
        let Some(row) = reader.pack(key)? else { return Ok(true) };
        let Ok(info) = PackInfo::decode(&row.info) else { return Ok(true) };
        let mut trees = Vec::with_capacity(row.parts.len());
        for part in &row.parts {
            match reader.tree(part)?.and_then(|row| tree_row::read(&row, part)) {
                Some(tree) => trees.push(tree),
                None => return Ok(true),
            }
        }
        let opened = file::open(&self.layout.file(Directory::Packs, &info.blob))?;
        Ok(trees.is_empty() || opened.is_none_or(|opened| check(&info, opened, &trees)))
    }
}

/// Compares what a package lists with what it refers to, and with the list of its name.
fn examine_package(
    reader: &Reader<'_>,
    id: i64,
    record: &PackageRecord,
    options: &VerifyOptions<'_>,
) -> Result<Vec<(FindingKind, String)>, StoreError> {
    let facts = record.facts.iter().map(|fact| ObjectRef::Fact(fact.digest));
    let mut found = examine_edges(reader, id, facts.chain([ObjectRef::Tree(record.tree)]).collect(), Needs::Live)?;
    // A source may be kept or not; one that is kept belongs to its package, unless sources were let go.
    let source = ObjectRef::Source(record.source);
    found.extend(examine_edges(reader, id, vec![source], Needs::Edge)?);
    if options.depth == Depth::Full && found.is_empty() {
        found.extend(examine_words(reader, id, record, options)?);
    }
    let key = record.key();
    let is_listed = match reader.names(record.format, &record.name)? {
        NameList::Whole(list) => list.iter().any(|named| named.key == key && named.source == record.source),
        NameList::Damaged => false,
    };
    if !is_listed {
        found.push((FindingKind::NameDamaged, format!("the list of packages named {}", record.name)));
    }
    Ok(found)
}

/// Which of the things that a row names must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Needs {
    /// All of them, and referred to.
    Live,
    /// Those that are there must be referred to.
    Edge,
}

/// Compares what a row names with what its object refers to.
fn examine_edges(
    reader: &Reader<'_>,
    id: i64,
    names: Vec<ObjectRef>,
    needs: Needs,
) -> Result<Vec<(FindingKind, String)>, StoreError> {
    let mut found = Vec::new();
    let edges = reader.edges(id)?;
    for wanted in names {
        if reader.live(&wanted)?.is_none() {
            if needs == Needs::Live {
                found.push((FindingKind::ObjectMissing, format!("its {wanted}")));
            }
        } else if !edges.contains(&wanted) {
            found.push((FindingKind::EdgeMissing, format!("to its {wanted}")));
        }
    }
    Ok(found)
}

/// Compares the columns of a package with its tree, and with what its facts say.
fn examine_words(
    reader: &Reader<'_>,
    id: i64,
    record: &PackageRecord,
    options: &VerifyOptions<'_>,
) -> Result<Vec<(FindingKind, String)>, StoreError> {
    let mismatch = |what: &str| (FindingKind::PackageMismatch, format!("its row has another {what}"));
    let mut found = Vec::new();
    // What is bad itself is a finding of its own.
    if let Some(tree) = reader.tree(&record.tree)?.and_then(|row| tree_row::read(&row, &record.tree))
        && (tree.len() as u64, tree.content_size(), tree.date()) != (record.entries, record.content_size, record.date)
    {
        found.push(mismatch("count, size or date than its tree"));
    }
    // Records of another program's decoder are read by that program.
    let Some(reading) = options.reading.filter(|_| record.decoder == super::decoder()) else { return Ok(found) };
    let mut facts = std::collections::BTreeMap::new();
    for fact in &record.facts {
        match reader.fact(&fact.digest)?.filter(|data| Digest::of(data) == fact.digest) {
            Some(data) => facts.insert(fact.kind.as_str(), data),
            None => return Ok(found),
        };
    }
    let Some(stated) = (reading.package)(record, &|kind| facts.get(kind).cloned()) else {
        found.push((FindingKind::PackageMismatch, "its facts cannot be read".to_owned()));
        return Ok(found);
    };
    let Stated { name, version, architecture, sonames } = stated;
    for (what, said, row) in [
        ("name", &name, &record.name),
        ("version", &version, &record.version),
        ("architecture", &architecture, &record.architecture),
    ] {
        if said != row {
            found.push(mismatch(&format!("{what} than its facts")));
        }
    }
    if reader.sonames_of(id)? != sonames {
        found.push((FindingKind::SonameDamaged, "the libraries that hints know".to_owned()));
    }
    Ok(found)
}
