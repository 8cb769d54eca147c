//! Relations: what one package says of another, and whether a version meets it.
//!
//! | | Debian | apk |
//! |---|---|---|
//! | [`Operator::Earlier`] | `<<` | `<` |
//! | [`Operator::EarlierOrEqual`] | `<=`, and of old `<` | `<=` |
//! | [`Operator::Equal`] | `=` | `=` |
//! | [`Operator::LaterOrEqual`] | `>=`, and of old `>` | `>=` |
//! | [`Operator::Later`] | `>>` | `>` |
//! | [`Operator::Matches`] | | `~`, `=~`, `~=` |
//!
//! The formats' spellings are known here and nowhere else: a text becomes an [`Operator`] once, with its
//! format, and the same word (`<`) has ended to mean two things. apk's `><`, a checksum in the place
//! of a version, is no relation to a version and is not one of these.
//!
//! Sources: Debian Policy 7.1, `apk-package(5)`.

use std::cmp::Ordering;

use crate::format::Format;
use crate::name::{Architecture, PackageName};
use crate::version::Version;

/// How a version must stand to the one that a relation names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operator {
    /// Older.
    Earlier,
    /// Older, or the same.
    EarlierOrEqual,
    /// The same in the format's order, however it is written.
    Equal,
    /// The same, or newer.
    LaterOrEqual,
    /// Newer.
    Later,
    /// Begins with the same components.
    Matches,
}

impl Operator {
    /// Reads an operator as the format writes it.
    #[must_use]
    pub fn parse(format: Format, text: &str) -> Option<Self> {
        match (format, text) {
            (Format::Deb | Format::Tar, "<<") | (Format::Apk, "<") => Some(Self::Earlier),
            (_, "<=") | (Format::Deb | Format::Tar, "<") => Some(Self::EarlierOrEqual),
            (_, "=") => Some(Self::Equal),
            (_, ">=") | (Format::Deb | Format::Tar, ">") => Some(Self::LaterOrEqual),
            (Format::Deb | Format::Tar, ">>") | (Format::Apk, ">") => Some(Self::Later),
            (Format::Apk, "~" | "=~" | "~=") => Some(Self::Matches),
            _ => None,
        }
    }

    /// Gives the format's spelling, of several the usual one.
    #[must_use]
    pub const fn symbol(self, format: Format) -> &'static str {
        match (self, format) {
            (Self::Earlier, Format::Apk) => "<",
            (Self::Earlier, _) => "<<",
            (Self::EarlierOrEqual, _) => "<=",
            (Self::Equal, _) => "=",
            (Self::LaterOrEqual, _) => ">=",
            (Self::Later, Format::Apk) => ">",
            (Self::Later, _) => ">>",
            (Self::Matches, _) => "~",
        }
    }

    /// Says whether `have` stands so to `named`.
    #[must_use]
    pub fn holds(self, format: Format, have: &Version, named: &Version) -> bool {
        let order = || have.compare(format, named);
        match self {
            Self::Earlier => order() == Ordering::Less,
            Self::EarlierOrEqual => order() != Ordering::Greater,
            Self::Equal => order() == Ordering::Equal,
            Self::LaterOrEqual => order() != Ordering::Less,
            Self::Later => order() == Ordering::Greater,
            Self::Matches => have.strip_prefix(&**named).is_some_and(|rest| ends_between(named, rest)),
        }
    }
}

/// Says whether a version's components end where its text is cut in two: not within a number, nor within a word.
fn ends_between(named: &str, rest: &str) -> bool {
    let (before, behind) = (named.bytes().next_back(), rest.bytes().next());
    let both = |is: fn(&u8) -> bool| before.as_ref().is_some_and(is) && behind.as_ref().is_some_and(is);
    !both(u8::is_ascii_digit) && !both(u8::is_ascii_alphabetic)
}

/// A package by name, perhaps only in some of its versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// Which package.
    pub name: PackageName,
    /// Of which architecture (`libc6:i386`), where it is said.
    pub arch: Option<Architecture>,
    /// In which versions; all of them where nothing is said.
    pub constraint: Option<(Operator, Version)>,
}

impl Relation {
    /// Says whether a version of the package named here, of that format, meets the relation.
    #[must_use]
    pub fn is_met_by(&self, format: Format, version: &Version) -> bool {
        self.constraint.as_ref().is_none_or(|(operator, named)| operator.holds(format, version, named))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Operator; 6] = [
        Operator::Earlier,
        Operator::EarlierOrEqual,
        Operator::Equal,
        Operator::LaterOrEqual,
        Operator::Later,
        Operator::Matches,
    ];

    fn is_met(format: Format, have: &str, operator: &str, named: &str) -> bool {
        let version = |text| Version::new(format, text).unwrap();
        let operator = Operator::parse(format, operator).unwrap();
        Relation {
            name: PackageName::new(format, "aa").unwrap(),
            arch: None,
            constraint: Some((operator, version(named))),
        }
        .is_met_by(format, &version(have))
    }

    #[test]
    fn an_operator_means_what_its_format_says() {
        // Each with a version that is older than, equal to, and newer than the named one.
        for (format, operator, expected) in [
            (Format::Deb, "<<", [true, false, false]),
            (Format::Deb, "<", [true, true, false]),
            (Format::Deb, "<=", [true, true, false]),
            (Format::Deb, "=", [false, true, false]),
            (Format::Deb, ">=", [false, true, true]),
            (Format::Deb, ">", [false, true, true]),
            (Format::Deb, ">>", [false, false, true]),
            (Format::Apk, "<", [true, false, false]),
            (Format::Apk, "<=", [true, true, false]),
            (Format::Apk, "=", [false, true, false]),
            (Format::Apk, ">=", [false, true, true]),
            (Format::Apk, ">", [false, false, true]),
        ] {
            let found = ["1.9", "2.0", "10.0"].map(|have| is_met(format, have, operator, "2.0"));
            assert_eq!(found, expected, "{} {operator}", format.name());
        }
        assert!(is_met(Format::Deb, "1.0-0", "=", "1.0"), "equal is what the order says, not the text");
    }

    #[test]
    fn a_match_compares_whole_components() {
        for (have, named, expected) in [
            ("1.2", "1.2", true),
            ("1.2.3", "1.2", true),
            ("1.2-r0", "1.2", true),
            ("1.2_p1-r0", "1.2", true),
            ("1.23", "1.2", false),
            ("1.2a", "1.2", true),
            ("1.2b-r0", "1.2", true),
            ("1.2_rc1", "1.2", true),
            ("1.2_pre1", "1.2_p", false),
            ("1", "1.2", false),
        ] {
            for operator in ["~", "=~", "~="] {
                assert_eq!(is_met(Format::Apk, have, operator, named), expected, "{have} {operator} {named}");
            }
        }
    }

    #[test]
    fn an_operator_that_the_format_does_not_have_cannot_be_made() {
        for (format, words) in [
            (Format::Deb, &["~", "=~", "==", "=>", "", "!=", "><"][..]),
            // apk-tools 2.14 takes the last four for a relation that nothing meets.
            (Format::Apk, &["<<", ">>", "==", "=>", "", "!=", "><", ">~", "<~", ">=~", "<=~"]),
        ] {
            for word in words {
                assert_eq!(Operator::parse(format, word), None, "{} {word}", format.name());
            }
        }
    }

    #[test]
    fn a_symbol_reads_back_as_its_operator() {
        for (format, operators) in [(Format::Deb, &ALL[..5]), (Format::Apk, &ALL[..])] {
            for operator in operators {
                assert_eq!(Operator::parse(format, operator.symbol(format)), Some(*operator));
            }
        }
    }

    #[test]
    fn a_relation_without_a_constraint_is_met_by_every_version() {
        let relation = Relation { name: PackageName::new(Format::Deb, "aa").unwrap(), arch: None, constraint: None };
        assert!(relation.is_met_by(Format::Deb, &Version::new(Format::Deb, "0~").unwrap()));
    }
}
