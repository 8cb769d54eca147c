//! Whole archives: what the reader makes of them, and that GNU tar makes the same of them.

use std::process::{Command, Stdio};

use super::*;
use crate::package::fixture::{TarEntry, TarWriter, record};

/// Reads paths and contents; `skip` leaves the contents to the reader.
fn read(bytes: &[u8], end: End, skip: bool) -> Result<Vec<(String, Vec<u8>)>, ArchiveError> {
    let mut tar = TarReader::new(bytes, 1 << 30, end);
    let mut found = Vec::new();
    let mut buffer = [0; 100];
    while let Some(member) = tar.next_member()? {
        let mut content = Vec::new();
        if !skip {
            while let read @ 1.. = tar.read(&mut buffer)? {
                content.extend_from_slice(&buffer[..read]);
            }
        }
        found.push((String::from_utf8_lossy(&member.path).into_owned(), content));
    }
    Ok(found)
}

/// What GNU tar finds: paths, and the contents one after another.
fn gnu(bytes: &[u8]) -> Option<(Vec<String>, Vec<u8>)> {
    let run = |arguments: &[&str]| {
        let mut child = Command::new("tar")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        io::Write::write_all(&mut child.stdin.take()?, bytes).ok()?;
        child.wait_with_output().ok().map(|output| output.stdout)
    };
    let names = String::from_utf8_lossy(&run(&["--quoting-style=literal", "-tf", "-"])?).into_owned();
    Some((names.lines().map(str::to_owned).collect(), run(&["-xOf", "-"])?))
}

fn check_like_gnu(bytes: &[u8], expected: &[(&str, &[u8])]) {
    let found = read(bytes, End::Required, false).unwrap();
    let shown: Vec<_> = found.iter().map(|(path, content)| (path.as_str(), content.as_slice())).collect();
    assert_eq!(shown, expected);
    let skipped = read(bytes, End::Required, true).unwrap();
    assert_eq!(skipped.len(), found.len());
    match gnu(bytes) {
        None => eprintln!("GNU tar is absent: not compared with it"),
        Some((names, contents)) => {
            assert_eq!(names, expected.iter().map(|(path, _)| *path).collect::<Vec<_>>());
            assert_eq!(contents, expected.iter().flat_map(|(_, content)| content.to_vec()).collect::<Vec<_>>());
        }
    }
}

fn file(path: &str) -> TarEntry {
    TarEntry::new(b'0', path)
}

#[test]
fn a_pax_size_is_that_of_the_file_and_not_of_the_long_name_between_them() {
    // The block says 0 bytes, pax says 600: a reader that gives pax's size to L is led astray.
    let content = [b'c'; 600];
    let size = record("size", b"600");
    let name = b"a/long/name\0";
    for order in [[b'x', b'L'], [b'L', b'x']] {
        let mut tar = TarWriter::default();
        for kind in order {
            tar.extension(kind, if kind == b'x' { &size } else { name });
        }
        tar.header(&file("short"), 0).body(&content).entry(&file("next"), b"n");
        check_like_gnu(&tar.finish(), &[("a/long/name", &content), ("next", b"n")]);
    }
}

#[test]
fn a_pax_path_counts_before_a_long_name_and_that_before_the_block() {
    let mut tar = TarWriter::default();
    tar.extension(b'L', b"from-L\0").extension(b'x', &record("path", b"from-pax")).entry(&file("block"), b"1");
    tar.extension(b'L', b"from-L\0").entry(&file("block"), b"2");
    tar.entry(&file("block"), b"3");
    check_like_gnu(&tar.finish(), &[("from-pax", b"1"), ("from-L", b"2"), ("block", b"3")]);
}

#[test]
fn long_names_prefixes_and_comments_are_read_as_gnu_tar_does() {
    let long = "x".repeat(90) + "/" + &"y".repeat(200);
    let mut tar = TarWriter::default();
    tar.extension(b'g', &record("comment", b"0123"));
    tar.extension(b'L', format!("{long}\0").as_bytes()).entry(&file("cut"), b"L");
    tar.entry(&file(&long), b"pax");
    let mut block = [0; 512];
    block[..4].copy_from_slice(b"name");
    block[100..107].copy_from_slice(b"0000644");
    for at in [108, 116] {
        block[at..at + 7].copy_from_slice(b"0000000");
    }
    for at in [124, 136] {
        block[at..at + 11].copy_from_slice(b"00000000000");
    }
    block[156] = b'0';
    block[257..265].copy_from_slice(b"ustar\x0000");
    block[345..351].copy_from_slice(b"prefix");
    tar.block(block);
    check_like_gnu(&tar.finish(), &[(&long, b"L"), (&long, b"pax"), ("prefix/name", b"")]);
}

#[test]
fn contents_end_at_any_place_of_a_block() {
    let content: Vec<u8> = (0..1100_u32).map(|at| at as u8).collect();
    for size in [0, 1, 511, 512, 513, 1023, 1024, 1025] {
        let mut tar = TarWriter::default();
        tar.entry(&file("a"), &content[..size]).entry(&file("b"), b"b");
        check_like_gnu(&tar.finish(), &[("a", &content[..size]), ("b", b"b")]);
    }
}

#[test]
fn great_owners_and_sizes_are_base_256_or_pax() {
    let great = TarEntry { uid: 3_000_000_000, gid: 2_097_152, ..file("a") };
    let mut tar = TarWriter::default();
    tar.entry(&great, b"").extension(b'x', &[record("uid", b"4294967295"), record("gid", b"7")].concat());
    tar.entry(&file("b"), b"");
    let bytes = tar.finish();
    let mut reader = TarReader::new(bytes.as_slice(), 1 << 30, End::Required);
    let mut owner = || reader.next_member().unwrap().map(|member| (member.uid, member.gid)).unwrap();
    assert_eq!((owner(), owner()), ((3_000_000_000, 2_097_152), (u32::MAX, 7)));
    let mut tar = TarWriter::default();
    tar.extension(b'x', &record("uid", b"4294967296")).entry(&file("c"), b"");
    assert!(read(&tar.finish(), End::Required, true).is_err());
}

#[test]
fn before_posix_a_directory_was_a_file_with_a_slash() {
    let bytes = TarWriter::default().entry(&TarEntry::new(0, "a/"), b"").entry(&TarEntry::new(0, "a/b"), b"").finish();
    let mut tar = TarReader::new(bytes.as_slice(), 1 << 30, End::Required);
    let kinds: Vec<_> = std::iter::from_fn(|| tar.next_member().unwrap()).map(|member| member.kind).collect();
    assert_eq!(kinds, [MemberKind::Directory, MemberKind::File]);
}

#[test]
fn what_readers_disagree_about_is_refused() {
    let good = || TarWriter::default().entry(&file("a"), b"x").segment();
    let extension = |kind: u8, body: &[u8]| TarWriter::default().extension(kind, body).segment();
    let header = |kind: u8, size: u64| TarWriter::default().header(&TarEntry::new(kind, "a"), size).segment();
    let zero = || vec![0; 512];
    let path = record("path", b"p");
    for (what, pieces) in [
        ("two pax headers", vec![extension(b'x', &path), extension(b'x', &path), good()]),
        ("two long names", vec![extension(b'L', b"a\0"), extension(b'L', b"b\0"), good()]),
        ("an empty long name", vec![extension(b'L', b"\0"), good()]),
        ("a NUL in a long name", vec![extension(b'L', b"a\0b\0"), good()]),
        ("nothing after an extended header", vec![extension(b'x', &path)]),
        ("a global path", vec![extension(b'g', &path), good()]),
        ("a GNU sparse file", vec![header(b'S', 0)]),
        ("a pax sparse file", vec![extension(b'x', &record("GNU.sparse.major", b"1")), good()]),
        ("a contiguous file", vec![header(b'7', 0)]),
        ("a volume label", vec![header(b'V', 0)]),
        ("an incremental directory", vec![header(b'D', 0)]),
        ("Solaris' extended header", vec![header(b'X', 0)]),
        ("an unknown type", vec![header(b'Z', 0)]),
        ("a directory with content", vec![header(b'5', 512), zero()]),
        ("a link with content", vec![header(b'2', 1), zero()]),
        ("a hard link with content", vec![header(b'1', 1), zero()]),
        ("a hard link with a pax size", vec![extension(b'x', &record("size", b"1")), header(b'1', 0), zero()]),
        ("data after a lone zero block", vec![zero(), good()]),
        ("data after the end", vec![zero(), zero(), good()]),
        ("a byte after the end", vec![zero(), zero(), b"x".to_vec()]),
    ] {
        let bytes = [pieces.concat(), vec![0; 1024]].concat();
        for skip in [false, true] {
            assert!(read(&bytes, End::Required, skip).is_err(), "{what}");
            assert!(read(&bytes, End::Optional, skip).is_err(), "{what}");
        }
    }
}

#[test]
fn a_changed_header_has_a_wrong_checksum() {
    let good = TarWriter::default().entry(&file("a"), b"").finish();
    for at in 0..512 {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        // The field itself ends in a blank, which may also be written otherwise.
        assert!(read(&bytes, End::Required, true).is_err() || at == 155, "{at}");
    }
}

#[test]
fn an_archive_that_ends_early_is_an_error_and_a_segment_may_end_between_entries() {
    let whole = TarWriter::default().entry(&file("a"), b"some content").entry(&file("b"), b"").finish();
    for cut in 0..whole.len() {
        assert!(read(&whole[..cut], End::Required, true).is_err(), "{cut}");
        let between = [0, 1024, 1536].contains(&cut);
        // From the first end block on, what is missing of the zeros is not missed in a segment.
        assert_eq!(read(&whole[..cut], End::Optional, true).is_ok(), between || cut >= 2048, "{cut}");
    }
    assert_eq!(read(&whole, End::Required, true).unwrap().len(), 2);
}

#[test]
fn input_in_small_pieces_is_the_same_input() {
    struct OneByte<'a>(&'a [u8]);
    impl Read for OneByte<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            match self.0.split_first() {
                Some((first, rest)) if !buffer.is_empty() => {
                    buffer[0] = *first;
                    self.0 = rest;
                    Ok(1)
                }
                _ => Ok(0),
            }
        }
    }
    let bytes = TarWriter::default().entry(&file("a"), &[7; 700]).entry(&file("b"), b"x").finish();
    let mut tar = TarReader::new(OneByte(&bytes), 1 << 30, End::Required);
    let mut sizes = Vec::new();
    while let Some(member) = tar.next_member().unwrap() {
        let mut seen = 0;
        tar.drain(|bytes| seen += bytes.len()).unwrap();
        sizes.push((member.size, seen));
    }
    assert_eq!(sizes, [(700, 700), (1, 1)]);
}

#[test]
fn a_layer_ends_at_its_end_blocks_whatever_follows_them() {
    let mut tar = TarWriter::default();
    tar.entry(&file("a"), b"one");
    let of_other = [tar.finish(), b"more".repeat(200)].concat();
    let unfilled = tar.segment()[..515].to_vec();
    assert!(read(&unfilled, End::Optional, true).is_err());
    for bytes in [unfilled, tar.segment(), tar.finish(), of_other.clone(), [tar.finish(), tar.finish()].concat()] {
        assert_eq!(read(&bytes, End::Layer, false).unwrap(), [("a".to_owned(), b"one".to_vec())]);
    }
    assert!(read(&of_other, End::Required, true).is_err() && read(&of_other, End::Optional, true).is_err());
    let lone = [tar.segment(), vec![0; 512], b"more".repeat(200)].concat();
    assert!(read(&lone, End::Layer, true).is_err());
    assert!(read(&tar.segment()[..514], End::Layer, true).is_err());
}

#[test]
fn the_position_of_a_member_is_where_its_content_begins() {
    let mut tar = TarWriter::default();
    let long = "x".repeat(300);
    tar.entry(&file("a"), b"one").entry(&TarEntry::new(b'5', "d/"), b"").entry(&file(&long), b"three");
    let bytes = tar.finish();
    let mut reader = TarReader::new(&bytes[..], 1 << 20, End::Required);
    let mut found = Vec::new();
    while let Some(member) = reader.next_member().unwrap() {
        let at = usize::try_from(reader.position()).unwrap();
        found.push(bytes[at..at + usize::try_from(member.size).unwrap()].to_vec());
    }
    assert_eq!(found, [&b"one"[..], b"", b"three"]);
}
