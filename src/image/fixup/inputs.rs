//! What fix-ups are given: a rootfs as the levels so far make it, and the definition's words.
//!
//! | fix-up | runs when | inputs |
//! |---|---|---|
//! | accounts | always | the account files of one package (`reserved`), the definition's accounts |
//! | ca-bundle | there are certificates, or extra ones | a bundle or files of packages that may (`reserved`), the definition's |
//! | os-release | there is none, or fields are given | the packages' own and their format, the definition's fields |
//! | nsswitch | nobody ships one | nothing |
//! | ld-musl-path | Debian's musl is there | the architecture |
//! | usr-merge | the packages are Debian's | what exists |
//! | ld-so-cache | there is an ld.so.conf | ELF facts, configuration, libc-bin's version |
//! | dpkg-database, apk-database | packages of that format | control members, what each package owns |

use std::collections::{BTreeMap, BTreeSet};

use super::bundles::Bundles;
use crate::definition::{Fixup, Image, Level};
use crate::rootfs::generated::fixed;
use crate::rootfs::own::OwnCertificate;
use crate::rootfs::part::PackageView;
use crate::rootfs::reserved::Shippers;
use crate::rootfs::{Generated, Part, Rootfs};
use dlstore_model::arch::Arch;

/// What the fix-ups of a rootfs see.
pub(crate) struct Inputs<'i> {
    /// The image.
    pub(crate) image: &'i Image,
    /// Its levels so far.
    pub(crate) levels: &'i [Level],
    /// The architecture.
    pub(crate) arch: Arch,
    /// What those levels bring.
    pub(crate) rootfs: &'i Rootfs,
    /// Certificates of the definition.
    pub(crate) certificates: &'i [OwnCertificate],
    /// Who may speak of accounts and certificates.
    pub(crate) shippers: &'i Shippers<'i>,
    /// What other architectures have made.
    pub(crate) bundles: &'i Bundles,
}

/// Outcomes by fix-up, and for those that work level by level, by level.
pub(crate) type Outcomes = BTreeMap<(Fixup, usize), Generated>;

impl<'i> Inputs<'i> {
    pub(super) fn has(&self, path: &str) -> bool {
        self.rootfs.get(&fixed(path)).is_some()
    }

    /// Finds the text of a path in the packages, whether or not their entry is in the image, unless the definition
    /// leaves it out in words of its own: the last one that has it wins, as it would when it is installed.
    pub(super) fn text(&self, path: &str) -> Option<(&'i [u8], &'i Part, &'i PackageView)> {
        let path = fixed(path);
        let mut packages = self.rootfs.packages().rev();
        packages.find_map(|(_, part, package)| Some((package.texts.get(&path)?.as_slice(), part, package)))
    }

    /// Says of what packages the files are that something was made of.
    pub(super) fn name_owners(&self, made: &mut Generated) {
        for (path, files) in std::mem::take(&mut made.sources) {
            let owners = files.iter().filter_map(|file| Some(&self.rootfs.parts()[self.rootfs.get(file)?.owner]));
            let owners = owners.filter(|part| part.package.is_some()).map(|part| part.origin.to_string());
            made.packages.entry(path).or_default().extend(owners);
        }
    }
}

/// Gives the fix-ups that any level does not want.
pub(crate) fn skipped(levels: &[Level]) -> BTreeSet<Fixup> {
    levels.iter().flat_map(|level| level.skip.iter().copied()).collect()
}
