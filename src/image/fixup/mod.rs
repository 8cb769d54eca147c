//! Fix-ups: what maintainer scripts would make and an image needs, made by small pure functions.
//!
//! Scripts of packages never run. Each file here makes one thing that they would have left behind, out
//! of nothing but its arguments: no file system, no clock, no environment, no foreign program. So the same inputs under
//! the same version give the same bytes on every machine.
//!
//! What is to be known of one without running it (its name, version, order, what it may replace) is a row of
//! `definition::fixup`. Every version is pinned by golden tests beside its fix-up: whoever changes output must raise
//! it, else old outcomes would be taken for new ones.
//!
//! `date` arguments are the newest date of what the caller took as inputs (0 when there is none); they
//! become the modification time of files and links. Directories are always at 0. The parents of an entry
//! are not generated unless their mode or owner is the point.

mod accounts;
mod apk_database;
pub(crate) mod attribution;
pub(crate) mod bundles;
mod ca_bundle;
mod dpkg_database;
pub(crate) mod inputs;
mod ld_musl_path;
pub mod ld_so_cache;
mod nsswitch;
mod os_release;
mod usr_merge;

pub(crate) use dpkg_database::left_out;

use std::collections::BTreeSet;

use self::inputs::{Inputs, Outcomes};
use crate::definition::{Fixup, KeyLine};
use crate::rootfs::Generated;
use dlstore_model::diagnose::{Diagnose, Hint, Kind};
use dlstore_model::path::TreePath;

/// Tells why fix-ups do not make what an image needs.
#[derive(Debug, thiserror::Error)]
pub enum FixupError {
    /// One that cannot do its work.
    #[error("fix-up {name}")]
    Failed {
        /// Its name.
        name: &'static str,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// One that cannot do what a definition says.
    #[error("{key}: {error}")]
    Said {
        /// Where it says that.
        key: KeyLine,
        /// Why not.
        error: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Two fix-ups make one path.
    #[error("{path} is made by two fix-ups, {first} and {second}")]
    Two {
        /// The path.
        path: TreePath,
        /// One of them.
        first: &'static str,
        /// The other.
        second: &'static str,
    },
    /// Facts that cannot be read.
    #[error("cannot read what the store knows about {0}")]
    Facts(String),
}

impl FixupError {
    fn of(fixup: Fixup) -> impl Fn(Box<dyn std::error::Error + Send + Sync>) -> Self {
        move |source| Self::Failed { name: fixup.name(), source }
    }

    /// Takes an error of a fix-up: of what a definition says, if it is about that.
    fn said<E: OfKey>(fixup: Fixup, inputs: &Inputs<'_>, error: E) -> Self {
        match error.key(inputs) {
            Some(key) => Self::Said { key, error: error.into() },
            None => Self::of(fixup)(error.into()),
        }
    }
}

/// An error of a fix-up that may be about what a definition says.
trait OfKey: Into<Box<dyn std::error::Error + Send + Sync>> {
    /// Finds where it is said; `None` when it is about something else.
    fn key(&self, inputs: &Inputs<'_>) -> Option<KeyLine>;
}

impl Diagnose for FixupError {
    fn kind(&self) -> Kind {
        match self {
            Self::Failed { .. } | Self::Said { .. } | Self::Two { .. } => Kind::Input,
            Self::Facts(_) => Kind::Damaged,
        }
    }

    fn hint(&self) -> Option<Hint> {
        matches!(self, Self::Facts(_)).then(|| Hint::new("dlstore store verify --full"))
    }
}

/// Runs every fix-up but those that are skipped, on what the levels so far bring.
///
/// # Errors
/// When a fix-up's inputs are bad.
pub(crate) fn run(inputs: &Inputs<'_>, skipped: &BTreeSet<Fixup>) -> Result<Outcomes, FixupError> {
    let mut outcomes = Outcomes::new();
    for fixup in Fixup::ALL.iter().copied().filter(|fixup| !skipped.contains(fixup)) {
        let levels = if fixup == Fixup::DpkgDatabase { inputs.levels.len() } else { 1 };
        for level in 0..levels {
            let mut made = one(fixup, level, inputs, &outcomes)?;
            if !made.entries.is_empty() {
                inputs.name_owners(&mut made);
                outcomes.insert((fixup, level), made);
            }
        }
    }
    Ok(outcomes)
}

/// Says whether a fix-up alone would make something, or fail.
pub(crate) fn makes_something(fixup: Fixup, inputs: &Inputs<'_>) -> bool {
    let others = Fixup::ALL.iter().copied().filter(|other| *other != fixup).collect();
    !run(inputs, &others).is_ok_and(|made| made.is_empty())
}

/// Says what fix-ups that are not skipped make, and that people will not expect of it: in sentences for them.
pub(crate) fn warnings(inputs: &Inputs<'_>, skipped: &BTreeSet<Fixup>) -> Vec<String> {
    let mut warnings = Vec::new();
    if !skipped.contains(&Fixup::OsRelease) && os_release::lacks_release(inputs) {
        // No name is in it: what extends a remembered base has the base's notes.
        let sentence = "nothing says which release of Alpine the packages are from, so scanners will not know the branch: \
                        set os-release.VERSION_ID, or add the package alpine-release";
        warnings.push(sentence.to_owned());
    }
    warnings
}

/// Runs a fix-up. `level` is the one that it is asked for, where it works level by level; `before` is what others made.
fn one(fixup: Fixup, level: usize, inputs: &Inputs<'_>, before: &Outcomes) -> Result<Generated, FixupError> {
    let made = match fixup {
        Fixup::Accounts => return accounts::run(inputs).map_err(|error| FixupError::said(fixup, inputs, error)),
        Fixup::CaBundle => return ca_bundle::run(inputs).map_err(|error| FixupError::said(fixup, inputs, error)),
        Fixup::OsRelease => os_release::run(inputs).map_err(Into::into),
        Fixup::Nsswitch => Ok(nsswitch::run(inputs)),
        Fixup::LdMuslPath => Ok(ld_musl_path::run(inputs)),
        Fixup::UsrMerge => Ok(usr_merge::run(inputs)),
        Fixup::LdSoCache => ld_so_cache::run(inputs, before.get(&(Fixup::UsrMerge, 0))).map_err(Into::into),
        Fixup::DpkgDatabase => dpkg_database::run(inputs, level, before).map_err(Into::into),
        Fixup::ApkDatabase => return apk_database::run(inputs),
    };
    made.map_err(FixupError::of(fixup))
}

#[cfg(test)]
pub(crate) mod tests {
    use crate::rootfs::Generated;
    use crate::rootfs::generated::fixed;
    use dlstore_model::tree::Node;

    /// Names everything that was generated in one digest: for golden tests.
    pub(crate) fn fingerprint(generated: &Generated) -> String {
        let tree = dlstore_model::tree::Tree::new(generated.entries.clone()).unwrap();
        for (_, entry) in &tree {
            if let Node::File { content, size } = entry.node {
                assert_eq!(generated.contents[&content].len() as u64, size);
            }
        }
        tree.digest().to_hex()
    }

    /// Gives the text of a generated file.
    pub(crate) fn text<'a>(generated: &'a Generated, path: &str) -> &'a str {
        std::str::from_utf8(generated.bytes(&fixed(path)).unwrap_or_else(|| panic!("no file {path}"))).unwrap()
    }
}
