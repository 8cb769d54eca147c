//! The records of a pax extended header (POSIX.1-2017, pax, "pax Extended Header").
//!
//! A record is `"<length> <key>=<value>\n"`, where the decimal length counts the whole record. What
//! the records say overrides the header block of the one entry that follows.
//!
//! Keys that change what an entry is and that this program does not read are errors: sparse files
//! (`GNU.sparse.*`, `SCHILY.realsize`) would be unpacked with other bytes by those who do. Keys that
//! only describe (`comment`, `atime`, `uname`, vendors' own) are ignored. A key that is given twice
//! is an error, because nobody writes that except to make two readers disagree.

use base64::Engine as _;

use crate::archive::ArchiveError;
use dlstore_model::escape::Escaped;
use dlstore_model::tree::Xattrs;

/// Extended attributes of one entry at most: what the encoding of a tree can count.
const XATTRS: usize = 255;

/// Longest value of an extended attribute in bytes: what Linux itself accepts (`XATTR_SIZE_MAX`).
const XATTR_VALUE: usize = 64 << 10;
/// Bytes of all names and values of the extended attributes of one entry.
const XATTR_BYTES: usize = 1 << 20;

/// What a pax header says of the next entry.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Extended {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u64>,
    pub(super) gid: Option<u64>,
    pub(super) mtime: Option<u64>,
    pub(super) xattrs: Xattrs,
    xattr_bytes: usize,
    pub(super) sha1: Option<[u8; 20]>,
}

impl Extended {
    /// Reads the records of an `x` header.
    pub(super) fn parse(body: &[u8]) -> Result<Self, ArchiveError> {
        let mut found = Self::default();
        for record in Records(body) {
            let (key, value) = record?;
            found.take(key, value)?;
        }
        Ok(found)
    }

    fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(), ArchiveError> {
        match key {
            b"path" => once(&mut self.path, key, Some(value.to_vec()), value),
            b"linkpath" => once(&mut self.link, key, Some(value.to_vec()), value),
            b"size" => once(&mut self.size, key, decimal(value), value),
            b"uid" => once(&mut self.uid, key, decimal(value), value),
            b"gid" => once(&mut self.gid, key, decimal(value), value),
            b"mtime" => once(&mut self.mtime, key, seconds(value), value),
            b"APK-TOOLS.checksum.SHA1" => once(&mut self.sha1, key, sha1(value), value),
            b"SCHILY.realsize" | b"SCHILY.filetype" => Err(sparse()),
            _ if key.starts_with(b"GNU.sparse.") => Err(sparse()),
            _ => match key.strip_prefix(b"SCHILY.xattr.") {
                Some(name) => self.take_xattr(name, value),
                None => Ok(()),
            },
        }
    }

    fn take_xattr(&mut self, name: &[u8], value: &[u8]) -> Result<(), ArchiveError> {
        if name.is_empty() || name.contains(&0) {
            return Err(ArchiveError::Malformed("an extended attribute has an unusable name".into()));
        }
        let limit = |what, limit: usize| Err(ArchiveError::Limit { what, limit: limit as u64 });
        if value.len() > XATTR_VALUE {
            return limit("the length of an extended attribute", XATTR_VALUE);
        }
        self.xattr_bytes += name.len() + value.len();
        if self.xattr_bytes > XATTR_BYTES {
            return limit("the length of the extended attributes of one entry", XATTR_BYTES);
        }
        if self.xattrs.insert(name.to_vec(), value.to_vec()).is_some() {
            return Err(twice(name));
        }
        if self.xattrs.len() > XATTRS {
            return Err(ArchiveError::Limit {
                what: "the number of extended attributes of one entry",
                limit: XATTRS as u64,
            });
        }
        Ok(())
    }
}

/// Checks a global header (`g`): only a comment is harmless.
///
/// A global header applies to every entry behind it, and readers disagree about how it is combined
/// with what the entries say themselves. `git archive` writes one with the commit as a comment; that
/// is the only key that is let pass.
pub(super) fn check_global(body: &[u8]) -> Result<(), ArchiveError> {
    for record in Records(body) {
        let (key, _) = record?;
        if key != b"comment" {
            let shown = Escaped::bytes(key);
            return Err(ArchiveError::Malformed(format!("a global pax header sets {shown}, which is not read")));
        }
    }
    Ok(())
}

/// Splits the body of a pax header into keys and values.
struct Records<'a>(&'a [u8]);

impl<'a> Iterator for Records<'a> {
    type Item = Result<(&'a [u8], &'a [u8]), ArchiveError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let record = self.split();
        if record.is_none() {
            self.0 = &[];
        }
        Some(record.ok_or_else(|| ArchiveError::Malformed("a pax header is malformed".into())))
    }
}

impl<'a> Records<'a> {
    fn split(&mut self) -> Option<(&'a [u8], &'a [u8])> {
        // Twenty digits hold any 64-bit length: the search for the blank is bounded.
        let blank = self.0.iter().take(21).position(|byte| *byte == b' ')?;
        let length = usize::try_from(decimal(&self.0[..blank])?).ok()?;
        if length <= blank + 1 || length > self.0.len() {
            return None;
        }
        let (record, rest) = self.0.split_at(length);
        let record = record[blank + 1..].strip_suffix(b"\n")?;
        let equals = record.iter().position(|byte| *byte == b'=')?;
        if equals == 0 {
            return None;
        }
        self.0 = rest;
        Some((&record[..equals], &record[equals + 1..]))
    }
}

fn once<T>(slot: &mut Option<T>, key: &[u8], value: Option<T>, written: &[u8]) -> Result<(), ArchiveError> {
    if slot.is_some() {
        return Err(twice(key));
    }
    if value.is_none() {
        let (key, written) = (Escaped::bytes(key), Escaped::bytes(written));
        return Err(ArchiveError::Malformed(format!("a pax header has an unreadable {key}: \"{written}\"")));
    }
    *slot = value;
    Ok(())
}

fn twice(key: &[u8]) -> ArchiveError {
    ArchiveError::Malformed(format!("a pax header sets {} twice", Escaped::bytes(key)))
}

fn sparse() -> ArchiveError {
    ArchiveError::Malformed("a sparse file, which is not read".into())
}

fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Reads a date with an optional fraction and gives its whole seconds.
fn seconds(value: &[u8]) -> Option<u64> {
    let (whole, fraction) = match value.iter().position(|byte| *byte == b'.') {
        Some(dot) => (&value[..dot], &value[dot + 1..]),
        None => (value, &[][..]),
    };
    if fraction.iter().all(u8::is_ascii_digit) { decimal(whole) } else { None }
}

/// Reads a SHA-1 as apk writes it: hex, or in older packages `Q1` and base64.
fn sha1(value: &[u8]) -> Option<[u8; 20]> {
    if let Some(encoded) = value.strip_prefix(b"Q1") {
        return base64::engine::general_purpose::STANDARD.decode(encoded).ok()?.try_into().ok();
    }
    let text = std::str::from_utf8(value).ok().filter(|text| text.len() == 40 && text.is_ascii())?;
    let mut bytes = [0; 20];
    for (at, byte) in bytes.iter_mut().enumerate() {
        let pair = &text[2 * at..2 * at + 2];
        *byte = u8::from_str_radix(pair, 16).ok().filter(|_| !pair.starts_with('+'))?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(key: &str, value: &[u8]) -> Vec<u8> {
        let rest = key.len() + value.len() + 3;
        let mut length = rest + 1;
        while length != rest + length.to_string().len() {
            length += 1;
        }
        [format!("{length} {key}=").as_bytes(), value, b"\n"].concat()
    }

    #[test]
    fn records_override_what_the_block_says() {
        let body = [
            record("path", "a/ü=b".as_bytes()),
            record("size", b"8589934592"),
            record("mtime", b"1700000000.123456789"),
            record("SCHILY.xattr.security.capability", b"\x01\0\n\x02"),
            record("APK-TOOLS.checksum.SHA1", b"0123456789abcdef0123456789ABCDEF01234567"),
            record("atime", b"what=ever"),
        ]
        .concat();
        let found = Extended::parse(&body).unwrap();
        assert_eq!(found.path.as_deref(), Some("a/ü=b".as_bytes()));
        assert_eq!((found.size, found.mtime), (Some(1 << 33), Some(1_700_000_000)));
        assert_eq!(found.xattrs.get(&b"security.capability"[..]).map(Vec::as_slice), Some(&b"\x01\0\n\x02"[..]));
        assert_eq!(found.sha1.map(|bytes| (bytes[0], bytes[19])), Some((0x01, 0x67)));
    }

    #[test]
    fn the_historic_checksum_is_the_same_as_the_hexadecimal_one() {
        let hex = sha1(b"da39a3ee5e6b4b0d3255bfef95601890afd80709");
        assert!(hex.is_some());
        assert_eq!(sha1(b"Q12jmj7l5rSw0yVb/vlWAYkK/YBwk="), hex);
        for bad in [&b""[..], b"Q1", b"Q1x", b"+a39a3ee5e6b4b0d3255bfef95601890afd80709", b"da39"] {
            assert_eq!(sha1(bad), None);
        }
    }

    #[test]
    fn malformed_records_are_refused() {
        for body in [
            &b"9 path=a"[..],
            b"8 path=a\n",
            b"7 path=a\n",
            b"99999999999999999999999 path=a\n",
            b"9223372036854775807 path=a\n",
            b"-8 path=a\n",
            b" path=a\n",
            b"10 patha\n\n",
            b"5 =a\n",
            b"0 path=a\n",
            b"2 x",
            b"\0\0\0",
        ] {
            assert!(Extended::parse(body).is_err(), "{}", Escaped::bytes(body));
        }
    }

    #[test]
    fn values_that_readers_could_take_in_two_ways_are_refused() {
        let twice = [record("path", b"a"), record("path", b"b")].concat();
        assert!(Extended::parse(&twice).is_err());
        for (key, value) in [
            ("size", "-1"),
            ("size", ""),
            ("size", "1.5"),
            ("size", "18446744073709551616"),
            ("mtime", "-1"),
            ("mtime", "1.x"),
            ("uid", "0x10"),
            ("GNU.sparse.major", "1"),
            ("SCHILY.realsize", "1"),
            ("SCHILY.xattr.", "x"),
            ("APK-TOOLS.checksum.SHA1", "abc"),
        ] {
            assert!(Extended::parse(&record(key, value.as_bytes())).is_err(), "{key}={value}");
        }
    }

    #[test]
    fn an_extended_attribute_is_at_most_as_long_as_linux_takes_it() {
        let xattr = |name: &str, length| record(&format!("SCHILY.xattr.user.{name}"), &vec![b'x'; length]);
        assert!(Extended::parse(&xattr("a", XATTR_VALUE)).is_ok());
        let error = |body: &[u8]| Extended::parse(body).unwrap_err().to_string();
        let long = error(&xattr("a", XATTR_VALUE + 1));
        assert_eq!(long, "the length of an extended attribute exceeds the limit of 65536");
        let many: Vec<u8> = (0..16).flat_map(|at| xattr(&at.to_string(), XATTR_VALUE)).collect();
        let long = error(&many);
        assert_eq!(long, "the length of the extended attributes of one entry exceeds the limit of 1048576");
    }

    #[test]
    fn a_global_header_may_hold_a_comment_alone() {
        assert!(check_global(&record("comment", b"1a2b")).is_ok());
        assert!(check_global(&[record("comment", b"x"), record("path", b"x")].concat()).is_err());
        assert!(check_global(b"garbage").is_err());
    }
}
