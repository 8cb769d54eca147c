//! Roots: names that keep what they point at, and everything that it refers to.
//!
//! Names are words with slashes between them: `package/deb/libc6/2.41-12/amd64`,
//! `image/static/embedded`. A root that would be set to what it keeps already is not written.
//!
//! `roots.json` is a copy beside the index for the day when the index is lost. Nothing reads it in
//! ordinary work, so it is not synced, which would cost more than all else a small command does; it
//! is written when a lease ends, after a change by hand and by the collector. Of several processes
//! the last one to change a root writes the copy that stays: the others see that the count of
//! changes has moved on, and leave it to that one.

use std::path::Path;
use std::sync::atomic::Ordering;

use serde::Serialize;

use super::layout::ROOTS;
use super::{Inner, ObjectRef, RootRow, Store, StoreError, now};
use crate::index::Commit;
use dlstore_fsx::file::{self, Durability};
use dlstore_fsx::{FsError, stop};

/// Longest name, in bytes: room for the longest names and versions that package formats allow.
const LONGEST: usize = 1024;

/// A use of a root is noted when the last one is a day old: ages are counted in days.
const USE_NOTED_EVERY: u64 = 86_400;

impl Store {
    /// Sets a root to what it keeps; `false` when it kept exactly that already.
    ///
    /// # Errors
    /// [`StoreError::Gone`] when a target is not in the store; when the name is no name, or the index
    /// cannot be written.
    pub fn set_root(&self, name: &str, targets: &[ObjectRef]) -> Result<bool, StoreError> {
        self.0.check_writable()?;
        check_name(name)?;
        let mut wanted = targets.to_vec();
        wanted.sort_unstable();
        wanted.dedup();
        if self.root_target(name)?.as_ref() == Some(&wanted) {
            return Ok(false);
        }
        let changed = self.0.index.write(Commit::Durable, |writer| {
            let mut rows = Vec::with_capacity(wanted.len());
            for object in &wanted {
                rows.push((*object, writer.live(object)?.ok_or(StoreError::Gone(*object))?.id));
            }
            Ok::<_, StoreError>(writer.set_root(name, &rows, now())?)
        })?;
        self.0.note_root_change();
        self.0.mirror_roots()?;
        Ok(changed)
    }

    /// Removes a root; `false` when there is none of that name. What it kept stays until it is collected.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn remove_root(&self, name: &str) -> Result<bool, StoreError> {
        self.0.check_writable()?;
        let removed = self.0.index.write(Commit::Durable, |writer| writer.remove_root(name, None))?;
        if removed {
            self.0.note_root_change();
            self.0.mirror_roots()?;
        }
        Ok(removed)
    }

    /// Notes that roots are used now: at most once a day for each, and only when that costs nobody time. A store that
    /// cannot be written to, a full disk and a write lock that another process holds are no reason to fail or to wait:
    /// a use that is not noted lets a root look up to a day older.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn note_use(&self, names: &[&str]) -> Result<(), StoreError> {
        let now = now();
        let stale = self.0.index.read(|reader| {
            let mut stale = Vec::new();
            for name in names {
                if reader.root_used(name)?.is_some_and(|used| now.saturating_sub(used) >= USE_NOTED_EVERY) {
                    stale.push(*name);
                }
            }
            Ok::<_, StoreError>(stale)
        })?;
        if !stale.is_empty() && self.is_writable() {
            let _not_noted = self.0.index.write_at_once(|writer| {
                for name in stale {
                    writer.use_root(name, now)?;
                }
                Ok(())
            });
        }
        Ok(())
    }

    /// Lists all roots by name.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn roots(&self) -> Result<Vec<RootRow>, StoreError> {
        self.0.index.read(|reader| Ok(reader.roots()?))
    }
}

pub(super) fn check_name(name: &str) -> Result<(), StoreError> {
    let is_word = |word: &str| {
        !matches!(word, "" | "." | "..")
            && word.chars().all(|character| !character.is_whitespace() && !dlstore_model::escape::is_hostile(character))
    };
    if name.len() <= LONGEST && name.split('/').all(is_word) {
        Ok(())
    } else {
        Err(StoreError::RootName(name.chars().take(80).collect()))
    }
}

/// `roots.json`.
#[derive(Serialize)]
struct Mirror {
    schema: u32,
    /// The index's count of changes when this was true.
    changes: i64,
    roots: Vec<MirroredRoot>,
}

#[derive(Serialize)]
struct MirroredRoot {
    name: String,
    set_at: u64,
    /// `kind <64 hex>`.
    keeps: Vec<String>,
}

impl Inner {
    pub(super) fn note_root_change(&self) {
        self.roots_changed.store(true, Ordering::Release);
    }

    /// Copies the roots into `roots.json` if this process changed them since it last did.
    pub(super) fn mirror_roots(&self) -> Result<(), StoreError> {
        if !self.roots_changed.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        let (changes, text) = self.roots_as_json()?;
        let temporary = self.layout.root.join(format!("{ROOTS}.{}", file::random_name()?));
        file::write_new(&temporary, self.sharing.file_mode(), &text, Durability::Eventual)?;
        stop::point("roots.written");
        self.index.write(Commit::Relaxed, |writer| {
            if writer.root_changes()? != changes {
                file::unlink(&temporary)?;
                return Ok(());
            }
            match file::rename(&temporary, &self.layout.roots()) {
                // A collector swept it: the next change makes a new one.
                Err(error) if error.is_missing() => Ok(()),
                outcome => Ok::<_, StoreError>(outcome?),
            }
        })?;
        stop::point("roots.renamed");
        Ok(())
    }

    /// Says whether `roots.json` is what it should be.
    pub(super) fn roots_are_mirrored(&self) -> Result<bool, StoreError> {
        let (changes, text) = self.roots_as_json()?;
        Ok(match file::read(&self.layout.roots())? {
            Some(found) => found == text,
            None => changes == 0,
        })
    }

    fn roots_as_json(&self) -> Result<(i64, Vec<u8>), StoreError> {
        let (changes, roots) =
            self.index.snapshot(|reader| Ok::<_, StoreError>((reader.root_changes()?, reader.roots()?)))?;
        let roots = roots
            .into_iter()
            .map(|root| MirroredRoot {
                name: root.name,
                set_at: root.set_at,
                keeps: root.targets.iter().map(ObjectRef::to_string).collect(),
            })
            .collect();
        let mut text = serde_json::to_vec_pretty(&Mirror { schema: 1, changes, roots })
            .map_err(|error| FsError::new("write", Path::new(ROOTS), error))?;
        text.push(b'\n');
        Ok((changes, text))
    }
}
