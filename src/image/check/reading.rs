//! The libraries of what an image starts: the image's user may read them.
//!
//! A loader opens them with the rights of that user (`ld.so(8)`), and where it may not, it looks further. So a library is
//! lacking that is there and to which no way leads the user. What nobody finds at all is missing, which is said for every
//! file of an image ([`super`]). The loader itself is opened by the kernel, which wants the right to execute it and no more.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};

use super::way::{self, READ, Refused, User, may};
use crate::linker::libraries::{Libraries, Search};
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
        let Ok(search) = libraries.search(&file, elf) else { continue };
        let mut doors = HashMap::new();
        // A name is looked for once, however often it is named.
        for name in search.names().filter(|name| loaded.insert(name)) {
            let found = if name.contains(&b'/') {
                search.path(name).map(|place| readable(view, user, &place).map_err(|why| (place, why)))
            } else {
                in_directories(view, user, &search, name, &mut doors)
            };
            match found {
                Some(Ok(library)) => next.extend(view.elf(&library).map(|elf| (library, elf))),
                Some(Err((place, why))) => return Some(Unread { by: file, name: name.to_vec(), place, why }),
                None => {}
            }
        }
    }
    None
}

/// A way to a directory as the loader spells it, and whether the user may go it.
struct Door<'s> {
    way: &'s [u8],
    closed: Option<Refused>,
}

/// Finds the first library of a name that the user may read; else the first that there is, and why not that. `None` when
/// there is none.
fn in_directories<'s>(
    view: &View<'_>,
    user: User,
    search: &'s Search<'_, '_>,
    name: &[u8],
    doors: &mut HashMap<&'s TreePath, Door<'s>>,
) -> Option<Result<TreePath, (Vec<u8>, Refused)>> {
    let mut refused = None;
    for (directory, ways) in search.directories(name) {
        let door = doors.entry(directory).or_insert_with(|| door(view, user, ways));
        // Behind an open door nothing depends on the way: whoever went it has passed all that is above the directory.
        let read = match door.closed {
            Some(why) => Err(why),
            None => readable(view, user, &[directory.as_bytes(), b"/", name].concat()),
        };
        match read {
            Ok(library) => return Some(Ok(library)),
            Err(why) => {
                refused.get_or_insert_with(|| ([door.way, b"/", name].concat(), why));
            }
        }
    }
    refused.map(Err)
}

/// Finds a way to a directory that the user may go; else the first, and why not.
fn door<'s>(view: &View<'_>, user: User, ways: &'s BTreeSet<Vec<u8>>) -> Door<'s> {
    let mut first = None;
    for way in ways {
        let closed = way::go(view, user, way).err();
        if closed.is_none() {
            return Door { way, closed };
        }
        first.get_or_insert(Door { way, closed });
    }
    // There is always one.
    first.unwrap_or(Door { way: b"", closed: Some(Refused::Nowhere) })
}

/// Finds the file that a path leads to, which the user may read; else says what is wrong with it.
fn readable(view: &View<'_>, user: User, place: &[u8]) -> Result<TreePath, Refused> {
    let file = way::go(view, user, place)?.ok_or(Refused::Directory)?;
    let entry = view.entry(&file).ok_or(Refused::Directory)?;
    if may(user, entry.meta, READ) { Ok(file) } else { Err(Refused::Unread) }
}
