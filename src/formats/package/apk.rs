//! The outer shape of an `.apk`, version 2.
//!
//! ```text
//! gzip member: .SIGN.<kind>.<key>           any number of these; each signs what follows it
//! gzip member: .PKGINFO, scripts            the control member: its SHA-1 is the package's identity
//! gzip member(s): the files                 the data: *every* byte behind the control member
//! ```
//!
//! Each is a segment of one tar; only the last has end blocks. `.PKGINFO` states the SHA-256 of the
//! data, and that of what was read must be equal before the package counts as read. So the chain is
//! whole: an index names the control member by its SHA-1 (computed with detection of the known
//! collisions), and that names the data.
//!
//! Signatures are not checked here: an `.apk` is believed because of a signed index. But what looks
//! like a signature must be one: a signature member that holds anything else is refused.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read};

use flate2::bufread::{GzDecoder, MultiGzDecoder};
use sha1_checked::Digest as _;

use super::held::Held;
use super::{Control, Input, Limits, PackageError, members, pkginfo};
use crate::archive::tar::{End, TarReader};
use dlstore_model::digest::OciDigest;
use dlstore_model::escape::Escaped;

/// Bytes that are read at once.
const BUFFER: usize = 128 << 10;
/// Signature members at most; real packages have one or none.
const MAX_SIGNATURES: usize = 16;

/// Reads signatures and control, and stops in front of the files.
pub(super) fn open<'a>(input: Input<'a>, limits: &Limits) -> Result<(Control, Data<'a>, Held), PackageError> {
    let mut tap = Tap::new(input);
    let mut held = Held::default();
    for _ in 0..=MAX_SIGNATURES {
        tap.hash = Hash::Sha1(Box::new(sha1_checked::Sha1::new()));
        let found = read_segment(&mut tap, limits, &mut held)?;
        let is_signature = |name: &String| name.starts_with(".SIGN.");
        let signatures = found.keys().filter(|name| is_signature(name)).count();
        if signatures == 0 {
            return open_data(tap, found, held);
        }
        if let Some(other) = found.keys().find(|name| !is_signature(name)) {
            let shown = Escaped::text(other);
            return Err(content(format!("a signature member of the .apk holds {shown}, which is no signature")));
        }
    }
    Err(PackageError::Limit { what: "the number of signatures", limit: MAX_SIGNATURES as u64 })
}

/// Reads one gzip member as a segment of small files.
fn read_segment(
    tap: &mut Tap<'_>,
    limits: &Limits,
    held: &mut Held,
) -> Result<BTreeMap<String, Vec<u8>>, PackageError> {
    let what = "the control member";
    let at_end = tap.fill_buf().map_err(|source| PackageError::Read { what: what.into(), source })?.is_empty();
    if at_end {
        return Err(content("the .apk ends before its control member".into()));
    }
    let mut tar = TarReader::new(GzDecoder::new(tap), limits.control_bytes, End::Optional);
    let found = members::read(&mut tar, what, limits, &mut held.control)?;
    match found.keys().find(|name| !name.starts_with('.')) {
        Some(other) => {
            let shown = Escaped::text(other);
            Err(content(format!("the control member of the .apk holds {shown}, which is no control file")))
        }
        None => Ok(found),
    }
}

fn open_data(
    mut tap: Tap<'_>,
    members: BTreeMap<String, Vec<u8>>,
    held: Held,
) -> Result<(Control, Data<'_>, Held), PackageError> {
    let Hash::Sha1(control) = std::mem::replace(&mut tap.hash, Hash::Sha256(sha2::Sha256::default())) else {
        return Err(content("the control member was not hashed".into()));
    };
    let identity = control.try_finalize();
    if identity.has_collision() {
        return Err(content("the control member carries an attack on SHA-1".into()));
    }
    let info = pkginfo::parse_package_info(members, (*identity.hash()).into())?;
    let data = Data { raw: MultiGzDecoder::new(tap), expected: info.data_hash };
    Ok((info.control, data, held))
}

/// The tar of the files, hashed while it is read.
pub(super) struct Data<'a> {
    raw: MultiGzDecoder<Tap<'a>>,
    expected: OciDigest,
}

impl Data<'_> {
    /// Compares the checksum of all that was read with the one that `.PKGINFO` states.
    pub(super) fn check(&self) -> Result<(), PackageError> {
        let Hash::Sha256(hasher) = &self.raw.get_ref().hash else {
            return Err(content("the data were not hashed".into()));
        };
        if OciDigest::from_hasher(hasher.clone()) == self.expected {
            return Ok(());
        }
        Err(content("the data do not have the checksum that .PKGINFO states (datahash)".into()))
    }
}

impl Read for Data<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.raw.read(buffer)
    }
}

/// Input whose consumed bytes are hashed: what a decoder has taken, not what was read ahead.
struct Tap<'a> {
    input: Input<'a>,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    hash: Hash,
}

enum Hash {
    Sha1(Box<sha1_checked::Sha1>),
    Sha256(sha2::Sha256),
}

impl<'a> Tap<'a> {
    fn new(input: Input<'a>) -> Self {
        let hash = Hash::Sha256(sha2::Sha256::default());
        Self { input, buffer: vec![0; BUFFER].into(), start: 0, end: 0, hash }
    }
}

impl BufRead for Tap<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.start == self.end {
            self.end = self.input.read(&mut self.buffer)?;
            self.start = 0;
        }
        Ok(&self.buffer[self.start..self.end])
    }

    fn consume(&mut self, amount: usize) {
        let taken = &self.buffer[self.start..(self.start + amount).min(self.end)];
        match &mut self.hash {
            Hash::Sha1(hasher) => hasher.update(taken),
            Hash::Sha256(hasher) => sha2::Digest::update(hasher, taken),
        }
        self.start += taken.len();
    }
}

impl Read for Tap<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.fill_buf()?;
        let read = bytes.len().min(buffer.len());
        buffer[..read].copy_from_slice(&bytes[..read]);
        self.consume(read);
        Ok(read)
    }
}

const fn content(sentence: String) -> PackageError {
    PackageError::Content(sentence)
}
