//! Foreign text on its way to a terminal, a log or an error: escaped in this one place.
//!
//! Paths, descriptions and file bodies come from packages that others made. Control characters could
//! drive a terminal, bidirectional marks could reorder a line, and a newline could forge one. All of
//! these are written as `\u{..}` or `\x..`, and long text is cut.

use std::fmt;
use std::path::Path;

/// Longest foreign text that is quoted, in characters.
const QUOTED: usize = 200;

/// Displays foreign text harmlessly.
pub struct Escaped<'a> {
    bytes: &'a [u8],
    longest: usize,
}

impl<'a> Escaped<'a> {
    /// Wraps bytes that may not be UTF-8.
    #[must_use]
    pub const fn bytes(bytes: &'a [u8]) -> Self {
        Self { bytes, longest: QUOTED }
    }

    /// Wraps bytes that are shown to their end: paths are listed, not quoted.
    #[must_use]
    pub const fn whole(bytes: &'a [u8]) -> Self {
        Self { bytes, longest: usize::MAX }
    }

    /// Wraps the path of a file of the host.
    #[must_use]
    pub fn path(path: &'a Path) -> Self {
        Self::whole(path.as_os_str().as_encoded_bytes())
    }

    /// Wraps text.
    #[must_use]
    pub const fn text(text: &'a str) -> Self {
        Self::bytes(text.as_bytes())
    }
}

/// Says whether a character could move the cursor, reorder or hide text.
#[must_use]
pub fn is_hostile(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{61c}' | '\u{feff}' | '\u{2028}' | '\u{2029}')
}

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        let mut left = self.longest;
        for chunk in self.bytes.utf8_chunks() {
            for character in chunk.valid().chars() {
                if left == 0 {
                    return f.write_str("...");
                }
                left -= 1;
                if is_hostile(character) {
                    write!(f, "{}", character.escape_unicode())?;
                } else {
                    f.write_char(character)?;
                }
            }
            for byte in chunk.invalid() {
                if left == 0 {
                    return f.write_str("...");
                }
                left -= 1;
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_characters_are_written_out() {
        assert_eq!(Escaped::bytes(b"a\x1b[31m\nb\xff").to_string(), "a\\u{1b}[31m\\u{a}b\\xff");
        assert_eq!(Escaped::text("x\u{202e}y \u{9b}z é").to_string(), "x\\u{202e}y \\u{9b}z é");
    }

    #[test]
    fn long_text_is_cut() {
        assert_eq!(Escaped::text(&"a".repeat(500)).to_string().len(), QUOTED + 3);
        assert_eq!(Escaped::whole(&[b'a'; 500]).to_string().len(), 500);
    }
}
