//! What the commands below `store` can be told.
//!
//! Times and sizes are read as people write them (`quantity`).

use std::time::Duration;

use clap::{Args, Subcommand};

use crate::cli::quantity;

/// The commands below `store`.
#[derive(Subcommand)]
pub(in crate::cli) enum StoreCommand {
    /// Create a store for a group, or on a network file system
    Init(InitArgs),
    /// Show where the store is, what it holds, and how much space that takes
    Info {
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },
    /// Check the store: the index, files and sizes, with --full every byte
    Verify(VerifyArgs),
    /// Rebuild a lost or damaged index from the kept packages
    Rebuild {
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },
    /// Delete what no root or running command keeps
    Gc(GcArgs),
    /// List, add and remove roots, which keep objects from being deleted
    #[command(subcommand)]
    Roots(RootsCommand),
}

/// What `store init` is told.
#[derive(Args)]
pub(in crate::cli) struct InitArgs {
    /// Share it with a group, by name or number, whose members trust each other (without a value: the group that
    /// the system gives new directories)
    #[arg(long, value_name = "GROUP", num_args = 0..=1, default_missing_value = "")]
    pub(in crate::cli) shared: Option<String>,
    /// Allow a network file system; only this host may use the store
    #[arg(long)]
    pub(in crate::cli) network_file_system: bool,
    /// Print the result as JSON
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

/// What `store verify` is told.
#[derive(Args)]
pub(in crate::cli) struct VerifyArgs {
    /// Hash every pack and source again, and decode packs against their layer trees
    #[arg(long)]
    pub(in crate::cli) full: bool,
    /// Check only the n-th of m parts: a slice for each night
    #[arg(long, value_name = "N/M", requires = "full")]
    pub(in crate::cli) part: Option<String>,
    /// Repair damage from the kept sources; checks every byte, like --full
    #[arg(long, conflicts_with = "part")]
    pub(in crate::cli) repair: bool,
    /// Print the result as JSON
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

/// What `store gc` is told.
#[derive(Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(in crate::cli) struct GcArgs {
    /// Print what would be deleted, and delete nothing
    #[arg(long)]
    pub(in crate::cli) dry_run: bool,
    /// Drop roots not used for TIME: 7d, 12h; a plain number is days
    #[arg(long, value_name = "TIME", value_parser = quantity::days)]
    pub(in crate::cli) older_than: Option<Duration>,
    /// Keep anything younger than TIME: 90m, 30s; a plain number is seconds
    #[arg(long, value_name = "TIME", value_parser = quantity::seconds, default_value = "1h")]
    pub(in crate::cli) grace: Duration,
    /// Stop once SIZE is free on the file system: 10GB, 10GiB; a plain number is bytes
    #[arg(long, value_name = "SIZE", value_parser = quantity::size)]
    pub(in crate::cli) keep_free: Option<u64>,
    /// Stop once SIZE has been freed: 10GB, 10GiB; a plain number is bytes
    #[arg(long, value_name = "SIZE", value_parser = quantity::size)]
    pub(in crate::cli) max_freed: Option<u64>,
    /// Also delete kept package files that nothing else needs
    #[arg(long)]
    pub(in crate::cli) drop_sources: bool,
    /// Also delete files in sources/ that are not in the index: after `store rebuild` nothing needs them
    #[arg(long)]
    pub(in crate::cli) orphan_sources: bool,
    /// Empty the quarantine
    #[arg(long)]
    pub(in crate::cli) quarantine: bool,
    /// Print the result as JSON
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

/// The commands below `store roots`.
#[derive(Subcommand)]
pub(in crate::cli) enum RootsCommand {
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
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },
    /// Drop roots
    Remove {
        /// Their names
        #[arg(required = true)]
        names: Vec<String>,
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },
}

impl StoreCommand {
    /// Says whether the answer is to be JSON.
    pub(in crate::cli) const fn has_json(&self) -> bool {
        match self {
            Self::Init(InitArgs { json, .. })
            | Self::Info { json }
            | Self::Verify(VerifyArgs { json, .. })
            | Self::Rebuild { json }
            | Self::Gc(GcArgs { json, .. })
            | Self::Roots(
                RootsCommand::List { json } | RootsCommand::Add { json, .. } | RootsCommand::Remove { json, .. },
            ) => *json,
        }
    }
}
