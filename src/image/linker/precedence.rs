//! Whom a loader would take for the libc: a library of another package that it finds first.
//!
//! A path of libc or loader is not replaced unasked (`rootfs::union`). But a loader looks for names, through its
//! directories and their `glibc-hwcaps` in order, and `ldconfig` takes a file by what it calls itself: a second
//! `libc.so.6` in any of them would be what all programs run with. So what libc's package calls its libraries is its own
//! there, as a file's name and as a `SONAME`. Only that: `libcrypt.so.1` is of another package, and may be.
//!
//! A definition's own files are its own word, and so is `overrides = ["LIBC: PATH"]` with the path of libc's file. A
//! library for another machine is passed over by the loader, and here.

use std::collections::{HashMap, HashSet};

use super::{LinkerError, directories};
use crate::rootfs::View;
use crate::rootfs::part::PackageView;
use dlstore_formats::elf::Elf;
use dlstore_formats::package::Format;
use dlstore_model::arch::Arch;
use dlstore_model::path::TreePath;

/// A loader, by the name of its libc's package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Loader {
    Glibc,
    Musl,
}

/// Says whose libc a package is.
fn loader_of(package: &PackageView) -> Option<Loader> {
    let metadata = &package.control.metadata;
    match (metadata.format, &*metadata.name) {
        (Format::Deb, "libc6") | (Format::Apk, "glibc" | "ld-linux") => Some(Loader::Glibc),
        (Format::Deb | Format::Apk, "musl") => Some(Loader::Musl),
        _ => None,
    }
}

/// A library of a libc.
struct Own<'v> {
    path: &'v TreePath,
    elf: &'v Elf,
    /// The part that has it.
    owner: usize,
}

/// A library of another package that a loader may find before its libc's.
pub(crate) struct Taken {
    /// The library, and who brought it.
    pub(crate) by: (TreePath, String),
    /// The libc's own, and who brought that.
    pub(crate) own: (TreePath, String),
    /// The name of libc's package.
    pub(crate) package: String,
}

/// Finds what a loader of a root would take for its libc and is another package's, where the definition does not say so.
///
/// # Errors
/// When the loader's configuration asks for more than is looked at.
pub(crate) fn taken(arch: Arch, view: &View<'_>) -> Result<Option<Taken>, LinkerError> {
    let rootfs = view.rootfs();
    let package_at = |path: &TreePath| {
        let slot = rootfs.get(path)?;
        Some((slot.owner, rootfs.parts()[slot.owner].package.as_ref()?))
    };
    let mut own: HashMap<(Loader, &[u8]), Own<'_>> = HashMap::new();
    for (path, elf) in view.elf_files() {
        let Some((owner, package)) = package_at(path) else { continue };
        let (Some(loader), Some(soname)) = (loader_of(package), &elf.soname) else { continue };
        own.entry((loader, soname)).or_insert(Own { path, elf, owner });
    }
    if own.is_empty() {
        return Ok(None);
    }
    let searched = [
        (Loader::Glibc, searched(view, &directories::glibc(arch, view)?)),
        (Loader::Musl, searched(view, &directories::musl(arch, view))),
    ];
    for (path, slot) in rootfs.iter() {
        let part = &rootfs.parts()[slot.owner];
        let Some(package) = part.package.as_ref().filter(|_| !slot.entry.is_directory()) else { continue };
        let Some(parent) = path.parent() else { continue };
        for (loader, _) in searched.iter().filter(|(_, directories)| directories.contains(&parent)) {
            if loader_of(package) == Some(*loader) {
                continue;
            }
            // A link counts as what it leads to, and one to libc's own is none of another's.
            let Some(file) = view.follow(path) else { continue };
            let of = package_at(&file).map(|(_, package)| loader_of(package));
            if of.is_none_or(|of| of == Some(*loader)) {
                continue;
            }
            let elf = view.elf(&file);
            let names = [Some(path.name()), elf.and_then(|elf| elf.soname.as_deref())];
            let taken = names.into_iter().flatten().find_map(|name| own.get(&(*loader, name)));
            let Some(taken) = taken else { continue };
            if elf.is_some_and(|elf| (elf.machine, elf.is_64) != (taken.elf.machine, taken.elf.is_64)) {
                continue;
            }
            let loser = &rootfs.parts()[taken.owner];
            let Some(libc) = &loser.package else { continue };
            let libc = &libc.control.metadata.name;
            if !rootfs.may_lose(libc, taken.path) {
                return Ok(Some(Taken {
                    by: (path.clone(), part.whose(path)),
                    own: (taken.path.clone(), loser.whose(taken.path)),
                    package: libc.to_string(),
                }));
            }
        }
    }
    Ok(None)
}

/// Follows the directories that a loader searches, and those below their `glibc-hwcaps`.
fn searched(view: &View<'_>, directories: &[TreePath]) -> HashSet<TreePath> {
    let mut found: HashSet<TreePath> = HashSet::new();
    for directory in directories.iter().filter_map(|directory| view.follow(directory)) {
        let hwcaps = directory.join(b"glibc-hwcaps").ok().and_then(|hwcaps| view.follow(&hwcaps));
        if let Some(hwcaps) = hwcaps {
            let levels = view.names(Some(&hwcaps));
            let levels = levels.iter().filter_map(|level| hwcaps.join(level).ok());
            found.extend(levels.filter_map(|level| view.follow(&level)));
        }
        found.insert(directory);
    }
    found
}
