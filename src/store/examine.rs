//! One object looked at: are its rows there, its file, its bytes?
//!
//! The same questions are asked twice of what looks bad: first beside all others, then under the
//! write lock. What is no longer there the second time was collected, and is no damage.

use super::finding::{Finding, FindingKind};
use super::place::is_whole;
use super::verify::{Depth, PackCheck, VerifyOptions};
use super::{Inner, ObjectRef, PackageRecord, StoreError, tree_row};
use crate::index::{Folder, NameList, PackageRow, Reader, State};
use dlstore_formats::layer::PackInfo;
use dlstore_fsx::file::{self, Stamp};
use dlstore_model::digest::{ActionKey, Digest, OciDigest};

impl Inner {
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
                    found.extend(
                        self.examine_package(reader, row.id, &record)?
                            .into_iter()
                            .map(|(kind, detail)| finding(kind, &detail)),
                    );
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
                Some(row) => match PackInfo::decode(&row.info) {
                    Ok(info) => name = Some(info.blob),
                    Err(error) => found.push(finding(FindingKind::PackMalformed, &error.to_string())),
                },
            },
            ObjectRef::Action(key) => {
                if reader.action(key)?.is_none() {
                    found.push(finding(FindingKind::ObjectDigestMismatch, "its row is missing or damaged"));
                }
            }
            ObjectRef::Blob(digest) => match reader.blob(digest)? {
                None => found.push(finding(FindingKind::ObjectMissing, "its row")),
                Some(data) if is_full && OciDigest::of(&data) != *digest => {
                    found.push(finding(FindingKind::ObjectDigestMismatch, ""));
                }
                Some(_) => {}
            },
        }
        if let Some(sha256) = name {
            found.extend(self.examine_file(reader, row.file, &sha256, options)?.map(|kind| finding(kind, "its file")));
        }
        if let (true, Some(check), ObjectRef::Pack(key)) = (is_full && found.is_empty(), options.check_pack, object)
            && !self.examine_pack(reader, key, check)?
        {
            found.push(finding(FindingKind::PackTreeMismatch, ""));
        }
        Ok(found)
    }

    /// Compares what a package lists with what it refers to, and with the list of its name.
    fn examine_package(
        &self,
        reader: &Reader<'_>,
        id: i64,
        record: &PackageRecord,
    ) -> Result<Vec<(FindingKind, String)>, StoreError> {
        let mut found = Vec::new();
        let edges = reader.edges(id)?;
        let facts = record.facts.iter().map(|fact| ObjectRef::Fact(fact.digest));
        for wanted in facts.chain([ObjectRef::Tree(record.tree)]) {
            if reader.live(&wanted)?.is_none() {
                found.push((FindingKind::ObjectMissing, format!("its {wanted}")));
            } else if !edges.contains(&wanted) {
                found.push((FindingKind::EdgeMissing, format!("to its {wanted}")));
            }
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

    fn examine_file(
        &self,
        reader: &Reader<'_>,
        id: Option<i64>,
        name: &OciDigest,
        options: &VerifyOptions<'_>,
    ) -> Result<Option<FindingKind>, StoreError> {
        let Some(id) = id else { return Ok(Some(FindingKind::ObjectMissing)) };
        let Some(row) = reader.file_by_id(id)? else { return Ok(Some(FindingKind::RowDangling)) };
        if row.sha256 != *name {
            return Ok(Some(FindingKind::PackMalformed));
        }
        let path = self.layout.file(row.folder, &row.sha256);
        let Some(stamp) = Stamp::at(&path)? else { return Ok(Some(FindingKind::ObjectMissing)) };
        if stamp.size != row.stamp.size {
            return Ok(Some(FindingKind::ObjectSizeMismatch));
        }
        if options.depth == Depth::Full && !is_whole(&path, &row)? {
            return Ok(Some(FindingKind::ObjectDigestMismatch));
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
        let opened = file::open(&self.layout.file(Folder::Packs, &info.blob))?;
        Ok(trees.is_empty() || opened.is_none_or(|opened| check(&info, opened, &trees)))
    }
}
