//! The fix-up `usr-merge`: how `/bin`, `/sbin`, `/lib` and `/lib64` lead into `/usr`.
//!
//! On Debian all files lie below `/usr`, and programs still name their loader below `/lib` or `/lib64`:
//! without something there the kernel says "not found" of the program. `/bin` and `/sbin` are links into
//! `/usr`, as base-files has them. `/lib` and `/lib64` are *directories* that hold nothing but links to the
//! loaders, where base-files has links to whole directories. For a layer on top that has a directory `lib/`, as
//! `COPY --from=build /root/ /` easily makes one, would replace a link and take the loader away, while
//! two directories unite. Libraries are found either way: each loader looks below `/lib` and `/usr/lib`.
//!
//! `/lib64` exists on amd64 and ppc64le only. What links lead to is made as well, so that none dangles.

use super::inputs::Inputs;
use crate::rootfs::Generated;
use crate::rootfs::generated::fixed;
use crate::rootfs::union::is_loader;
use dlstore_formats::package::Format;
use dlstore_model::arch::Arch;
use dlstore_model::path::TreePath;
use dlstore_model::tree::Meta;

/// Makes links and directories that no entry of the packages exists for already. `loaders` are the loaders in
/// `/usr/lib` and `/usr/lib64`. They have no dated input, so their date is 0.
fn usr_merge(arch: Arch, exists: &dyn Fn(&TreePath) -> bool, loaders: &[TreePath]) -> Generated {
    let mut generated = Generated::default();
    for name in ["bin", "sbin"] {
        if !exists(&fixed(name)) {
            let target = format!("usr/{name}");
            generated.directory(fixed(&target), Meta::DIRECTORY);
            generated.link(fixed(name), target.as_bytes(), 0);
        }
    }
    let has_lib64 = matches!(arch, Arch::Amd64 | Arch::Ppc64le);
    for name in ["lib", "lib64"].into_iter().filter(|name| *name == "lib" || has_lib64) {
        let path = fixed(name);
        if exists(&path) {
            continue;
        }
        let below = fixed(&format!("usr/{name}"));
        generated.directory(below.clone(), Meta::DIRECTORY);
        generated.directory(path.clone(), Meta::DIRECTORY);
        for loader in loaders.iter().filter(|loader| loader.parent().as_ref() == Some(&below)) {
            let target = [b"../".as_slice(), loader.as_bytes()].concat();
            if let Ok(at) = path.join(loader.name()) {
                generated.link(at.clone(), &target, 0);
                generated.sources.entry(at).or_default().insert(loader.clone());
            }
        }
    }
    generated
}

/// Makes it where the packages are Debian's.
pub(super) fn run(inputs: &Inputs<'_>) -> Generated {
    if inputs.image.format != Some(Format::Deb) {
        return Generated::default();
    }
    let directories = [fixed("usr/lib"), fixed("usr/lib64")];
    let loaders: Vec<TreePath> = inputs
        .rootfs
        .iter()
        .filter(|(path, slot)| !slot.entry.is_directory() && is_loader(path.name()))
        .filter(|(path, _)| path.parent().is_some_and(|parent| directories.contains(&parent)))
        .map(|(path, _)| path.clone())
        .collect();
    usr_merge(inputs.arch, &|path| inputs.rootfs.get(path).is_some(), &loaders)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixup::tests::fingerprint;

    #[test]
    fn lib64_exists_where_debian_has_it() {
        let count = |arch| usr_merge(arch, &|_| false, &[]).entries.len();
        for arch in Arch::ALL {
            assert_eq!(count(arch), if matches!(arch, Arch::Amd64 | Arch::Ppc64le) { 8 } else { 6 });
        }
    }

    #[test]
    fn each_loader_is_linked_where_programs_name_it() {
        let loaders = [fixed("usr/lib/ld-musl-x86_64.so.1"), fixed("usr/lib64/ld-linux-x86-64.so.2")];
        let made = usr_merge(Arch::Amd64, &|_| false, &loaders);
        for (link, target) in [
            ("lib/ld-musl-x86_64.so.1", "../usr/lib/ld-musl-x86_64.so.1"),
            ("lib64/ld-linux-x86-64.so.2", "../usr/lib64/ld-linux-x86-64.so.2"),
        ] {
            let entry = made.entries.iter().find(|(path, _)| *path == fixed(link)).map(|(_, entry)| entry.node.clone());
            assert_eq!(entry, Some(dlstore_model::tree::Node::Symlink { target: target.into() }));
        }
    }

    #[test]
    fn what_base_files_ships_is_left_alone() {
        assert_eq!(usr_merge(Arch::Amd64, &|_| true, &[]), Generated::default());
    }

    #[test]
    fn the_bytes_do_not_move() {
        assert_eq!(
            fingerprint(&usr_merge(Arch::Amd64, &|_| false, &[fixed("usr/lib/ld-musl-x86_64.so.1")])),
            "9f140548daee1b0d166254f46f83ccff2099b417ee24e3234f98657fb2d796c4",
            "raise the version in definition/fixup.rs when this changes"
        );
    }
}
