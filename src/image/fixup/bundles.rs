//! Bundles of certificates that were made for one architecture and are the same for the others.
//!
//! Only these are shared: checking 150 certificates takes longer than all other fix-ups together. A bundle that is
//! found here equals the one that would be made.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::rootfs::Generated;
use dlstore_model::digest::ActionKey;

/// Bundles by their inputs.
#[derive(Default)]
pub(crate) struct Bundles(Mutex<HashMap<ActionKey, Generated>>);

impl Bundles {
    /// Finds one.
    pub(super) fn get(&self, key: &ActionKey) -> Option<Generated> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    /// Keeps one for the other architectures.
    pub(super) fn keep(&self, key: ActionKey, bundle: &Generated) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key, bundle.clone());
    }
}
