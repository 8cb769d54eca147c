//! Running the fix-ups: which ones a root needs, with what inputs, and to which level each belongs.
//!
//! A fix-up is a pure function of packages' facts and the definition. It is run on what the levels up
//! to each level bring; the outcome belongs to the first level from which on it no longer changes. So
//! `glibc-dynamic`, which extends `static`, has the accounts and certificates of `static` in layers
//! that both images share, and its own loader cache above them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::compose::ComposeError;
use crate::compose::bench::Bench;
use crate::definition::Level;
use crate::rootfs::owned::Voices;
use crate::rootfs::part::{Bytes, Origin, Part, Reach};
use crate::rootfs::union::Union;
use dlstore_formats::elf::Elf;
use dlstore_model::arch::Arch;
use dlstore_model::digest::Digest;
use dlstore_model::path::TreePath;
use dlstore_model::tree::Entry;

use crate::fixup::Generated;

/// What the fix-ups of a root see: parts and union of the levels so far.
pub struct View<'v> {
    /// The architecture.
    pub arch: Arch,
    /// All parts so far, packages and own files.
    pub parts: &'v [Arc<Part>],
    /// Their union.
    pub union: &'v Union,
    /// The definition's levels so far.
    pub levels: &'v [Level],
    /// Certificates of the definition: name and PEM.
    pub certificates: &'v [(String, Vec<u8>)],
    /// Who may speak of accounts and certificates.
    pub voices: &'v Voices<'v>,
    /// What other architectures have made.
    pub bench: &'v Bench,
}

/// Outcomes by fix-up, and for those that work level by level, by level.
pub type Outcomes = BTreeMap<(&'static str, usize), Generated>;

/// Says whether a fix-up gives the same on every architecture by its nature.
#[must_use]
pub fn reach(name: &str) -> Reach {
    match name {
        "accounts" | "ca-bundle" | "os-release" | "nsswitch" => Reach::All,
        _ => Reach::One,
    }
}

/// Joins outcomes into at most two parts a level: what is for all architectures, and what is not.
///
/// `history[k]` is what the fix-ups made of the levels up to `k`.
///
/// # Errors
/// When two of them made one path.
pub fn join(history: &[Outcomes]) -> Result<Vec<Part>, ComposeError> {
    let Some(last) = history.last() else { return Ok(Vec::new()) };
    let mut makers: BTreeMap<&TreePath, (&'static str, &Entry)> = BTreeMap::new();
    for ((name, _), outcome) in last {
        for (path, entry) in &outcome.entries {
            match makers.insert(path, (name, entry)) {
                Some((first, before)) if before != entry || !entry.is_folder() => {
                    return Err(ComposeError::TwoFixups { path: path.clone(), first, second: name });
                }
                _ => {}
            }
        }
    }
    let mut joined: BTreeMap<(usize, Reach), Joined> = BTreeMap::new();
    for ((name, of_level), outcome) in last {
        let settled = (0..history.len())
            .rev()
            .take_while(|k| history[*k].get(&(*name, *of_level)) == Some(outcome))
            .last()
            .unwrap_or(history.len() - 1);
        joined.entry((settled.max(*of_level), reach(name))).or_default().take(name, outcome);
    }
    Ok(joined.into_iter().map(|((level, reach), joined)| joined.part(level, reach)).collect())
}

#[derive(Default)]
struct Joined {
    entries: BTreeMap<TreePath, Entry>,
    origins: BTreeMap<TreePath, Origin>,
    contents: BTreeMap<Digest, Vec<u8>>,
    first: Option<&'static str>,
}

impl Joined {
    fn take(&mut self, name: &'static str, outcome: &Generated) {
        self.first.get_or_insert(name);
        for (path, entry) in &outcome.entries {
            self.entries.insert(path.clone(), entry.clone());
            let packages = outcome.packages.get(path).into_iter().flatten().cloned().collect();
            self.origins.insert(path.clone(), Origin::Fixup(name, packages));
        }
        self.contents.extend(outcome.contents.iter().map(|(digest, bytes)| (*digest, bytes.clone())));
    }

    fn part(self, level: usize, reach: Reach) -> Part {
        Part {
            origin: Origin::Fixup(self.first.unwrap_or("none"), Vec::new()),
            origins: self.origins,
            level,
            reach,
            entries: self.entries.into_iter().collect(),
            elf: Vec::new(),
            starts: BTreeMap::new(),
            content_size: self.contents.values().map(|bytes| bytes.len() as u64).sum(),
            bytes: Bytes::Memory(Arc::new(self.contents)),
            package: None,
        }
    }
}

/// Gives the names of fix-ups that any level does not want.
#[must_use]
pub fn skipped(levels: &[Level]) -> BTreeSet<&str> {
    levels.iter().flat_map(|level| level.skip.iter().map(String::as_str)).collect()
}

/// ELF files of the union, by where they stand.
#[must_use]
pub fn elf_files<'v>(parts: &'v [Arc<Part>], union: &Union) -> BTreeMap<TreePath, &'v Elf> {
    let mut found = BTreeMap::new();
    for (at, part) in parts.iter().enumerate() {
        for (path, elf) in &part.elf {
            if union.get(path).is_some_and(|slot| slot.owner == at) {
                found.insert(path.clone(), elf);
            }
        }
    }
    found
}
