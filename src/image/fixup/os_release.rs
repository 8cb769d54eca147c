//! The fix-up `os-release`: `/usr/lib/os-release`, and `/etc/os-release` as a link to it.
//!
//! What a package says stays, line by line; a field that the definition sets replaces that line or is
//! appended. Where nothing is to be changed nothing is made, and the package keeps its file.
//!
//! Scanners take the distribution from here, and look for the advisories of `ID` and `VERSION_ID`: what is not known to
//! be another's must not hide that the packages are a distribution's. Without a package's os-release:
//!
//! | the image has | os-release is |
//! |---|---|
//! | a package's `/etc/alpine-release` | Alpine's, of that release |
//! | `.apk`s, and the definition says `VERSION_ID` | Alpine's, of that release; `/etc/alpine-release` is made too |
//! | `.apk`s, and the definition says another `ID` | that distribution's, in the definition's words |
//! | `.apk`s | Alpine's, of no release: scanners know no branch, which is a warning |
//! | anything else | the image's own, by its name |
//!
//! Reference: os-release(5); Alpine's own file is that of its package `alpine-release`.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use super::inputs::Inputs;
use crate::rootfs::Generated;
use crate::rootfs::generated::{fixed, plain};
use dlstore_formats::package::Format;

/// `ID` of Alpine.
const ALPINE: &str = "alpine";

/// Where Alpine says its release, in one line.
const ALPINE_RELEASE: &str = "etc/alpine-release";

/// What is there to begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Base<'a> {
    /// The bytes of a package's os-release.
    File(&'a [u8]),
    /// Alpine, and its release where that is known, as `/etc/alpine-release` has it: `3.20.3`.
    Alpine(Option<&'a str>),
    /// Nothing but the image.
    Image {
        /// Its name.
        name: &'a str,
        /// Its version, when it has one.
        version: Option<&'a str>,
    },
}

/// Tells which field cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum OsReleaseError {
    /// A name that is not one of a shell variable in capitals.
    #[error("os-release: {0:?} is not a field name (capital letters, digits and _)")]
    Key(String),
    /// A value with characters that os-release(5) does not allow.
    #[error("os-release: the value of {0} has control characters in it")]
    Value(String),
}

/// Makes `/usr/lib/os-release` and its link, or nothing when a package's file is to stay as it is.
///
/// # Errors
/// When a field's name or value cannot be written.
fn os_release(base: Base<'_>, fields: &BTreeMap<String, String>, date: u64) -> Result<Generated, OsReleaseError> {
    let mut lines = Lines::default();
    match base {
        Base::File(text) => {
            if fields.is_empty() {
                return Ok(Generated::default());
            }
            for line in text.strip_suffix(b"\n").unwrap_or(text).split(|byte| *byte == b'\n') {
                let key = line.split(|byte| *byte == b'=').next().unwrap_or_default();
                lines.push(String::from_utf8_lossy(key).trim(), line.to_vec());
            }
        }
        Base::Alpine(release) => {
            set(&mut lines, "NAME", "Alpine Linux")?;
            set(&mut lines, "ID", ALPINE)?;
            if let Some(release) = release {
                set(&mut lines, "VERSION_ID", release)?;
            }
            set(&mut lines, "PRETTY_NAME", &pretty(release))?;
            set(&mut lines, "HOME_URL", "https://alpinelinux.org/")?;
            set(&mut lines, "BUG_REPORT_URL", "https://gitlab.alpinelinux.org/alpine/aports/-/issues")?;
        }
        Base::Image { name, version } => {
            set(&mut lines, "NAME", name)?;
            set(&mut lines, "ID", &identifier(name))?;
            let pretty = version.map_or_else(|| name.to_owned(), |version| format!("{name} {version}"));
            set(&mut lines, "PRETTY_NAME", &pretty)?;
            if let Some(version) = version {
                set(&mut lines, "VERSION_ID", version)?;
            }
        }
    }
    for (key, value) in fields {
        set(&mut lines, key, value)?;
    }
    let mut text = Vec::new();
    for line in lines.lines {
        text.extend_from_slice(&line);
        text.push(b'\n');
    }
    let mut generated = Generated::default();
    generated.file(fixed("usr/lib/os-release"), plain(date), text);
    generated.link(fixed("etc/os-release"), b"../usr/lib/os-release", date);
    Ok(generated)
}

/// Names a release of Alpine for people, by its branch.
fn pretty(release: Option<&str>) -> String {
    match release {
        Some(release) if release.starts_with(|first: char| first.is_ascii_digit()) => {
            let branch: Vec<&str> = release.split('.').take(2).collect();
            format!("Alpine Linux v{}", branch.join("."))
        }
        Some(release) => format!("Alpine Linux {release}"),
        None => "Alpine Linux".to_owned(),
    }
}

/// The lines of the file.
#[derive(Default)]
struct Lines {
    lines: Vec<Vec<u8>>,
    /// Of each field the last line: a shell takes the last of several assignments, so that is the one to replace.
    last: HashMap<String, usize>,
}

impl Lines {
    fn push(&mut self, key: &str, line: Vec<u8>) {
        self.last.insert(key.to_owned(), self.lines.len());
        self.lines.push(line);
    }
}

/// Replaces the line of a field, or appends one.
fn set(lines: &mut Lines, key: &str, value: &str) -> Result<(), OsReleaseError> {
    let is_name = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    if key.is_empty() || !key.bytes().all(is_name) || key.as_bytes()[0].is_ascii_digit() {
        return Err(OsReleaseError::Key(key.to_owned()));
    }
    if value.contains(char::is_control) {
        return Err(OsReleaseError::Value(key.to_owned()));
    }
    let line = format!("{key}={}", quote(value)).into_bytes();
    match lines.last.get(key) {
        Some(at) => lines.lines[*at] = line,
        None => lines.push(key, line),
    }
    Ok(())
}

/// Quotes what is more than letters, digits, `.`, `-` and `_`; escapes what a shell would see inside.
fn quote(value: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    if !value.is_empty() && value.bytes().all(is_plain) {
        return value.to_owned();
    }
    let mut text = String::from("\"");
    for character in value.chars() {
        if matches!(character, '"' | '$' | '\\' | '`') {
            text.push('\\');
        }
        let _ = write!(text, "{character}");
    }
    text + "\""
}

/// Makes an `ID` out of a name: lower-case letters, digits, `.`, `_` and `-` (os-release(5)).
fn identifier(name: &str) -> String {
    let keep = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let text: String =
        name.bytes().map(|byte| if keep(byte) { char::from(byte.to_ascii_lowercase()) } else { '-' }).collect();
    if text.is_empty() { "linux".to_owned() } else { text }
}

/// Makes it out of the packages' own, the fields of definitions, or the image's name.
pub(super) fn run(inputs: &Inputs<'_>) -> Result<Generated, OsReleaseError> {
    let fields = fields_of(inputs);
    let own = inputs.text("usr/lib/os-release").or_else(|| inputs.text("etc/os-release"));
    let alpine = inputs.text(ALPINE_RELEASE);
    let known;
    let base = match (own, alpine) {
        (Some((text, ..)), _) => Base::File(text),
        (None, Some((text, ..))) => {
            known = String::from_utf8_lossy(text).trim().to_owned();
            Base::Alpine(Some(&known))
        }
        (None, None) if has_apks(inputs) => match said(&fields, "ID").filter(|id| *id != ALPINE) {
            Some(id) => Base::Image { name: id, version: None },
            None => Base::Alpine(said(&fields, "VERSION_ID")),
        },
        // The lowest level names it, as a distribution's own file does: what extends an image keeps
        // that, and shares its layers.
        (None, None) => {
            let name = inputs.levels.first().map_or(inputs.image.name.as_str(), |level| &level.name);
            Base::Image { name: name.split(':').next().unwrap_or(name), version: None }
        }
    };
    let package = own.or(alpine);
    let mut made = os_release(base, &fields, package.map_or(0, |(_, _, package)| package.record.date))?;
    if let (Base::Alpine(Some(release)), None) = (base, alpine)
        && !inputs.has(ALPINE_RELEASE)
    {
        alpine_release(&mut made, release);
    }
    made.made_of(&package.into_iter().map(|(_, part, _)| part.origin.to_string()).collect());
    Ok(made)
}

/// Adds `/etc/alpine-release`, which older scanners and scripts read.
fn alpine_release(made: &mut Generated, release: &str) {
    made.file(fixed(ALPINE_RELEASE), plain(0), format!("{release}\n").into_bytes());
}

/// Says whether the image has Alpine's packages, and nothing says of which release.
pub(super) fn lacks_release(inputs: &Inputs<'_>) -> bool {
    let files = ["usr/lib/os-release", "etc/os-release", ALPINE_RELEASE];
    let fields = fields_of(inputs);
    has_apks(inputs)
        && files.iter().all(|file| inputs.text(file).is_none())
        && said(&fields, "ID").is_none_or(|id| id == ALPINE)
        && said(&fields, "VERSION_ID").is_none()
}

/// Gives the fields of all levels, the uppermost of each.
fn fields_of(inputs: &Inputs<'_>) -> BTreeMap<String, String> {
    let levels = inputs.levels.iter().flat_map(|level| &level.os_release);
    levels.map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// Gives the value of a field that is not empty.
fn said<'f>(fields: &'f BTreeMap<String, String>, key: &str) -> Option<&'f str> {
    fields.get(key).map(String::as_str).filter(|value| !value.is_empty())
}

fn has_apks(inputs: &Inputs<'_>) -> bool {
    inputs.rootfs.packages().any(|(_, _, package)| package.control.metadata.format == Format::Apk)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixup::tests::{fingerprint, text};

    fn fields(list: &[(&str, &str)]) -> BTreeMap<String, String> {
        list.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn made(base: Base<'_>, list: &[(&str, &str)]) -> String {
        text(&os_release(base, &fields(list), 7).unwrap(), "usr/lib/os-release").to_owned()
    }

    const DEBIAN: &[u8] = b"# Debian\nPRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\nID=debian\nVERSION_ID=\"13\"\n";

    #[test]
    fn a_package_keeps_its_file_when_no_field_is_set() {
        assert_eq!(os_release(Base::File(DEBIAN), &BTreeMap::new(), 7), Ok(Generated::default()));
    }

    #[test]
    fn fields_replace_their_lines_and_the_others_stay() {
        assert_eq!(
            made(Base::File(DEBIAN), &[("PRETTY_NAME", "Acme \"Base\" $1"), ("IMAGE_ID", "static")]),
            "# Debian\nPRETTY_NAME=\"Acme \\\"Base\\\" \\$1\"\nID=debian\nVERSION_ID=\"13\"\nIMAGE_ID=static\n"
        );
    }

    #[test]
    fn alpine_without_a_file_says_what_alpines_file_says() {
        assert_eq!(
            made(Base::Alpine(Some("3.20.3")), &[]),
            "NAME=\"Alpine Linux\"\nID=alpine\nVERSION_ID=3.20.3\nPRETTY_NAME=\"Alpine Linux v3.20\"\n\
             HOME_URL=\"https://alpinelinux.org/\"\n\
             BUG_REPORT_URL=\"https://gitlab.alpinelinux.org/alpine/aports/-/issues\"\n"
        );
    }

    #[test]
    fn alpine_of_no_known_release_is_alpine() {
        assert_eq!(
            made(Base::Alpine(None), &[("VARIANT_ID", "x")]),
            "NAME=\"Alpine Linux\"\nID=alpine\nPRETTY_NAME=\"Alpine Linux\"\nHOME_URL=\"https://alpinelinux.org/\"\n\
             BUG_REPORT_URL=\"https://gitlab.alpinelinux.org/alpine/aports/-/issues\"\nVARIANT_ID=x\n"
        );
    }

    #[test]
    fn a_release_is_named_by_its_branch() {
        for (release, name) in [
            (Some("3.20.3"), "Alpine Linux v3.20"),
            (Some("3.20"), "Alpine Linux v3.20"),
            (Some("edge"), "Alpine Linux edge"),
            (None, "Alpine Linux"),
        ] {
            assert_eq!(pretty(release), name);
        }
    }

    #[test]
    fn an_image_of_nothing_speaks_for_itself() {
        let base = Base::Image { name: "My App", version: Some("1.2") };
        assert_eq!(made(base, &[]), "NAME=\"My App\"\nID=my-app\nPRETTY_NAME=\"My App 1.2\"\nVERSION_ID=1.2\n");
        assert_eq!(
            made(Base::Image { name: "static", version: None }, &[]),
            "NAME=static\nID=static\nPRETTY_NAME=static\n"
        );
    }

    #[test]
    fn names_and_values_that_would_break_the_file_are_errors() {
        for (key, value) in [("", "x"), ("name", "x"), ("A B", "x"), ("1A", "x"), ("A", "x\ny"), ("A", "\u{1b}[1m")] {
            let outcome = os_release(Base::Image { name: "x", version: None }, &fields(&[(key, value)]), 0);
            assert!(outcome.is_err(), "{key:?} {value:?}");
        }
    }

    #[test]
    fn the_bytes_do_not_move() {
        let made = os_release(Base::File(DEBIAN), &fields(&[("IMAGE_ID", "static")]), 7).unwrap();
        assert_eq!(
            fingerprint(&made),
            "7096bb5e839729239a8048e897e3f059ecafaa91e87134f73816692f5ac49108",
            "raise the version in definition/fixup.rs when this changes"
        );
        let mut made = os_release(Base::Alpine(Some("3.20.3")), &fields(&[("VERSION_ID", "3.20.3")]), 0).unwrap();
        alpine_release(&mut made, "3.20.3");
        assert_eq!(text(&made, ALPINE_RELEASE), "3.20.3\n");
        assert_eq!(
            fingerprint(&made),
            "a85893b51d6f63059b9a672bad40c173185bacc2f6618963506939edd09bf931",
            "raise the version in definition/fixup.rs when this changes"
        );
    }
}
