//! The fix-up `ld-so-cache`: `/etc/ld.so.cache` as glibc's `ldconfig` 2.41 writes it, without running it.
//!
//! The loader finds libraries in `/usr/local/lib` only through this file, and some programs read it. A
//! foreign `ldconfig -r` exits with 0 and writes an empty cache, so it is written here, for every
//! architecture, in four steps:
//!
//! ```text
//! folders   ld.so.conf and its includes, then the built-in ones          conf.rs
//! scan      which files are libraries, and under which name each goes    scan.rs
//! write     sorted entries, shared strings, extensions                   write.rs
//! read      the loader's own look-up, to prove what was written          read.rs
//! ```
//!
//! The promise is bytes: equal to those of Debian's `ldconfig -X` 2.41 on the same tree. Known
//! differences, neither of which the packages of a distribution meet: a library below `glibc-hwcaps`
//! that carries an x86 ISA level in its GNU property would have that level in its entry (the loader
//! looks at the folder's name all the same), and of two names in one folder that compare equal
//! (`lib1.so`, `lib01.so`) `ldconfig` takes the order of `readdir`, this the bytewise one.
//!
//! Without `-X`, `ldconfig` also makes a link from a library's soname to its file where it is missing:
//! without that link an entry of the cache points nowhere. These links are generated too, for names of libraries and
//! loaders (`lib*.so*`, `ld-*.so*`) in the loader's own directories: a soname is what its package says it is, and must
//! not put a link anywhere else.
//!
//! Reference: glibc 2.41, `elf/ldconfig.c`, `elf/cache.c`, `sysdeps/generic/dl-cache.h`.

mod conf;
mod machine;
pub mod read;
mod scan;
mod view;
mod write;

use super::{Generated, fixed, plain};
use dlstore_formats::elf::Elf;
use dlstore_model::arch::Arch;
use dlstore_model::path::TreePath;
use dlstore_model::tree::Tree;

/// Version of what this fix-up makes.
pub const VERSION: u32 = 1;

/// The finished root, as far as `ldconfig` would look at it.
#[derive(Clone, Copy)]
pub struct Root<'a> {
    /// Every entry of the final tree.
    pub tree: &'a Tree,
    /// What the regular file at a path is as an ELF file; `None` when it is none.
    pub elf: &'a dyn Fn(&TreePath) -> Option<&'a Elf>,
    /// The bytes of the regular file at a path. Asked for `etc/ld.so.conf` and what it includes only.
    pub text: &'a dyn Fn(&TreePath) -> Option<Vec<u8>>,
}

/// Tells what of a root is more than is looked at: it is no list of libraries, but a way to keep others
/// busy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TooMuch {
    /// Folders of the configuration.
    #[error("/etc/ld.so.conf and what it includes name more than {0} directories")]
    Folders(usize),
    /// Files of the configuration.
    #[error("/etc/ld.so.conf includes more than {0} files")]
    Files(usize),
    /// Includes within includes.
    #[error("the includes of /etc/ld.so.conf are nested more than {0} deep")]
    Depth(usize),
    /// Steps of all look-ups.
    #[error("/etc/ld.so.conf, what it includes and the directories that they name take too many look-ups")]
    Steps,
}

/// Gives the text by which Debian's `ldconfig` of this version of libc-bin names itself in the cache:
/// `ldconfig (Debian GLIBC 2.41-12) stable release version 2.41`.
#[must_use]
pub fn debian_generator(libc_bin: &str) -> String {
    let upstream = libc_bin.split('-').next().unwrap_or(libc_bin);
    format!("ldconfig (Debian GLIBC {libc_bin}) stable release version {upstream}")
}

/// Gives the folders that the cache is made of, as absolute paths: those of `ld.so.conf` and what it
/// includes, then the built-in ones.
///
/// # Errors
/// When the configuration asks for more than is looked at.
pub fn folders(arch: Arch, root: &Root<'_>) -> Result<Vec<Vec<u8>>, TooMuch> {
    conf::folders(arch, &view::View::new(root))
}

/// Makes `/etc/ld.so.cache`, and the links to libraries that are missing.
///
/// `generator` is the text by which the writer names itself, see [`debian_generator`].
///
/// # Errors
/// When the configuration or the folders ask for more than is looked at.
pub fn ld_so_cache(arch: Arch, root: &Root<'_>, generator: &str, date: u64) -> Result<Generated, TooMuch> {
    let view = view::View::new(root);
    let found = scan::scan(arch, &view, &conf::folders(arch, &view)?)?;
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
