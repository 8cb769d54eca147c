//! Packages that tests make: small, all different, the same on every run.

use dlstore_formats::archive::decompress::Compression;
use dlstore_formats::package::fixture::{ApkBuilder, DebBuilder};

/// Text that compresses a little, different for each seed.
pub(crate) fn text(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(format!("{:x} ", state & 0xffff).as_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// A library package without ELF files: data in many places.
pub(crate) fn deb(name: &str, number: u64, arch: &str) -> DebBuilder {
    let seed = number * 100 + arch.len() as u64 * 7 + u64::from(arch.as_bytes()[arch.len() - 1]);
    DebBuilder::new(name, &format!("1.{number}-1"), arch)
        .compression(Compression::Gzip)
        .file(&format!("usr/share/{name}/data"), &text(seed, 70_000), 0o644)
        .file(&format!("usr/share/{name}/small"), &text(seed + 1, 300), 0o640)
        .owner(0, 42)
        .hard_link(&format!("usr/share/{name}/zweit"), &format!("usr/share/{name}/small"))
        .file(&format!("etc/{name}.conf"), b"key = value\n", 0o644)
        .symlink(&format!("usr/share/{name}/link"), "data")
        .file(&format!("usr/share/doc/{name}/copyright"), b"free\n", 0o644)
        .file(&format!("usr/share/doc/{name}/changelog"), b"left out\n", 0o644)
        .control_file("conffiles", format!("/etc/{name}.conf\n").as_bytes())
        .md5sums()
}

/// The same idea as an apk.
pub(crate) fn apk(name: &str, number: u64, arch: &str) -> ApkBuilder {
    ApkBuilder::new(name, &format!("1.{number}-r0"), arch)
        .file(&format!("usr/share/{name}/data"), &text(number + 5, 70_000), 0o644)
        .file(&format!("etc/{name}.conf"), b"key = value\n", 0o644)
        .symlink(&format!("usr/share/{name}/link"), "data")
}

/// A package that is larger than what makes a store set a reserve aside.
pub(crate) fn large() -> DebBuilder {
    DebBuilder::new("large", "1.0-1", "amd64").compression(Compression::None).file(
        "usr/share/large/zeros",
        &vec![0; (32 << 20) + 1],
        0o644,
    )
}
