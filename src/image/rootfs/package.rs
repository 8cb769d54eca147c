//! The part of a package: what is selected of it, where it lands, and what is known of it.
//!
//! What it becomes under a selection is looked up, or made of the whole tree for who comes next too; facts come from
//! the store, where they were written when the package was added. Its bytes are not looked at. What is lost is made
//! again from the kept source, now.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::RootfsError;
use super::part::{Bytes, Origin, PackageView, Part, Reach};
use super::selection::OwnWords;
use crate::definition::Level;
use dlstore_formats::layer::Codec;
use dlstore_formats::package::Format;
use dlstore_ingest::facts::Texts;
use dlstore_ingest::landed::{self, Claim, Landed};
use dlstore_ingest::recall::{self, Facts};
use dlstore_ingest::repair::Lost;
use dlstore_ingest::select::matter::Matter;
use dlstore_ingest::select::merged_usr::MergedUsr;
use dlstore_ingest::{Keeps, Selection};
use dlstore_model::path::TreePath;
use dlstore_model::tree::Tree;
use dlstore_store::session::Session;
use dlstore_store::{PackageRecord, StoreError};

/// Recalls something of a package that `find` gives; what is lost of it is made again from its source, now.
fn recall<T>(
    session: &Session<'_>,
    record: &PackageRecord,
    find: impl Fn() -> Result<Option<T>, RootfsError>,
) -> Result<T, RootfsError> {
    if let Some(found) = find()? {
        return Ok(found);
    }
    if dlstore_ingest::remake(session, &Lost::record(record))? != *record {
        // Its key says that it must be the same.
        return Err(StoreError::Damaged(record.object()).into());
    }
    find()?.ok_or_else(|| RootfsError::Gone(record.name.clone()))
}

/// Gives the whole tree of a package, before anything is selected.
///
/// # Errors
/// When its source is gone too.
pub(crate) fn whole(session: &Session<'_>, record: &PackageRecord) -> Result<Arc<Tree>, RootfsError> {
    recall(session, record, || Ok(session.tree(&record.tree)?))
}

/// Finds what a package becomes under a selection, or makes it of the whole package, for who comes next too.
fn landed(
    session: &Session<'_>,
    record: &PackageRecord,
    merged: &MergedUsr,
    selection: &Selection,
    codec: Codec,
) -> Result<Landed, RootfsError> {
    let key = landed::key(&record.key(), selection, merged, codec);
    if let Some(landed) = landed::find(session, &key)? {
        return Ok(landed);
    }
    let whole = whole(session, record)?;
    if whole.len() > LARGE || !session.store().is_writable() {
        // A large tree is nobody else's, and is used up.
        let whole = Arc::try_unwrap(whole).unwrap_or_else(|shared| (*shared).clone());
        return Ok(landed::land_here(whole, selection, merged)?);
    }
    let (remembered, tree) = landed::land((*whole).clone(), selection, merged)?;
    session.add_tree(&Arc::new(tree));
    remembered.keep(session, key);
    match landed::find(session, &key)? {
        Some(landed) => Ok(landed),
        None => Ok(landed::land_here((*whole).clone(), selection, merged)?),
    }
}

/// Entries from which what a package becomes is not remembered on the way: its tree is there once, as it is planned.
const LARGE: usize = 20_000;

/// Makes the part of a package that level `at` wants. What that level leaves out in words of its own says nothing.
///
/// # Errors
/// When what is known of it is gone, or what is selected is no tree.
pub(crate) fn part(
    session: &Session<'_>,
    record: &PackageRecord,
    (at, level): (usize, &Level),
    merged: &MergedUsr,
    selection: &Selection,
    codec: Codec,
) -> Result<Part, RootfsError> {
    let Landed { layer_tree, entries, implied, mut aside } = landed(session, record, merged, selection, codec)?;
    let facts = || Ok(recall::facts(session, record)?);
    let Facts { control, elf, mut texts, starts, sha1s, .. } = recall(session, record, facts)?;
    silence(level, &mut texts, &mut aside.claims);
    let package = &control.metadata;
    let data_only = package.architecture.is_independent() || package.format == Format::Apk && elf.is_empty();
    let land = |path: TreePath| merged.resolve_name(&path);
    // What is known of a file by a name that was not selected holds for the name that took its place.
    let name = |path: TreePath| land(aside.moved.get(&path).cloned().unwrap_or(path));
    Ok(Part {
        origin: Origin::Package {
            format: package.format.name(),
            name: package.name.to_string(),
            version: package.version.to_string(),
            architecture: package.architecture.to_string(),
        },
        origins: BTreeMap::new(),
        level: at,
        reach: if data_only { Reach::All } else { Reach::One },
        content_size: entries.iter().map(|(_, entry)| entry.content_size()).sum(),
        entries,
        alone: layer_tree.map(|digest| (digest, implied)),
        key_lines: None,
        elf: elf.into_iter().map(|(path, elf)| (name(path), elf)).collect(),
        starts: starts.into_iter().map(|(path, start)| (name(path), start)).collect(),
        bytes: Bytes::Source(Box::new(record.clone()), Keeps::clone(&selection.keeps)),
        package: Some(PackageView {
            record: record.clone(),
            control,
            texts: texts.into_iter().map(|(path, text)| (land(path), text)).collect(),
            sha1s: sha1s.into_iter().map(|(path, sum)| (land(path), sum)).collect(),
            claims: aside.claims,
            unmatched: aside.unmatched,
        }),
    })
}

/// Takes out what a level leaves out in words of its own: of texts, and of claims to what is not the package's to say.
fn silence(level: &Level, texts: &mut Texts, claims: &mut Vec<Claim>) {
    if texts.is_empty() && claims.is_empty() {
        return;
    }
    let words = OwnWords::of(level);
    let matters: HashMap<TreePath, Matter> = claims.iter().map(|claim| (claim.path.clone(), claim.matter)).collect();
    texts.retain(|path, _| !words.silence(path, matters.get(path).copied()));
    claims.retain(|claim| !words.silence(&claim.path, Some(claim.matter)));
}
