//! What can be typed: commands and flags, with the help that they print.
//!
//! Only clap's types are here, one file for each group of commands. What a flag that is absent means, and what the
//! environment has to say, is settled in `settings`.

pub(super) mod compose;
pub(super) mod image;
pub(super) mod packages;
pub(super) mod store;

use std::ops::RangeInclusive;
use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, value_parser};

/// Composes reproducible base images from Debian and Alpine packages.
#[derive(Parser)]
#[command(name = "dlstore", version, propagate_version = true, after_help = AFTER, after_long_help = AFTER_LONG)]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) command: Command,
}

const AFTER: &str = "First steps:  dlstore compose static --arch all      (needs no package and no network)";

const AFTER_LONG: &str = "\
First steps:
  dlstore compose static --arch all          compose the embedded `static` image for 8 architectures
  dlstore add ./debs                         add a directory of .deb and .apk files
  dlstore compose glibc-dynamic --arch all --from store

Exit codes:
  0 done    1 failure    2 usage    130 interrupted

The store is in $DLSTORE_ROOT, else in the platform's data directory ($XDG_DATA_HOME/dlstore).";

/// Numbers of threads that can be asked for. Each takes memory for its stack and for a decoder, whether or
/// not there is a processor for it; no machine of today gains by more.
const JOBS: RangeInclusive<i64> = 1..=256;

/// Flags that every command understands.
#[derive(Args)]
#[command(next_help_heading = "Global options")]
pub(super) struct Global {
    /// The store's directory (default: `$DLSTORE_ROOT`, else in the platform's data directory)
    #[arg(long, global = true, value_name = "DIR", hide_short_help = true)]
    pub(super) store: Option<PathBuf>,
    /// Use a store that belongs to another user: its owner and the members of its group are trusted (also
    /// `DLSTORE_TRUST_OWNER=1`)
    #[arg(long, global = true, hide_short_help = true)]
    pub(super) trust_owner: bool,
    /// Print only results and errors
    #[arg(short, long, global = true)]
    pub(super) quiet: bool,
    /// Print a line for each package and layer; twice (-vv): each step too, with the time
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(super) verbose: u8,
    /// How to show progress
    #[arg(long, global = true, value_name = "KIND", default_value = "auto", hide_short_help = true)]
    pub(super) progress: ProgressArg,
    /// Number of threads, 1 to 256 (default: the number of processors)
    #[arg(long, global = true, value_name = "N", hide_short_help = true, value_parser = value_parser!(u16).range(JOBS))]
    pub(super) jobs: Option<u16>,
}

/// `--progress`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum ProgressArg {
    /// A moving line on a terminal; on CI (the variable CI is set) a line every 5 seconds at most; else nothing.
    Auto,
    /// A plain line for each finished step.
    Plain,
    /// An object of JSON on a line of stderr for each finished step.
    Json,
    /// Nothing.
    None,
}

/// What can be done.
#[derive(Subcommand)]
pub(super) enum Command {
    /// Add packages and directories to the store
    Add(packages::AddArgs),
    /// Compose images
    Compose(compose::ComposeArgs),
    /// List the packages of the store, or the images that can be made
    List(packages::ListArgs),
    /// Show one package or image
    Show(packages::ShowArgs),
    /// List the files of a package or of an image, with the origin of each
    Files(packages::FilesArgs),
    /// Show a package or an image as a tree of directories with sizes
    Tree(packages::TreeArgs),
    /// Show what is different between two images or packages
    Diff(packages::DiffArgs),
    /// Show what a program of your own needs at run time, and which images provide it
    Needs(packages::NeedsArgs),
    /// Create, inspect and maintain the store
    #[command(subcommand)]
    Store(store::StoreCommand),
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page of dlstore, or of one of its commands
    Man {
        /// The command, for example `compose` or `store gc`
        #[arg(value_name = "COMMAND")]
        command: Vec<String>,
    },
}

impl Command {
    /// Says whether the answer is to be JSON.
    pub(super) const fn has_json(&self) -> bool {
        match self {
            Self::Add(packages::AddArgs { json, .. })
            | Self::Compose(compose::ComposeArgs { json, .. })
            | Self::List(packages::ListArgs { json, .. })
            | Self::Show(packages::ShowArgs { json, .. })
            | Self::Files(packages::FilesArgs { json, .. })
            | Self::Tree(packages::TreeArgs { json, .. })
            | Self::Diff(packages::DiffArgs { json, .. })
            | Self::Needs(packages::NeedsArgs { json, .. }) => *json,
            Self::Store(command) => command.has_json(),
            Self::Completions { .. } | Self::Man { .. } => false,
        }
    }
}
