//! The order of versions, as each package format defines it, and what a version may look like.
//!
//! The formats' own tools are the oracles: `dpkg --compare-versions` and `apk version -t`. The tests
//! compare against both when they are there. [`compare`] gives an answer for any two texts;
//! [`is_valid`] says whether a text may be a version at all, and whatever becomes part of a path or
//! an address has passed it.

mod apk;
mod deb;

use std::cmp::Ordering;

use crate::format::Format;

/// Longest version that is accepted, in bytes.
const MAX_LENGTH: usize = 200;

/// Says which of two versions is the newer one. A plain tar follows Debian's order.
///
/// Versions that are written differently may be equal (`1.0` and `1.0-0` for Debian).
#[must_use]
pub fn compare(format: Format, a: &str, b: &str) -> Ordering {
    match format {
        Format::Deb | Format::Tar => deb::compare(a, b),
        Format::Apk => apk::compare(a, b),
    }
}

/// Says whether a text follows the format's grammar of versions.
#[must_use]
pub fn is_valid(format: Format, version: &str) -> bool {
    version.len() <= MAX_LENGTH
        && match format {
            Format::Deb | Format::Tar => deb::is_valid(version),
            Format::Apk => apk::is_valid(version),
        }
}

#[cfg(test)]
mod tests;
