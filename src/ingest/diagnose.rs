//! What it means that something could not be added.
//!
//! An error that only carries one of a lower floor means what that one means.

use crate::IngestError;
use dlstore_model::diagnose::{Diagnose, Hint, Kind};

impl Diagnose for IngestError {
    fn kind(&self) -> Kind {
        match self {
            Self::Read { source, .. } => Kind::of_io(source),
            Self::Stage(source) => Kind::of_io(source).of_the_store(),
            Self::Unknown(_)
            | Self::Empty(_)
            | Self::Special(_)
            | Self::Tree(_)
            | Self::Input(_)
            | Self::LargePackage { .. }
            | Self::LargeFile { .. } => Kind::Input,
            Self::Changed(_) => Kind::Environment,
            Self::NoSource { .. } => Kind::Damaged,
            Self::Package(error) => error.kind(),
            Self::Store(error) => error.kind(),
            // What is written here is written into the stage.
            Self::Layer(error) => error.kind().of_the_store(),
        }
    }

    fn hint(&self) -> Option<Hint> {
        match self {
            Self::Unknown(_) => Some(Hint::new("dlstore add --help lists what can be added")),
            Self::Package(error) => error.hint(),
            Self::Store(error) => error.hint(),
            Self::Layer(error) => error.hint(),
            Self::Stage(source) => Hint::of_io(source),
            Self::Read { .. }
            | Self::Empty(_)
            | Self::Special(_)
            | Self::Tree(_)
            | Self::Changed(_)
            | Self::NoSource { .. }
            | Self::LargePackage { .. }
            | Self::LargeFile { .. }
            | Self::Input(_) => None,
        }
    }
}
