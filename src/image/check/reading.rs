//! The libraries of what an image starts: the image's user may read them.
//!
//! A loader opens them with the rights of that user (`ld.so(8)`), and where it may not, it looks further. So a library is
//! lacking that is there and to which no way leads the user. What nobody finds at all is missing, which is said for every
//! file of an image ([`super`]). The loader itself is opened by the kernel, which wants the right to execute it and no more.

use std::collections::HashMap;
use std::ops::ControlFlow;

use super::way::{self, READ, Refused, User, may};
use crate::linker::libraries::Libraries;
use crate::linker::loading::{Answer, Candidate, Loading, Spent};
use crate::rootfs::View;
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
///
/// # Errors
/// When a loader would take too long to say that.
pub(super) fn unread(
    view: &View<'_>,
    libraries: &Libraries<'_>,
    user: User,
    program: &TreePath,
) -> Result<Option<Unread>, Spent> {
    if user.0 == 0 {
        return Ok(None);
    }
    // Ways to directories as the loader spells them, and why the user may not go them.
    let mut closed: HashMap<Vec<u8>, Option<Refused>> = HashMap::new();
    let may_open = |candidate: &Candidate<'_>| {
        let Some(way) = candidate.way else { return readable(view, user, candidate.place) };
        let closed = match closed.get(&way.text) {
            Some(known) => *known,
            None => *closed.entry(way.text.clone()).or_insert_with(|| way::go(view, user, &way.text).err()),
        };
        // Behind an open door nothing depends on the way: whoever went it has passed all that is above the directory.
        let directory = way.directory.as_ref().map_or(b"".as_slice(), |directory| directory.as_bytes());
        match closed {
            Some(why) => Err(why),
            None => readable(view, user, &[directory, b"/", candidate.name].concat()),
        }
    };
    let mut found = None;
    Loading::new(libraries).program(program, may_open, |by, answers| {
        for (name, answer) in answers {
            if let Answer::Refused(place, why) = answer {
                found = Some(Unread { by: by.clone(), name: name.to_vec(), place, why });
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    })?;
    Ok(found)
}

/// Checks that the user may read the file that a path leads to; else says what is wrong with it.
fn readable(view: &View<'_>, user: User, place: &[u8]) -> Result<(), Refused> {
    let file = way::go(view, user, place)?.ok_or(Refused::Directory)?;
    let entry = view.entry(&file).ok_or(Refused::Directory)?;
    if may(user, entry.meta, READ) { Ok(()) } else { Err(Refused::Unread) }
}
