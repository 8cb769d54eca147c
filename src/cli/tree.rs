//! `dlstore tree`: a package or an image as folders, each with the size of what is below it.
//!
//! It draws the same listing as `files`, so the two cannot disagree. A folder's size is the sum of the
//! files below it; links count nothing.

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::Args;

use super::Global;
use super::files::{Listing, listings};
use super::output::{Output, size};
use super::request::FromArgs;
use dlstore_image::compose::root::Listed;
use dlstore_model::escape::Escaped;
use dlstore_model::tree::Node;

/// What `tree` is told.
#[derive(Args)]
pub(super) struct TreeArgs {
    /// A package as `show` takes it, or an image as `compose` takes it
    what: String,
    #[command(flatten)]
    from: FromArgs,
    /// How many levels of folders are shown
    #[arg(long, default_value_t = 3)]
    depth: usize,
}

/// One name with what lies below it.
#[derive(Default)]
struct Branch {
    bytes: u64,
    is_folder: bool,
    below: BTreeMap<Vec<u8>, Branch>,
}

pub(super) fn run(global: &Global, out: &Output, arguments: &TreeArgs) -> anyhow::Result<ExitCode> {
    for listing in listings(global, out, &arguments.what, &arguments.from)? {
        let root = grow(&listing);
        out.result(&format!("{:>9}  {}", size(root.bytes), listing.heading))?;
        draw(out, &root, "", arguments.depth)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn grow(listing: &Listing) -> Branch {
    let mut root = Branch { is_folder: true, ..Branch::default() };
    for Listed { path, entry, .. } in &listing.entries {
        let bytes = if let Node::File { size, .. } = entry.node { size } else { 0 };
        root.bytes += bytes;
        let mut at = &mut root;
        for name in path.components() {
            at.is_folder = true;
            at = at.below.entry(name.to_vec()).or_default();
            at.bytes += bytes;
        }
        at.is_folder |= entry.is_folder();
    }
    root
}

fn draw(out: &Output, branch: &Branch, indent: &str, depth: usize) -> anyhow::Result<()> {
    if depth == 0 {
        return Ok(());
    }
    let last = branch.below.len().saturating_sub(1);
    for (at, (name, below)) in branch.below.iter().enumerate() {
        let (knot, bar) = if at == last { ("└── ", "    ") } else { ("├── ", "│   ") };
        let slash = if below.is_folder { "/" } else { "" };
        let name = Escaped::whole(name);
        out.result(&format!("{:>9}  {indent}{knot}{name}{slash}", size(below.bytes)))?;
        draw(out, below, &format!("{indent}{bar}"), depth - 1)?;
    }
    Ok(())
}
