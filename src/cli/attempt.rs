//! Doing a command's work again when a collector was faster.
//!
//! The first attempt looks things up without holding them: nearly always nothing vanishes, and a hit
//! costs no write. When something did vanish, between being found and being used, the next attempt
//! holds whatever it finds and believes in no bytes that it has not looked for. The lease lives until
//! the work has used what it found: outputs are written under it.

use super::output::Output;
use crate::compose::ComposeError;
use crate::compose::image::Memory;
use crate::oci::OciError;
use dlstore_fsx::FsError;
use dlstore_ingest::IngestError;
use dlstore_store::session::Session;
use dlstore_store::{Store, StoreError};

/// The second attempt holds what it finds, so a third is needed only when a package of the store went
/// between being chosen and being held.
const ATTEMPTS: usize = 4;

/// Does `work` in a session, which is finished afterwards.
pub(super) fn persistently<T>(
    out: &Output,
    store: &Store,
    note: &str,
    mut work: impl FnMut(&Session<'_>, Memory) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    for attempt in 1.. {
        let (session, memory) = match attempt {
            1 => (Session::new(store, note), Memory::Believed),
            _ => (Session::holding(store, note), Memory::Checked),
        };
        let outcome = work(&session, memory);
        for note in session.notes() {
            out.note(&note);
        }
        let outcome = outcome.and_then(|done| {
            session.finish()?;
            Ok(done)
        });
        match outcome {
            Err(error) if attempt < ATTEMPTS && has_vanished(store, &error) => {}
            outcome => return outcome,
        }
    }
    unreachable!("the last attempt returns")
}

/// Says whether an error tells that something of the store was found and is not there any more.
fn has_vanished(store: &Store, error: &anyhow::Error) -> bool {
    let fs = |error: &FsError| error.is_missing() && error.path.starts_with(store.root());
    let of_store = |error: &StoreError| matches!(error, StoreError::Gone(_) | StoreError::Damaged(_));
    let of_ingest = |error: &IngestError| match error {
        IngestError::NoSource { .. } => true,
        IngestError::Store(error) => of_store(error),
        _ => false,
    };
    let of_oci = |error: &OciError| match error {
        OciError::MissingBlob(_) | OciError::Damaged { .. } => true,
        OciError::Place(error) => fs(error),
        _ => false,
    };
    let of_compose = |error: &ComposeError| match error {
        ComposeError::Gone(_) => true,
        ComposeError::Store(error) => of_store(error),
        ComposeError::Ingest(error) | ComposeError::Add { source: error, .. } => of_ingest(error),
        ComposeError::Oci(error) => of_oci(error),
        _ => false,
    };
    error.chain().any(|cause| {
        cause.downcast_ref().is_some_and(of_store)
            || cause.downcast_ref().is_some_and(of_ingest)
            || cause.downcast_ref().is_some_and(of_oci)
            || cause.downcast_ref().is_some_and(of_compose)
    })
}
