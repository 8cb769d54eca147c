//! How large a package may become when it is unpacked.
//!
//! A few hundred kilobytes can unpack to gigabytes, which the disk of who adds them pays for. Up to
//! [`FREE`] nobody asks. Above it, content may be at most [`RATIO`] times as long as the package file;
//! and where the package declares how much it installs (`Installed-Size` of a `.deb` in KiB, `size` of
//! an `.apk` in bytes) at most twice that, when that is less. Twice, because what is declared is a sum
//! of rounded sizes at best, and other builders than the distributions' count otherwise.
//!
//! Content is what stands between the headers of the tar: files, extended headers and the filling at
//! the end. For each entry two KiB more are allowed, its header and the filling of its last block.

use super::{Control, Format, Limits};
use crate::package::control::parse_stanza;

/// Bytes of content up to which a package need not justify them.
pub const FREE: u64 = 64 << 20;
/// Times that content may be longer than the package file.
pub const RATIO: u64 = 200;
/// Bytes that one entry costs beside its content.
pub const PER_ENTRY: u64 = 2048;

/// Gives the bound of a package's content in bytes; `None` where nothing is known to hold against it.
pub(super) fn allowed(control: &Control, limits: &Limits) -> Option<u64> {
    if let Some(bytes) = limits.max_size {
        return Some(bytes);
    }
    let by_source = limits.source_size.map(|size| size.saturating_mul(RATIO));
    let by_word = declared(control).map(|size| size.saturating_mul(2));
    let least = match (by_source, by_word) {
        (Some(source), Some(word)) => source.min(word),
        (source, word) => source.or(word)?,
    };
    Some(least.max(FREE))
}

/// Reads how many bytes the package says that it installs.
fn declared(control: &Control) -> Option<u64> {
    match control.metadata.format {
        Format::Deb => {
            let fields = parse_stanza(control.members.get("control")?).ok()?;
            fields.get("installed-size")?.parse::<u64>().ok()?.checked_mul(1024)
        }
        Format::Apk => {
            let text = std::str::from_utf8(control.members.get(".PKGINFO")?).ok()?;
            let value = text.lines().filter_map(|line| line.split_once('=')).find(|(key, _)| key.trim() == "size")?.1;
            value.trim().parse().ok()
        }
        Format::Tar => None,
    }
}
