//! Which directories the environment and a file itself have a loader look through, before those of its configuration.
//!
//! A run path is spelled from the directory of its file (`$ORIGIN`), as the loader found that. `LD_LIBRARY_PATH` of an image
//! is for every file that its loaders load: glibc's takes `:` and `;` between directories, an empty one is the working
//! directory, and `$ORIGIN` is where the program lies; musl's takes `:` and newlines, passes over empty ones, and knows no
//! `$ORIGIN` (`fillin_rpath`, `elf/dl-load.c`; `path_open`, `ldso/dynlink.c`). A program with more rights than its user's has
//! none (`ld.so(8)`).
//!
//! How many directories that is, packages and definitions decide: so it is bounded, and what is more is an error.

use std::collections::HashSet;

use super::LinkerError;
use crate::rootfs::View;
use crate::rootfs::view::Found;
use dlstore_formats::elf::Elf;
use dlstore_model::config::{Config, LIBRARY_PATH};
use dlstore_model::path::{MAX_PATH, TreePath};
use dlstore_model::tree::Entry;

/// Most run-path entries of one file, each counted once. Loaders have no limit and look through all of
/// them for every library; programs that are built from stores of packages have some dozens.
const MOST: usize = 256;

/// A directory that a loader looks through.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Way {
    /// How the loader spells it, without what says nothing: empty is the root.
    pub(crate) text: Vec<u8>,
    /// The directory, links followed; `None` is the root.
    pub(crate) directory: Option<TreePath>,
}

impl Way {
    /// Goes one; `None` when no directory is there. Not bounded by what was looked up so far: each is walked once for a file,
    /// as far as its text goes.
    pub(super) fn go(view: &View<'_>, text: Vec<u8>) -> Option<Self> {
        let Some(Found::Directory(directory)) = view.find(&text) else { return None };
        Some(Self { text, directory })
    }

    /// Gives the path of a name in it, as the loader spells that.
    pub(crate) fn place(&self, name: &[u8]) -> Vec<u8> {
        [&self.text, b"/".as_slice(), name].concat()
    }
}

/// Spells the directory of a file.
pub(super) fn origin(path: &TreePath) -> Vec<u8> {
    path.parent().map_or_else(Vec::new, |parent| [b"/", parent.as_bytes()].concat())
}

/// Gives the directories of a file's own run path, in order.
///
/// # Errors
/// When there are more entries than are looked through.
pub(super) fn of_file(view: &View<'_>, path: &TreePath, origin: &[u8], elf: &Elf) -> Result<Vec<Way>, LinkerError> {
    let entries = distinct(elf.search.iter().map(Vec::as_slice));
    if entries.len() > MOST {
        return Err(LinkerError::RunPath { path: path.clone(), count: entries.len(), most: MOST });
    }
    let spelled = entries.into_iter().filter_map(|entry| match from_origin(entry) {
        Some(rest) => Some(clean(&[origin, rest].concat())),
        None => entry.starts_with(b"/").then(|| clean(entry)),
    });
    Ok(distinct(spelled).into_iter().filter_map(|text| Way::go(view, text)).collect())
}

/// A part of `LD_LIBRARY_PATH`.
#[derive(Debug)]
enum Part {
    Fixed(Way),
    /// What follows `$ORIGIN`.
    Origin(Vec<u8>),
}

/// What the environment of an image says of libraries.
#[derive(Debug)]
pub(super) struct Environment {
    glibc: Vec<Part>,
    musl: Vec<Part>,
}

impl Environment {
    /// Reads it.
    ///
    /// # Errors
    /// When it has more directories than are looked through.
    pub(super) fn of(config: &Config, view: &View<'_>) -> Result<Self, LinkerError> {
        let text = config.env.get(LIBRARY_PATH).map_or("", String::as_str).as_bytes();
        let workdir = config.workdir.as_deref().unwrap_or("/").as_bytes();
        let parts = |separators: [u8; 2]| {
            let parts = distinct(text.split(|byte| separators.contains(byte)));
            let count = parts.len();
            if count > MOST { Err(LinkerError::LibraryPath { count, most: MOST }) } else { Ok(parts) }
        };
        // No path is longer, so what is longer leads nowhere.
        let fixed = |part: &[u8]| {
            let text = if part.starts_with(b"/") { part.to_vec() } else { [workdir, b"/", part].concat() };
            Way::go(view, clean(&text)).filter(|_| part.len() < MAX_PATH)
        };
        let of_glibc = |part: &[u8]| match from_origin(part) {
            Some(rest) => Some(Part::Origin(rest.to_vec())).filter(|_| rest.len() < MAX_PATH),
            None => fixed(part).map(Part::Fixed),
        };
        let is_named = |part: &&[u8]| !part.is_empty();
        Ok(Self {
            // An empty variable is none.
            glibc: if text.is_empty() { Vec::new() } else { parts(*b":;")?.into_iter().filter_map(of_glibc).collect() },
            musl: parts(*b":\n")?.into_iter().filter(is_named).filter_map(fixed).map(Part::Fixed).collect(),
        })
    }

    /// Gives the directories that it has the loader of a program look through, for whatever that loads; where the program
    /// lies is known when it is given.
    pub(super) fn ways(&self, view: &View<'_>, is_musl: bool, program: Option<&TreePath>) -> Vec<Way> {
        let own = program.map(origin);
        let parts = if is_musl { &self.musl } else { &self.glibc };
        let ways = parts.iter().filter_map(|part| match part {
            Part::Fixed(way) => Some(way.clone()),
            Part::Origin(rest) => Way::go(view, clean(&[own.as_deref()?, rest].concat())),
        });
        ways.collect()
    }
}

/// Says whether a program runs with more rights than its user's, so that loaders do not read the variable.
pub(super) fn is_privileged(entry: &Entry) -> bool {
    entry.meta.mode & 0o6000 != 0 || entry.xattrs.contains_key(b"security.capability".as_slice())
}

/// Takes `$ORIGIN` off a directory that begins with it.
fn from_origin(directory: &[u8]) -> Option<&[u8]> {
    [b"$ORIGIN".as_slice(), b"${ORIGIN}"].into_iter().find_map(|variable| directory.strip_prefix(variable))
}

/// Leaves out of a path what leads nowhere else (`//`, `/./`), so that one way has one text. No link is followed, and no `..`.
fn clean(text: &[u8]) -> Vec<u8> {
    let parts = text.split(|byte| *byte == b'/').filter(|part| !matches!(*part, b"" | b"."));
    parts.flat_map(|part| [b"/", part]).flatten().copied().collect()
}

/// Takes each of some texts once, in order.
fn distinct<T: std::hash::Hash + Eq + Clone>(texts: impl Iterator<Item = T>) -> Vec<T> {
    let mut known = HashSet::new();
    texts.filter(|text| known.insert(text.clone())).collect()
}
