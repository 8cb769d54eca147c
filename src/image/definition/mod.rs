//! What an image is to be, as its directory or file says.
//!
//! A definition is a TOML file, `images/NAME/image.toml`; its reference for users is
//! `docs/definition.md`, which a test holds against the parser. [`load`] gives one flavor of it as an
//! [`Image`]: found, read, its flavor laid over its base, laid over what it extends, and checked. What
//! is left to `compose` is what needs packages: which versions there are, who owns a name in an
//! Alpine package's `/etc/passwd`, what an own file on the host holds.
//!
//! ```text
//! locate   NAME[:FLAVOR] or a path  ->  a text and where it is
//! parse    a text                   ->  words, each checked by itself (value, syntax, tags)
//! chain    one after the other along `extends`, one flavor picked of each
//! overlay  a flavor's words over its base's
//! merge    words on an ancestor    ->  an image of levels
//! slim     what is left out of packages by default
//! quote    words as they are typed: what hints print
//! fixup    the fix-ups by name; accounts: those of every image
//! error    a sentence, its place, and the line drawn; key_lines: where keys stand, for errors that come later
//! ```
//!
//! Nothing of the environment enters but the files of definitions, so that an image's meaning is in
//! its text.

pub(crate) mod accounts;
mod chain;
mod error;
pub(crate) mod fixup;
mod key;
mod key_lines;
mod locate;
mod merge;
mod overlay;
mod parse;
mod pick;
pub(crate) mod quote;
mod said;
mod slim;
mod syntax;
pub mod tags;
mod value;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;

use dlstore_formats::package::Format;
use dlstore_model::arch::Arch;
use dlstore_model::config::Config;
use dlstore_model::digest::OciDigest;
use dlstore_model::glob::{PatternError, Selection};
use dlstore_model::path::TreePath;

pub use accounts::Account;
pub use error::{DefinitionError, Line, Place};
pub use fixup::Fixup;
pub use key_lines::{KeyLine, KeyLines, Located};
pub use said::Said;
use slim::SLIM;

/// Most steps of `extends` from one definition to the last.
pub(crate) const MAX_DEPTH: usize = 8;
/// Name of the flavor of a definition that has none.
pub(crate) const IMPLICIT_FLAVOR: &str = "default";
/// One flavor of one image: what it extends and its own words, merged and checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    /// Its name: that of its directory or file.
    pub name: String,
    /// Its flavor; `IMPLICIT_FLAVOR` when the definition has none.
    pub flavor: String,
    /// Says whether that is the definition's default flavor (then names and tags leave it out).
    pub is_default_flavor: bool,
    /// One line for people, also the annotation of that name.
    pub description: Option<String>,
    /// Where it is pushed, without tag.
    pub repository: Option<String>,
    /// The project that it belongs to: as the definition, or else `dlstore.toml` names it, or else the path of the
    /// project's directory. None for an image that is built in. It decides what keeps the image in a store, and no byte.
    pub project: Option<String>,
    /// In the order of [`Arch::ALL`].
    pub architectures: Vec<Arch>,
    /// Format of the packages; None: an image without packages.
    pub format: Option<Format>,
    /// What it extends, outermost ancestor first, itself last. Never empty.
    pub levels: Vec<Level>,
    /// What a runtime is told.
    pub config: Config,
    /// Annotations, title and description among them.
    pub annotations: BTreeMap<String, String>,
    /// Templates of tags (see [`tags`]), complete: nothing is to be appended for a flavor.
    pub tags: Vec<String>,
    /// How entries go into layers.
    pub layers: Layering,
    /// How layers are compressed.
    pub compression: Compression,
    /// What people should know of where its definitions were found.
    pub notes: Vec<String>,
    /// Variables of `config` that the command line set.
    pub env_of_flags: BTreeSet<String>,
}

/// Where a person stands, and the project that they named, if they did.
#[derive(Debug, Clone, Copy)]
pub struct Here<'h> {
    /// The current directory.
    pub current: &'h Path,
    /// The project: a directory that has `images/`. It is looked for upwards unless it is named.
    pub project: Option<&'h Path>,
}

impl<'h, P: AsRef<Path> + ?Sized> From<&'h P> for Here<'h> {
    fn from(current: &'h P) -> Self {
        Self { current: current.as_ref(), project: None }
    }
}

/// What one definition of the chain of `extends` brings: one or two layers of the image.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Level {
    /// `static:debian`; of a definition without flavors the name alone.
    pub name: String,
    /// The directory beneath which own files and certificates must be once links are followed (see
    /// `host_path`); none for a definition that is built in, or says the same under the same name, which has none.
    pub root: Option<PathBuf>,
    /// Brings the data that is built into the program (accounts etc. come from the fix-ups).
    pub embedded: bool,
    /// Packages for every architecture.
    pub packages: Vec<PackageRequirement>,
    /// Packages for one architecture, on top.
    pub arch_packages: BTreeMap<Arch, Vec<PackageRequirement>>,
    /// Own files and directories.
    pub files: Vec<FileSpec>,
    /// Own symbolic links: path and target.
    pub links: Vec<(TreePath, String)>,
    /// Extra certificates.
    pub certificates: Vec<CertificateSpec>,
    /// Selection patterns of this level in order, each with whether it keeps; `keep` first, then
    /// `exclude` (see [`Level::chosen`]).
    pub selection: Vec<(bool, String)>,
    /// Says whether `SLIM` comes behind `selection`.
    pub slim: bool,
    /// Dependencies that are left out on purpose.
    pub waivers: Vec<Waiver>,
    /// Packages whose certificates are taken, where the definition says it (see `certificates_from`).
    pub certificates_from: Option<Vec<String>>,
    /// Accounts declared at this level, on top of the built-in ones.
    pub accounts: Vec<Account>,
    /// The package whose accounts are the first ones, where the definition says it (see `accounts_from`).
    pub accounts_from: Option<String>,
    /// Fix-ups that are not wanted.
    pub skip: Vec<Fixup>,
    /// Globs of package paths that a fix-up or an own file may replace; with `PACKAGE: ` in front, of paths of one
    /// package that other packages may replace (see `Level::replaceable`).
    pub overrides: Vec<String>,
    /// Paths allowed, each by itself, to be setuid, setgid, to carry capabilities, to be world-writable directories, or devices.
    pub privileged: Vec<String>,
    /// Fields of os-release.
    pub os_release: BTreeMap<String, String>,
    /// Where each of its keys stands: for people, and part of no key.
    pub key_lines: Arc<KeyLines>,
}

/// What a pattern of a level is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// What is kept, whatever leaves it out behind that.
    Keep,
    /// What is left out.
    Exclude,
    /// What is left out because something else stands there.
    Override,
}

impl Level {
    /// Gives the patterns that this level holds against paths of its packages, in the order in which they are numbered.
    pub(crate) fn patterns(&self) -> impl Iterator<Item = (Use, &str)> {
        let use_of = |keeps| if keeps { Use::Keep } else { Use::Exclude };
        let chosen = self.selection.iter().map(move |(keeps, text)| (use_of(*keeps), text.as_str()));
        chosen.chain(self.overrides.iter().map(|text| (Use::Override, text.as_str())))
    }

    /// Gives what of this level's packages is selected: its own patterns, then `SLIM` unless the
    /// definition says `slim = false`.
    ///
    /// # Errors
    /// When `selection` holds something that is not a pattern, which [`load`] never gives.
    pub fn chosen(&self) -> Result<Selection, PatternError> {
        let own = self.selection.iter().map(|(keeps, pattern)| (*keeps, pattern.as_str()));
        Selection::new(own.chain(if self.slim { SLIM } else { &[] }.iter().copied()))
    }

    /// Says whether its words are somebody's here: the definition is not built into the program, nor a copy of one that is,
    /// as a clone of this program's repository has them.
    pub(crate) const fn is_own(&self) -> bool {
        self.root.is_some()
    }

    /// Gives what of which package other packages may replace: the `overrides` that name a package.
    pub(crate) fn replaceable(&self) -> impl Iterator<Item = (&str, &str)> {
        let named = self.overrides.iter().filter_map(|text| syntax::overridden(text).ok());
        named.filter_map(|(package, pattern)| Some((package?, pattern)))
    }
}

/// Packages, of which an image has one, whose accounts are the first ones when no definition says which.
const ACCOUNTS_FROM: [&str; 2] = ["alpine-baselayout-data", "wolfi-baselayout"];

/// Gives the packages whose certificates are taken: the uppermost definition that says it counts; else those that
/// distributions with packages of this format call so.
pub(crate) fn certificates_from(levels: &[Level], format: Option<Format>) -> Vec<&str> {
    match (levels.iter().rev().find_map(|level| level.certificates_from.as_ref()), format) {
        (Some(said), _) => said.iter().map(String::as_str).collect(),
        (None, Some(Format::Deb)) => vec!["ca-certificates"],
        (None, Some(Format::Apk)) => vec!["ca-certificates", "ca-certificates-bundle"],
        (None, Some(Format::Tar) | None) => Vec::new(),
    }
}

/// Gives the one package whose account files others are added to: the uppermost definition that says it counts; else,
/// of apks, the first of the known ones that `has` says yes to.
pub(crate) fn accounts_from(levels: &[Level], format: Option<Format>, has: impl Fn(&str) -> bool) -> Option<&str> {
    match levels.iter().rev().find_map(|level| level.accounts_from.as_deref()) {
        Some(said) => Some(said),
        None if format == Some(Format::Apk) => ACCOUNTS_FROM.into_iter().find(|name| has(name)),
        None => None,
    }
}

/// `libc6`, `libc6=2.41-12`, `libc6@sha256:...`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageRequirement {
    /// The package's name.
    pub name: String,
    /// The one version that will do.
    pub version: Option<String>,
    /// The one package file that will do.
    pub sha256: Option<OciDigest>,
    /// Where a definition names it: for people, and part of no key.
    pub line: Option<Line>,
}

/// An own file or directory.
#[derive(Debug, Clone, PartialEq)]
pub struct FileSpec {
    /// Where it goes.
    pub path: TreePath,
    /// Where it comes from on the host, `{arch}` still in it (see `host_path`): absolute, joined to
    /// the definition's directory. None: an empty directory, or `content`.
    pub source: Option<String>,
    /// Text given in the definition itself.
    pub content: Option<String>,
    /// Says whether the path was given with a `/` at its end.
    pub is_directory: bool,
    /// Mode; none: 0755 for a directory, 0755 or 0644 for a file by its executable bit.
    pub mode: Option<u16>,
    /// Owner as written: `nonroot`, `65532:65532`, None: 0:0.
    pub owner: Option<String>,
}

impl FileSpec {
    /// Gives the path as the definition says it.
    pub(crate) fn written(&self) -> Option<String> {
        let slash = if self.is_directory { "/" } else { "" };
        Some(format!("/{}{slash}", std::str::from_utf8(self.path.as_bytes()).ok()?))
    }
}

/// A file of certificates that come on top (PEM).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateSpec {
    /// Where it is on the host, as [`FileSpec::source`] is.
    pub path: PathBuf,
    /// As the definition says it.
    pub written: String,
}

/// A dependency that is left out on purpose: `ca-certificates -> openssl: data only`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiver {
    /// The package or path that needs something.
    pub from: String,
    /// What it needs: a package, a library or a path.
    pub to: String,
    /// Why it does without, never empty.
    pub reason: String,
}

/// How entries go into layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layering {
    /// For each level what all architectures share, and the rest.
    Grouped,
    /// One for each package.
    Package,
    /// One for everything.
    Flat,
}

/// How layers are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// What every runtime reads.
    Gzip,
    /// Smaller, and read by runtimes since 2020.
    Zstd,
}

/// Finds and reads an image: `NAME[:FLAVOR]` under `images/` of the project, else built in; or a path.
///
/// # Errors
/// When there is no such image or flavor, when a file cannot be read or is somebody else's, or when something in a
/// definition is wrong; then the error shows the line.
pub fn load<'h>(here: impl Into<Here<'h>>, reference: &str) -> Result<Image, DefinitionError> {
    chain::load(&here.into(), reference)
}

/// Definitions from which on several are read side by side: threads are started only when there is work for them.
const SIDE_BY_SIDE: usize = 32;

/// Finds and reads images as [`load`] does; they come in the order of `references`.
#[must_use]
pub fn load_all(here: Here<'_>, references: &[String]) -> Vec<Result<Image, DefinitionError>> {
    let one = |reference: &String| load(here, reference);
    if references.len() < SIDE_BY_SIDE {
        references.iter().map(one).collect()
    } else {
        references.par_iter().map(one).collect()
    }
}

/// Gives the names of all images that can be composed from here, sorted, with their flavors (the
/// default first). A definition of the project that has mistakes is there without flavors.
#[must_use]
pub fn known<'h>(here: impl Into<Here<'h>>) -> Vec<(String, Vec<String>)> {
    locate::known(&here.into())
}

/// Gives the names of the images that the project defines itself, as [`known`] gives them.
#[must_use]
pub fn of_project<'h>(here: impl Into<Here<'h>>) -> Vec<(String, Vec<String>)> {
    locate::of_project(&here.into())
}

/// Reads every definition of the project, each of its flavors, and gives those that cannot be composed, with the reason.
///
/// # Errors
/// When the project's directory of images belongs to somebody else: then none of them is read.
pub fn unreadable<'h>(here: impl Into<Here<'h>>) -> Result<Vec<(String, DefinitionError)>, DefinitionError> {
    let here = here.into();
    let flavors: BTreeMap<String, Vec<String>> = locate::of_project(&here).into_iter().collect();
    let mut found = locate::misnamed(&here);
    for name in locate::names(&here)? {
        let flavors = flavors.get(&name).into_iter().flatten();
        let each = flavors.filter(|flavor| *flavor != IMPLICIT_FLAVOR).map(|flavor| format!("{name}:{flavor}"));
        let references: Vec<String> = std::iter::once(name.clone()).chain(each).collect();
        if let Some(error) = references.iter().find_map(|reference| chain::load(&here, reference).err()) {
            found.push((name, error));
        }
    }
    found.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(found)
}

/// Gives what stands in the project's `images/` as a definition, under a name that no image can have: the name, and an
/// error that says the rule.
#[must_use]
pub fn misnamed<'h>(here: impl Into<Here<'h>>) -> Vec<(String, DefinitionError)> {
    locate::misnamed(&here.into())
}

/// Gives where an own file, directory or certificate of a level is for an architecture: `{arch}` put in,
/// links followed. `root` is the level's [`Level::root`].
///
/// # Errors
/// When there is nothing, or when a link leads out of `root`.
pub(crate) fn host_path(root: &Path, source: &str, arch: Arch) -> Result<PathBuf, DefinitionError> {
    locate::stays_beneath(root, Path::new(&source.replace("{arch}", &arch.tag())))
}

/// Reads any bytes as a definition: what a fuzzer calls.
#[doc(hidden)]
pub fn fuzz_definition(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = parse::definition(text);
    }
}

#[cfg(test)]
mod tests;
