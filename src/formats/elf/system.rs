//! For the kernel of which system an ELF file is: what it says beside its machine.
//!
//! The BSDs number their system calls differently from Linux, so a program for one of them dies on Linux at its first
//! call. A file says its system in `e_ident[EI_OSABI]`, or, where compilers write nothing there, in a note of type 1
//! (`PT_NOTE`) under the system's name. Linux looks at neither, so what names no other system is for Linux. So is a program
//! that has the header of another system and a mark of Linux, which a tool like `brandelf` leaves: glibc's note, or a
//! loader that only Linux has. A library is not: glibc's loader takes none with such a header.
//!
//! References: System V gABI, chapter 4, "ELF Identification", and chapter 5, "Note Section",
//! <https://gabi.xinuos.com/>; `sys/exec_elf.h` of NetBSD and OpenBSD, `sys/elf_common.h` of FreeBSD; `elf/elf.h` of glibc
//! (`NT_GNU_ABI_TAG`), and `open_verify` in its `elf/dl-load.c`.

/// Most notes segments that are read; real files have two or three.
pub(super) const MAX_NOTES: usize = 16;
/// Most bytes of one of them that are read; real ones have about a hundred.
pub(super) const MAX_NOTE: u64 = 4096;

/// A system whose kernel runs ELF programs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum System {
    /// Linux, and whatever names no other system.
    #[default]
    Linux,
    /// NetBSD.
    NetBsd,
    /// Solaris and illumos.
    Solaris,
    /// FreeBSD.
    FreeBsd,
    /// OpenBSD.
    OpenBsd,
    /// `DragonFly` BSD.
    DragonFly,
}

/// All but Linux: number in facts, which is `EI_OSABI` where that has one; name; who signs the note.
const OTHERS: [(System, u8, &str, &[u8]); 5] = [
    (System::NetBsd, 2, "netbsd", b"NetBSD"),
    (System::Solaris, 6, "solaris", b""),
    (System::FreeBsd, 9, "freebsd", b"FreeBSD"),
    (System::OpenBsd, 12, "openbsd", b"OpenBSD"),
    (System::DragonFly, 200, "dragonfly", b"DragonFly"),
];

/// How the paths of loaders begin that only Linux has.
const LOADERS: [&[u8]; 4] = [b"/lib64/ld-linux-", b"/lib/ld-linux", b"/lib/ld-musl-", b"/lib64/ld64.so."];

impl System {
    /// Gives its name in lower case, as in `GOOS` and OCI's `os`.
    #[must_use]
    pub fn name(self) -> &'static str {
        OTHERS.iter().find(|(system, ..)| *system == self).map_or("linux", |(_, _, name, _)| name)
    }

    /// Gives its number in facts.
    pub(super) fn number(self) -> u8 {
        OTHERS.iter().find(|(system, ..)| *system == self).map_or(0, |(_, number, ..)| *number)
    }

    /// Reads its number in facts.
    pub(super) fn from_number(number: u8) -> Option<Self> {
        let found = OTHERS.iter().find(|(_, known, ..)| *known == number).map(|(system, ..)| *system);
        if number == 0 { Some(Self::Linux) } else { found }
    }

    /// Reads `EI_OSABI`; `None` when it names none of the others.
    pub(super) fn of_abi(abi: u8) -> Option<Self> {
        Self::from_number(abi).filter(|system| !matches!(system, Self::Linux | Self::DragonFly))
    }

    /// Says for which system a file is by what its header, its notes and its loader say. One without a name of its own may
    /// be a program.
    pub(super) fn of_file(abi: u8, notes: Option<Self>, interpreter: Option<&[u8]>, soname: Option<&[u8]>) -> Self {
        let is_linux = soname.is_none()
            && match notes {
                None => interpreter.is_some_and(|path| LOADERS.iter().any(|start| path.starts_with(start))),
                Some(system) => system == Self::Linux,
            };
        if is_linux { Self::Linux } else { Self::of_abi(abi).or(notes).unwrap_or_default() }
    }

    /// Reads a segment of notes, of which each begins at a multiple of `align` bytes: the first that names a system, Linux
    /// only where none names another.
    pub(super) fn of_notes(notes: &[u8], is_big_endian: bool, align: usize) -> Option<Self> {
        let (mut rest, mut linux) = (notes, None);
        while let Some((found, behind)) = Self::of_note(rest, is_big_endian, align) {
            if found.is_some_and(|system| system != Self::Linux) {
                return found;
            }
            (linux, rest) = (linux.or(found), behind);
        }
        linux
    }

    /// Reads one note, and gives what is behind it; `None` when it is cut.
    fn of_note(rest: &[u8], is_big_endian: bool, align: usize) -> Option<(Option<Self>, &[u8])> {
        let number = |at: usize| {
            let bytes: [u8; 4] = rest.get(at..at + 4)?.try_into().ok()?;
            Some(if is_big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
        };
        let (name, content, kind) = (number(0)? as usize, number(4)? as usize, number(8)?);
        let signer = rest.get(12..12_usize.checked_add(name)?)?;
        let signer = signer.split(|byte| *byte == 0).next().unwrap_or_default();
        let other = OTHERS.iter().find(|(.., name)| !name.is_empty() && *name == signer);
        let content_at = (12 + name).checked_next_multiple_of(align)?;
        let is_linux = || signer == b"GNU" && content >= 16 && number(content_at) == Some(0);
        let found = other.map(|(system, ..)| *system).or_else(|| is_linux().then_some(Self::Linux));
        // What is cut behind the name has named its system.
        let end = content_at.checked_add(content).and_then(|end| end.checked_next_multiple_of(align));
        Some((found.filter(|_| kind == 1), end.and_then(|end| rest.get(end..)).unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Elf;
    use super::super::tests::library;
    use super::*;

    /// A note: who signs it, its type, its content.
    fn note(signer: &[u8], kind: u32, content: &[u8], is_big_endian: bool) -> Vec<u8> {
        let number = |value: u32| if is_big_endian { value.to_be_bytes() } else { value.to_le_bytes() };
        let mut bytes: Vec<u8> = [signer.len() + 1, content.len(), kind as usize]
            .into_iter()
            .flat_map(|value| number(u32::try_from(value).unwrap()))
            .collect();
        for part in [&[signer, b"\0"].concat(), content] {
            bytes.extend_from_slice(part);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        bytes
    }

    #[test]
    fn a_system_is_named_by_the_note_that_its_compilers_write() {
        for is_big in [false, true] {
            let of = |notes: &[Vec<u8>]| System::of_notes(&notes.concat(), is_big, 4);
            let note = |signer: &[u8], kind| note(signer, kind, &[1, 2, 3, 4, 5], is_big);
            for (signer, system) in [
                (&b"NetBSD"[..], Some(System::NetBsd)),
                (b"FreeBSD", Some(System::FreeBsd)),
                (b"OpenBSD", Some(System::OpenBsd)),
                (b"DragonFly", Some(System::DragonFly)),
                (b"GNU", None),
                (b"Go", None),
                (b"", None),
            ] {
                assert_eq!(of(&[note(signer, 1)]), system);
                assert_eq!(of(&[note(b"GNU", 3), note(signer, 1)]), system, "after another");
                assert_eq!(of(&[note(signer, 4)]), None, "a note of another type");
            }
        }
    }

    #[test]
    fn the_note_of_glibc_says_linux_where_no_other_note_says_more() {
        for is_big in [false, true] {
            let of = |notes: &[Vec<u8>]| System::of_notes(&notes.concat(), is_big, 4);
            // The system, and the oldest kernel; 0 is Linux, 1 the Hurd.
            let tag = |system: u8| {
                let system = u32::from(system);
                let mut content = if is_big { system.to_be_bytes() } else { system.to_le_bytes() }.to_vec();
                content.resize(16, 0);
                note(b"GNU", 1, &content, is_big)
            };
            assert_eq!(of(&[tag(0)]), Some(System::Linux));
            assert_eq!(of(&[tag(1)]), None);
            assert_eq!(of(&[tag(0), note(b"FreeBSD", 1, b"1234", is_big)]), Some(System::FreeBsd));
            assert_eq!(of(&[note(b"GNU", 3, b"1234", is_big), tag(0)]), Some(System::Linux));
            assert_eq!(of(&[note(b"GNU", 1, &[0; 4], is_big)]), None, "not all of it");
        }
    }

    #[test]
    fn a_program_with_the_header_of_another_system_and_a_mark_of_linux_is_for_linux() {
        let (linux, musl) = (Some(&b"/lib64/ld-linux-x86-64.so.2"[..]), Some(&b"/lib/ld-musl-x86_64.so.1"[..]));
        let (other, name) = (Some(&b"/libexec/ld-elf.so.1"[..]), Some(&b"libx.so.1"[..]));
        for (abi, notes, interpreter, soname, expected) in [
            (9, None, None, None, System::FreeBsd),
            (9, None, other, None, System::FreeBsd),
            (9, None, linux, None, System::Linux),
            (12, None, musl, None, System::Linux),
            (9, Some(System::Linux), None, None, System::Linux),
            (9, Some(System::Linux), None, name, System::FreeBsd),
            (9, Some(System::FreeBsd), linux, None, System::FreeBsd),
            (0, Some(System::NetBsd), linux, None, System::NetBsd),
            (0, Some(System::Linux), None, name, System::Linux),
            (0, None, None, None, System::Linux),
        ] {
            assert_eq!(System::of_file(abi, notes, interpreter, soname), expected, "{abi} {notes:?}");
        }
    }

    #[test]
    fn notes_that_are_cut_or_lie_about_their_length_name_nothing() {
        let whole = note(b"FreeBSD", 1, b"1234", false);
        for end in 0..20 {
            assert_eq!(System::of_notes(&whole[..end], false, 4), None, "{end}");
        }
        for at in [0, 4] {
            let mut notes = [note(b"GNU", 1, b"1234", false), whole.clone()].concat();
            notes[at..at + 4].fill(0xff);
            for align in [4, 8] {
                assert_eq!(System::of_notes(&notes, false, align), None);
            }
        }
    }

    #[test]
    fn a_file_without_a_word_in_its_header_is_for_the_system_of_its_note() {
        let mut file = library(true, false, &[]);
        // The second program header, by its kind, where it begins and how long it is.
        let (notes, at) = (note(b"OpenBSD", 1, b"1234", false), 64 + 56);
        let numbers = [(at, 4), (at + 8, file.len() as u64), (at + 32, notes.len() as u64)];
        for (at, value) in numbers {
            let width = if value == 4 { 4 } else { 8 };
            file[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
        }
        file.extend(&notes);
        assert_eq!(Elf::parse(&file).unwrap().system, System::OpenBsd);
        file[7] = 9;
        assert_eq!(Elf::parse(&file).unwrap().system, System::FreeBsd, "the header comes first");
    }

    #[test]
    fn the_header_of_a_file_names_its_system() {
        for (abi, system) in [
            (0, System::Linux),
            (3, System::Linux),
            (64, System::Linux),
            (97, System::Linux),
            (2, System::NetBsd),
            (6, System::Solaris),
            (9, System::FreeBsd),
            (12, System::OpenBsd),
            (200, System::Linux),
            (255, System::Linux),
        ] {
            let mut file = library(true, false, &[]);
            file[7] = abi;
            assert_eq!(Elf::parse(&file).unwrap().system, system, "{abi}");
            assert_eq!(System::from_number(system.number()), Some(system));
        }
        assert_eq!(System::from_number(1), None);
    }
}
