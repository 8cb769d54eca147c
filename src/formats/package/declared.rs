//! What packages ask of each other: `Depends` and `Pre-Depends` of a `.deb`, `depend` of an `.apk` (`D:` in its
//! index), and what they provide beside themselves.
//!
//! It is read out of the control members that a package's facts keep, when somebody asks. What cannot be read is kept
//! as its text: nothing meets it, and whoever reports it shows it.
//!
//! Sources: Debian Policy 7.1 and 7.5, `deb-control(5)`; `apk-package(5)`, `apk-world(5)`.

use super::control::parse_stanza;
use super::{Control, Format};
use dlstore_model::relation::Operator;
use dlstore_model::version::Version;

/// What a package asks for, and what it provides.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Declared {
    /// What must be there.
    pub depends: Vec<Dependency>,
    /// What it provides, its own name and version first.
    pub provides: Vec<Provided>,
}

/// Something that must be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    /// As the package writes it.
    pub text: String,
    /// Any one of these will do.
    pub any_of: Vec<Asked>,
}

/// A package by name, perhaps only in some of its versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The name; of an apk also `so:libz.so.1`, `cmd:sh` or a path.
    pub name: String,
    /// Of which architecture, where it is said (`python3:any`).
    pub arch: Option<String>,
    /// In which versions.
    pub constraint: Option<(Operator, Version)>,
}

/// A name that a package answers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provided {
    /// The name.
    pub name: String,
    /// The version of that; without one it meets no relation to a version.
    pub version: Option<Version>,
}

impl Asked {
    /// Says whether what is provided meets it. The architecture is not looked at.
    #[must_use]
    pub fn is_met_by(&self, format: Format, provided: &Provided) -> bool {
        self.name == provided.name
            && self.constraint.as_ref().is_none_or(|(operator, named)| {
                provided.version.as_ref().is_some_and(|version| operator.holds(format, version, named))
            })
    }
}

/// Reads what a package says of others.
#[must_use]
pub fn declared(control: &Control) -> Declared {
    let metadata = &control.metadata;
    let own = Provided { name: metadata.name.to_string(), version: Some(metadata.version.clone()) };
    let mut declared = Declared { depends: Vec::new(), provides: vec![own] };
    match metadata.format {
        Format::Deb => of_deb(control, &mut declared),
        Format::Apk => of_apk(control, &mut declared),
        Format::Tar => {}
    }
    declared
}

fn of_deb(control: &Control, declared: &mut Declared) {
    let Some(fields) = control.members.get("control").and_then(|text| parse_stanza(text).ok()) else { return };
    let items = |field: &str| {
        let text = fields.get(field).map_or("", String::as_str);
        text.split(',').map(str::trim).filter(|item| !item.is_empty()).collect::<Vec<_>>()
    };
    for text in items("pre-depends").into_iter().chain(items("depends")) {
        let any_of = text.split('|').filter_map(|one| deb_relation(one.trim())).collect();
        declared.depends.push(Dependency { text: in_one_line(text), any_of });
    }
    for one in items("provides").into_iter().filter_map(deb_relation) {
        let version = one.constraint.filter(|(operator, _)| *operator == Operator::Equal).map(|(_, version)| version);
        declared.provides.push(Provided { name: one.name, version });
    }
}

/// Reads `name[:architecture] [(operator version)]`.
fn deb_relation(text: &str) -> Option<Asked> {
    let (name, constraint) = match text.split_once('(') {
        Some((name, rest)) => (name.trim(), Some(rest.strip_suffix(')')?.trim())),
        None => (text, None),
    };
    let (name, arch) = name.split_once(':').map_or((name, None), |(name, arch)| (name, Some(arch.to_owned())));
    let constraint = match constraint {
        Some(text) => {
            let length = text.find(|character| !matches!(character, '<' | '>' | '='))?;
            Some(constraint_of(Format::Deb, &text[..length], text[length..].trim())?)
        }
        None => None,
    };
    let is_word = !name.is_empty() && !name.contains(char::is_whitespace);
    is_word.then(|| Asked { name: name.to_owned(), arch, constraint })
}

fn of_apk(control: &Control, declared: &mut Declared) {
    let Some(text) = control.members.get(".PKGINFO").and_then(|text| std::str::from_utf8(text).ok()) else { return };
    for line in text.lines().filter(|line| !line.trim_start().starts_with('#')) {
        let Some((key, value)) = line.split_once('=') else { continue };
        let items = value.split_ascii_whitespace();
        match key.trim() {
            // What begins so must not be there.
            "depend" => declared.depends.extend(items.filter(|text| !text.starts_with('!')).map(|text| {
                let any_of = apk_relation(text).into_iter().collect();
                Dependency { text: text.to_owned(), any_of }
            })),
            "provides" => declared.provides.extend(items.filter_map(apk_relation).map(|one| {
                let version = one.constraint.map(|(_, version)| version);
                Provided { name: one.name, version }
            })),
            _ => {}
        }
    }
}

/// Reads `name[operator version]`; a name may have a repository behind an `@`, a checksum instead of a version is none.
fn apk_relation(text: &str) -> Option<Asked> {
    let text = text.split('@').next().unwrap_or(text);
    let end = text.find(['<', '>', '=', '~']).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let length = rest.find(|character| !matches!(character, '<' | '>' | '=' | '~')).unwrap_or(rest.len());
    let constraint = match rest.split_at(length) {
        ("" | "><", _) => None,
        (operator, version) => Some(constraint_of(Format::Apk, operator, version)?),
    };
    (!name.is_empty()).then(|| Asked { name: name.to_owned(), arch: None, constraint })
}

fn constraint_of(format: Format, operator: &str, version: &str) -> Option<(Operator, Version)> {
    Some((Operator::parse(format, operator)?, Version::new(format, version).ok()?))
}

fn in_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use dlstore_model::name::PackageName;
    use dlstore_model::package::Metadata;

    fn read(format: Format, member: &str, text: &str) -> Declared {
        let mut metadata = Metadata::of_tar(PackageName::new(Format::Tar, "own").unwrap());
        metadata.format = format;
        declared(&Control { metadata, members: BTreeMap::from([(member.to_owned(), text.as_bytes().to_vec())]) })
    }

    fn provided(format: Format, name: &str, version: &str) -> Provided {
        let version = Some(version).filter(|version| !version.is_empty());
        Provided { name: name.into(), version: version.map(|text| Version::new(format, text).unwrap()) }
    }

    #[test]
    fn dependencies_of_a_deb_are_alternatives_with_versions() {
        let format = Format::Deb;
        let text = "Package: own\nPre-Depends: awk\nDepends: aa (>= 2) | bb,\n cc:any (= 1-1), (broken\n\
                    Provides: dd, ee (= 3)\n";
        let found = read(format, "control", text);
        let texts: Vec<&str> = found.depends.iter().map(|one| one.text.as_str()).collect();
        assert_eq!(texts, ["awk", "aa (>= 2) | bb", "cc:any (= 1-1)", "(broken"]);
        let meets = |at: usize, name, version| {
            found.depends[at].any_of.iter().any(|one| one.is_met_by(format, &provided(format, name, version)))
        };
        assert!(meets(0, "awk", "") && meets(0, "awk", "1"));
        assert!(meets(1, "aa", "2") && !meets(1, "aa", "1") && meets(1, "bb", "1"));
        assert!(!meets(1, "aa", ""), "what is provided without a version meets no relation to one");
        assert!(meets(2, "cc", "1-1") && found.depends[2].any_of[0].arch.as_deref() == Some("any"));
        assert!(found.depends[3].any_of.is_empty(), "what cannot be read is met by nothing");
        let names: Vec<(&str, bool)> =
            found.provides.iter().map(|one| (one.name.as_str(), one.version.is_some())).collect();
        assert_eq!(names, [("own", true), ("dd", false), ("ee", true)]);
    }

    #[test]
    fn dependencies_of_an_apk_are_names_of_many_kinds() {
        let format = Format::Apk;
        let text = "pkgname = own\n# depend = no\ndepend = so:libz.so.1\ndepend = aa>=1.2 bb~3\ndepend = !cc\n\
                    depend = /bin/sh\ndepend = dd><Q1abc=\nprovides = so:libown.so.1=1.0 cmd:own\n";
        let found = read(format, ".PKGINFO", text);
        let names: Vec<&str> = found.depends.iter().map(|one| one.any_of[0].name.as_str()).collect();
        assert_eq!(names, ["so:libz.so.1", "aa", "bb", "/bin/sh", "dd"]);
        let meets =
            |at: usize, name, version| found.depends[at].any_of[0].is_met_by(format, &provided(format, name, version));
        assert!(meets(0, "so:libz.so.1", "1.3") && meets(1, "aa", "1.10-r0") && !meets(1, "aa", "1.1-r0"));
        assert!(meets(2, "bb", "3.1-r0") && !meets(2, "bb", "4-r0") && meets(4, "dd", "9-r0"));
        let provides: Vec<&str> = found.provides.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(provides, ["own", "so:libown.so.1", "cmd:own"]);
    }
}
