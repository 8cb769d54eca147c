//! Where the bytes of an image are: files of a layout, or members of a tar.
//!
//! ```text
//! layout    DIR/index.json   DIR/blobs/sha256/HEX
//! archive   FILE: one pass lists its members, then each is read where it stands
//! ```
//! Both give a [`Piece`]: a stretch of a file that is open. Nothing is unpacked to disk. A link in a layout may lead to
//! another place of it and nowhere else; a link in an archive to another member, as older `docker save` has them. Members
//! of one name are refused: readers of archives disagree about which one counts.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::error::ReadError;
use super::names;
use dlstore_formats::archive::ArchiveError;
use dlstore_formats::archive::decompress::Compression;
use dlstore_formats::archive::tar::{End, MemberKind, TarReader};
use dlstore_fsx::FsError;
use dlstore_fsx::input::{self, InputError};
use dlstore_model::digest::OciDigest;
use dlstore_model::escape::Escaped;
use dlstore_model::path::TreePath;

/// Members of an archive: images have tens, and an archive of a thousand images has some ten thousand.
const MOST_MEMBERS: usize = 100_000;
/// Bytes of all their names.
const MOST_NAMES: usize = 16 << 20;
/// Raw bytes of an archive.
const MOST_BYTES: u64 = 1 << 40;
/// Where a tar says in its first header that it is one.
const TAR_MAGIC: Range<usize> = 257..262;
/// Links that are followed from one member to the next.
const MOST_LINKS: usize = 8;

/// Where the bytes of an image are.
pub(super) enum Blobs {
    /// A directory.
    Directory {
        /// As it was named.
        path: PathBuf,
        /// The same without links.
        real: PathBuf,
    },
    /// A tar.
    Archive(Archive),
}

/// A tar, and where its members stand.
pub(super) struct Archive {
    path: PathBuf,
    file: Arc<File>,
    members: HashMap<TreePath, Member>,
}

enum Member {
    /// Where its content begins, and how long that is.
    File(u64, u64),
    Link(Vec<u8>),
}

/// A stretch of an open file.
pub(super) struct Piece {
    file: Arc<File>,
    at: u64,
    /// Its length in bytes.
    pub(super) size: u64,
    /// What it is called in errors.
    pub(super) place: String,
}

impl Blobs {
    /// Opens a directory.
    pub(super) fn of_directory(path: &Path) -> Result<Self, ReadError> {
        let failed = |source| InputError::Fs(FsError::new("open", path, source));
        Ok(Self::Directory { path: path.to_owned(), real: path.canonicalize().map_err(failed)? })
    }

    /// Opens a tar and lists its members.
    pub(super) fn of_archive(path: &Path) -> Result<Self, ReadError> {
        Archive::open(path).map(Self::Archive)
    }

    /// Gives where all of it is.
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Directory { path, .. } => path,
            Self::Archive(archive) => &archive.path,
        }
    }

    /// Finds a file by its path from the top.
    ///
    /// # Errors
    /// When it cannot be opened, is no regular file, or lies behind a link that leads out.
    pub(super) fn find(&self, name: &TreePath) -> Result<Option<Piece>, ReadError> {
        match self {
            Self::Directory { path, real } => in_directory(path, real, name),
            Self::Archive(archive) => archive.find(name),
        }
    }

    /// Finds a blob of a layout, which must have the length that is said of it.
    ///
    /// # Errors
    /// As [`Self::find`], and when it has another length.
    pub(super) fn blob(&self, digest: &OciDigest, size: u64) -> Result<Option<Piece>, ReadError> {
        let name = format!("blobs/sha256/{}", digest.to_hex());
        let name = TreePath::new(name.as_bytes()).expect("digits are a path");
        let Some(piece) = self.find(&name)? else { return Ok(None) };
        if piece.size != size {
            let (place, digest, found) = (piece.place, *digest, piece.size);
            return Err(ReadError::Size { place, digest, expected: size, found });
        }
        Ok(Some(piece))
    }
}

fn in_directory(top: &Path, real_top: &Path, name: &TreePath) -> Result<Option<Piece>, ReadError> {
    let path = top.join(OsStr::from_bytes(name.as_bytes()));
    let failed = |attempt, source| InputError::Fs(FsError::new(attempt, &path, source));
    let real = match path.canonicalize() {
        Ok(real) => real,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("open", error).into()),
    };
    if !real.starts_with(real_top) {
        return Err(ReadError::Outside(path));
    }
    let file = input::open_regular(&real)?;
    let size = file.metadata().map_err(|error| failed("read", error))?.len();
    Ok(Some(Piece { file: Arc::new(file), at: 0, size, place: path.to_string_lossy().into_owned() }))
}

impl Archive {
    fn open(path: &Path) -> Result<Self, ReadError> {
        let file = Arc::new(input::open_regular(path)?);
        let failed = |source| InputError::Fs(FsError::new("read", path, source));
        let size = file.metadata().map_err(failed)?.len();
        let whole = Piece { file: Arc::clone(&file), at: 0, size, place: path.to_string_lossy().into_owned() };
        let mut start = [0; TAR_MAGIC.end];
        let read = whole.file.read_at(&mut start, 0).map_err(failed)?;
        if Compression::from_magic(&start[..read]).is_some() {
            return Err(ReadError::Compressed(path.to_owned()));
        }
        if start.get(TAR_MAGIC) != Some(b"ustar") {
            return Err(ReadError::NotAnImage { path: path.to_owned(), expected: "an archive of an image" });
        }
        let members = members(&whole).map_err(|source| ReadError::Archive { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), file, members })
    }

    fn find(&self, name: &TreePath) -> Result<Option<Piece>, ReadError> {
        let place = || format!("{}: {name}", self.path.display());
        let wrong = |why: &str| ReadError::Content { place: place(), why: why.to_owned() };
        let mut at = name.clone();
        for _ in 0..=MOST_LINKS {
            match self.members.get(&at) {
                None => return Ok(None),
                Some(Member::File(start, size)) => {
                    let file = Arc::clone(&self.file);
                    return Ok(Some(Piece { file, at: *start, size: *size, place: place() }));
                }
                Some(Member::Link(target)) => {
                    at = names::beside(&at, target).ok_or_else(|| wrong("a link that leads out of the archive"))?;
                }
            }
        }
        Err(wrong("links that lead to links"))
    }
}

/// Lists the files and links of a tar.
fn members(whole: &Piece) -> Result<HashMap<TreePath, Member>, ArchiveError> {
    let malformed = |why: String| Err(ArchiveError::Malformed(why));
    let mut tar = TarReader::new(whole.reader(), MOST_BYTES, End::Required);
    let mut found = HashMap::new();
    let (mut count, mut bytes) = (0, 0);
    while let Some(member) = tar.next_member()? {
        count += 1;
        bytes += member.path.len();
        if count > MOST_MEMBERS {
            return Err(ArchiveError::Limit { what: "the number of members", limit: MOST_MEMBERS as u64 });
        }
        let target = match member.kind {
            MemberKind::File => Member::File(tar.position(), member.size),
            MemberKind::Symlink(target) => Member::Link(target),
            MemberKind::Directory => continue,
            _ => {
                return malformed(format!("{} is not a file, a directory or a link", Escaped::bytes(&member.path)));
            }
        };
        bytes += if let Member::Link(target) = &target { target.len() } else { 0 };
        if bytes > MOST_NAMES {
            return Err(ArchiveError::Limit { what: "the length of all names", limit: MOST_NAMES as u64 });
        }
        let name = match names::of(&member.path) {
            Ok(Some(name)) => name,
            Ok(None) => return malformed("the root is not a directory".into()),
            Err(error) => return malformed(error.to_string()),
        };
        let shown = name.to_string();
        if found.insert(name, target).is_some() {
            return malformed(format!("{shown} occurs twice"));
        }
    }
    Ok(found)
}

impl Piece {
    /// Reads it from its beginning.
    pub(super) fn reader(&self) -> Reader {
        Reader { file: Arc::clone(&self.file), at: self.at, end: self.at.saturating_add(self.size) }
    }

    /// Reads it whole.
    ///
    /// # Errors
    /// When it is longer than `limit` bytes, or cannot be read.
    pub(super) fn whole(&self, limit: u64) -> Result<Vec<u8>, ReadError> {
        if self.size > limit {
            return Err(ReadError::Limit { place: self.place.clone(), what: "the length of a document", limit });
        }
        let mut bytes = Vec::with_capacity(usize::try_from(self.size).unwrap_or_default());
        self.reader().read_to_end(&mut bytes).map_err(|error| self.failed(error))?;
        if bytes.len() as u64 == self.size { Ok(bytes) } else { Err(self.failed(io::ErrorKind::UnexpectedEof.into())) }
    }

    /// Says whether its bytes are those of a blob.
    pub(super) fn has_bytes_of(&self, digest: &OciDigest) -> Result<bool, ReadError> {
        let mut hasher = Sha256::new();
        let mut reader = self.reader();
        let mut buffer = vec![0; 128 << 10];
        loop {
            match reader.read(&mut buffer) {
                Ok(0) => return Ok(OciDigest::from_hasher(hasher) == *digest),
                Ok(read) => hasher.update(&buffer[..read]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failed(error)),
            }
        }
    }

    fn failed(&self, error: io::Error) -> ReadError {
        InputError::Fs(FsError::new("read", Path::new(&self.place), error)).into()
    }
}

/// Reads a [`Piece`].
pub(super) struct Reader {
    file: Arc<File>,
    at: u64,
    end: u64,
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(usize::try_from(self.end - self.at).unwrap_or(usize::MAX));
        let read = self.file.read_at(&mut buffer[..most], self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}
