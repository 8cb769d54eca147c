//! `dlstore list`: the packages and images of the store, and the images that can be made.
//!
//! Packages are rows of the index, so nothing is decoded. Which images can be made depends on the
//! project around the current folder, not on the store.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::Global;
use super::output::{Output, size, table};
use super::request::ProjectArgs;
use dlstore_store::{Access, Listing, Store};

/// What `list` is told.
#[derive(Args)]
pub(super) struct ListArgs {
    /// Only packages of this name; * stands for any characters and ? for any one
    name: Option<String>,
    /// List the images that can be made instead, with their flavors
    #[arg(long)]
    images: bool,
    #[command(flatten)]
    project: ProjectArgs,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(global: &Global, out: &Output, arguments: &ListArgs) -> anyhow::Result<ExitCode> {
    if arguments.images {
        return images(out, arguments);
    }
    let store = global.open(Access::Existing)?;
    let listing = match arguments.name.as_deref() {
        Some(name) => called(&store, name)?,
        None => store.packages()?,
    };
    if !listing.damaged.is_empty() {
        let number = super::output::count(listing.damaged.len(), "package");
        out.note(&format!("{number} cannot be listed: dlstore store verify --full says more"));
    }
    let packages = listing.packages;
    if arguments.json {
        let rows: Vec<_> = packages
            .iter()
            .map(|record| {
                json!({
                    "format": record.format.name(), "name": record.name, "version": record.version,
                    "architecture": record.architecture, "tree": record.tree.to_hex(),
                    "source": record.source.to_string(), "source_size": record.source_size,
                    "content_size": record.content_size, "entries": record.entries, "date": record.date,
                })
            })
            .collect();
        out.json(json!({"packages": rows}))?;
        return Ok(ExitCode::SUCCESS);
    }
    let rows: Vec<_> = packages
        .iter()
        .map(|record| {
            vec![
                record.format.name().to_owned(),
                record.name.clone(),
                record.version.clone(),
                record.architecture.clone(),
                record.tree.to_hex()[..12].to_owned(),
                size(record.content_size),
            ]
        })
        .collect();
    for line in table(&rows) {
        out.result(&line)?;
    }
    if rows.is_empty() {
        out.say(&match &arguments.name {
            Some(name) if !is_pattern(name) => {
                format!("no package is named {name}; `dlstore list '*{name}*'` lists names that contain it")
            }
            Some(name) => format!("no package has a name like {name}"),
            None => "no packages; `dlstore add PATH...` adds some".to_owned(),
        });
    }
    Ok(ExitCode::SUCCESS)
}

fn is_pattern(name: &str) -> bool {
    name.contains(['*', '?'])
}

/// Lists packages by name, or by a pattern of names.
pub(super) fn called(store: &Store, name: &str) -> anyhow::Result<Listing> {
    Ok(if is_pattern(name) { store.packages_like(name)? } else { store.packages_called(name)? })
}

fn images(out: &Output, arguments: &ListArgs) -> anyhow::Result<ExitCode> {
    let known = arguments.project.known()?;
    if arguments.json {
        let rows: Vec<_> = known.iter().map(|(name, flavors)| json!({"name": name, "flavors": flavors})).collect();
        out.json(json!({"images": rows}))?;
    } else {
        for (name, flavors) in known {
            out.result(&format!("{name}  {}", flavors.join(" ")))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
