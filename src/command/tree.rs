//! A package or an image as directories, each with the size of what is below it.
//!
//! It is grown from the listing of `files`, so the two cannot disagree. A directory's size is the sum of the
//! files below it; links count nothing.

use std::collections::BTreeMap;

use super::context::Context;
use super::error::Error;
use super::files::{self, Listing};
use super::request;
use dlstore_image::rootfs::Listed;
use dlstore_model::tree::Node;

/// One package, or one architecture of an image.
pub(crate) struct Tree {
    /// What it is.
    pub(crate) of: String,
    /// Its top.
    pub(crate) top: Branch,
}

/// One name with what lies below it.
#[derive(Default)]
pub(crate) struct Branch {
    /// Bytes of it, or of the files below it.
    pub(crate) size: u64,
    /// Whether something can lie below it.
    pub(crate) is_directory: bool,
    /// What lies there, by name.
    pub(crate) below: BTreeMap<Vec<u8>, Branch>,
}

/// Lists packages or an image as trees.
///
/// # Errors
/// As [`files::run`].
pub(crate) fn run(context: &Context, settings: &request::Settings, what: &str) -> Result<Vec<Tree>, Error> {
    let report = files::run(context, settings, what)?;
    Ok(report.listings.into_iter().map(|listing| Tree { top: grow(&listing), of: listing.of }).collect())
}

fn grow(listing: &Listing) -> Branch {
    let mut top = Branch { is_directory: true, ..Branch::default() };
    for Listed { path, entry, .. } in &listing.files {
        let size = if let Node::File { size, .. } = entry.node { size } else { 0 };
        top.size += size;
        let mut at = &mut top;
        for name in path.components() {
            at.is_directory = true;
            at = at.below.entry(name.to_vec()).or_default();
            at.size += size;
        }
        at.is_directory |= entry.is_directory();
    }
    top
}
