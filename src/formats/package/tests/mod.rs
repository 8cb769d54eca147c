//! Packages made by hand, read back: what good ones give, and that bad ones give nothing.

mod fuzz;
mod good;
mod hostile;
mod limits;
mod real;

use std::io::Read;

use super::reader::PackageReader;
use super::{Control, Format, Header, Kind, Limits, PackageError};

/// A whole package: control, and the entries with their contents.
type Whole = (Control, Vec<(Header, Vec<u8>)>);

fn open(format: Format, bytes: &[u8]) -> Result<PackageReader<'_>, PackageError> {
    let input: Box<dyn Read + Send + '_> = Box::new(bytes);
    PackageReader::open(format, "package.tar", input, Limits::default())
}

/// Reads everything; contents go through a buffer of an odd size.
fn read(format: Format, bytes: &[u8]) -> Result<Whole, PackageError> {
    read_from(open(format, bytes)?)
}

fn read_from(mut reader: PackageReader<'_>) -> Result<Whole, PackageError> {
    let mut entries = Vec::new();
    let mut buffer = vec![0; 777];
    while let Some(header) = reader.next_entry()? {
        let mut content = Vec::new();
        loop {
            match reader.read(&mut buffer)? {
                0 => break,
                read => content.extend_from_slice(&buffer[..read]),
            }
        }
        assert_eq!(content.len() as u64, header.size);
        entries.push((header, content));
    }
    Ok((reader.control().clone(), entries))
}

/// Gives the error of a bad package with its whole chain.
fn error(format: Format, bytes: &[u8]) -> String {
    match read(format, bytes) {
        Ok(_) => "no error".into(),
        Err(error) => {
            let mut sentence = error.to_string();
            let mut source = std::error::Error::source(&error);
            while let Some(cause) = source {
                sentence = format!("{sentence}: {cause}");
                source = cause.source();
            }
            assert!(!sentence.contains('\n'), "{sentence}");
            sentence
        }
    }
}

/// Lists entries in a short form: `f usr/bin/x 755 0:0 12`.
fn list(entries: &[(Header, Vec<u8>)]) -> Vec<String> {
    entries
        .iter()
        .map(|(header, content)| {
            let kind = match &header.kind {
                Kind::Directory => "d".to_owned(),
                Kind::File => format!("f{}", content.len()),
                Kind::Symlink(target) => format!("l{}", String::from_utf8_lossy(target)),
                Kind::HardLink(target) => format!("h{target}"),
                Kind::CharDevice(major, minor) => format!("c{major},{minor}"),
                Kind::BlockDevice(major, minor) => format!("b{major},{minor}"),
                Kind::Fifo => "p".to_owned(),
            };
            format!("{} {kind} {:o} {}:{}", header.path, header.meta.mode, header.meta.uid, header.meta.gid)
        })
        .collect()
}
