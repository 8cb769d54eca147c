//! What `compose` can be told.
//!
//! Words that are grammars of their own (`--output`, `--load`) are kept as they were typed, and read when settings are
//! made of them, so that their errors have hints.

use clap::Args;

use super::image::FromArgs;

/// What `compose` is told.
#[derive(Args)]
#[command(after_long_help = EXAMPLES, override_usage = USAGE)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag that is given or not")]
pub(in crate::cli) struct ComposeArgs {
    /// NAME[:FLAVOR] of an image under images/ or built into the program, or a path to a definition
    #[arg(required_unless_present = "all", value_name = "IMAGE")]
    pub(in crate::cli) images: Vec<String>,
    /// Compose every image that the project defines under images/
    #[arg(long, conflicts_with = "images")]
    pub(in crate::cli) all: bool,
    /// With --all, compose every flavor of each image, not only the default one
    #[arg(long, requires = "all", conflicts_with = "images")]
    pub(in crate::cli) all_flavors: bool,
    /// Compose what can be composed when an image fails; the exit code is still 1
    #[arg(long)]
    pub(in crate::cli) keep_going: bool,
    #[command(flatten)]
    pub(in crate::cli) from: FromArgs,
    /// Write the image to oci:DIR[:TAG], oci-archive:FILE[:NAME] or docker-archive:FILE[:NAME:TAG]; FILE may be - for
    /// stdout (default: oci:out/IMAGE)
    #[arg(short, long, value_name = "OUTPUT")]
    pub(in crate::cli) output: Vec<String>,
    /// Name the image, in every output (default: the repository and the tags of the definition)
    #[arg(short, long, value_name = "[NAME][:TAG]")]
    pub(in crate::cli) tag: Vec<String>,
    /// Write every tag of the image into a layout or an oci-archive, not only the first
    #[arg(long)]
    pub(in crate::cli) all_tags: bool,
    /// In layouts, give each architecture a tag of its own too, TAG-ARCH (for umoci, which cannot choose one)
    #[arg(long)]
    pub(in crate::cli) arch_tags: bool,
    /// Replace a tag of a layout even if it belongs to another image
    #[arg(long)]
    pub(in crate::cli) force: bool,
    /// Set a label of the image (changes the digest)
    #[arg(long, value_name = "KEY=VALUE")]
    pub(in crate::cli) label: Vec<String>,
    /// Set an annotation of the image's manifests and index (changes the digest)
    #[arg(long, value_name = "KEY=VALUE")]
    pub(in crate::cli) annotation: Vec<String>,
    /// Set an environment variable of the image (changes the digest)
    #[arg(short, long, value_name = "KEY=VALUE")]
    pub(in crate::cli) env: Vec<String>,
    /// Load the image for this machine into docker or podman (default: the first that answers)
    #[arg(long, value_name = "ENGINE", num_args = 0..=1, default_missing_value = "auto")]
    pub(in crate::cli) load: Option<String>,
    /// Copy blobs instead of sharing files with the store
    #[arg(long)]
    pub(in crate::cli) copy: bool,
    /// Where the date of `created` comes from: `packages`, or `env` for `SOURCE_DATE_EPOCH` (changes
    /// the digest)
    #[arg(long, value_name = "FROM", default_value = "packages")]
    pub(in crate::cli) date: DateFrom,
    /// Print what would be made, layer by layer, and make nothing
    #[arg(long, conflicts_with_all = ["output", "load", "copy", "tag", "all_tags", "arch_tags", "force"])]
    pub(in crate::cli) dry_run: bool,
    /// Print the result as JSON
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

/// `--date`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(in crate::cli) enum DateFrom {
    /// The newest package
    Packages,
    /// `SOURCE_DATE_EPOCH`
    Env,
}

/// As one line clap would offer `--all` and an image together.
const USAGE: &str = "\
dlstore compose [OPTIONS] <IMAGE>...
       dlstore compose [OPTIONS] --all [--all-flavors]";

const EXAMPLES: &str = "\
Examples:
  dlstore compose static --arch all
  dlstore compose static:debian glibc-dynamic --arch all --from ./debs -o oci:out/images
  dlstore compose musl-dynamic:alpine --from ./apks --load";
