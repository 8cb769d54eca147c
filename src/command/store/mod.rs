//! Looking at and looking after the store, one module for each way.
//!
//! Plans are made by the store; here they become reports. What a finding, an object or a root is called is said once,
//! in this file.

pub(crate) mod gc;
pub(crate) mod info;
pub(crate) mod init;
pub(crate) mod rebuild;
pub(crate) mod roots;
pub(crate) mod verify;

use std::fmt;

use serde::Serialize;

use dlstore_store::ObjectRef;

/// Damage, or what could not be done.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Finding {
    /// Of which kind: a stable name.
    pub(crate) kind: &'static str,
    /// To what, as `pack 0123...`; `null` when it is the index itself.
    pub(crate) object: Option<String>,
    /// More, for people.
    pub(crate) detail: String,
}

impl Finding {
    fn of(finding: &dlstore_store::Finding) -> Self {
        Self {
            kind: finding.kind.name(),
            object: finding.object.map(|object| object.to_string()),
            detail: finding.detail.clone(),
        }
    }
}

/// An object by its kind and its key: `pack 0123...`. It is written when it is printed: there may be a million of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Named(pub(crate) ObjectRef);

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0.kind().name(), dlstore_model::digest::to_hex(self.0.key()))
    }
}
