//! What is wrong with parts and their union, and the next thing to do about it.
//!
//! Each sentence names the path and who brought it. Hints are what to write into the definition, for it decides who
//! wins, what is left out and whom an image trusts.

use std::fmt::Write as _;

use super::union::MOST_ENTRIES;
use crate::definition::quote::{exact, pattern, quoted};
use crate::definition::{DefinitionError, KeyLine, Located};
use dlstore_ingest::IngestError;
use dlstore_ingest::select::matter::Matter;
use dlstore_model::diagnose::{Diagnose, Hint, Kind};
use dlstore_model::path::{PathError, TreePath};
use dlstore_store::StoreError;

/// Tells why parts do not make a rootfs.
#[derive(Debug, thiserror::Error)]
pub enum RootfsError {
    /// Two parts want different things at one path.
    #[error("{path} is in both {first} and {second}, with different content")]
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
        /// The packages that may ship it; of certificates, whether each is in the image.
        may: Vec<(String, bool)>,
    },
    /// A package would replace another one's loader or libc.
    #[error(
        "{winner} would replace {path} of {loser} ({reason}), but only the definition may replace the loader or libc"
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
    /// A path leads through what is not a directory.
    #[error("{path} of {origin} is below {parent}, which is {} in {holder}", through(link.as_ref()))]
    Through {
        /// The path.
        path: TreePath,
        /// Who brought it.
        origin: String,
        /// The link or file in its way.
        parent: TreePath,
        /// Who brought that.
        holder: String,
        /// Where it leads, when it is a link: its target, and the path that would go there.
        link: Option<(String, TreePath)>,
    },
    /// More files than an image is made of.
    #[error("{0} brings the image above the limit of {MOST_ENTRIES} files and directories on one architecture")]
    Entries(String),
    /// An owner that no account has.
    #[error("{0:?} is not an account of this image, a UID or UID:GID")]
    Owner(String),
    /// A path below an own directory that is not valid.
    #[error("invalid path below {0}")]
    OwnPath(TreePath, #[source] PathError),
    /// A definition that is built into the program names a file of the host.
    #[error("{0} is built in and cannot have files of its own")]
    NoDirectory(String),
    /// Something vanished between two steps.
    #[error("{0} is no longer in the store")]
    Gone(String),
    /// What a definition says, with its line.
    #[error(transparent)]
    Located(Box<Located<RootfsError>>),
    /// The definition's own files.
    #[error(transparent)]
    Definition(#[from] DefinitionError),
    /// Reading packages or own files.
    #[error(transparent)]
    Ingest(#[from] IngestError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl RootfsError {
    /// Says where a definition says what it is about.
    pub(super) fn at(self, key: Option<KeyLine>) -> Self {
        match key {
            Some(key) => Self::Located(Box::new(Located::new(key, self))),
            None => self,
        }
    }
}

fn through(link: Option<&(String, TreePath)>) -> String {
    link.map_or_else(|| "not a directory".to_owned(), |(target, _)| format!("a link to {target}"))
}

fn foreign(matter: Matter, may: &[(String, bool)]) -> String {
    let plural = matter.plural();
    let names: Vec<&str> = may.iter().map(|(name, _)| name.as_str()).collect();
    match names.as_slice() {
        [] => format!("no package in this image may ship {plural}"),
        [one] => format!("only the package {one} may ship {plural}"),
        many => format!("only the packages {} may ship {plural}", many.join(", ")),
    }
}

impl Diagnose for RootfsError {
    fn kind(&self) -> Kind {
        match self {
            Self::Conflict { .. }
            | Self::Foreign { .. }
            | Self::Replaced { .. }
            | Self::Through { .. }
            | Self::Entries(_)
            | Self::Owner(_)
            | Self::OwnPath(..)
            | Self::NoDirectory(_) => Kind::Input,
            Self::Gone(_) => Kind::Gone,
            Self::Located(error) => error.error().kind(),
            Self::Definition(error) => error.kind(),
            Self::Ingest(error) => error.kind(),
            Self::Store(error) => error.kind(),
        }
    }

    fn hint(&self) -> Option<Hint> {
        let text = match self {
            Self::Entries(_) => {
                "leave out what the image does not need, such as exclude = [\"/usr/share/icons/**\"]".into()
            }
            // What a fix-up makes is nobody's but its own: who wants another file does without the fix-up.
            Self::Conflict { first, second, .. }
                if is_own(first) != is_own(second) && fixup(first, second).is_some() =>
            {
                let fixup = fixup(first, second)?;
                format!("to keep your own file, skip the fix-up: skip = [{}]", quoted(fixup))
            }
            Self::Conflict { path, .. } => {
                let path = quoted(&pattern(path)?);
                format!("to leave out the file of the packages, add to the definition: overrides = [{path}]")
            }
            Self::Foreign { path, package, matter, may, .. } => left_out(path, package, *matter, may)?,
            Self::Replaced { path, package, .. } => {
                let text = quoted(&format!("{package}: {}", pattern(path)?));
                format!("if this is intended, add to the definition: overrides = [{text}]")
            }
            Self::Gone(_) => "dlstore store verify --full".into(),
            Self::Located(error) => return error.error().hint(),
            Self::Definition(error) => return error.hint(),
            Self::Ingest(error) => return error.hint(),
            Self::Store(error) => return error.hint(),
            Self::Through { origin, link: Some((_, instead)), .. } if is_own(origin) => {
                format!("use the path {}", quoted(&exact(instead)?))
            }
            Self::Through { .. } | Self::Owner(_) | Self::OwnPath(..) | Self::NoDirectory(_) => return None,
        };
        Some(Hint::new(text))
    }
}

fn is_own(origin: &str) -> bool {
    origin.starts_with("definition:")
}

/// Gives the fix-up among two origins.
fn fixup<'o>(first: &'o str, second: &'o str) -> Option<&'o str> {
    first.strip_prefix("fixup:").or_else(|| second.strip_prefix("fixup:"))
}

/// What helps against a path that others may ship only: leaving it out, or naming the package.
fn left_out(path: &TreePath, package: &str, matter: Matter, may: &[(String, bool)]) -> Option<String> {
    let mut text = format!("to leave it out: overrides = [{}]", quoted(&pattern(path)?));
    match matter {
        Matter::Certificates => {
            let here = may.iter().filter(|(_, is_here)| *is_here).map(|(name, _)| name.as_str());
            let names: Vec<String> = here.chain([package]).map(quoted).collect();
            let names = names.join(", ");
            let _ = write!(text, "; to trust its certificates: certificates-from = [{names}]");
        }
        Matter::Accounts if may.is_empty() => {
            let _ = write!(text, "; to use its accounts: accounts-from = {}", quoted(package));
        }
        _ => {}
    }
    Some(text)
}
