//! The bytes of the cache: glibc's "new format".
//!
//! ```text
//! 0     48   header   "glibc-ld.so.cache" "1.1", u32 entries, u32 bytes of strings,
//!                     u8 byte order (2 little, 3 big), 3 zero, u32 offset of the extensions, 12 zero
//! 48    24n  entries  i32 flags, u32 soname, u32 path, u32 0, u64 hwcap
//! ...        strings  each once and NUL-terminated, a string that ends another lies inside it; to 4
//! ...        extensions   u32 0xeaa42174, u32 count, {u32 tag, u32 flags, u32 offset, u32 size} each,
//!                     then tag 1: u32 offsets of the hwcaps names in use, and tag 0: the generator
//! ```
//! Integers have the target's byte order, string offsets count from the file's start, `hwcap` is 0 or
//! bit 62 and the index of its name. The loader ignores a file that it cannot use, without a word
//! (elf/cache.c, `save_cache`; sysdeps/generic/dl-cache.h).

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap};

use super::machine;
use super::scan::Scan;
use dlstore_model::arch::Arch;

pub(super) const MAGIC: &[u8; 20] = b"glibc-ld.so.cache1.1";
pub(super) const HEADER: usize = 48;
pub(super) const ENTRY: usize = 24;
pub(super) const EXTENSION_MAGIC: u32 = 0xeaa4_2174;
pub(super) const TAG_GENERATOR: u32 = 0;
pub(super) const TAG_HWCAPS: u32 = 1;
/// Marks an entry's `hwcap` as an index of the names in the extension.
pub(super) const HWCAP_EXTENSION: u64 = 1 << 62;

/// Integers in the target's byte order.
struct Output {
    bytes: Vec<u8>,
    is_big: bool,
}

impl Output {
    fn u32(&mut self, value: usize) {
        let value = u32::try_from(value).expect("a cache of all libraries of an image is far below 4 GiB");
        self.bytes.extend_from_slice(&if self.is_big { value.to_be_bytes() } else { value.to_le_bytes() });
    }

    fn u64(&mut self, value: u64) {
        self.bytes.extend_from_slice(&if self.is_big { value.to_be_bytes() } else { value.to_le_bytes() });
    }
}

/// Writes a scan.
pub(super) fn write(arch: Arch, scan: &Scan, generator: &str) -> Vec<u8> {
    let used: BTreeSet<&[u8]> = scan.libraries.iter().filter_map(|library| library.hwcaps.as_deref()).collect();
    let used: Vec<&[u8]> = used.into_iter().collect();
    let mut strings: BTreeSet<&[u8]> = scan.hwcaps.iter().map(Vec::as_slice).collect();
    for library in &scan.libraries {
        strings.extend([library.soname.as_slice(), library.path.as_slice()]);
    }
    let start = HEADER + ENTRY * scan.libraries.len();
    let (strings, offsets) = string_table(strings, start);
    let extensions = (start + strings.len()).next_multiple_of(4);

    let is_big = machine::is_big_endian(arch);
    let mut out = Output { bytes: MAGIC.to_vec(), is_big };
    out.u32(scan.libraries.len());
    out.u32(strings.len());
    out.bytes.extend([if is_big { 3 } else { 2 }, 0, 0, 0]);
    out.u32(extensions);
    out.bytes.resize(HEADER, 0);
    for library in &scan.libraries {
        out.u32(library.flags as usize);
        out.u32(offsets[library.soname.as_slice()]);
        out.u32(offsets[library.path.as_slice()]);
        out.u32(0);
        let index = library.hwcaps.as_deref().and_then(|name| used.binary_search(&name).ok());
        out.u64(index.map_or(0, |index| HWCAP_EXTENSION | index as u64));
    }
    out.bytes.extend(strings);
    out.bytes.resize(extensions, 0);

    let sections = 1 + usize::from(!used.is_empty());
    let names = extensions + 8 + 16 * sections;
    out.u32(EXTENSION_MAGIC as usize);
    out.u32(sections);
    for field in [TAG_GENERATOR as usize, 0, names + 4 * used.len(), generator.len()] {
        out.u32(field);
    }
    if !used.is_empty() {
        for field in [TAG_HWCAPS as usize, 0, names, 4 * used.len()] {
            out.u32(field);
        }
    }
    for name in used {
        out.u32(offsets[name]);
    }
    out.bytes.extend_from_slice(generator.as_bytes());
    out.bytes
}

/// Lays strings out, descending by their reversed bytes and longer ones first, so that what ends another
/// string comes right behind it and shares its bytes (elf/stringtable.c).
fn string_table(strings: BTreeSet<&[u8]>, start: usize) -> (Vec<u8>, HashMap<&[u8], usize>) {
    let mut strings: Vec<&[u8]> = strings.into_iter().collect();
    strings.sort_by(|left, right| {
        let order = right.iter().rev().zip(left.iter().rev()).map(|(a, b)| a.cmp(b)).find(|order| order.is_ne());
        order.unwrap_or(Ordering::Equal).then_with(|| right.len().cmp(&left.len()))
    });
    let mut bytes: Vec<u8> = Vec::new();
    let mut offsets = HashMap::with_capacity(strings.len());
    let mut previous: &[u8] = b"";
    for string in strings {
        if bytes.is_empty() || !previous.ends_with(string) {
            bytes.extend_from_slice(string);
            bytes.push(0);
        }
        offsets.insert(string, start + bytes.len() - 1 - string.len());
        previous = string;
    }
    (bytes, offsets)
}
