//! Which image has which library: what `needs` answers from when the store does not know.
//!
//! The table lists what the built-in images hold. A test composes them of real packages and compares.

use dlstore_formats::elf::Elf;
use dlstore_model::arch::Arch;

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
pub const GLIBC_DYNAMIC: &[&str] = &[
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

/// Gives the flavor that does not run an architecture's musl programs, where names differ: Debian's
/// armel is soft-float, and calls its loader otherwise than Alpine's arm/v6.
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
    Some(match (elf.machine, elf.is_64, elf.is_big_endian) {
        (3, false, false) => Arch::I386,
        (62, true, false) => Arch::Amd64,
        (183, true, false) => Arch::Arm64,
        (40, false, false) => {
            // Alpine's arm/v6 is hard-float too, and names another loader.
            let alpine_v6 = elf.needed.iter().any(|name| name == b"libc.musl-armhf.so.1");
            if elf.flags & HARD_FLOAT != 0 && !alpine_v6 { Arch::ArmV7 } else { Arch::ArmV6 }
        }
        (21, true, false) => Arch::Ppc64le,
        (243, true, false) => Arch::Riscv64,
        (22, true, true) => Arch::S390x,
        _ => return None,
    })
}
