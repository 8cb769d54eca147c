//! Which image has which library: what `needs` answers from when the store does not know.
//!
//! The table lists what the built-in images hold. A test composes them of real packages and compares.

use dlstore_formats::elf::{Elf, Header};
use dlstore_model::arch::Arch;
use dlstore_model::path::TreePath;

/// How a program is bound to its libraries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Linkage {
    /// It needs nothing.
    Static,
    /// By glibc's loader.
    Glibc,
    /// By musl's loader.
    Musl,
    /// By a loader that no image of ours has.
    Other,
}

/// Libraries of `glibc-dynamic` beside the loader, by their SONAME.
const GLIBC_DYNAMIC: &[&str] = &[
    "libanl.so.1",
    "libc.so.6",
    "libdl.so.2",
    "libgcc_s.so.1",
    "libm.so.6",
    "libnsl.so.1",
    "libnss_compat.so.2",
    "libnss_dns.so.2",
    "libnss_files.so.2",
    "libpthread.so.0",
    "libresolv.so.2",
    "librt.so.1",
    "libstdc++.so.6",
    "libutil.so.1",
];

/// The oldest libraries that define all versions of symbols which a program asks them for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lowest {
    /// Version of glibc: `2.38`.
    pub glibc: Option<String>,
    /// The N of `libstdc++.so.6.0.N`, which defines `GLIBCXX_3.4.N`.
    pub libstdcxx: Option<u32>,
}

/// The N of the first `libstdc++.so.6.0.N` that defines `CXXABI_1.3.M`, by M.
/// <https://gcc.gnu.org/onlinedocs/libstdc++/manual/abi.html>
const CXXABI: [u32; 17] = [10, 11, 12, 13, 14, 15, 16, 18, 20, 21, 22, 23, 26, 29, 31, 33, 34];

/// Says on which libraries a program runs at the earliest.
#[must_use]
pub fn lowest(elf: &Elf) -> Lowest {
    let versions =
        elf.requires.iter().flat_map(|(_, versions)| versions).filter_map(|text| std::str::from_utf8(text).ok());
    let numbers = |text: &str| text.split('.').map(|part| part.parse().ok()).collect::<Option<Vec<u32>>>();
    let (mut glibc, mut libstdcxx) = (None::<Vec<u32>>, None::<u32>);
    for version in versions {
        if version == "GLIBC_ABI_DT_RELR" {
            glibc = glibc.max(Some(vec![2, 36]));
        } else if let Some(found) = version.strip_prefix("GLIBC_").and_then(numbers) {
            glibc = glibc.max(Some(found));
        } else if let Some(found) = version.strip_prefix("GLIBCXX_").and_then(numbers) {
            libstdcxx = libstdcxx.max(Some(found.get(2).copied().unwrap_or(0)));
        } else if let Some(found) = version.strip_prefix("CXXABI_").and_then(numbers) {
            let number = found.get(2).copied().unwrap_or(0) as usize;
            let first =
                if found.starts_with(&[1, 3]) { CXXABI.get(number).or(CXXABI.last()).copied() } else { Some(0) };
            libstdcxx = libstdcxx.max(first);
        }
    }
    let text = |numbers: Vec<u32>| numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(".");
    Lowest { glibc: glibc.map(text), libstdcxx }
}

/// Says how a program is bound.
#[must_use]
pub fn linkage(elf: &Elf) -> Linkage {
    match &elf.interpreter {
        None if elf.needed.is_empty() => Linkage::Static,
        Some(name) if name.windows(8).any(|part| part == b"ld-musl-") => Linkage::Musl,
        Some(name) if Arch::ALL.iter().any(|arch| arch.glibc_loader().as_bytes() == name.as_slice()) => Linkage::Glibc,
        // A library says it by the libc that it names.
        None if elf.needed.iter().any(|name| name == b"libc.so.6") => Linkage::Glibc,
        None if elf.needed.iter().any(|name| is_musl(name)) => Linkage::Musl,
        _ => Linkage::Other,
    }
}

/// Says whether a library that a package has at `path` can be what a file of a linkage asks for: it is for the same libc,
/// and lies where musl's loader looks by itself, or by the path file that Debian's images have.
#[must_use]
pub fn serves(wanted: Linkage, arch: Arch, path: &TreePath, library: &Elf) -> bool {
    let of = linkage(library);
    match wanted {
        Linkage::Glibc => of != Linkage::Musl,
        Linkage::Musl => {
            let directory = path.parent();
            let directory = directory.as_ref().map_or(b"".as_slice(), |directory| directory.as_bytes());
            let directory = directory.strip_prefix(b"usr/").unwrap_or(directory);
            let multiarch = format!("lib/{}", arch.musl_triplet());
            of != Linkage::Glibc && [b"lib".as_slice(), b"local/lib", multiarch.as_bytes()].contains(&directory)
        }
        Linkage::Static | Linkage::Other => true,
    }
}

/// Says whether the built-in images for a linkage have a library.
#[must_use]
pub fn has(linkage: Linkage, library: &[u8]) -> bool {
    match linkage {
        Linkage::Static | Linkage::Other => false,
        Linkage::Musl => is_musl(library),
        Linkage::Glibc => {
            library.starts_with(b"ld-linux")
                || library.starts_with(b"ld64.so")
                || GLIBC_DYNAMIC.iter().any(|known| known.as_bytes() == library)
        }
    }
}

/// Gives the built-in images that run programs of a linkage, by flavor.
#[must_use]
pub const fn images(linkage: Linkage) -> &'static [&'static str] {
    match linkage {
        Linkage::Static => &["static", "static:debian", "static:alpine", "musl-dynamic", "glibc-dynamic"],
        Linkage::Glibc => &["glibc-dynamic", "glibc-dynamic:nonroot"],
        Linkage::Musl => &["musl-dynamic", "musl-dynamic:alpine"],
        Linkage::Other => &[],
    }
}

/// Gives the path of the dynamic loader of a built-in image, `None` if it has none. Debian's armel is soft-float, and
/// its musl loader has another name than that of Alpine's arm/v6.
#[must_use]
pub fn loader_of(image: &str, arch: Arch) -> Option<String> {
    match image {
        "musl-dynamic" => Some(format!("/lib/ld-musl-{}.so.1", arch.musl_debian())),
        "musl-dynamic:alpine" => Some(format!("/lib/ld-musl-{}.so.1", arch.musl_alpine())),
        "glibc-dynamic" | "glibc-dynamic:nonroot" => Some(arch.glibc_loader().to_owned()),
        _ => None,
    }
}

fn is_musl(library: &[u8]) -> bool {
    library == b"libc.so" || library.starts_with(b"libc.musl-") || library.starts_with(b"ld-musl-")
}

/// Finds the architecture of an ELF file; `None` when it is none of the eight.
#[must_use]
pub fn arch_of(elf: &Elf) -> Option<Arch> {
    const HARD_FLOAT: u32 = 0x400;
    let arch = arch_of_header(elf.header())?;
    if arch != Arch::ArmV6 {
        return Some(arch);
    }
    // Alpine's arm/v6 is hard-float too, and names another loader.
    let alpine_v6 = elf.needed.iter().any(|name| name == b"libc.musl-armhf.so.1");
    Some(if elf.flags & HARD_FLOAT != 0 && !alpine_v6 { Arch::ArmV7 } else { Arch::ArmV6 })
}

/// Finds the architecture of a file that begins so; [`Arch::ArmV6`] stands for both of 32-bit ARM.
pub(crate) const fn arch_of_header(header: Header) -> Option<Arch> {
    Some(match (header.machine, header.is_64, header.is_big_endian) {
        (3, false, false) => Arch::I386,
        (62, true, false) => Arch::Amd64,
        (183, true, false) => Arch::Arm64,
        (40, false, false) => Arch::ArmV6,
        (21, true, false) => Arch::Ppc64le,
        (243, true, false) => Arch::Riscv64,
        (22, true, true) => Arch::S390x,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use dlstore_formats::elf::{SearchTag, System};

    #[test]
    fn the_oldest_libraries_are_those_of_the_highest_versions_that_are_asked_for() {
        let of = |versions: &[&str]| {
            let versions = versions.iter().map(|version| version.as_bytes().to_vec()).collect();
            lowest(&Elf {
                is_64: true,
                is_big_endian: false,
                machine: 62,
                kind: 3,
                system: System::Linux,
                has_entry: false,
                flags: 0,
                soname: None,
                needed: Vec::new(),
                search: Vec::new(),
                search_by: SearchTag::RunPath,
                interpreter: None,
                requires: vec![(b"libx.so".to_vec(), versions)],
                defines: Vec::new(),
            })
        };
        for (versions, glibc, libstdcxx) in [
            (&["GLIBC_2.4", "GLIBC_2.34", "GLIBC_2.2.5", "GLIBC_PRIVATE"][..], Some("2.34"), None),
            (&["GLIBC_2.34", "GLIBC_ABI_DT_RELR"], Some("2.36"), None),
            (&["GLIBC_2.38", "GLIBC_ABI_DT_RELR"], Some("2.38"), None),
            (&["GLIBC_2.14", "GLIBCXX_3.4", "GLIBCXX_3.4.9", "GLIBCXX_3.4.32"], Some("2.14"), Some(32)),
            (&["GLIBCXX_3.4.21", "CXXABI_1.3.13", "CXXABI_FLOAT128"], None, Some(29)),
            (&["CXXABI_1.3"], None, Some(10)),
            (&["FOO_9"], None, None),
            (&[], None, None),
        ] {
            assert_eq!(of(versions), Lowest { glibc: glibc.map(Into::into), libstdcxx }, "{versions:?}");
        }
    }
}
