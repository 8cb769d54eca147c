//! The fact "elf 4" of a tree: every ELF file of a package, in path order.
//!
//! Taken once when a package is added, so that neither a check nor `ld.so.cache` ever inflates a
//! package again. In the encoding of [`crate::encoding`]:
//! ```text
//! "dlstore elf 4\n"   u32 count
//! per file            bytes path
//!                     u8 bits: 1 64-bit, 2 big-endian, 4 has a soname, 8 has an interpreter, 16 has an entry point,
//!                     32 search is DT_RPATH
//!                     u8 system: 0 Linux, 2 NetBSD, 6 Solaris, 9 FreeBSD, 12 OpenBSD, 200 DragonFly BSD
//!                     u16 e_machine   u16 e_type   u32 e_flags
//!                     [bytes soname]   [bytes interpreter]
//!                     u32 count, bytes each: needed      u32 count, bytes each: search
//!                     u32 count of libraries: bytes name, u32 count, bytes each: versions required of it
//!                     u32 count, bytes each: versions defined
//! ```

use super::{Elf, SearchTag, System};
use dlstore_model::encoding::{DecodeError, Decoder, Encoder};
use dlstore_model::path::TreePath;

const MAGIC: &str = "dlstore elf 4\n";
/// Fewest bytes that one file takes: the bound for a count that was read.
const SMALLEST: usize = 31;

/// Writes the facts of one package. They must be in path order.
#[must_use]
pub fn encode_facts(facts: &[(TreePath, Elf)]) -> Vec<u8> {
    let mut out = Encoder::new(MAGIC);
    out.u32(count(facts.len()));
    for (path, elf) in facts {
        let bits = u8::from(elf.is_64)
            | u8::from(elf.is_big_endian) << 1
            | u8::from(elf.soname.is_some()) << 2
            | u8::from(elf.interpreter.is_some()) << 3
            | u8::from(elf.has_entry) << 4
            | u8::from(elf.search_by == SearchTag::RPath) << 5;
        out.bytes(path.as_bytes()).u8(bits).u8(elf.system.number()).u16(elf.machine).u16(elf.kind).u32(elf.flags);
        for text in [&elf.soname, &elf.interpreter].into_iter().flatten() {
            out.bytes(text);
        }
        for list in [&elf.needed, &elf.search] {
            encode_list(&mut out, list);
        }
        out.u32(count(elf.requires.len()));
        for (library, versions) in &elf.requires {
            out.bytes(library);
            encode_list(&mut out, versions);
        }
        encode_list(&mut out, &elf.defines);
    }
    out.finish()
}

fn encode_list(out: &mut Encoder, list: &[Vec<u8>]) {
    out.u32(count(list.len()));
    for text in list {
        out.bytes(text);
    }
}

/// Reads what [`encode_facts`] writes.
///
/// # Errors
/// When the bytes are something else.
pub fn decode_facts(bytes: &[u8]) -> Result<Vec<(TreePath, Elf)>, DecodeError> {
    let mut input = Decoder::new(bytes, MAGIC)?;
    let count = input.u32()? as usize;
    if count > input.left() / SMALLEST {
        return Err(DecodeError("more ELF files than bytes"));
    }
    let mut facts: Vec<(TreePath, Elf)> = Vec::with_capacity(count);
    for _ in 0..count {
        let path = TreePath::new(input.bytes()?).map_err(|_| DecodeError("bad path"))?;
        if facts.last().is_some_and(|(last, _)| *last >= path) {
            return Err(DecodeError("ELF files out of order"));
        }
        facts.push((path, decode_elf(&mut input)?));
    }
    input.finish()?;
    Ok(facts)
}

fn decode_elf(input: &mut Decoder<'_>) -> Result<Elf, DecodeError> {
    let bits = input.u8()?;
    if bits > 63 {
        return Err(DecodeError("unknown bits of an ELF file"));
    }
    let system = System::from_number(input.u8()?).ok_or(DecodeError("unknown system of an ELF file"))?;
    let (machine, kind, flags) = (input.u16()?, input.u16()?, input.u32()?);
    let soname = if bits & 4 != 0 { Some(input.bytes()?.to_vec()) } else { None };
    let interpreter = if bits & 8 != 0 { Some(input.bytes()?.to_vec()) } else { None };
    let needed = decode_list(input)?;
    let search = decode_list(input)?;
    let libraries = input.u32()? as usize;
    if libraries > input.left() / 8 {
        return Err(DecodeError("more libraries than bytes"));
    }
    let required = (0..libraries).map(|_| Ok((input.bytes()?.to_vec(), decode_list(input)?)));
    let requires = required.collect::<Result<_, DecodeError>>()?;
    let defines = decode_list(input)?;
    Ok(Elf {
        is_64: bits & 1 != 0,
        is_big_endian: bits & 2 != 0,
        machine,
        kind,
        system,
        has_entry: bits & 16 != 0,
        flags,
        soname,
        needed,
        search,
        search_by: if bits & 32 == 0 { SearchTag::RunPath } else { SearchTag::RPath },
        interpreter,
        requires,
        defines,
    })
}

fn decode_list(input: &mut Decoder<'_>) -> Result<Vec<Vec<u8>>, DecodeError> {
    let count = input.u32()? as usize;
    if count > input.left() / 4 {
        return Err(DecodeError("more names than bytes"));
    }
    (0..count).map(|_| input.bytes().map(<[u8]>::to_vec)).collect()
}

fn count(length: usize) -> u32 {
    u32::try_from(length).expect("readers stop far below 2^32 entries")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<(TreePath, Elf)> {
        let elf = Elf {
            is_64: true,
            is_big_endian: true,
            machine: 22,
            kind: 3,
            system: System::Linux,
            has_entry: false,
            flags: 7,
            soname: Some(b"libx.so.1".to_vec()),
            needed: vec![b"libc.so.6".to_vec()],
            search: vec![Vec::new(), b"/opt".to_vec()],
            search_by: SearchTag::RunPath,
            interpreter: None,
            requires: vec![(b"libc.so.6".to_vec(), vec![b"GLIBC_2.2".to_vec(), b"GLIBC_2.38".to_vec()])],
            defines: vec![b"X_1".to_vec()],
        };
        let program = Elf {
            soname: None,
            has_entry: true,
            search_by: SearchTag::RPath,
            system: System::FreeBsd,
            interpreter: Some(b"/lib/ld64.so.1".to_vec()),
            ..elf.clone()
        };
        let path = |text: &str| TreePath::new(text.as_bytes()).unwrap();
        vec![(path("bin/x"), program), (path("lib/libx.so.1"), elf)]
    }

    #[test]
    fn facts_come_back_whole_and_only_whole() {
        let bytes = encode_facts(&sample());
        assert_eq!(decode_facts(&bytes), Ok(sample()));
        for end in 0..bytes.len() {
            assert!(decode_facts(&bytes[..end]).is_err());
        }
        assert!(decode_facts(&[bytes.as_slice(), b"x"].concat()).is_err());
        let mut swapped = sample();
        swapped.reverse();
        assert!(decode_facts(&encode_facts(&swapped)).is_err());
    }

    #[test]
    fn the_encoding_of_facts_does_not_move() {
        let digest = dlstore_model::digest::Digest::of(&encode_facts(&sample())).to_hex();
        assert_eq!(
            digest, "ed583b25f164ad2ffcd84eba2890a05f20dfb450462cf50d91cb140d7b523e2a",
            "name the fact \"elf 5\" when this changes"
        );
    }
}
