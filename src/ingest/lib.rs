//! Adding: a package file or a folder becomes a tree, facts, a kept source and a predicted pack.
//!
//! ```text
//! file ── SHA-256 ── known? ──────────────────────────────────────────► nothing to do
//!                      │ no
//!                      ▼
//!        copy into the stage (the kept source), hashed again
//!                      ▼
//!        one pass: tree, facts, wanted content into the spool
//!                      ▼
//!        selection ► usr-merge ► layer tree ► pack              ► all of it pending in the session
//! ```
//!
//! The pack is a prediction: the layer tree that the default selection gives under the usual root.
//! Images nearly always ask for just that one. What a package does wrong fails that package alone.

pub mod decode;
pub mod facts;
pub mod findings;
pub mod folder;
#[doc(hidden)]
pub mod fuzzing;
pub mod input;
pub mod parallel;
pub mod select;
pub mod spool;

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::Digest as _;

use crate::decode::{Decoded, Package};
use crate::input::{Input, InputKind};
use crate::select::layer_tree::{layer_tree, resolve_owned};
use crate::select::merged_usr::MergedUsr;
use crate::select::select;
use crate::spool::Spool;
use dlstore_formats::elf;
use dlstore_formats::layer::{self, Codec, Contents, LayerError, PackInfo};
use dlstore_formats::package::reader::PackageReader;
use dlstore_formats::package::{Control, ControlPart, Format, Limits, PackageError, memory};
use dlstore_fsx::FsError;
use dlstore_fsx::file;
use dlstore_fsx::input::{InputError, open_regular};
use dlstore_model::arch::Arch;
use dlstore_model::digest::OciDigest;
use dlstore_model::escape::Escaped;
use dlstore_model::path::TreePath;
use dlstore_model::tree::{Tree, TreeError};
use dlstore_store::session::Session;
use dlstore_store::{ObjectRef, PackageRecord, StoreError};

/// Tells why something could not be added.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// A file or folder of the host cannot be read.
    #[error("cannot read {path}", path = Escaped::path(path))]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A name that stands for no format.
    #[error("{} is not a .deb, .apk, .tar[.gz|.xz|.zst|.bz2] or a folder", Escaped::path(.0))]
    Unknown(PathBuf),
    /// A socket, device or pipe of the host.
    #[error("{} is neither a file, a folder nor a symbolic link", Escaped::path(.0))]
    Special(PathBuf),
    /// What a person named is something else than a file, or too long.
    #[error(transparent)]
    Input(InputError),
    /// A file that changed between two readings.
    #[error("{} changed while it was read", Escaped::path(.0))]
    Changed(PathBuf),
    /// The package itself is wrong.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// Its entries do not make a tree.
    #[error(transparent)]
    Tree(TreeError),
    /// The stage of the store cannot be written.
    #[error("cannot write into the store's stage")]
    Stage(#[source] io::Error),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The pack could not be made.
    #[error(transparent)]
    Layer(#[from] LayerError),
}

impl From<io::Error> for IngestError {
    fn from(source: io::Error) -> Self {
        Self::Stage(source)
    }
}

impl From<InputError> for IngestError {
    fn from(error: InputError) -> Self {
        match error {
            InputError::Fs(FsError { path, source, .. }) => Self::Read { path, source },
            other => Self::Input(other),
        }
    }
}

/// Says of a path whether an image keeps it.
pub type Keeps = Arc<dyn Fn(&TreePath) -> bool + Send + Sync>;

/// How packages are added.
pub struct Options<'a> {
    /// The selection that a package's pack is predicted with.
    pub selection: &'a (dyn Fn(&Control) -> Keeps + Sync),
    /// The codec of the predicted pack.
    pub codec: Codec,
    /// Says whether sources are kept.
    pub keep_sources: KeepSources,
    /// Bounds on what is read.
    pub limits: Limits,
}

/// Whether the package files themselves stay in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeepSources {
    /// They stay: other selections, repair and provenance need no mirror.
    Yes,
    /// They do not.
    No,
}

/// What became of one thing that was to be added.
#[derive(Debug, Clone)]
pub struct Added {
    /// The package as the index knows it.
    pub record: PackageRecord,
    /// Says whether it was there before.
    pub was_known: bool,
    /// Bytes of the predicted pack, when one was made.
    pub packed: Option<u64>,
    /// Key of the predicted pack, when one was made.
    pub pack: Option<dlstore_model::digest::ActionKey>,
    /// What was left out, for people.
    pub notes: Vec<String>,
}

/// Adds many things in parallel, the largest first; results come in the order of `inputs`.
pub fn add_all(
    session: &Session<'_>,
    inputs: &[Input],
    options: &Options<'_>,
    finished: &(dyn Fn(&Input, &Result<Added, IngestError>) + Sync),
) -> Vec<Result<Added, IngestError>> {
    let mut order: Vec<usize> = (0..inputs.len()).collect();
    order.sort_by_key(|at| std::cmp::Reverse(inputs[*at].size));
    let mut results: Vec<(usize, Result<Added, IngestError>)> = parallel::map(&order, |at| {
        let result = add(session, &inputs[*at], options);
        finished(&inputs[*at], &result);
        (*at, result)
    });
    results.sort_by_key(|(at, _)| *at);
    results.into_iter().map(|(_, result)| result).collect()
}

/// Adds one thing.
///
/// # Errors
/// When it cannot be read or breaks a rule; then nothing of it is pending.
pub fn add(session: &Session<'_>, input: &Input, options: &Options<'_>) -> Result<Added, IngestError> {
    match input.kind {
        InputKind::Package(format) => add_package(session, &input.path, format, options),
        InputKind::Folder => add_folder(session, &input.path, options),
    }
}

/// Gives the root name that keeps a package that was added by name.
#[must_use]
pub fn root_name(record: &PackageRecord) -> String {
    format!("package/{}/{}/{}/{}", record.format.name(), record.name, record.version, record.architecture)
}

fn add_package(
    session: &Session<'_>,
    path: &Path,
    format: Format,
    options: &Options<'_>,
) -> Result<Added, IngestError> {
    let failed = |source| IngestError::Read { path: path.to_owned(), source };
    let mut file = open_regular(path)?;
    let (source, size) = hash(&mut file, &mut io::sink()).map_err(failed)?;
    if let Some(record) = whole(session, &source, options)? {
        return Ok(Added { record, was_known: true, packed: None, pack: None, notes: Vec::new() });
    }
    // From here on only our own copy counts: what was hashed is what is decoded.
    let staged = session.stage_path()?;
    let mut copy = File::create_new(&staged)?;
    io::Seek::rewind(&mut file).map_err(failed)?;
    if hash(&mut file, &mut copy).map_err(failed)? != (source, size) {
        return Err(IngestError::Changed(path.to_owned()));
    }
    drop(copy);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let limits = Limits { source_size: Some(size), ..options.limits };
    let open = || -> Result<PackageReader<'_>, IngestError> {
        let file = File::open(&staged).map_err(IngestError::Stage)?;
        let input = Box::new(BufReader::with_capacity(256 << 10, file));
        Ok(PackageReader::open(format, &name, input, limits)?)
    };
    let result = open().and_then(|reader| {
        let keeps = (options.selection)(reader.control());
        let mut spool = spool(session)?;
        let Package { control, decoded, held } = decode::decode(reader, &open, &|path| keeps(path), &mut spool)?;
        // A thread of the pool begins with other packages while it waits: it must not hold what they wait for.
        let _held = rayon::current_thread_index().is_none().then_some(held);
        register(session, &control, (source, size), decoded, &keeps, &spool, &staged, options)
    });
    if result.is_err() || options.keep_sources == KeepSources::No {
        let _ = file::unlink(&staged);
    }
    result
}

/// Finds a known package of which nothing is lost: adding is what heals the others.
fn whole(
    session: &Session<'_>,
    source: &OciDigest,
    options: &Options<'_>,
) -> Result<Option<PackageRecord>, IngestError> {
    let Some(record) = session.package_by_source(source)? else { return Ok(None) };
    let is_kept = options.keep_sources == KeepSources::No || session.open_source(source)?.is_some();
    Ok((is_kept && session.tree(&record.tree)?.is_some()).then_some(record))
}

fn add_folder(session: &Session<'_>, path: &Path, options: &Options<'_>) -> Result<Added, IngestError> {
    let folder = folder::read_folder(path)?;
    let control = folder_control_of(path)?;
    let staged = session.stage_path()?;
    let mut tar = Hashing::new(File::create_new(&staged)?);
    layer::write_tar(&folder.tree, &folder.files, &mut tar)?;
    let (source, size) = tar.finish();
    if let Some(record) = whole(session, &source, options)? {
        let _ = file::unlink(&staged);
        return Ok(Added { record, was_known: true, packed: None, pack: None, notes: Vec::new() });
    }
    let keeps = (options.selection)(&control);
    let folder::HostFolder { tree, files, elf, texts, notes } = folder;
    let decoded = Decoded { tree, elf, texts, sha1s: facts::Sha1s::new(), notes };
    register(session, &control, (source, size), decoded, &keeps, &files, &staged, options)
}

/// Gives the control of a folder: its own name, version `0`, any architecture.
///
/// # Errors
/// When its name is not a package name.
pub fn folder_control_of(path: &Path) -> Result<Control, IngestError> {
    let whole = path.canonicalize().map_err(|source| IngestError::Read { path: path.to_owned(), source })?;
    let name = whole.file_name().unwrap_or_default().to_string_lossy();
    let name = name.as_ref();
    let good = |c: char| c.is_ascii_alphanumeric() || "+-._".contains(c);
    if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) || !name.chars().all(good) {
        let message = format!("the folder's name {name:?} is not a package name (letters, digits and + - . _)");
        return Err(PackageError::Content(message).into());
    }
    Ok(Control {
        format: Format::Tar,
        name: name.to_owned(),
        version: "0".to_owned(),
        architecture: "all".to_owned(),
        origin: name.to_owned(),
        replaces: Vec::new(),
        replaces_priority: 0,
        members: std::collections::BTreeMap::new(),
    })
}

/// Makes tree, facts, package and predicted pack of what was decoded, all pending in the session.
#[expect(clippy::too_many_arguments, reason = "one call for each of two kinds of input")]
fn register(
    session: &Session<'_>,
    control: &Control,
    (source, source_size): (OciDigest, u64),
    decoded: Decoded,
    keeps: &Keeps,
    contents: &dyn Contents,
    staged: &Path,
    options: &Options<'_>,
) -> Result<Added, IngestError> {
    let predicted = predict(control, &decoded.tree, keeps).map_err(IngestError::Tree)?;
    // A thread of the pool waits for no memory: it may hold some of it already.
    let _share = rayon::current_thread_index().is_none().then(|| memory::pack(predicted.content_size()));
    let pack = if predicted.is_empty() {
        None
    } else {
        Some(write_shared_pack(session, &Arc::new(predicted), contents, options.codec)?)
    };
    let tree = Arc::new(decoded.tree);
    let digest = session.add_tree(&tree);
    let (needed, rest) = facts::split_control(control);
    session.add_fact(digest, &facts::control_of(&source), facts::encode_control(&needed));
    if !rest.members.is_empty() {
        session.add_fact(digest, &facts::members_of(&source), facts::encode_control(&rest));
    }
    for (kind, data) in [
        (facts::ELF, (!decoded.elf.is_empty()).then(|| elf::encode_facts(&decoded.elf))),
        (facts::TEXTS, (!decoded.texts.is_empty()).then(|| facts::encode_texts(&decoded.texts))),
        (facts::SHA1, (!decoded.sha1s.is_empty()).then(|| facts::encode_sha1s(&decoded.sha1s))),
    ] {
        if let Some(data) = data {
            session.add_fact(digest, kind, data);
        }
    }
    let record = PackageRecord {
        source,
        source_size,
        tree: digest,
        format: control.format,
        name: control.name.clone(),
        version: control.version.clone(),
        architecture: control.architecture.clone(),
        entries: tree.len() as u64,
        content_size: tree.content_size(),
        date: tree.date(),
    };
    let kept = (options.keep_sources == KeepSources::Yes).then(|| staged.to_owned());
    session.add_package(record.clone(), kept);
    let (pack, packed) = pack.map_or((None, None), |(key, info)| (Some(key), Some(info.size)));
    Ok(Added { record, was_known: false, packed, pack, notes: decoded.notes })
}

/// Gives the layer tree that an image with this selection and the usual root asks for.
fn predict(control: &Control, tree: &Tree, keeps: &Keeps) -> Result<Tree, TreeError> {
    let arch = match control.format {
        Format::Deb => Arch::from_debian(&control.architecture),
        Format::Apk => Arch::from_apk(&control.architecture),
        Format::Tar => None,
    };
    let merged = MergedUsr::usual(control.format, arch);
    // One step at a time: each is as large as the tree.
    let landed = resolve_owned(select(tree, &|path| keeps(path))?, &merged)?;
    layer_tree(landed, &|_| None)
}

/// Writes the pack of a layer tree into the stage, unless it is known and its bytes are there and good.
///
/// # Errors
/// When content is missing or the stage cannot be written.
pub fn write_pack(
    session: &Session<'_>,
    tree: &Tree,
    contents: &dyn Contents,
    codec: Codec,
) -> Result<(dlstore_model::digest::ActionKey, PackInfo), IngestError> {
    write_shared_pack(session, &Arc::new(tree.clone()), contents, codec)
}

/// Writes the pack of a tree that the session then has too, without a copy of it.
fn write_shared_pack(
    session: &Session<'_>,
    tree: &Arc<Tree>,
    contents: &dyn Contents,
    codec: Codec,
) -> Result<(dlstore_model::digest::ActionKey, PackInfo), IngestError> {
    let part = tree.digest();
    let key = layer::pack_key(codec, &[part]);
    if let Some(info) = session.pack(&key)?
        && session.open_pack(&key, &info)?.is_some()
    {
        return Ok((key, info));
    }
    let staged = session.stage_path()?;
    let mut file = File::create_new(&staged)?;
    let info = layer::write_pack(tree, contents, codec, &mut file)?;
    session.add_tree(tree);
    session.add_pack(key, vec![part], info.clone(), staged);
    Ok((key, info))
}

/// Decodes a kept source again, with the content that `keeps` wants in the spool.
///
/// # Errors
/// When the source is not kept, or is no longer what it was.
pub fn decode_again(
    session: &Session<'_>,
    record: &PackageRecord,
    keeps: &Keeps,
) -> Result<Option<Spool>, IngestError> {
    let name = match record.format {
        Format::Tar => format!("{}.tar", record.name),
        format => format!("{}.{}", record.name, format.name()),
    };
    // What was added once was justified then.
    let limits = Limits { max_size: Some(u64::MAX), ..Limits::default() };
    let open = || -> Result<Option<PackageReader<'_>>, IngestError> {
        let Some(file) = session.open_source(&record.source)? else { return Ok(None) };
        let input = Box::new(BufReader::with_capacity(256 << 10, file));
        Ok(Some(PackageReader::open(record.format, &name, input, limits)?))
    };
    let Some(reader) = open()? else { return Ok(None) };
    let again = || open()?.ok_or_else(|| IngestError::Stage(io::ErrorKind::NotFound.into()));
    let mut spool = spool(session)?;
    decode::decode(reader, &again, &|path| keeps(path), &mut spool)?;
    Ok(Some(spool))
}

/// Reads what a package file says of itself, and nothing behind that. Only who it is is kept, not the
/// members of its control archive: a directory holds thousands of packages.
///
/// # Errors
/// When its control part cannot be read.
pub fn peek(path: &Path, format: Format) -> Result<Control, IngestError> {
    let file = open_regular(path)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let limits = Limits { control: ControlPart::Identity, ..Limits::default() };
    let reader = PackageReader::open(format, &name, Box::new(BufReader::new(file)), limits)?;
    let (control, _) = reader.into_control();
    Ok(Control { members: std::collections::BTreeMap::new(), replaces: Vec::new(), ..control })
}

/// Gives what the root of an added package keeps: itself and the pack that was predicted for it.
#[must_use]
pub fn kept_by(added: &Added) -> Vec<ObjectRef> {
    let mut keeps = vec![ObjectRef::Package(added.record.source)];
    keeps.extend(added.pack.map(ObjectRef::Pack));
    keeps
}

/// Gives the SHA-256 of a file of the host.
///
/// # Errors
/// When it cannot be read.
pub fn sha256_of(path: &Path) -> io::Result<OciDigest> {
    let mut file = open_regular(path).map_err(|error| match error {
        InputError::Fs(error) => error.source,
        other => io::Error::other(other),
    })?;
    hash(&mut file, &mut io::sink()).map(|(digest, _)| digest)
}

fn spool(session: &Session<'_>) -> Result<Spool, IngestError> {
    let path = session.stage_path()?;
    Ok(Spool::new(move || Ok(path.clone())))
}

/// Copies a file and gives its SHA-256 and length.
fn hash(input: &mut File, out: &mut dyn Write) -> io::Result<(OciDigest, u64)> {
    let mut hasher = sha2::Sha256::new();
    let mut buffer = vec![0; 256 << 10];
    let mut size = 0;
    loop {
        match input.read(&mut buffer)? {
            0 => return Ok((OciDigest::from_hasher(hasher), size)),
            count => {
                hasher.update(&buffer[..count]);
                out.write_all(&buffer[..count])?;
                size += count as u64;
            }
        }
    }
}

/// Writes through and hashes what it writes.
struct Hashing {
    file: File,
    hasher: sha2::Sha256,
    size: u64,
}

impl Hashing {
    fn new(file: File) -> Self {
        Self { file, hasher: sha2::Sha256::new(), size: 0 }
    }

    fn finish(self) -> (OciDigest, u64) {
        (OciDigest::from_hasher(self.hasher), self.size)
    }
}

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        self.size += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
