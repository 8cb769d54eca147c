//! ELF: what a program or a shared library says of itself and what it needs.
//!
//! A loader looks at program headers, never at section headers, and so does this: a file without any
//! section header reads like any other. Taken are the interpreter (`PT_INTERP`) and, out of
//! `PT_DYNAMIC`, the names that the dynamic linker follows. The string table is found as the linker
//! finds it: `DT_STRTAB` is an address, and the `PT_LOAD` segment that holds it says where in the file
//! that is.
//!
//! Both classes and both byte orders are read, wherever the bytes lie in memory. Input is hostile:
//! nothing panics, and no more is kept than the limits below allow. Each name is read by itself: one that
//! cannot be read is said ([`Reading::problems`]) and hides no other. What is no ELF file is
//! [`NoElf::Other`]; one that no loader would take (relocatable objects, detached debug information) is
//! [`NoElf::Unloadable`]; one that a loader would be given and that cannot be read (cut, malformed) is
//! [`NoElf::Unreadable`].
//!
//! References: System V gABI, chapters 4 and 5, <https://gabi.xinuos.com/>.
//!
//! `facts` is how the store keeps this for a whole package, `header` reads what even a cut file says, `system` for which
//! kernel the file is, `versions` the versions of symbols.

mod facts;
mod header;
mod system;
mod versions;

use std::borrow::Cow;

use object::elf;
use object::pod::{self, Pod};
use object::read::elf::{Dyn, FileHeader, ProgramHeader};
use object::{Endian as _, Endianness};

use header::{ET_CORE, ET_EXEC, ET_REL};

pub use facts::{decode_facts, encode_facts};
pub use header::{ET_DYN, Header};
pub use system::System;

/// Most program headers that are read; real files have about a dozen.
const MAX_HEADERS: usize = 4096;
/// Most bytes of a dynamic section that are read; real ones are below 2 KiB.
const MAX_DYNAMIC: usize = 1 << 20;
/// Longest string table that is read; those of the largest programs are a few MiB.
const MAX_STRINGS: usize = 32 << 20;
/// Most memory that names of one file may take: a guard against one long string that is named again and
/// again, and against many short ones.
const MAX_NAMES: usize = 1 << 20;
/// Bytes that a name costs beside its own.
const NAME_COST: usize = 32;
/// Longest interpreter, the kernel's own limit (`PATH_MAX`, `fs/binfmt_elf.c`).
const MAX_INTERPRETER: u64 = 4096;

/// What an ELF file says of itself and what it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elf {
    /// Says whether it is of class `ELFCLASS64`.
    pub is_64: bool,
    /// Says whether its integers are big-endian.
    pub is_big_endian: bool,
    /// `e_machine`.
    pub machine: u16,
    /// `e_type`: `ET_EXEC` or [`ET_DYN`].
    pub kind: u16,
    /// For whose kernel it is.
    pub system: System,
    /// Says whether it has an entry point (`e_entry`) in what is loaded of it: what is run has one, most libraries have none.
    pub has_entry: bool,
    /// `e_flags`, the floating-point ABI of ARM and RISC-V among them.
    pub flags: u32,
    /// `DT_SONAME`: the name that others ask for.
    pub soname: Option<Vec<u8>>,
    /// `DT_NEEDED`, in order.
    pub needed: Vec<Vec<u8>>,
    /// `DT_RUNPATH`, else `DT_RPATH`, split at colons.
    pub search: Vec<Vec<u8>>,
    /// Which of the two `search` is.
    pub search_by: SearchTag,
    /// `PT_INTERP`, without the NUL at its end.
    pub interpreter: Option<Vec<u8>>,
    /// Versions of symbols that it cannot do without, by the library that is to define them.
    pub requires: Vec<(Vec<u8>, Vec<Vec<u8>>)>,
    /// Versions of symbols that it defines. None: it says nothing of versions, and loaders take it as it is.
    pub defines: Vec<Vec<u8>>,
}

/// How a file names its run path.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SearchTag {
    /// `DT_RUNPATH`, or not at all: it is for what the file itself needs.
    #[default]
    RunPath,
    /// `DT_RPATH`, which is also for what the libraries of the file need.
    RPath,
}

/// An ELF file that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// What it says.
    pub elf: Elf,
    /// What of it could not be read, in a few words each.
    pub problems: Vec<&'static str>,
}

/// Why a file is not given as ELF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoElf {
    /// It is something else.
    Other,
    /// It is ELF and nothing that a loader is given, such as an object; the words say what it is.
    Unloadable(&'static str),
    /// It begins like a program or library and cannot be read; the words say what is wrong.
    Unreadable(&'static str),
}

/// Where the bytes of an ELF file are read from: memory, or a file that is too large for it.
pub trait Source {
    /// Gives `size` bytes from `offset`, or nothing when they are not all there.
    fn bytes(&self, offset: u64, size: u64) -> Option<Cow<'_, [u8]>>;
}

impl Source for &[u8] {
    fn bytes(&self, offset: u64, size: u64) -> Option<Cow<'_, [u8]>> {
        let start = usize::try_from(offset).ok()?;
        self.get(start..start.checked_add(usize::try_from(size).ok()?)?).map(Cow::Borrowed)
    }
}

impl Source for std::fs::File {
    fn bytes(&self, offset: u64, size: u64) -> Option<Cow<'_, [u8]>> {
        use std::os::unix::fs::FileExt;
        let length = self.metadata().ok()?.len();
        if offset.checked_add(size)? > length {
            return None;
        }
        let mut bytes = vec![0; usize::try_from(size).ok()?];
        self.read_exact_at(&mut bytes, offset).ok()?;
        Some(Cow::Owned(bytes))
    }
}

impl Elf {
    /// Reads a whole ELF file. `None`: it is not one, or no loader would take it.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        Self::read(&bytes)
    }

    /// Reads an ELF file from wherever it is, and only the parts that a loader looks at.
    #[must_use]
    pub fn read(source: &dyn Source) -> Option<Self> {
        Self::examine(source).ok().map(|reading| reading.elf)
    }

    /// Reads an ELF file and says what could not be read of it.
    ///
    /// # Errors
    /// When it is not one, or not one that can be read.
    pub fn examine(source: &dyn Source) -> Result<Reading, NoElf> {
        if source.bytes(0, 4).is_none_or(|magic| *magic != elf::ELFMAG) {
            return Err(NoElf::Other);
        }
        match source.bytes(4, 1).as_deref() {
            Some([1]) => parse_class::<elf::FileHeader32<Endianness>>(source),
            Some([2]) => parse_class::<elf::FileHeader64<Endianness>>(source),
            _ => Err(NoElf::Unreadable("it is of no known class")),
        }
    }

    /// Gives what its first bytes say.
    #[must_use]
    pub const fn header(&self) -> Header {
        let Self { is_64, is_big_endian, kind, machine, .. } = *self;
        Header { is_64, is_big_endian, kind, machine }
    }

    /// Gives the memory that its names take, in bytes.
    #[must_use]
    pub fn names_cost(&self) -> usize {
        let names = self.needed.iter().chain(&self.search).chain(&self.soname).chain(&self.interpreter);
        let required = self.requires.iter().flat_map(|(library, versions)| versions.iter().chain([library]));
        names.chain(required).chain(&self.defines).map(|name| name.len() + NAME_COST).sum()
    }
}

/// A copy of some bytes of the file at an address that fits every ELF structure: a slice of a package
/// may begin anywhere.
struct Aligned {
    words: Vec<u64>,
    length: usize,
}

impl Aligned {
    fn new(bytes: &[u8]) -> Self {
        let mut words = vec![0_u64; bytes.len().div_ceil(8)];
        pod::bytes_of_slice_mut(&mut words)[..bytes.len()].copy_from_slice(bytes);
        Self { words, length: bytes.len() }
    }

    fn array<T: Pod>(&self) -> Option<&[T]> {
        let bytes = &pod::bytes_of_slice(&self.words)[..self.length];
        Some(pod::slice_from_bytes(bytes, self.length / size_of::<T>()).ok()?.0)
    }
}

/// Takes `size` bytes from `offset`, when that is no more than `most`.
fn range(source: &dyn Source, offset: u64, size: u64, most: usize) -> Option<Cow<'_, [u8]>> {
    if size > most as u64 {
        return None;
    }
    source.bytes(offset, size)
}

fn parse_class<H: FileHeader<Endian = Endianness>>(source: &dyn Source) -> Result<Reading, NoElf> {
    const CUT: NoElf = NoElf::Unreadable("it ends inside its headers");
    const DEBUG: NoElf = NoElf::Unloadable("it holds debug information and no program");
    let header = Aligned::new(&source.bytes(0, size_of::<H>() as u64).ok_or(CUT)?);
    let header: &H = header.array().and_then(<[H]>::first).ok_or(CUT)?;
    let endian = match header.endian() {
        Ok(endian) if header.is_little_endian() || header.is_big_endian() => endian,
        _ => return Err(NoElf::Unreadable(UNKNOWN)),
    };
    let kind = header.e_type(endian).0;
    let count = usize::from(header.e_phnum(endian));
    let size = usize::from(header.e_phentsize(endian));
    match kind {
        ET_EXEC | ET_DYN => {}
        ET_REL => return Err(NoElf::Unloadable("it is an object file")),
        ET_CORE => return Err(NoElf::Unloadable("it is a core dump")),
        _ => return Err(NoElf::Unloadable("it is neither a program nor a library")),
    }
    if count == 0 {
        return Err(NoElf::Unloadable("it has no program headers"));
    }
    if count > MAX_HEADERS || size != size_of::<H::ProgramHeader>() {
        return Err(NoElf::Unreadable("its program headers are not valid"));
    }
    let headers = source.bytes(header.e_phoff(endian).into(), (count * size) as u64).ok_or(CUT)?;
    let headers = Aligned::new(&headers);
    let headers: &[H::ProgramHeader] = headers.array().ok_or(CUT)?;
    let segment = |wanted| headers.iter().find(|segment| segment.p_type(endian) == wanted);
    // What only describes another file has the other's headers and none of its content.
    let is_hollow = |segment: &H::ProgramHeader| segment.file_range(endian).1 == 0;
    let named = [segment(elf::PT_INTERP), segment(elf::PT_DYNAMIC)];
    if named.into_iter().flatten().any(is_hollow) {
        return Err(DEBUG);
    }
    let has_segments = segment(elf::PT_LOAD).is_some();
    let loaded = headers.iter().filter(|segment| segment.p_type(endian) == elf::PT_LOAD && !is_hollow(segment));
    let ends = loaded.map(|segment| segment.file_range(endian)).map(|(offset, size)| offset.checked_add(size));
    let last = ends.map(|end| end.unwrap_or(u64::MAX)).max().unwrap_or(0);
    if last > 0 && source.bytes(last - 1, 1).is_none() {
        return Err(NoElf::Unreadable("it is truncated: a segment ends behind its end"));
    }
    let entry: u64 = header.e_entry(endian).into();
    let is_entered = |segment: &H::ProgramHeader| {
        let at = entry.checked_sub(segment.p_vaddr(endian).into());
        segment.p_type(endian) == elf::PT_LOAD && at.is_some_and(|at| at < segment.p_memsz(endian).into())
    };
    let has_hollow_entry = entry != 0 && headers.iter().any(|segment| is_hollow(segment) && is_entered(segment));
    if last == 0 && has_segments || has_hollow_entry {
        return Err(DEBUG);
    }
    // A kernel does not look at the version; a loader does, of a library.
    if header.e_ident().version != elf::EV_CURRENT && kind != ET_EXEC && named[0].is_none() {
        return Err(NoElf::Unreadable(UNKNOWN));
    }
    let mut problems = Vec::new();
    let interpreter = match named[0].map(|segment| interpreter(source, segment.file_range(endian))) {
        Some(None) => return Err(NoElf::Unreadable("its interpreter is not valid")),
        found => found.flatten(),
    };
    let names = match named[1] {
        Some(segment) => dynamic::<H>(source, endian, segment, headers, &mut problems)?,
        // A library or a relocatable program without a dynamic section is debug information, unless it has content: a
        // packer leaves such programs.
        None if kind == ET_DYN && last == 0 => return Err(DEBUG),
        None => Names::default(),
    };
    problems.dedup();
    let system = || {
        let notes = headers.iter().filter(|segment| segment.p_type(endian) == elf::PT_NOTE).take(system::MAX_NOTES);
        let said = notes.into_iter().filter_map(|segment| {
            let (offset, size) = segment.file_range(endian);
            let align = if segment.p_align(endian).into() == 8 { 8 } else { 4 };
            System::of_notes(&source.bytes(offset, size.min(system::MAX_NOTE))?, endian.is_big_endian(), align)
        });
        said.reduce(|first, next| if first == System::Linux { next } else { first })
    };
    let elf = Elf {
        is_64: header.is_type_64(),
        is_big_endian: header.is_big_endian(),
        machine: header.e_machine(endian).0,
        kind,
        system: System::of_file(header.e_ident().os_abi.0, system(), interpreter.as_deref(), names.soname.as_deref()),
        has_entry: entry != 0 && in_segment::<H>(endian, headers, entry).is_some(),
        flags: header.e_flags(endian).0,
        soname: names.soname,
        needed: names.needed,
        search: names.search,
        search_by: names.search_by,
        interpreter,
        requires: names.requires,
        defines: names.defines,
    };
    Ok(Reading { elf, problems })
}

fn interpreter(source: &dyn Source, (offset, size): (u64, u64)) -> Option<Vec<u8>> {
    let text = source.bytes(offset, Some(size).filter(|size| *size <= MAX_INTERPRETER)?)?;
    Some(text[..text.iter().position(|byte| *byte == 0)?].to_vec())
}

const UNKNOWN: &str = "its version or byte order is not known";
const BAD_VERSIONS: &str = "the versions of its symbols cannot be read";

/// What a dynamic section names.
#[derive(Default)]
struct Names {
    soname: Option<Vec<u8>>,
    needed: Vec<Vec<u8>>,
    search: Vec<Vec<u8>>,
    search_by: SearchTag,
    requires: Vec<(Vec<u8>, Vec<Vec<u8>>)>,
    defines: Vec<Vec<u8>>,
}

fn dynamic<H: FileHeader<Endian = Endianness>>(
    source: &dyn Source,
    endian: Endianness,
    segment: &H::ProgramHeader,
    headers: &[H::ProgramHeader],
    problems: &mut Vec<&'static str>,
) -> Result<Names, NoElf> {
    const BAD: NoElf = NoElf::Unreadable("its dynamic section is not valid");
    let (offset, size) = segment.file_range(endian);
    let section = Aligned::new(&range(source, offset, size, MAX_DYNAMIC).ok_or(BAD)?);
    let entries: &[H::Dyn] = section.array().ok_or(BAD)?;
    let end = entries.iter().position(|entry| entry.tag(endian) == elf::DT_NULL).unwrap_or(entries.len());
    let entries = &entries[..end];
    let value = |tag| entries.iter().find(|entry| entry.tag(endian) == tag).map(|entry| entry.val(endian));

    let strings = value(elf::DT_STRTAB)
        .and_then(|address| string_table::<H>(source, endian, headers, address, value(elf::DT_STRSZ)))
        .ok_or(NoElf::Unreadable("the strings of its dynamic section cannot be found"))?;
    let text = |offset: u64| {
        let rest = strings.get(usize::try_from(offset).ok()?..)?;
        Some(&rest[..rest.iter().position(|byte| *byte == 0)?])
    };
    let mut left = MAX_NAMES;
    let mut keep = |name: &[u8]| {
        left = left.checked_sub(name.len() + NAME_COST).ok_or(NoElf::Unreadable("its names are too long"))?;
        Ok(name.to_vec())
    };
    let mut names = Names::default();
    for entry in entries.iter().filter(|entry| entry.tag(endian) == elf::DT_NEEDED) {
        match text(entry.val(endian)) {
            Some(name) => names.needed.push(keep(name)?),
            None => problems.push("a library that it needs has no readable name"),
        }
    }
    if let Some(offset) = value(elf::DT_SONAME) {
        match text(offset) {
            Some(name) => names.soname = Some(keep(name)?),
            None => problems.push("its soname cannot be read"),
        }
    }
    // Of two, loaders take the newer one.
    let run_path = value(elf::DT_RUNPATH).map(|offset| (offset, SearchTag::RunPath));
    if let Some((offset, tag)) = run_path.or_else(|| Some((value(elf::DT_RPATH)?, SearchTag::RPath))) {
        match text(offset) {
            Some(path) => {
                names.search = path.split(|byte| *byte == b':').map(&mut keep).collect::<Result<_, _>>()?;
                names.search_by = tag;
            }
            None => problems.push("its run path cannot be read"),
        }
    }
    let table = |tag| {
        let address = value(tag)?;
        Some(in_segment::<H>(endian, headers, address).and_then(|(offset, left)| {
            let bytes = source.bytes(offset, left.min(versions::MAX_TABLE))?;
            Some(versions::Table { bytes, is_big_endian: endian.is_big_endian() })
        }))
    };
    match table(elf::DT_VERNEED).map(|table| table.and_then(|table| table.required(&text))) {
        Some(Some(required)) => {
            for (library, versions) in required {
                let versions = versions.into_iter().map(&mut keep).collect::<Result<_, _>>()?;
                names.requires.push((keep(library)?, versions));
            }
        }
        Some(None) => problems.push(BAD_VERSIONS),
        None => {}
    }
    match table(elf::DT_VERDEF).map(|table| table.and_then(|table| table.defined(&text))) {
        Some(Some(defined)) => names.defines = defined.into_iter().map(&mut keep).collect::<Result<_, _>>()?,
        Some(None) => problems.push(BAD_VERSIONS),
        None => {}
    }
    Ok(names)
}

/// Finds the string table at `address` in the segment that holds it, no further than that segment.
fn string_table<'a, H: FileHeader<Endian = Endianness>>(
    source: &'a dyn Source,
    endian: Endianness,
    headers: &[H::ProgramHeader],
    address: u64,
    size: Option<u64>,
) -> Option<Cow<'a, [u8]>> {
    segments::<H>(endian, headers, address)
        .find_map(|(offset, left)| range(source, offset, size.map_or(left, |size| size.min(left)), MAX_STRINGS))
}

/// Gives where in the file an address is, and how much of its segment is left there.
fn in_segment<H: FileHeader<Endian = Endianness>>(
    endian: Endianness,
    headers: &[H::ProgramHeader],
    address: u64,
) -> Option<(u64, u64)> {
    segments::<H>(endian, headers, address).next()
}

fn segments<H: FileHeader<Endian = Endianness>>(
    endian: Endianness,
    headers: &[H::ProgramHeader],
    address: u64,
) -> impl Iterator<Item = (u64, u64)> {
    headers.iter().filter(move |segment| segment.p_type(endian) == elf::PT_LOAD).filter_map(move |segment| {
        let inside = address.checked_sub(segment.p_vaddr(endian).into())?;
        let (offset, length) = segment.file_range(endian);
        let left = length.checked_sub(inside).filter(|left| *left > 0)?;
        Some((offset.checked_add(inside)?, left))
    })
}

/// Reads `data` as an ELF file and takes the facts of it through their encoding: what a fuzzer calls.
///
/// # Panics
/// When the encoding does not give back what was put in.
#[doc(hidden)]
pub fn fuzz_elf(data: &[u8]) {
    let path = dlstore_model::path::TreePath::new(b"a").expect("one letter is a valid path");
    if let Some(elf) = Elf::parse(data) {
        let facts = vec![(path, elf)];
        assert_eq!(decode_facts(&encode_facts(&facts)), Ok(facts));
    }
    let _ = decode_facts(data);
}

#[cfg(test)]
mod peer;
#[cfg(test)]
pub(crate) mod tests;
