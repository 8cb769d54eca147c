//! Every path of a package or an image, with mode, owner, size, content and origin.
//!
//! A package of the store is listed as it came; an image is planned and listed as its layers will be,
//! without making any of them; a built one is listed as its layers are. No path is without an origin.

use serde::{Serialize, Serializer};

use super::context::Context;
use super::error::Error;
use super::subject::{self, Subject};
use super::{made, request};
use dlstore_image::compose::ListedRootfs;
use dlstore_image::rootfs::Listed;
use dlstore_model::escape;
use dlstore_model::path::TreePath;
use dlstore_model::tree::{Entry, Node};
use dlstore_oci::reading::{Budget, Platform};
use dlstore_store::{PackageRecord, Store};

/// What is listed.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Report {
    /// One for each package, or for each architecture of an image.
    pub(crate) listings: Vec<Listing>,
}

/// The files of one thing.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Listing {
    /// What it is: `deb:musl=1.2.5-3/amd64`, `static:embedded for amd64`, `out/static for amd64`.
    pub(crate) of: String,
    /// Its paths, sorted.
    #[serde(serialize_with = "described")]
    #[cfg_attr(test, schemars(with = "Vec<File>"))]
    pub(crate) files: Vec<Listed>,
}

/// A path. It is made when it is written: an image may have more than a hundred thousand of them.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct File<'l> {
    /// From the top of the image.
    path: String,
    /// `directory`, `file`, `symlink`, `hard link`, `character device`, `block device` or `fifo`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// Octal, four digits.
    mode: String,
    /// Number of the user.
    uid: u32,
    /// Number of the group.
    gid: u32,
    /// Seconds since 1970, as in the layer.
    mtime: u64,
    /// Who brought it: `deb:musl=1.2.5-3/amd64`, `fixup:accounts`; of a built image its layer, `layer 2: TITLE`.
    origin: &'l str,
    /// Packages that a fix-up made it of.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    made_of: &'l [String],
    /// Bytes, of a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    /// The digest of its content (BLAKE3), of a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    blake3: Option<String>,
    /// Where it leads, of a link.
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    /// Major and minor number, of a device.
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<[u32; 2]>,
}

fn described<S: Serializer>(files: &[Listed], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(files.iter().map(File::of))
}

/// Finds packages, plans an image, or reads a built one, and lists what is in each.
///
/// # Errors
/// When there is none of them, or the image cannot be planned or read.
pub(crate) fn run(context: &Context, settings: &request::Settings, what: &str) -> Result<Report, Error> {
    let listings = match subject::find(context, settings, what)? {
        Subject::Packages(store, found) => {
            let fitting = subject::fitting(context, settings.architectures.as_deref(), what, found)?;
            fitting.iter().map(|record| of_package(&store, record)).collect::<Result<_, Error>>()?
        }
        Subject::Image(ready) => {
            let rootfs = subject::plan(context, settings, &ready)?;
            let listing =
                |one: ListedRootfs| Listing { of: format!("{} for {}", ready.full_name(), one.arch), files: one.files };
            rootfs.into_iter().map(listing).collect()
        }
        Subject::Made(image) => {
            let platforms = made::chosen(context, &image, settings.architectures.as_deref())?;
            let mut budget = Budget::default();
            let listing = |platform: &Platform| {
                let of = format!("{} for {}", image.name, platform.name);
                Ok(Listing { of, files: made::files(&image, platform, &mut budget)? })
            };
            platforms.into_iter().map(listing).collect::<Result<_, Error>>()?
        }
    };
    Ok(Report { listings })
}

fn of_package(store: &Store, record: &PackageRecord) -> Result<Listing, Error> {
    Ok(Listing { files: subject::files_of(store, record)?, of: subject::name_of(record) })
}

impl<'l> File<'l> {
    fn of(Listed { path, entry, origin, of }: &'l Listed) -> Self {
        let meta = entry.meta;
        let (size, blake3) = match &entry.node {
            Node::File { content, size } => (Some(*size), Some(content.to_hex())),
            _ => (None, None),
        };
        Self {
            path: text_of(path),
            kind: kind(entry),
            mode: format!("{:04o}", meta.mode),
            uid: meta.uid,
            gid: meta.gid,
            mtime: meta.mtime,
            origin,
            made_of: of,
            size,
            blake3,
            target: match &entry.node {
                Node::Symlink { target } => Some(escape::name(target)),
                Node::HardLink { target } => Some(text_of(target)),
                _ => None,
            },
            device: match entry.node {
                Node::CharDevice { major, minor } | Node::BlockDevice { major, minor } => Some([major, minor]),
                _ => None,
            },
        }
    }
}

pub(super) fn text_of(path: &TreePath) -> String {
    format!("/{}", escape::name(path.as_bytes()))
}

/// Gives the word for what an entry is.
pub(super) const fn kind(entry: &Entry) -> &'static str {
    match entry.node {
        Node::Directory => "directory",
        Node::File { .. } => "file",
        Node::Symlink { .. } => "symlink",
        Node::HardLink { .. } => "hard link",
        Node::CharDevice { .. } => "character device",
        Node::BlockDevice { .. } => "block device",
        Node::Fifo => "fifo",
    }
}
