//! Paths as rows, or as a tree with sizes.
//!
//! A row has kind and mode, owner, size, origin and path, lined up; a tree as many levels as are asked for.

use std::process::ExitCode;

use crate::cli::output::{Output, size};
use crate::command::files::Report;
use crate::command::tree::{self, Branch};
use dlstore_image::rootfs::Listed;
use dlstore_model::escape::Escaped;
use dlstore_model::path::TreePath;
use dlstore_model::tree::{Entry, Node};

pub(in crate::cli) fn print(out: &Output, report: &Report, as_json: bool) -> anyhow::Result<ExitCode> {
    if as_json {
        out.json(report)?;
        return Ok(ExitCode::SUCCESS);
    }
    for listing in &report.listings {
        if report.listings.len() > 1 {
            out.result(&format!("{}:", listing.of))?;
        }
        out.table(&listing.files, |Listed { path, entry, origin, of }| {
            let meta = entry.meta;
            let length = if let Node::File { size: bytes, .. } = entry.node { size(bytes) } else { "-".into() };
            [
                format!("{}{:04o}", letter(entry), meta.mode),
                format!("{}:{}", meta.uid, meta.gid),
                format!("{length:>9}"),
                made_of(origin, of),
                named(path, entry),
            ]
        })?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Names an origin, and the packages behind it: the first one, and how many more.
fn made_of(origin: &str, of: &[String]) -> String {
    match of {
        [] => origin.to_owned(),
        [one] => format!("{origin} of {one}"),
        [first, rest @ ..] => format!("{origin} of {first} and {} more", rest.len()),
    }
}

const fn letter(entry: &Entry) -> char {
    match entry.node {
        Node::Directory => 'd',
        Node::File { .. } => '-',
        Node::Symlink { .. } => 'l',
        Node::HardLink { .. } => 'h',
        Node::CharDevice { .. } => 'c',
        Node::BlockDevice { .. } => 'b',
        Node::Fifo => 'p',
    }
}

fn named(path: &TreePath, entry: &Entry) -> String {
    match &entry.node {
        Node::Symlink { target } => format!("{path} -> {}", Escaped::whole(target)),
        Node::HardLink { target } => format!("{path} = {target}"),
        _ => path.to_string(),
    }
}

pub(in crate::cli) fn draw_all(out: &Output, report: &tree::Report, as_json: bool) -> anyhow::Result<ExitCode> {
    if as_json {
        out.json(report)?;
        return Ok(ExitCode::SUCCESS);
    }
    for tree in &report.trees {
        out.result(&format!("{:>9}  {}", size(tree.size), tree.of))?;
        draw(out, &tree.top, "")?;
    }
    Ok(ExitCode::SUCCESS)
}

fn draw(out: &Output, branch: &Branch, indent: &str) -> anyhow::Result<()> {
    let last = branch.below.len().saturating_sub(1);
    for (at, (name, below)) in branch.below.iter().enumerate() {
        let (knot, bar) = if at == last { ("└── ", "    ") } else { ("├── ", "│   ") };
        let slash = if below.is_directory { "/" } else { "" };
        let name = Escaped::whole(name);
        out.result(&format!("{:>9}  {indent}{knot}{name}{slash}", size(below.size)))?;
        draw(out, below, &format!("{indent}{bar}"))?;
    }
    Ok(())
}
