//! What differs between architectures: byte order, the flags of an entry, and how names compare.
//!
//! `ldconfig` looks at byte order, class and `e_flags` of a library; only on x86 at its machine. So does
//! this: what it was measured to do for each architecture stands in [`flags`]. A library of another
//! machine in the cache is harmless, for the loader passes over it.

use std::cmp::Ordering;

use dlstore_formats::elf::{ET_DYN, Elf};
use dlstore_model::arch::Arch;

const EM_386: u16 = 3;
const EM_X86_64: u16 = 62;

/// Says whether the target's integers are big-endian.
pub(super) const fn is_big_endian(arch: Arch) -> bool {
    matches!(arch, Arch::S390x)
}

/// Gives the flags of a library's entry (sysdeps/generic/ldconfig.h, `FLAG_*`), or nothing when
/// `ldconfig` of that architecture leaves the file out.
pub(super) fn flags(arch: Arch, elf: &Elf) -> Option<u32> {
    if elf.kind != ET_DYN || elf.is_big_endian != is_big_endian(arch) {
        return None;
    }
    match (arch, elf.is_64) {
        (Arch::I386 | Arch::Amd64, is_64) => match (elf.machine, is_64) {
            (EM_386, false) => Some(0x0003),
            (EM_X86_64, true) => Some(0x0303),
            (EM_X86_64, false) => Some(0x0803),
            _ => None,
        },
        (Arch::Arm64 | Arch::ArmV6 | Arch::ArmV7, true) => Some(0x0a03),
        // EF_ARM_ABI_FLOAT_HARD, EF_ARM_ABI_FLOAT_SOFT; they mean something under EF_ARM_EABI_VER5 only.
        (Arch::Arm64 | Arch::ArmV6 | Arch::ArmV7, false) if elf.flags >> 24 == 5 && elf.flags & 0x400 != 0 => {
            Some(0x0903)
        }
        (Arch::Arm64 | Arch::ArmV6 | Arch::ArmV7, false) if elf.flags >> 24 == 5 && elf.flags & 0x200 != 0 => {
            Some(0x0b03)
        }
        (Arch::Ppc64le, true) => Some(0x0503),
        (Arch::S390x, true) => Some(0x0403),
        (Arch::Arm64 | Arch::ArmV6 | Arch::ArmV7 | Arch::Ppc64le | Arch::S390x, false) => Some(0x0003),
        // EF_RISCV_FLOAT_ABI; the only other bit that is taken is EF_RISCV_RVC (1).
        (Arch::Riscv64, _) => match (elf.flags & 6, elf.flags & !7) {
            (0, 0) => Some(0x0f03),
            (4, 0) => Some(0x1003),
            _ => None,
        },
    }
}

/// Compares names of libraries as the loader does when it searches (elf/dl-cache.c,
/// `_dl_cache_libcmp`): runs of digits as numbers, a digit above anything else, other characters by the
/// sign that `char` has on the target.
pub(super) fn compare(arch: Arch, left: &[u8], right: &[u8]) -> Ordering {
    let order = |byte: u8| match arch {
        #[expect(clippy::cast_possible_wrap, reason = "char is signed on x86, and the loader compares it so")]
        Arch::I386 | Arch::Amd64 => i32::from(byte as i8),
        _ => i32::from(byte),
    };
    let (mut left, mut right) = (left, right);
    loop {
        // The end of a name compares as NUL.
        let (one, two) = (left.first().copied().unwrap_or(0), right.first().copied().unwrap_or(0));
        match (one.is_ascii_digit(), two.is_ascii_digit()) {
            (true, true) => {
                let (first, second) = (take_number(&mut left), take_number(&mut right));
                if first != second {
                    return first.cmp(&second);
                }
            }
            (true, false) => return Ordering::Greater,
            // At the end of the left name only the characters count.
            (false, true) if !left.is_empty() => return Ordering::Less,
            _ if one != two || left.is_empty() => return order(one).cmp(&order(two)),
            _ => {
                left = &left[1..];
                right = &right[1..];
            }
        }
    }
}

/// Takes a run of digits as the C code does: in 32 bits that wrap.
fn take_number(text: &mut &[u8]) -> i32 {
    let mut value = 0_i32;
    while let Some((digit @ b'0'..=b'9', rest)) = text.split_first() {
        value = value.wrapping_mul(10).wrapping_add(i32::from(digit - b'0'));
        *text = rest;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_compare_as_the_loader_compares_them() {
        for (left, right, expected) in [
            ("libc.so.6", "libc.so.6", Ordering::Equal),
            ("libc.so.10", "libc.so.6", Ordering::Greater),
            ("lib1.so", "lib01.so", Ordering::Equal),
            ("lib1", "liba", Ordering::Greater),
            ("liba", "lib1", Ordering::Less),
            ("lib", "liba", Ordering::Less),
            ("lib", "lib1", Ordering::Less),
            ("lib1", "lib", Ordering::Greater),
            ("libB", "liba", Ordering::Less),
        ] {
            assert_eq!(compare(Arch::Arm64, left.as_bytes(), right.as_bytes()), expected, "{left} {right}");
        }
        assert_eq!(compare(Arch::Amd64, b"lib\xc3", b"liba"), Ordering::Less);
        assert_eq!(compare(Arch::Arm64, b"lib\xc3", b"liba"), Ordering::Greater);
    }
}
