//! Floors: what the same work takes in this process, without a store, an image or a plan.
//!
//! Everything lies in memory before the clock starts. X and H run on one thread, as their definition
//! says; C runs on all.

use std::fs::{self, File};
use std::hint::black_box;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use flate2::bufread::MultiGzDecoder;
use libdeflater::{CompressionLvl, Compressor};
use liblzma::stream::{Action, Status, Stream};
use rayon::prelude::*;
use sha2::{Digest as _, Sha256};

use crate::inputs::data_member;

/// X: the data members of packages, to be decoded one after the other on one thread.
pub(crate) struct Decoding(Vec<Vec<u8>>);

impl Decoding {
    /// Reads the data members; all must be xz, or this is not X.
    pub(crate) fn of(files: &[PathBuf]) -> anyhow::Result<Self> {
        let mut members = Vec::new();
        for file in files {
            let (name, bytes) = data_member(file)?;
            ensure!(name == "data.tar.xz", "{} holds {name}", file.display());
            members.push(bytes);
        }
        Ok(Self(members))
    }

    /// Decodes everything with liblzma into one buffer that is written over and over.
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let mut buffer = vec![0; 1 << 20];
        for member in &self.0 {
            let mut stream = Stream::new_stream_decoder(u64::MAX, 0)?;
            let mut at = 0;
            loop {
                let status = stream.process(&member[at..], &mut buffer, Action::Finish)?;
                at = usize::try_from(stream.total_in())?;
                black_box(&buffer);
                if status == Status::StreamEnd {
                    break;
                }
            }
        }
        Ok(())
    }
}

/// The files of a finished output, each once however many names it has.
pub(crate) struct Output(Vec<Vec<u8>>);

impl Output {
    /// Reads all files beneath a directory.
    pub(crate) fn of(directory: &Path) -> anyhow::Result<Self> {
        let (mut files, mut seen) = (Vec::new(), std::collections::HashSet::new());
        let mut directories = vec![directory.to_owned()];
        while let Some(directory) = directories.pop() {
            for item in fs::read_dir(&directory).with_context(|| format!("cannot read {}", directory.display()))? {
                let (path, meta) = {
                    let item = item?;
                    (item.path(), item.metadata()?)
                };
                if meta.is_dir() {
                    directories.push(path);
                } else if meta.is_file() && seen.insert((meta.dev(), meta.ino())) {
                    files.push(fs::read(&path)?);
                }
            }
        }
        Ok(Self(files))
    }

    /// F: writes the same bytes into as many files of a fresh directory, and syncs the disk once.
    pub(crate) fn write(&self, directory: &Path) -> anyhow::Result<()> {
        fs::create_dir(directory)?;
        for (at, bytes) in self.0.iter().enumerate() {
            fs::write(directory.join(at.to_string()), bytes)?;
        }
        rustix::fs::syncfs(File::open(directory)?)?;
        Ok(())
    }

    /// Gives the raw bytes of each distinct layer: what in a layout is gzip.
    pub(crate) fn layers(&self) -> anyhow::Result<Vec<Vec<u8>>> {
        let packed = self.0.iter().filter(|bytes| bytes.starts_with(&[0x1f, 0x8b]));
        packed.map(|bytes| inflate(bytes)).collect()
    }
}

/// Inflates all members of a gzip file.
fn inflate(bytes: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut raw = Vec::new();
    MultiGzDecoder::new(bytes).read_to_end(&mut raw)?;
    Ok(raw)
}

/// H: SHA-256 of raw layers, on one thread.
pub(crate) fn hash(layers: &[Vec<u8>]) {
    for layer in layers {
        black_box(Sha256::digest(black_box(layer)));
    }
}

/// C: packages of Alpine to inflate and layers to deflate, on all processors.
pub(crate) struct Recompression {
    packages: Vec<Vec<u8>>,
    layers: Vec<Vec<u8>>,
}

impl Recompression {
    /// Reads the packages and takes the raw layers of the image made of them.
    pub(crate) fn of(files: &[PathBuf], layers: Vec<Vec<u8>>) -> anyhow::Result<Self> {
        let packages = files.iter().map(fs::read).collect::<io::Result<_>>()?;
        Ok(Self { packages, layers })
    }

    /// Inflates every package and deflates every layer at level 6, the largest first.
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        enum Task<'t> {
            Inflate(&'t [u8]),
            Deflate(&'t [u8]),
        }
        let mut tasks: Vec<Task<'_>> = self.layers.iter().map(|raw| Task::Deflate(raw)).collect();
        tasks.extend(self.packages.iter().map(|bytes| Task::Inflate(bytes)));
        tasks.sort_by_key(|task| {
            std::cmp::Reverse(match task {
                // Deflating a byte takes about ten times as long as inflating one.
                Task::Deflate(bytes) => bytes.len() * 10,
                Task::Inflate(bytes) => bytes.len(),
            })
        });
        tasks.into_par_iter().with_max_len(1).try_for_each(|task| match task {
            Task::Inflate(bytes) => inflate_members(bytes),
            Task::Deflate(bytes) => {
                let level = CompressionLvl::new(6).expect("6 is a level");
                let mut compressor = Compressor::new(level);
                let mut packed = vec![0; compressor.gzip_compress_bound(bytes.len())];
                black_box(compressor.gzip_compress(bytes, &mut packed)?);
                Ok(())
            }
        })
    }
}

/// Inflates an apk, three gzip members, as a stream: nothing says how long its data is.
fn inflate_members(bytes: &[u8]) -> anyhow::Result<()> {
    let mut decoder = MultiGzDecoder::new(bytes);
    let mut buffer = vec![0; 256 << 10];
    while decoder.read(&mut buffer)? > 0 {
        black_box(&buffer);
    }
    Ok(())
}
