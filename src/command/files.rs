//! Every path of a package or an image, with mode, owner, size, content and origin.
//!
//! A package of the store is listed as it came; an image is planned and listed as its layers will be,
//! without making any of them. No path is without an origin.

use serde::{Serialize, Serializer};

use super::attempt::persistently;
use super::context::Context;
use super::error::Error;
use super::find::{find, neither};
use super::request::{self, full_name, listed};
use dlstore_image::choice::fits;
use dlstore_image::compose::{Request, rootfs_of};
use dlstore_image::rootfs::Listed;
use dlstore_model::arch::Arch;
use dlstore_model::escape;
use dlstore_model::path::TreePath;
use dlstore_model::tree::{Entry, Node, Tree};
use dlstore_store::{Access, ObjectRef, PackageRecord, Store, StoreError};

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
    /// What it is: `deb:musl=1.2.5-3/amd64`, `static:embedded for amd64`.
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
    /// Who brought it: `deb:musl=1.2.5-3/amd64`, `fixup:accounts`.
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

/// Finds packages, or plans an image, and lists what is in each.
///
/// # Errors
/// When there is neither, or the image cannot be planned.
pub(crate) fn run(context: &Context, settings: &request::Settings, what: &str) -> Result<Report, Error> {
    // Where packages come from is said for an image only.
    let is_image = !settings.from.is_empty() && settings.project.has(what);
    let store = context.open_if_there()?;
    if let Some(store) = store.as_ref().filter(|_| !is_image) {
        let found = find(store, what)?;
        if !found.is_empty() {
            settings.project.note_image(context, what);
            let fitting = fitting(context, settings.architectures.as_deref(), what, found)?;
            let listings = fitting.iter().map(|record| of_package(store, record)).collect::<Result<_, Error>>()?;
            return Ok(Report { listings });
        }
    }
    let ready = settings.ready(context, what).map_err(|error| neither(store.as_ref(), what, error))?;
    drop(store);
    let source = settings.source()?;
    let store: Store = context.open(Access::Create)?;
    let package_source = source.package_source(context, &store)?;
    let request = Request {
        image: &ready.image,
        architectures: &ready.architectures,
        package_source: &package_source,
        layering: ready.layering,
        codec: ready.codec,
        date: None,
    };
    let rootfs = persistently(context, &store, "files", |session, _| Ok(rootfs_of(session, &request)?))?;
    let listing = |(arch, files)| Listing { of: format!("{} for {arch}", full_name(&ready.image)), files };
    Ok(Report { listings: rootfs.into_iter().map(listing).collect() })
}

/// Takes the packages for the architectures that are asked for. When none are, those of one architecture: this machine's,
/// else the first.
fn fitting(
    context: &Context,
    asked: Option<&str>,
    what: &str,
    found: Vec<PackageRecord>,
) -> Result<Vec<PackageRecord>, Error> {
    let Some(asked) = asked else { return Ok(of_one_architecture(context, found)) };
    let wanted = request::named(asked, &Arch::ALL)?;
    let is_wanted =
        |record: &&PackageRecord| wanted.iter().any(|arch| fits(&record.architecture, record.format, *arch));
    let fitting: Vec<PackageRecord> = found.iter().filter(is_wanted).cloned().collect();
    if !fitting.is_empty() {
        return Ok(fitting);
    }
    let mut has: Vec<String> = found.into_iter().map(|record| record.architecture).collect();
    has.sort();
    has.dedup();
    Err(Error::OtherArchitecture { what: what.to_owned(), wanted: listed(&wanted), has: has.join(" ") })
}

fn of_one_architecture(context: &Context, mut found: Vec<PackageRecord>) -> Vec<PackageRecord> {
    let fits_host =
        |record: &PackageRecord| Arch::host().is_some_and(|host| fits(&record.architecture, record.format, host));
    let first = found.first().map(|record| record.architecture.clone());
    let has_hosts = found.iter().any(fits_host);
    let is_shown = |record: &PackageRecord| {
        if has_hosts { fits_host(record) } else { Some(&record.architecture) == first.as_ref() }
    };
    let mut others: Vec<String> =
        found.iter().filter(|record| !is_shown(record)).map(|record| record.architecture.clone()).collect();
    others.sort();
    others.dedup();
    if !others.is_empty() {
        context.note(&format!("also available for {}; --arch all shows them", others.join(", ")));
    }
    found.retain(is_shown);
    found
}

fn of_package(store: &Store, record: &PackageRecord) -> Result<Listing, Error> {
    let origin = format!("{}:{}={}/{}", record.format.name(), record.name, record.version, record.architecture);
    let damaged = || StoreError::Damaged(ObjectRef::Tree(record.tree));
    let tree: Tree = store.tree(&record.tree)?.ok_or_else(damaged)?;
    let files = tree.into_entries().into_iter().map(|(path, entry)| Listed {
        path,
        entry,
        origin: origin.clone(),
        of: Vec::new(),
    });
    Ok(Listing { files: files.collect(), of: origin })
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

fn text_of(path: &TreePath) -> String {
    format!("/{}", escape::name(path.as_bytes()))
}

/// Gives the word for what an entry is.
const fn kind(entry: &Entry) -> &'static str {
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
