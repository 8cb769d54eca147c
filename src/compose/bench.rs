//! The bench: what one architecture made and the others can take.
//!
//! Packages for all architectures are the same part of every root, and so is the bundle of their
//! certificates. They are made once in a process, whichever architecture comes first. Nothing here
//! decides anything: a part found here equals the one that would be made.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::ComposeError;
use super::fixup::Generated;
use super::part::Part;
use dlstore_ingest::select::merged_usr::MergedUsr;
use dlstore_model::digest::{ActionKey, PackageKey};

/// Which part: package, level, and the usr-merge links that its paths go through.
type PartKey = (PackageKey, usize, MergedUsr);

/// Shared parts and outcomes of one composition.
#[derive(Default)]
pub struct Bench {
    parts: Mutex<HashMap<PartKey, Arc<Part>>>,
    bundles: Mutex<HashMap<ActionKey, Generated>>,
}

impl Bench {
    /// Gives the part of a package, made now unless it is here.
    ///
    /// # Errors
    /// What `make` says.
    pub fn part(
        &self,
        key: PartKey,
        make: impl FnOnce() -> Result<Part, ComposeError>,
    ) -> Result<Arc<Part>, ComposeError> {
        if let Some(part) = self.parts.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(Arc::clone(part));
        }
        // Made without the lock: two architectures may both do it, and the first one stays.
        let part = Arc::new(make()?);
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Arc::clone(parts.entry(key).or_insert(part)))
    }

    /// Forgets the parts: those of large packages take much memory.
    pub fn forget_parts(&self) {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Finds a bundle of certificates by its inputs.
    #[must_use]
    pub fn bundle(&self, key: &ActionKey) -> Option<Generated> {
        self.bundles.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    /// Keeps a bundle of certificates for the other architectures.
    pub fn remember_bundle(&self, key: ActionKey, bundle: &Generated) {
        self.bundles.lock().unwrap_or_else(PoisonError::into_inner).insert(key, bundle.clone());
    }
}
