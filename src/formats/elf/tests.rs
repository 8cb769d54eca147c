//! What is read of ELF files: of whole ones, of cut ones, and of those that lie.
//!
//! The files are made here, with the program headers that a loader looks at and nothing else. `peer` compares real ones
//! with what readelf says.

use super::*;

/// Builds a minimal shared library: one `PT_LOAD` of the whole file at `base`, `PT_INTERP`, `PT_DYNAMIC`, no
/// section headers.
pub(crate) fn library(is_64: bool, is_big: bool, tags: &[(u64, &str)]) -> Vec<u8> {
    let number = |value: u64, width: usize| {
        let bytes = value.to_le_bytes();
        let mut bytes = bytes[..width].to_vec();
        if is_big {
            bytes.reverse();
        }
        bytes
    };
    let word = if is_64 { 8 } else { 4 };
    let (header, segment) = if is_64 { (64, 56) } else { (52, 32) };
    let base = 0x10000;
    let mut strings = b"\0".to_vec();
    let mut dynamic = Vec::new();
    for (tag, text) in tags {
        dynamic.extend(number(*tag, word));
        dynamic.extend(number(strings.len() as u64, word));
        strings.extend(text.as_bytes());
        strings.push(0);
    }
    let at = header + 3 * segment;
    let dynamic_at = at + 8;
    let strings_at = dynamic_at + dynamic.len() + 6 * word;
    for (tag, value) in [(5, (base + strings_at) as u64), (10, strings.len() as u64), (0, 0)] {
        dynamic.extend(number(tag, word));
        dynamic.extend(number(value, word));
    }
    let end = strings_at + strings.len();
    let mut file = vec![0x7f, b'E', b'L', b'F', 1 + u8::from(is_64), 1 + u8::from(is_big), 1];
    file.resize(16, 0);
    for (value, width) in [(3, 2), (62, 2), (1, 4), (0, word), (header, word), (0, word), (0x400, 4)] {
        file.extend(number(value as u64, width));
    }
    for value in [header, segment, 3, 0, 0, 0] {
        file.extend(number(value as u64, 2));
    }
    for (kind, start, size) in [(1, 0, end), (3, at, 8), (2, dynamic_at, dynamic.len())] {
        let (start, address, size) = (start as u64, (base + start) as u64, size as u64);
        let mut fields = vec![(kind, 4), (start, word), (address, word), (0, word), (size, word), (size, word)];
        fields.insert(if is_64 { 1 } else { 6 }, (4, 4));
        fields.push((0, word));
        file.extend(fields.iter().flat_map(|(value, width)| number(*value, *width)));
    }
    file.extend(b"/loader\0");
    file.extend(dynamic);
    file.extend(strings);
    file
}

const TAGS: [(u64, &str); 5] =
    [(1, "libc.so.6"), (1, "libm.so.6"), (14, "libx.so.1"), (15, "/old"), (29, "$ORIGIN/../lib:/opt/lib")];

fn expected(is_64: bool, is_big_endian: bool) -> Elf {
    let list = |names: &[&str]| names.iter().map(|name| name.as_bytes().to_vec()).collect();
    Elf {
        is_64,
        is_big_endian,
        machine: 62,
        kind: ET_DYN,
        system: System::Linux,
        has_entry: false,
        flags: 0x400,
        soname: Some(b"libx.so.1".to_vec()),
        needed: list(&["libc.so.6", "libm.so.6"]),
        search: list(&["$ORIGIN/../lib", "/opt/lib"]),
        search_by: SearchTag::RunPath,
        interpreter: Some(b"/loader".to_vec()),
        requires: Vec::new(),
        defines: Vec::new(),
    }
}

#[test]
fn both_classes_and_byte_orders_read_alike_at_every_alignment() {
    for (is_64, is_big) in [(false, false), (false, true), (true, false), (true, true)] {
        let file = library(is_64, is_big, &TAGS);
        for shift in 0..8 {
            let shifted = [vec![0; shift], file.clone()].concat();
            assert_eq!(Elf::parse(&shifted[shift..]), Some(expected(is_64, is_big)));
        }
    }
}

#[test]
fn a_run_path_is_the_new_one_where_there_are_both_and_says_which_it_is() {
    let of = |tags: &[(u64, &str)]| {
        let elf = Elf::parse(&library(true, false, tags)).unwrap();
        (elf.search, elf.search_by)
    };
    let list = |names: &[&str]| names.iter().map(|name| name.as_bytes().to_vec()).collect::<Vec<_>>();
    assert_eq!(of(&[]), (list(&[]), SearchTag::RunPath));
    assert_eq!(of(&[(15, "/old:/older")]), (list(&["/old", "/older"]), SearchTag::RPath));
    assert_eq!(of(&[(29, "/new")]), (list(&["/new"]), SearchTag::RunPath));
    for tags in [[(15, "/old"), (29, "/new")], [(29, "/new"), (15, "/old")]] {
        assert_eq!(of(&tags), (list(&["/new"]), SearchTag::RunPath));
    }
    assert_eq!(of(&[(15, "/old"), (29, "")]), (list(&[""]), SearchTag::RunPath), "one that is empty is one");
}

#[test]
fn a_program_may_have_no_version_in_its_first_bytes_and_a_library_may_not() {
    let mut file = library(true, false, &TAGS);
    file[6] = 0;
    assert_eq!(Elf::parse(&file), Some(expected(true, false)), "it names a loader, so it is a program");
    // The second program header names the loader.
    file[64 + 56] = 0;
    let why = "its version or byte order is not known";
    assert_eq!(Elf::examine(&file.as_slice()), Err(NoElf::Unreadable(why)));
    file[16] = 2;
    assert!(Elf::parse(&file).is_some());
    for order in [0, 3] {
        file[5] = order;
        assert_eq!(Elf::examine(&file.as_slice()), Err(NoElf::Unreadable(why)));
    }
}

#[test]
fn a_file_cut_anywhere_or_with_any_byte_changed_never_panics() {
    let file = library(true, false, &TAGS);
    for end in 0..file.len() {
        assert_eq!(Elf::parse(&file[..end]), None, "cut at {end}");
    }
    for at in 0..file.len() {
        for value in [0, 1, 0x7f, 0xff] {
            let mut changed = file.clone();
            changed[at] = value;
            fuzz_elf(&changed);
        }
    }
}

#[test]
fn names_beyond_the_limit_are_refused() {
    let long = "a".repeat(60_000);
    assert!(Elf::parse(&library(true, false, &[(1, long.as_str()); 2])).is_some());
    assert_eq!(Elf::parse(&library(true, false, &[(1, long.as_str()); 20])), None);
}

#[test]
fn a_soname_or_run_path_that_cannot_be_read_hides_no_needs() {
    let file = library(true, false, &TAGS);
    // The dynamic section: each entry is a tag and an offset into the strings, of eight bytes each.
    let at = 64 + 3 * 56 + 8;
    let bogus = |indexes: &[usize]| {
        let mut file = file.clone();
        for index in indexes {
            file[at + 16 * index + 8..at + 16 * index + 16].copy_from_slice(&0x7fff_ffff_u64.to_le_bytes());
        }
        Elf::examine(&file.as_slice()).unwrap()
    };
    let whole = expected(true, false);
    assert_eq!(bogus(&[]), Reading { elf: whole.clone(), problems: vec![] });
    let no_names = Elf { soname: None, search: vec![], ..whole.clone() };
    let problems = vec!["its soname cannot be read", "its run path cannot be read"];
    assert_eq!(bogus(&[2, 4]), Reading { elf: no_names, problems });
    let one = Elf { needed: whole.needed[1..].to_vec(), ..whole };
    assert_eq!(bogus(&[0]), Reading { elf: one, problems: vec!["a library that it needs has no readable name"] });
}

#[test]
fn what_begins_like_elf_and_cannot_be_read_is_told_from_what_no_loader_takes() {
    let file = library(true, false, &TAGS);
    let examine = |bytes: &[u8]| Elf::examine(&bytes).unwrap_err();
    assert_eq!(examine(b"#!/bin/sh\n"), NoElf::Other);
    let mut object = file.clone();
    object[16] = 1;
    assert_eq!(examine(&object), NoElf::Unloadable("it is an object file"));
    object[16] = 4;
    assert_eq!(examine(&object), NoElf::Unloadable("it is a core dump"));
    let mut debug = file.clone();
    debug[64 + 2 * 56 + 32..][..8].fill(0);
    assert!(matches!(examine(&debug), NoElf::Unloadable(_)), "a dynamic section without content");
    for end in 4..file.len() {
        let found = examine(&file[..end]);
        assert!(matches!(found, NoElf::Unreadable(_)), "cut at {end}: {found:?}");
    }
}

#[test]
fn an_entry_point_is_one_where_something_is_loaded() {
    let of = |entry: u64, size: u64| {
        let mut file = library(true, false, &TAGS);
        file[24..32].copy_from_slice(&entry.to_le_bytes());
        // The one segment that is loaded, at 0x10000.
        file[64 + 40..64 + 48].copy_from_slice(&0x9000_u64.to_le_bytes());
        if size == 0 {
            file[64 + 32..64 + 40].fill(0);
        }
        Elf::examine(&file.as_slice())
    };
    for (entry, has_entry) in [(0, false), (0x10000, true), (0x10040, true), (0x18000, false), (0x8000, false)] {
        assert_eq!(of(entry, 1).unwrap().elf.has_entry, has_entry, "{entry:#x}");
    }
    // The debug information of a static program keeps its entry point, and none of its code.
    assert!(matches!(of(0x10040, 0), Err(NoElf::Unloadable(_))));
}

#[test]
fn many_short_names_cost_too() {
    let path = |length| ":".repeat(length);
    assert!(Elf::parse(&library(true, false, &[(29, &path(20_000))])).is_some());
    assert_eq!(Elf::parse(&library(true, false, &[(29, &path(40_000))])), None);
}

#[test]
fn what_is_no_program_and_no_library_is_none() {
    assert_eq!(Elf::parse(b""), None);
    assert_eq!(Elf::parse(b"\x7fELF"), None);
    assert_eq!(Elf::parse(b"#!/bin/sh\n"), None);
    let mut object = library(true, false, &TAGS);
    object[16] = 1;
    assert_eq!(Elf::parse(&object), None);
}

#[test]
fn this_very_program_is_read() {
    let own = Elf::parse(&std::fs::read(std::env::current_exe().unwrap()).unwrap()).unwrap();
    assert!(own.needed.iter().any(|name| name.starts_with(b"libc.so")), "{own:?}");
    assert!(own.interpreter.is_some_and(|path| path.starts_with(b"/lib")));
}
