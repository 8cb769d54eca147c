//! A package or an image as directories, each with the size of what is below it.
//!
//! It is grown from the listing of `files`, so the two cannot disagree. A directory's size is the sum of the
//! files below it; links count nothing.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use super::context::Context;
use super::error::Error;
use super::files::{self, Listing};
use super::request;
use dlstore_image::rootfs::Listed;
use dlstore_model::escape;
use dlstore_model::tree::Node;

/// What is shown as trees.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Report {
    /// One for each package, or for each architecture of an image.
    pub(crate) trees: Vec<Tree>,
}

/// One package, or one architecture of an image.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Tree {
    /// What it is: `deb:musl=1.2.5-3/amd64`, `static:embedded for amd64`.
    pub(crate) of: String,
    /// Bytes of all its files.
    pub(crate) size: u64,
    /// What is shown of it, each directory before what lies in it.
    #[serde(rename = "entries", serialize_with = "listed")]
    #[cfg_attr(test, schemars(with = "Vec<Row>"))]
    pub(crate) top: Branch,
}

/// A path that is shown.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Row {
    /// From the top of the image.
    path: String,
    /// Whether something can lie below it.
    is_directory: bool,
    /// Bytes of it, or of the files below it.
    size: u64,
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

/// Lists packages or an image as trees, of `depth` levels of directories.
///
/// # Errors
/// As [`files::run`].
pub(crate) fn run(context: &Context, settings: &request::Settings, what: &str, depth: usize) -> Result<Report, Error> {
    let report = files::run(context, settings, what)?;
    let tree = |listing: Listing| {
        let top = grow(&listing, depth);
        Tree { of: listing.of, size: top.size, top }
    };
    Ok(Report { trees: report.listings.into_iter().map(tree).collect() })
}

fn grow(listing: &Listing, depth: usize) -> Branch {
    let mut top = Branch { is_directory: true, ..Branch::default() };
    for Listed { path, entry, .. } in &listing.files {
        let size = if let Node::File { size, .. } = entry.node { size } else { 0 };
        top.size += size;
        let mut at = &mut top;
        let mut is_below = false;
        for (level, name) in path.components().enumerate() {
            at.is_directory = true;
            is_below = level >= depth;
            if is_below {
                break;
            }
            at = at.below.entry(name.to_vec()).or_default();
            at.size += size;
        }
        at.is_directory |= !is_below && entry.is_directory();
    }
    top
}

fn listed<S: Serializer>(top: &Branch, serializer: S) -> Result<S::Ok, S::Error> {
    let mut rows = Vec::new();
    list(top, "", &mut rows);
    serializer.collect_seq(rows)
}

fn list(branch: &Branch, at: &str, rows: &mut Vec<Row>) {
    for (name, below) in &branch.below {
        let path = format!("{at}/{}", escape::name(name));
        rows.push(Row { path: path.clone(), is_directory: below.is_directory, size: below.size });
        list(below, &path, rows);
    }
}
