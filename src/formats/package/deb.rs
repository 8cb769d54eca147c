//! The outer shape of a `.deb`, version 2 (`deb(5)`).
//!
//! ```text
//! ar
//! ├── debian-binary        "2.0\n"; a higher minor number and further lines are accepted
//! ├── _...                 ignored, wherever it stands before data.tar
//! ├── control.tar[.gz|.xz|.zst]
//! ├── data.tar[.gz|.xz|.zst|.bz2|.lzma]
//! └── ...                  never read: dpkg ignores it too
//! ```
//!
//! The order counts, and anything else before `data.tar` is an error. [`open`] reads the control
//! part whole, within its bound, and stops in front of the files.

use std::collections::BTreeMap;
use std::io::{BufReader, Read};

use super::held::Held;
use super::{Control, Input, Limits, PackageError, control, members};
use crate::archive::ar::{ArReader, Member};
use crate::archive::decompress::{Compression, Decoder};
use crate::archive::tar::{End, TarReader};
use dlstore_model::escape::Escaped;

/// The container, with the current member as its bytes.
pub(super) type Archive<'a> = ArReader<BufReader<Input<'a>>>;

/// Longest `debian-binary`: it holds one short line, and may hold more in future.
const MAX_VERSION: u64 = 4096;

/// A package whose control part was read: that, what decompresses the files, the name of their member, and the shares
/// of memory that reading it holds.
pub(super) type Opened<'a> = (Control, Decoder<Archive<'a>>, String, Held);

/// Reads the control part and stops in front of the files.
pub(super) fn open<'a>(input: BufReader<Input<'a>>, limits: &Limits) -> Result<Opened<'a>, PackageError> {
    let mut archive = ArReader::new(input).map_err(|error| PackageError::archive("the ar header", error))?;
    read_version(&mut archive)?;
    let member = next(&mut archive)?;
    let compression = compression(&member.name, "control.tar", &[Compression::Bzip2, Compression::Lzma])?;
    let mut held = Held::default();
    let members = read_control(&mut archive, &member.name, compression, limits, &mut held)?;
    let control = control::parse_control(members)?;
    let member = next(&mut archive)?;
    let compression = self::compression(&member.name, "data.tar", &[])?;
    let decoder = held.decode(&member.name, compression, archive, limits)?;
    Ok((control, decoder, member.name, held))
}

/// Steps to the next member that counts.
fn next(archive: &mut Archive<'_>) -> Result<Member, PackageError> {
    loop {
        let member = archive.next_member().map_err(|error| PackageError::archive("the ar header", error))?;
        match member {
            Some(member) if member.name.starts_with('_') => {}
            Some(member) => return Ok(member),
            None => {
                let sentence = "the .deb ends early: it must hold debian-binary, control.tar and data.tar";
                return Err(PackageError::Content(sentence.into()));
            }
        }
    }
}

fn read_version(archive: &mut Archive<'_>) -> Result<(), PackageError> {
    let member = next(archive)?;
    if member.name != "debian-binary" {
        let sentence = format!("the first member of the .deb is {}, not debian-binary", Escaped::text(&member.name));
        return Err(PackageError::Content(sentence));
    }
    if member.size > MAX_VERSION {
        return Err(PackageError::Limit { what: "the length of debian-binary", limit: MAX_VERSION });
    }
    let mut text = Vec::new();
    archive.read_to_end(&mut text).map_err(|source| PackageError::Read { what: "debian-binary".into(), source })?;
    let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let minor = line.strip_prefix(b"2.").unwrap_or_default();
    if !text.contains(&b'\n') || minor.is_empty() || !minor.iter().all(u8::is_ascii_digit) {
        let shown = Escaped::bytes(line);
        return Err(PackageError::Format(format!("a .deb of the version \"{shown}\", which is not read: 2.0 is")));
    }
    Ok(())
}

/// Finds the compression of a member that must have the given stem.
fn compression(name: &str, stem: &str, not: &[Compression]) -> Result<Compression, PackageError> {
    let Some(rest) = name.strip_prefix(stem) else {
        let shown = Escaped::text(name);
        return Err(PackageError::Content(format!("the .deb holds {shown} where {stem} must be")));
    };
    let found = if rest.is_empty() {
        Some(Compression::None)
    } else {
        rest.strip_prefix('.').filter(|extension| !extension.is_empty()).and_then(Compression::from_extension)
    };
    found
        .filter(|compression| !not.contains(compression))
        .ok_or_else(|| PackageError::Format(format!("{}: an unknown compression", Escaped::text(name))))
}

fn read_control(
    archive: &mut Archive<'_>,
    name: &str,
    compression: Compression,
    limits: &Limits,
    held: &mut Held,
) -> Result<BTreeMap<String, Vec<u8>>, PackageError> {
    let wrap = |error| PackageError::archive(name, error);
    // No share for this one: of its dictionary no more is ever touched than it unpacks, which is bounded.
    let decoder = Decoder::new(compression, archive, limits.decoder_memory).map_err(wrap)?;
    let mut tar = TarReader::new(decoder, limits.control_bytes, End::Required);
    members::read(&mut tar, name, limits, &mut held.control)
}
