//! The libraries of what an image starts: the image's user may read them.
//!
//! A loader opens them with the rights of that user (`ld.so(8)`), and where it may not, it looks further. So a library is
//! lacking that is there and to which no way leads the user. What nobody finds at all is missing, which is said for every
//! file of an image ([`super`]). The loader itself is opened by the kernel, which wants the right to execute it and no more.

use std::collections::{HashSet, VecDeque};

use super::way::{self, READ, Refused, User, may};
use crate::linker::libraries::Libraries;
use crate::rootfs::View;
use dlstore_formats::elf::Elf;
use dlstore_model::path::TreePath;

/// A library that is there, and that the user may not read.
pub(super) struct Unread {
    /// The file that needs it.
    pub(super) by: TreePath,
    /// What that calls it.
    pub(super) name: Vec<u8>,
    /// Where it is, as the loader spells that.
    pub(super) place: Vec<u8>,
    /// Why the user may not read it.
    pub(super) why: Refused,
}

/// Finds a library that is loaded with a program and that no way leads the user to.
pub(super) fn unread(
    view: &View<'_>,
    libraries: &Libraries<'_>,
    user: User,
    program: &TreePath,
    elf: &Elf,
    loader: &TreePath,
) -> Option<Unread> {
    if user.0 == 0 {
        return None;
    }
    // What has been loaded under a name is not looked for again.
    let mut loaded: HashSet<&[u8]> = HashSet::from([loader.name()]);
    loaded.extend(view.elf(loader).and_then(|loader| loader.soname.as_deref()));
    loaded.extend(elf.interpreter.as_deref().and_then(|name| name.rsplit(|byte| *byte == b'/').next()));
    let mut next = VecDeque::from([(program.clone(), elf)]);
    while let Some((file, elf)) = next.pop_front() {
        // A run path that is too long has been refused.
        for (name, places) in libraries.found(&file, elf).unwrap_or_default() {
            if !loaded.insert(name) {
                continue;
            }
            let mut refused = None;
            let found = places.into_iter().find_map(|place| match readable(view, user, &place) {
                Ok(library) => Some(library),
                Err(why) => {
                    refused.get_or_insert((place, why));
                    None
                }
            });
            match (found, refused) {
                (Some(library), _) => next.extend(view.elf(&library).map(|elf| (library, elf))),
                (None, Some((place, why))) => return Some(Unread { by: file, name: name.to_vec(), place, why }),
                (None, None) => {}
            }
        }
    }
    None
}

/// Finds the file that a path leads to, which the user may read; else says what is wrong with it.
fn readable(view: &View<'_>, user: User, place: &[u8]) -> Result<TreePath, Refused> {
    let file = way::go(view, user, place)?.ok_or(Refused::Directory)?;
    let entry = view.entry(&file).ok_or(Refused::Directory)?;
    if may(user, entry.meta, READ) { Ok(file) } else { Err(Refused::Unread) }
}
