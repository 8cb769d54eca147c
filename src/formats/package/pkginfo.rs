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

use super::{Control, Format, PackageError, grammar};
use crate::package::control::{bounded, check_names, lines};
use dlstore_model::digest::OciDigest;
use dlstore_model::escape::Escaped;
use dlstore_model::name::PackageName;
use dlstore_model::package::Metadata;
use dlstore_model::relation::{Operator, Relation};

/// What `.PKGINFO` says: the package, and the SHA-256 of every byte behind the control member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageInfo {
    /// The package.
    pub control: Control,
    /// The checksum that the data must have.
    pub data_hash: OciDigest,
}

/// Reads what an `.apk` says of itself; `members` is its control segment, `identity` the SHA-1 of that.
///
/// # Errors
/// When a key is missing, repeated or not valid.
pub fn parse_package_info(members: BTreeMap<String, Vec<u8>>, identity: [u8; 20]) -> Result<PackageInfo, PackageError> {
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
    let lists = ["depend", "install_if", "provides", "replaces"].into_iter().flat_map(all);
    check_names(lists.flat_map(|list| list.split_ascii_whitespace()))?;
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
    let replaces = bounded(words.map(parse_replaces))?;
    let apk_identity = Some(identity);
    let metadata = Metadata { format, name, version, architecture, origin, replaces, replaces_priority, apk_identity };
    Ok(PackageInfo { control: Control { metadata, members }, data_hash })
}

/// Reads one dependency as apk writes it: `name`, `name<1.2`, `name~1`.
fn parse_replaces(word: &str) -> Result<Relation, PackageError> {
    let bad = || content(format!("replaces is not valid: \"{}\"", Escaped::text(word)));
    let is_operator = |character| matches!(character, '<' | '>' | '=' | '~');
    let (name, rest) = word.split_at(word.find(is_operator).unwrap_or(word.len()));
    let name = PackageName::new(Format::Apk, name).map_err(|_| bad())?;
    if rest.is_empty() {
        return Ok(Relation { name, arch: None, constraint: None });
    }
    let (operator, version) = rest.split_at(rest.find(|character| !is_operator(character)).ok_or_else(bad)?);
    let operator = Operator::parse(Format::Apk, operator).ok_or_else(bad)?;
    let version = grammar::version(Format::Apk, "a version in replaces", version)?;
    Ok(Relation { name, arch: None, constraint: Some((operator, version)) })
}

const fn content(sentence: String) -> PackageError {
    PackageError::Content(sentence)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dlstore_model::version::Version;

    fn info(text: &str) -> Result<PackageInfo, PackageError> {
        parse_package_info(BTreeMap::from([(".PKGINFO".to_owned(), text.as_bytes().to_vec())]), [7; 20])
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
        let metadata = found.control.metadata;
        assert_eq!((&*metadata.name, &*metadata.version), ("hello", "2.10-r3"));
        assert_eq!((&*metadata.architecture, &*metadata.origin), ("x86_64", "greetings"));
        assert_eq!((metadata.replaces_priority, metadata.apk_identity), (7, Some([7; 20])));
        let relation = |name: &str, constraint: Option<(Operator, &str)>| Relation {
            name: PackageName::new(Format::Apk, name).unwrap(),
            arch: None,
            constraint: constraint.map(|(operator, version)| (operator, Version::new(Format::Apk, version).unwrap())),
        };
        assert_eq!(
            metadata.replaces,
            [
                relation("a", Some((Operator::Earlier, "2"))),
                relation("b", None),
                relation("c", Some((Operator::Matches, "1.2"))),
            ]
        );
    }

    #[test]
    fn what_does_not_say_once_who_it_is_is_refused() {
        let good = minimal();
        assert_eq!(&*info(&good).unwrap().control.metadata.origin, "hello");
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
