//! What a failed effect means: no room, or that the host does not allow it.
//!
//! Whether a path that is missing was of the store is not known here: who calls says that it is gone.

use crate::FsError;
use dlstore_model::diagnose::{Diagnose, Hint, Kind};

impl Diagnose for FsError {
    fn kind(&self) -> Kind {
        Kind::of_io(&self.source)
    }

    fn hint(&self) -> Option<Hint> {
        Hint::of_io(&self.source)
    }
}
