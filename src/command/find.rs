//! Finding packages of the store by what a person calls them.
//!
//! `NAME`, `NAME=VERSION`, `NAME=VERSION/ARCH`, a pattern of names, or the beginning of a tree's or a source's digest.

use std::io;
use std::path::Path;

use super::error::{Error, Next};
use dlstore_image::definition::DefinitionError;
use dlstore_model::digest::OciDigest;
use dlstore_model::format::Format;
use dlstore_model::likeness::closest;
use dlstore_oci::reading::Source;
use dlstore_store::{Listing, PackageRecord, Store};

/// Says whether a name stands for several.
pub(crate) fn is_pattern(name: &str) -> bool {
    name.contains(['*', '?'])
}

/// Finds the name of a package of the store that is most like what a person called one, if one is like it at all.
pub(super) fn like(store: &Store, what: &str) -> Result<Option<String>, Error> {
    let what = what.rsplit_once('/').map_or(what, |(what, _)| what);
    let name = what.split_once('=').map_or(what, |(name, _)| name);
    if is_pattern(name) {
        return Ok(None);
    }
    // Names of packages are written so, whatever was typed.
    let name = &name.to_lowercase().replace('_', "-");
    let mut names = store.names_around(name, NEIGHBOURS)?;
    for spelling in respelled(name) {
        names.extend(store.names_around(&spelling, 1)?);
    }
    names.sort();
    Ok(closest(name, names.iter().map(String::as_str)).map(str::to_owned))
}

/// Names on each side of a misspelt one among which the meant one is looked for: a large store has more names than can
/// be looked through while somebody waits.
const NEIGHBOURS: u32 = 200;

/// Letters at the beginning of a name whose mistakes put it far away from the meant one.
const FIRST: usize = 3;

/// Spells a name anew, with one mistake less among its first letters: two swapped, one too much, one too few, another one.
fn respelled(name: &str) -> Vec<String> {
    let letters: Vec<char> = name.chars().take(100).collect();
    let with = |at: usize, put: &[char], left_out: usize| -> String {
        let rest = letters.get(at + left_out..).unwrap_or_default();
        letters[..at].iter().chain(put).chain(rest).collect()
    };
    let mut spellings = Vec::new();
    for at in 0..FIRST.min(letters.len()) {
        spellings.push(with(at, &[], 1));
        if let Some(next) = letters.get(at + 1) {
            spellings.push(with(at, &[*next, letters[at]], 2));
        }
        for letter in ('a'..='z').chain('0'..='9').chain(['+', '-', '.']) {
            spellings.push(with(at, &[letter], 0));
            spellings.push(with(at, &[letter], 1));
        }
    }
    spellings
}

/// Says that something is neither a package nor an image, where nothing but the name is wrong.
pub(super) fn neither(store: Option<&Store>, what: &str, error: Error) -> Error {
    let image = match &error {
        Error::Misnamed(_) if is_pattern(what) => return Error::NoneLike(what.to_owned()),
        Error::Definition(DefinitionError::UnknownImage { suggestion, .. })
        | Error::Misnamed(DefinitionError::Name { suggestion, .. }) => suggestion.clone(),
        // `NAME=VERSION/ARCH` would be a path too.
        Error::Definition(DefinitionError::Io { source, .. })
            if source.kind() == io::ErrorKind::NotFound && what.contains('=') =>
        {
            None
        }
        _ => return error,
    };
    // What is wrong with the store is no answer to what was asked.
    let package = store.and_then(|store| like(store, what).ok().flatten());
    let is_unknown = matches!(error, Error::Definition(DefinitionError::UnknownImage { .. }));
    if is_unknown || package.is_some() {
        let next = next(store, what, package.is_some() || image.is_some());
        Error::Neither { what: what.to_owned(), package, image, next }
    } else {
        error
    }
}

/// Says where to look after a name that is nothing's; `is_meant` says that another name is likely to be meant.
fn next(store: Option<&Store>, what: &str, is_meant: bool) -> Next {
    let is_plain = what.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    let contains = |store: &Store| store.packages_like(&format!("*{what}*")).is_ok_and(|all| !all.packages.is_empty());
    match store {
        _ if !what.contains('/') && Source::at(Path::new(what)).is_some() => Next::Path,
        _ if is_meant => Next::Nothing,
        None => Next::NoStore,
        Some(store) if is_plain && contains(store) => Next::Containing,
        Some(_) => Next::Nothing,
    }
}

/// Lists packages by name, or by a pattern of names.
pub(super) fn called(store: &Store, name: &str) -> Result<Listing, Error> {
    Ok(if is_pattern(name) { store.packages_like(name)? } else { store.packages_called(name)? })
}

/// Finds packages by name, `NAME=VERSION[/ARCH]`, or the beginning of a digest.
pub(super) fn find(store: &Store, what: &str) -> Result<Vec<PackageRecord>, Error> {
    let typed = what;
    let (what, arch) = what.rsplit_once('/').map_or((what, None), |(what, arch)| (what, Some(arch)));
    let (name, version) = what.split_once('=').map_or((what, None), |(name, version)| (name, Some(version)));
    // An older index would give an older package, or say that there is none.
    if is_pattern(name) || digests_beginning(what.strip_prefix("sha256:").unwrap_or(what)).is_some() {
        store.check_journal(None)?;
    } else {
        Format::ALL.iter().try_for_each(|format| store.check_journal(Some((*format, name))))?;
    }
    let mut found: Vec<PackageRecord> = called(store, name)?.packages;
    let there = if version.is_some() { versions(&found) } else { Vec::new() };
    found.retain(|record| {
        version.is_none_or(|version| record.version == version) && arch.is_none_or(|arch| record.architecture == arch)
    });
    if let Some((first, last)) = digests_beginning(what.strip_prefix("sha256:").unwrap_or(what)) {
        for record in store.packages_between(&first, &last)?.packages {
            if !found.contains(&record) {
                found.push(record);
            }
        }
    }
    if found.is_empty() && !there.is_empty() {
        let name = name.to_owned();
        return Err(Error::OtherVersions { what: typed.to_owned(), name, has: there.join(", ") });
    }
    Ok(found)
}

/// `1.2.5-3 (amd64)` of each package.
fn versions(packages: &[PackageRecord]) -> Vec<String> {
    packages.iter().map(|record| format!("{} ({})", record.version, record.architecture)).collect()
}

/// Gives the first and the last digest that begin with some digits, of which it takes twelve.
fn digests_beginning(digits: &str) -> Option<([u8; 32], [u8; 32])> {
    if digits.len() < 12 || !digits.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f')) {
        return None;
    }
    let filled =
        |with: &str| OciDigest::from_hex(&format!("{digits}{}", with.repeat(64_usize.checked_sub(digits.len())?))).ok();
    Some((*filled("0")?.as_bytes(), *filled("f")?.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_mistake_among_the_first_letters_is_respelled() {
        for typed in ["ibssl3", "lbissl3", "klibssl3", "kibssl3", "lbssl3"] {
            assert!(respelled(typed).iter().any(|spelling| spelling == "libssl3"), "{typed}");
        }
        assert_eq!(respelled(""), Vec::<String>::new());
    }
}
