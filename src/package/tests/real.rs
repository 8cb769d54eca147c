//! Real packages, read whole and compared with what GNU tar lists. They lie outside the project; a
//! line says so when they are absent.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use super::*;
use crate::archive::ar::ArReader;

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data");
/// Debian packages are looked for here and in the folder that this variable names.
const DEBS: &str = "DLSTORE_TEST_DEBS";

fn find(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            find(&path, extension, found);
        } else if path.extension().is_some_and(|own| own == extension) {
            found.push(path);
        }
    }
    found.sort();
}

fn packages(extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    find(Path::new(DATA), extension, &mut found);
    if let Some(folder) = std::env::var_os(DEBS) {
        find(Path::new(&folder), extension, &mut found);
    }
    if found.is_empty() {
        eprintln!("no .{extension} under {DATA} or ${DEBS}: none was read");
    }
    found
}

/// Lists entries as `tar --numeric-owner -tv` does, without the date and device numbers.
fn listing(entries: &[(Header, Vec<u8>)]) -> Vec<String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    entries
        .iter()
        .map(|(header, content)| {
            let (letter, link) = match &header.kind {
                Kind::Folder => ('d', String::new()),
                Kind::File => ('-', String::new()),
                Kind::Symlink(target) => ('l', format!(" -> {}", text(target))),
                Kind::HardLink(target) => ('h', format!(" link to {}", text(target.as_bytes()))),
                Kind::CharDevice(..) => ('c', String::new()),
                Kind::BlockDevice(..) => ('b', String::new()),
                Kind::Fifo => ('p', String::new()),
            };
            let mode = header.meta.mode;
            let bit = |mask: u16, letter: char| if mode & mask == 0 { '-' } else { letter };
            let special = |x: u16, s: u16, with: char, without: char| match (mode & x != 0, mode & s != 0) {
                (true, true) => with,
                (false, true) => without,
                (true, false) => 'x',
                (false, false) => '-',
            };
            let permissions: String = [
                letter,
                bit(0o400, 'r'), bit(0o200, 'w'), special(0o100, 0o4000, 's', 'S'),
                bit(0o040, 'r'), bit(0o020, 'w'), special(0o010, 0o2000, 's', 'S'),
                bit(0o004, 'r'), bit(0o002, 'w'), special(0o001, 0o1000, 't', 'T'),
            ]
            .iter()
            .collect();
            let (uid, gid) = (header.meta.uid, header.meta.gid);
            format!("{permissions} {uid}/{gid} {} {}{link}", content.len(), text(header.path.as_bytes()))
        })
        .collect()
}

/// Asks GNU tar for the same list; `raw` is a tar or several segments of one.
fn gnu_listing(raw: &[u8]) -> Option<Vec<String>> {
    let mut child = Command::new("tar")
        .args(["--numeric-owner", "--quoting-style=literal", "--ignore-zeros", "-tvf", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let mut stdin = child.stdin.take()?;
    let raw = raw.to_vec();
    let writer = std::thread::spawn(move || std::io::Write::write_all(&mut stdin, &raw));
    let output = child.wait_with_output().ok()?;
    writer.join().ok()?.ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Some(
        text.lines()
            .filter_map(|line| {
                let (permissions, rest) = line.split_once(' ')?;
                let (owner, rest) = rest.trim_start().split_once(' ')?;
                let (size, rest) = rest.trim_start().split_once(' ')?;
                // The date and the time of day.
                let path = rest.splitn(3, ' ').nth(2)?;
                let path = path.strip_prefix("./").unwrap_or(path).replace(" link to ./", " link to ");
                let path = path.strip_suffix('/').unwrap_or(&path).to_owned();
                let hidden = path.is_empty() || path.starts_with('.');
                let size = if size.contains(',') { "0" } else { size };
                (!hidden).then(|| format!("{permissions} {owner} {size} {path}"))
            })
            .collect(),
    )
}

fn decompress(bytes: &[u8]) -> Vec<u8> {
    let mut raw = Vec::new();
    flate2::bufread::MultiGzDecoder::new(bytes).read_to_end(&mut raw).unwrap();
    raw
}

#[test]
fn every_real_apk_is_read_as_gnu_tar_lists_it() {
    let packages = packages("apk");
    for path in &packages {
        let bytes = std::fs::read(path).unwrap();
        let (control, entries) = read(Format::Apk, &bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let name = path.file_stem().unwrap().to_string_lossy();
        assert_eq!(name, format!("{}-{}", control.name, control.version));
        if let Some(expected) = gnu_listing(&decompress(&bytes)) {
            assert_eq!(listing(&entries), expected, "{}", path.display());
        }
    }
    eprintln!("{} real .apk files were read", packages.len());
}

#[test]
fn every_real_deb_is_read_as_dpkg_and_gnu_tar_list_it() {
    let packages = packages("deb");
    for path in &packages {
        let bytes = std::fs::read(path).unwrap();
        let (control, entries) = read(Format::Deb, &bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let name = path.file_stem().unwrap().to_string_lossy().replace("%3a", ":");
        assert_eq!(name, format!("{}_{}_{}", control.name, control.version, control.architecture));
        let raw = Command::new("dpkg-deb").arg("--fsys-tarfile").arg(path).output().ok().filter(|run| run.status.success());
        if let Some(expected) = raw.and_then(|run| gnu_listing(&run.stdout)) {
            assert_eq!(listing(&entries), expected, "{}", path.display());
        }
    }
    eprintln!("{} real .deb files were read", packages.len());
}

/// `cargo test --release --lib package::tests::real::speed -- --ignored --nocapture`
#[test]
#[ignore = "a measurement"]
fn speed_of_decoding_against_the_plain_decompressors() {
    let mut buffer = vec![0; 256 << 10];
    let mut whole = |format: Format, bytes: &[u8]| {
        let mut reader = open(format, bytes).unwrap();
        while reader.next_entry().unwrap().is_some() {
            while reader.read(&mut buffer).unwrap() > 0 {}
        }
    };
    let best = |run: &mut dyn FnMut()| {
        let times = (0..15).map(|_| {
            let start = Instant::now();
            run();
            start.elapsed()
        });
        times.min().unwrap().as_secs_f64() * 1e3
    };
    for path in packages("deb").iter().filter(|path| path.to_string_lossy().contains("libc6_")) {
        let bytes = std::fs::read(path).unwrap();
        let mut ar = ArReader::new(bytes.as_slice()).unwrap();
        let mut data = Vec::new();
        while let Some(member) = ar.next_member().unwrap() {
            if member.name == "data.tar.xz" {
                ar.read_to_end(&mut data).unwrap();
            }
        }
        let mut chunk = vec![0; 256 << 10];
        let plain = best(&mut || {
            let mut decoder = liblzma::bufread::XzDecoder::new(data.as_slice());
            while decoder.read(&mut chunk).unwrap() > 0 {}
        });
        let own = best(&mut || whole(Format::Deb, &bytes));
        eprintln!("{}: liblzma {plain:.1} ms, reader {own:.1} ms, {:.3}", path.display(), own / plain);
    }
    for path in packages("apk").iter().filter(|path| path.ends_with("v3.20/x86_64/musl-1.2.5-r0.apk") || path.ends_with("v3.20/x86_64/libcrypto3-3.3.2-r0.apk")) {
        let bytes = std::fs::read(path).unwrap();
        let raw = decompress(&bytes);
        let mut chunk = vec![0; 256 << 10];
        let plain = best(&mut || {
            let mut decoder = flate2::bufread::MultiGzDecoder::new(bytes.as_slice());
            while decoder.read(&mut chunk).unwrap() > 0 {}
        });
        let mut out = vec![0; raw.len()];
        let libdeflate = best(&mut || {
            let (mut at, mut place) = (0, 0);
            while at < bytes.len() {
                let mut decompressor = libdeflater::Decompressor::new();
                // The length of a member is unknown to libdeflate's safe API: try all, keep what fits.
                let header = 10;
                match decompressor.deflate_decompress(&bytes[at + header..], &mut out[place..]) {
                    Ok(size) => place += size,
                    Err(_) => break,
                }
                at = bytes.len();
            }
        });
        let own = best(&mut || whole(Format::Apk, &bytes));
        eprintln!(
            "{}: {} raw bytes, zlib-rs {plain:.2} ms, reader {own:.2} ms ({:.3}); libdeflate's first member {libdeflate:.2} ms",
            path.display(),
            raw.len(),
            own / plain
        );
    }
}
