//! Where the loaders of a rootfs look by themselves and by their configuration.
//!
//! glibc's takes what `ld.so.conf` lists, through its cache, and then built-in directories, Debian's multiarch ones
//! first. musl's takes its path file where there is one, else its own (`ldso/dynlink.c`).

use super::configuration::{self, TooMuch};
use crate::rootfs::View;
use crate::rootfs::generated::fixed;
use dlstore_model::arch::Arch;
use dlstore_model::path::TreePath;

/// Says whether glibc's loader has a configuration.
pub(super) fn has_configuration(view: &View<'_>) -> bool {
    view.rootfs().get(&fixed("etc/ld.so.conf")).is_some()
}

/// Gives the directories where glibc's loader looks through its cache and by itself.
///
/// # Errors
/// When the loader's configuration asks for more than is looked at.
pub(super) fn glibc(arch: Arch, view: &View<'_>) -> Result<Vec<TreePath>, TooMuch> {
    let configured = if has_configuration(view) { configuration::directories(arch, view)? } else { Vec::new() };
    let path = |directory: &Vec<u8>| TreePath::new(directory.strip_prefix(b"/").unwrap_or(directory)).ok();
    let mut found: Vec<TreePath> = configured.iter().filter_map(path).collect();
    let triplet = arch.triplet();
    let built_in = [&format!("lib/{triplet}"), &format!("usr/lib/{triplet}"), "lib", "usr/lib", "lib64", "usr/lib64"];
    found.extend(built_in.map(fixed));
    Ok(found)
}

/// Gives the directories where musl's loader looks: the path file's, else its own.
pub(super) fn musl(arch: Arch, view: &View<'_>) -> Vec<TreePath> {
    let triplet = arch.musl_triplet();
    let path_file = format!("etc/ld-musl-{}.path", arch.musl_debian());
    let mut directories = Vec::new();
    if view.rootfs().get(&fixed(&path_file)).is_some() {
        directories.extend([format!("lib/{triplet}"), format!("usr/lib/{triplet}")]);
    }
    directories.extend(["lib", "usr/local/lib", "usr/lib"].map(str::to_owned));
    directories.iter().map(|directory| fixed(directory)).collect()
}
