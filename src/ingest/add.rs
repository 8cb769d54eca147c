//! One thing on its way in: known and whole, or decoded once and pending in the session.
//!
//! **Bytes are decoded from what was hashed**: the file is opened once, copied into the stage and hashed on the way,
//! and only that copy is decoded. What comes out is compared with what was asked for, so a file that is replaced
//! between two looks is an error and never another package.

use std::fs::File;
use std::io::{BufReader, Seek as _, Write as _};
use std::path::Path;

use super::decode::{Decoded, Known, Package, Pass, Passed};
use super::hashing::{self, CopyError, Hashed, HashingWriter};
use super::input::{Input, InputKind, given_name};
use super::parallel;
use super::predict;
use super::seen::{Identity, Look};
use super::spool::Spool;
use super::{Added, IngestError, KeepSources, Options, Selection, directory, recall};
use dlstore_formats::layer::{self, Codec};
use dlstore_formats::package::reader::PackageReader;
use dlstore_formats::package::{Control, Format, Limits, PackageError, memory};
use dlstore_fsx::file;
use dlstore_model::digest::{OciDigest, PackageKey};
use dlstore_model::escape::Escaped;
use dlstore_model::name::PackageName;
use dlstore_model::package::Metadata;
use dlstore_model::path::TreePath;
use dlstore_model::tree::Tree;
use dlstore_store::session::Session;
use dlstore_store::{NewTree, ObjectRef, PackageRecord};

/// Bytes of a package file from which it is asked who it is before all of it is hashed: what is no package at all should
/// not take the time.
const HASHED_AT_ONCE: u64 = 64 << 20;

/// What whoever asks for a package knows of it already.
#[derive(Debug, Clone, Copy, Default)]
pub struct Expected<'e> {
    /// The SHA-256 that a definition pins.
    pub sha256: Option<OciDigest>,
    /// Who it was when it was chosen.
    pub identity: Option<&'e Identity>,
}

impl Expected<'_> {
    fn is_met_by(&self, record: &PackageRecord) -> bool {
        self.identity.is_none_or(|identity| *identity == Identity::from(record))
    }
}

/// Where the bytes of a source are while it is added.
struct Staged<'s> {
    path: &'s Path,
    sha256: OciDigest,
    size: u64,
}

/// Adds one thing.
///
/// # Errors
/// When it cannot be read, breaks a rule, or is not what was expected; then nothing of it is pending.
pub fn add(
    session: &Session<'_>,
    input: &Input,
    options: &Options<'_>,
    expected: &Expected<'_>,
) -> Result<Added, IngestError> {
    let added = match input.kind {
        InputKind::Package(format) => add_package(session, &input.path, format, options, expected)?,
        InputKind::Directory => add_directory(session, &input.path, options)?,
    };
    // A known package and one that was decoded just now are held against the same words.
    if !expected.is_met_by(&added.record) {
        return Err(IngestError::Changed(input.path.clone()));
    }
    tracing::debug!("done with {}", Escaped::path(&input.path));
    Ok(added)
}

fn add_package(
    session: &Session<'_>,
    path: &Path,
    format: Format,
    options: &Options<'_>,
    expected: &Expected<'_>,
) -> Result<Added, IngestError> {
    let failed = |source| IngestError::Read { path: path.to_owned(), source };
    let changed = || IngestError::Changed(path.to_owned());
    let mut file = super::open_package(path, &options.limits)?;
    let found = file.metadata().map_err(failed)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let given = given_name(format, &name);
    let is_wanted = |sha256: &OciDigest| expected.sha256.is_none_or(|wanted| wanted == *sha256);
    let look = Look::at(&found, path, format);
    if let Some(sha256) = look.source(session.store(), format)?.filter(is_wanted)
        && let Some(added) = known(session, &sha256, given, options)?
    {
        return Ok(added);
    }
    if found.len() > HASHED_AT_ONCE {
        super::identity_of(&file, path, format, options.limits)?;
        file.rewind().map_err(failed)?;
    }
    let ((sha256, size), hashed) = hashing::hash_to_keep(&mut file, found.len()).map_err(failed)?;
    if !is_wanted(&sha256) {
        return Err(changed());
    }
    if let Some(added) = known(session, &sha256, given, options)? {
        look.remember(session, &file, &Identity::from(&added.record), Some(sha256));
        return Ok(added);
    }
    tracing::debug!(size, "decoding {}", Escaped::path(path));
    // From here on only our own copy counts: what was hashed is what is decoded.
    let staged = session.stage_path()?;
    let mut copy = File::create_new(&staged)?;
    let copied = match hashed {
        Hashed::Whole(bytes) => copy.write_all(&bytes).map(|()| (sha256, size)).map_err(IngestError::Stage),
        Hashed::Again => {
            file.rewind().map_err(failed)?;
            hashing::copy(&mut file, &mut copy).map_err(|error| match error {
                CopyError::Read(error) => failed(error),
                CopyError::Write(error) => IngestError::Stage(error),
            })
        }
    };
    drop(copy);
    let result = copied.and_then(|copied| {
        let staged = Staged { path: &staged, sha256, size };
        if copied == (sha256, size) { decode_staged(session, &staged, format, &name, options) } else { Err(changed()) }
    });
    if result.is_err() || options.keep_sources == KeepSources::No {
        let _ = file::unlink(&staged);
    }
    if let Ok(added) = &result {
        look.remember(session, &file, &Identity::from(&added.record), Some(sha256));
    }
    result
}

/// Adds a directory: it is written down as its canonical tar, and that is what is decoded. So it gives what the
/// same files in a tar would give.
fn add_directory(session: &Session<'_>, path: &Path, options: &Options<'_>) -> Result<Added, IngestError> {
    let metadata = directory_metadata_of(path)?;
    let directory = directory::read_directory(path, &options.limits)?;
    let staged = session.stage_path()?;
    let mut tar = HashingWriter::new(File::create_new(&staged)?);
    layer::write_tar(&directory.tree, &directory.files, &mut tar)?;
    // It is decoded from its tar: a large one is not there twice.
    drop(directory);
    let (sha256, size) = tar.finish();
    if let Some(added) = known(session, &sha256, &metadata.name, options)? {
        let _ = file::unlink(&staged);
        return Ok(added);
    }
    let name = format!("{}.tar", &*metadata.name);
    let result = decode_staged(session, &Staged { path: &staged, sha256, size }, Format::Tar, &name, options);
    if result.is_err() || options.keep_sources == KeepSources::No {
        let _ = file::unlink(&staged);
    }
    result
}

/// Gives what is known of a directory: its own name, version `0`, any architecture.
///
/// # Errors
/// When its name is not a package name.
pub fn directory_metadata_of(path: &Path) -> Result<Metadata, IngestError> {
    let whole = path.canonicalize().map_err(|source| IngestError::Read { path: path.to_owned(), source })?;
    let name = whole.file_name().unwrap_or_default().to_string_lossy();
    let name = PackageName::new(Format::Tar, &name).map_err(|_| {
        let shown = Escaped::text(&name);
        PackageError::Content(format!(
            "the directory's name {shown} is not a package name (letters, digits and + - . _)"
        ))
    })?;
    Ok(Metadata::of_tar(name))
}

/// Finds a known package of which nothing is lost: adding is what heals the others.
fn known(
    session: &Session<'_>,
    source: &OciDigest,
    given: &str,
    options: &Options<'_>,
) -> Result<Option<Added>, IngestError> {
    let key = PackageKey::new(source, dlstore_store::decoder(), given);
    let Some(record) = session.package(&key)? else { return Ok(None) };
    let is_kept = options.keep_sources == KeepSources::No || session.open_source(source)?.is_some();
    if !is_kept || session.tree(&record.tree)?.is_none() {
        return Ok(None);
    }
    if !recall::is_complete(session, &record)? {
        return Ok(None);
    }
    let Some(control) = recall::control(session, &record)? else { return Ok(None) };
    // The prediction that goes with it, when its pack is here: an older root may lack it.
    let landed = predict::key(&control.metadata, &key, &(options.selection)(&control.metadata), options.codec);
    let landed = session.action(&landed)?.is_some().then_some(landed);
    Ok(Some(Added { record, was_known: true, packed: None, landed, notes: Vec::new() }))
}

fn decode_staged(
    session: &Session<'_>,
    staged: &Staged<'_>,
    format: Format,
    name: &str,
    options: &Options<'_>,
) -> Result<Added, IngestError> {
    let limits = Limits { source_size: Some(staged.size), ..options.limits };
    let open = || -> Result<PackageReader<'_>, IngestError> {
        let file = File::open(staged.path).map_err(IngestError::Stage)?;
        let input = Box::new(BufReader::with_capacity(256 << 10, file));
        Ok(PackageReader::open(format, name, input, limits)?)
    };
    let mut reader = Some(open()?);
    let metadata = &reader.as_ref().expect("it was opened just now").control().metadata;
    let (selection, merged) = ((options.selection)(metadata), predict::usual(metadata));
    let mut spool = spool(session)?;
    if options.codec == Codec::Gzip {
        spool = spool.packing_ahead(merged);
    }
    let wanted = |path: &TreePath| (selection.keeps)(path);
    let mut known = Known::default();
    loop {
        let opened = reader.take().map_or_else(&open, Ok)?;
        let pass = Pass::begin(opened, known, &wanted, &mut spool)?;
        let is_large = pass.is_large();
        let rest = || {
            Ok(match pass.end(&wanted, &mut spool)? {
                Passed::Again(asked) => Err(asked),
                Passed::Whole(package) => {
                    let Package { control, decoded, held } = *package;
                    // While it waits, a thread of the pool may begin another package, so it must not hold memory
                    // that one waits for.
                    let _held = rayon::current_thread_index().is_none().then_some(held);
                    Ok(register(session, &control, staged, decoded, &selection, &spool, options)?)
                }
            })
        };
        let outcome: Result<Result<Added, Known>, IngestError> =
            if is_large && rayon::current_thread_index().is_none() { parallel::one_by_one(rest) } else { rest() };
        match outcome? {
            Ok(added) => return Ok(added),
            Err(asked) => known = asked,
        }
    }
}

/// Makes tree, facts, package and predicted pack of what was decoded, all pending in the session.
fn register(
    session: &Session<'_>,
    control: &Control,
    staged: &Staged<'_>,
    mut decoded: Decoded,
    selection: &Selection,
    spool: &Spool,
    options: &Options<'_>,
) -> Result<Added, IngestError> {
    let metadata = &control.metadata;
    let key = PackageKey::new(&staged.sha256, dlstore_store::decoder(), given_of(metadata));
    let tree = Written::of(&decoded.tree);
    let whole = std::mem::take(&mut decoded.tree);
    let prediction = predict::predict(metadata, &key, whole, selection, options.codec)?;
    // A thread of the pool waits for no memory: it may hold some of it already.
    let share = rayon::current_thread_index().is_none().then(|| memory::pack(prediction.tree.content_size()));
    let packed = predict::keep(session, &prediction, spool, options.codec)?;
    drop(share);
    let notes = decoded.notes.clone();
    let kept = (options.keep_sources == KeepSources::Yes).then(|| staged.path.to_owned());
    let record = pend_written(session, control, (staged.sha256, staged.size), &decoded, tree, kept);
    session.make_room()?;
    Ok(Added { record, was_known: false, packed, landed: Some(prediction.key), notes })
}

/// Makes tree, facts and package pending; gives the record.
pub(super) fn pend(
    session: &Session<'_>,
    control: &Control,
    (source, source_size): (OciDigest, u64),
    decoded: &Decoded,
    staged: Option<std::path::PathBuf>,
) -> PackageRecord {
    pend_written(session, control, (source, source_size), decoded, Written::of(&decoded.tree), staged)
}

/// What is kept of a tree that was used up.
struct Written {
    row: NewTree,
    entries: u64,
    content_size: u64,
    date: u64,
}

impl Written {
    fn of(tree: &Tree) -> Self {
        let (content_size, date) = (tree.content_size(), tree.date());
        Self { row: NewTree::new(tree), entries: tree.len() as u64, content_size, date }
    }
}

fn pend_written(
    session: &Session<'_>,
    control: &Control,
    (source, source_size): (OciDigest, u64),
    decoded: &Decoded,
    tree: Written,
    staged: Option<std::path::PathBuf>,
) -> PackageRecord {
    let metadata = &control.metadata;
    let sonames = recall::sonames(&decoded.elf);
    let facts = recall::keep(session, control, decoded);
    let record = PackageRecord {
        source,
        source_size,
        decoder: dlstore_store::decoder(),
        given: given_of(metadata).to_owned(),
        tree: session.add_tree_row(tree.row),
        facts,
        format: metadata.format,
        name: metadata.name.to_string(),
        version: metadata.version.to_string(),
        architecture: metadata.architecture.to_string(),
        entries: tree.entries,
        content_size: tree.content_size,
        date: tree.date,
    };
    session.add_package(record.clone(), sonames, staged);
    record
}

/// Gives the name of a package that says nothing of itself.
fn given_of(metadata: &Metadata) -> &str {
    if metadata.format == Format::Tar { &metadata.name } else { "" }
}

/// Makes a spool in the stage of the session.
pub(super) fn spool(session: &Session<'_>) -> Result<Spool, IngestError> {
    let path = session.stage_path()?;
    Ok(Spool::new(move || Ok(path.clone())))
}

/// Says what a package that is decoded again may be: what was let in once is let in again.
pub(super) fn limits_again() -> Limits {
    Limits { max_size: Some(u64::MAX), ..Limits::default() }
}

/// Gives the root that keeps a record, when the store has one of that name.
pub(super) fn rooted(session: &Session<'_>, record: &PackageRecord) -> Result<Option<Vec<ObjectRef>>, IngestError> {
    Ok(session.store().root_target(&super::root_name(record))?)
}
