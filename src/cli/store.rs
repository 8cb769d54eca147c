//! `dlstore store`: look at and look after the store.

use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use clap::{Args, Subcommand};
use serde_json::json;

use super::Global;
use super::failure::Usage;
use super::output::{Output, count, size, table};
use crate::store::Access;

/// The commands below `store`.
#[derive(Subcommand)]
pub(super) enum StoreCommand {
    /// Say where the store lies, what it holds, and what that costs
    Info {
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },
    /// Check the store: the index, files and sizes, with --full every byte
    Verify(VerifyArgs),
    /// Collect what nothing keeps
    Gc(GcArgs),
    /// What keeps things from being collected
    #[command(subcommand)]
    Roots(RootsCommand),
}

/// What `store verify` is told.
#[derive(Args)]
pub(super) struct VerifyArgs {
    /// Hash every pack and source again, and decode packs against their layer trees
    #[arg(long)]
    full: bool,
    /// Check only the n-th of m parts: a slice for each night
    #[arg(long, value_name = "N/M", requires = "full")]
    part: Option<String>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// What `store gc` is told.
#[derive(Args)]
pub(super) struct GcArgs {
    /// Print what would be collected, and collect nothing
    #[arg(long)]
    dry_run: bool,
    /// Let go of roots that were set longer ago than this many days
    #[arg(long, value_name = "DAYS")]
    older_than: Option<u64>,
    /// Stop when so many bytes are free on the file system
    #[arg(long, value_name = "BYTES")]
    keep_free: Option<u64>,
    /// Stop when so many bytes were freed
    #[arg(long, value_name = "BYTES")]
    max_freed: Option<u64>,
    /// Drop the kept package files too, where nothing else needs them
    #[arg(long)]
    drop_sources: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// The commands below `store roots`.
#[derive(Subcommand)]
pub(super) enum RootsCommand {
    /// List the roots
    List {
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },
    /// Keep a package or image under a name of your own
    Add {
        /// The name of the root
        name: String,
        /// A package as `show` takes it, or the name of another root
        what: String,
    },
    /// Let go of roots
    Remove {
        /// Their names
        #[arg(required = true)]
        names: Vec<String>,
    },
}
pub(super) fn run(_global: &Global, _out: &Output, _command: &StoreCommand) -> anyhow::Result<ExitCode> {
    todo!()
}
