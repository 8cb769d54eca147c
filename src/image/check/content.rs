//! What a rootfs may hold: nothing that gives rights to whoever runs it, unless the definition lists its path.
//!
//! Setuid and setgid files, file capabilities, directories that everybody may write without the sticky bit, and
//! devices.

use std::collections::HashSet;

use super::accepted;
use super::note::Note;
use super::problem::{Privileged, Problem, Problems};
use crate::definition::Level;
use crate::rootfs::Rootfs;
use dlstore_model::path::TreePath;
use dlstore_model::shown::Shown;
use dlstore_model::tree::Node;

/// Checks what a root may hold: what is privileged and not listed is a problem. Gives notes on what was allowed.
pub(super) fn check(rootfs: &Rootfs, levels: &[Level], problems: &mut Problems) -> Vec<Note> {
    let allowed =
        levels.iter().flat_map(|level| &level.privileged).filter_map(|text| TreePath::from_absolute(text).ok());
    let allowed: HashSet<TreePath> = allowed.collect();
    let mut notes = Shown::default();
    for (path, slot) in rootfs.iter() {
        let meta = slot.entry.meta;
        let what = match &slot.entry.node {
            Node::CharDevice { .. } | Node::BlockDevice { .. } | Node::Fifo => "a device or pipe",
            Node::Directory if meta.mode & 0o1002 == 0o002 => "a world-writable directory without the sticky bit",
            Node::File { .. } | Node::HardLink { .. } if meta.mode & 0o4000 != 0 => "setuid",
            Node::File { .. } | Node::HardLink { .. } if meta.mode & 0o2000 != 0 => "setgid",
            _ if slot.entry.xattrs.contains_key(b"security.capability".as_slice()) => "a file with capabilities",
            _ => continue,
        };
        let part = &rootfs.parts()[slot.owner];
        if !allowed.contains(path) {
            problems.push(|| Problem::Privileged(Privileged { path: path.clone(), origin: part.whose(path), what }));
            continue;
        }
        let origin = part.origin_of(path);
        notes.push(|| format!("{path} of {origin} is {what} (allowed by the definition)"));
    }
    accepted(notes, "are privileged (allowed by the definition)")
}
