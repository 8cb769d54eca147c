//! What the errors of readers and writers mean.
//!
//! Bytes that break a rule are the fault of what was given; what the system says while they are read
//! is not. A stored pack is ours: other bytes in it are damage.

use crate::archive::ArchiveError;
use crate::layer::LayerError;
use crate::package::PackageError;
use dlstore_model::diagnose::{Diagnose, Hint, Kind};

impl Diagnose for ArchiveError {
    fn kind(&self) -> Kind {
        match self {
            Self::Read(source) => Kind::of_reading(source),
            Self::Malformed(_) | Self::Limit { .. } | Self::Size { .. } => Kind::Input,
        }
    }
}

impl Diagnose for PackageError {
    fn kind(&self) -> Kind {
        match self {
            Self::Read { source, .. } => Kind::of_reading(source),
            Self::Format(_) | Self::Content(_) | Self::Limit { .. } | Self::Size { .. } => Kind::Input,
        }
    }
}

impl Diagnose for LayerError {
    fn kind(&self) -> Kind {
        match self {
            Self::Content { source, .. } | Self::Write(source) => Kind::of_io(source),
            Self::Changed(_) => Kind::Environment,
            Self::Stored(source) => Kind::of_stored(source),
            Self::Damaged(_) => Kind::Damaged,
        }
    }

    fn hint(&self) -> Option<Hint> {
        match self {
            Self::Write(source) => Hint::of_io(source),
            _ => None,
        }
    }
}
