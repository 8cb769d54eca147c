//! Composing: from a definition and packages to an image's layers and documents.
//!
//! ```text
//! image ► packages of all architectures (added when they are new, each once, in parallel)
//!       ► own files
//!       ► is the whole image known? ───────────────────────────────► done: a look-up
//!       ► for each architecture: is its root known? else plan it (`root`)
//!       ► packs of the layers that are missing (`packs`)
//!       ► documents (`dlstore_oci`)
//! ```
//!
//! Two outcomes are remembered: `image`, for everything that decides the image's digests, and `root`,
//! for what decides the layers of one architecture. A label that changed asks for the first anew and
//! finds the second. An architecture's documents never depend on which others are composed.

pub mod bench;
pub mod check;
pub mod choose;
mod diagnose;
pub mod image;
pub mod kept;
pub mod layering;
pub mod notes;
pub mod own;
pub mod packs;
pub mod remembered;
pub mod root;
pub mod suggest;

use std::path::PathBuf;

use crate::compose::check::problem::Problems;
use crate::compose::choose::Place;
use crate::rootfs::owned::Matter;
use dlstore_formats::layer::LayerError;
use dlstore_ingest::IngestError;
use dlstore_model::escape::Escaped;
use dlstore_model::path::{PathError, TreePath};
use dlstore_store::StoreError;

/// Tells why an image could not be composed.
#[derive(Debug, thiserror::Error)]
pub enum ComposeError {
    /// A package is not where packages were said to come from.
    #[error("{}", missing(name, version.as_deref(), format, architecture))]
    Missing {
        /// Its name.
        name: String,
        /// The version asked for.
        version: Option<String>,
        /// `deb` or `apk`.
        format: &'static str,
        /// In the format's words.
        architecture: String,
        /// Where it was looked for.
        place: Place,
    },
    /// Two sources of one version.
    #[error("{name} {version} comes from two different sources: {first} and {second}")]
    Tie {
        /// The package.
        name: String,
        /// The version.
        version: String,
        /// One of them.
        first: String,
        /// The other.
        second: String,
    },
    /// A package could not be added.
    #[error("{path}", path = Escaped::path(path))]
    Add {
        /// Its file.
        path: PathBuf,
        /// Why.
        #[source]
        source: IngestError,
    },
    /// Two parts want different things at one path.
    #[error("{path} is brought by {first} and by {second}, and they differ")]
    Conflict {
        /// The path.
        path: TreePath,
        /// Who had it.
        first: String,
        /// Who wants it.
        second: String,
    },
    /// A package ships what is about accounts, certificates, the loader or databases, and is none of those that may.
    #[error("{path} of {origin}: {}", foreign(*matter, may))]
    Foreign {
        /// The path.
        path: TreePath,
        /// Who brought it.
        origin: String,
        /// The package's name.
        package: String,
        /// What the path is about.
        matter: Matter,
        /// The packages that may ship it.
        may: Vec<String>,
    },
    /// A package would replace another one's loader or libc.
    #[error(
        "{path} of {loser} would be replaced by {winner} ({reason}), and no package replaces loader or libc unasked"
    )]
    Replaced {
        /// The path.
        path: TreePath,
        /// Who loses it.
        loser: String,
        /// The loser's name.
        package: String,
        /// Who wants it.
        winner: String,
        /// Why it would win.
        reason: &'static str,
    },
    /// Two fix-ups make one path.
    #[error("{path} is made by the fix-ups {first} and {second}")]
    TwoFixups {
        /// The path.
        path: TreePath,
        /// One of them.
        first: &'static str,
        /// The other.
        second: &'static str,
    },
    /// A path leads through what is not a folder.
    #[error("{path} of {origin} leads through {parent}, which is not a folder but brought by {holder}")]
    Through {
        /// The path.
        path: TreePath,
        /// Who brought it.
        origin: String,
        /// The link or file in its way.
        parent: TreePath,
        /// Who brought that.
        holder: String,
    },
    /// Something privileged that the definition does not list.
    #[error("{path} of {origin} is {what}")]
    Privileged {
        /// The path.
        path: TreePath,
        /// Who brought it.
        origin: String,
        /// What it is.
        what: &'static str,
    },
    /// What is made would not run, or not on its machine.
    #[error("{0}")]
    Problems(Problems),
    /// An ELF file that has its loader look through too many folders.
    #[error("{path} has a run path of {count} directories; at most {most} are looked through")]
    RunPath {
        /// The file.
        path: TreePath,
        /// How many different entries it has.
        count: usize,
        /// How many are looked through.
        most: usize,
    },
    /// An owner that no account has.
    #[error("{path}: {owner:?} is no account of this image, no uid and no uid:gid")]
    Owner {
        /// The path in the definition.
        path: TreePath,
        /// The owner as written.
        owner: String,
    },
    /// A path below an own folder that is not valid.
    #[error("below {0}")]
    OwnPath(TreePath, #[source] PathError),
    /// A definition that is built into the program names a file of the host.
    #[error("{0} is built into the program and has no folder for files")]
    NoFolder(String),
    /// The definition's own files.
    #[error(transparent)]
    Definition(#[from] crate::definition::DefinitionError),
    /// A user that no account has.
    #[error("user {0:?} is no account of this image, no uid and no uid:gid")]
    User(String),
    /// More files than an image is made of.
    #[error("with {0} the image has more than {most} files and directories on one architecture, which is the limit", most = crate::rootfs::union::MOST_ENTRIES)]
    Entries(String),
    /// More files than can be looked at together.
    #[error("the image has more than {most} files and directories on these architectures: ask for one of them with --arch", most = crate::rootfs::union::MOST_ENTRIES)]
    EntriesOfAll,
    /// Something vanished between two steps.
    #[error("{0} is no longer in the store")]
    Gone(String),
    /// Facts that cannot be read.
    #[error("what the store knows of {0} cannot be read: run `dlstore store verify`")]
    Facts(String),
    /// A fix-up that cannot do its work.
    #[error("fix-up {name}")]
    Fixup {
        /// Which.
        name: &'static str,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Reading packages or own files.
    #[error(transparent)]
    Ingest(#[from] IngestError),
    /// Making packs.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Documents.
    #[error(transparent)]
    Oci(#[from] dlstore_oci::OciError),
}

fn missing(name: &str, version: Option<&str>, format: &str, architecture: &str) -> String {
    let version = version.map(|version| format!(" {version}")).unwrap_or_default();
    format!("no {format} package {name}{version} for {architecture}")
}

fn foreign(matter: Matter, may: &[String]) -> String {
    let plural = matter.plural();
    match may {
        [] => format!("no package of this image may ship {plural}"),
        [one] => format!("only the package {one} may ship {plural}"),
        many => format!("only the packages {} may ship {plural}", many.join(", ")),
    }
}

/// Most gaps, and most notes of one kind, that are written out: nobody reads on, and what is behind each
/// (a look through all packages that the store knows) is not for thousands of them.
pub const MOST_SHOWN: usize = 20;

/// The first of many, and how many more there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown<T> {
    /// At most [`MOST_SHOWN`].
    pub first: Vec<T>,
    /// How many are left out.
    pub more: usize,
}

impl<T> Default for Shown<T> {
    fn default() -> Self {
        Self { first: Vec::new(), more: 0 }
    }
}

impl<T> Shown<T> {
    /// Takes one more, which is made only if it is shown.
    pub fn push(&mut self, make: impl FnOnce() -> T) {
        if self.first.len() < MOST_SHOWN {
            self.first.push(make());
        } else {
            self.more += 1;
        }
    }

    /// Says whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.first.is_empty()
    }
}

impl Shown<String> {
    /// Gives the lines, the last one `and 4,980 more WHAT` where some are left out.
    #[must_use]
    pub fn with_rest(mut self, what: &str) -> Vec<String> {
        if self.more > 0 {
            self.first.push(format!("and {} more {what}", with_commas(self.more)));
        }
        self.first
    }
}

/// Writes a number for people: `4,980`.
#[must_use]
pub fn with_commas(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
