//! What it means that packages could not be chosen or brought in.
//!
//! That packages are missing is a sentence of its own, with its hint (`unmet`); what is wrong with one that was chosen is
//! an error of whoever read it.

use std::path::PathBuf;

use super::unmet::Unmet;
use dlstore_ingest::IngestError;
use dlstore_model::diagnose::{Diagnose, Hint, Kind};
use dlstore_model::escape::Escaped;
use dlstore_store::StoreError;

/// Tells why packages could not be chosen.
#[derive(Debug, thiserror::Error)]
pub enum ChoiceError {
    /// Packages that are not where packages were said to come from, or that are there twice.
    #[error("{0}")]
    Unmet(Box<Unmet>),
    /// A package could not be added.
    #[error("{path}", path = Escaped::path(path))]
    Add {
        /// Its file.
        path: PathBuf,
        /// Why.
        #[source]
        source: IngestError,
    },
    /// A package vanished after it was chosen.
    #[error("{0} is no longer in the store")]
    Gone(String),
    /// Reading packages.
    #[error(transparent)]
    Ingest(#[from] IngestError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Diagnose for ChoiceError {
    fn kind(&self) -> Kind {
        match self {
            Self::Unmet(_) => Kind::Input,
            // A source may have been there when the package was chosen.
            Self::Gone(_) => Kind::Gone,
            Self::Add { source, .. } | Self::Ingest(source) => source.kind(),
            Self::Store(error) => error.kind(),
        }
    }

    fn hint(&self) -> Option<Hint> {
        match self {
            Self::Unmet(unmet) => unmet.hint().map(Hint::new),
            Self::Gone(_) => Some(Hint::new("dlstore store verify --full")),
            Self::Add { source, .. } | Self::Ingest(source) => source.hint(),
            Self::Store(error) => error.hint(),
        }
    }
}
