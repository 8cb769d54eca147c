//! A package `alpine-release` of Alpine, which is not among the real ones at hand.
//!
//! It is written here, for each of apk's architectures, with the paths that Alpine's own has: what scanners and people
//! read the release from.

use std::fs;
use std::path::Path;

use dlstore_formats::package::fixture::ApkBuilder;

use crate::images::ARCHITECTURES;

/// The release that it says.
pub const RELEASE: &str = "3.20.3";

/// Its os-release. The last line is nobody else's.
pub const OS_RELEASE: &str = "\
NAME=\"Alpine Linux\"
ID=alpine
VERSION_ID=3.20.3
PRETTY_NAME=\"Alpine Linux v3.20\"
HOME_URL=\"https://alpinelinux.org/\"
BUG_REPORT_URL=\"https://gitlab.alpinelinux.org/alpine/aports/-/issues\"
BUILD_ID=written
";

/// Writes `ARCH/alpine-release-3.20.3-r0.apk` for all architectures.
pub fn write(directory: &Path) {
    for arch in ARCHITECTURES {
        let directory = directory.join(arch.apk);
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join(format!("alpine-release-{RELEASE}-r0.apk")), package(arch.apk)).unwrap();
    }
}

fn package(arch: &str) -> Vec<u8> {
    ApkBuilder::new("alpine-release", &format!("{RELEASE}-r0"), arch)
        .info("pkgdesc", "Alpine release data")
        .info("license", "MIT")
        .info("origin", "alpine-base")
        .file("etc/alpine-release", format!("{RELEASE}\n").as_bytes(), 0o644)
        .symlink("etc/os-release", "../usr/lib/os-release")
        .file("usr/lib/os-release", OS_RELEASE.as_bytes(), 0o644)
        .build()
}
