//! What is different between two things: image definitions, built images or packages.
//!
//! ```text
//! subject ─► sides: for each architecture that both have, configuration, packages, files ─► compared
//! ```
//! What only one kind of thing has (a package has no configuration) is not compared with nothing. All is sorted, so that
//! the same two things always give the same report.

mod compare;
mod side;

use serde::Serialize;

use super::context::Context;
use super::error::Error;
use super::request::Settings;
use side::Sides;

/// What is different.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Report {
    /// The first one, as it was asked for.
    pub(crate) old: String,
    /// The second one.
    pub(crate) new: String,
    /// Whether nothing differs.
    pub(crate) is_same: bool,
    /// Architectures that only the first one has, with `--arch all`.
    pub(crate) only_old: Vec<String>,
    /// Architectures that only the second one has, with `--arch all`.
    pub(crate) only_new: Vec<String>,
    /// One for each architecture that is compared.
    pub(crate) architectures: Vec<Compared>,
}

/// What is different on one architecture.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Compared {
    /// The architecture.
    pub(crate) architecture: String,
    /// Settings of the configuration that differ, sorted.
    pub(crate) config: Vec<Setting>,
    /// Packages that differ, sorted.
    pub(crate) packages: Vec<Package>,
    /// Paths that differ, sorted.
    pub(crate) files: Vec<File>,
    /// Bytes of all files of the first one.
    pub(crate) old_size: u64,
    /// Bytes of all files of the second one.
    pub(crate) new_size: u64,
}

/// A setting that differs.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Setting {
    /// `entrypoint`, `cmd`, `user`, `workdir`, `stop_signal`, `created`, `ports`, `volumes`, or `env.NAME`, `labels.KEY`, `annotations.KEY`; what this program has no word for under its own key, as JSON: `Healthcheck`.
    pub(crate) key: String,
    /// What the first one has.
    pub(crate) old: Option<String>,
    /// What the second one has.
    pub(crate) new: Option<String>,
}

/// A package that differs.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Package {
    /// Its name.
    pub(crate) name: String,
    /// Its version in the first one; several are separated by commas.
    pub(crate) old: Option<String>,
    /// Its version in the second one.
    pub(crate) new: Option<String>,
}

/// A path that differs.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct File {
    /// From the top of the image.
    pub(crate) path: String,
    /// What differs, of a path that both have: `type`, `mode`, `owner`, `size`, `content`, `target`, `device`, `attributes`, `time`.
    pub(crate) differs: Vec<&'static str>,
    /// What the first one has there.
    pub(crate) old: Option<State>,
    /// What the second one has there.
    pub(crate) new: Option<State>,
}

/// What stands at a path.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct State {
    /// `directory`, `file`, `symlink`, `hard link`, `character device`, `block device` or `fifo`.
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    /// Octal, four digits.
    pub(crate) mode: String,
    /// Number of the user.
    pub(crate) uid: u32,
    /// Number of the group.
    pub(crate) gid: u32,
    /// Seconds since 1970.
    pub(crate) mtime: u64,
    /// Bytes, of a file.
    pub(crate) size: Option<u64>,
    /// The digest of its content (BLAKE3), of a file.
    pub(crate) blake3: Option<String>,
    /// Where it leads, of a link.
    pub(crate) target: Option<String>,
}

/// Compares two things.
///
/// # Errors
/// When one of them is nothing, cannot be planned or read, or both have no architecture in common.
pub(crate) fn run(context: &Context, settings: &Settings, old: &str, new: &str) -> Result<Report, Error> {
    let mut sides = Sides::find(context, settings, [old, new])?;
    let [only_old, only_new] = std::mem::take(&mut sides.only);
    let compared = |(architecture, old, new)| compare::compared(architecture, &old, &new);
    let architectures: Vec<Compared> = sides.load(context, settings)?.into_iter().map(compared).collect();
    let is_same = only_old.is_empty() && only_new.is_empty() && architectures.iter().all(Compared::is_same);
    Ok(Report { old: old.to_owned(), new: new.to_owned(), is_same, only_old, only_new, architectures })
}

impl Compared {
    /// Says whether nothing differs.
    pub(crate) const fn is_same(&self) -> bool {
        self.config.is_empty() && self.packages.is_empty() && self.files.is_empty()
    }
}
