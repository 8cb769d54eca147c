//! apk's order of versions, as apk-tools 2.14 has it.
//!
//! ```text
//! digits{.digits}[a-z[digits]]{_suffix[digits]}[~commit][-r digits]
//! suffix: alpha beta pre rc   (before the release)   cvs svn git hg p   (after it)
//! ```
//!
//! A version is a sequence of tokens, each a kind and a number, and the first difference decides.
//! What is peculiar about it, all of it found by asking the real program:
//! - a component behind a dot that begins with zeros is two tokens, the number of its zeros (more
//!   zeros are older) and the digits after them: `1.05 < 1.4`;
//! - when one version ends, the other is newer, unless it goes on with a suffix of the first kind;
//! - when both go on with different kinds, the one whose kind comes first in the grammar is newer;
//! - a number of more than 17 digits, an unknown suffix or any other character is *invalid* and ends
//!   the comparison. `~commit`, which only apk 3 knows, is among these: it does not order versions.

use std::cmp::Ordering;

/// What comes next in a version. The order counts: where kinds differ, the lesser one is newer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Invalid,
    Component,
    Number,
    Letter,
    Suffix,
    SuffixNumber,
    Revision,
    End,
}

/// A number of more digits than this is invalid.
const MAX_DIGITS: usize = 17;

/// Suffixes with their places; those before the release are negative. `pre` is found before `p`.
const SUFFIXES: [(&[u8], i64); 9] = [
    (b"alpha", -4),
    (b"beta", -3),
    (b"pre", -2),
    (b"rc", -1),
    (b"cvs", 0),
    (b"svn", 1),
    (b"git", 2),
    (b"hg", 3),
    (b"p", 4),
];

/// Compares two versions, whatever they hold.
pub(super) fn compare(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (Tokens::of(a), Tokens::of(b));
    while a.kind == b.kind && !matches!(a.kind, Kind::End | Kind::Invalid) {
        let order = a.next().cmp(&b.next());
        if order != Ordering::Equal {
            return order;
        }
    }
    if a.kind == b.kind {
        return Ordering::Equal;
    }
    // The version that goes on is newer, unless it goes on with what comes before a release.
    let kinds = b.kind.cmp(&a.kind);
    if a.kind == Kind::Suffix && a.next() < 0 {
        return Ordering::Less;
    }
    if b.kind == Kind::Suffix && b.next() < 0 {
        return Ordering::Greater;
    }
    kinds
}

/// Checks the grammar, a little stricter than apk does itself: numbers are never empty.
pub(super) fn is_valid(version: &str) -> bool {
    let (version, revision) = match version.split_once('-') {
        Some((version, revision)) => (version, Some(revision)),
        None => (version, None),
    };
    let (release, commit) = match version.split_once('~') {
        Some((release, commit)) => (release, Some(commit)),
        None => (version, None),
    };
    is_release(release)
        && revision.is_none_or(|text| text.strip_prefix('r').is_some_and(is_number))
        && commit.is_none_or(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn is_number(text: &str) -> bool {
    (1..=MAX_DIGITS).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Checks what stands before commit and revision.
fn is_release(version: &str) -> bool {
    let mut parts = version.split('_');
    let numbers = parts.next().unwrap_or_default();
    let letter = numbers.find(|character: char| character.is_ascii_lowercase());
    let (numbers, patch) = match letter {
        Some(at) => (&numbers[..at], &numbers[at + 1..]),
        None => (numbers, ""),
    };
    (patch.is_empty() || is_number(patch))
        && numbers.split('.').all(is_number)
        && parts.all(|part| {
            let digits = part.find(|character: char| character.is_ascii_digit()).unwrap_or(part.len());
            let (name, number) = part.split_at(digits);
            SUFFIXES.iter().any(|(suffix, _)| *suffix == name.as_bytes()) && (number.is_empty() || is_number(number))
        })
}

/// A version that is being read: the kind of its next token, and the text from there on.
struct Tokens<'a> {
    kind: Kind,
    rest: &'a [u8],
    /// Digits that a number may have: one less behind leading zeros.
    digits: usize,
}

impl<'a> Tokens<'a> {
    const fn of(version: &'a str) -> Self {
        Self { kind: Kind::Number, rest: version.as_bytes(), digits: MAX_DIGITS }
    }

    /// Reads the next token, gives its number, and finds the kind of the one behind it.
    fn next(&mut self) -> i64 {
        if self.rest.is_empty() {
            self.kind = Kind::End;
            return 0;
        }
        let value = match self.kind {
            Kind::Component if self.rest.first() == Some(&b'0') => {
                let zeros = self.rest.iter().take_while(|digit| **digit == b'0').count();
                self.rest = &self.rest[zeros..];
                self.kind = Kind::Number;
                self.digits = MAX_DIGITS - 1;
                return -i64::try_from(zeros).unwrap_or(i64::MAX);
            }
            Kind::Component | Kind::Number | Kind::SuffixNumber | Kind::Revision => self.number(),
            Kind::Letter => self.rest.split_first().map(|(letter, rest)| {
                self.rest = rest;
                i64::from(*letter)
            }),
            Kind::Suffix => SUFFIXES.iter().find(|(name, _)| self.rest.starts_with(name)).map(|(name, place)| {
                self.rest = &self.rest[name.len()..];
                *place
            }),
            Kind::Invalid | Kind::End => return 0,
        };
        let Some(value) = value else {
            self.kind = Kind::Invalid;
            return -1;
        };
        self.step();
        value
    }

    fn number(&mut self) -> Option<i64> {
        let length = self.rest.iter().take_while(|digit| digit.is_ascii_digit()).count();
        let most = std::mem::replace(&mut self.digits, MAX_DIGITS);
        if length > most {
            return None;
        }
        let (digits, rest) = self.rest.split_at(length);
        self.rest = rest;
        Some(digits.iter().fold(0, |value, digit| value * 10 + i64::from(digit - b'0')))
    }

    /// Finds out what the text goes on with.
    fn step(&mut self) {
        let Some((first, behind)) = self.rest.split_first() else {
            self.kind = Kind::End;
            return;
        };
        let next = match (self.kind, first) {
            (Kind::Component | Kind::Number, b'a'..=b'z') => Kind::Letter,
            (Kind::Letter, b'0'..=b'9') => Kind::Number,
            (Kind::Suffix, b'0'..=b'9') => Kind::SuffixNumber,
            (kind, b'.') if kind <= Kind::Number => {
                self.rest = behind;
                Kind::Component
            }
            (kind, b'_') if kind <= Kind::SuffixNumber => {
                self.rest = behind;
                Kind::Suffix
            }
            (_, b'-') if behind.first() == Some(&b'r') => {
                self.rest = &behind[1..];
                Kind::Revision
            }
            _ => Kind::Invalid,
        };
        self.kind = next;
    }
}
