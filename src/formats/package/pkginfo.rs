//! `.PKGINFO`, the control file of an `.apk` version 2.
//!
//! ```text
//! # a comment
//! pkgname = musl
//! replaces = old-musl<1.2
//! ```
//!
//! Lines in any order, `key = value`; some keys may be repeated. Only what decides about the package
//! is read here: who it is, whose files it may overwrite, and the checksum of its data. Those that
//! say who it is must be given exactly once.

use std::collections::BTreeMap;

use super::{Control, Format, PackageError, Replaces, grammar};
use crate::package::control::lines;
use dlstore_model::digest::OciDigest;
use dlstore_model::escape::Escaped;

/// What `.PKGINFO` says: the package, and the SHA-256 of every byte behind the control member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageInfo {
    /// The package.
    pub control: Control,
    /// The checksum that the data must have.
    pub data_hash: OciDigest,
}

/// Reads what an `.apk` says of itself; `members` is its control segment.
///
/// # Errors
/// When a key is missing, repeated or not valid.
pub fn parse_package_info(members: BTreeMap<String, Vec<u8>>) -> Result<PackageInfo, PackageError> {
    let format = Format::Apk;
    let text = members.get(".PKGINFO").ok_or_else(|| content("the control member holds no .PKGINFO".into()))?;
    let mut keys: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for line in lines(text, ".PKGINFO")? {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let Some((key, value)) = line.split_once('=') else {
            return Err(content(format!("a line of .PKGINFO is no key and value: \"{}\"", Escaped::text(line))));
        };
        keys.entry(key.trim()).or_default().push(value.trim());
    }
    let all = |key: &str| keys.get(key).map_or(&[][..], Vec::as_slice);
    let optional = |key: &str| match all(key) {
        [] => Ok(None),
        [value] => Ok(Some(*value)),
        _ => Err(content(format!(".PKGINFO sets {key} twice"))),
    };
    let required = |key: &str| optional(key)?.ok_or_else(|| content(format!(".PKGINFO does not set {key}")));

    let name = grammar::name(format, "the package's name", required("pkgname")?)?;
    let version = grammar::version(format, "the package's version", required("pkgver")?)?;
    let architecture = grammar::architecture("the package's architecture", required("arch")?)?;
    let origin = match optional("origin")?.filter(|origin| !origin.is_empty()) {
        Some(origin) => grammar::name(format, "the package's origin", origin)?,
        None => name.clone(),
    };
    let hash = required("datahash")?;
    let data_hash = OciDigest::from_hex(hash)
        .map_err(|_| content(format!("the datahash of .PKGINFO is not a SHA-256: \"{}\"", Escaped::text(hash))))?;
    let replaces_priority = match optional("replaces_priority")? {
        Some(text) => text
            .parse()
            .map_err(|_| content(format!("replaces_priority is not a number: \"{}\"", Escaped::text(text))))?,
        None => 0,
    };
    let words = all("replaces").iter().flat_map(|value| value.split_ascii_whitespace());
    let replaces = words.map(parse_replaces).collect::<Result<_, _>>()?;
    let control = Control { format, name, version, architecture, origin, replaces, replaces_priority, members };
    Ok(PackageInfo { control, data_hash })
}

/// Reads one dependency as apk writes it: `name`, `name<1.2`, `name~1`.
fn parse_replaces(word: &str) -> Result<Replaces, PackageError> {
    let bad = || content(format!("replaces is not valid: \"{}\"", Escaped::text(word)));
    let is_operator = |character| matches!(character, '<' | '>' | '=' | '~');
    let (name, rest) = word.split_at(word.find(is_operator).unwrap_or(word.len()));
    if !grammar::is_name(Format::Apk, name) {
        return Err(bad());
    }
    if rest.is_empty() {
        return Ok(Replaces { name: name.to_owned(), version: None });
    }
    let (operator, version) = rest.split_at(rest.find(|character| !is_operator(character)).ok_or_else(bad)?);
    if !matches!(operator, "<" | "<=" | "=" | ">=" | ">" | "~" | "=~" | "~=") {
        return Err(bad());
    }
    let version = grammar::version(Format::Apk, "a version in replaces", version)?;
    Ok(Replaces { name: name.to_owned(), version: Some((operator.to_owned(), version)) })
}

const fn content(sentence: String) -> PackageError {
    PackageError::Content(sentence)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(text: &str) -> Result<PackageInfo, PackageError> {
        parse_package_info(BTreeMap::from([(".PKGINFO".to_owned(), text.as_bytes().to_vec())]))
    }

    fn minimal() -> String {
        format!("pkgname = hello\npkgver = 2.10-r3\narch = x86_64\ndatahash = {}\n", OciDigest::of(b"").to_hex())
    }

    #[test]
    fn keys_in_any_order_give_the_package() {
        let text = format!(
            "# made by hand\nreplaces = a<2 b\nurl = \nreplaces = c~=1.2\nreplaces_priority = 7\norigin = greetings\n{}",
            minimal()
        );
        let found = info(&text).unwrap();
        assert_eq!(found.data_hash, OciDigest::of(b""));
        let control = found.control;
        assert_eq!((control.name.as_str(), control.version.as_str()), ("hello", "2.10-r3"));
        assert_eq!((control.architecture.as_str(), control.origin.as_str()), ("x86_64", "greetings"));
        assert_eq!(control.replaces_priority, 7);
        let replaces: Vec<_> = control.replaces.into_iter().map(|one| (one.name, one.version)).collect();
        assert_eq!(
            replaces,
            [
                ("a".into(), Some(("<".into(), "2".into()))),
                ("b".into(), None),
                ("c".into(), Some(("~=".into(), "1.2".into()))),
            ]
        );
    }

    #[test]
    fn what_does_not_say_once_who_it_is_is_refused() {
        let good = minimal();
        assert_eq!(info(&good).unwrap().control.origin, "hello");
        for text in [
            String::new(),
            good.replace("pkgname", "name"),
            good.replace("hello", "../hello"),
            good.replace("2.10-r3", "2/10"),
            good.replace("x86_64", ""),
            good.replace("datahash", "hash"),
            good.replace("datahash = ", "datahash = 00"),
            good.replace("datahash = e3", "datahash = E3"),
            format!("{good}pkgname = hello\n"),
            format!("{good}pkgver = 1\n"),
            format!("{good}datahash = {}\n", OciDigest::of(b"").to_hex()),
            format!("{good}datahash = {}\n", OciDigest::of(b"x").to_hex()),
            format!("{good}no key\n"),
            format!("{good}origin = ../x\n"),
            format!("{good}replaces = a<\n"),
            format!("{good}replaces = a><1\n"),
            format!("{good}replaces = /x\n"),
            format!("{good}replaces_priority = -1\n"),
            format!("{good}x = \0\n"),
            format!("{good}x = a\rb\n"),
            format!("{good}x = \x1b[2J\n"),
            format!("{good}# \x07\n"),
            format!("{good}x = \u{9b}1m\n"),
        ] {
            assert!(info(&text).is_err(), "{text:?}");
        }
    }
}
