//! A package of 400 MB, twice: memory must not grow with what a package holds.
//!
//! Made by hand, for no real package is needed here: one file of 200 MB and two hundred of 1 MB, under
//! xz with the largest dictionary that `xz -9` and with it `dpkg-deb -z9` uses, 64 MiB, which a reader
//! has to allocate. Two packages of other names hold the same data and are added at once.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use liblzma::stream::{Check, Filters, LzmaOptions, Stream};
use liblzma::write::XzEncoder;

/// Gives the two packages, made in `directory` when they are not there yet.
pub(crate) fn packages(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let paths = ["large-one", "large-two"].map(|name| (name, directory.join(format!("{name}_1_all.deb"))));
    if paths.iter().any(|(_, path)| !path.exists()) {
        eprintln!("making packages of 400 MB in {}", directory.display());
        let data = directory.join("large.tar.xz");
        write_data(&data)?;
        for (name, path) in &paths {
            let part = path.with_extension("part");
            write_package(name, &data, &part)?;
            fs::rename(part, path)?;
        }
        fs::remove_file(data)?;
    }
    Ok(paths.into_iter().map(|(_, path)| path).collect())
}

fn write_data(path: &Path) -> anyhow::Result<()> {
    let mut options = LzmaOptions::new_preset(0)?;
    options.dict_size(64 << 20);
    let mut filters = Filters::new();
    filters.lzma2(&options);
    let stream = Stream::new_stream_encoder(&filters, Check::Crc32)?;
    let mut tar = tar::Builder::new(XzEncoder::new_stream(BufWriter::new(File::create(path)?), stream));
    let mut noise = Noise(1);
    append(&mut tar, "./usr/share/large/whole", 200_000_000, &mut noise)?;
    for number in 0..200 {
        append(&mut tar, &format!("./usr/share/large/part-{number}"), 1_000_000, &mut noise)?;
    }
    tar.into_inner()?.finish()?.flush()?;
    Ok(())
}

fn append<W: Write>(tar: &mut tar::Builder<W>, path: &str, size: u64, from: &mut impl Read) -> io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_size(size);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(1_700_000_000);
    tar.append_data(&mut header, path, from.take(size))
}

fn write_package(name: &str, data: &Path, path: &Path) -> anyhow::Result<()> {
    let control = format!(
        "Package: {name}\nVersion: 1\nArchitecture: all\nMaintainer: Nobody <nobody@example.org>\n\
         Description: a large package\n"
    );
    let mut tar = tar::Builder::new(Vec::new());
    append(&mut tar, "./control", control.len() as u64, &mut control.as_bytes())?;
    let control = tar.into_inner()?;
    let mut out = BufWriter::new(File::create(path)?);
    out.write_all(b"!<arch>\n")?;
    member(&mut out, "debian-binary", 4, &mut &b"2.0\n"[..])?;
    member(&mut out, "control.tar", control.len() as u64, &mut control.as_slice())?;
    member(&mut out, "data.tar.xz", fs::metadata(data)?.len(), &mut File::open(data)?)?;
    out.flush()?;
    Ok(())
}

fn member(out: &mut impl Write, name: &str, size: u64, content: &mut impl Read) -> io::Result<()> {
    writeln!(out, "{name:<16}{:<12}{:<6}{:<6}{:<8}{size:<10}`", 1_700_000_000, 0, 0, "100644")?;
    io::copy(content, out)?;
    if size % 2 == 1 {
        out.write_all(b"\n")?;
    }
    Ok(())
}

/// Bytes that shrink to about a third: runs of words with numbers between them.
struct Noise(u64);

impl Read for Noise {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        const LINE: &[u8; 24] = b"a line of a large file: ";
        for chunk in buffer.chunks_mut(32) {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let mut whole = [0; 32];
            whole[..24].copy_from_slice(LINE);
            whole[24..].copy_from_slice(&self.0.rotate_left(32).to_le_bytes());
            chunk.copy_from_slice(&whole[..chunk.len()]);
        }
        Ok(buffer.len())
    }
}
