//! The one list of the errors that say what they mean.
//!
//! A `dyn Error` cannot be asked for another trait, so each type is tried. Nobody above names the type of an error that
//! it did not make: kinds and hints are enough.

use std::error::Error;

use super::error;
use dlstore_formats::archive::ArchiveError;
use dlstore_formats::layer::LayerError;
use dlstore_formats::package::PackageError;
use dlstore_fsx::FsError;
use dlstore_image::check::CheckError;
use dlstore_image::choice::ChoiceError;
use dlstore_image::compose::ComposeError;
use dlstore_image::definition::DefinitionError;
use dlstore_image::fixup::FixupError;
use dlstore_image::linker::LinkerError;
use dlstore_image::rootfs::RootfsError;
use dlstore_ingest::IngestError;
use dlstore_model::diagnose::{Diagnose, Hint, Kind};
use dlstore_oci::OciError;
use dlstore_oci::load::LoadError;
use dlstore_oci::output::OutputError;
use dlstore_oci::reading::ReadError;
use dlstore_store::StoreError;
use dlstore_store::index::IndexError;

type Ask = for<'e> fn(&'e (dyn Error + 'static)) -> Option<&'e dyn Diagnose>;

const ASKED: [Ask; 20] = [
    ask::<error::Error>,
    ask::<ComposeError>,
    ask_boxed::<ComposeError>,
    ask::<ChoiceError>,
    ask::<CheckError>,
    ask::<RootfsError>,
    ask::<LinkerError>,
    ask::<FixupError>,
    ask::<DefinitionError>,
    ask::<OciError>,
    ask::<OutputError>,
    ask::<LoadError>,
    ask::<ReadError>,
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

fn ask_boxed<'e, E: Error + Diagnose + 'static>(cause: &'e (dyn Error + 'static)) -> Option<&'e dyn Diagnose> {
    cause.downcast_ref::<Box<E>>().map(|error| &**error as &dyn Diagnose)
}

/// Gives an error and its causes, outermost first.
pub(crate) fn chain<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> + use<'e> {
    std::iter::successors(Some(error), |cause| {
        let cause: &'e (dyn Error + 'static) = *cause;
        cause.source()
    })
}

/// Finds what a cause says of itself.
fn diagnose<'e>(cause: &'e (dyn Error + 'static)) -> Option<&'e dyn Diagnose> {
    ASKED.iter().find_map(|ask| ask(cause))
}

/// Gives the kinds of an error and its causes, outermost first.
pub(crate) fn kinds<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = Kind> + use<'e> {
    chain(error).filter_map(diagnose).map(Diagnose::kind)
}

/// Gives the first hint of an error and its causes.
pub(crate) fn hint(error: &(dyn Error + 'static)) -> Option<Hint> {
    chain(error).filter_map(diagnose).find_map(Diagnose::hint)
}
