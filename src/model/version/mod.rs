//! The order of versions, as each package format defines it, and what a version may look like.
//!
//! The formats' own tools are the oracles: `dpkg --compare-versions` and `apk version -t`. The tests
//! compare against both when they are there. [`compare`] gives an answer for any two texts;
//! [`is_valid`] says whether a text may be a version at all. A [`Version`] is a text that may, so whatever
//! becomes part of a path or an address is one. It has no order of its own: versions compare only by
//! the rules of a format, and are not equal by order only because their texts are.

mod apk;
mod deb;

use std::cmp::Ordering;
use std::fmt;
use std::ops::Deref;

use crate::format::Format;
use crate::name::InvalidWord;

/// Longest version that is accepted, in bytes.
const MAX_LENGTH: usize = 200;

/// A version: valid by the grammar of the format that it was made for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Version(String);

impl Version {
    /// Takes a text as a version.
    ///
    /// # Errors
    /// When the format's grammar refuses it.
    pub fn new(format: Format, text: &str) -> Result<Self, InvalidWord> {
        InvalidWord::unless(is_valid(format, text), "version", text).map(Self)
    }

    /// Says which of two versions of a format is the newer one.
    #[must_use]
    pub fn compare(&self, format: Format, other: &Self) -> Ordering {
        compare(format, &self.0, &other.0)
    }
}

impl Deref for Version {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

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
