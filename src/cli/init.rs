//! `dlstore store init`: make a store that is more than a private one on a local disk.
//!
//! Every command that needs a store makes a private one. This one says who else may use it and where it may lie; it can
//! be said again, and then changes nothing.

use std::process::ExitCode;

use clap::Args;

use super::Global;
use super::failure::Usage;
use super::output::Output;
use dlstore_model::escape::Escaped;
use dlstore_store::{Access, Initialized, Network, OpenOptions, Sharing, Store};

/// What `store init` is told.
#[derive(Args)]
pub(super) struct InitArgs {
    /// Share it with a group, by name or number, whose members trust each other (alone: the group that the system
    /// gives a new directory)
    #[arg(long, value_name = "GROUP", num_args = 0..=1, default_missing_value = "")]
    shared: Option<String>,
    /// Use a network file system, which only this host may do
    #[arg(long)]
    network_file_system: bool,
}

pub(super) fn run(global: &Global, out: &Output, arguments: &InitArgs) -> anyhow::Result<ExitCode> {
    let group = match arguments.shared.as_deref() {
        None | Some("") => None,
        Some(name) => Some(group(name)?),
    };
    let options = OpenOptions {
        sharing: if arguments.shared.is_some() { Sharing::Group } else { Sharing::Private },
        network: if arguments.network_file_system { Network::Force } else { Network::Refuse },
        group,
        ..OpenOptions::new(Access::Create)
    };
    let (store, what) = Store::init(&global.store_path()?, options)?;
    let path = Escaped::path(store.root());
    out.say(&match what {
        Initialized::Made => format!("made the store {path}"),
        Initialized::There => format!("the store {path} is there already"),
    });
    for warning in store.warnings() {
        out.note(&warning.to_string());
    }
    Ok(ExitCode::SUCCESS)
}

/// Finds the number of a group in the table of this host (group(5)).
fn group(name: &str) -> Result<u32, Usage> {
    if let Ok(number) = name.parse() {
        return Ok(number);
    }
    let table = std::fs::read_to_string("/etc/group").unwrap_or_default();
    let found = table.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok()).flatten()
    });
    found
        .ok_or_else(|| Usage(format!("there is no group {name} in /etc/group: say its number (`getent group {name}`)")))
}
