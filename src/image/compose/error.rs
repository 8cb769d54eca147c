//! What it means that an image could not be composed, and the next thing to do.
//!
//! Hints name what to type or what to write into the definition. Where several things would help, the
//! one is named that is right most often. What the floors below find wrong has its sentence and its hint there.

use crate::check::CheckError;
use crate::choice::ChoiceError;
use crate::fixup::FixupError;
use crate::rootfs::RootfsError;
use crate::rootfs::union::MOST_ENTRIES;
use dlstore_formats::layer::LayerError;
use dlstore_ingest::IngestError;
use dlstore_model::diagnose::{Diagnose, Hint, Kind};
use dlstore_oci::OciError;
use dlstore_store::StoreError;

/// Tells why an image could not be composed.
#[derive(Debug, thiserror::Error)]
pub enum ComposeError {
    /// Packages could not be chosen.
    #[error(transparent)]
    Choice(#[from] ChoiceError),
    /// What is made cannot be an image.
    #[error(transparent)]
    Check(#[from] CheckError),
    /// More files than can be looked at together.
    #[error("the image has more than {most} files and directories on all of these architectures together: select fewer with --arch", most = MOST_ENTRIES)]
    EntriesOfAll,
    /// Parts that do not make a rootfs.
    #[error(transparent)]
    Rootfs(#[from] RootfsError),
    /// Fix-ups.
    #[error(transparent)]
    Fixup(#[from] FixupError),
    /// Something vanished between two steps.
    #[error("{0} is no longer in the store")]
    Gone(String),
    /// Reading packages or own files.
    #[error(transparent)]
    Ingest(#[from] IngestError),
    /// Making packs.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Documents.
    #[error(transparent)]
    Oci(#[from] OciError),
}

impl Diagnose for ComposeError {
    fn kind(&self) -> Kind {
        match self {
            Self::EntriesOfAll => Kind::Input,
            Self::Gone(_) => Kind::Gone,
            Self::Choice(error) => error.kind(),
            Self::Check(error) => error.kind(),
            Self::Ingest(error) => error.kind(),
            // Packs are written into the store's stage; outputs have errors of their own.
            Self::Layer(error) => error.kind().of_the_store(),
            Self::Rootfs(error) => error.kind(),
            Self::Fixup(error) => error.kind(),
            Self::Store(error) => error.kind(),
            Self::Oci(error) => error.kind(),
        }
    }

    fn hint(&self) -> Option<Hint> {
        match self {
            Self::Gone(_) => Some(Hint::new("dlstore store verify --full")),
            Self::Choice(error) => error.hint(),
            Self::Check(error) => error.hint(),
            Self::Ingest(error) => error.hint(),
            Self::Rootfs(error) => error.hint(),
            Self::Fixup(error) => error.hint(),
            Self::Layer(error) => error.hint(),
            Self::Store(error) => error.hint(),
            Self::Oci(error) => error.hint(),
            Self::EntriesOfAll => None,
        }
    }
}
