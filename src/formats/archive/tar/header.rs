//! One 512-byte header block of a tar: its checksum, its fields, its numbers.
//!
//! ```text
//!   0 name 100   100 mode 8   108 uid 8   116 gid 8   124 size 12   136 mtime 12   148 checksum 8
//! 156 type 1     157 link 100 257 magic 8 265 uname 32 297 gname 32 329 major 8 337 minor 8
//! 345 prefix 155 (only when the magic is POSIX's: GNU keeps other things there)
//! ```
//!
//! Numbers are strict: octal digits with blanks around them, or GNU's base-256 with a value that is
//! not negative. A field that holds anything else is an error, never zero; GNU tar refuses it too.

use crate::archive::ArchiveError;
use dlstore_model::escape::Escaped;

/// Length of a block in bytes.
pub(super) const BLOCK: usize = 512;

/// One block, not yet known to be a header.
pub(super) struct Block(pub(super) [u8; BLOCK]);

impl Block {
    /// Says whether this is one of the two blocks that end an archive.
    pub(super) fn is_zero(&self) -> bool {
        self.0.iter().all(|byte| *byte == 0)
    }

    /// Checks the checksum: the sum of all bytes with the field itself as blanks.
    pub(super) fn check(&self) -> Result<(), ArchiveError> {
        let sum = |bytes: &[u8]| bytes.iter().map(|byte| u64::from(*byte)).sum::<u64>();
        let computed = sum(&self.0[..148]) + 8 * u64::from(b' ') + sum(&self.0[156..]);
        if number(&self.0[148..156]) == Some(computed) {
            return Ok(());
        }
        Err(ArchiveError::Malformed("a tar header has a wrong checksum".into()))
    }

    /// Gives the letter that says what the entry is.
    pub(super) const fn kind(&self) -> u8 {
        self.0[156]
    }

    /// Gives the path of this block alone, with POSIX's prefix.
    pub(super) fn path(&self) -> Vec<u8> {
        let name = text(&self.0[..100]);
        let prefix = if self.0[257..263] == *b"ustar\0" { text(&self.0[345..500]) } else { b"" };
        if prefix.is_empty() { name.to_vec() } else { [prefix, b"/", name].concat() }
    }

    /// Gives the link target of this block alone.
    pub(super) fn link(&self) -> Vec<u8> {
        text(&self.0[157..257]).to_vec()
    }

    pub(super) fn mode(&self) -> Result<u64, ArchiveError> {
        self.number("mode", 100, 8)
    }

    pub(super) fn uid(&self) -> Result<u64, ArchiveError> {
        self.number("uid", 108, 8)
    }

    pub(super) fn gid(&self) -> Result<u64, ArchiveError> {
        self.number("gid", 116, 8)
    }

    pub(super) fn size(&self) -> Result<u64, ArchiveError> {
        self.number("size", 124, 12)
    }

    pub(super) fn mtime(&self) -> Result<u64, ArchiveError> {
        self.number("modification time", 136, 12)
    }

    pub(super) fn device(&self) -> Result<(u32, u32), ArchiveError> {
        let part = |at| {
            let value = self.number("device number", at, 8)?;
            u32::try_from(value)
                .map_err(|_| ArchiveError::Malformed(format!("a tar header has the device number {value}")))
        };
        Ok((part(329)?, part(337)?))
    }

    fn number(&self, what: &str, at: usize, length: usize) -> Result<u64, ArchiveError> {
        let field = &self.0[at..at + length];
        number(field).ok_or_else(|| {
            let shown = Escaped::bytes(text(field));
            ArchiveError::Malformed(format!("a tar header has an unreadable {what}: \"{shown}\""))
        })
    }
}

/// Cuts a text field at its first NUL.
fn text(field: &[u8]) -> &[u8] {
    &field[..field.iter().position(|byte| *byte == 0).unwrap_or(field.len())]
}

/// Reads a number field, octal or base-256; `None` when it is neither, negative or too large.
fn number(field: &[u8]) -> Option<u64> {
    if field[0] & 0x80 != 0 {
        // The sign is the second bit: 0xff.. is how GNU writes what is negative.
        if field[0] & 0x40 != 0 {
            return None;
        }
        return field.iter().enumerate().try_fold(0_u64, |value, (at, byte)| {
            let byte = if at == 0 { byte & 0x3f } else { *byte };
            value.checked_mul(256)?.checked_add(u64::from(byte))
        });
    }
    let blank = |byte: &u8| matches!(byte, b' ' | 0);
    let start = field.iter().position(|byte| *byte != b' ')?;
    let digits = &field[start..];
    let end = digits.iter().position(blank).unwrap_or(digits.len());
    if end == 0 || !digits[end..].iter().all(blank) {
        return None;
    }
    digits[..end].iter().try_fold(0_u64, |value, digit| match digit {
        b'0'..=b'7' => value.checked_mul(8)?.checked_add(u64::from(digit - b'0')),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal_or_base_256_and_nothing_else() {
        for (field, value) in [
            (&b"0000644\0"[..], Some(0o644)),
            (b"   644 \0", Some(0o644)),
            (b"77777777", Some(0o77_777_777)),
            (b"\x80\0\0\0\0\0\0\x2a", Some(42)),
            (b"\x80\0\0\x02\0\0\0\0\0\0\0\0", None),
            (b"\x80\0\0\0\x00\x01\0\0\0\0\0\0", Some(1 << 48)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff", None),
            (b"\xc0\0\0\0\0\0\0\x01", None),
            (b"\0\0\0\0\0\0\0\0", None),
            (b"        ", None),
            (b"0000648\0", None),
            (b"644\x001234", None),
            (b"-000644\0", None),
            (b"0x1ff\0\0\0", None),
        ] {
            assert_eq!(number(field), value, "{:?}", Escaped::bytes(field).to_string());
        }
    }

    #[test]
    fn the_prefix_counts_only_under_the_posix_magic() {
        let mut block = Block([0; BLOCK]);
        block.0[..4].copy_from_slice(b"name");
        block.0[345..351].copy_from_slice(b"folder");
        block.0[257..265].copy_from_slice(b"ustar  \0");
        assert_eq!(block.path(), b"name");
        block.0[257..265].copy_from_slice(b"ustar\x0000");
        assert_eq!(block.path(), b"folder/name");
    }
}
