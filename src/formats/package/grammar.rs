//! What names and architectures may look like.
//!
//! Both become parts of paths, addresses and root names, so nothing that is not listed here passes:
//! no slash, no blank, no control character, no leading dot. Versions are [`crate::version`]'s.

use super::{Format, PackageError};
use dlstore_model::escape::Escaped;
use dlstore_model::version;

/// Longest name or architecture that is accepted, in bytes.
const MAX_LENGTH: usize = 200;

/// Says whether a text may name a package.
///
/// deb: lower-case letters, digits, `+`, `-` and `.`, first a letter or digit (Debian Policy 5.6.1, but
/// one letter is enough, as it is for dpkg). apk: letters of either case, digits, `+`, `-`, `.` and `_`, first no mark but `_`. A tar
/// takes either.
#[must_use]
pub fn is_name(format: Format, name: &str) -> bool {
    let bytes = name.as_bytes();
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

/// Says whether a text may be a package's architecture: `amd64`, `kfreebsd-amd64`, `x86_64`, `all`.
#[must_use]
pub fn is_architecture(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.len() <= MAX_LENGTH
        && bytes.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(byte))
}

/// Takes a field as a name.
pub(super) fn name(format: Format, what: &str, value: &str) -> Result<String, PackageError> {
    check(is_name(format, value), what, value)
}

/// Takes a field as a version.
pub(super) fn version(format: Format, what: &str, value: &str) -> Result<String, PackageError> {
    check(version::is_valid(format, value), what, value)
}

/// Takes a field as an architecture.
pub(super) fn architecture(what: &str, value: &str) -> Result<String, PackageError> {
    check(is_architecture(value), what, value)
}

fn check(good: bool, what: &str, value: &str) -> Result<String, PackageError> {
    if good {
        return Ok(value.to_owned());
    }
    Err(PackageError::Content(format!("{what} is not valid: \"{}\"", Escaped::text(value))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_grammar_of_their_format() {
        for (name, deb, apk) in [
            ("libstdc++6", true, true),
            ("libssl3t64", true, true),
            ("3dchess", true, true),
            ("R", false, true),
            ("lua5.1-BitOp", false, true),
            ("py3_x", false, true),
            ("a", true, true),
            ("7", true, true),
            ("", false, false),
            (".hidden", false, false),
            ("-rf", false, false),
            ("..", false, false),
            ("a/b", false, false),
            ("a b", false, false),
            ("a\n", false, false),
            ("a\0", false, false),
            ("a\x1b[2Jb", false, false),
            ("a\u{85}b", false, false),
            ("a\x7f", false, false),
            ("naïve", false, false),
        ] {
            assert_eq!((is_name(Format::Deb, name), is_name(Format::Apk, name)), (deb, apk), "{name:?}");
        }
        assert!(!is_name(Format::Apk, &"a".repeat(201)));
    }

    #[test]
    fn versions_have_no_control_characters() {
        for format in [Format::Deb, Format::Apk, Format::Tar] {
            assert!(version(format, "it", "1.0").is_ok());
            for bad in ["1.0\0", "1\n.0", "1\t", "\x1b[1m1", "1\u{85}", "1\x7f"] {
                assert!(version(format, "it", bad).is_err(), "{format:?} {bad:?}");
            }
        }
    }

    #[test]
    fn architectures_are_lower_case_words() {
        for good in ["amd64", "all", "noarch", "x86_64", "musl-linux-armhf", "ppc64le"] {
            assert!(is_architecture(good), "{good}");
        }
        for bad in ["", "../x", "any any", "AMD64", "-x", "é", "amd64\0", "amd64\n", "a\tb", "a\x1b"] {
            assert!(!is_architecture(bad), "{bad:?}");
        }
    }
}
