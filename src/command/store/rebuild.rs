//! The index made anew from the kept packages, when it is lost.
//!
//! What is back and what is not is the report. Images are not counted among what is lost: composing makes them again,
//! with the digests that they had.

use serde::Serialize;

use crate::command::context::Context;
use crate::command::error::Error;
use crate::command::package::Package;
use crate::command::value;
use dlstore_ingest::rebuild::restore;
use dlstore_store::Rebuild;

/// What is back, and what is not.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Report {
    /// The store's directory.
    pub(crate) store: String,
    /// Packages that are back.
    pub(crate) packages: Vec<Package>,
    /// What could not be brought back, a sentence for each.
    pub(crate) lost: Vec<String>,
    /// Roots of images that composing sets again.
    pub(crate) compose_again: Vec<String>,
}

/// Makes the index anew.
///
/// # Errors
/// When the store cannot be written to, or is in use.
pub(crate) fn run(context: &Context) -> Result<Report, Error> {
    let rebuild = Rebuild::begin(context.place()?, context.existing())?;
    let has_journal = rebuild.journal().is_some();
    let step = |name: &str| context.listener.step(name);
    context.listener.begin("hashing", 0);
    let adopted = rebuild.adopt(&|name| step(name))?;
    context.listener.end();
    context.listener.begin("decoding", adopted.sources.len());
    let restored = restore(&rebuild, &adopted, &|name| step(name))?;
    rebuild.finish()?;
    context.listener.end();
    if !has_journal {
        context.note("the journal of roots is missing too: roots of images and your own roots are lost");
    }
    Ok(Report {
        store: value::path(context.place()?),
        packages: restored.packages.into_iter().map(Package::of).collect(),
        lost: restored.lost,
        compose_again: restored.images,
    })
}
