//! Flags about images that several commands share.
//!
//! `files` and `tree` take what `compose` takes, so that they look at exactly the image that it would make.

use std::path::PathBuf;

use clap::Args;

/// The flag that says where definitions are.
#[derive(Args)]
pub(in crate::cli) struct ProjectArgs {
    /// The project directory, which contains `images/`, whoever owns it (default: the nearest one at or above the
    /// current directory, which must belong to you or root)
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) project: Option<PathBuf>,
}

/// Flags that say from what and for which machines an image is made.
#[derive(Args)]
pub(in crate::cli) struct FromArgs {
    #[command(flatten)]
    pub(in crate::cli) project: ProjectArgs,
    /// Architectures: `all`, `host`, or a list such as amd64,arm64,arm/v7 (default: `host`; of a
    /// package, or a built image, that is not there for it, the first that is)
    #[arg(long, visible_alias = "platform", value_name = "LIST")]
    pub(in crate::cli) arch: Option<String>,
    /// Where packages come from: files and directories, or the word `store`
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub(in crate::cli) from: Vec<PathBuf>,
    /// How layers are cut (changes the digest)
    #[arg(long, value_name = "KIND")]
    pub(in crate::cli) layers: Option<LayersArg>,
    /// How layers are compressed (changes the digest)
    #[arg(long, value_name = "KIND")]
    pub(in crate::cli) compression: Option<CompressionArg>,
}

/// `--layers`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(in crate::cli) enum LayersArg {
    /// For each level of `extends`: what is the same on all architectures, and what is not
    Grouped,
    /// A layer for each package
    Package,
    /// One layer
    Flat,
}

/// `--compression`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(in crate::cli) enum CompressionArg {
    /// Runs everywhere
    Gzip,
    /// A fifth smaller; needs podman, containerd or docker 23
    Zstd,
}
