//! Verifying: damage has a name, and is confirmed before it is reported.
//!
//! Three kinds of outcome: a *finding* is damage; a *note* is what a killed process left behind,
//! harmless and swept by the collector; all else is sound. The store lives while it is verified: what
//! looks bad is looked at again under the write lock, where rows and files cannot disagree.

use std::fs::File;

use rayon::prelude::*;

use super::place::is_whole;
use super::{Inner, ObjectRef, Store, StoreError, tree_row};
use crate::digest::OciDigest;
use crate::fsx::file::{self, Stamp};
use crate::index::{Commit, Dangling, Reader, State};
use crate::layer::PackInfo;
use crate::tree::Tree;

/// Decodes a pack and says whether it holds its layer trees.
pub type PackCheck<'a> = &'a (dyn Fn(&PackInfo, File, &[Tree]) -> bool + Sync);

/// How deep to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Rows, and whether files are there and as long as they should be.
    Quick,
    /// Every byte as well.
    Full,
}

/// One slice of the objects, by their names: part `number` of `count`, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Which slice.
    pub number: u32,
    /// Of how many.
    pub count: u32,
}

impl Part {
    fn holds(self, object: &ObjectRef) -> bool {
        let (start, _) =
            object.key().split_first_chunk::<4>().map_or(([0; 4], &[][..]), |(start, rest)| (*start, rest));
        u32::from_be_bytes(start) % self.count.max(1) == self.number.saturating_sub(1)
    }
}

/// What to verify.
#[derive(Clone, Copy)]
pub struct VerifyOptions<'a> {
    /// How deep to look.
    pub depth: Depth,
    /// Which objects; all when `None`.
    pub part: Option<Part>,
    /// How packs are decoded; with `None`, or when their layer trees are gone, they are only hashed.
    pub check_pack: Option<PackCheck<'a>>,
}

impl VerifyOptions<'_> {
    /// Looks at everything, packs hashed and not decoded.
    #[must_use]
    pub const fn new(depth: Depth) -> Self {
        Self { depth, part: None, check_pack: None }
    }
}

/// The kinds of damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FindingKind {
    /// SQLite's own structure is broken.
    IndexDamaged,
    /// A row names a row that is not there.
    RowDangling,
    /// A live object refers to a dead one.
    EdgeDangling,
    /// A root keeps a dead object.
    RootDangling,
    /// A file or a row of content is not there.
    ObjectMissing,
    /// A file has another length.
    ObjectSizeMismatch,
    /// Bytes do not hash to their name or checksum.
    ObjectDigestMismatch,
    /// A tree cannot be decompressed or decoded.
    TreeMalformed,
    /// What is known of a pack cannot be decoded, or speaks of another blob.
    PackMalformed,
    /// A pack does not hold its layer trees.
    PackTreeMismatch,
    /// It was found damaged before and nobody healed it.
    ObjectDamaged,
}

impl FindingKind {
    /// Gives the stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::IndexDamaged => "index-damaged",
            Self::RowDangling => "row-dangling",
            Self::EdgeDangling => "edge-dangling",
            Self::RootDangling => "root-dangling",
            Self::ObjectMissing => "object-missing",
            Self::ObjectSizeMismatch => "object-size-mismatch",
            Self::ObjectDigestMismatch => "object-digest-mismatch",
            Self::TreeMalformed => "tree-malformed",
            Self::PackMalformed => "pack-malformed",
            Self::PackTreeMismatch => "pack-tree-mismatch",
            Self::ObjectDamaged => "object-damaged",
        }
    }
}

/// One damage.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// Of which kind.
    pub kind: FindingKind,
    /// To what; `None` when it is the index itself.
    pub object: Option<ObjectRef>,
    /// More, for people: which file, which fact, which root.
    pub detail: String,
}

/// The kinds of leftovers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NoteKind {
    /// A file in `packs/` or `sources/` without a row.
    OrphanFile,
    /// A name in `packs/` or `sources/` that no store makes.
    UnknownFile,
    /// Rows of dead objects.
    DeadObjects,
    /// A row of a file that no object lies in.
    UnusedFile,
    /// A lease whose owner is dead, or its stage.
    StaleLease,
    /// `roots.json` is missing, outdated or unfinished.
    RootsMirror,
    /// Bad bytes that were kept.
    Quarantined,
}

impl NoteKind {
    /// Gives the stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::OrphanFile => "orphan-file",
            Self::UnknownFile => "unknown-file",
            Self::DeadObjects => "dead-objects",
            Self::UnusedFile => "unused-file",
            Self::StaleLease => "stale-lease",
            Self::RootsMirror => "roots-mirror",
            Self::Quarantined => "quarantined-file",
        }
    }
}

/// One leftover.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Note {
    /// Of which kind.
    pub kind: NoteKind,
    /// Which, for people.
    pub detail: String,
}

/// What verifying found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// Damage, sorted; empty when the store is sound.
    pub findings: Vec<Finding>,
    /// Leftovers, sorted.
    pub notes: Vec<Note>,
    /// Objects that were looked at.
    pub checked: u64,
}

impl Store {
    /// Looks for damage. Changes nothing.
    ///
    /// # Errors
    /// When the store cannot be read at all.
    pub fn verify(&self, options: &VerifyOptions<'_>) -> Result<VerifyReport, StoreError> {
        let store = &self.0;
        let mut findings = store.structure()?;
        let objects: Vec<ObjectRef> = store.index.snapshot(|reader| {
            let nodes = reader.graph()?.objects.into_iter().filter(|node| node.state != State::Dead);
            Ok::<_, StoreError>(nodes.map(|node| node.object).collect())
        })?;
        let chosen: Vec<ObjectRef> =
            objects.into_iter().filter(|object| options.part.is_none_or(|part| part.holds(object))).collect();
        let suspects: Vec<ObjectRef> = chosen
            .par_iter()
            .filter_map(|object| {
                let looked = store.index.read(|reader| store.examine(reader, object, options));
                match looked {
                    Ok(found) if found.is_empty() => None,
                    Ok(_) => Some(Ok(*object)),
                    Err(error) => Some(Err(error)),
                }
            })
            .collect::<Result<_, _>>()?;
        for object in suspects {
            findings.extend(store.index.write(Commit::Relaxed, |writer| store.examine(writer, &object, options))?);
        }
        findings.sort();
        findings.dedup();
        let mut notes = store.leftovers()?;
        notes.sort();
        Ok(VerifyReport { findings, notes, checked: chosen.len() as u64 })
    }
}

impl Inner {
    /// Checks the index as a whole.
    fn structure(&self) -> Result<Vec<Finding>, StoreError> {
        let look = |reader: &Reader<'_>| -> Result<Vec<Finding>, StoreError> {
            let finding = |kind, object, detail| Finding { kind, object, detail };
            let broken = reader.quick_check()?.into_iter();
            let mut found: Vec<Finding> = broken.map(|line| finding(FindingKind::IndexDamaged, None, line)).collect();
            for dangling in reader.dangling()? {
                found.push(match dangling {
                    Dangling::Edge { from, to } => {
                        finding(FindingKind::EdgeDangling, Some(from), format!("refers to {to}"))
                    }
                    Dangling::Root { name, to } => {
                        finding(FindingKind::RootDangling, Some(to), format!("kept by the root {name}"))
                    }
                    Dangling::Row { table, parent } => {
                        finding(FindingKind::RowDangling, None, format!("a row of {table} names none of {parent}"))
                    }
                });
            }
            Ok(found)
        };
        let suspected = self.index.snapshot(look)?;
        if suspected.is_empty() {
            return Ok(suspected);
        }
        self.index.write(Commit::Relaxed, |writer| look(writer))
    }

    /// Checks one object; nothing when it is sound, or no longer there.
    fn examine(
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
            ObjectRef::Package(source) => {
                if reader.package(source)?.is_none() {
                    found.push(finding(FindingKind::ObjectMissing, "its row"));
                }
            }
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
        if is_full && matches!(object, ObjectRef::Tree(_)) {
            for kind in reader.damaged_facts(row.id)? {
                found.push(finding(FindingKind::ObjectDigestMismatch, &format!("its facts {kind:?}")));
            }
        }
        if let Some(sha256) = name {
            found.extend(self.examine_file(reader, row.file, &sha256, options)?.map(|kind| finding(kind, "its file")));
        }
        if let (true, Some(check), ObjectRef::Pack(key)) = (is_full && found.is_empty(), options.check_pack, object) {
            if !self.examine_pack(reader, key, check)? {
                found.push(finding(FindingKind::PackTreeMismatch, ""));
            }
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
    fn examine_pack(
        &self,
        reader: &Reader<'_>,
        key: &crate::digest::ActionKey,
        check: PackCheck<'_>,
    ) -> Result<bool, StoreError> {
        let Some(row) = reader.pack(key)? else { return Ok(true) };
        let Ok(info) = PackInfo::decode(&row.info) else { return Ok(true) };
        let mut trees = Vec::with_capacity(row.parts.len());
        for part in &row.parts {
            match reader.tree(part)?.and_then(|row| tree_row::read(&row, part)) {
                Some(tree) => trees.push(tree),
                None => return Ok(true),
            }
        }
        let opened = file::open(&self.layout.file(crate::index::Folder::Packs, &info.blob))?;
        Ok(trees.is_empty() || opened.is_none_or(|opened| check(&info, opened, &trees)))
    }

    /// Lists what killed processes left behind.
    fn leftovers(&self) -> Result<Vec<Note>, StoreError> {
        let mut notes = Vec::new();
        let mut note = |kind, detail: String| notes.push(Note { kind, detail });
        for (_, _, orphan) in self.orphans()? {
            note(NoteKind::OrphanFile, orphan.path);
        }
        for folder in crate::index::Folder::ALL {
            for name in file::list(&self.layout.folder(folder))? {
                let name = name.to_string_lossy();
                if OciDigest::from_hex(&name).is_err() {
                    note(NoteKind::UnknownFile, format!("{}/{name}", super::layout::folder_name(folder)));
                }
            }
        }
        let (dead, unused) = self
            .index
            .snapshot(|reader| Ok::<_, StoreError>((reader.totals()?.dead, reader.unused_files(u32::MAX)?)))?;
        if dead > 0 {
            note(NoteKind::DeadObjects, dead.to_string());
        }
        for row in unused {
            note(NoteKind::UnusedFile, format!("{}/{}", super::layout::folder_name(row.folder), row.sha256.to_hex()));
        }
        for lease in self.dead_leases()? {
            note(NoteKind::StaleLease, lease);
        }
        if !self.roots_are_mirrored()? {
            note(NoteKind::RootsMirror, "it is not what the index says".to_owned());
        }
        for name in self.unfinished_mirrors()? {
            note(NoteKind::RootsMirror, name.to_string_lossy().into_owned());
        }
        for name in file::list(&self.layout.quarantine())? {
            note(NoteKind::Quarantined, name.to_string_lossy().into_owned());
        }
        Ok(notes)
    }
}
