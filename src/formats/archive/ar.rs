//! The `ar` container of a `.deb`, read as a stream.
//!
//! ```text
//! !<arch>\n
//! 60-byte header: name 16, mtime 12, uid 6, gid 6, mode 8, size 10, "`\n"
//! body, then one byte of padding when its size is odd
//! ...
//! ```
//!
//! [`ArReader::next_member`] steps to the next member, skipping what is left of the current one;
//! [`std::io::Read`] gives the current member's body and nothing behind it. A body that is shorter
//! than its header says is an error, so a truncated package never looks like a small one.
//!
//! Names may end in one slash, as GNU's `ar` writes them; long-name tables do not occur in `.deb`
//! files (`deb(5)`) and are left to the caller to refuse as names it does not know. Date, owner and
//! mode say nothing about the package and are not looked at.

use std::io::{self, BufRead, Read};

use super::ArchiveError;
use dlstore_model::escape::Escaped;

/// The bytes that an `ar` file begins with.
pub const MAGIC: &[u8; 8] = b"!<arch>\n";

const HEADER: usize = 60;

/// One member as its header describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The name without padding and without its trailing slash.
    pub name: String,
    /// Length of the body in bytes.
    pub size: u64,
}

/// Reads the members of an `ar` file one after another.
pub struct ArReader<R> {
    input: R,
    left: u64,
    padding: bool,
}

impl<R: BufRead> ArReader<R> {
    /// Checks the magic.
    ///
    /// # Errors
    /// When the input does not begin with it.
    pub fn new(mut input: R) -> Result<Self, ArchiveError> {
        let mut magic = [0; MAGIC.len()];
        if fill(&mut input, &mut magic)? < magic.len() {
            return Err(ArchiveError::truncated("the ar magic"));
        }
        if &magic != MAGIC {
            return Err(ArchiveError::Malformed("the file does not begin with the ar magic".into()));
        }
        Ok(Self { input, left: 0, padding: false })
    }

    /// Steps to the next member, or to the end of the file.
    ///
    /// # Errors
    /// When the current body or the next header is truncated or malformed.
    pub fn next_member(&mut self) -> Result<Option<Member>, ArchiveError> {
        while self.left > 0 {
            let skipped = self.fill_buf()?.len();
            self.consume(skipped);
        }
        if self.padding {
            self.padding = false;
            let mut byte = [0];
            if fill(&mut self.input, &mut byte)? == 0 {
                return Ok(None);
            }
        }
        let mut header = [0; HEADER];
        match fill(&mut self.input, &mut header)? {
            0 => return Ok(None),
            HEADER => {}
            _ => return Err(ArchiveError::truncated("an ar header")),
        }
        let member = parse(&header)?;
        self.left = member.size;
        self.padding = member.size % 2 == 1;
        Ok(Some(member))
    }
}

impl<R: BufRead> BufRead for ArReader<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.left == 0 {
            return Ok(&[]);
        }
        let left = usize::try_from(self.left).unwrap_or(usize::MAX);
        let bytes = self.input.fill_buf()?;
        if bytes.is_empty() {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the input ends inside an ar member"));
        }
        Ok(&bytes[..bytes.len().min(left)])
    }

    fn consume(&mut self, amount: usize) {
        self.left = self.left.saturating_sub(amount as u64);
        self.input.consume(amount);
    }
}

impl<R: BufRead> Read for ArReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 || buffer.is_empty() {
            return Ok(0);
        }
        let most = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let read = self.input.read(&mut buffer[..most])?;
        if read == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the input ends inside an ar member"));
        }
        self.left -= read as u64;
        Ok(read)
    }
}

fn parse(header: &[u8; HEADER]) -> Result<Member, ArchiveError> {
    if &header[58..] != b"`\n" {
        return Err(ArchiveError::Malformed("an ar header does not end in its magic".into()));
    }
    let name = header[..16].trim_ascii_end();
    let name = name.strip_suffix(b"/").unwrap_or(name);
    if name.is_empty() || !name.iter().all(u8::is_ascii_graphic) {
        let shown = Escaped::bytes(&header[..16]);
        return Err(ArchiveError::Malformed(format!("an ar member has an unusable name: \"{shown}\"")));
    }
    let name = String::from_utf8_lossy(name).into_owned();
    let digits = header[48..58].trim_ascii_end();
    let size = if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        None
    } else {
        std::str::from_utf8(digits).ok().and_then(|text| text.parse().ok())
    };
    let Some(size) = size else {
        let shown = Escaped::bytes(&header[48..58]);
        return Err(ArchiveError::Malformed(format!("the ar member {name} has an unreadable size: \"{shown}\"")));
    };
    Ok(Member { name, size })
}

/// Reads until `buffer` is full or the input ends, and says how much was read.
pub(crate) fn fill(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut have = 0;
    while have < buffer.len() {
        match input.read(&mut buffer[have..]) {
            Ok(0) => break,
            Ok(read) => have += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(have)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str, size: &str, body: &[u8]) -> Vec<u8> {
        let mut bytes = format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{size:<10}`\n", 0, 0, 0, 100_644).into_bytes();
        bytes.extend_from_slice(body);
        if body.len() % 2 == 1 {
            bytes.push(b'\n');
        }
        bytes
    }

    fn names(bytes: &[u8]) -> Result<Vec<(String, Vec<u8>)>, ArchiveError> {
        let mut ar = ArReader::new(bytes)?;
        let mut found = Vec::new();
        while let Some(member) = ar.next_member()? {
            let mut body = Vec::new();
            ar.read_to_end(&mut body)?;
            found.push((member.name, body));
        }
        Ok(found)
    }

    #[test]
    fn members_are_read_with_their_padding_and_with_or_without_a_slash() {
        let bytes = [MAGIC.to_vec(), member("one/", "3", b"abc"), member("two", "2", b"de")].concat();
        assert_eq!(names(&bytes).unwrap(), [("one".into(), b"abc".to_vec()), ("two".into(), b"de".to_vec())]);
    }

    #[test]
    fn skipping_a_body_ends_at_the_same_place_as_reading_it() {
        let bytes = [MAGIC.to_vec(), member("one", "3", b"abc"), member("two", "2", b"de")].concat();
        let mut ar = ArReader::new(bytes.as_slice()).unwrap();
        assert_eq!(ar.next_member().unwrap().unwrap().name, "one");
        assert_eq!(ar.next_member().unwrap().unwrap().name, "two");
        assert_eq!(ar.next_member().unwrap(), None);
    }

    #[test]
    fn a_header_is_refused_when_a_field_of_it_is_wrong() {
        for size in ["", "x", "-1", "0x10", "1 2", "99999999999"] {
            let bytes = [MAGIC.to_vec(), member("one", size, b"")].concat();
            assert!(names(&bytes).is_err(), "{size:?}");
        }
        let mut bytes = [MAGIC.to_vec(), member("one", "0", b"")].concat();
        bytes[8 + 58] = b'x';
        assert!(names(&bytes).is_err());
        assert!(names(&[MAGIC.to_vec(), member("", "0", b"")].concat()).is_err());
        assert!(names(b"!<arch>x").is_err());
    }

    #[test]
    fn a_file_that_ends_early_is_an_error_at_every_byte() {
        let bytes = [MAGIC.to_vec(), member("one", "4", b"abcd")].concat();
        for end in 0..bytes.len() {
            let whole = end == MAGIC.len();
            assert_eq!(names(&bytes[..end]).is_ok(), whole, "{end}");
        }
    }
}
