//! What a word stands for: packages of the store, an image definition, or a built image.
//!
//! ```text
//! oci:DIR[:TAG]  oci-archive:FILE[:NAME]  docker-archive:FILE[:NAME:TAG]       a built image
//! DIR[:TAG], FILE  a path to a layout or an archive, unless it is a definition  the same
//! NAME, NAME=VERSION, NAME=VERSION/ARCH, a digest                               packages of the store, else
//! NAME, NAME:FLAVOR, a path to a definition                                     an image definition
//! ```
//! Every command that looks at things asks here, so that one word is one thing to all of them.

use std::path::Path;

use super::attempt::persistently;
use super::context::Context;
use super::error::Error;
use super::find::{self, neither};
use super::request::{self, Ready, listed};
use dlstore_image::choice::fits;
use dlstore_image::compose::{ListedRootfs, Request, rootfs_of};
use dlstore_image::rootfs::Listed;
use dlstore_model::arch::Arch;
use dlstore_model::tree::Tree;
use dlstore_oci::reading::{Image, Source};
use dlstore_store::{Access, ObjectRef, PackageRecord, Store, StoreError};

/// What a word stands for.
pub(super) enum Subject {
    /// Packages of a store, at least one.
    Packages(Store, Vec<PackageRecord>),
    /// An image that would be made.
    Image(Box<Ready>),
    /// A built image.
    Made(Box<Image>),
}

/// Finds out where a built image is, if that is what a word stands for.
///
/// # Errors
/// When nothing stands behind `oci:`.
pub(super) fn made(what: &str) -> Result<Option<Source>, Error> {
    if let Some(source) = Source::parse(what)? {
        return Ok(Some(source));
    }
    let path = Path::new(what);
    let has = |suffix: &str| path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case(suffix));
    let is_path = what.contains('/') || matches!(what, "." | "..") || has("tar");
    if !is_path || has("toml") || path.join("image.toml").exists() {
        return Ok(None);
    }
    match Source::at(path).or_else(|| Source::tagged(what)) {
        None if has("tar") => Ok(Some(Source::archive(path))),
        None if path.is_dir() => Err(Error::NoImage(path.to_owned())),
        found => Ok(found),
    }
}

/// Finds what a word stands for.
///
/// # Errors
/// When it is nothing, or cannot be read.
pub(super) fn find(context: &Context, settings: &request::Settings, what: &str) -> Result<Subject, Error> {
    if let Some(source) = made(what)? {
        return Ok(Subject::Made(Box::new(Image::open(&source)?)));
    }
    // Where packages come from is said for an image only.
    let is_image = !settings.from.is_empty() && settings.project.has(what);
    let store = context.open_if_there()?;
    let found = match store.as_ref().filter(|_| !is_image) {
        Some(store) => find::find(store, what)?,
        None => Vec::new(),
    };
    match store {
        Some(store) if !found.is_empty() => {
            settings.project.note_image(context, what);
            Ok(Subject::Packages(store, found))
        }
        store => {
            let ready = settings.ready(context, what).map_err(|error| neither(store.as_ref(), what, error))?;
            Ok(Subject::Image(Box::new(ready)))
        }
    }
}

/// Plans an image and lists what is in it on each of its architectures.
///
/// # Errors
/// When it cannot be planned.
pub(super) fn plan(context: &Context, settings: &request::Settings, ready: &Ready) -> Result<Vec<ListedRootfs>, Error> {
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
    persistently(context, &store, "files", |session, _| Ok(rootfs_of(session, &request)?))
}

/// Takes the packages for the architectures that are asked for. When none are, those of one architecture: this machine's,
/// else the first.
pub(super) fn fitting(
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

/// Names a package in full: `deb:musl=1.2.5-3/amd64`.
pub(super) fn name_of(record: &PackageRecord) -> String {
    format!("{}:{}={}/{}", record.format.name(), record.name, record.version, record.architecture)
}

/// Lists the files of a package.
///
/// # Errors
/// When its tree is missing or damaged.
pub(super) fn files_of(store: &Store, record: &PackageRecord) -> Result<Vec<Listed>, Error> {
    let origin = name_of(record);
    let damaged = || StoreError::Damaged(ObjectRef::Tree(record.tree));
    let tree: Tree = store.tree(&record.tree)?.ok_or_else(damaged)?;
    let listed = |(path, entry)| Listed { path, entry, origin: origin.clone(), of: Vec::new() };
    Ok(tree.into_entries().into_iter().map(listed).collect())
}
