//! Where the loaders of a rootfs look by themselves and by their configuration.
//!
//! glibc's takes what `ld.so.conf` lists, through its cache, and then built-in directories, Debian's multiarch ones
//! first. musl's takes what its path file lists (of a package's, whose text is not known, what Debian's
//! lists), else its own (`ldso/dynlink.c`).

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

/// Gives the directories where musl's loader looks: the path file's, else its own. Of a path file whose text is not
/// known the directories are those of Debian's.
pub(super) fn musl(arch: Arch, view: &View<'_>) -> Vec<TreePath> {
    let names = [arch.musl_debian(), arch.musl_alpine()];
    let file = names.map(|name| fixed(&format!("etc/ld-musl-{name}.path"))).into_iter().find(|file| view.leads(file));
    let text = match file {
        Some(file) => view.text(file.as_bytes()).unwrap_or_else(|| {
            let triplet = arch.musl_triplet();
            format!("/lib/{triplet}:/usr/lib/{triplet}").into_bytes()
        }),
        None => b"/lib:/usr/local/lib:/usr/lib".to_vec(),
    };
    let words = text.split(|byte| matches!(byte, b':' | b'\n'));
    words.filter_map(|word| TreePath::new(word.strip_prefix(b"/")?).ok()).collect()
}
