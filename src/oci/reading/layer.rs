//! One layer, read from its first byte to its last: what it adds, and what it hides of those below.
//!
//! ```text
//! blob ─► SHA-256 ─► gzip, zstd or nothing ─► SHA-256 ─► tar ─► entries, whiteouts
//!         digest                               diff ID
//! ```
//! A layer counts as read only when all of it passed and both digests are right. Content of files goes through BLAKE3 and
//! is gone. The bounds are those of packages, over all layers that are read of an image together.
//!
//! Whiteouts (image-spec, layer.md): `.wh.NAME` hides NAME of lower layers, `.wh..wh..opq` all that lower layers have in
//! its directory. Other names that begin with `.wh..wh.` are notes that AUFS made for itself; docker passes them over too.

use std::io::{self, BufRead as _, BufReader, Read};

use sha2::{Digest as _, Sha256};

use super::blobs::{Piece, Reader};
use super::error::ReadError;
use super::names;
use super::platform::Layer;
use dlstore_formats::archive::ArchiveError;
use dlstore_formats::archive::decompress::{Compression, Decoder};
use dlstore_formats::archive::tar::{End, Member, MemberKind, TarReader};
use dlstore_formats::package::Limits;
use dlstore_formats::package::size::{FREE, PER_ENTRY, RATIO};
use dlstore_model::digest::{Digest, OciDigest};
use dlstore_model::path::{PathError, Shown, TreePath};
use dlstore_model::tree::{Entry, MAX_MTIME, Meta, Node};

/// Entries of all layers: twice as many as one package may have. So many take about 300 MiB of memory.
const MOST_ENTRIES: usize = 500_000;
/// Bytes of all their paths, targets and attributes.
const MOST_NAMES: usize = 64 << 20;
/// What an attribute takes beside its bytes.
const PER_ATTRIBUTE: usize = 100;
/// Longest target of a symbolic link: Linux takes no longer one (`PATH_MAX`).
const MOST_TARGET: usize = 4095;
/// Bytes of all files whose content is kept.
const MOST_KEPT: u64 = 64 << 20;
/// Bytes between a file and its decoder.
const BUFFER: usize = 128 << 10;

/// What may still be read of an image: whoever reads several of its platforms has one for all of them.
pub struct Budget {
    entries: usize,
    names: usize,
    raw: u64,
    kept: u64,
}

impl Default for Budget {
    fn default() -> Self {
        Self { entries: MOST_ENTRIES, names: MOST_NAMES, raw: Limits::DEFAULT.raw_bytes, kept: MOST_KEPT }
    }
}

/// What a layer does to those below it.
#[derive(Default)]
pub(super) struct Changes {
    /// Directories of which nothing is left; `None` is the top.
    pub(super) emptied: Vec<Option<TreePath>>,
    /// What is hidden.
    pub(super) removed: Vec<TreePath>,
    /// What is added or replaced, in the order of the archive.
    pub(super) added: Vec<Added>,
}

/// An entry of a layer. The target of a hard link is a path of the rootfs as far as it is made by then.
pub(super) struct Added {
    pub(super) path: TreePath,
    pub(super) entry: Entry,
    /// The content, where it is kept.
    pub(super) content: Option<Vec<u8>>,
}

/// Hashes and counts what is read.
struct Hashing<R> {
    inner: R,
    hasher: Sha256,
    count: u64,
}

impl<R> Hashing<R> {
    fn new(inner: R) -> Self {
        Self { inner, hasher: Sha256::new(), count: 0 }
    }

    fn digest(&self) -> OciDigest {
        OciDigest::from_hasher(self.hasher.clone())
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..read]);
        self.count += read as u64;
        Ok(read)
    }
}

type Tar = TarReader<Hashing<Decoder<BufReader<Hashing<Reader>>>>>;

/// Reads a layer and checks it.
pub(super) fn read(
    piece: &Piece,
    layer: &Layer,
    budget: &mut Budget,
    keeps: &impl Fn(&TreePath) -> bool,
) -> Result<Changes, ReadError> {
    let outcome = unpack(piece, layer, budget, keeps);
    // Damage is what is wrong, however it shows itself first.
    if let (Err(_), Some(digest)) = (&outcome, layer.digest)
        && !piece.has_bytes_of(&digest)?
    {
        return Err(ReadError::Damaged { place: piece.place.clone(), digest });
    }
    outcome
}

fn unpack(
    piece: &Piece,
    layer: &Layer,
    budget: &mut Budget,
    keeps: &impl Fn(&TreePath) -> bool,
) -> Result<Changes, ReadError> {
    let failed = |source| ReadError::Layer { place: piece.place.clone(), source };
    let mut tar = open(piece, budget.raw).map_err(failed)?;
    let mut changes = Changes::default();
    while let Some(member) = tar.next_member().map_err(failed)? {
        tar.forgive(PER_ENTRY);
        budget.count(&member, &piece.place)?;
        take(&mut tar, member, &mut changes, budget, keeps, piece)?;
    }
    let raw = tar.get_ref();
    budget.raw = budget.raw.saturating_sub(raw.count);
    let blob = raw.inner.get_ref().get_ref();
    let is_whole = blob.count == piece.size;
    if let Some(digest) = layer.digest.filter(|digest| !is_whole || blob.digest() != *digest) {
        return Err(ReadError::Damaged { place: piece.place.clone(), digest });
    }
    match layer.diff_id.filter(|diff_id| !is_whole || raw.digest() != *diff_id) {
        Some(diff_id) => Err(ReadError::DiffId { place: piece.place.clone(), diff_id }),
        None => Ok(changes),
    }
}

fn open(piece: &Piece, most: u64) -> Result<Tar, ArchiveError> {
    let mut blob = BufReader::with_capacity(BUFFER, Hashing::new(piece.reader()));
    let compression = Compression::from_magic(blob.fill_buf()?).unwrap_or(Compression::None);
    let decoder = Decoder::new(compression, blob, Limits::DEFAULT.decoder_memory)?;
    let mut tar = TarReader::new(Hashing::new(decoder), most, End::Layer);
    if compression != Compression::None {
        tar.limit_content(piece.size.saturating_mul(RATIO).max(FREE));
    }
    Ok(tar)
}

impl Budget {
    fn count(&mut self, member: &Member, place: &str) -> Result<(), ReadError> {
        let exceeded = |what, limit: usize| ReadError::Limit { place: place.to_owned(), what, limit: limit as u64 };
        let target = match &member.kind {
            MemberKind::Symlink(target) | MemberKind::HardLink(target) => target.len(),
            _ => 0,
        };
        let attributes: usize = member.xattrs.iter().map(|(name, value)| name.len() + value.len()).sum();
        let attributes = attributes + member.xattrs.len() * PER_ATTRIBUTE;
        let left = self.entries.checked_sub(1);
        self.entries = left.ok_or_else(|| exceeded("the number of entries of all layers", MOST_ENTRIES))?;
        let left = self.names.checked_sub(member.path.len() + target + attributes);
        self.names = left.ok_or_else(|| exceeded("the length of all paths and attributes", MOST_NAMES))?;
        Ok(())
    }
}

/// What the name of a member means.
enum Meaning {
    Entry(TreePath),
    Hides(TreePath),
    Empties(Option<TreePath>),
    Nothing,
}

fn meaning(written: &[u8]) -> Result<Meaning, PathError> {
    let trimmed = written.strip_suffix(b"/").unwrap_or(written);
    let (directory, name) = match trimmed.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (&trimmed[..=at], &trimmed[at + 1..]),
        None => (&b"./"[..], trimmed),
    };
    // What lies in a directory of notes is one.
    if directory.split(|byte| *byte == b'/').any(|part| part.starts_with(b".wh..wh.") && part != b".wh..wh..opq") {
        return Ok(Meaning::Nothing);
    }
    let Some(hidden) = name.strip_prefix(b".wh.") else {
        return Ok(names::of(written)?.map_or(Meaning::Nothing, Meaning::Entry));
    };
    if name == b".wh..wh..opq" {
        return Ok(Meaning::Empties(names::of(directory)?));
    }
    if hidden.starts_with(b".wh.") {
        return Ok(Meaning::Nothing);
    }
    if matches!(hidden, b"" | b"." | b"..") {
        return Err(PathError::Whiteout(Shown(written.to_vec())));
    }
    Ok(names::of(&[directory, hidden].concat())?.map_or(Meaning::Nothing, Meaning::Hides))
}

/// Takes note of one member.
fn take(
    tar: &mut Tar,
    member: Member,
    changes: &mut Changes,
    budget: &mut Budget,
    keeps: &impl Fn(&TreePath) -> bool,
    piece: &Piece,
) -> Result<(), ReadError> {
    let place = &piece.place;
    let unusable = |source| ReadError::Path { place: place.clone(), source };
    let wrong = |why: String| Err(ReadError::Content { place: place.clone(), why });
    let path = match meaning(&member.path).map_err(unusable)? {
        Meaning::Entry(path) => path,
        Meaning::Hides(path) => {
            changes.removed.push(path);
            return Ok(());
        }
        Meaning::Empties(directory) => {
            changes.emptied.push(directory);
            return Ok(());
        }
        Meaning::Nothing => return Ok(()),
    };
    if member.mtime >= MAX_MTIME {
        return wrong(format!("{path} has a modification time that is out of range"));
    }
    let mut content = None;
    let node = match member.kind {
        MemberKind::Directory => Node::Directory,
        MemberKind::File => {
            if keeps(&path) {
                content = Some(Vec::new());
                budget.kept = budget.kept.checked_sub(member.size).ok_or_else(|| {
                    let what = "the length of its package databases";
                    ReadError::Limit { place: place.clone(), what, limit: MOST_KEPT }
                })?;
            }
            let mut hasher = blake3::Hasher::new();
            let read = tar.drain(|bytes| {
                hasher.update(bytes);
                if let Some(content) = &mut content {
                    content.extend_from_slice(bytes);
                }
            });
            read.map_err(|source| ReadError::Layer { place: place.clone(), source })?;
            Node::File { content: Digest::from_hasher(&hasher), size: member.size }
        }
        MemberKind::Symlink(target) if target.is_empty() || target.contains(&0) => {
            return wrong(format!("{path} is a symbolic link without a usable target"));
        }
        MemberKind::Symlink(target) if target.len() > MOST_TARGET => {
            return wrong(format!("{path} is a symbolic link whose target has more than {MOST_TARGET} bytes"));
        }
        MemberKind::Symlink(target) => Node::Symlink { target },
        MemberKind::HardLink(target) => match names::of(&target).map_err(unusable)? {
            Some(target) => Node::HardLink { target },
            None => return wrong(format!("{path} is a hard link to a directory")),
        },
        MemberKind::CharDevice(major, minor) => Node::CharDevice { major, minor },
        MemberKind::BlockDevice(major, minor) => Node::BlockDevice { major, minor },
        MemberKind::Fifo => Node::Fifo,
    };
    let meta = Meta { mode: member.mode, uid: member.uid, gid: member.gid, mtime: member.mtime };
    changes.added.push(Added { path, entry: Entry { node, meta, xattrs: member.xattrs }, content });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whiteouts_are_told_from_entries() {
        let shown = |written: &str| match meaning(written.as_bytes()) {
            Ok(Meaning::Entry(path)) => format!("entry {path}"),
            Ok(Meaning::Hides(path)) => format!("hides {path}"),
            Ok(Meaning::Empties(Some(path))) => format!("empties {path}"),
            Ok(Meaning::Empties(None)) => "empties /".to_owned(),
            Ok(Meaning::Nothing) => "nothing".to_owned(),
            Err(_) => "refused".to_owned(),
        };
        for (written, expected) in [
            ("./etc/passwd", "entry /etc/passwd"),
            ("/etc/x/", "entry /etc/x"),
            ("etc/.wh.passwd", "hides /etc/passwd"),
            (".wh.etc", "hides /etc"),
            ("./.wh.etc", "hides /etc"),
            ("etc/.wh..wh..opq", "empties /etc"),
            (".wh..wh..opq", "empties /"),
            (".wh..wh.plnk", "nothing"),
            (".wh..wh.plnk/1.2", "nothing"),
            ("a/.wh..wh.plnk/../../x", "nothing"),
            (".wh..wh..opq/x", "refused"),
            ("./", "nothing"),
            ("etc/.wh.", "refused"),
            ("etc/.wh..", "refused"),
            ("etc/.wh...", "refused"),
            ("../.wh.x", "refused"),
            ("etc/.wh.x/y", "refused"),
        ] {
            assert_eq!(shown(written), expected, "{written}");
        }
    }

    #[test]
    fn entries_and_the_bytes_of_their_names_are_counted_over_all_layers() {
        let member = |path: &str, target: &str| Member {
            path: path.into(),
            kind: MemberKind::Symlink(target.into()),
            mode: 0,
            uid: 0,
            gid: 0,
            mtime: 0,
            size: 0,
            xattrs: [(b"a".to_vec(), b"b".to_vec())].into(),
            sha1: None,
        };
        let mut budget = Budget { entries: 2, names: 20 + 2 * PER_ATTRIBUTE, ..Budget::default() };
        budget.count(&member("abc", "defgh"), "x").unwrap();
        assert_eq!((budget.entries, budget.names), (1, 10 + PER_ATTRIBUTE));
        budget.count(&member("abc", "defgh"), "x").unwrap();
        let error = budget.count(&member("", ""), "x").unwrap_err().to_string();
        assert_eq!(error, "x: the number of entries of all layers exceeds the limit of 500000");
        let mut budget = Budget { names: 9 + PER_ATTRIBUTE, ..Budget::default() };
        let error = budget.count(&member("abc", "defgh"), "x").unwrap_err().to_string();
        assert_eq!(error, "x: the length of all paths and attributes exceeds the limit of 67108864");
    }
}
