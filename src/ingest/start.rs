//! The fact "start 2" of a tree: how each file begins that a kernel may be asked to run, and that is no ELF file which
//! was read.
//!
//! A script names its interpreter in its first line. An ELF file that was not read says at least for which machine it
//! is, and why it was not: one that is cut, an object file, debug information. Whoever checks what an image runs needs
//! no more, and none of the file. In the encoding of [`dlstore_model::encoding`]:
//! ```text
//! "start 2\n"
//! per file     bytes path
//!              u8 0   bytes line                                                             a script
//!              u8 1   bytes why                                                              ELF, and no more is known
//!              u8 2   u8 bits: 1 64-bit, 2 big-endian, 4 damaged   u16 e_type   u16 e_machine   bytes why    ELF
//! ```

use std::borrow::Cow;
use std::collections::BTreeMap;

use dlstore_formats::elf::{Elf, Header, NoElf, Reading, Source};
use dlstore_model::encoding::{DecodeError, Decoder, Encoder};
use dlstore_model::path::TreePath;

const MAGIC: &str = "start 2\n";
/// Longest beginning that a kernel looks at (`BINPRM_BUF_SIZE`, `include/uapi/linux/binfmts.h`).
pub(crate) const MAX_START: usize = 256;

/// How a file begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// With `#!`: what stands behind it in that line.
    Script(Vec<u8>),
    /// As an ELF file that was not read.
    Elf {
        /// What its first bytes say, where they say it.
        header: Option<Header>,
        /// What it is instead of a program or library, or why it cannot be read: a sentence about "it".
        why: Cow<'static, str>,
        /// Says whether it is a program or a library, as far as that can be told, and cannot be read.
        is_damaged: bool,
    },
}

/// How files begin, by path.
pub type Starts = BTreeMap<TreePath, Start>;

/// What a file is for whoever may run it.
pub enum Look {
    /// An ELF file that was read.
    Elf(Reading),
    /// Something else that a kernel would look at.
    Start(Start),
    /// Neither.
    Other,
}

impl Look {
    /// Looks at a file of `size` bytes.
    #[must_use]
    pub fn at(source: &dyn Source, size: u64) -> Self {
        let found = match Elf::examine(source) {
            Ok(reading) => return Self::Elf(reading),
            Err(found) => found,
        };
        let Some(bytes) = source.bytes(0, size.min(MAX_START as u64)) else { return Self::Other };
        let (NoElf::Unloadable(why) | NoElf::Unreadable(why)) = found else {
            let Some(rest) = bytes.strip_prefix(b"#!") else { return Self::Other };
            let line = rest.split(|byte| *byte == b'\n').next().unwrap_or_default();
            return Self::Start(Start::Script(line.to_vec()));
        };
        let header = Header::read(&bytes);
        let is_damaged = matches!(found, NoElf::Unreadable(_)) && header.is_none_or(Header::is_loaded);
        Self::Start(Start::Elf { header, why: Cow::Borrowed(why), is_damaged })
    }
}

impl Start {
    /// Gives the length of its text, in bytes.
    #[must_use]
    pub fn text_length(&self) -> usize {
        match self {
            Self::Script(line) => line.len(),
            Self::Elf { why, .. } => why.len(),
        }
    }
}

/// Writes how files begin.
#[must_use]
pub fn encode_starts(starts: &Starts) -> Vec<u8> {
    let mut out = Encoder::new(MAGIC);
    for (path, start) in starts {
        out.bytes(path.as_bytes());
        match start {
            Start::Script(line) => out.u8(0).bytes(line),
            Start::Elf { header: None, why, .. } => out.u8(1).bytes(why.as_bytes()),
            Start::Elf { header: Some(Header { is_64, is_big_endian, kind, machine }), why, is_damaged } => {
                let bits = u8::from(*is_64) | u8::from(*is_big_endian) << 1 | u8::from(*is_damaged) << 2;
                out.u8(2).u8(bits).u16(*kind).u16(*machine).bytes(why.as_bytes())
            }
        };
    }
    out.finish()
}

/// Reads how files begin.
///
/// # Errors
/// When the bytes are not what [`encode_starts`] writes.
pub fn decode_starts(bytes: &[u8]) -> Result<Starts, DecodeError> {
    let mut input = Decoder::new(bytes, MAGIC)?;
    let mut starts = Starts::new();
    while input.left() > 0 {
        let path = TreePath::new(input.bytes()?).map_err(|_| DecodeError("bad path"))?;
        let start = match input.u8()? {
            0 => Start::Script(input.bytes()?.to_vec()),
            // One that does not even say its machine is cut.
            1 => Start::Elf { header: None, why: Cow::Owned(input.text()?), is_damaged: true },
            2 => {
                let bits = input.u8()?;
                if bits > 7 {
                    return Err(DecodeError("unknown bits of an ELF file"));
                }
                let (is_64, is_big_endian) = (bits & 1 != 0, bits & 2 != 0);
                let header = Header { is_64, is_big_endian, kind: input.u16()?, machine: input.u16()? };
                Start::Elf { header: Some(header), why: Cow::Owned(input.text()?), is_damaged: bits & 4 != 0 }
            }
            _ => return Err(DecodeError("an unknown kind of beginning")),
        };
        starts.insert(path, start);
    }
    Ok(starts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start_of(bytes: &[u8]) -> Option<Start> {
        match Look::at(&bytes, bytes.len() as u64) {
            Look::Start(start) => Some(start),
            Look::Elf(_) | Look::Other => None,
        }
    }

    fn script(line: &[u8]) -> Start {
        Start::Script(line.to_vec())
    }

    #[test]
    fn a_script_begins_with_the_line_that_a_kernel_reads() {
        for (bytes, start) in [
            (&b"#!/bin/sh -e\nexit\n"[..], Some(script(b"/bin/sh -e"))),
            (b"#!", Some(script(b""))),
            (b"\x7fEL", None),
            (b" #!/bin/sh", None),
            (b"", None),
        ] {
            assert_eq!(start_of(bytes), start);
        }
        assert_eq!(start_of(&[&b"#!"[..], &[b'x'; 1000]].concat()).unwrap().text_length(), MAX_START - 2);
    }

    /// The first bytes of a 64-bit file for machine 183.
    fn header(kind: u8) -> Vec<u8> {
        let mut bytes = vec![0; 64];
        bytes[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
        (bytes[16], bytes[18], bytes[20], bytes[54]) = (kind, 183, 1, 56);
        bytes
    }

    #[test]
    fn an_elf_file_that_is_not_read_says_its_machine_and_why() {
        for (bytes, kind, said) in [
            (header(1), Some(1), "it is an object file"),
            (header(4), Some(4), "it is a core dump"),
            (header(2)[..20].to_vec(), Some(2), "it ends inside its headers"),
            (header(2)[..19].to_vec(), None, "it ends inside its headers"),
            (b"\x7fELF".to_vec(), None, "it is of no known class"),
        ] {
            let is_damaged = !matches!(kind, Some(1 | 4));
            let expected = kind.map(|kind| Header { is_64: true, is_big_endian: false, kind, machine: 183 });
            assert_eq!(start_of(&bytes), Some(Start::Elf { header: expected, why: said.into(), is_damaged }));
        }
    }

    #[test]
    fn how_files_begin_reads_back_as_it_was_written() {
        let path = |text: &str| TreePath::new(text.as_bytes()).unwrap();
        let header = Header { is_64: false, is_big_endian: true, kind: 2, machine: 22 };
        let starts = Starts::from([
            (path("a"), Start::Script(b"/bin/sh".to_vec())),
            (path("b"), Start::Elf { header: None, why: "it is cut".into(), is_damaged: true }),
            (path("c"), Start::Elf { header: Some(header), why: "it is odd".into(), is_damaged: false }),
            (path("d"), Start::Elf { header: Some(header), why: "it is cut".into(), is_damaged: true }),
        ]);
        let bytes = encode_starts(&starts);
        assert_eq!(decode_starts(&bytes), Ok(starts));
        for (at, value) in [(MAGIC.len() + 5, 3), (bytes.len() - 18, 8)] {
            let mut bytes = bytes.clone();
            bytes[at] = value;
            assert!(decode_starts(&bytes).is_err(), "byte {at}");
        }
    }
}
