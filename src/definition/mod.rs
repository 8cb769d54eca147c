//! STUB: what an image is to be, as its folder or file says.
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::arch::Arch;
use crate::digest::OciDigest;
use crate::package::Format;
use crate::path::TreePath;

/// One flavor of one image: what it extends and its own words, merged and checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    pub name: String,
    pub flavor: String,
    /// Says whether that is the definition's default flavor (then names and tags leave it out).
    pub is_default_flavor: bool,
    pub description: Option<String>,
    pub repository: Option<String>,
    pub architectures: Vec<Arch>,
    /// Format of the packages; None: an image without packages.
    pub format: Option<Format>,
    /// What it extends, outermost ancestor first, itself last. Never empty.
    pub levels: Vec<Level>,
    pub config: Config,
    pub annotations: BTreeMap<String, String>,
    pub tags: Vec<String>,
    pub layers: Layering,
    pub compression: Compression,
}

/// What one definition of the chain of `extends` brings: one or two layers of the image.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Level {
    /// `static:debian`.
    pub name: String,
    /// Brings the data that is built into the program (accounts etc. come from the fix-ups).
    pub embedded: bool,
    pub packages: Vec<PackageWish>,
    pub arch_packages: BTreeMap<Arch, Vec<PackageWish>>,
    pub files: Vec<FileSpec>,
    pub links: Vec<(TreePath, String)>,
    /// Extra certificates (PEM files).
    pub certificates: Vec<PathBuf>,
    /// Selection patterns of this level in order: (is_keep, pattern); the built-in "slim" set comes last unless `slim = false`.
    pub selection: Vec<(bool, String)>,
    pub slim: bool,
    pub waivers: Vec<Waiver>,
    /// Accounts declared at this level, on top of the built-in ones.
    pub accounts: Vec<Account>,
    /// Names of fix-ups that are not wanted.
    pub skip: Vec<String>,
    /// Globs of package paths that a fix-up or an own file may replace.
    pub overrides: Vec<String>,
    /// Paths allowed to be setuid, setgid, to carry capabilities, to be world-writable folders, or devices.
    pub privileged: Vec<String>,
    /// Fields of os-release.
    pub os_release: BTreeMap<String, String>,
}

/// `libc6`, `libc6=2.41-12`, `libc6@sha256:...`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageWish {
    pub name: String,
    pub version: Option<String>,
    pub sha256: Option<OciDigest>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct FileSpec {
    /// Where it goes.
    pub path: TreePath,
    /// Where it comes from, `{arch}` still in it; relative to the definition's folder already joined. None: an empty folder (path given with `/`), or `content`.
    pub source: Option<String>,
    /// Text given in the definition itself.
    pub content: Option<String>,
    pub is_folder: bool,
    pub mode: Option<u16>,
    /// Owner as written: `nonroot`, `65532:65532`, None: 0:0.
    pub owner: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiver {
    pub from: String,
    pub to: String,
    pub reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    pub name: String,
    pub uid: u32,
    pub gid: u32,
    pub group: String,
    pub home: TreePath,
    pub shell: String,
    pub description: String,
}

/// The runtime configuration of the image.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Config {
    pub env: BTreeMap<String, String>,
    /// As written; "nonroot" is stored as 65532:65532, "root" as "0:0"? see docs.
    pub user: Option<String>,
    pub workdir: Option<String>,
    pub entrypoint: Vec<String>,
    pub cmd: Vec<String>,
    pub stop_signal: Option<String>,
    pub labels: BTreeMap<String, String>,
    pub exposed_ports: Vec<String>,
    pub volumes: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layering {
    Grouped,
    Package,
    Flat,
}
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    Gzip,
    Zstd,
}

#[derive(Debug, thiserror::Error)]
pub enum DefinitionError {
    #[error("placeholder")]
    Placeholder,
}

/// Finds and reads an image: `NAME[:FLAVOR]` under `images/` of the project, else built in; or a path.
pub fn load(_project: &Path, _reference: &str) -> Result<Image, DefinitionError> {
    todo!()
}
/// Names of all images that can be composed from here, with their flavors (the default first).
pub fn known(_project: &Path) -> Vec<(String, Vec<String>)> {
    todo!()
}
