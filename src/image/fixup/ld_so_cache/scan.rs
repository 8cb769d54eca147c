//! From directories to libraries: which files count, and under which name each goes into the cache.
//!
//! In one directory all files with the same soname are one library; a real file beats a link, a newer name
//! an older one. The entry's path is the directory *as spelled* and the soname, not the file: a later
//! update may change the file's name. Below `glibc-hwcaps/NAME/` it is the file itself, for nothing
//! makes links there. A link that ends in plain `.so` and begins like the soname (what a compiler uses)
//! is a library of its own. A directory that was met under another spelling is passed over.

use std::collections::{BTreeMap, BTreeSet};

use super::machine;
use crate::linker::configuration::TooMuch;
use crate::rootfs::View;
use crate::rootfs::view::Found;
use dlstore_model::arch::Arch;
use dlstore_model::path::TreePath;
use dlstore_model::tree::Node;

/// One entry of the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Library {
    /// What a program asks for.
    pub(super) soname: Vec<u8>,
    /// Where the loader finds it.
    pub(super) path: Vec<u8>,
    pub(super) flags: u32,
    /// Name of the directory below `glibc-hwcaps`.
    pub(super) hwcaps: Option<Vec<u8>>,
}

/// What a scan gives.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Scan {
    /// Entries in the order of the cache.
    pub(super) libraries: Vec<Library>,
    /// Names of all directories below `glibc-hwcaps`, those without a library among them.
    pub(super) hwcaps: BTreeSet<Vec<u8>>,
    /// Links from a soname to its file that are missing, with their targets, and the files that those lead to.
    pub(super) links: Vec<(TreePath, Vec<u8>, TreePath)>,
    /// The files of all libraries.
    pub(super) files: BTreeSet<TreePath>,
}

/// Scans directories in the given order.
///
/// # Errors
/// When that takes more look-ups than any honest root needs.
pub(super) fn scan(arch: Arch, view: &View<'_>, directories: &[Vec<u8>]) -> Result<Scan, TooMuch> {
    let mut scan = Scan::default();
    let mut seen: BTreeSet<Option<TreePath>> = BTreeSet::new();
    for spelled in directories {
        let Some(Found::Directory(real)) = view.resolve(spelled) else { continue };
        if seen.insert(real.clone()) {
            scan_directory(arch, view, spelled, real.as_ref(), None, &mut scan);
        }
        let parent = [spelled.as_slice(), b"/glibc-hwcaps"].concat();
        let Some(Found::Directory(Some(capabilities))) = view.resolve(&parent) else { continue };
        for name in view.names(Some(&capabilities)).iter().copied() {
            let spelled = [parent.as_slice(), b"/", name].concat();
            let Some(Found::Directory(real)) = view.resolve(&spelled) else { continue };
            scan.hwcaps.insert(name.to_vec());
            if seen.insert(real.clone()) {
                scan_directory(arch, view, &spelled, real.as_ref(), Some(name), &mut scan);
            }
        }
    }
    if view.is_spent() {
        return Err(TooMuch::Steps);
    }
    scan.libraries.sort_by(|left, right| {
        machine::compare(arch, &right.soname, &left.soname)
            .then_with(|| right.flags.cmp(&left.flags))
            .then_with(|| left.hwcaps.is_none().cmp(&right.hwcaps.is_none()))
            .then_with(|| left.hwcaps.cmp(&right.hwcaps))
    });
    Ok(scan)
}

/// The best file of one soname so far.
struct Candidate<'a> {
    name: &'a [u8],
    file: TreePath,
    is_link: bool,
    flags: u32,
}

fn scan_directory(
    arch: Arch,
    view: &View<'_>,
    spelled: &[u8],
    real: Option<&TreePath>,
    hwcaps: Option<&[u8]>,
    scan: &mut Scan,
) {
    let mut candidates: BTreeMap<Vec<u8>, Candidate<'_>> = BTreeMap::new();
    for name in view.names(real).iter().copied() {
        if !is_library_name(name) {
            continue;
        }
        let Some(path) = child(real, name) else { continue };
        let Some(Found::File(file)) = view.resolve(path.as_bytes()) else { continue };
        let Some(elf) = view.elf(&file) else { continue };
        let Some(flags) = machine::flags(arch, elf) else { continue };
        let soname = elf.soname.as_deref().unwrap_or(name);
        let is_symlink = view.entry(&path).is_some_and(|entry| matches!(entry.node, Node::Symlink { .. }));
        let is_link = is_symlink && (name == soname || (name.ends_with(b".so") && soname.starts_with(name)));
        let key = if is_link { name } else { soname };
        let candidate = Candidate { name, file, is_link, flags };
        match candidates.get_mut(key) {
            None => {
                candidates.insert(key.to_vec(), candidate);
            }
            Some(best)
                if (!is_link && best.is_link)
                    || (is_link == best.is_link && machine::compare(arch, best.name, name).is_lt()) =>
            {
                *best = candidate;
            }
            Some(_) => {}
        }
    }
    for (soname, candidate) in candidates {
        let file = if hwcaps.is_some() { candidate.name } else { soname.as_slice() };
        let path = [spelled, b"/", file].concat();
        // ldconfig makes the link that it then lists, whatever the name. Here it is one of a library (so it has no
        // slash), where the loader looks by itself.
        let may_be = file != candidate.name && is_link_name(file) && real.is_some_and(|at| is_loaders_own(arch, at));
        if let Some(link) = child(real, file).filter(|link| may_be && view.entry(link).is_none()) {
            scan.links.push((link, candidate.name.to_vec(), candidate.file.clone()));
        }
        scan.files.insert(candidate.file);
        let hwcaps = hwcaps.map(<[u8]>::to_vec);
        scan.libraries.push(Library { soname, path, flags: candidate.flags, hwcaps });
    }
}

/// Says whether a link may have that name: `lib*.so*` or `ld-*.so*`, and a file's.
fn is_link_name(name: &[u8]) -> bool {
    (name.starts_with(b"lib") || name.starts_with(b"ld-"))
        && name.windows(3).any(|window| window == b".so")
        && !name.contains(&b'/')
}

/// Says whether a directory, links followed, is one where distributions have their libraries.
fn is_loaders_own(arch: Arch, directory: &TreePath) -> bool {
    let path = directory.as_bytes();
    let top = path.strip_suffix(arch.triplet().as_bytes()).and_then(|top| top.strip_suffix(b"/")).unwrap_or(path);
    [b"lib".as_slice(), b"lib64", b"usr/lib", b"usr/lib64", b"usr/local/lib"].contains(&top)
}

fn child(directory: Option<&TreePath>, name: &[u8]) -> Option<TreePath> {
    directory.map_or_else(|| TreePath::new(name), |directory| directory.join(name)).ok()
}

/// Says whether a name looks like that of a library or a loader (`_dl_is_dso`), and not like what a
/// package manager leaves behind half-way (`skip_dso_based_on_name`).
fn is_library_name(name: &[u8]) -> bool {
    let has = |text: &[u8]| name.windows(text.len()).any(|window| window == text);
    let is_loader = name.starts_with(b"ld.so.") || name.starts_with(b"ld64.so.");
    let is_library = (name.starts_with(b"lib") || name.starts_with(b"ld-")) && has(b".so");
    let prelink = b".#prelink#";
    let is_prelink =
        name.ends_with(prelink) || name.len().checked_sub(17).is_some_and(|at| name[at..].starts_with(prelink));
    let is_half_way = name.contains(&b';') || name.ends_with(b".dpkg-new") || name.ends_with(b".dpkg-tmp");
    (is_loader || is_library) && !is_prelink && !is_half_way
}

#[cfg(test)]
mod tests {
    use super::is_library_name;

    /// What Debian's ldconfig 2.41 did with a library under each of these names.
    #[test]
    fn names_count_as_they_do_for_ldconfig() {
        for (name, expected) in [
            ("ld.so", false),
            ("ld.so.9", true),
            ("ld.sofoo", false),
            ("ld64.so", false),
            ("ld64.so.1", true),
            ("ld64.sox", false),
            ("ld32.so.1", false),
            ("ld-x.so", true),
            ("ld-y", false),
            ("libq.so.debug", true),
            ("libq.so-gdb.py", true),
            ("libq;x.so", false),
            ("libq.so.tmp", true),
            ("libq.so.dpkg-new", false),
            ("libq.so.dpkg-tmp", false),
            ("libq.so.#prelink#", false),
            ("libq.so.#prelink#.ABCDEF", false),
            ("libnoso", false),
            ("libr.sox", true),
            ("foo.so", false),
        ] {
            assert_eq!(is_library_name(name.as_bytes()), expected, "{name}");
        }
    }
}
