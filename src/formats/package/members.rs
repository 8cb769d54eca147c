//! The members of a control archive: small files at its root, held in memory.
//!
//! Nothing of it is installed or run. Names are single components and occur once, the sum of their
//! lengths is bounded by the limits of the reader.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::Read;

use super::memory::{self, Share};
use super::{ControlPart, Limits, PackageError};
use crate::archive::tar::{MemberKind, TarReader};
use dlstore_model::escape::Escaped;
use dlstore_model::path::TreePath;

/// Most files of a control archive; real ones have about a dozen, those with translations a hundred.
const MAX_MEMBERS: usize = 10_000;

/// Reads a control archive whole, by file name. The reader's own limit bounds what is read, and what
/// hard links copy counts like it. A large archive waits for its `turn`, unless it has it already.
pub(super) fn read<R: Read>(
    tar: &mut TarReader<R>,
    archive: &str,
    limits: &Limits,
    turn: &mut Option<Share>,
) -> Result<BTreeMap<String, Vec<u8>>, PackageError> {
    let wrap = |error| PackageError::archive(archive, error);
    let mut found: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut held = 0_u64;
    let mut hold = |bytes: u64| {
        held = held.saturating_add(bytes);
        if held > limits.control_bytes {
            let what = "the length of all control files";
            return Err(PackageError::Limit { what, limit: limits.control_bytes });
        }
        if held > memory::SMALL_CONTROL && turn.is_none() {
            *turn = Some(memory::control_turn());
        }
        Ok(())
    };
    while let Some(member) = tar.next_member().map_err(wrap)? {
        let refused =
            |why: &str| PackageError::Content(format!("{archive} holds {}, {why}", Escaped::bytes(&member.path)));
        let Some(name) = file_name(&member.path, archive)? else { continue };
        let is_kept = limits.control == ControlPart::Whole || matches!(name.as_str(), "control" | ".PKGINFO");
        let body = match &member.kind {
            MemberKind::File | MemberKind::HardLink(_) if !is_kept => Vec::new(),
            MemberKind::File => {
                hold(member.size)?;
                let mut body = Vec::with_capacity(usize::try_from(member.size).unwrap_or_default());
                tar.drain(|bytes| body.extend_from_slice(bytes)).map_err(wrap)?;
                body
            }
            // Two scripts that are one file: tar makes the second a link.
            MemberKind::HardLink(target) => {
                let body = file_name(target, archive)?.and_then(|target| found.get(&target));
                let body = body.ok_or_else(|| refused("which links to nothing before it"))?;
                hold(body.len() as u64)?;
                body.clone()
            }
            _ => return Err(refused("which is not a file")),
        };
        if found.len() >= limits.entries.min(MAX_MEMBERS) {
            let limit = limits.entries.min(MAX_MEMBERS) as u64;
            return Err(PackageError::Limit { what: "the number of control files", limit });
        }
        match found.entry(name) {
            Entry::Vacant(place) => place.insert(body),
            Entry::Occupied(_) => return Err(refused("twice")),
        };
    }
    Ok(found)
}

/// Gives the name of a file at the root, and `None` for the root itself.
fn file_name(path: &[u8], archive: &str) -> Result<Option<String>, PackageError> {
    let wrap = |why: String| PackageError::Content(format!("{archive}: {why}"));
    let Some(path) = TreePath::from_archive(path).map_err(|error| wrap(error.to_string()))? else {
        return Ok(None);
    };
    match std::str::from_utf8(path.as_bytes()) {
        Ok(name) if !name.contains('/') => Ok(Some(name.to_owned())),
        _ => Err(wrap(format!("{path} is not a file name"))),
    }
}
