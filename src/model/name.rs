//! Names and architectures of packages: words that may go into paths.
//!
//! Both become parts of paths, addresses and root names, so nothing passes that its format's grammar
//! does not list: no slash, no blank, no control character, no leading dot. The grammar is asked once,
//! when a [`PackageName`] or an [`Architecture`] is made; whoever holds one holds the proof, and nobody
//! asks again. Versions, which follow the same idea, are [`crate::version`]'s.

use std::fmt;
use std::ops::Deref;

use crate::escape::Escaped;
use crate::format::Format;

/// Longest name or architecture that is accepted, in bytes.
const MAX_LENGTH: usize = 200;

/// Tells that a text does not follow the grammar of what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{}\" is not a valid {what}", Escaped::text(text))]
pub struct InvalidWord {
    /// What it should be: `package name`.
    pub what: &'static str,
    /// The text.
    pub text: String,
}

impl InvalidWord {
    /// Takes a text that is good, refuses one that is not.
    pub(crate) fn unless(good: bool, what: &'static str, text: &str) -> Result<String, Self> {
        if good { Ok(text.to_owned()) } else { Err(Self { what, text: text.to_owned() }) }
    }
}

/// The name of a package: valid by the grammar of the format that it was made for.
///
/// Debian (Policy 5.6.1, and dpkg, which takes a single character too): lower-case letters, digits, `+`,
/// `-` and `.`, first a letter or digit. apk: letters of either case, digits, `+`, `-`, `.` and `_`,
/// first no mark but `_`. A tar takes what an apk takes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackageName(String);

impl PackageName {
    /// Takes a text as a name.
    ///
    /// # Errors
    /// When the format's grammar refuses it.
    pub fn new(format: Format, text: &str) -> Result<Self, InvalidWord> {
        InvalidWord::unless(is_name(format, text.as_bytes()), "package name", text).map(Self)
    }
}

fn is_name(format: Format, bytes: &[u8]) -> bool {
    let Some(first) = bytes.first() else { return false };
    let lower = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    bytes.len() <= MAX_LENGTH
        && match format {
            Format::Deb => lower(first) && bytes.iter().all(|byte| lower(byte) || b"+-.".contains(byte)),
            Format::Apk | Format::Tar => {
                (first.is_ascii_alphanumeric() || *first == b'_')
                    && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+-._".contains(byte))
            }
        }
}

/// An architecture in a format's own words: `amd64`, `kfreebsd-amd64`, `x86_64`, `all`.
///
/// It may be one that no image is made for; those that are have [`crate::arch::Arch`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Architecture(String);

impl Architecture {
    /// Takes a text as an architecture.
    ///
    /// # Errors
    /// When it is not a lower-case word.
    pub fn new(text: &str) -> Result<Self, InvalidWord> {
        let bytes = text.as_bytes();
        let good = bytes.first().is_some_and(u8::is_ascii_alphanumeric)
            && bytes.len() <= MAX_LENGTH
            && bytes.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(byte));
        InvalidWord::unless(good, "architecture", text).map(Self)
    }

    /// Says whether this is the word for "every architecture": Debian's `all`, apk's `noarch`.
    #[must_use]
    pub fn is_independent(&self) -> bool {
        Self::means_all(&self.0)
    }

    /// Says the same of a text that is not known to be an architecture.
    #[must_use]
    pub fn means_all(text: &str) -> bool {
        matches!(text, "all" | "noarch")
    }
}

impl Deref for PackageName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Deref for Architecture {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PackageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_be_made_against_the_grammar_of_its_format() {
        for (name, deb, apk) in [
            ("libstdc++6", true, true),
            ("libssl3t64", true, true),
            ("3dchess", true, true),
            ("R", false, true),
            ("lua5.1-BitOp", false, true),
            ("py3_x", false, true),
            ("a", true, true),
            ("+", false, false),
            ("", false, false),
            (".hidden", false, false),
            ("-rf", false, false),
            ("..", false, false),
            ("a/b", false, false),
            ("a b", false, false),
            ("a\n", false, false),
            ("naïve", false, false),
        ] {
            let is_good = |format| PackageName::new(format, name).is_ok();
            assert_eq!((is_good(Format::Deb), is_good(Format::Apk), is_good(Format::Tar)), (deb, apk, apk), "{name:?}");
        }
        assert!(PackageName::new(Format::Apk, &"a".repeat(200)).is_ok());
        assert!(PackageName::new(Format::Apk, &"a".repeat(201)).is_err());
    }

    #[test]
    fn an_architecture_is_a_lower_case_word() {
        for good in ["amd64", "all", "noarch", "x86_64", "musl-linux-armhf", "ppc64le"] {
            assert!(Architecture::new(good).is_ok(), "{good}");
        }
        for bad in ["", "../x", "any any", "AMD64", "-x", "é"] {
            assert!(Architecture::new(bad).is_err(), "{bad:?}");
        }
        let independent = |text| Architecture::new(text).unwrap().is_independent();
        assert!(independent("all") && independent("noarch") && !independent("amd64"));
    }

    #[test]
    fn what_is_refused_is_named_without_control_characters() {
        let error = PackageName::new(Format::Deb, "a\u{1b}b").unwrap_err();
        assert_eq!(error.to_string(), "\"a\\u{1b}b\" is not a valid package name");
    }
}
