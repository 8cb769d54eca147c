//! Which line of a definition says a key: for errors that show only when an image is composed.
//!
//! What is wrong with a text by itself is shown at its place (`error`). What depends on packages, on files of the host or
//! on other definitions comes to light later, when the text is gone. So each level keeps the lines of its keys, of what
//! is in its tables and of the items of its lists, and an error of one of them begins as the others do: with the file and
//! the line. It decides no byte and is part of no key.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;

use toml::de::DeValue;

use super::Image;
use super::error::{Line, Lines};
use super::quote::quoted;
use super::value::Value;
use dlstore_model::path::TreePath;

/// A key of a definition, or a flag of the command line that says the same, and where that is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyLine {
    /// The line; `None` for a flag.
    line: Option<Line>,
    /// The key as it is typed: `files."/usr/bin/app".source`, `certificates "corp.pem"`, `--env PATH`.
    name: String,
}

impl KeyLine {
    /// Names a variable that the command line sets.
    pub(super) fn of_flag(flag: &str, key: &str) -> Self {
        Self { line: None, name: format!("{flag} {key}") }
    }

    /// Gives the line; `None` for a flag.
    pub(crate) const fn line(&self) -> Option<&Line> {
        self.line.as_ref()
    }
}

impl fmt::Display for KeyLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.line {
            Some(line) => write!(f, "{line}: {}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// What stands where, while a definition is read: by the keys that lead to it, the byte at which it begins.
#[derive(Debug, Clone, Default)]
pub(super) struct Spans(BTreeMap<Vec<String>, (usize, Kind)>);

/// What a name belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A key of a table.
    Key,
    /// An item of a list.
    Item,
}

impl Spans {
    /// Takes a key with all that its value says.
    pub(super) fn add(&mut self, key: &str, at: usize, value: &Value<'_>) {
        self.walk(&mut vec![key.to_owned()], at, Kind::Key, value);
    }

    /// Takes what a flavor says; that counts.
    pub(super) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    fn walk(&mut self, path: &mut Vec<String>, at: usize, kind: Kind, value: &Value<'_>) {
        self.0.insert(path.clone(), (at, kind));
        match value.get_ref() {
            DeValue::Table(table) => {
                for (key, value) in table {
                    path.push(key.get_ref().to_string());
                    self.walk(path, key.span().start, Kind::Key, value);
                    path.pop();
                }
            }
            DeValue::Array(list) => {
                for item in list {
                    // A table in a list is called by its name.
                    let named = item.get_ref().get("name").unwrap_or(item);
                    let Some(name) = named.get_ref().as_str() else { continue };
                    path.push(name.to_owned());
                    self.0.insert(path.clone(), (item.span().start, Kind::Item));
                    path.pop();
                }
            }
            _ => {}
        }
    }
}

/// The lines of what one definition says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyLines {
    file: String,
    lines: BTreeMap<Vec<String>, (usize, Kind)>,
}

impl KeyLines {
    pub(super) fn of(lines: &Lines<'_>, spans: Spans) -> Self {
        let number = |(path, (at, kind))| (path, (lines.of_byte(at).number, kind));
        Self { file: lines.file().to_owned(), lines: spans.0.into_iter().map(number).collect() }
    }

    /// Finds exactly this: a key, what is below it, and so on.
    pub(crate) fn exactly(&self, path: &[&str]) -> Option<KeyLine> {
        let path: Vec<String> = path.iter().map(|part| (*part).to_owned()).collect();
        let (number, kind) = self.lines.get(&path)?;
        let (last, keys) = path.split_last()?;
        let name = match kind {
            Kind::Key => dotted(&path),
            Kind::Item => format!("{} {}", dotted(keys), quoted(last)),
        };
        Some(KeyLine { line: Some(Line { file: self.file.clone(), number: *number }), name })
    }

    /// Finds this, or else the nearest that is above it.
    pub(crate) fn nearest(&self, path: &[&str]) -> Option<KeyLine> {
        (1..=path.len()).rev().find_map(|length| self.exactly(&path[..length]))
    }

    /// Finds what brings a path of the image: its own key, or that of a directory above it. What lands below `/usr` may have
    /// been said without that.
    pub(crate) fn of_path(&self, path: &TreePath) -> Option<KeyLine> {
        let path = std::str::from_utf8(path.as_bytes()).ok()?;
        let said = |path: &str| {
            let itself = ["files", "links"].into_iter().find_map(|key| self.exactly(&[key, &format!("/{path}")]));
            let mut above = std::iter::successors(Some(path), |path| Some(path.rsplit_once('/')?.0));
            itself.or_else(|| above.find_map(|directory| self.exactly(&["files", &format!("/{directory}/")])))
        };
        said(path).or_else(|| said(path.strip_prefix("usr/")?))
    }
}

/// Writes keys as they are typed.
fn dotted(path: &[String]) -> String {
    let is_bare = |key: &str| !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    let typed = path.iter().map(|key| if is_bare(key) { key.clone() } else { quoted(key) });
    typed.collect::<Vec<_>>().join(".")
}

impl Image {
    /// Finds who says a key of the configuration: a flag, or the uppermost definition that says exactly this, or else one
    /// that says what is above it.
    pub(crate) fn key_line(&self, path: &[&str]) -> Option<KeyLine> {
        if let ["env", name] = path
            && self.env_of_flags.contains(*name)
        {
            return Some(KeyLine::of_flag("--env", name));
        }
        let uppermost = |path: &[&str]| self.levels.iter().rev().find_map(|level| level.key_lines.exactly(path));
        (1..=path.len()).rev().find_map(|length| uppermost(&path[..length]))
    }

    /// Finds where one of its tags is said.
    #[must_use]
    pub fn tag_line(&self, tag: &str) -> Option<KeyLine> {
        let lines = &self.levels.last()?.key_lines;
        let of_base =
            || tag.strip_suffix(&self.flavor)?.strip_suffix('-').and_then(|tag| lines.exactly(&["tags", tag]));
        lines.exactly(&["tags", tag]).or_else(of_base).or_else(|| lines.exactly(&["tags"]))
    }
}

/// An error of what a definition says: its sentence, behind the line and the key.
#[derive(Debug)]
pub struct Located<E> {
    key: KeyLine,
    error: E,
}

impl<E> Located<E> {
    /// Says of an error where it comes from.
    #[must_use]
    pub const fn new(key: KeyLine, error: E) -> Self {
        Self { key, error }
    }

    /// Gives the error itself.
    pub const fn error(&self) -> &E {
        &self.error
    }
}

impl<E: fmt::Display> fmt::Display for Located<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.error)
    }
}

impl<E: Error> Error for Located<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error.source()
    }
}
