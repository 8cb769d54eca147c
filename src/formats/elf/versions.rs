//! Versions of symbols: what a file requires of its libraries, and what a library defines.
//!
//! Both are lists within a table that a tag of the dynamic section finds, `DT_VERNEED` and `DT_VERDEF`. Each
//! item says how far the next one is, so a list goes on only towards the end of the table. The layout is the
//! same in both classes:
//! ```text
//! required   u16 1  u16 count  u32 library  u32 first version  u32 next
//!   version  u32 hash  u16 flags  u16 index  u32 name  u32 next
//! defined    u16 1  u16 flags  u16 index  u16 count  u32 hash  u32 first name  u32 next
//!   name     u32 name  u32 next
//! ```
//! Reference: Linux Standard Base, Core, 10.7. A version that is required weakly may be absent: the loader of
//! glibc (`elf/dl-version.c`) then says so at most, and it is not listed here.

use std::borrow::Cow;

/// Most bytes of a table that are looked at; those of the largest libraries have some KiB.
pub(super) const MAX_TABLE: u64 = 1 << 20;
/// Most items that are read of both kinds: the largest libraries have some hundred.
const MAX_ITEMS: usize = 1 << 14;
/// `VER_FLG_WEAK`.
const WEAK: u16 = 2;

/// A library, and the versions that are required of it.
pub(super) type Required<'s> = (&'s [u8], Vec<&'s [u8]>);

/// A table of versions.
pub(super) struct Table<'t> {
    pub(super) bytes: Cow<'t, [u8]>,
    pub(super) is_big_endian: bool,
}

impl Table<'_> {
    /// Gives the versions that are required, by library; `None` when the table is not valid.
    pub(super) fn required<'s>(&self, text: &dyn Fn(u64) -> Option<&'s [u8]>) -> Option<Vec<Required<'s>>> {
        let mut found = Vec::new();
        let mut left = MAX_ITEMS;
        let (mut at, mut is_last) = (0, false);
        while !is_last {
            let (library, first) = (text(self.u32(at + 4)?.into())?, self.u32(at + 8)?);
            let mut versions = Vec::new();
            let (mut of, mut was_last) = (self.on(at, first)?, self.u16(at + 2)? == 0);
            while !was_last {
                left = left.checked_sub(1)?;
                let name = text(self.u32(of + 8)?.into())?;
                if self.u16(of + 4)? & WEAK == 0 {
                    versions.push(name);
                }
                (of, was_last) = self.next(of, of + 12)?;
            }
            left = left.checked_sub(1)?;
            if !versions.is_empty() {
                found.push((library, versions));
            }
            (at, is_last) = self.next(at, at + 12)?;
        }
        Some(found)
    }

    /// Gives the versions that are defined; `None` when the table is not valid.
    pub(super) fn defined<'s>(&self, text: &dyn Fn(u64) -> Option<&'s [u8]>) -> Option<Vec<&'s [u8]>> {
        let mut found = Vec::new();
        let (mut at, mut is_last) = (0, false);
        while !is_last {
            if found.len() >= MAX_ITEMS {
                return None;
            }
            // The first name is the version, those behind it are versions that it goes on from.
            let name = self.on(at, self.u32(at + 12)?)?;
            found.push(text(self.u32(name)?.into())?);
            (at, is_last) = self.next(at, at + 16)?;
        }
        Some(found)
    }

    /// Goes on from an item by the distance that it says at `field`; none: it is the last.
    fn next(&self, item: usize, field: usize) -> Option<(usize, bool)> {
        let distance = self.u32(field)?;
        Some((self.on(item, distance)?, distance == 0))
    }

    fn on(&self, at: usize, distance: u32) -> Option<usize> {
        at.checked_add(usize::try_from(distance).ok()?).filter(|at| *at < self.bytes.len())
    }

    fn u16(&self, at: usize) -> Option<u16> {
        let bytes = self.bytes.get(at..at + 2)?.try_into().ok()?;
        Some(if self.is_big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
    }

    fn u32(&self, at: usize) -> Option<u32> {
        let bytes = self.bytes.get(at..at + 4)?.try_into().ok()?;
        Some(if self.is_big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRINGS: [&[u8]; 5] = [b"libc.so.6", b"GLIBC_2.2", b"GLIBC_2.38", b"FOO_1", b"FOO_2"];

    fn text(at: u64) -> Option<&'static [u8]> {
        STRINGS.get(usize::try_from(at).ok()?).copied()
    }

    fn bytes(is_big_endian: bool, fields: &[(u32, usize)]) -> Vec<u8> {
        let field = |(value, width): &(u32, usize)| {
            let bytes = value.to_be_bytes();
            let mut bytes = bytes[4 - width..].to_vec();
            if !is_big_endian {
                bytes.reverse();
            }
            bytes
        };
        fields.iter().flat_map(field).collect()
    }

    #[test]
    fn what_is_required_is_read_in_both_byte_orders_without_what_may_be_absent() {
        for is_big_endian in [false, true] {
            let item = [(1, 2), (3, 2), (0, 4), (16, 4), (0, 4)];
            let version = |name, flags, next| [(0, 4), (flags, 2), (2, 2), (name, 4), (next, 4)];
            let all = [&item[..], &version(1, 0, 16), &version(2, 2, 16), &version(2, 0, 0)].concat();
            let bytes = bytes(is_big_endian, &all);
            let table = |bytes: &[u8]| Table { bytes: bytes.to_vec().into(), is_big_endian }.required(&text);
            assert_eq!(table(&bytes).unwrap(), [(STRINGS[0], vec![STRINGS[1], STRINGS[2]])]);
            for end in 0..bytes.len() {
                assert_eq!(table(&bytes[..end]), None, "{end}");
            }
        }
    }

    #[test]
    fn what_is_defined_is_the_first_name_of_each_item() {
        for is_big_endian in [false, true] {
            let item = |next| [(1, 2), (0, 2), (2, 2), (2, 2), (0, 4), (20, 4), (next, 4)];
            let all = [&item(28)[..], &[(3, 4), (0, 4)], &item(0), &[(4, 4), (0, 4)]].concat();
            let bytes = bytes(is_big_endian, &all);
            let table = Table { bytes: bytes.into(), is_big_endian };
            assert_eq!(table.defined(&text).unwrap(), [STRINGS[3], STRINGS[4]]);
        }
    }

    #[test]
    fn lists_that_do_not_end_are_refused() {
        let fields: Vec<(u32, usize)> = (0..1 << 16).map(|_| (1, 4)).collect();
        let table = Table { bytes: bytes(false, &fields).into(), is_big_endian: false };
        assert_eq!(table.required(&text), None);
        assert_eq!(table.defined(&text), None);
    }
}
