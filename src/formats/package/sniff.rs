//! What the first bytes of a file are, in words: so that a wrong download is called by its name.
//!
//! A mirror that answers with a page of HTML, or a format that is not read yet, should not end as
//! "bad magic": the sentence says what it is, and what to do.

use crate::archive::{ar, decompress::Compression};

/// Bytes that are looked at: a tar's magic is in its first block.
pub(super) const LENGTH: usize = 512;

/// Says what a file that begins with `bytes` is, if that is known: `an HTML page`.
pub(super) fn describe(bytes: &[u8]) -> Option<&'static str> {
    let text = bytes.trim_ascii_start();
    let begins = |word: &str| text.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word.as_bytes()));
    if bytes.is_empty() {
        Some("an empty file")
    } else if ["<!doctype html", "<html", "<head", "<?xml"].into_iter().any(begins) {
        Some("an HTML page, not a package: did the download fail?")
    } else if bytes.starts_with(b"ADB") {
        Some("an apk of version 3, which is not read yet: version 2 is")
    } else if bytes.starts_with(ar::MAGIC) {
        Some("an ar archive, as a .deb is")
    } else if is_tar(bytes) {
        Some("a tar archive without compression")
    } else {
        Compression::from_magic(bytes).map(|compression| match compression {
            Compression::Gzip => "data compressed with gzip, as an .apk is",
            Compression::Xz => "data compressed with xz",
            Compression::Zstd => "data compressed with zstd",
            Compression::Bzip2 => "data compressed with bzip2",
            Compression::None | Compression::Lzma => "data of an unknown kind",
        })
    }
}

/// Says whether a first block is a tar's header or its end.
pub(super) fn is_tar(bytes: &[u8]) -> bool {
    bytes.get(257..262) == Some(b"ustar") || (bytes.len() == LENGTH && (bytes.iter().all(|byte| *byte == 0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_called_by_their_names() {
        for (bytes, word) in [
            (&b""[..], "empty"),
            (b"\n <!DOCTYPE HTML><title>404</title>", "HTML"),
            (b"<html>", "HTML"),
            (b"ADB.pckg", "version 3"),
            (b"ADBd", "version 3"),
            (b"!<arch>\n", "ar archive"),
            (b"\x1f\x8b\x08", "gzip"),
            (b"\xfd7zXZ\0", "xz"),
            (&[0; LENGTH], "tar"),
        ] {
            assert!(describe(bytes).is_some_and(|text| text.contains(word)), "{word}");
        }
        assert_eq!(describe(b"hello"), None);
        assert_eq!(describe(b"\0\0"), None);
    }
}
