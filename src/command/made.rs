//! A built image: which of its platforms is meant, what is in it, and which packages it says it has.
//!
//! Packages are those that its own databases name. That is what a scanner would find in it, and all that an image of
//! others says of its packages.

use std::collections::BTreeMap;

use super::context::Context;
use super::error::Error;
use super::request;
use dlstore_formats::package::{Format, installed};
use dlstore_image::rootfs::Listed;
use dlstore_model::arch::Arch;
use dlstore_model::path::TreePath;
use dlstore_oci::reading::{Budget, File, Image, Layer, Platform, Rootfs};

/// The databases of packages that images have: files, and a directory with a file for each package.
const DATABASES: [(Format, &str); 3] = [
    (Format::Deb, "var/lib/dpkg/status"),
    (Format::Apk, "lib/apk/db/installed"),
    (Format::Apk, "usr/lib/apk/db/installed"),
];
const DPKG_DIRECTORY: &str = "var/lib/dpkg/status.d";

/// What a platform unpacks to.
pub(super) struct Unpacked {
    /// Its paths, sorted.
    pub(super) files: Vec<Listed>,
    /// Its packages by name, each with its format, version and architecture.
    pub(super) packages: Vec<(Format, installed::Installed)>,
}

/// Takes the platforms that are asked for. When none are, that of this machine, else the first.
///
/// # Errors
/// When the image is not for one of them.
pub(super) fn chosen<'i>(context: &Context, image: &'i Image, asked: Option<&str>) -> Result<Vec<&'i Platform>, Error> {
    let of = |arch: Arch| image.platforms.iter().find(|platform| platform.arch == Some(arch));
    match asked {
        Some("all") => Ok(image.platforms.iter().collect()),
        Some(asked) => {
            let wanted = request::named(asked, &Arch::ALL)?;
            wanted.into_iter().map(|arch| of(arch).ok_or_else(|| not_for(image, arch))).collect()
        }
        None => {
            let shown = Arch::host().and_then(of).unwrap_or(&image.platforms[0]);
            let others =
                image.platforms.iter().map(|platform| platform.name.as_str()).filter(|name| *name != shown.name);
            let others: Vec<&str> = others.collect();
            if !others.is_empty() {
                context.note(&format!("also available for {}; --arch all shows them", others.join(", ")));
            }
            Ok(vec![shown])
        }
    }
}

fn not_for(image: &Image, arch: Arch) -> Error {
    // What `--arch` can take.
    let offered: Vec<&str> =
        image.platforms.iter().filter(|one| one.arch.is_some()).map(|one| one.name.as_str()).collect();
    let offered = if offered.is_empty() { "all".to_owned() } else { offered.join(",") };
    Error::NotFor { image: image.name.clone(), arch, offered }
}

/// Unpacks a platform in memory, and reads its databases of packages. What that takes goes off `budget`, which is one for
/// all platforms that are held at once.
///
/// # Errors
/// When a layer cannot be read.
pub(super) fn unpack(image: &Image, platform: &Platform, budget: &mut Budget) -> Result<Unpacked, Error> {
    let rootfs = image.rootfs(platform, budget, is_database)?;
    let packages = packages(&rootfs);
    Ok(Unpacked { files: listed(platform, rootfs), packages })
}

/// Unpacks a platform for its files alone.
///
/// # Errors
/// When a layer cannot be read.
pub(super) fn files(image: &Image, platform: &Platform, budget: &mut Budget) -> Result<Vec<Listed>, Error> {
    Ok(listed(platform, image.rootfs(platform, budget, |_| false)?))
}

fn listed(platform: &Platform, rootfs: Rootfs) -> Vec<Listed> {
    let origins: Vec<String> = platform.layers.iter().enumerate().map(|(at, layer)| origin(at, layer)).collect();
    let listed =
        |File { path, entry, layer }: File| Listed { path, entry, origin: origins[layer].clone(), of: Vec::new() };
    rootfs.into_files().into_iter().map(listed).collect()
}

/// `layer 2: static:debian, all architectures`.
fn origin(at: usize, layer: &Layer) -> String {
    match layer.title.as_str() {
        "" => format!("layer {}", at + 1),
        title => format!("layer {}: {title}", at + 1),
    }
}

fn path(text: &str) -> TreePath {
    TreePath::new(text.as_bytes()).expect("databases lie at paths")
}

/// Says whether a file is a database of packages, or a part of one.
fn is_database(path: &TreePath) -> bool {
    let is_part = || {
        let name = path.as_bytes().strip_prefix(DPKG_DIRECTORY.as_bytes()).and_then(|name| name.strip_prefix(b"/"));
        name.is_some_and(|name| !name.contains(&b'/') && !name.ends_with(b".md5sums"))
    };
    DATABASES.iter().any(|(_, database)| path.as_bytes() == database.as_bytes()) || is_part()
}

/// Reads the databases of packages, sorted by name.
fn packages(rootfs: &Rootfs) -> Vec<(Format, installed::Installed)> {
    let mut texts: Vec<(Format, &[u8])> = Vec::new();
    texts.extend(DATABASES.iter().filter_map(|(format, database)| Some((*format, rootfs.content(&path(database))?))));
    let parts = rootfs.below(&path(DPKG_DIRECTORY)).filter_map(|part| rootfs.content(part));
    texts.extend(parts.map(|text| (Format::Deb, text)));
    let all = texts
        .into_iter()
        .flat_map(|(format, text)| installed::read(format, text).into_iter().map(move |one| (format, one)))
        .take(installed::MOST_PACKAGES);
    let by_name: BTreeMap<_, _> = all.map(|(format, one)| ((one.name.clone(), format.name(), one), format)).collect();
    by_name.into_iter().map(|((_, _, one), format)| (format, one)).collect()
}
