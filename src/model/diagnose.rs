//! What an error means for whoever has to go on: its kind, and the next thing to do.
//!
//! Sentences are for people; programs branch on the [`Kind`]. Each module's error says its own kind and
//! hint, those that only carry another error ask that one. The command line walks the chain of causes
//! through one list of types and knows none of them by name.

use std::error::Error;
use std::fmt;
use std::io;
use std::ops::Deref;

/// What kind of thing went wrong: who has to act, and whether doing the same again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// What was typed. Exit code 2; again is of no use.
    Usage,
    /// What was given: a package, a definition, a file of one's own. Exit code 1; again is of no use.
    Input,
    /// What surrounds the program: permissions, a device, an engine, a store of a newer program. Exit
    /// code 1; a person has to change something first.
    Environment,
    /// Somebody else holds what is needed. Exit code 1; later may help.
    Busy,
    /// Something of the store was found, and is not there any more: a collector was faster. Exit code 1
    /// when it stays so; doing the work again, holding what is found, helps.
    Gone,
    /// Bytes or rows of the store are not what they were when they were written. Exit code 1 when it
    /// stays so; healing them and doing the work again helps.
    Damaged,
    /// No room: the disk, or the user's share of it. Exit code 1; a person has to make room.
    Full,
    /// The same where the store lies. Exit code 1; collecting may help.
    StoreFull,
    /// A rule of this program was broken by itself. Exit code 1; a bug.
    Internal,
}

impl Kind {
    /// Gives the exit code: 2 for what was typed, 1 for all else.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Usage => 2,
            _ => 1,
        }
    }

    /// Says what the system's word on a file of the host means.
    #[must_use]
    pub fn of_io(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
            io::ErrorKind::ResourceBusy | io::ErrorKind::WouldBlock => Self::Busy,
            _ => Self::Environment,
        }
    }

    /// Says what an error means that came up while the store was written to.
    #[must_use]
    pub const fn of_the_store(self) -> Self {
        match self {
            Self::Full => Self::StoreFull,
            other => other,
        }
    }

    /// Says what an error means that may come from the system or from what decodes foreign bytes.
    #[must_use]
    pub fn of_reading(error: &io::Error) -> Self {
        if error.raw_os_error().is_some() { Self::of_io(error) } else { Self::Input }
    }

    /// Says what an error means while bytes of the store are read.
    #[must_use]
    pub fn of_stored(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Gone,
            _ if error.raw_os_error().is_some() => Self::of_io(error),
            _ => Self::Damaged,
        }
    }
}

/// The next thing to do, in one line: a command to type, or a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint(String);

impl Hint {
    /// Takes the words.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Says what helps against what the system said, where that is known.
    #[must_use]
    pub fn of_io(error: &io::Error) -> Option<Self> {
        (error.kind() == io::ErrorKind::FileTooLarge).then(Self::file_limit)
    }

    /// Says what helps against a limit on the sizes of files.
    #[must_use]
    pub fn file_limit() -> Self {
        Self::new("ulimit -f unlimited, or a higher limit")
    }
}

impl Deref for Hint {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Writes an error with its causes in one line. A drawing of the place that it is about needs lines, and is left out.
#[must_use]
pub fn one_line(error: &(dyn Error + 'static)) -> String {
    let said = |error: &dyn Error| {
        let text = error.to_string();
        text.lines().filter(|line| !is_drawn(line)).collect::<Vec<_>>().join("\n")
    };
    let mut text = said(error);
    let mut cause = error.source();
    while let Some(next) = cause {
        let line = said(next);
        if !text.ends_with(&line) {
            text = format!("{text}: {line}");
        }
        cause = next.source();
    }
    text.replace('\n', "; ")
}

/// Says whether a line is one of a drawing: `  |`, `2 | extends = "nope"`, `  |           ^^^^^^`.
fn is_drawn(line: &str) -> bool {
    let number = line.trim_start_matches(' ').trim_start_matches(|c: char| c.is_ascii_digit());
    number.starts_with(" |") || (number.starts_with('|') && line.starts_with(' '))
}

/// An error that says what it means.
pub trait Diagnose {
    /// Gives its kind; an error that only carries another one has the kind of that.
    fn kind(&self) -> Kind;

    /// Gives the next thing to do, where one is known.
    fn hint(&self) -> Option<Hint> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_typed_has_the_exit_code_2() {
        let all = [
            Kind::Usage,
            Kind::Input,
            Kind::Environment,
            Kind::Busy,
            Kind::Gone,
            Kind::Damaged,
            Kind::Full,
            Kind::StoreFull,
            Kind::Internal,
        ];
        assert_eq!(all.map(Kind::exit_code), [2, 1, 1, 1, 1, 1, 1, 1, 1]);
    }

    #[test]
    fn what_the_system_says_is_told_from_what_a_decoder_says() {
        let missing = io::Error::from_raw_os_error(2);
        let bad = io::Error::new(io::ErrorKind::InvalidData, "bad block");
        let short = io::Error::from(io::ErrorKind::UnexpectedEof);
        let full = io::Error::from_raw_os_error(28);
        for (error, reading, stored) in [
            (&missing, Kind::Environment, Kind::Gone),
            (&bad, Kind::Input, Kind::Damaged),
            (&short, Kind::Input, Kind::Damaged),
            (&full, Kind::Full, Kind::Full),
        ] {
            assert_eq!((Kind::of_reading(error), Kind::of_stored(error)), (reading, stored), "{error}");
        }
    }
}
