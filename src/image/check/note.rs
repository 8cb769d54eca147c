//! What people should know of an image, and who of them.
//!
//! A warning is likely to be a mistake; what a definition accepts in its own words is told to those who ask.

use serde::Serialize;

/// What people should know of an image.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Note {
    /// A line.
    pub text: String,
    /// Who wants to be told.
    pub weight: Weight,
}

/// Who wants to be told of a note.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Weight {
    /// Those who ask with `-v`: the definition accepts this explicitly.
    Accepted = 0,
    /// Everybody.
    Note = 1,
    /// Everybody: it is likely to be a mistake.
    Warning = 2,
}

impl Weight {
    /// Reads its number.
    pub(crate) const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Accepted),
            1 => Some(Self::Note),
            2 => Some(Self::Warning),
            _ => None,
        }
    }
}

impl Note {
    /// Makes a note that everybody is told.
    pub(crate) const fn told(text: String) -> Self {
        Self { text, weight: Weight::Note }
    }

    /// Makes a note of what the definition accepts.
    pub(crate) const fn accepted(text: String) -> Self {
        Self { text, weight: Weight::Accepted }
    }

    /// Makes a warning.
    pub(crate) const fn warning(text: String) -> Self {
        Self { text, weight: Weight::Warning }
    }
}
