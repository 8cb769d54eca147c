//! The first bytes of an ELF file: for which machine it is and what kind of file, whatever comes behind them.
//!
//! They are the same in both classes, and are there where the rest is cut, so a file that cannot be read does not hide
//! what it is for.
//!
//! Reference: System V gABI, chapter 4, "ELF Header", <https://gabi.xinuos.com/>.

/// `e_type` of an object file, which is linked and not run: a kernel module too.
pub(super) const ET_REL: u16 = 1;
/// `e_type` of a program at a fixed address.
pub(super) const ET_EXEC: u16 = 2;
/// `e_type` of a shared library or a position-independent program.
pub const ET_DYN: u16 = 3;
/// `e_type` of the memory of a process.
pub(super) const ET_CORE: u16 = 4;

/// Bytes as far as `e_machine`.
const LENGTH: usize = 20;

/// What the first bytes of an ELF file say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Says whether it is of class `ELFCLASS64`.
    pub is_64: bool,
    /// Says whether its integers are big-endian.
    pub is_big_endian: bool,
    /// `e_type`: `ET_EXEC` or [`ET_DYN`] for what is run or loaded.
    pub kind: u16,
    /// `e_machine`.
    pub machine: u16,
}

impl Header {
    /// Reads the beginning of a file, of which 20 bytes are enough; `None` when it does not say all of this.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; LENGTH] = bytes.first_chunk()?;
        let (b"\x7fELF", [class @ (1 | 2), order @ (1 | 2), ..]) = bytes.split_first_chunk::<4>()? else { return None };
        let is_big_endian = *order == 2;
        let number = |at: usize| {
            let pair = [bytes[at], bytes[at + 1]];
            if is_big_endian { u16::from_be_bytes(pair) } else { u16::from_le_bytes(pair) }
        };
        Some(Self { is_64: *class == 2, is_big_endian, kind: number(16), machine: number(18) })
    }

    /// Says whether it is a program or a library.
    #[must_use]
    pub const fn is_loaded(self) -> bool {
        matches!(self.kind, ET_EXEC | ET_DYN)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Elf;
    use super::super::tests::library;
    use super::*;

    #[test]
    fn twenty_bytes_say_the_machine_and_fewer_do_not() {
        for (is_64, is_big) in [(false, false), (false, true), (true, false), (true, true)] {
            let file = library(is_64, is_big, &[]);
            let expected = Header { is_64, is_big_endian: is_big, kind: ET_DYN, machine: 62 };
            assert_eq!(Elf::parse(&file).unwrap().header(), expected);
            for end in 0..file.len() {
                assert_eq!(Header::read(&file[..end]), (end >= LENGTH).then_some(expected), "{end}");
            }
        }
        let file = library(true, false, &[]);
        for at in [0, 4, 5] {
            let mut changed = file.clone();
            changed[at] = 3;
            assert_eq!(Header::read(&changed), None, "byte {at}");
        }
    }
}
