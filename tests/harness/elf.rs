//! Shared libraries of a few hundred bytes: what a loader looks at, and nothing to run.
//!
//! ```text
//! ELF header (64) · PT_LOAD (56) · PT_DYNAMIC (56) · dynamic section (16 each) · string table
//! ```
//! The file is mapped at address 0, so an address is an offset. Reference: System V gABI, chapters 4 and 5.

/// `e_machine` of a 64-bit little-endian architecture, by Debian's name.
fn machine(arch: &str) -> u16 {
    match arch {
        "amd64" => 62,
        "arm64" => 183,
        "riscv64" => 243,
        other => panic!("there is no small ELF file for {other}"),
    }
}

/// A library that calls itself `soname` and asks for `needed`.
pub(crate) fn library(arch: &str, soname: &str, needed: &[&str]) -> Vec<u8> {
    const HEADERS: u64 = 64 + 2 * 56;
    let mut strings = vec![0];
    let mut dynamic: Vec<[u64; 2]> = Vec::new();
    let mut name = |text: &str| {
        let at = strings.len() as u64;
        strings.extend_from_slice(text.as_bytes());
        strings.push(0);
        at
    };
    dynamic.extend(needed.iter().map(|library| [1, name(library)]));
    dynamic.push([14, name(soname)]);
    // DT_STRTAB, DT_STRSZ and DT_NULL are still to come.
    let table = HEADERS + 16 * (dynamic.len() as u64 + 3);
    dynamic.extend([[5, table], [10, strings.len() as u64], [0, 0]]);
    let length = table + strings.len() as u64;

    let mut out = b"\x7fELF\x02\x01\x01".to_vec();
    out.resize(16, 0);
    out.extend([3_u16, machine(arch)].map(u16::to_le_bytes).concat());
    out.extend(1_u32.to_le_bytes());
    out.extend([0_u64, 64, 0].map(u64::to_le_bytes).concat());
    out.extend(0_u32.to_le_bytes());
    out.extend([64_u16, 56, 2, 64, 0, 0].map(u16::to_le_bytes).concat());
    let size = 16 * dynamic.len() as u64;
    for (kind, flags, offset, size) in [(1_u32, 4_u32, 0, length), (2, 6, HEADERS, size)] {
        out.extend([kind, flags].map(u32::to_le_bytes).concat());
        out.extend([offset, offset, offset, size, size, 8].map(u64::to_le_bytes).concat());
    }
    out.extend(dynamic.iter().flatten().flat_map(|number| number.to_le_bytes()));
    out.extend(strings);
    out
}
