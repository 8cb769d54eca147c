//! Real packages, read whole and compared with what GNU tar lists. They lie outside the project; a
//! line says so when they are absent.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::*;
use crate::archive::ar::ArReader;
use dlstore_kit::files::with_extension;
use dlstore_kit::workspace;

/// Packages are looked for in `../shared/data` and in the directory that this variable names.
const DEBS: &str = "DLSTORE_DEBS";

fn packages(extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    if let Some(data) = workspace::shared("data") {
        found.extend(with_extension(&data, extension));
    }
    if let Some(directory) = std::env::var_os(DEBS) {
        found.extend(with_extension(Path::new(&directory), extension));
    }
    if found.is_empty() {
        eprintln!("no .{extension} under ../shared/data or ${DEBS}: none was read");
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
                Kind::Directory => ('d', String::new()),
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
                bit(0o400, 'r'),
                bit(0o200, 'w'),
                special(0o100, 0o4000, 's', 'S'),
                bit(0o040, 'r'),
                bit(0o020, 'w'),
                special(0o010, 0o2000, 's', 'S'),
                bit(0o004, 'r'),
                bit(0o002, 'w'),
                special(0o001, 0o1000, 't', 'T'),
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
        let (control, entries) =
            read(Format::Apk, &bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let name = path.file_stem().unwrap().to_string_lossy();
        assert_eq!(name, format!("{}-{}", control.metadata.name, control.metadata.version));
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
        let (control, entries) =
            read(Format::Deb, &bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let name = path.file_stem().unwrap().to_string_lossy().replace("%3a", ":");
        assert_eq!(
            name,
            format!("{}_{}_{}", control.metadata.name, control.metadata.version, control.metadata.architecture)
        );
        let raw =
            Command::new("dpkg-deb").arg("--fsys-tarfile").arg(path).output().ok().filter(|run| run.status.success());
        if let Some(expected) = raw.and_then(|run| gnu_listing(&run.stdout)) {
            assert_eq!(listing(&entries), expected, "{}", path.display());
        }
    }
    eprintln!("{} real .deb files were read", packages.len());
}

/// Gives the time that this thread has spent on a processor, in milliseconds.
fn processor_time() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e6
}

/// Runs each of several things in turn and gives the shortest time of each, in milliseconds.
fn best<const N: usize>(mut runs: [&mut dyn FnMut(); N]) -> [f64; N] {
    let mut best = [f64::MAX; N];
    for _ in 0..15 {
        for (run, best) in runs.iter_mut().zip(&mut best) {
            let start = processor_time();
            run();
            *best = best.min(processor_time() - start);
        }
    }
    best
}

fn read_away(mut input: impl Read) {
    let mut buffer = vec![0; 256 << 10];
    while input.read(&mut buffer).unwrap() > 0 {}
}

fn read_package(format: Format, bytes: &[u8]) {
    let mut buffer = vec![0; 256 << 10];
    let mut reader = open(format, bytes).unwrap();
    while reader.next_entry().unwrap().is_some() {
        while reader.read(&mut buffer).unwrap() > 0 {}
    }
}

/// `cargo test --release --lib package::tests::real::speed -- --ignored --nocapture`
#[test]
#[ignore = "a measurement"]
fn speed_of_a_deb_against_plain_liblzma() {
    for path in packages("deb").iter().filter(|path| path.to_string_lossy().contains("libc6_")) {
        let bytes = std::fs::read(path).unwrap();
        let mut ar = ArReader::new(bytes.as_slice()).unwrap();
        let mut data = Vec::new();
        while let Some(member) = ar.next_member().unwrap() {
            if member.name == "data.tar.xz" {
                ar.read_to_end(&mut data).unwrap();
            }
        }
        let [plain, own] = best([&mut || read_away(liblzma::bufread::XzDecoder::new(data.as_slice())), &mut || {
            read_package(Format::Deb, &bytes);
        }]);
        let name = path.file_name().unwrap().to_string_lossy();
        eprintln!("{name}: liblzma {plain:.1} ms, reader {own:.1} ms, {:.3}", own / plain);
    }
}

/// As above.
#[test]
#[ignore = "a measurement"]
fn speed_of_an_apk_against_plain_zlib_and_libdeflate() {
    for path in packages("apk").iter().filter(|path| path.to_string_lossy().contains("v3.20/x86_64/")) {
        let bytes = std::fs::read(path).unwrap();
        if bytes.len() < 300_000 {
            continue;
        }
        // Members and their raw lengths, which libdeflate must be told.
        let mut members = Vec::new();
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let mut member = flate2::bufread::GzDecoder::new(rest);
            let raw = std::io::copy(&mut member, &mut std::io::sink()).unwrap();
            let after = member.into_inner();
            members.push((&rest[..rest.len() - after.len()], raw as usize));
            rest = after;
        }
        let mut out = vec![0; members.iter().map(|(_, raw)| *raw).max().unwrap()];
        let [zlib, libdeflate, own] = best([
            &mut || read_away(flate2::bufread::MultiGzDecoder::new(bytes.as_slice())),
            &mut || {
                for (member, raw) in &members {
                    libdeflater::Decompressor::new().gzip_decompress(member, &mut out[..*raw]).unwrap();
                }
            },
            &mut || read_package(Format::Apk, &bytes),
        ]);
        let name = path.file_name().unwrap().to_string_lossy();
        eprintln!("{name}: zlib-rs {zlib:.2} ms, libdeflate {libdeflate:.2} ms, reader with all hashes {own:.2} ms");
    }
}
