//! The control stanza of a `.deb` (`deb-control(5)`, Debian Policy 5.1).
//!
//! ```text
//! Package: libc6
//! Source: glibc (2.41-12)
//! Description: one line
//!  and lines that go on, each beginning with a blank or a tab
//! ```
//!
//! A control file is one stanza of fields with unique names in any case. Where dpkg is lenient, this
//! is not: a line that is no field, a field given twice and a second stanza are errors, because two
//! readers would disagree about what the package is.

use std::collections::BTreeMap;

use super::{Control, Format, PackageError, grammar};
use dlstore_model::escape::Escaped;
use dlstore_model::name::{Architecture, PackageName};
use dlstore_model::package::Metadata;
use dlstore_model::relation::{Operator, Relation};

/// What a package may replace at most; among all packages of Debian hardly one names a hundred.
const MOST_RELATIONS: usize = 4096;

/// Names in all fields by which a package asks for others, provides names or rules others out; those of the package of
/// Debian that names most have some thousands.
const MOST_NAMES: usize = 65_536;

/// Fields of a stanza; real ones have about thirty.
const MOST_FIELDS: usize = 1_000;

/// Lines of a control file; those of the longest in real repositories are some thousands.
const MOST_LINES: usize = 100_000;

/// The fields that list packages, in lower case.
const LISTS: [&str; 12] = [
    "breaks",
    "built-using",
    "conflicts",
    "depends",
    "enhances",
    "pre-depends",
    "provides",
    "recommends",
    "replaces",
    "static-built-using",
    "suggests",
    "x-cargo-built-using",
];

/// Longest line of a control file; the longest of real repositories has 75 KB.
pub(super) const MAX_LINE: usize = 1 << 20;

/// Reads the fields of a control file, by their names in lower case. Continuation lines are joined
/// with newlines.
///
/// # Errors
/// When the text is not one stanza.
pub fn parse_stanza(bytes: &[u8]) -> Result<BTreeMap<String, String>, PackageError> {
    let mut fields: BTreeMap<String, String> = BTreeMap::new();
    let mut last: Option<String> = None;
    let mut ended = false;
    for line in lines(bytes, "control")? {
        if line.trim().is_empty() {
            ended = !fields.is_empty();
            continue;
        }
        if ended {
            return Err(content("control holds more than one stanza".into()));
        }
        if line.starts_with([' ', '\t']) {
            let field = last.as_ref().and_then(|name| fields.get_mut(name));
            let field = field.ok_or_else(|| content("control begins with a continuation line".into()))?;
            field.push('\n');
            field.push_str(line.trim_end());
            continue;
        }
        let Some((name, value)) = line.split_once(':').filter(|(name, _)| is_field_name(name)) else {
            return Err(content(format!("a line of control is no field: \"{}\"", Escaped::text(line))));
        };
        let name = name.to_ascii_lowercase();
        if fields.insert(name.clone(), value.trim().to_owned()).is_some() {
            return Err(content(format!("control sets {name} twice")));
        }
        if fields.len() > MOST_FIELDS {
            return Err(PackageError::Limit { what: "the number of fields of control", limit: MOST_FIELDS as u64 });
        }
        last = Some(name);
    }
    Ok(fields)
}

/// Reads what a `.deb` says of itself; `members` is its control archive.
///
/// # Errors
/// When a field is missing or not valid.
pub fn parse_control(members: BTreeMap<String, Vec<u8>>) -> Result<Control, PackageError> {
    let format = Format::Deb;
    let text = members.get("control").ok_or_else(|| content("control.tar holds no file control".into()))?;
    let fields = parse_stanza(text)?;
    let lists = LISTS.iter().filter_map(|field| fields.get(*field));
    check_names(lists.flat_map(|list| list.split([',', '|'])))?;
    let required = |field: &str| match fields.get(field) {
        Some(value) => Ok(value.as_str()),
        None => Err(content(format!("control has no field {field}"))),
    };
    let name = grammar::name(format, "the package's name", required("package")?)?;
    let version = grammar::version(format, "the package's version", required("version")?)?;
    let architecture = grammar::architecture("the package's architecture", required("architecture")?)?;
    let origin = match fields.get("source") {
        // "name (version)" when the source has another version than the package.
        Some(source) => {
            let source = source.split_once('(').map_or(source.as_str(), |(source, _)| source);
            grammar::name(format, "the name of the source package", source.trim())?
        }
        None => name.clone(),
    };
    let replaces = parse_relations(fields.get("replaces").map_or("", String::as_str))?;
    let (replaces_priority, apk_identity) = (0, None);
    let metadata = Metadata { format, name, version, architecture, origin, replaces, replaces_priority, apk_identity };
    Ok(Control { metadata, members })
}

/// Reads a `Replaces` field: names with optional architectures and versions, separated by commas.
fn parse_relations(text: &str) -> Result<Vec<Relation>, PackageError> {
    let relations = text.split(',').map(str::trim).filter(|relation| !relation.is_empty());
    bounded(relations.map(parse_relation))
}

/// Collects what a package says that it replaces. It is asked for of packages that nobody chose, too, so a
/// package may not make much of a few bytes.
pub(super) fn bounded(
    relations: impl Iterator<Item = Result<Relation, PackageError>>,
) -> Result<Vec<Relation>, PackageError> {
    let found: Vec<Relation> = relations.take(MOST_RELATIONS + 1).collect::<Result<_, _>>()?;
    if found.len() > MOST_RELATIONS {
        return Err(PackageError::Limit { what: "what the package replaces", limit: MOST_RELATIONS as u64 });
    }
    Ok(found)
}

/// Bounds how many packages a control file names: whoever makes a database of an image takes each of them in hand.
pub(super) fn check_names<'n>(names: impl Iterator<Item = &'n str>) -> Result<(), PackageError> {
    if names.take(MOST_NAMES + 1).count() > MOST_NAMES {
        let what = "the number of packages that its control file names";
        return Err(PackageError::Limit { what, limit: MOST_NAMES as u64 });
    }
    Ok(())
}

fn parse_relation(relation: &str) -> Result<Relation, PackageError> {
    let bad = || content(format!("Replaces is not valid: \"{}\"", Escaped::text(relation)));
    let (name, constraint) = match relation.split_once('(') {
        Some((name, rest)) => (name.trim(), Some(rest.strip_suffix(')').ok_or_else(bad)?.trim())),
        None => (relation, None),
    };
    let (name, arch) = match name.split_once(':') {
        Some((name, arch)) => (name, Some(Architecture::new(arch).map_err(|_| bad())?)),
        None => (name, None),
    };
    let name = PackageName::new(Format::Deb, name).map_err(|_| bad())?;
    let Some(constraint) = constraint else {
        return Ok(Relation { name, arch, constraint: None });
    };
    let length = constraint.find(|character| !matches!(character, '<' | '>' | '=')).ok_or_else(bad)?;
    let (operator, version) = constraint.split_at(length);
    let operator = Operator::parse(Format::Deb, operator).ok_or_else(bad)?;
    let version = grammar::version(Format::Deb, "a version in Replaces", version.trim())?;
    Ok(Relation { name, arch, constraint: Some((operator, version)) })
}

/// Splits a control file into lines: text without control characters but tabs, each line of bounded
/// length. A carriage return, an escape or a NUL would show a person another text than a program.
pub(super) fn lines<'a>(bytes: &'a [u8], file: &str) -> Result<std::str::Lines<'a>, PackageError> {
    if bytes.split(|byte| *byte == b'\n').any(|line| line.len() > MAX_LINE) {
        return Err(PackageError::Limit { what: "a line of a control file", limit: MAX_LINE as u64 });
    }
    // The last line ends with a line break, behind which there is nothing.
    if bytes.split(|byte| *byte == b'\n').count() > MOST_LINES + 1 {
        return Err(PackageError::Limit { what: "the number of lines of a control file", limit: MOST_LINES as u64 });
    }
    let text = std::str::from_utf8(bytes).map_err(|_| content(format!("{file} is not UTF-8")))?;
    if let Some(found) = text.chars().find(|found| found.is_control() && !matches!(found, '\t' | '\n')) {
        return Err(content(format!("{file} has the control character U+{:04X} in it", u32::from(found))));
    }
    Ok(text.lines())
}

fn is_field_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with(['-', '#']) && name.bytes().all(|byte| byte.is_ascii_graphic())
}

const fn content(sentence: String) -> PackageError {
    PackageError::Content(sentence)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dlstore_model::version::Version;

    fn control(text: &str) -> Result<Control, PackageError> {
        parse_control(BTreeMap::from([("control".to_owned(), text.as_bytes().to_vec())]))
    }

    const MINIMAL: &str = "Package: hello\nVersion: 1:2.10-3\nArchitecture: amd64\n";

    #[test]
    fn a_stanza_gives_names_versions_and_relations() {
        let text = format!(
            "{MINIMAL}Source: greetings (2.10-3)\nReplaces: aa (<< 2~), bb, libc6:i386 (= 1), old (< 3)\n\
             Description: says hello\n to the world\n .\n\tand more\n\n"
        );
        let found = control(&text).unwrap().metadata;
        assert_eq!((&*found.name, &*found.version), ("hello", "1:2.10-3"));
        assert_eq!((&*found.architecture, &*found.origin), ("amd64", "greetings"));
        let relation = |name: &str, arch: Option<&str>, constraint: Option<(Operator, &str)>| Relation {
            name: PackageName::new(Format::Deb, name).unwrap(),
            arch: arch.map(|arch| Architecture::new(arch).unwrap()),
            constraint: constraint.map(|(operator, version)| (operator, Version::new(Format::Deb, version).unwrap())),
        };
        assert_eq!(
            found.replaces,
            [
                relation("aa", None, Some((Operator::Earlier, "2~"))),
                relation("bb", None, None),
                relation("libc6", Some("i386"), Some((Operator::Equal, "1"))),
                relation("old", None, Some((Operator::EarlierOrEqual, "3"))),
            ]
        );
        assert_eq!(parse_stanza(text.as_bytes()).unwrap()["description"], "says hello\n to the world\n .\n\tand more");
    }

    #[test]
    fn a_package_without_a_source_is_its_own_origin() {
        assert_eq!(&*control(MINIMAL).unwrap().metadata.origin, "hello");
    }

    #[test]
    fn what_is_not_one_good_stanza_is_refused() {
        for text in [
            String::new(),
            " begins with a blank\n".into(),
            MINIMAL.replace("Package: hello\n", ""),
            MINIMAL.replace("Version", "Wersion"),
            MINIMAL.replace("amd64", "../../etc"),
            MINIMAL.replace("hello", "../hello"),
            MINIMAL.replace("hello", "Hello World"),
            MINIMAL.replace("hello", "hello\n more"),
            MINIMAL.replace("1:2.10-3", "x/y"),
            format!("{MINIMAL}package: again\n"),
            format!("{MINIMAL}no field\n"),
            format!("{MINIMAL}Bad Name: x\n"),
            format!("{MINIMAL}# comment\n"),
            format!("{MINIMAL}\nPackage: second\n"),
            format!("{MINIMAL}Source: ../x\n"),
            format!("{MINIMAL}X: nul\0\n"),
            format!("{MINIMAL}X: carriage\r\n"),
            format!("{MINIMAL}X: a\x1b[2Jb\n"),
            format!("{MINIMAL}X: delete\x7f\n"),
            format!("{MINIMAL}X: next\u{85}line\n"),
            format!("{MINIMAL}Replaces: aa | bb\n"),
            format!("{MINIMAL}Replaces: aa:I386\n"),
            format!("{MINIMAL}Replaces: aa:\n"),
            format!("{MINIMAL}Replaces: aa (1)\n"),
            format!("{MINIMAL}Replaces: aa (=> 1)\n"),
            format!("{MINIMAL}Replaces: aa (= 1\n"),
            format!("{MINIMAL}Replaces: aa (=)\n"),
        ] {
            assert!(control(&text).is_err(), "{text:?}");
        }
        assert!(parse_stanza(b"Package: \xff\n").is_err());
    }

    #[test]
    fn a_line_of_megabytes_is_refused() {
        let text = format!("{MINIMAL}Description: {}\n", "x".repeat(10_000_000));
        assert!(matches!(control(&text), Err(PackageError::Limit { .. })));
    }
}
