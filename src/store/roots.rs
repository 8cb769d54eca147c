//! Roots: names that keep what they point at, and everything that it refers to.
//!
//! Names are words with slashes between them: `package/deb/libc6/2.41-12/amd64`,
//! `image/static/embedded`. A root that would be set to what it keeps already is not written.
//!
//! Every change is also a line of the journal (`journal`), for the day when the index is lost.

use super::journal::Change;
use super::root_name::check_name;
use super::{ObjectRef, RootRow, Store, StoreError, now};
use crate::index::Commit;

/// How the names of roots begin that keep images.
pub(super) const OF_IMAGES: &str = "image/";

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
        self.0.index.write(Commit::Durable, |writer| {
            let mut rows = Vec::with_capacity(wanted.len());
            for object in &wanted {
                rows.push((*object, writer.live(object)?.ok_or(StoreError::Gone(*object))?.id));
            }
            let now = now();
            let changed = writer.set_root(name, &rows, now)?;
            if changed {
                self.0.write_journal(writer, now, &[Change::Set(name, &wanted)])?;
            }
            Ok(changed)
        })
    }

    /// Removes a root; `false` when there is none of that name. What it kept stays until it is collected. One that only
    /// the journal has, because the index lost it or its commit never came, is let go of there.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn remove_root(&self, name: &str) -> Result<bool, StoreError> {
        self.0.check_writable()?;
        self.0.index.write(Commit::Durable, |writer| {
            let is_known = writer.remove_root(name, None)? || self.0.has_line(name)?;
            if is_known {
                self.0.write_journal(writer, now(), &[Change::Remove(name)])?;
            }
            Ok(is_known)
        })
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
