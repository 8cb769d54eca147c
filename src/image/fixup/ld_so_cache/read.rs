//! A reader of `ld.so.cache`, as strict as a loader: it proves what was written.
//!
//! A cache that a loader cannot use is ignored without a word, so a wrong byte order or a wrong sorting
//! shows nowhere but here. `Cache::parse` checks what the loader checks and more (every offset inside
//! the file, every string ended), `Cache::lookup` is the loader's binary search (elf/dl-cache.c,
//! `search_cache`). Input may be hostile.

use super::machine;
use super::write::{ENTRY, EXTENSION_MAGIC, HEADER, HWCAP_EXTENSION, MAGIC, TAG_GENERATOR, TAG_HWCAPS};
use dlstore_model::arch::Arch;

/// One entry, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CacheEntry {
    /// What a program asks for.
    pub soname: Vec<u8>,
    /// Where the library is.
    pub path: Vec<u8>,
    /// Kind of library and its ABI (`FLAG_*`).
    pub flags: u32,
    /// Name of its directory below `glibc-hwcaps`.
    pub hwcaps: Option<Vec<u8>>,
}

/// A cache that a loader of one architecture would use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cache {
    arch: Arch,
    /// Entries in the order of the file.
    pub entries: Vec<CacheEntry>,
    /// The text by which the writer named itself.
    pub generator: Option<Vec<u8>>,
}

struct Input<'a> {
    bytes: &'a [u8],
    is_big: bool,
}

impl<'a> Input<'a> {
    fn u32(&self, at: usize) -> Option<u32> {
        let bytes = *self.bytes.get(at..)?.first_chunk()?;
        Some(if self.is_big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }

    fn index(&self, at: usize) -> Option<usize> {
        usize::try_from(self.u32(at)?).ok()
    }

    fn u64(&self, at: usize) -> Option<u64> {
        let bytes = *self.bytes.get(at..)?.first_chunk()?;
        Some(if self.is_big { u64::from_be_bytes(bytes) } else { u64::from_le_bytes(bytes) })
    }

    fn string(&self, at: usize) -> Option<&'a [u8]> {
        let rest = self.bytes.get(at..)?;
        Some(&rest[..rest.iter().position(|byte| *byte == 0)?])
    }
}

impl Cache {
    /// Reads a cache for one architecture. `None`: its loader would not use it, or not all of it.
    pub(super) fn parse(arch: Arch, bytes: &[u8]) -> Option<Self> {
        let is_big = machine::is_big_endian(arch);
        let input = Input { bytes, is_big };
        if !bytes.starts_with(MAGIC) || *bytes.get(28)? != if is_big { 3 } else { 2 } {
            return None;
        }
        let count = input.index(20)?;
        if count > bytes.len() / ENTRY || bytes.len() < HEADER + count * ENTRY {
            return None;
        }
        let (mut names, mut generator) = (Vec::new(), None);
        let extensions = input.index(32)?;
        if extensions != 0 {
            if input.u32(extensions)? != EXTENSION_MAGIC || input.index(extensions + 4)? > bytes.len() / 16 {
                return None;
            }
            for section in 0..input.index(extensions + 4)? {
                let at = extensions + 8 + 16 * section;
                let (offset, size) = (input.index(at + 8)?, input.index(at + 12)?);
                let data = bytes.get(offset..offset.checked_add(size)?)?;
                match input.u32(at)? {
                    TAG_GENERATOR => generator = Some(data.to_vec()),
                    TAG_HWCAPS => {
                        for index in 0..size / 4 {
                            names.push(input.string(input.index(offset + 4 * index)?)?.to_vec());
                        }
                    }
                    _ => {}
                }
            }
        }
        let entry = |index| {
            let at = HEADER + ENTRY * index;
            let hwcap = input.u64(at + 16)?;
            let hwcaps = if hwcap & HWCAP_EXTENSION == 0 {
                None
            } else {
                Some(names.get(usize::try_from(hwcap & 0xffff_ffff).ok()?)?.clone())
            };
            let soname = input.string(input.index(at + 4)?)?.to_vec();
            let path = input.string(input.index(at + 8)?)?.to_vec();
            Some(CacheEntry { soname, path, flags: input.u32(at)?, hwcaps })
        };
        let entries = (0..count).map(entry).collect::<Option<Vec<_>>>()?;
        Some(Self { arch, entries, generator })
    }

    /// Finds what the loader would find for a soname: its entries that fit `flags`, best first.
    pub(super) fn lookup(&self, soname: &[u8], flags: u32) -> Vec<&CacheEntry> {
        let order = |entry: &CacheEntry| machine::compare(self.arch, &entry.soname, soname);
        // The table is descending, so what is greater comes first.
        let start = self.entries.partition_point(|entry| order(entry).is_gt());
        let same = self.entries[start..].iter().take_while(|entry| order(entry).is_eq());
        same.filter(|entry| entry.flags == flags).collect()
    }
}

/// Reads `data` as a cache of every architecture and asks it: what a fuzzer calls.
#[doc(hidden)]
pub fn fuzz_ld_so_cache(data: &[u8]) {
    for cache in Arch::ALL.iter().filter_map(|arch| Cache::parse(*arch, data)) {
        for entry in &cache.entries {
            let _ = cache.lookup(&entry.soname, entry.flags);
        }
    }
}
