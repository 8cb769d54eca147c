//! Words of a definition as they are typed: what hints print.
//!
//! A hint is copied into a definition without being read closely, and what it names comes from packages
//! of others. So each word goes through here: quoted, so that it ends where it should end, and only if
//! the definition would read from it exactly what is meant and no more.

use std::fmt::Write as _;

use super::syntax;
use dlstore_model::escape::is_hostile;
use dlstore_model::glob::Pattern;
use dlstore_model::path::TreePath;

/// Writes a text as a basic string of TOML (<https://toml.io/en/v1.0.0#string>). What a terminal or a log
/// could take amiss is written by its number too, so that the text is still TOML when it was printed.
pub(crate) fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    let mut before = None;
    for character in text.chars() {
        let number = u32::from(character);
        // Writing to a string cannot fail.
        let _ = match character {
            '"' | '\\' => write!(quoted, "\\{character}"),
            '\n' => write!(quoted, "\\n"),
            '\t' => write!(quoted, "\\t"),
            // `##[` begins a command in the log of a CI service.
            '#' if before == Some('#') => write!(quoted, "\\u0023"),
            _ if is_hostile(character) && number <= 0xffff => write!(quoted, "\\u{number:04X}"),
            _ if is_hostile(character) => write!(quoted, "\\U{number:08X}"),
            _ => write!(quoted, "{character}"),
        };
        before = Some(character);
    }
    quoted.push('"');
    quoted
}

/// Gives the pattern that names exactly this path, and what is below it; `None` when no text can.
pub(crate) fn pattern(path: &TreePath) -> Option<String> {
    let mut pattern = String::from("/");
    for character in std::str::from_utf8(path.as_bytes()).ok()?.chars() {
        if matches!(character, '*' | '?' | '[' | ']' | '{' | '}' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    Pattern::new(&pattern).is_ok_and(|read| read.matches(path)).then_some(pattern)
}

/// Gives the text that names exactly this path and nothing else; `None` when no text can.
pub(crate) fn exact(path: &TreePath) -> Option<String> {
    let text = format!("/{}", std::str::from_utf8(path.as_bytes()).ok()?);
    TreePath::from_absolute(&text).is_ok_and(|read| read == *path).then_some(text)
}

/// Gives the waiver of one gap, its reason left to whoever types it; `None` when no waiver can name it and
/// nothing else.
pub(crate) fn waiver(path: &TreePath, lacks: &[u8]) -> Option<String> {
    let (from, to) = (pattern(path)?, std::str::from_utf8(lacks).ok()?);
    let text = format!("{from} -> {to}: WHY");
    let read = syntax::waiver(&text).ok()?;
    (read.from == from && read.to == to && to != "*").then_some(text)
}

/// Gives the waiver of what a package, or a key of the definition, lacks; `None` as above.
pub(crate) fn waiver_of(who: &str, lacks: &str) -> Option<String> {
    let text = format!("{who} -> {lacks}: WHY");
    let read = syntax::waiver(&text).ok()?;
    (read.from == who && read.to == lacks && lacks != "*" && !who.starts_with('/')).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(bytes: &[u8]) -> TreePath {
        TreePath::new(bytes).unwrap()
    }

    #[test]
    fn what_is_quoted_is_read_back_as_it_was() {
        for text in [
            "",
            "plain",
            "x\", \"/** -> *",
            "\\",
            "a\nb\tc\r\0\u{1b}\u{7f}\u{85}",
            "\u{202e}\u{e0041}\u{feff}",
            "\"\"\"",
            "##[error]x ###",
            "\u{e9}\u{1f600}",
        ] {
            let quoted = quoted(text);
            let table: toml::Table =
                format!("x = [{quoted}]").parse().unwrap_or_else(|error| panic!("{quoted}: {error}"));
            assert_eq!(table["x"].as_array().unwrap(), &[toml::Value::from(text)], "{quoted}");
            assert!(!quoted.chars().any(is_hostile) && !quoted.contains("##["), "{quoted}");
        }
    }

    #[test]
    fn a_pattern_of_a_path_names_no_other() {
        for (name, others) in [
            (&b"usr/a*"[..], &[&b"usr/ab"[..], b"usr/a"][..]),
            (b"usr/[ab]?", &[b"usr/ax"]),
            (b"usr/**", &[b"usr/x", b"usr/x/y"]),
            (br"usr/a\x2d{b}", &[b"usr/ax2d{b}"]),
        ] {
            let pattern = Pattern::new(&pattern(&path(name)).unwrap()).unwrap();
            assert!(pattern.matches(&path(name)));
            assert!(others.iter().all(|other| !pattern.matches(&path(other))), "{}", pattern.text());
        }
        assert_eq!(pattern(&path(b"caf\xe9")), None);
    }

    #[test]
    fn a_waiver_names_one_gap_or_is_not_proposed() {
        let program = path(b"usr/bin/x");
        assert_eq!(waiver(&program, b"libx.so.1"), Some("/usr/bin/x -> libx.so.1: WHY".into()));
        assert_eq!(waiver(&path(b"usr/*"), b"a:b"), Some(r"/usr/\* -> a:b: WHY".into()));
        for lacks in [&br#"x", "/** -> *"#[..], b"*", b"a: b", b"a b", b"", b"\xff", b"a\nb", b" a"] {
            assert_eq!(waiver(&program, lacks), None, "{:?}", String::from_utf8_lossy(lacks));
        }
        for from in [&b"a b"[..], b"a -> b", b"a->b"] {
            assert_eq!(waiver(&path(from), b"libx.so.1"), None);
        }
    }
}
