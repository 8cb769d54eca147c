//! Packages that tests make: small, all different, the same on every run.
//!
//! `.deb` and `.apk` come from the builders of `dlstore_formats::package::fixture`; here is what several tests put into
//! them. `golden/digests.txt` pins what some of these are made into.

use dlstore_formats::archive::decompress::Compression;
use dlstore_formats::package::fixture::{ApkBuilder, DebBuilder, ar_archive};

use crate::dice::Dice;

/// Text that compresses a little, different for each seed.
pub fn text(seed: u64, length: usize) -> Vec<u8> {
    let mut dice = Dice::new(seed);
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length {
        bytes.extend_from_slice(format!("{:x} ", dice.bits() & 0xffff).as_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// A library package without ELF files: data in many places.
pub fn deb(name: &str, number: u64, arch: &str) -> DebBuilder {
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
pub fn apk(name: &str, number: u64, arch: &str) -> ApkBuilder {
    ApkBuilder::new(name, &format!("1.{number}-r0"), arch)
        .file(&format!("usr/share/{name}/data"), &text(number + 5, 70_000), 0o644)
        .file(&format!("etc/{name}.conf"), b"key = value\n", 0o644)
        .symlink(&format!("usr/share/{name}/link"), "data")
}

/// A `.deb` whose data member is called `data` and has these bytes, good or bad, behind the control member of `deb`.
pub fn deb_of(deb: &DebBuilder, data: &str, bytes: Vec<u8>) -> Vec<u8> {
    ar_archive(&[
        ("debian-binary".into(), b"2.0\n".to_vec()),
        ("control.tar".into(), deb.control_tar()),
        (data.into(), bytes),
    ])
}

/// A package that is larger than what makes a store set a reserve aside.
pub fn large() -> DebBuilder {
    DebBuilder::new("large", "1.0-1", "amd64").compression(Compression::None).file(
        "usr/share/large/zeros",
        &vec![0; (32 << 20) + 1],
        0o644,
    )
}
