//! An image of 60 packages and 570 MB of files, cold, and with one small package changed.
//!
//! Real packages do not come to that size: the files of those that are there are dealt out to 59 packages, again and again,
//! each with a mark in front that makes its content another one (and keeps it from being taken for a program). They keep
//! about how well they compress. The packages are compressed with gzip, as the floor G has it: inflating the packages,
//! deflating what is in them at level 6 in pieces of 4 MiB, and SHA-256 of sources, raw bytes and compressed bytes.

use std::cell::Cell;
use std::ffi::OsString;
use std::fs;
use std::hint::black_box;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use dlstore_formats::archive::decompress::Compression;
use dlstore_formats::package::fixture::DebBuilder;
use libdeflater::{CompressionLvl, Compressor};
use liblzma::read::XzDecoder;
use rayon::prelude::*;
use sha2::{Digest as _, Sha256};

use crate::inputs::{Set, data_member};
use crate::program::{Call, Program};
use crate::rounds::Work;

/// Packages with much in them; one more is small.
const LARGE: usize = 59;
/// Bytes of files in all of them.
const BYTES: usize = 570_000_000;
/// Raw bytes that are deflated at once.
const PIECE: usize = 4 << 20;

/// The packages, and a store in which all of them are.
pub(crate) struct Heavy {
    program: Program,
    packages: PathBuf,
    counter: Cell<u32>,
}

impl Heavy {
    /// Makes packages out of the files of `set`, and composes the image once.
    pub(crate) fn prepare(directory: &Path, set: &Set) -> anyhow::Result<Self> {
        let program = Program::new(&directory.join("heavy"))?;
        let packages = program.directory().join("packages");
        fs::create_dir_all(&packages)?;
        eprintln!("making 60 packages of 570 MB in {}", packages.display());
        write_packages(&packages, &files_of(set)?)?;
        let names: Vec<String> =
            (0..LARGE).map(|number| format!("\"heavy-{number}\"")).chain(["\"light\"".to_owned()]).collect();
        let definition = program.project().join("images/heavy");
        fs::create_dir_all(&definition)?;
        let text = format!("schema = 1\nformat = \"deb\"\npackages = [{}]\n", names.join(", "));
        fs::write(definition.join("image.toml"), text)?;
        let found = Self { program, packages, counter: Cell::new(0) };
        found.change()?;
        found.compose(&found.directory().join("warm"), &found.directory().join("prepared")).run_once()?;
        Ok(found)
    }

    /// Gives everything that takes part in a round.
    pub(crate) fn works(&self) -> Vec<Work<'_>> {
        let cold = |at: &Path| self.compose(&at.join("store"), &at.join("output")).run();
        let changed = |at: &Path| self.compose(&self.directory().join("warm"), &at.join("output")).run();
        vec![
            Work::new("G", || self.floor()).with_cpu(),
            self.fresh("heavy cold", || Ok(()), cold).with_cpu(),
            self.fresh("heavy changed", || self.change(), changed),
        ]
    }

    fn directory(&self) -> &Path {
        self.program.directory()
    }

    /// Gives a work that gets a directory of its own each time; the store of the time before is removed first, since it is
    /// large.
    fn fresh<'w>(
        &'w self,
        name: &str,
        prepare: impl Fn() -> anyhow::Result<()> + 'w,
        run: impl Fn(&Path) -> anyhow::Result<()> + 'w,
    ) -> Work<'w> {
        let make = move |before: &Path| {
            if before.is_absolute() {
                fs::remove_dir_all(before)?;
            }
            let made = self.directory().join(format!("run-{}", self.next()));
            fs::create_dir(&made)?;
            prepare()?;
            Ok(made)
        };
        Work::in_fresh(name, make, run)
    }

    /// Writes the small package anew, with a higher version.
    fn change(&self) -> anyhow::Result<()> {
        let version = self.next().to_string();
        let deb = DebBuilder::new("light", &version, "all").file("usr/share/light/version", version.as_bytes(), 0o644);
        Ok(fs::write(self.packages.join("light.deb"), deb.build())?)
    }

    fn compose(&self, store: &Path, place: &Path) -> Call {
        let mut arguments: Vec<OsString> = ["compose", "heavy", "--arch", "amd64", "--from"].map(Into::into).into();
        arguments.push(self.packages.clone().into());
        let mut output = OsString::from("oci:");
        output.push(place);
        arguments.extend(["-o".into(), output]);
        self.program.on(store, arguments)
    }

    fn floor(&self) -> anyhow::Result<()> {
        let packages: Vec<PathBuf> =
            fs::read_dir(&self.packages)?.map(|item| Ok(item?.path())).collect::<anyhow::Result<_>>()?;
        packages.into_par_iter().with_max_len(1).try_for_each(|path| {
            black_box(Sha256::digest(fs::read(&path)?));
            let (name, member) = data_member(&path)?;
            let mut raw = Vec::new();
            if name == "data.tar.gz" {
                flate2::bufread::MultiGzDecoder::new(member.as_slice()).read_to_end(&mut raw)?;
            } else {
                XzDecoder::new(member.as_slice()).read_to_end(&mut raw)?;
            }
            black_box(Sha256::digest(&raw));
            let mut compressor = Compressor::new(CompressionLvl::new(6).expect("6 is a level"));
            for piece in raw.chunks(PIECE) {
                let mut packed = vec![0; compressor.deflate_compress_bound(piece.len())];
                let length = compressor.deflate_compress(piece, &mut packed)?;
                black_box(Sha256::digest(&packed[..length]));
            }
            Ok(())
        })
    }

    fn next(&self) -> u32 {
        self.counter.set(self.counter.get() + 1);
        self.counter.get()
    }
}

/// Reads all files of the packages of a set.
fn files_of(set: &Set) -> anyhow::Result<Vec<Vec<u8>>> {
    let mut found = Vec::new();
    for package in &set.files {
        let (name, member) = data_member(package)?;
        ensure!(name == "data.tar.xz", "{} holds {name}", package.display());
        let mut tar = tar::Archive::new(XzDecoder::new(member.as_slice()));
        for entry in tar.entries()? {
            let mut entry = entry?;
            let mut content = Vec::new();
            if entry.header().entry_type().is_file() {
                entry.read_to_end(&mut content)?;
                found.push(content);
            }
        }
    }
    Ok(found)
}

/// Deals the files out until there are enough bytes.
fn write_packages(directory: &Path, files: &[Vec<u8>]) -> anyhow::Result<()> {
    let mut left = files.iter().cycle().enumerate();
    for number in 0..LARGE {
        let name = format!("heavy-{number}");
        let mut deb = DebBuilder::new(&name, "1", "all").compression(Compression::Gzip);
        let mut bytes = 0;
        while bytes < BYTES / LARGE {
            let (at, content) = left.next().context("there are no files")?;
            let content = [format!("file {at:011}").as_bytes(), content].concat();
            bytes += content.len();
            deb = deb.file(&format!("opt/{name}/{at}"), &content, 0o644);
        }
        fs::write(directory.join(format!("{name}.deb")), deb.build())?;
    }
    Ok(())
}
