//! The packages of the store, and the images that can be made.
//!
//! Packages are rows of the index, so nothing is decoded. Which images can be made depends on the
//! project around the current directory, not on the store.

use serde::Serialize;

use super::context::Context;
use super::error::Error;
use super::find::{called, like};
use super::package::Package;
use super::request::Project;
use dlstore_image::definition;
use dlstore_model::diagnose::one_line;
use dlstore_model::format::Format;
use dlstore_store::{Access, StoreError};

pub(crate) use super::find::is_pattern;

/// Packages of the store.
#[expect(clippy::struct_field_names, reason = "JSON has the name")]
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Packages {
    /// The packages, sorted.
    pub(crate) packages: Vec<Package>,
    /// How many cannot be listed.
    #[serde(skip)]
    pub(crate) damaged: usize,
    /// Why the list may lack packages: the index is older than the roots' journal.
    #[serde(skip)]
    pub(crate) lacks: Option<StoreError>,
    /// The name most like the one that was asked for, where there is none of that name.
    #[serde(skip)]
    pub(crate) like: Option<String>,
}

/// Images that can be made.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Images {
    /// The images, sorted.
    pub(crate) images: Vec<Image>,
    /// Definitions of the project that cannot be read.
    pub(crate) unreadable: Vec<Unreadable>,
}

/// An image that can be made.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Image {
    /// Its name.
    pub(crate) name: String,
    /// Its flavors, the default first.
    pub(crate) flavors: Vec<String>,
}

/// A definition that cannot be read.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Unreadable {
    /// The image's name; `images/` when that is not looked into at all.
    pub(crate) name: String,
    /// Why, with all causes.
    pub(crate) error: String,
}

/// Lists packages, all or those of a name or pattern.
///
/// # Errors
/// When there is no store, or it cannot be read.
pub(crate) fn packages(context: &Context, name: Option<&str>) -> Result<Packages, Error> {
    let store = context.open(Access::Existing)?;
    let listing = match name {
        Some(name) => called(&store, name)?,
        None => store.packages()?,
    };
    let like = match name {
        Some(name) if listing.packages.is_empty() => like(&store, name)?,
        _ => None,
    };
    let damaged = listing.damaged.len();
    let checked = match name.filter(|name| !is_pattern(name)) {
        Some(name) => Format::ALL.iter().try_for_each(|format| store.check_journal(Some((*format, name)))),
        None => store.check_journal(None),
    };
    let lacks = match checked {
        Err(error @ (StoreError::Behind { .. } | StoreError::Forgotten { .. })) => Some(error),
        checked => checked.map(|()| None)?,
    };
    Ok(Packages { packages: listing.packages.into_iter().map(Package::of).collect(), damaged, lacks, like })
}

/// Lists the images that can be made, and says which definitions are in the way.
pub(crate) fn images(project: &Project) -> Images {
    let unreadable = match definition::unreadable(project.here()) {
        Ok(found) => found,
        Err(error) => vec![("images/".to_owned(), error)],
    };
    let unreadable: Vec<Unreadable> =
        unreadable.into_iter().map(|(name, error)| Unreadable { name, error: one_line(&error) }).collect();
    let known = definition::known(project.here()).into_iter();
    // Those without a flavor have mistakes, which are said.
    let images = known.filter(|(_, flavors)| !flavors.is_empty()).map(|(name, flavors)| Image { name, flavors });
    Images { images: images.collect(), unreadable }
}
