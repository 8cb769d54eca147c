//! Facts: what later steps need to know of a package's files, taken while their bytes pass.
//!
//! A package has a fact of every kind, empty ones included, so that a fact that is not there is always one that was
//! lost. Their bytes are content of their own, named by BLAKE3; the package's record lists kind and name. No kind
//! has a version: that of the decoder covers all of them (`dlstore_model::generation::DECODER`).
//!
//! | kind | what |
//! |---|---|
//! | `control` | what the package says of itself, and the members of its control archive that composing reads |
//! | `members` | the other members, verbatim: scripts, symbols |
//! | `elf` | every ELF file: machine, SONAME, what it needs (`dlstore_formats::elf`) |
//! | `text` | the small files that fix-ups read: accounts, certificates, loader configuration |
//! | `start` | how each file begins that a kernel may run and that is no ELF file which was read ([`super::start`]) |
//! | `sha1` | the SHA-1 of each file, as an apk's database lists them |
//! | `note` | what was not understood or left out, for people |

use std::collections::BTreeMap;

use super::start::{decode_starts, encode_starts};
use dlstore_formats::package::{Control, Format};
use dlstore_model::encoding::{DecodeError, Decoder, Encoder};
use dlstore_model::name::{Architecture, PackageName};
use dlstore_model::package::Metadata;
use dlstore_model::path::TreePath;
use dlstore_model::relation::{Operator, Relation};
use dlstore_model::version::Version;

/// The kind of what a package says of itself.
pub const CONTROL: &str = "control";
/// The kind of the other control members: scripts, symbols, templates. No image needs them, and they are most of
/// the bytes.
pub const MEMBERS: &str = "members";
/// The kind of ELF facts.
pub const ELF: &str = "elf";
/// The kind of small texts.
pub const TEXTS: &str = "text";
/// The kind of an apk's checksums.
pub const SHA1: &str = "sha1";
/// The kind of notes.
pub const NOTES: &str = "note";
/// The kind of how files begin.
pub const STARTS: &str = "start";

/// All kinds, in order: a record that lists others is of another program.
pub const KINDS: [&str; 7] = [CONTROL, ELF, MEMBERS, NOTES, SHA1, STARTS, TEXTS];

/// Largest text that is kept, in bytes: a bundle of all certificates is about 230 KB.
pub const MAX_TEXT: u64 = 1 << 20;

/// Texts by path.
pub type Texts = BTreeMap<TreePath, Vec<u8>>;
/// SHA-1 of files by path.
pub type Sha1s = BTreeMap<TreePath, [u8; 20]>;

/// Says whether a fix-up reads the file at this path.
#[must_use]
pub fn is_text(path: &TreePath) -> bool {
    let bytes = path.as_bytes();
    matches!(
        bytes,
        b"etc/passwd"
            | b"etc/group"
            | b"etc/shadow"
            | b"etc/ld.so.conf"
            | b"etc/os-release"
            | b"usr/lib/os-release"
            | b"etc/alpine-release"
            | b"etc/debian_version"
            | b"etc/ssl/certs/ca-certificates.crt"
    ) || bytes.starts_with(b"etc/ld.so.conf.d/")
        || bytes.starts_with(b"usr/share/ca-certificates/")
}

/// Writes texts.
#[must_use]
pub fn encode_texts(texts: &Texts) -> Vec<u8> {
    let mut out = Encoder::new("text 1\n");
    for (path, text) in texts {
        out.bytes(path.as_bytes()).bytes(text);
    }
    out.finish()
}

/// Reads texts.
///
/// # Errors
/// When the bytes are not what [`encode_texts`] writes.
pub fn decode_texts(bytes: &[u8]) -> Result<Texts, DecodeError> {
    let mut input = Decoder::new(bytes, "text 1\n")?;
    let mut texts = Texts::new();
    while input.left() > 0 {
        let path = TreePath::new(input.bytes()?).map_err(|_| DecodeError("bad path"))?;
        texts.insert(path, input.bytes()?.to_vec());
    }
    Ok(texts)
}

/// Writes checksums.
#[must_use]
pub fn encode_sha1s(sums: &Sha1s) -> Vec<u8> {
    let mut out = Encoder::new("sha1 1\n");
    for (path, sum) in sums {
        out.bytes(path.as_bytes()).raw(sum);
    }
    out.finish()
}

/// Reads checksums.
///
/// # Errors
/// When the bytes are not what [`encode_sha1s`] writes.
pub fn decode_sha1s(bytes: &[u8]) -> Result<Sha1s, DecodeError> {
    let mut input = Decoder::new(bytes, "sha1 1\n")?;
    let mut sums = Sha1s::new();
    while input.left() > 0 {
        let path = TreePath::new(input.bytes()?).map_err(|_| DecodeError("bad path"))?;
        let sum = input.raw(20)?.try_into().map_err(|_| DecodeError("bad checksum"))?;
        sums.insert(path, sum);
    }
    Ok(sums)
}

/// Writes notes.
#[must_use]
pub fn encode_notes(notes: &[String]) -> Vec<u8> {
    let mut out = Encoder::new("note 1\n");
    for note in notes {
        out.bytes(note.as_bytes());
    }
    out.finish()
}

/// Reads notes.
///
/// # Errors
/// When the bytes are not what [`encode_notes`] writes.
pub fn decode_notes(bytes: &[u8]) -> Result<Vec<String>, DecodeError> {
    let mut input = Decoder::new(bytes, "note 1\n")?;
    let mut notes = Vec::new();
    while input.left() > 0 {
        notes.push(input.text()?);
    }
    Ok(notes)
}

/// Says whether composing reads a member of the control archive.
fn is_for_composing(name: &str) -> bool {
    matches!(name, "control" | "md5sums" | "conffiles" | ".PKGINFO")
}

/// Which members of a control archive a fact has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Members {
    /// Those that composing reads.
    ForComposing,
    /// The others.
    Others,
}

/// Writes what a package says of itself, with some of its members.
#[must_use]
pub fn encode_control(control: &Control, which: Members) -> Vec<u8> {
    let Control { metadata, members } = control;
    let mut out = Encoder::new("control 2\n");
    encode_metadata(metadata, &mut out);
    for (name, bytes) in members.iter().filter(|(name, _)| is_for_composing(name) == (which == Members::ForComposing)) {
        out.bytes(name.as_bytes()).bytes(bytes);
    }
    out.finish()
}

fn encode_metadata(metadata: &Metadata, out: &mut Encoder) {
    let Metadata { format, name, version, architecture, origin, replaces, replaces_priority, apk_identity } = metadata;
    for text in [format.name(), name, version, architecture, origin] {
        out.bytes(text.as_bytes());
    }
    out.u64(*replaces_priority);
    out.u8(u8::from(apk_identity.is_some())).raw(apk_identity.as_ref().map_or(&[], |identity| identity));
    out.u32(u32::try_from(replaces.len()).expect("bounded by the control archive's size"));
    for Relation { name, arch, constraint } in replaces {
        let (operator, version) =
            constraint.as_ref().map_or(("", ""), |(operator, version)| (operator.symbol(*format), version));
        for text in [name, arch.as_deref().unwrap_or_default(), operator, version] {
            out.bytes(text.as_bytes());
        }
    }
}

/// Reads what a package says of itself.
///
/// # Errors
/// When the bytes are not what [`encode_control`] writes.
pub fn decode_control(bytes: &[u8]) -> Result<Control, DecodeError> {
    let mut input = Decoder::new(bytes, "control 2\n")?;
    let metadata = decode_metadata(&mut input)?;
    let mut members = BTreeMap::new();
    while input.left() > 0 {
        let name = input.text()?;
        members.insert(name, input.bytes()?.to_vec());
    }
    Ok(Control { metadata, members })
}

fn decode_metadata(input: &mut Decoder<'_>) -> Result<Metadata, DecodeError> {
    let format = Format::from_name(&input.text()?).ok_or(DecodeError("unknown format"))?;
    let name = decode_name(format, input)?;
    let version = decode_version(format, &input.text()?)?;
    let architecture = decode_architecture(&input.text()?)?;
    let origin = decode_name(format, input)?;
    let replaces_priority = input.u64()?;
    let apk_identity = match input.u8()? {
        0 => None,
        1 => Some(input.raw(20)?.try_into().map_err(|_| DecodeError("bad checksum"))?),
        _ => return Err(DecodeError("neither an identity nor none")),
    };
    let mut replaces = Vec::new();
    for _ in 0..input.u32()? {
        replaces.push(decode_relation(format, input)?);
    }
    Ok(Metadata { format, name, version, architecture, origin, replaces, replaces_priority, apk_identity })
}

fn decode_relation(format: Format, input: &mut Decoder<'_>) -> Result<Relation, DecodeError> {
    let name = decode_name(format, input)?;
    let arch = Some(input.text()?).filter(|arch| !arch.is_empty()).as_deref().map(decode_architecture).transpose()?;
    let (operator, version) = (input.text()?, input.text()?);
    let constraint = if operator.is_empty() && version.is_empty() {
        None
    } else {
        let operator = Operator::parse(format, &operator)
            .filter(|found| found.symbol(format) == operator)
            .ok_or(DecodeError("unknown operator"))?;
        Some((operator, decode_version(format, &version)?))
    };
    Ok(Relation { name, arch, constraint })
}

fn decode_name(format: Format, input: &mut Decoder<'_>) -> Result<PackageName, DecodeError> {
    PackageName::new(format, &input.text()?).map_err(|_| DecodeError("bad name"))
}

fn decode_version(format: Format, text: &str) -> Result<Version, DecodeError> {
    Version::new(format, text).map_err(|_| DecodeError("bad version"))
}

fn decode_architecture(text: &str) -> Result<Architecture, DecodeError> {
    Architecture::new(text).map_err(|_| DecodeError("bad architecture"))
}

/// Reads any bytes as each kind of fact: what a fuzzer calls.
///
/// # Panics
/// When what was read does not read back.
#[doc(hidden)]
pub fn fuzz_facts(data: &[u8]) {
    if let Ok(texts) = decode_texts(data) {
        assert_eq!(decode_texts(&encode_texts(&texts)), Ok(texts));
    }
    if let Ok(starts) = decode_starts(data) {
        assert_eq!(decode_starts(&encode_starts(&starts)), Ok(starts));
    }
    if let Ok(sums) = decode_sha1s(data) {
        assert_eq!(decode_sha1s(&encode_sha1s(&sums)), Ok(sums));
    }
    if let Ok(notes) = decode_notes(data) {
        assert_eq!(decode_notes(&encode_notes(&notes)), Ok(notes));
    }
    if let Ok(control) = decode_control(data) {
        assert_reads_back(&control);
    }
}

/// Asserts that both facts of a control part together are the whole.
fn assert_reads_back(control: &Control) {
    let read = |which| decode_control(&encode_control(control, which)).expect("it was written just now");
    let (mut read, others) = (read(Members::ForComposing), read(Members::Others));
    read.members.extend(others.members);
    assert_eq!(&read, control);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_read_back_as_they_were_written() {
        let path = |text: &str| TreePath::new(text.as_bytes()).unwrap();
        let texts = Texts::from([(path("etc/passwd"), b"root".to_vec()), (path("etc/ld.so.conf"), Vec::new())]);
        assert_eq!(decode_texts(&encode_texts(&texts)), Ok(texts));
        let sums = Sha1s::from([(path("a"), [3; 20])]);
        assert_eq!(decode_sha1s(&encode_sha1s(&sums)), Ok(sums));
    }

    fn control(format: Format, replaces: Vec<Relation>, apk_identity: Option<[u8; 20]>) -> Control {
        let name = |text| PackageName::new(format, text).unwrap();
        let metadata = Metadata {
            format,
            name: name("a"),
            version: Version::new(format, "1").unwrap(),
            architecture: Architecture::new("all").unwrap(),
            origin: name("b"),
            replaces,
            replaces_priority: 7,
            apk_identity,
        };
        Control { metadata, members: BTreeMap::from([("control".into(), b"Package: a\n".to_vec())]) }
    }

    #[test]
    fn what_a_package_says_reads_back_as_it_was_written() {
        for (format, operator, identity) in
            [(Format::Deb, Operator::Earlier, None), (Format::Apk, Operator::Matches, Some([9; 20]))]
        {
            let name = |text| PackageName::new(format, text).unwrap();
            let replaces = vec![
                Relation { name: name("c"), arch: None, constraint: None },
                Relation {
                    name: name("d"),
                    arch: Some(Architecture::new("i386").unwrap()),
                    constraint: Some((operator, Version::new(format, "2").unwrap())),
                },
            ];
            let control = control(format, replaces, identity);
            assert_reads_back(&control);
        }
    }

    #[test]
    fn a_fact_with_a_name_that_no_package_can_have_is_damaged() {
        let bytes = encode_control(&control(Format::Deb, Vec::new(), None), Members::ForComposing);
        let at = bytes.windows(5).position(|found| found == [1, 0, 0, 0, b'a']).unwrap() + 4;
        for bad in [b'/', b'A', b'.', 0] {
            let mut bytes = bytes.clone();
            bytes[at] = bad;
            assert_eq!(decode_control(&bytes), Err(DecodeError("bad name")));
        }
    }
}
