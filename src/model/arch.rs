//! The eight architectures, and what everybody calls them.
//!
//! OCI, Debian and Alpine name machines differently, and one name means two things: `armhf` is
//! arm/v7 to Debian and arm/v6 to Alpine. So it is never accepted bare from a person, and each format
//! has its own table here.

use std::fmt;
use std::str::FromStr;

use crate::likeness::closest;

/// One of the eight architectures, in the order in which an index lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Arch {
    /// 32-bit x86.
    I386,
    /// 64-bit x86.
    Amd64,
    /// 64-bit ARM.
    Arm64,
    /// 32-bit ARM, version 6. From Debian this is armel: soft float, version 5TE.
    ArmV6,
    /// 32-bit ARM, version 7 with hardware floating point.
    ArmV7,
    /// 64-bit POWER, little-endian.
    Ppc64le,
    /// 64-bit RISC-V.
    Riscv64,
    /// IBM Z; the only big-endian one.
    S390x,
}

/// Tells why a text does not name an architecture.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseArchError {
    /// `armhf` alone.
    #[error("\"armhf\" means arm/v7 in Debian and arm/v6 in Alpine: use one of those names")]
    Armhf,
    /// Anything else.
    #[error("{}", unknown(.0, &[]))]
    Unknown(String),
}

impl ParseArchError {
    /// Says it where other words than architectures are accepted, too.
    #[must_use]
    pub fn beside(&self, others: &[&str]) -> String {
        match self {
            Self::Armhf => self.to_string(),
            Self::Unknown(name) => unknown(name, others),
        }
    }
}

/// Names that no architecture here has, and which one is meant.
const MISTAKEN: [(&str, &str); 3] = [("armv8", "arm64"), ("arm/v8", "arm64"), ("x64", "amd64")];

/// Says that nobody knows a name, which of those that are listed was probably meant, and lists them.
fn unknown(name: &str, others: &[&str]) -> String {
    let shown: Vec<&str> = TABLE.iter().map(|names| names.short).chain(others.iter().copied()).collect();
    let (last, first) = shown.split_last().unwrap_or((&"", &[]));
    let list = format!("{} or {last}", first.join(", "));
    match meant(without_system(name), others) {
        Some(meant) => format!("unknown architecture {name:?}; did you mean {meant}? Expected {list}"),
        None => format!("unknown architecture {name:?}; expected {list}"),
    }
}

/// Finds what was probably meant, under the name that lists show.
fn meant<'w>(name: &str, others: &[&'w str]) -> Option<&'w str> {
    let of_arch = |names: &'static Names| {
        std::iter::once(names.short).chain(names.also.iter().copied()).map(|spelling| (spelling, names.short))
    };
    let others = others.iter().map(|other| (*other, *other));
    let spellings: Vec<(&str, &str)> = TABLE.iter().flat_map(of_arch).chain(MISTAKEN).chain(others).collect();
    let like = closest(name, spellings.iter().map(|(spelling, _)| *spelling))?;
    spellings.into_iter().find(|(spelling, _)| *spelling == like).map(|(_, shown)| shown)
}

/// The names of one architecture.
struct Names {
    arch: Arch,
    /// `architecture` and `variant` of an OCI platform.
    oci: (&'static str, Option<&'static str>),
    debian: &'static str,
    apk: &'static str,
    /// As [`Display`](fmt::Display) writes it and `--arch` takes it.
    short: &'static str,
    /// Other spellings that people type.
    also: &'static [&'static str],
    /// GNU triplet of Debian's multiarch directories.
    triplet: &'static str,
    /// Debian's directory for musl libraries.
    musl_triplet: &'static str,
    /// Absolute path of glibc's loader.
    glibc_loader: &'static str,
    /// The `ARCH` of Debian's `ld-musl-ARCH.so.1`.
    musl_debian: &'static str,
    /// The `ARCH` of Alpine's `ld-musl-ARCH.so.1`.
    musl_alpine: &'static str,
}

static TABLE: [Names; 8] = [
    Names {
        arch: Arch::I386,
        oci: ("386", None),
        debian: "i386",
        apk: "x86",
        short: "386",
        also: &["i386", "i686", "x86"],
        triplet: "i386-linux-gnu",
        musl_triplet: "i386-linux-musl",
        glibc_loader: "/lib/ld-linux.so.2",
        musl_debian: "i386",
        musl_alpine: "i386",
    },
    Names {
        arch: Arch::Amd64,
        oci: ("amd64", None),
        debian: "amd64",
        apk: "x86_64",
        short: "amd64",
        also: &["x86_64", "x86-64"],
        triplet: "x86_64-linux-gnu",
        musl_triplet: "x86_64-linux-musl",
        glibc_loader: "/lib64/ld-linux-x86-64.so.2",
        musl_debian: "x86_64",
        musl_alpine: "x86_64",
    },
    Names {
        arch: Arch::Arm64,
        oci: ("arm64", Some("v8")),
        debian: "arm64",
        apk: "aarch64",
        short: "arm64",
        also: &["aarch64", "arm64/v8"],
        triplet: "aarch64-linux-gnu",
        musl_triplet: "aarch64-linux-musl",
        glibc_loader: "/lib/ld-linux-aarch64.so.1",
        musl_debian: "aarch64",
        musl_alpine: "aarch64",
    },
    Names {
        arch: Arch::ArmV6,
        oci: ("arm", Some("v6")),
        debian: "armel",
        apk: "armhf",
        short: "arm/v6",
        also: &["armv6", "armel", "armv6l"],
        triplet: "arm-linux-gnueabi",
        musl_triplet: "arm-linux-musleabi",
        glibc_loader: "/lib/ld-linux.so.3",
        musl_debian: "arm",
        musl_alpine: "armhf",
    },
    Names {
        arch: Arch::ArmV7,
        oci: ("arm", Some("v7")),
        debian: "armhf",
        apk: "armv7",
        short: "arm/v7",
        also: &["armv7", "armv7l"],
        triplet: "arm-linux-gnueabihf",
        musl_triplet: "arm-linux-musleabihf",
        glibc_loader: "/lib/ld-linux-armhf.so.3",
        musl_debian: "armhf",
        musl_alpine: "armhf",
    },
    Names {
        arch: Arch::Ppc64le,
        oci: ("ppc64le", None),
        debian: "ppc64el",
        apk: "ppc64le",
        short: "ppc64le",
        also: &["ppc64el", "powerpc64le"],
        triplet: "powerpc64le-linux-gnu",
        musl_triplet: "powerpc64le-linux-musl",
        glibc_loader: "/lib64/ld64.so.2",
        musl_debian: "powerpc64le",
        musl_alpine: "powerpc64le",
    },
    Names {
        arch: Arch::Riscv64,
        oci: ("riscv64", None),
        debian: "riscv64",
        apk: "riscv64",
        short: "riscv64",
        also: &[],
        triplet: "riscv64-linux-gnu",
        musl_triplet: "riscv64-linux-musl",
        glibc_loader: "/lib/ld-linux-riscv64-lp64d.so.1",
        musl_debian: "riscv64",
        musl_alpine: "riscv64",
    },
    Names {
        arch: Arch::S390x,
        oci: ("s390x", None),
        debian: "s390x",
        apk: "s390x",
        short: "s390x",
        also: &[],
        triplet: "s390x-linux-gnu",
        musl_triplet: "s390x-linux-musl",
        glibc_loader: "/lib/ld64.so.1",
        musl_debian: "s390x",
        musl_alpine: "s390x",
    },
];

impl Arch {
    /// All eight, in order.
    pub const ALL: [Self; 8] =
        [Self::I386, Self::Amd64, Self::Arm64, Self::ArmV6, Self::ArmV7, Self::Ppc64le, Self::Riscv64, Self::S390x];

    fn names(self) -> &'static Names {
        &TABLE[self as usize]
    }

    /// Gives `architecture` of an OCI platform (image specification, image-index.md).
    #[must_use]
    pub fn oci(self) -> &'static str {
        self.names().oci.0
    }

    /// Gives `variant` of an OCI platform.
    #[must_use]
    pub fn variant(self) -> Option<&'static str> {
        self.names().oci.1
    }

    /// Gives Debian's name.
    #[must_use]
    pub fn debian(self) -> &'static str {
        self.names().debian
    }

    /// Gives Alpine's name.
    #[must_use]
    pub fn apk(self) -> &'static str {
        self.names().apk
    }

    /// Gives the GNU triplet of Debian's multiarch directories, for example `x86_64-linux-gnu`.
    #[must_use]
    pub fn triplet(self) -> &'static str {
        self.names().triplet
    }

    /// Gives Debian's directory name for musl libraries, for example `x86_64-linux-musl`.
    #[must_use]
    pub fn musl_triplet(self) -> &'static str {
        self.names().musl_triplet
    }

    /// Gives the absolute path of glibc's loader, as `PT_INTERP` of a program names it.
    #[must_use]
    pub fn glibc_loader(self) -> &'static str {
        self.names().glibc_loader
    }

    /// Gives the `ARCH` in `/lib/ld-musl-ARCH.so.1` of Debian's musl.
    #[must_use]
    pub fn musl_debian(self) -> &'static str {
        self.names().musl_debian
    }

    /// Gives the `ARCH` in `/lib/ld-musl-ARCH.so.1` of Alpine's musl.
    #[must_use]
    pub fn musl_alpine(self) -> &'static str {
        self.names().musl_alpine
    }

    /// Gives a form for tags and file names: `armv6`, without a slash.
    #[must_use]
    pub fn tag(self) -> String {
        self.names().short.replace('/', "")
    }

    /// Finds the architecture that Debian calls so.
    #[must_use]
    pub fn from_debian(name: &str) -> Option<Self> {
        TABLE.iter().find(|names| names.debian == name).map(|names| names.arch)
    }

    /// Finds the architecture that Alpine calls so.
    #[must_use]
    pub fn from_apk(name: &str) -> Option<Self> {
        TABLE.iter().find(|names| names.apk == name).map(|names| names.arch)
    }

    /// Gives the architecture of the machine that this program was built for, when it is one of the
    /// eight.
    #[must_use]
    pub fn host() -> Option<Self> {
        match std::env::consts::ARCH {
            "x86" => Some(Self::I386),
            "arm" => Some(Self::ArmV7),
            "powerpc64" if cfg!(target_endian = "little") => Some(Self::Ppc64le),
            name => name.parse().ok(),
        }
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.names().short)
    }
}

/// Takes the system away that OCI writes before an architecture.
fn without_system(text: &str) -> &str {
    text.strip_prefix("linux/").unwrap_or(text)
}

impl FromStr for Arch {
    type Err = ParseArchError;

    fn from_str(text: &str) -> Result<Self, ParseArchError> {
        let name = without_system(text);
        if name == "armhf" {
            return Err(ParseArchError::Armhf);
        }
        TABLE
            .iter()
            .find(|names| names.short == name || names.also.contains(&name))
            .map(|names| names.arch)
            .ok_or_else(|| ParseArchError::Unknown(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_leads_back_to_its_architecture() {
        for (at, arch) in Arch::ALL.into_iter().enumerate() {
            assert_eq!(TABLE[at].arch, arch);
            assert_eq!(arch.to_string().parse(), Ok(arch));
            assert_eq!(format!("linux/{arch}").parse(), Ok(arch));
            assert_eq!(arch.tag().parse(), Ok(arch));
            assert_eq!(Arch::from_debian(arch.debian()), Some(arch));
            assert_eq!(Arch::from_apk(arch.apk()), Some(arch));
        }
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_one_that_is_like_it() {
        for (typed, meant) in [
            ("amd46", Some("amd64")),
            ("linux/amr64", Some("arm64")),
            ("riscv", Some("riscv64")),
            ("AMD64", Some("amd64")),
            // The names of the list, whatever spelling of them it is that is like the one given.
            ("aarch46", Some("arm64")),
            ("ppc64", Some("ppc64le")),
            // What others call so.
            ("armv8", Some("arm64")),
            ("linux/arm/v8", Some("arm64")),
            ("x64", Some("amd64")),
            ("X64", Some("amd64")),
            ("z80", None),
            ("ALL", None),
        ] {
            let said = typed.parse::<Arch>().unwrap_err().to_string();
            let expected = match meant {
                Some(meant) => format!("did you mean {meant}? Expected"),
                None => "expected".to_owned(),
            };
            let list = "386, amd64, arm64, arm/v6, arm/v7, ppc64le, riscv64 or s390x";
            assert_eq!(said, format!("unknown architecture {typed:?}; {expected} {list}"));
        }
    }

    #[test]
    fn words_that_are_accepted_beside_architectures_are_listed_and_meant() {
        let said = |typed: &str| typed.parse::<Arch>().unwrap_err().beside(&["all", "host"]);
        let list = "386, amd64, arm64, arm/v6, arm/v7, ppc64le, riscv64, s390x, all or host";
        assert_eq!(said("ALL"), format!("unknown architecture \"ALL\"; did you mean all? Expected {list}"));
        assert_eq!(said("hosts"), format!("unknown architecture \"hosts\"; did you mean host? Expected {list}"));
        assert_eq!(said("z80"), format!("unknown architecture \"z80\"; expected {list}"));
        assert_eq!(said("armhf"), ParseArchError::Armhf.to_string());
    }

    #[test]
    fn armhf_is_never_guessed() {
        assert_eq!("armhf".parse::<Arch>(), Err(ParseArchError::Armhf));
        assert_eq!(Arch::from_debian("armhf"), Some(Arch::ArmV7));
        assert_eq!(Arch::from_apk("armhf"), Some(Arch::ArmV6));
    }
}
