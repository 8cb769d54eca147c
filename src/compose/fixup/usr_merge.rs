//! The fix-up `usr-merge`: `/bin`, `/sbin` and `/lib` as links into `/usr` where base-files is absent.
//!
//! On Debian only base-files ships these links, while every other package relies on them: without
//! `/lib -> usr/lib` the loader that a program names does not exist, and the kernel says "not found" of
//! the program. `/lib64` exists on amd64 and ppc64le only, as in base-files. What the links lead to is
//! made as well, so that none dangles.

use super::{Generated, fixed};
use crate::arch::Arch;
use crate::path::TreePath;
use crate::tree::Meta;

/// Version of what this fix-up makes.
pub const VERSION: u32 = 1;

/// Makes the links that no entry of the packages exists for already. They have no input, so their date
/// is 0.
#[must_use]
pub fn usr_merge(arch: Arch, exists: &dyn Fn(&TreePath) -> bool) -> Generated {
    let mut names = vec!["bin", "lib", "sbin"];
    if matches!(arch, Arch::Amd64 | Arch::Ppc64le) {
        names.push("lib64");
    }
    let mut generated = Generated::default();
    for name in names {
        let path = fixed(name);
        if !exists(&path) {
            let target = format!("usr/{name}");
            generated.folder(fixed(&target), Meta::FOLDER);
            generated.link(path, target.as_bytes(), 0);
        }
    }
    generated
}

#[cfg(test)]
mod tests {
    use super::super::tests::fingerprint;
    use super::*;

    #[test]
    fn lib64_exists_where_debian_has_it() {
        let count = |arch| usr_merge(arch, &|_| false).entries.len();
        for arch in Arch::ALL {
            assert_eq!(count(arch), if matches!(arch, Arch::Amd64 | Arch::Ppc64le) { 8 } else { 6 });
        }
    }

    #[test]
    fn what_base_files_ships_is_left_alone() {
        assert_eq!(usr_merge(Arch::Amd64, &|_| true), Generated::default());
    }

    #[test]
    fn the_bytes_do_not_move() {
        assert_eq!(
            fingerprint(&usr_merge(Arch::Amd64, &|_| false)),
            "da9b2df3ee9a41526056d2ceb32319e7c4ecea22f110e89963980692aa9058ce",
            "bump VERSION when this changes"
        );
    }
}
