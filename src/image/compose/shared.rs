//! What the images of a command share while they are planned.
//!
//! Packages for all architectures are the same part of every rootfs, and so is the bundle of their certificates; and
//! the images of one command often share the packages of what they extend. Each is made once in a command, whichever
//! rootfs comes first. Nothing here decides anything: a part found here equals the one that would be made.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::definition::Level;
use crate::fixup::bundles::Bundles;
use crate::rootfs::selection::selection;
use crate::rootfs::union::MOST_ENTRIES;
use crate::rootfs::{Part, RootfsError};
use dlstore_ingest::Selection;
use dlstore_ingest::select::merged_usr::MergedUsr;
use dlstore_model::digest::{ActionKey, PackageKey};

/// Which part.
#[derive(PartialEq, Eq, Hash)]
pub(super) enum PartKey {
    /// The data that is built into the program, as part of a level.
    Embedded(usize),
    /// A package: the key of what is selected of it, its level, and the usr-merge links that its paths go through.
    Package(PackageKey, ActionKey, usize, MergedUsr),
}

/// Shared parts and outcomes of one command.
#[derive(Default)]
pub(super) struct Shared {
    parts: Mutex<Parts>,
    selections: Mutex<HashMap<Words, Selection>>,
    /// Bundles of certificates.
    pub(super) bundles: Bundles,
}

/// What a level says of which paths it keeps: all that its selection is made of.
#[derive(PartialEq, Eq, Hash)]
struct Words {
    overrides: Vec<String>,
    selection: Vec<(bool, String)>,
    slim: bool,
}

/// Selections that are kept: those of a thousand definitions with patterns of their own would be megabytes.
const MOST_SELECTIONS: usize = 256;

#[derive(Default)]
struct Parts {
    by_key: HashMap<PartKey, Arc<Part>>,
    entries: usize,
}

impl Parts {
    fn forget(&mut self) {
        *self = Self::default();
    }
}

impl Shared {
    /// Gives a part, made now unless it is here.
    ///
    /// # Errors
    /// What `make` says.
    pub(super) fn part(
        &self,
        key: PartKey,
        make: impl FnOnce() -> Result<Part, RootfsError>,
    ) -> Result<Arc<Part>, RootfsError> {
        if let Some(part) = self.parts().by_key.get(&key) {
            return Ok(Arc::clone(part));
        }
        // Made without holding the lock: two threads may both make it, and the first result is kept.
        let part = Arc::new(make()?);
        let mut parts = self.parts();
        if parts.entries + part.entries.len() > MOST_ENTRIES {
            // As many as a root may have: the images of a command may have packages without end.
            parts.forget();
        }
        parts.entries += part.entries.len();
        Ok(Arc::clone(parts.by_key.entry(key).or_insert(part)))
    }

    /// Gives what a level keeps of its packages: its patterns are read once, however many images extend it.
    pub(super) fn selection(&self, level: &Level) -> Selection {
        let words = Words { overrides: level.overrides.clone(), selection: level.selection.clone(), slim: level.slim };
        let mut known = self.selections.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_SELECTIONS {
            known.clear();
        }
        known.entry(words).or_insert_with(|| selection(level)).clone()
    }

    /// Forgets the parts: those of large packages take much memory.
    pub(super) fn forget_parts(&self) {
        self.parts().forget();
    }

    fn parts(&self) -> MutexGuard<'_, Parts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
