//! The part of a package: what is selected of it, where it lands, and what is known of it.
//!
//! Tree and facts come from the store, where they were written when the package was added; its bytes are not looked
//! at. What is lost of them is made again from the kept source, now. What is known of a file by a name that was not
//! selected holds for the name that took its place.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::RootfsError;
use super::owned;
use super::part::{Bytes, Origin, PackageView, Part, Reach};
use crate::definition::Level;
use dlstore_formats::package::Format;
use dlstore_ingest::recall::{self, Facts};
use dlstore_ingest::repair::Lost;
use dlstore_ingest::select::layer_tree::resolve_owned;
use dlstore_ingest::select::merged_usr::MergedUsr;
use dlstore_ingest::select::{moved_files, select, select_owned};
use dlstore_ingest::{IngestError, Keeps};
use dlstore_model::glob::{Pattern, Unmatched};
use dlstore_model::path::TreePath;
use dlstore_model::tree::{Node, Tree};
use dlstore_store::session::Session;
use dlstore_store::{PackageRecord, StoreError};

/// Recalls tree and facts of a package; what is lost of them is made again from its source, now.
///
/// # Errors
/// When the source is gone too.
pub(crate) fn recall(session: &Session<'_>, record: &PackageRecord) -> Result<(Facts, Arc<Tree>), RootfsError> {
    if let (Some(facts), Some(tree)) = (recall::facts(session, record)?, session.tree(&record.tree)?) {
        return Ok((facts, tree));
    }
    let gone = || RootfsError::Gone(record.name.clone());
    if dlstore_ingest::remake(session, &Lost::record(record))? != *record {
        // Its key says that it must be the same.
        return Err(StoreError::Damaged(record.object()).into());
    }
    let facts = recall::facts(session, record)?.ok_or_else(gone)?;
    Ok((facts, session.tree(&record.tree)?.ok_or_else(gone)?))
}

/// Makes the part of a package that level `at` wants.
///
/// # Errors
/// When what is known of it is gone, or what is selected is no tree.
pub(crate) fn part(
    session: &Session<'_>,
    record: &PackageRecord,
    keeps: &Keeps,
    (at, level): (usize, &Level),
    merged: &MergedUsr,
) -> Result<Part, RootfsError> {
    let (Facts { control, elf, texts, starts, sha1s, .. }, whole) = recall(session, record)?;
    let package = &control.metadata;
    let data_only = package.architecture.is_independent() || package.format == Format::Apk && elf.is_empty();
    let land = |path: TreePath| merged.resolve_name(&path);
    let claims =
        whole.iter().filter_map(|(path, entry)| Some((path.clone(), owned::matter(&land(path.clone()), entry)?)));
    let claims = claims.collect();
    let metas = texts.keys().filter_map(|path| Some((merged.resolve_name(path), whole.get(path)?.meta))).collect();
    let selects = |path: &TreePath| keeps(path);
    let unmatched = unmatched(level, &whole);
    let (tree, moved) = if whole.iter().any(|(_, entry)| matches!(entry.node, Node::HardLink { .. })) {
        let tree = select(&whole, &selects).map_err(IngestError::Tree)?;
        let moved = moved_files(&whole, &tree);
        drop(whole);
        (tree, moved)
    } else {
        // A large tree is nobody else's, and is used up.
        let whole = Arc::try_unwrap(whole).unwrap_or_else(|shared| (*shared).clone());
        (select_owned(whole, &selects).map_err(IngestError::Tree)?, BTreeMap::new())
    };
    let name = |path: TreePath| land(moved.get(&path).cloned().unwrap_or(path));
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
        content_size: tree.content_size(),
        entries: resolve_owned(tree, merged).map_err(IngestError::Tree)?,
        elf: elf.into_iter().map(|(path, elf)| (name(path), elf)).collect(),
        starts: starts.into_iter().map(|(path, start)| (name(path), start)).collect(),
        bytes: Bytes::Source(Box::new(record.clone()), Keeps::clone(keeps)),
        package: Some(PackageView {
            record: record.clone(),
            control,
            texts: texts.into_iter().map(|(path, text)| (land(path), text)).collect(),
            metas,
            sha1s: sha1s.into_iter().map(|(path, sum)| (land(path), sum)).collect(),
            claims,
            unmatched,
        }),
    })
}

/// Gives the numbers of a level's patterns that match nothing in one of its packages.
fn unmatched(level: &Level, tree: &Tree) -> BTreeSet<usize> {
    if !level.is_own() {
        return BTreeSet::new();
    }
    let patterns = level.patterns().enumerate().filter_map(|(at, (_, text))| Some((at, Pattern::new(text).ok()?)));
    let mut unmatched = Unmatched::new(patterns);
    for (path, _) in tree {
        unmatched.meet(path, |_| {});
    }
    unmatched.left()
}
