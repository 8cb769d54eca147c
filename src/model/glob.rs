//! Selection patterns: which paths of a package come into an image.
//!
//! One dialect, described for users in `docs/definition.md`. A pattern begins with a slash and is
//! held against the package's own path, as bytes:
//! - `*` is any run of bytes within one component, `?` one byte, `[a-z]` one byte of a class,
//!   `[!a-z]` one byte that is not in it; a backslash takes the next character literally;
//! - `**`, alone between slashes, is any number of components; at the end at least one, so that
//!   `/etc/**` is what lies below `/etc` but not `/etc` itself;
//! - a pattern that matches a directory matches everything below it.
//!
//! A [`Selection`] is an ordered list of such patterns, each of which keeps or leaves out. The first
//! one that matches decides; a path that none matches is kept.
//!
//! Most paths are turned away by most patterns at one comparison: each pattern knows the bytes that
//! a path must begin with. The match itself goes back only to the last `*` (or `**`), so that its
//! time is at most the product of both lengths, whatever the pattern. Patterns without wildcards are
//! found by the path ([`PatternSet`]), however many there are; of the others definitions have few
//! ([`MOST_WILD`]).

mod unmatched;

use std::collections::HashMap;

pub use unmatched::Unmatched;

use crate::path::TreePath;

/// Longest pattern that is accepted, in bytes: no path is longer.
const MAX_PATTERN: usize = crate::path::MAX_PATH;

/// Patterns with wildcards that a list of a definition may have: each is held against every path of a package.
pub const MOST_WILD: usize = 512;

/// Tells why a text is not a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// It does not begin with a slash.
    #[error("a pattern must begin with `/`")]
    Relative,
    /// It is `/`, which would be everything.
    #[error("a pattern must name something below `/`; for everything write `/**`")]
    Root,
    /// Two slashes in a row, `.` or `..`, or NUL.
    #[error("a pattern has no empty component, no `.`, no `..` and no NUL byte")]
    Component,
    /// `**` beside other characters.
    #[error("`**` must stand alone between slashes; within a name write `*`")]
    DoubleStar,
    /// `[` without `]`, or `[]`.
    #[error("a class `[...]` is not empty and ends with `]` before the next slash; a bracket itself is `\\[`")]
    Class,
    /// `[z-a]`.
    #[error("a range within `[...]` goes upwards")]
    Range,
    /// `{a,b}`.
    #[error("`{{...}}` is not supported: write two patterns, or `\\{{` for a brace")]
    Brace,
    /// A backslash with nothing behind it.
    #[error("a backslash must be followed by a character")]
    Backslash,
    /// It is longer than any path.
    #[error("the pattern is longer than any path")]
    Long,
}

/// One step of a pattern within a component.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Byte(u8),
    /// `?`
    One,
    /// `*`
    Run,
    /// `[...]`: a bit for every byte.
    Class([u64; 4]),
}

impl Token {
    fn takes(&self, byte: u8) -> bool {
        match self {
            Self::Byte(own) => *own == byte,
            Self::One => true,
            Self::Class(bits) => bits[usize::from(byte >> 6)] & (1 << (byte & 63)) != 0,
            Self::Run => false,
        }
    }
}

/// One component of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(Box<[u8]>),
    Wild(Box<[Token]>),
    /// `**`
    Depth,
}

/// A pattern, ready to match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    text: Box<str>,
    /// What a matching path begins with.
    prefix: Box<[u8]>,
    /// How much of a path the leading literal components take, the slash behind them included.
    skipped: usize,
    /// The components behind the leading literal ones; empty when all are literal.
    parts: Box<[Part]>,
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// When it breaks a rule of the dialect.
    pub fn new(text: &str) -> Result<Self, PatternError> {
        if text.len() > MAX_PATTERN {
            return Err(PatternError::Long);
        }
        let inner = text.strip_prefix('/').ok_or(PatternError::Relative)?;
        let inner = inner.strip_suffix('/').unwrap_or(inner);
        if inner.is_empty() {
            return Err(PatternError::Root);
        }
        let mut parts = Vec::new();
        for component in inner.split('/') {
            let part = part(component.as_bytes())?;
            if part != Part::Depth || parts.last() != Some(&Part::Depth) {
                parts.push(part);
            }
        }
        let literal = parts.iter().take_while(|part| matches!(part, Part::Literal(_))).count();
        let mut prefix = Vec::new();
        for part in parts.drain(..literal) {
            if let Part::Literal(name) = part {
                prefix.extend_from_slice(&name);
                prefix.push(b'/');
            }
        }
        let skipped = prefix.len();
        match parts.first() {
            None => drop(prefix.pop()),
            Some(Part::Wild(tokens)) => prefix.extend(tokens.iter().map_while(|token| match token {
                Token::Byte(byte) => Some(*byte),
                _ => None,
            })),
            Some(_) => {}
        }
        Ok(Self { text: text.into(), prefix: prefix.into(), skipped, parts: parts.into() })
    }

    /// Says whether the pattern names this path or a directory above it.
    #[must_use]
    pub fn matches(&self, path: &TreePath) -> bool {
        let bytes = path.as_bytes();
        if !bytes.starts_with(&self.prefix) {
            return false;
        }
        if self.parts.is_empty() {
            return bytes.get(self.prefix.len()).is_none_or(|next| *next == b'/');
        }
        parts_match(&self.parts, &bytes[self.skipped..])
    }

    /// Says whether it names one path.
    #[must_use]
    pub const fn is_literal(&self) -> bool {
        self.parts.is_empty()
    }

    /// Gives the pattern as it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// Patterns, numbered: finds the first one that matches a path.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PatternSet {
    /// Numbers of those without wildcards, by the path that they name.
    literal: HashMap<Box<[u8]>, usize>,
    /// The others, in order.
    wild: Vec<(usize, Pattern)>,
}

impl PatternSet {
    /// Takes patterns with their numbers, which go upwards.
    pub fn new(patterns: impl IntoIterator<Item = (usize, Pattern)>) -> Self {
        let mut set = Self::default();
        for (at, pattern) in patterns {
            if pattern.is_literal() {
                set.literal.entry(pattern.prefix).or_insert(at);
            } else {
                set.wild.push((at, pattern));
            }
        }
        set
    }

    /// Gives the number of the first pattern that names this path or a directory above it.
    #[must_use]
    pub fn first(&self, path: &TreePath) -> Option<usize> {
        let bytes = path.as_bytes();
        let ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(end, _)| end);
        let literal = ends.chain([bytes.len()]).filter_map(|end| self.literal.get(&bytes[..end]).copied()).min();
        let before = self.wild.iter().take_while(|(at, _)| literal.is_none_or(|literal| *at < literal));
        before.filter(|(_, pattern)| pattern.matches(path)).map(|(at, _)| *at).next().or(literal)
    }
}

/// An ordered list of patterns that keep or leave out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selection {
    /// What each rule does, and its pattern as it was written.
    rules: Vec<(bool, Box<str>)>,
    patterns: PatternSet,
}

impl Selection {
    /// Reads pairs of "keeps" and pattern, in the order in which they count.
    ///
    /// # Errors
    /// When one is not a pattern.
    pub fn new<'a>(rules: impl IntoIterator<Item = (bool, &'a str)>) -> Result<Self, PatternError> {
        let (mut read, mut patterns) = (Vec::new(), Vec::new());
        for (at, (keeps, text)) in rules.into_iter().enumerate() {
            let pattern = Pattern::new(text)?;
            read.push((keeps, pattern.text.clone()));
            patterns.push((at, pattern));
        }
        Ok(Self { rules: read, patterns: PatternSet::new(patterns) })
    }

    /// Says whether this path of a package comes into the image: the first pattern that matches
    /// decides.
    #[must_use]
    pub fn selects(&self, path: &TreePath) -> bool {
        self.patterns.first(path).is_none_or(|at| self.rules[at].0)
    }

    /// Gives bytes that name this selection in the key of a derivation: for every pattern in order
    /// one byte (1 keeps, 0 leaves out), its length as eight bytes, little-endian, and its text.
    #[must_use]
    pub fn key(&self) -> Vec<u8> {
        let mut key = Vec::new();
        for (keeps, text) in &self.rules {
            key.push(u8::from(*keeps));
            key.extend_from_slice(&(text.len() as u64).to_le_bytes());
            key.extend_from_slice(text.as_bytes());
        }
        key
    }
}

/// Reads one component.
fn part(bytes: &[u8]) -> Result<Part, PatternError> {
    match bytes {
        b"" | b"." | b".." => return Err(PatternError::Component),
        b"**" => return Ok(Part::Depth),
        _ => {}
    }
    let mut tokens = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let [first, tail @ ..] = rest {
        rest = tail;
        tokens.push(match first {
            0 => return Err(PatternError::Component),
            b'{' | b'}' => return Err(PatternError::Brace),
            b'?' => Token::One,
            b'*' if tokens.last() == Some(&Token::Run) => return Err(PatternError::DoubleStar),
            b'*' => Token::Run,
            b'[' => {
                let (class, tail) = class(rest)?;
                rest = tail;
                class
            }
            b'\\' => {
                let (literal, tail) = rest.split_first().ok_or(PatternError::Backslash)?;
                rest = tail;
                Token::Byte(*literal)
            }
            literal => Token::Byte(*literal),
        });
    }
    let literal: Option<Box<[u8]>> = tokens
        .iter()
        .map(|token| match token {
            Token::Byte(byte) => Some(*byte),
            _ => None,
        })
        .collect();
    Ok(literal.map_or_else(|| Part::Wild(tokens.into()), Part::Literal))
}

/// Reads a class behind its bracket; gives what is left behind the closing one.
fn class(bytes: &[u8]) -> Result<(Token, &[u8]), PatternError> {
    let (negated, mut rest) = match bytes {
        [b'!' | b'^', tail @ ..] => (true, tail),
        _ => (false, bytes),
    };
    let mut bits = [0_u64; 4];
    let mut empty = true;
    loop {
        let (low, tail) = match rest {
            [b']', tail @ ..] if !empty => {
                if negated {
                    bits = bits.map(|word| !word);
                }
                return Ok((Token::Class(bits), tail));
            }
            [] | [b']', ..] => return Err(PatternError::Class),
            [b'\\', literal, tail @ ..] | [literal, tail @ ..] => (*literal, tail),
        };
        let (high, tail) = match tail {
            [b'-', b'\\', high, tail @ ..] => (*high, tail),
            [b'-', high, tail @ ..] if *high != b']' => (*high, tail),
            _ => (low, tail),
        };
        if high < low {
            return Err(PatternError::Range);
        }
        for byte in low..=high {
            bits[usize::from(byte >> 6)] |= 1 << (byte & 63);
        }
        empty = false;
        rest = tail;
    }
}

/// Matches components. On a mismatch it goes back to the last `**` and lets that take one more:
/// earlier ones never need to take more than they did.
fn parts_match(parts: &[Part], path: &[u8]) -> bool {
    let mut rest = Some(path);
    let mut at = 0;
    let mut back = None;
    while let Some(part) = parts.get(at) {
        let Some(bytes) = rest else { return false };
        if *part == Part::Depth {
            at += 1;
            if at == parts.len() {
                return true;
            }
            back = Some((at, bytes));
            continue;
        }
        let (name, tail) = split(bytes);
        let taken = match part {
            Part::Literal(own) => **own == *name,
            Part::Wild(tokens) => tokens_match(tokens, name),
            Part::Depth => true,
        };
        if taken {
            at += 1;
            rest = tail;
        } else if let Some((again, bytes)) = back {
            let (_, tail) = split(bytes);
            let Some(bytes) = tail else { return false };
            back = Some((again, bytes));
            at = again;
            rest = tail;
        } else {
            return false;
        }
    }
    true
}

/// Matches one name, going back to the last `*` on a mismatch.
fn tokens_match(tokens: &[Token], name: &[u8]) -> bool {
    // The end is quickly told: that of `*.pyc`, which most names do not have.
    if let (Some(token), Some(byte)) = (tokens.last(), name.last())
        && *token != Token::Run
        && !token.takes(*byte)
    {
        return false;
    }
    let (mut token, mut byte) = (0, 0);
    let mut back = None;
    loop {
        match (tokens.get(token), name.get(byte)) {
            (None, None) => return true,
            (Some(Token::Run), _) => {
                back = Some((token + 1, byte));
                token += 1;
                continue;
            }
            (Some(own), Some(given)) if own.takes(*given) => {
                token += 1;
                byte += 1;
                continue;
            }
            _ => {}
        }
        match back {
            Some((again, start)) if start < name.len() => {
                back = Some((again, start + 1));
                token = again;
                byte = start + 1;
            }
            _ => return false,
        }
    }
}

/// Splits the first component off.
fn split(path: &[u8]) -> (&[u8], Option<&[u8]>) {
    match path.iter().position(|byte| *byte == b'/') {
        Some(at) => (&path[..at], Some(&path[at + 1..])),
        None => (path, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> TreePath {
        TreePath::new(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_pattern_matches_what_the_dialect_says() {
        for (pattern, matched, others) in [
            ("/etc", &["etc", "etc/passwd", "etc/a/b"][..], &["etcetera", "usr/etc", "et"][..]),
            ("/etc/", &["etc", "etc/passwd"], &["etcetera"]),
            ("/etc/**", &["etc/passwd", "etc/a/b"], &["etc", "etcetera"]),
            ("/**", &["a", "a/b"], &[]),
            ("/**/**", &["a", "a/b"], &[]),
            (
                "/usr/share/doc/*/copyright",
                &["usr/share/doc/a/copyright"],
                &["usr/share/doc/copyright", "usr/share/doc/a/b/copyright", "usr/share/doc/a/copyrights"],
            ),
            (
                "/usr/share/doc/*/**",
                &["usr/share/doc/a/b", "usr/share/doc/a/b/c"],
                &["usr/share/doc/a", "usr/share/doc"],
            ),
            (
                "/usr/lib/*/gconv",
                &["usr/lib/x/gconv", "usr/lib/x/gconv/a.so"],
                &["usr/lib/gconv", "usr/lib/x/y/gconv", "usr/lib/x/gconv2"],
            ),
            ("/**/*.pyc", &["a.pyc", "a/b.pyc", "a/b.pyc/c"], &["a.py", "a/b.pyco"]),
            ("/a/**/b", &["a/b", "a/x/b", "a/x/y/b", "a/b/c"], &["a", "b", "a/x", "ab"]),
            ("/a/**/b/**/c", &["a/b/c", "a/x/b/b/y/c", "a/b/x/b/c/d"], &["a/c", "a/b", "a/c/b"]),
            ("/a/*b*c", &["a/bc", "a/xbyc", "a/bcbc", "a/bc/d"], &["a/cb", "a/bcx", "a/b/c"]),
            ("/a?c", &["abc", "a-c"], &["ac", "a/c", "abbc"]),
            ("/lib[0-9x]", &["lib3", "libx"], &["lib", "liby", "lib32"]),
            ("/lib[!0-9]", &["liby"], &["lib3"]),
            ("/[a-]", &["a", "-"], &["b"]),
            (r"/a\*[\]\\]", &["a*]", "a*\\"], &["ab]"]),
            (r"/usr/bin/\[", &["usr/bin/["], &["usr/bin/a"]),
            ("/usr/lib*", &["usr/lib", "usr/lib64/x"], &["usr/li", "usr/x/lib"]),
        ] {
            let pattern = Pattern::new(pattern).unwrap();
            for yes in matched {
                assert!(pattern.matches(&path(yes)), "{} matches {yes}", pattern.text());
            }
            for no in others {
                assert!(!pattern.matches(&path(no)), "{} does not match {no}", pattern.text());
            }
        }
    }

    #[test]
    fn bytes_that_are_not_utf8_are_matched_one_by_one() {
        let name = TreePath::new(b"a\xffb").unwrap();
        assert!(Pattern::new("/a?b").unwrap().matches(&name));
        assert!(Pattern::new("/a[!x]b").unwrap().matches(&name));
        assert!(!Pattern::new("/a?").unwrap().matches(&path("aé")), "two bytes");
    }

    #[test]
    fn what_breaks_the_dialect_is_refused() {
        for (text, error) in [
            ("etc", PatternError::Relative),
            ("!/etc", PatternError::Relative),
            ("", PatternError::Relative),
            ("/", PatternError::Root),
            ("//a", PatternError::Component),
            ("/a//b", PatternError::Component),
            ("/a/../b", PatternError::Component),
            ("/./b", PatternError::Component),
            ("/a\0", PatternError::Component),
            ("/a**", PatternError::DoubleStar),
            ("/**a", PatternError::DoubleStar),
            ("/[", PatternError::Class),
            ("/[]", PatternError::Class),
            ("/[a/b]", PatternError::Class),
            ("/[z-a]", PatternError::Range),
            ("/{a,b}", PatternError::Brace),
            ("/a\\", PatternError::Backslash),
        ] {
            assert_eq!(Pattern::new(text), Err(error), "{text:?}");
        }
        assert_eq!(Pattern::new(&format!("/{}", "a".repeat(5000))), Err(PatternError::Long));
    }

    #[test]
    fn the_first_match_decides_and_no_match_keeps() {
        let selection = Selection::new([(true, "/doc/*/copyright"), (false, "/doc/**"), (true, "/doc/x")]).unwrap();
        for (given, kept) in [("doc/x/copyright", true), ("doc/x/a", false), ("doc", true), ("etc", true)] {
            assert_eq!(selection.selects(&path(given)), kept, "{given}");
        }
    }

    #[test]
    fn two_selections_have_the_same_key_only_when_they_are_the_same() {
        let key = |rules: &[(bool, &'static str)]| Selection::new(rules.iter().copied()).unwrap().key();
        assert_eq!(key(&[(true, "/a")]), b"\x01\x02\0\0\0\0\0\0\0/a");
        let keys = [key(&[]), key(&[(true, "/a")]), key(&[(false, "/a")]), key(&[(true, "/a"), (true, "/b")])];
        for (at, one) in keys.iter().enumerate() {
            assert_eq!(keys.iter().position(|other| other == one), Some(at));
        }
    }

    #[test]
    fn a_hostile_pattern_takes_no_longer_than_the_product_of_the_lengths() {
        let name = path(&format!("{}/{}", ["a"; 100].join("/"), "a".repeat(200)));
        let stars = format!("/{}/{}b", ["**/a"; 50].join("/"), "*a".repeat(50));
        assert!(!Pattern::new(&stars).unwrap().matches(&name));
    }

    /// The dialect as it is described, without regard for time.
    fn described(pattern: &[&str], path: &[&[u8]]) -> bool {
        match (pattern, path) {
            ([], _) => true,
            (_, []) => false,
            (["**"], _) => true,
            (["**", rest @ ..], [_, tail @ ..]) => described(rest, path) || described(pattern, tail),
            ([first, rest @ ..], [name, tail @ ..]) => described_name(first.as_bytes(), name) && described(rest, tail),
        }
    }

    fn described_name(pattern: &[u8], name: &[u8]) -> bool {
        match (pattern, name) {
            ([], []) => true,
            ([b'*', rest @ ..], _) => (0..=name.len()).any(|taken| described_name(rest, &name[taken..])),
            ([b'?', rest @ ..], [_, tail @ ..]) => described_name(rest, tail),
            ([byte, rest @ ..], [given, tail @ ..]) if byte == given => described_name(rest, tail),
            _ => false,
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config::with_cases(4000))]
        #[test]
        fn matching_agrees_with_the_description(
            pattern in proptest::collection::vec("\\*\\*|[ab?]{1,3}|[ab?]?\\*|[ab?]?\\*[ab?]{1,2}(\\*[ab]?)?", 1..5),
            path in proptest::collection::vec("[ab]{1,4}", 1..6),
        ) {
            let text = format!("/{}", pattern.join("/"));
            let pattern: Vec<&str> = pattern.iter().map(String::as_str).collect();
            let names: Vec<&[u8]> = path.iter().map(String::as_bytes).collect();
            let given = TreePath::new(path.join("/").as_bytes()).unwrap();
            let others = ["/a/b", "/b", &text, "/a", "/ab/a"];
            for from in 0..others.len() {
                let patterns = || others[from..].iter().map(|text| Pattern::new(text).unwrap()).enumerate();
                let first = patterns().find(|(_, pattern)| pattern.matches(&given)).map(|(at, _)| at);
                proptest::prop_assert_eq!(PatternSet::new(patterns()).first(&given), first, "{:?} {}", &others[from..], given);
            }
            proptest::prop_assert_eq!(Pattern::new(&text).unwrap().matches(&given), described(&pattern, &names), "{} {}", text, given);
        }
    }
}
