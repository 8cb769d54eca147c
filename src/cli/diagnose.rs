//! The one list of the errors that say what they mean.
//!
//! A `dyn Error` cannot be asked for another trait, so each type is tried. Nothing else below `cli` names
//! the type of an error that it did not make: kinds and hints are enough.

use std::error::Error;

use super::usage::Usage;
use dlstore_formats::archive::ArchiveError;
use dlstore_formats::layer::LayerError;
use dlstore_formats::package::PackageError;
use dlstore_fsx::FsError;
use dlstore_image::compose::ComposeError;
use dlstore_image::definition::DefinitionError;
use dlstore_ingest::IngestError;
use dlstore_model::diagnose::{Diagnose, Hint, Kind};
use dlstore_oci::OciError;
use dlstore_oci::load::LoadError;
use dlstore_oci::output::OutputError;
use dlstore_store::StoreError;
use dlstore_store::index::IndexError;

type Ask = for<'e> fn(&'e (dyn Error + 'static)) -> Option<&'e dyn Diagnose>;

const ASKED: [Ask; 13] = [
    ask::<Usage>,
    ask::<ComposeError>,
    ask::<DefinitionError>,
    ask::<OciError>,
    ask::<OutputError>,
    ask::<LoadError>,
    ask::<IngestError>,
    ask::<StoreError>,
    ask::<IndexError>,
    ask::<PackageError>,
    ask::<LayerError>,
    ask::<ArchiveError>,
    ask::<FsError>,
];

fn ask<'e, E: Error + Diagnose + 'static>(cause: &'e (dyn Error + 'static)) -> Option<&'e dyn Diagnose> {
    cause.downcast_ref::<E>().map(|error| error as &dyn Diagnose)
}

/// Finds what a cause says of itself.
pub(super) fn diagnose<'e>(cause: &'e (dyn Error + 'static)) -> Option<&'e dyn Diagnose> {
    ASKED.iter().find_map(|ask| ask(cause))
}

/// Gives the kinds of an error and its causes, outermost first.
pub(super) fn kinds(error: &anyhow::Error) -> impl Iterator<Item = Kind> {
    error.chain().filter_map(diagnose).map(Diagnose::kind)
}

/// Gives the first hint of an error and its causes.
pub(super) fn hint(error: &anyhow::Error) -> Option<Hint> {
    error.chain().filter_map(diagnose).find_map(Diagnose::hint)
}
