//! The way to a file, as a process with the rights of a user goes it: component by component, through links.
//!
//! A kernel asks for the right to search at every directory that it passes, also of those that a link leads away from;
//! `..` leaves the directory where the walk stands, which has to be there; and what a slash follows is a directory
//! (`path_resolution(7)`).

use crate::rootfs::View;
use dlstore_model::path::TreePath;
use dlstore_model::tree::{Meta, Node};

/// Most links on one way, as in Linux (`MAXSYMLINKS`, `include/linux/namei.h`).
const MOST_LINKS: usize = 40;

/// A user and a group, by number.
pub(super) type User = (u32, u32);

/// Whom no mode keeps from a file.
pub(super) const ROOT: User = (0, 0);
/// Write, and search a directory.
pub(super) const WRITE_AND_SEARCH: u16 = 0o3;
/// Execute a file, or search a directory.
pub(super) const EXECUTE: u16 = 0o1;
/// Read a file, or list a directory.
pub(super) const READ: u16 = 0o4;

/// Why a file is not used: the rest of a sentence that begins with its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    /// Nothing stands there, or the links go round in a circle.
    #[error("is not in the image")]
    Nowhere,
    /// What should be a directory is none.
    #[error("has a component that is not a directory")]
    NoDirectory,
    /// The user may not search a directory on the way.
    #[error("is in a directory that the image's user cannot enter")]
    Closed,
    /// A file is wanted.
    #[error("is a directory")]
    Directory,
    /// A device or a pipe.
    #[error("is not a file")]
    NoFile,
    /// The user may not execute it.
    #[error("cannot be executed by the image's user")]
    Mode,
    /// The user may not read it.
    #[error("cannot be read by the image's user")]
    Unread,
}

/// Says whether a user with a group may do all of `bits`; root may.
pub(super) fn may((uid, gid): User, meta: Meta, bits: u16) -> bool {
    let shift = match () {
        () if uid == 0 => return true,
        () if meta.uid == uid => 6,
        () if meta.gid == gid => 3,
        () => 0,
    };
    (meta.mode >> shift) & bits == bits
}

/// Goes from the root along a path as a user, and says where it leads; `None` is the root. Directories that nobody lists
/// may be searched by everybody.
pub(super) fn go(view: &View<'_>, user: User, path: &[u8]) -> Result<Option<TreePath>, Refused> {
    let mut rest: Vec<Vec<u8>> = path.split(|byte| *byte == b'/').rev().map(<[u8]>::to_vec).collect();
    let (mut here, mut links) = (None::<TreePath>, 0);
    while let Some(name) = rest.pop() {
        match name.as_slice() {
            b"" | b"." => continue,
            b".." => {
                here = here.and_then(|here| here.parent());
                continue;
            }
            _ => {}
        }
        let meta = here.as_ref().and_then(|here| view.entry(here)).map(|entry| entry.meta);
        if meta.is_some_and(|meta| !may(user, meta, EXECUTE)) {
            return Err(Refused::Closed);
        }
        let joined = here.as_ref().map_or_else(|| name.clone(), |here| [here.as_bytes(), b"/", &name].concat());
        let at = TreePath::new(&joined).map_err(|_| Refused::Nowhere)?;
        match view.entry(&at).map(|entry| &entry.node) {
            Some(Node::Symlink { target }) => {
                links += 1;
                if links > MOST_LINKS {
                    return Err(Refused::Nowhere);
                }
                if target.starts_with(b"/") {
                    here = None;
                }
                rest.extend(target.split(|byte| *byte == b'/').rev().map(<[u8]>::to_vec));
            }
            Some(Node::Directory) => here = Some(at),
            Some(_) if rest.is_empty() => return Ok(Some(at)),
            Some(_) => return Err(Refused::NoDirectory),
            // No link is on the way to it.
            None if view.is_implied(&at) => here = Some(at),
            None => return Err(Refused::Nowhere),
        }
    }
    Ok(here)
}
