//! Verifying: damage has a name, and is confirmed before it is reported.
//!
//! Three kinds of outcome: a *finding* is damage; a *note* is what a killed process left behind,
//! harmless and swept by the collector; all else is sound. The store lives while it is verified: what
//! looks bad is looked at again under the write lock, where rows and files cannot disagree.

use std::fs::File;

use rayon::prelude::*;

use super::finding::{Finding, FindingKind, Note, NoteKind};
use super::{Inner, ObjectRef, Store, StoreError};
use crate::index::{Commit, Dangling, Reader, State};
use dlstore_formats::layer::PackInfo;
use dlstore_fsx::file;
use dlstore_model::digest::OciDigest;
use dlstore_model::tree::Tree;

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
    /// Looks for damage. Changes nothing, but that the stamp of a file whose bytes are bad is not believed any more.
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
            let looked = store.index.write(Commit::Relaxed, |writer| {
                let found = store.examine(writer, &object, options)?;
                if found.iter().any(|one| one.kind == FindingKind::ObjectDigestMismatch) {
                    store.doubt(writer, &object)?;
                }
                Ok::<_, StoreError>(found)
            });
            findings.extend(looked?);
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
