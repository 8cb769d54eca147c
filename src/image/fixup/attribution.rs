//! To which level what the fix-ups made belongs, and who made it.
//!
//! A fix-up is a pure function of packages' facts and the definition. It is run on what the levels up
//! to each level bring; the outcome belongs to the first level from which on it no longer changes. So
//! `glibc-dynamic`, which extends `static`, has the accounts and certificates of `static` in layers
//! that both images share, and its own loader cache above them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::FixupError;
use super::inputs::Outcomes;
use crate::definition::Fixup;
use crate::rootfs::Generated;
use crate::rootfs::part::{Bytes, Origin, Part, Reach};
use dlstore_model::digest::Digest;
use dlstore_model::path::TreePath;
use dlstore_model::tree::Entry;

/// Says whether a fix-up gives the same on every architecture by its nature.
const fn reach(fixup: Fixup) -> Reach {
    match fixup {
        Fixup::Accounts | Fixup::CaBundle | Fixup::OsRelease | Fixup::Nsswitch => Reach::All,
        Fixup::LdMuslPath | Fixup::UsrMerge | Fixup::LdSoCache | Fixup::DpkgDatabase | Fixup::ApkDatabase => Reach::One,
    }
}

/// Joins outcomes into at most two parts a level: what is for all architectures, and what is not.
///
/// `history[k]` is what the fix-ups made of the levels up to `k`.
///
/// # Errors
/// When two of them made one path.
pub(crate) fn join(history: &[Outcomes]) -> Result<Vec<Part>, FixupError> {
    let Some(last) = history.last() else { return Ok(Vec::new()) };
    let mut makers: BTreeMap<&TreePath, (Fixup, &Entry)> = BTreeMap::new();
    for ((fixup, _), outcome) in last {
        for (path, entry) in &outcome.entries {
            match makers.insert(path, (*fixup, entry)) {
                Some((first, before)) if before != entry || !entry.is_directory() => {
                    let (first, second) = (first.name(), fixup.name());
                    return Err(FixupError::Two { path: path.clone(), first, second });
                }
                _ => {}
            }
        }
    }
    let mut joined: BTreeMap<(usize, Reach), Joined> = BTreeMap::new();
    for ((fixup, of_level), outcome) in last {
        let settled = (0..history.len())
            .rev()
            .take_while(|k| history[*k].get(&(*fixup, *of_level)) == Some(outcome))
            .last()
            .unwrap_or(history.len() - 1);
        joined.entry((settled.max(*of_level), reach(*fixup))).or_default().take(*fixup, outcome);
    }
    Ok(joined.into_iter().map(|((level, reach), joined)| joined.part(level, reach)).collect())
}

#[derive(Default)]
struct Joined {
    entries: BTreeMap<TreePath, Entry>,
    origins: BTreeMap<TreePath, Origin>,
    contents: BTreeMap<Digest, Vec<u8>>,
    first: Option<Fixup>,
}

impl Joined {
    fn take(&mut self, fixup: Fixup, outcome: &Generated) {
        self.first.get_or_insert(fixup);
        for (path, entry) in &outcome.entries {
            self.entries.insert(path.clone(), entry.clone());
            let packages = outcome.packages.get(path).into_iter().flatten().cloned().collect();
            self.origins.insert(path.clone(), Origin::Fixup(fixup, packages));
        }
        self.contents.extend(outcome.contents.iter().map(|(digest, bytes)| (*digest, bytes.clone())));
    }

    fn part(self, level: usize, reach: Reach) -> Part {
        Part {
            origin: Origin::Fixup(self.first.expect("a part is joined of something"), Vec::new()),
            origins: self.origins,
            level,
            reach,
            entries: self.entries.into_iter().collect(),
            elf: Vec::new(),
            starts: BTreeMap::new(),
            content_size: self.contents.values().map(|bytes| bytes.len() as u64).sum(),
            bytes: Bytes::Memory(Arc::new(self.contents)),
            package: None,
            alone: None,
            key_lines: None,
        }
    }
}
