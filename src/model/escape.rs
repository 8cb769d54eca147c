//! Foreign text on its way to a terminal, a log or an error: escaped in this one place.
//!
//! Paths, descriptions and file bodies come from packages that others made. Control characters could
//! drive a terminal, bidirectional marks could reorder a line, invisible characters make two names look
//! like one, and a newline could forge a line. All of these are written as `\u{..}`, bytes that are not
//! UTF-8 as `\x..`, and a backslash as two, so that no two texts are shown alike. Long text is cut.
//!
//! In JSON, which can say every character, only what is no text is written out: see [`name`].

use std::fmt;
use std::path::Path;

/// Longest foreign text that is quoted, in characters.
const QUOTED: usize = 200;

/// Displays foreign text harmlessly.
pub struct Escaped<'a> {
    bytes: &'a [u8],
    longest: usize,
    is_source: bool,
}

impl<'a> Escaped<'a> {
    /// Wraps bytes that may not be UTF-8.
    #[must_use]
    pub const fn bytes(bytes: &'a [u8]) -> Self {
        Self { bytes, longest: QUOTED, is_source: false }
    }

    /// Wraps bytes that are shown to their end: paths are listed, not quoted.
    #[must_use]
    pub const fn whole(bytes: &'a [u8]) -> Self {
        Self { bytes, longest: usize::MAX, is_source: false }
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

    /// Wraps a piece of a source text that is drawn as it was written: its backslashes are its own.
    #[must_use]
    pub const fn source(text: &'a str) -> Self {
        Self { bytes: text.as_bytes(), longest: QUOTED, is_source: true }
    }
}

/// Characters that show nothing or change how others are shown, as inclusive ranges in order.
///
/// Three classes of the Unicode Character Database, version 16 (<https://www.unicode.org/Public/16.0.0/ucd/>):
/// the general categories Cf (format), Zl and Zp (line and paragraph separator) of `UnicodeData.txt`, and
/// the property `Default_Ignorable_Code_Point` of `DerivedCoreProperties.txt`, where variation selectors,
/// fillers and the tag characters are. Control characters (Cc) are asked of the standard library.
const INVISIBLE: [(char, char); 29] = [
    ('\u{ad}', '\u{ad}'),       // soft hyphen
    ('\u{34f}', '\u{34f}'),     // combining grapheme joiner
    ('\u{600}', '\u{605}'),     // Arabic number signs
    ('\u{61c}', '\u{61c}'),     // Arabic letter mark
    ('\u{6dd}', '\u{6dd}'),     // Arabic end of ayah
    ('\u{70f}', '\u{70f}'),     // Syriac abbreviation mark
    ('\u{890}', '\u{891}'),     // Arabic pound and piastre marks above
    ('\u{8e2}', '\u{8e2}'),     // Arabic disputed end of ayah
    ('\u{115f}', '\u{1160}'),   // Hangul fillers
    ('\u{17b4}', '\u{17b5}'),   // Khmer inherent vowels
    ('\u{180b}', '\u{180f}'),   // Mongolian variation selectors and vowel separator
    ('\u{200b}', '\u{200f}'),   // zero-width space and joiners, direction marks
    ('\u{2028}', '\u{202e}'),   // line and paragraph separator, bidirectional embeddings and overrides
    ('\u{2060}', '\u{206f}'),   // word joiner, invisible operators, bidirectional isolates
    ('\u{3164}', '\u{3164}'),   // Hangul filler
    ('\u{fe00}', '\u{fe0f}'),   // variation selectors
    ('\u{feff}', '\u{feff}'),   // byte order mark
    ('\u{ffa0}', '\u{ffa0}'),   // halfwidth Hangul filler
    ('\u{fff0}', '\u{fffb}'),   // interlinear annotations
    ('\u{110bd}', '\u{110bd}'), // Kaithi number sign
    ('\u{110cd}', '\u{110cd}'), // Kaithi number sign above
    ('\u{13430}', '\u{1343f}'), // Egyptian hieroglyph format controls
    ('\u{1bca0}', '\u{1bca3}'), // shorthand format controls
    ('\u{1d173}', '\u{1d17a}'), // musical symbols that begin and end something
    ('\u{e0000}', '\u{e001f}'), // language tag
    ('\u{e0020}', '\u{e007f}'), // tag characters
    ('\u{e0080}', '\u{e00ff}'), // reserved
    ('\u{e0100}', '\u{e01ef}'), // variation selectors supplement
    ('\u{e01f0}', '\u{e0fff}'), // reserved
];

/// Says whether a character could move the cursor, reorder or hide text.
#[must_use]
pub fn is_hostile(character: char) -> bool {
    character.is_control()
        || (character >= INVISIBLE[0].0
            && INVISIBLE[..INVISIBLE.partition_point(|(first, _)| *first <= character)]
                .last()
                .is_some_and(|(_, last)| character <= *last))
}

/// Gives a name of bytes as text for JSON: itself, but a backslash is two, and a byte that is not UTF-8
/// is `\x` and two hex digits. No two names give the same text, and a name without backslash that is
/// UTF-8 is the very name.
#[must_use]
pub fn name(bytes: &[u8]) -> String {
    use fmt::Write as _;
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            text.push_str(if character == '\\' { "\\" } else { "" });
            text.push(character);
        }
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
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
                } else if character == '\\' && !self.is_source {
                    f.write_str("\\\\")?;
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
    fn no_two_texts_are_shown_alike() {
        let texts: [&[u8]; 9] =
            [b"\x01", br"\x01", br"\u{1}", b"\\\x01", br"\\x01", b"\xff", br"\xff", b"\\\xff", br"\"];
        for (at, one) in texts.iter().enumerate() {
            for other in &texts[..at] {
                assert_ne!(Escaped::whole(one).to_string(), Escaped::whole(other).to_string(), "{one:?} {other:?}");
                assert_ne!(name(one), name(other), "{one:?} {other:?}");
            }
        }
        assert_eq!(Escaped::whole(br"a\b").to_string(), r"a\\b");
        assert_eq!(Escaped::source(r"a\b").to_string(), r"a\b");
        assert_eq!(name("caf\u{e9}\u{1b}\u{202e} \"x\"".as_bytes()), "caf\u{e9}\u{1b}\u{202e} \"x\"");
    }

    #[test]
    fn what_cannot_be_seen_is_written_out() {
        for hidden in [
            '\0',
            '\u{7f}',
            '\u{85}',
            '\u{9b}',
            '\u{ad}',
            '\u{34f}',
            '\u{61c}',
            '\u{180e}',
            '\u{200b}',
            '\u{200d}',
            '\u{200f}',
            '\u{2028}',
            '\u{2029}',
            '\u{202e}',
            '\u{2060}',
            '\u{2066}',
            '\u{206f}',
            '\u{3164}',
            '\u{fe00}',
            '\u{fe0f}',
            '\u{feff}',
            '\u{fff9}',
            '\u{fffb}',
            '\u{e0001}',
            '\u{e0041}',
            '\u{e007f}',
            '\u{e01ef}',
        ] {
            assert!(is_hostile(hidden), "{hidden:?}");
        }
        for seen in [
            'a',
            ' ',
            '~',
            '\u{ac}',
            '\u{ae}',
            '\u{e9}',
            '\u{2010}',
            '\u{2026}',
            '\u{2027}',
            '\u{202f}',
            '\u{fffd}',
            '\u{1f600}',
        ] {
            assert!(!is_hostile(seen), "{seen:?}");
        }
        assert!(INVISIBLE.is_sorted() && INVISIBLE.iter().all(|(first, last)| first <= last));
    }

    #[test]
    fn long_text_is_cut() {
        assert_eq!(Escaped::text(&"a".repeat(500)).to_string().len(), QUOTED + 3);
        assert_eq!(Escaped::whole(&[b'a'; 500]).to_string().len(), 500);
    }
}
