//! All built-in images on all architectures, made of real packages, composed once for a test binary.
//!
//! A set is what one kind of packages makes, in one layout. What there are no packages for on a machine is not there, and
//! the tests of it say so.

use std::path::PathBuf;
use std::sync::OnceLock;

use serde::Deserialize;

use crate::command::succeed;
use crate::inputs;
use crate::layout::Layout;
use crate::lifetime;
use crate::run::Place;
use crate::tzdata;

/// What is made of Debian packages, and of none.
pub const DEBIAN: [&str; 6] =
    ["static", "static:debian", "static:debug", "musl-dynamic", "glibc-dynamic", "glibc-dynamic:nonroot"];
/// What is made of Alpine packages.
pub const ALPINE: [&str; 2] = ["static:alpine", "musl-dynamic:alpine"];

/// OCI's, Debian's and apk's name of an architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Names {
    /// As images have it, `arm/v7`.
    pub oci: &'static str,
    /// As `.deb` has it, `armhf`.
    pub debian: &'static str,
    /// As `.apk` has it, `armv7`.
    pub apk: &'static str,
    /// As tags have it, `armv7`.
    pub tag: &'static str,
}

const fn names(oci: &'static str, debian: &'static str, apk: &'static str, tag: &'static str) -> Names {
    Names { oci, debian, apk, tag }
}

/// All of them, by OCI's names.
pub const ARCHITECTURES: [Names; 8] = [
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
pub struct Image {
    /// What was asked for, `static:debian`.
    pub reference: String,
    /// Its tag in a layout, `static-debian`.
    pub name: String,
    /// The digest of its index.
    pub digest: String,
    /// One for each architecture.
    pub platforms: Vec<Platform>,
}

/// An image on an architecture.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Platform {
    /// By OCI's name, `arm/v7`.
    pub architecture: String,
    /// The digest of its manifest.
    pub manifest: String,
    /// The digest of its configuration.
    pub config: String,
    /// Lowest first.
    pub layers: Vec<Layer>,
}

/// A layer of an image.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Layer {
    /// The digest of its blob.
    pub digest: String,
    /// The digest of its tar.
    pub diff_id: String,
    /// Bytes of its blob.
    pub size: u64,
    /// What is in it, in words.
    pub title: String,
}

impl Image {
    /// This image on an architecture, by OCI's name.
    #[track_caller]
    pub fn platform(&self, oci: &str) -> &Platform {
        self.platforms.iter().find(|platform| platform.architecture == oci).unwrap()
    }
}

/// Images in one layout, by name.
#[derive(Debug)]
pub struct Set {
    /// Where they were composed.
    pub place: Place,
    /// Where they are.
    pub layout: Layout,
    /// Directories of the packages.
    pub from: Vec<PathBuf>,
    /// What composing said of them.
    pub images: Vec<Image>,
}

impl Set {
    /// Composes into a layout of its own.
    pub fn compose(place: Place, references: &[&str], from: &[PathBuf], more: &[&str]) -> Self {
        let layout = Layout(place.project().join("layout"));
        let images = compose(&place, references, from, &layout, more);
        Self { place, layout, from: from.to_vec(), images }
    }

    /// What composing said of an image.
    #[track_caller]
    pub fn image(&self, reference: &str) -> &Image {
        self.images.iter().find(|image| image.reference == reference).unwrap()
    }
}

/// Composes for all architectures, and gives what `--json` says.
#[track_caller]
pub fn compose(place: &Place, references: &[&str], from: &[PathBuf], layout: &Layout, more: &[&str]) -> Vec<Image> {
    let output = format!("oci:{}", layout.path().display());
    let mut command = place.command(["compose", "--json", "--arch", "all", "-o", &output]);
    command.args(more).args(references);
    if !from.is_empty() {
        command.arg("--from").args(from);
    }
    let mut value: serde_json::Value = serde_json::from_str(&succeed(&mut command)).unwrap();
    Vec::<Image>::deserialize(value["images"].take()).unwrap()
}

/// The images of [`DEBIAN`], made by a program.
pub fn debian(program: &str) -> Option<&'static Set> {
    static SET: OnceLock<Option<Set>> = OnceLock::new();
    SET.get_or_init(|| {
        let debs = inputs::debs()?;
        Some(Set::compose(place(program, "debian"), &DEBIAN, &[debs], &["--arch-tags"]))
    })
    .as_ref()
}

/// The images of [`ALPINE`], made by a program. Their `tzdata` is made here.
pub fn alpine(program: &str) -> Option<&'static Set> {
    static SET: OnceLock<Option<Set>> = OnceLock::new();
    SET.get_or_init(|| {
        let apks = inputs::apks()?;
        let place = place(program, "alpine");
        let zones = place.packages().join("tzdata");
        tzdata::write(&zones);
        Some(Set::compose(place, &ALPINE, &[apks, zones], &["--arch-tags"]))
    })
    .as_ref()
}

/// The set that an image is in, if there are packages for it.
pub fn of(program: &str, reference: &str) -> Option<&'static Set> {
    if ALPINE.contains(&reference) { alpine(program) } else { debian(program) }
}

/// All sets for which there are packages.
pub fn sets(program: &str) -> Vec<&'static Set> {
    debian(program).into_iter().chain(alpine(program)).collect()
}

fn place(program: &str, name: &str) -> Place {
    Place::at(program, &lifetime::directory().join(name))
}
