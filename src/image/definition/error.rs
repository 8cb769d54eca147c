//! What can be wrong with a definition, said with the place where it is.
//!
//! A mistake in a text is shown as people know it from compilers: file, line and column, the
//! sentence, the line itself and a mark below what is meant. Lines are foreign text: they are escaped
//! and cut, and the mark is placed by what is shown, not by what was read.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

use dlstore_model::diagnose::{Diagnose, Hint, Kind};
use dlstore_model::escape::{Escaped, is_hostile};
use dlstore_model::likeness::closest;

/// Most characters of a line that are shown before the mark.
const SHOWN_BEFORE: usize = 80;
/// Most characters of a line that are shown from the mark on.
const SHOWN_AFTER: usize = 100;

/// Where in a definition something stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file, as it was given or found; for one that is built in, `built-in static/image.toml`.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What of the line is shown before the mark, escaped.
    before: String,
    /// What is marked, escaped; empty at the end of a line.
    marked: String,
    /// What is shown behind the mark, escaped.
    after: String,
}

impl Place {
    /// Finds the line and column of a range of bytes. A range over several lines marks the first.
    #[must_use]
    pub fn new(file: &str, text: &str, span: Range<usize>) -> Self {
        let start = floor(text, span.start);
        let first = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let end = text[start..].find('\n').map_or(text.len(), |at| start + at);
        let marked_end = floor(text, span.end).clamp(start, end);
        let before = &text[first..start];
        let column = before.chars().count() + 1;
        let skipped = before.chars().count().saturating_sub(SHOWN_BEFORE);
        let before: String = before.chars().skip(skipped).collect();
        let dots = if skipped > 0 { "..." } else { "" };
        let marked: String = text[start..marked_end].trim_end_matches('\r').chars().take(SHOWN_AFTER).collect();
        let left = SHOWN_AFTER - marked.chars().count();
        let rest = text[marked_end..end].trim_end_matches('\r');
        let after: String = rest.chars().take(left).collect();
        let more = if after.len() < rest.len() { "..." } else { "" };
        Self {
            file: file.to_owned(),
            line: text[..start].matches('\n').count() + 1,
            column,
            before: format!("{dots}{}", Escaped::source(&before)),
            marked: Escaped::source(&marked).to_string(),
            after: format!("{}{more}", Escaped::source(&after)),
        }
    }

    /// Gives the line with a mark below, each of its lines indented for its number.
    fn drawing(&self) -> String {
        let number = self.line.to_string();
        let gutter = " ".repeat(number.len());
        let indent = " ".repeat(self.before.chars().count());
        let mark = "^".repeat(self.marked.chars().count().max(1));
        let Self { before, marked, after, .. } = self;
        format!("{gutter} |\n{number} | {before}{marked}{after}\n{gutter} | {indent}{mark}")
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", Escaped::text(&self.file), self.line, self.column)
    }
}

/// A line of a definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The file, as [`Place::file`] has it.
    pub file: String,
    /// From 1.
    pub number: usize,
}

impl Line {
    /// Finds the line of a byte.
    #[must_use]
    pub fn new(file: &str, text: &str, at: usize) -> Self {
        Self { file: file.to_owned(), number: text[..floor(text, at)].matches('\n').count() + 1 }
    }
}

/// The lines of a text, counted once for all that ask where something stands.
pub(super) struct Lines<'t> {
    file: &'t str,
    /// Where each ends, in bytes.
    ends: Vec<usize>,
}

impl<'t> Lines<'t> {
    /// Counts the lines of a text.
    pub(super) fn of(file: &'t str, text: &str) -> Self {
        Self { file, ends: text.match_indices('\n').map(|(at, _)| at).collect() }
    }

    /// Gives the name of the text.
    pub(super) const fn file(&self) -> &str {
        self.file
    }

    /// Finds the line of a byte.
    pub(super) fn of_byte(&self, at: usize) -> Line {
        Line { file: self.file.to_owned(), number: self.ends.partition_point(|end| *end < at) + 1 }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", Escaped::text(&self.file), self.number)
    }
}

/// Goes back to where a character begins.
fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// A sentence about a range of bytes of a text that is not named yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bad {
    pub(super) span: Range<usize>,
    pub(super) sentence: String,
}

impl Bad {
    pub(super) fn new(span: Range<usize>, sentence: impl Into<String>) -> Self {
        Self { span, sentence: sentence.into() }
    }

    /// Names the text.
    pub(super) fn at(self, file: &str, text: &str) -> DefinitionError {
        DefinitionError::Word { place: Box::new(Place::new(file, text, self.span)), sentence: self.sentence }
    }
}

/// Tells why an image cannot be had from its definition.
#[derive(Debug, thiserror::Error)]
pub enum DefinitionError {
    /// Something in the text is wrong: TOML itself, a key, or a value.
    #[error("{place}: {sentence}\n{}", place.drawing())]
    Word {
        /// Where.
        place: Box<Place>,
        /// What, without the place.
        sentence: String,
    },
    /// What `extends` names cannot be had.
    #[error("{place}: cannot extend `{reference}`\n{}", place.drawing())]
    Extends {
        /// Where it is named.
        place: Box<Place>,
        /// What is named.
        reference: String,
        /// Why not.
        #[source]
        source: Box<DefinitionError>,
    },
    /// No image has that name.
    #[error("there is no image `{}`{}", Escaped::text(name), Choice(suggestion.as_deref(), "known images:", known))]
    UnknownImage {
        /// The name that was asked for.
        name: String,
        /// The known name that is most like it.
        suggestion: Option<String>,
        /// All known names, sorted.
        known: Vec<String>,
    },
    /// No image can have that name.
    #[error(
        "`{}` is not a valid image name: lowercase letters, digits and `.-_`, a letter or digit at both ends, at most 128{}",
        Escaped::text(name),
        DidYouMean(suggestion.as_deref())
    )]
    Name {
        /// The name.
        name: String,
        /// The known name that is most like it.
        suggestion: Option<String>,
    },
    /// The image has no such flavor.
    #[error("`{image}` has no flavor `{}`{}", Escaped::text(flavor), Choice(suggestion.as_deref(), "it has", known))]
    UnknownFlavor {
        /// The image.
        image: String,
        /// The flavor that was asked for.
        flavor: String,
        /// The flavor that is most like it.
        suggestion: Option<String>,
        /// All flavors, the default first.
        known: Vec<String>,
    },
    /// A definition extends itself, directly or through others.
    #[error("a definition cannot extend itself: {}", chain.join(" -> "))]
    Cycle {
        /// The chain, its first and last the same.
        chain: Vec<String>,
    },
    /// Too many definitions extend each other.
    #[error("more than {} definitions extend each other: {}", super::MAX_DEPTH, chain.join(" -> "))]
    Depth {
        /// The chain.
        chain: Vec<String>,
    },
    /// A file is larger than a definition may be.
    #[error("{} is larger than 1 MiB, the limit for a definition", Escaped::text(&path.to_string_lossy()))]
    Large {
        /// The file.
        path: PathBuf,
    },
    /// A path that leads out of the project, or that is not UTF-8.
    #[error("{} {reason}", Escaped::text(&path.to_string_lossy()))]
    Path {
        /// The path.
        path: PathBuf,
        /// What is wrong with it: the rest of the sentence.
        reason: &'static str,
    },
    /// What was found upwards of the current directory is another user's.
    #[error("{} belongs to the user {owner}, not to you or root", Escaped::text(&path.to_string_lossy()))]
    Owner {
        /// The directory or file.
        path: PathBuf,
        /// The project that it is in.
        project: PathBuf,
        /// The number of its owner.
        owner: u32,
    },
    /// A file could not be read.
    #[error("cannot {action} {}", Escaped::text(&path.to_string_lossy()))]
    Io {
        /// What was attempted.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
}

impl Diagnose for DefinitionError {
    fn kind(&self) -> Kind {
        match self {
            Self::Io { source, .. } => Kind::of_io(source),
            // What a definition names is a mistake in a file, what a person does is one in what was typed.
            Self::Extends { source, .. } if source.kind() == Kind::Usage => Kind::Input,
            Self::Extends { source, .. } => source.kind(),
            Self::UnknownImage { .. } | Self::UnknownFlavor { .. } => Kind::Usage,
            Self::Word { .. }
            | Self::Name { .. }
            | Self::Cycle { .. }
            | Self::Depth { .. }
            | Self::Large { .. }
            | Self::Owner { .. }
            | Self::Path { .. } => Kind::Input,
        }
    }

    fn hint(&self) -> Option<Hint> {
        match self {
            Self::Owner { project, .. } => {
                let project = project.to_str().filter(|text| !text.contains(is_hostile))?;
                Some(Hint::new(format!("if you trust its owner: --project {}", shell_word(project))))
            }
            Self::Extends { source, .. } => source.hint(),
            _ => None,
        }
    }
}

/// Writes a path as one word of a command.
fn shell_word(text: &str) -> String {
    let is_plain = |character: char| character.is_alphanumeric() || "/._-+:@".contains(character);
    if text.chars().all(is_plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// The part of a sentence that suggests a name, or nothing.
struct DidYouMean<'a>(Option<&'a str>);

impl fmt::Display for DidYouMean<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |name| write!(f, "; did you mean `{name}`?"))
    }
}

/// The rest of a sentence: a suggestion, if there is one, and all that is known.
struct Choice<'a>(Option<&'a str>, &'static str, &'a [String]);

impl fmt::Display for Choice<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(suggestion, verb, known) = self;
        let list = known.join(", ");
        f.write_str(&and_known(&DidYouMean(*suggestion).to_string(), &format!("{verb} {list}")))
    }
}

/// Joins a suggestion, which ends with a question mark if there is one, and a last remark.
pub(super) fn and_known(suggestion: &str, remark: &str) -> String {
    if suggestion.is_empty() {
        return format!("; {remark}");
    }
    let (first, rest) = remark.split_at(remark.chars().next().map_or(0, char::len_utf8));
    format!("{suggestion} {}{rest}", first.to_uppercase())
}

/// Gives the part of a sentence that suggests the known word most like the given one, or nothing.
pub(super) fn did_you_mean<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    DidYouMean(closest(given, known)).to_string()
}
