//! What the commands that add packages, and look at packages and images, can be told.
//!
//! WHAT is a package, an image, or a built image, in the same words for all of them.

use std::path::PathBuf;

use clap::Args;

use super::image::{FromArgs, ProjectArgs};
use crate::cli::quantity;

/// What `add` is told.
#[derive(Args)]
pub(in crate::cli) struct AddArgs {
    /// .deb, .apk, .tar[.gz|.xz|.zst|.bz2], directories full of packages, or directories to take as a package
    #[arg(required = true, value_name = "PATH")]
    pub(in crate::cli) paths: Vec<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    pub(in crate::cli) json: bool,
    /// Do not keep the package files themselves
    #[arg(long)]
    pub(in crate::cli) no_keep_sources: bool,
    /// Accept packages that unpack to at most SIZE (500MB, 8GiB), however small the package file is
    ///
    /// Without it content above 64 MiB may be at most 200 times as large as the package file, and at most
    /// twice what the package declares.
    #[arg(long, value_name = "SIZE", value_parser = quantity::size)]
    pub(in crate::cli) max_size: Option<u64>,
}

/// What `list` is told.
#[derive(Args)]
pub(in crate::cli) struct ListArgs {
    /// Only packages of this name; * stands for any characters and ? for any one
    pub(in crate::cli) name: Option<String>,
    /// List the images that can be made instead, with their flavors, and definitions that cannot be read
    #[arg(long)]
    pub(in crate::cli) images: bool,
    #[command(flatten)]
    pub(in crate::cli) project: ProjectArgs,
    /// Print the result as JSON
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

/// What `show` is told.
#[derive(Args)]
pub(in crate::cli) struct ShowArgs {
    /// NAME, NAME=VERSION or NAME=VERSION/ARCH of a package (in NAME, * stands for any characters and ? for any
    /// one), a tree or source digest (12 digits or more), an image as `compose` takes it, or a built image:
    /// oci:DIR[:TAG], oci-archive:FILE[:NAME], docker-archive:FILE[:NAME:TAG], or the path of a layout or an archive
    pub(in crate::cli) what: String,
    /// Architectures of a built image: `all`, `host`, or a list (default: `host`, else the first)
    #[arg(long, visible_alias = "platform", value_name = "LIST")]
    pub(in crate::cli) arch: Option<String>,
    #[command(flatten)]
    pub(in crate::cli) project: ProjectArgs,
    /// Print the result as JSON
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

/// What `files` is told.
#[derive(Args)]
pub(in crate::cli) struct FilesArgs {
    /// A package or an image, also a built one, as `show` takes it
    pub(in crate::cli) what: String,
    #[command(flatten)]
    pub(in crate::cli) from: FromArgs,
    /// Print the result as JSON
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

/// What `tree` is told.
#[derive(Args)]
pub(in crate::cli) struct TreeArgs {
    /// A package or an image, also a built one, as `show` takes it
    pub(in crate::cli) what: String,
    #[command(flatten)]
    pub(in crate::cli) from: FromArgs,
    /// How many levels of directories are shown
    #[arg(long, default_value_t = 3)]
    pub(in crate::cli) depth: usize,
    /// Print the result as JSON
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

/// What `diff` is told.
#[derive(Args)]
pub(in crate::cli) struct DiffArgs {
    /// A package or an image, also a built one, as `show` takes it
    #[arg(value_name = "A")]
    pub(in crate::cli) old: String,
    /// What it is compared with
    #[arg(value_name = "B")]
    pub(in crate::cli) new: String,
    #[command(flatten)]
    pub(in crate::cli) from: FromArgs,
    /// Exit with 1 when something differs
    #[arg(long)]
    pub(in crate::cli) exit_code: bool,
    /// Print the result as JSON
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

/// What `needs` is told.
#[derive(Args)]
pub(in crate::cli) struct NeedsArgs {
    /// Programs or libraries (ELF files), or directories of them
    #[arg(required = true, value_name = "BINARY")]
    pub(in crate::cli) binaries: Vec<PathBuf>,
    /// Look for libraries in these packages too, files and directories (the store is looked at anyway)
    #[arg(long, num_args = 1.., value_name = "PATH")]
    pub(in crate::cli) from: Vec<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    pub(in crate::cli) json: bool,
}
