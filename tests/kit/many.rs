//! Very many tiny packages, written as fast as files can be made: for tests and benches of large stores.
//!
//! ```text
//! DIRECTORY/000/tiny-0000000_1.0-1_amd64.deb    a thousand in each directory
//!           /...
//!       /001/...
//! ```
//! Each holds a text, a configuration file and a copyright file, all different; every hundredth a library
//! with a SONAME too. A package takes one block of the disk. The same numbers give the same bytes.

use std::fs;
use std::path::Path;

use dlstore_formats::archive::decompress::Compression;
use dlstore_formats::package::fixture::DebBuilder;
use rayon::prelude::*;

use crate::elf;

/// Packages in one directory.
const DIRECTORY: u32 = 1000;

/// Each package whose number this divides brings a library.
pub const LIBRARIES: u32 = 100;

/// The name of a package.
pub fn name(number: u32) -> String {
    format!("tiny-{number:07}")
}

/// The SONAME of the library of a package that brings one.
pub fn soname(number: u32) -> String {
    format!("libtiny{number}.so.1")
}

/// Where a package lies below the directory.
pub fn file(number: u32) -> String {
    format!("{:03}/{}_1.0-1_amd64.deb", number / DIRECTORY, name(number))
}

/// One package.
pub fn package(number: u32) -> Vec<u8> {
    let name = name(number);
    let mut deb = DebBuilder::new(&name, "1.0-1", "amd64")
        .compression(Compression::Gzip)
        .file(&format!("etc/{name}.conf"), format!("number = {number}\n").as_bytes(), 0o644)
        .file(&format!("usr/share/doc/{name}/copyright"), b"free\n", 0o644)
        .file(&format!("usr/share/{name}/text"), format!("text {number}\n").repeat(4).as_bytes(), 0o644);
    if number.is_multiple_of(LIBRARIES) {
        let soname = soname(number);
        let path = format!("usr/lib/x86_64-linux-gnu/{soname}");
        deb = deb.file(&path, &elf::library("amd64", &soname, &[]), 0o644);
    }
    deb.build()
}

/// Writes the packages of these numbers below a directory.
pub fn write(directory: &Path, numbers: std::ops::Range<u32>) -> std::io::Result<()> {
    for number in numbers.start / DIRECTORY..numbers.end.div_ceil(DIRECTORY) {
        fs::create_dir_all(directory.join(format!("{number:03}")))?;
    }
    numbers.into_par_iter().try_for_each(|number| fs::write(directory.join(file(number)), package(number)))
}
