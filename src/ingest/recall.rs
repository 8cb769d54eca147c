//! Facts of a package, kept and recalled: complete, or a miss.
//!
//! `keep` writes a fact of every kind. What is recalled is all of them or `None`: a fact that the record lists
//! and that is not here, or bad, or of a kind that this program does not know, is never taken for "there is none".

use std::sync::Arc;

use super::IngestError;
use super::decode::Decoded;
use super::facts::{self, KINDS, Members, Sha1s, Texts};
use super::start::{self, Starts};
use dlstore_formats::elf::{self, Elf};
use dlstore_formats::package::Control;
use dlstore_model::path::TreePath;
use dlstore_store::session::Session;
use dlstore_store::{FactRef, FactsOf, PackageRecord, Stated};

/// What composing needs to know of a package's content.
pub struct Facts {
    /// What the package says of itself, with the members that composing reads.
    pub control: Control,
    /// Its ELF files in path order.
    pub elf: Vec<(TreePath, Elf)>,
    /// Its texts that fix-ups read.
    pub texts: Texts,
    /// How its scripts begin, and the ELF files that were not read.
    pub starts: Starts,
    /// The SHA-1 of its files, as an apk states them.
    pub sha1s: Sha1s,
    /// What was not understood or left out.
    pub notes: Vec<String>,
}

/// Makes the facts of a package pending; gives them as its record lists them.
pub(super) fn keep(session: &Session<'_>, control: &Control, decoded: &Decoded) -> Vec<FactRef> {
    KINDS
        .iter()
        .map(|kind| {
            let data = match *kind {
                facts::CONTROL => facts::encode_control(control, Members::ForComposing),
                facts::MEMBERS => facts::encode_control(control, Members::Others),
                facts::ELF => elf::encode_facts(&decoded.elf),
                facts::TEXTS => facts::encode_texts(&decoded.texts),
                facts::STARTS => start::encode_starts(&decoded.starts),
                facts::SHA1 => facts::encode_sha1s(&decoded.sha1s),
                _ => facts::encode_notes(&decoded.notes),
            };
            FactRef { kind: (*kind).to_owned(), digest: session.add_fact(data) }
        })
        .collect()
}

/// Says whether a record lists exactly the kinds that this program knows, and all of them are here and good.
///
/// # Errors
/// When the store cannot be read.
pub fn is_complete(session: &Session<'_>, record: &PackageRecord) -> Result<bool, IngestError> {
    if !record.facts.iter().map(|fact| fact.kind.as_str()).eq(KINDS) {
        return Ok(false);
    }
    for fact in &record.facts {
        if session.fact(&fact.digest)?.is_none() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Recalls what a package says of itself; `None` when that is lost.
///
/// # Errors
/// When the store cannot be read.
pub fn control(session: &Session<'_>, record: &PackageRecord) -> Result<Option<Control>, IngestError> {
    Ok(fact(session, record, facts::CONTROL)?.and_then(|data| facts::decode_control(&data).ok()))
}

/// Recalls what composing needs of a package; `None` when any of it is lost.
///
/// # Errors
/// When the store cannot be read.
pub fn facts(session: &Session<'_>, record: &PackageRecord) -> Result<Option<Facts>, IngestError> {
    if !record.facts.iter().map(|fact| fact.kind.as_str()).eq(KINDS) {
        return Ok(None);
    }
    let (Some(control), Some(elf), Some(texts), Some(starts), Some(sha1s), Some(notes)) = (
        fact(session, record, facts::CONTROL)?,
        fact(session, record, facts::ELF)?,
        fact(session, record, facts::TEXTS)?,
        fact(session, record, facts::STARTS)?,
        fact(session, record, facts::SHA1)?,
        fact(session, record, facts::NOTES)?,
    ) else {
        return Ok(None);
    };
    let decoded = (|| {
        Some(Facts {
            control: facts::decode_control(&control).ok()?,
            elf: elf::decode_facts(&elf).ok()?,
            texts: facts::decode_texts(&texts).ok()?,
            starts: start::decode_starts(&starts).ok()?,
            sha1s: facts::decode_sha1s(&sha1s).ok()?,
            notes: facts::decode_notes(&notes).ok()?,
        })
    })();
    Ok(decoded)
}

/// Gives what the facts of a package say of it, for whoever compares that with its row; `None` when they cannot be
/// read.
#[must_use]
pub fn stated(fact: FactsOf<'_>) -> Option<Stated> {
    let control = facts::decode_control(&fact(facts::CONTROL)?).ok()?;
    let elf = elf::decode_facts(&fact(facts::ELF)?).ok()?;
    facts::decode_texts(&fact(facts::TEXTS)?).ok()?;
    start::decode_starts(&fact(facts::STARTS)?).ok()?;
    facts::decode_sha1s(&fact(facts::SHA1)?).ok()?;
    facts::decode_notes(&fact(facts::NOTES)?).ok()?;
    let metadata = &control.metadata;
    Some(Stated {
        name: metadata.name.to_string(),
        version: metadata.version.to_string(),
        architecture: metadata.architecture.to_string(),
        sonames: sonames(&elf),
    })
}

/// Gives the names under which a loader may ask for a file of the package.
pub(super) fn sonames(elf: &[(TreePath, Elf)]) -> Vec<Vec<u8>> {
    let is_library = |name: &&[u8]| name.windows(3).any(|part| part == b".so");
    let names = elf.iter().flat_map(|(path, elf)| {
        let name = Some(path.name()).filter(is_library).map(<[u8]>::to_vec);
        elf.soname.clone().into_iter().chain(name)
    });
    names.collect::<std::collections::BTreeSet<_>>().into_iter().collect()
}

fn fact(session: &Session<'_>, record: &PackageRecord, kind: &str) -> Result<Option<Arc<Vec<u8>>>, IngestError> {
    match record.fact(kind) {
        Some(digest) => Ok(session.fact(&digest)?),
        None => Ok(None),
    }
}
