//! Symbolic links lead somewhere: a link into nothing is a program or a library that is missing.
//!
//! Those into directories that a runtime fills (`/proc`, `/dev`, `/sys`, `/run`) are left alone. The same question is
//! asked of a base: what a file that is added could be what something was looking for.

use crate::rootfs::{Rootfs, View};
use dlstore_model::path::TreePath;
use dlstore_model::tree::Node;

/// Says whether a file which is added could be what something was looking for: a link that leads nowhere, or a library
/// whose name does not say that it is one.
pub(crate) fn has_open_ends(rootfs: &Rootfs) -> bool {
    let is_plain = |name: &[u8]| !name.contains(&b'/') && name.windows(3).any(|part| part == b".so");
    let view = View::new(rootfs);
    !dangling(&view).is_empty()
        || view.elf_files().values().flat_map(|elf| &elf.needed).any(|name| !is_plain(name.as_slice()))
}

/// Links that lead nowhere, but for those into directories that a runtime fills.
pub(super) fn dangling<'r>(view: &View<'r>) -> Vec<(&'r TreePath, &'r [u8])> {
    let mut found = Vec::new();
    for (path, slot) in view.rootfs().iter() {
        let Node::Symlink { target } = &slot.entry.node else { continue };
        let leads = path.resolve_target(target);
        let to_runtime = leads.as_ref().is_some_and(|to| {
            [b"proc".as_slice(), b"dev", b"run", b"sys"].contains(&to.components().next().unwrap_or_default())
        });
        let to_root = leads.is_none();
        if !to_runtime && !to_root && !view.leads(path) {
            found.push((path, target.as_slice()));
        }
    }
    found
}
