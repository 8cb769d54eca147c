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

/// Why a way ends before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lost {
    /// Nothing stands there, or the links go round in a circle.
    Nowhere,
    /// What should be a directory is none.
    NoDirectory,
    /// The user may not search a directory on the way.
    Closed,
}

/// Goes from the root along a path, and says where it leads; `None` is the root. `may_search` is asked of every directory
/// that is passed, but for those that nobody lists.
pub(super) fn go(view: &View<'_>, path: &[u8], may_search: impl Fn(Meta) -> bool) -> Result<Option<TreePath>, Lost> {
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
        if meta.is_some_and(|meta| !may_search(meta)) {
            return Err(Lost::Closed);
        }
        let joined = here.as_ref().map_or_else(|| name.clone(), |here| [here.as_bytes(), b"/", &name].concat());
        let at = TreePath::new(&joined).map_err(|_| Lost::Nowhere)?;
        match view.entry(&at).map(|entry| &entry.node) {
            Some(Node::Symlink { target }) => {
                links += 1;
                if links > MOST_LINKS {
                    return Err(Lost::Nowhere);
                }
                if target.starts_with(b"/") {
                    here = None;
                }
                rest.extend(target.split(|byte| *byte == b'/').rev().map(<[u8]>::to_vec));
            }
            Some(Node::Directory) => here = Some(at),
            Some(_) if rest.is_empty() => return Ok(Some(at)),
            Some(_) => return Err(Lost::NoDirectory),
            None if view.leads(&at) => here = Some(at),
            None => return Err(Lost::Nowhere),
        }
    }
    Ok(here)
}
