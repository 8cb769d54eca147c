//! A mistake in what was typed, found after the arguments were read.
//!
//! Exit code 2, as for the mistakes that are found while they are read.

use dlstore_model::diagnose::{Diagnose, Kind};

/// A mistake in what was typed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Usage(pub(super) String);

impl Diagnose for Usage {
    fn kind(&self) -> Kind {
        Kind::Usage
    }
}
