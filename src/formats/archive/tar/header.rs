//! One 512-byte header block of a tar: its checksum, its fields, its numbers.
//!
//! The fields are those of the crate `tar`, found by name in the block itself. What it makes of them is
//! not taken over. It reads numbers less strictly than GNU tar: a sign, blanks of any kind, whatever stands
//! behind a NUL, base-256 cut to its last eight bytes. And it wants a version behind POSIX's magic, which
//! some archivers leave empty, before it joins the prefix to the name. So these are found by place, which
//! is the same in every header since POSIX:
//!
//! ```text
//! 257 magic 6   329 major 8   337 minor 8
//! 345 prefix 155 (only when the magic is POSIX's: GNU keeps other things there)
//! ```
//!
//! Numbers are strict: octal digits with blanks around them, or GNU's base-256 with a value that is
//! not negative. A field that holds anything else is an error, never zero; GNU tar refuses it too.

use tar::{Header, OldHeader};

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

    fn fields(&self) -> &OldHeader {
        Header::from_byte_slice(&self.0).as_old()
    }

    /// Checks the checksum: the sum of all bytes with the field itself as blanks.
    pub(super) fn check(&self) -> Result<(), ArchiveError> {
        let sum = |bytes: &[u8]| bytes.iter().map(|byte| u64::from(*byte)).sum::<u64>();
        let written = &self.fields().cksum;
        if number(written) == Some(sum(&self.0) - sum(written) + sum(&[b' '; 8])) {
            return Ok(());
        }
        Err(ArchiveError::Malformed("a tar header has a wrong checksum".into()))
    }

    /// Gives the letter that says what the entry is.
    pub(super) fn kind(&self) -> u8 {
        self.fields().linkflag[0]
    }

    /// Gives the path of this block alone, with POSIX's prefix.
    pub(super) fn path(&self) -> Vec<u8> {
        let name = text(&self.fields().name);
        let prefix = if self.0[257..263] == *b"ustar\0" { text(&self.0[345..500]) } else { b"" };
        if prefix.is_empty() { name.to_vec() } else { [prefix, b"/", name].concat() }
    }

    /// Gives the link target of this block alone.
    pub(super) fn link(&self) -> Vec<u8> {
        text(&self.fields().linkname).to_vec()
    }

    pub(super) fn mode(&self) -> Result<u64, ArchiveError> {
        named("mode", &self.fields().mode)
    }

    pub(super) fn uid(&self) -> Result<u64, ArchiveError> {
        named("uid", &self.fields().uid)
    }

    pub(super) fn gid(&self) -> Result<u64, ArchiveError> {
        named("gid", &self.fields().gid)
    }

    pub(super) fn size(&self) -> Result<u64, ArchiveError> {
        named("size", &self.fields().size)
    }

    pub(super) fn mtime(&self) -> Result<u64, ArchiveError> {
        named("modification time", &self.fields().mtime)
    }

    pub(super) fn device(&self) -> Result<(u32, u32), ArchiveError> {
        let part = |field| {
            let value = named("device number", field)?;
            u32::try_from(value)
                .map_err(|_| ArchiveError::Malformed(format!("a tar header has the device number {value}")))
        };
        Ok((part(&self.0[329..337])?, part(&self.0[337..345])?))
    }
}

fn named(what: &str, field: &[u8]) -> Result<u64, ArchiveError> {
    number(field).ok_or_else(|| {
        let shown = Escaped::bytes(text(field));
        ArchiveError::Malformed(format!("a tar header has an unreadable {what}: \"{shown}\""))
    })
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
        block.0[345..351].copy_from_slice(b"prefix");
        block.0[257..265].copy_from_slice(b"ustar  \0");
        assert_eq!(block.path(), b"name");
        // GNU tar does not look at the version behind it.
        for version in [b"00", b"\0\0"] {
            block.0[257..263].copy_from_slice(b"ustar\0");
            block.0[263..265].copy_from_slice(version);
            assert_eq!(block.path(), b"prefix/name");
        }
    }
}
