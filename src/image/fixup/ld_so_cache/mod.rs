//! The fix-up `ld-so-cache`: `/etc/ld.so.cache` as glibc's `ldconfig` 2.41 writes it, without running it.
//!
//! The loader finds libraries in `/usr/local/lib` only through this file, and some programs read it. A
//! foreign `ldconfig -r` exits with 0 and writes an empty cache, so it is written here, for every
//! architecture, in four steps:
//!
//! ```text
//! directories   ld.so.conf and its includes, then the built-in ones          linker::configuration
//! scan      which files are libraries, and under which name each goes    scan.rs
//! write     sorted entries, shared strings, extensions                   write.rs
//! read      the loader's own look-up, to prove what was written          read.rs
//! ```
//!
//! The promise is bytes: equal to those of Debian's `ldconfig -X` 2.41 on the same tree. Known
//! differences, neither of which the packages of a distribution meet: a library below `glibc-hwcaps`
//! that carries an x86 ISA level in its GNU property would have that level in its entry (the loader
//! looks at the directory's name all the same), and of two names in one directory that compare equal
//! (`lib1.so`, `lib01.so`) `ldconfig` takes the order of `readdir`, this the bytewise one.
//!
//! Without `-X`, `ldconfig` also makes a link from a library's soname to its file where it is missing:
//! without that link an entry of the cache points nowhere. These links are generated too, for names of libraries and
//! loaders (`lib*.so*`, `ld-*.so*`) in the loader's own directories: a soname is what its package says it is, and must
//! not put a link anywhere else.
//!
//! Reference: glibc 2.41, `elf/ldconfig.c`, `elf/cache.c`, `sysdeps/generic/dl-cache.h`.

mod machine;
pub mod read;
mod scan;
mod write;

use super::inputs::Inputs;
use crate::definition::Fixup;
use crate::linker::configuration::{self, TooMuch};
use crate::rootfs::generated::{fixed, plain};
use crate::rootfs::{Generated, View};
use dlstore_model::arch::Arch;

/// Gives the text by which Debian's `ldconfig` of this version of libc-bin names itself in the cache:
/// `ldconfig (Debian GLIBC 2.41-12) stable release version 2.41`.
fn debian_generator(libc_bin: &str) -> String {
    let upstream = libc_bin.split('-').next().unwrap_or(libc_bin);
    format!("ldconfig (Debian GLIBC {libc_bin}) stable release version {upstream}")
}

/// Makes it where the loader has a configuration. `links` are those of usr-merge, which ldconfig would find in the root.
pub(super) fn run(inputs: &Inputs<'_>, links: Option<&Generated>) -> Result<Generated, TooMuch> {
    if !inputs.has("etc/ld.so.conf") {
        return Ok(Generated::default());
    }
    let packages = || inputs.rootfs.packages().map(|(_, _, package)| package);
    let generator = packages().find(|package| &*package.control.metadata.name == "libc-bin").map_or_else(
        || format!("dlstore {}", Fixup::LdSoCache.version()),
        |package| debian_generator(&package.control.metadata.version),
    );
    let date = packages().map(|package| package.record.date).max().unwrap_or(0);
    let view = View::beside(inputs.rootfs, links.map_or(&[], |made| &made.entries));
    ld_so_cache(inputs.arch, &view, &generator, date)
}

/// Makes `/etc/ld.so.cache`, and the links to libraries that are missing.
///
/// `generator` is the text by which the writer names itself, see [`debian_generator`].
///
/// # Errors
/// When the configuration or the directories ask for more than is looked at.
fn ld_so_cache(arch: Arch, view: &View<'_>, generator: &str, date: u64) -> Result<Generated, TooMuch> {
    let found = scan::scan(arch, view, &configuration::directories(arch, view)?)?;
    let mut generated = Generated::default();
    for (path, target, file) in &found.links {
        generated.link(path.clone(), target, date);
        generated.sources.entry(path.clone()).or_default().insert(file.clone());
    }
    let bytes = write::write(arch, &found, generator);
    let cache = fixed("etc/ld.so.cache");
    generated.file(cache.clone(), plain(date), bytes);
    generated.sources.insert(cache, found.files);
    Ok(generated)
}

#[cfg(test)]
mod peer;
#[cfg(test)]
mod tests;
