//! All images on all architectures, composed once.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde::Deserialize;

use super::inputs;
use super::lifetime;
use super::program::Place;
use super::tzdata;

/// What is made of Debian packages, and of none.
pub(crate) const DEBIAN: [&str; 6] =
    ["static", "static:debian", "static:debug", "musl-dynamic", "glibc-dynamic", "glibc-dynamic:nonroot"];
/// What is made of Alpine packages.
pub(crate) const ALPINE: [&str; 2] = ["static:alpine", "musl-dynamic:alpine"];

/// OCI's, Debian's and apk's name of an architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Names {
    pub(crate) oci: &'static str,
    pub(crate) debian: &'static str,
    pub(crate) apk: &'static str,
    /// As tags have it.
    pub(crate) tag: &'static str,
}

const fn names(oci: &'static str, debian: &'static str, apk: &'static str, tag: &'static str) -> Names {
    Names { oci, debian, apk, tag }
}

pub(crate) const ARCHITECTURES: [Names; 8] = [
    names("386", "i386", "x86", "386"),
    names("amd64", "amd64", "x86_64", "amd64"),
    names("arm64", "arm64", "aarch64", "arm64"),
    names("arm/v6", "armel", "armhf", "armv6"),
    names("arm/v7", "armhf", "armv7", "armv7"),
    names("ppc64le", "ppc64el", "ppc64le", "ppc64le"),
    names("riscv64", "riscv64", "riscv64", "riscv64"),
    names("s390x", "s390x", "s390x", "s390x"),
];

/// What `compose --json` says of an image.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Image {
    pub(crate) reference: String,
    pub(crate) name: String,
    pub(crate) digest: String,
    pub(crate) platforms: Vec<Platform>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Platform {
    pub(crate) architecture: String,
    pub(crate) manifest: String,
    pub(crate) config: String,
    pub(crate) layers: Vec<Layer>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Layer {
    pub(crate) digest: String,
    pub(crate) diff_id: String,
    pub(crate) size: u64,
    pub(crate) title: String,
}

impl Image {
    pub(crate) fn platform(&self, oci: &str) -> &Platform {
        self.platforms.iter().find(|platform| platform.architecture == oci).unwrap()
    }
}

/// Images in one layout, by name.
#[derive(Debug)]
pub(crate) struct Set {
    pub(crate) place: Place,
    pub(crate) layout: PathBuf,
    pub(crate) from: Vec<PathBuf>,
    pub(crate) images: Vec<Image>,
}

impl Set {
    /// Composes into a layout of its own.
    pub(crate) fn compose(place: Place, references: &[&str], from: &[PathBuf], more: &[&str]) -> Self {
        let layout = place.work().join("layout");
        let images = compose(&place, references, from, &layout, more);
        Self { place, layout, from: from.to_vec(), images }
    }

    pub(crate) fn image(&self, reference: &str) -> &Image {
        self.images.iter().find(|image| image.reference == reference).unwrap()
    }

    pub(crate) fn blob(&self, digest: &str) -> PathBuf {
        blob(&self.layout, digest)
    }
}

/// The file of a blob in a layout.
pub(crate) fn blob(layout: &Path, digest: &str) -> PathBuf {
    layout.join("blobs").join(digest.replace(':', "/"))
}

/// Composes for all architectures, and gives what `--json` says.
pub(crate) fn compose(
    place: &Place,
    references: &[&str],
    from: &[PathBuf],
    layout: &Path,
    more: &[&str],
) -> Vec<Image> {
    let output = format!("oci:{}", layout.display());
    let mut command = place.command(&["compose", "--json", "--arch", "all", "-o", &output]);
    command.args(more).args(references);
    if !from.is_empty() {
        command.arg("--from").args(from);
    }
    let mut value: serde_json::Value = serde_json::from_str(&super::program::succeed(&mut command)).unwrap();
    Vec::<Image>::deserialize(value["images"].take()).unwrap()
}

/// The images of [`DEBIAN`].
pub(crate) fn debian() -> Option<&'static Set> {
    static SET: OnceLock<Option<Set>> = OnceLock::new();
    SET.get_or_init(|| {
        let debs = inputs::debs()?;
        Some(Set::compose(place("debian"), &DEBIAN, &[debs], &[]))
    })
    .as_ref()
}

/// The images of [`ALPINE`]. Their `tzdata` is made here.
pub(crate) fn alpine() -> Option<&'static Set> {
    static SET: OnceLock<Option<Set>> = OnceLock::new();
    SET.get_or_init(|| {
        let apks = inputs::apks()?;
        let place = place("alpine");
        let zones = place.work().join("tzdata");
        tzdata::write(&zones);
        Some(Set::compose(place, &ALPINE, &[apks, zones], &[]))
    })
    .as_ref()
}

/// The set that an image is in, if there are packages for it.
pub(crate) fn of(reference: &str) -> Option<&'static Set> {
    if ALPINE.contains(&reference) { alpine() } else { debian() }
}

/// All sets for which there are packages.
pub(crate) fn sets() -> Vec<&'static Set> {
    debian().into_iter().chain(alpine()).collect()
}

fn place(name: &str) -> Place {
    let directory = lifetime::directory().join(name);
    std::fs::create_dir(&directory).unwrap();
    Place::new(&directory)
}
