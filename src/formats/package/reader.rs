//! Reads a package of any format from its first byte to its last, in one pass.
//!
//! [`PackageReader::open`] finds out what the file is, reads its control part and stops in front of
//! the files; [`PackageReader::next_entry`] and [`PackageReader::read`] give these one after another.
//! **The package counts as read only when `next_entry` has answered `None`**: then every byte that
//! belongs to it has been read, decompressed and, where the format states a checksum, compared.
//!
//! What holds for every entry that is given out:
//! - its path is a [`TreePath`], and never the root itself;
//! - a hard link names a file that came before it in the archive, and never another link: links to
//!   links are resolved to the file;
//! - a symbolic link's target is neither empty nor does it hold a NUL byte;
//! - its date is one that a tree can hold; the number of entries and the bytes of their paths are
//!   within the limits;
//! - in a `.deb` it is a file, a directory or a link.
//!
//! Whether two entries have the same path is left to whoever builds the tree: equal ones may be
//! forgiven there. After an error nothing more is read.

use std::collections::{HashMap, HashSet};
use std::io::{BufReader, Cursor, Read};

use sha1::{Digest as _, Sha1};

pub use super::held::Held;
use super::source::{Opened, Source};
use super::{Control, Format, Header, Input, Kind, Limits, PackageError, apk, deb, grammar, memory, size, sniff};
use crate::archive::ar::fill;
use crate::archive::decompress::Compression;
use crate::archive::tar::{End, Member, MemberKind, TarReader};
use dlstore_model::escape::Escaped;
use dlstore_model::package::Metadata;
use dlstore_model::path::TreePath;
use dlstore_model::tree::{MAX_MTIME, Meta};

/// Bytes that are read from a file at once.
const BUFFER: usize = 128 << 10;

/// Reads one package from its first byte to its last, in one pass.
pub struct PackageReader<'a> {
    control: Control,
    /// What the tar is called in errors: `data.tar.xz`.
    archive: String,
    tar: TarReader<Source<'a>>,
    limits: Limits,
    entries: usize,
    path_bytes: usize,
    files: HashSet<TreePath>,
    links: HashMap<TreePath, TreePath>,
    xattr_bytes: usize,
    held: Held,
    /// The checksum that the current content must have, and the one of what was read of it.
    sha1: Option<([u8; 20], Sha1, TreePath)>,
    failed: bool,
}

impl<'a> PackageReader<'a> {
    /// Opens a package and reads its control part.
    ///
    /// A plain tar says nothing of itself: its name is the file's without `.tar` and what follows,
    /// its version `0`, its architecture `all`. For the other formats the file's name is not used.
    ///
    /// # Errors
    /// When the file is something else, or its control part is damaged, too large or not valid.
    pub fn open(
        format: Format,
        file_name: &str,
        mut input: Box<dyn Read + Send + 'a>,
        limits: Limits,
    ) -> Result<Self, PackageError> {
        let mut start = [0; sniff::LENGTH];
        let length = fill(&mut input, &mut start)
            .map_err(|source| PackageError::Read { what: "the first bytes".into(), source })?;
        let start = &start[..length];
        let input: Input<'a> = Box::new(Cursor::new(start.to_vec()).chain(input));
        let opened = match format {
            Format::Deb => {
                expect(start.starts_with(crate::archive::ar::MAGIC), "a .deb", start)?;
                let (control, decoder, archive, held) = deb::open(BufReader::with_capacity(BUFFER, input), &limits)?;
                Opened { control, source: Source::Deb(decoder), archive, held }
            }
            Format::Apk => {
                expect(start.starts_with(b"\x1f\x8b"), "an .apk", start)?;
                let (control, data, held) = apk::open(input, &limits)?;
                let archive = "the data member".to_owned();
                Opened { control, source: Source::Apk(Box::new(data)), archive, held }
            }
            Format::Tar => open_tar(file_name, start, input, &limits)?,
        };
        let Opened { control, source, archive, held } = opened;
        let end = if format == Format::Apk { End::Optional } else { End::Required };
        let mut tar = TarReader::new(source, limits.raw_bytes, end);
        if let Some(bytes) = size::allowed(&control, &limits) {
            tar.limit_content(bytes);
        }
        Ok(Self {
            control,
            archive,
            tar,
            limits,
            entries: 0,
            path_bytes: 0,
            files: HashSet::new(),
            links: HashMap::new(),
            xattr_bytes: 0,
            held,
            sha1: None,
            failed: false,
        })
    }

    /// Gives the bounds that it reads within.
    #[must_use]
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Says whether it has given out so many entries that it waited for the turn of large packages, and has it.
    #[must_use]
    pub const fn is_large(&self) -> bool {
        self.held.large.is_some()
    }

    /// Gives what the package says of itself.
    #[must_use]
    pub const fn control(&self) -> &Control {
        &self.control
    }

    /// Ends reading: gives what the package says of itself and the shares of the process's memory that
    /// it holds as long as it is in hand, without that of the decompressor, which is gone.
    #[must_use]
    pub fn into_control(self) -> (Control, Held) {
        let Self { control, tar, mut held, .. } = self;
        drop(tar);
        held.decoder = None;
        (control, held)
    }

    /// Steps to the next entry, skipping what is left of the current content. A checksum that the
    /// archive states for a content is compared with all of it, the skipped part included.
    ///
    /// # Errors
    /// When the package is damaged, truncated, too large, or breaks a rule.
    pub fn next_entry(&mut self) -> Result<Option<Header>, PackageError> {
        self.guard(Self::step)
    }

    /// Reads content of the current entry; 0 at its end.
    ///
    /// # Errors
    /// When the package is damaged or truncated.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize, PackageError> {
        self.guard(|reader| {
            let read = reader.tar.read(buffer).map_err(|error| PackageError::archive(&reader.archive, error))?;
            if let Some((_, hasher, _)) = &mut reader.sha1 {
                hasher.update(&buffer[..read]);
            }
            Ok(read)
        })
    }

    /// Runs a step unless one failed before: what follows an error means nothing.
    fn guard<T>(&mut self, step: impl FnOnce(&mut Self) -> Result<T, PackageError>) -> Result<T, PackageError> {
        if self.failed {
            return Err(PackageError::Content("the package was found to be bad before".into()));
        }
        let result = step(self);
        self.failed = result.is_err();
        result
    }

    fn step(&mut self) -> Result<Option<Header>, PackageError> {
        self.finish_content()?;
        loop {
            let member = self.tar.next_member().map_err(|error| PackageError::archive(&self.archive, error))?;
            let Some(member) = member else {
                self.tar.get_ref().finish()?;
                return Ok(None);
            };
            self.count(&member)?;
            if let Some(header) = self.header(member)? {
                return Ok(Some(header));
            }
        }
    }

    fn finish_content(&mut self) -> Result<(), PackageError> {
        let Some((expected, mut hasher, path)) = self.sha1.take() else { return Ok(()) };
        self.tar.drain(|bytes| hasher.update(bytes)).map_err(|error| PackageError::archive(&self.archive, error))?;
        check_sha1(expected, hasher, &path)
    }

    fn count(&mut self, member: &Member) -> Result<(), PackageError> {
        self.entries += 1;
        if self.entries > self.limits.entries {
            return Err(PackageError::Limit { what: "the number of entries", limit: self.limits.entries as u64 });
        }
        if self.entries > memory::SMALL_ENTRIES && self.held.large.is_none() {
            self.held.large = Some(memory::large_turn());
        }
        self.tar.forgive(size::PER_ENTRY);
        self.xattr_bytes += member.xattrs.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        if self.xattr_bytes > self.limits.xattr_bytes {
            let limit = self.limits.xattr_bytes as u64;
            return Err(PackageError::Limit { what: "the length of all extended attributes", limit });
        }
        let target = match &member.kind {
            MemberKind::Symlink(target) | MemberKind::HardLink(target) => target.len(),
            _ => 0,
        };
        self.path_bytes += member.path.len() + target;
        if self.path_bytes > self.limits.path_bytes {
            return Err(PackageError::Limit { what: "the length of all paths", limit: self.limits.path_bytes as u64 });
        }
        Ok(())
    }

    /// Makes an entry of a member; `None` for the root itself.
    fn header(&mut self, member: Member) -> Result<Option<Header>, PackageError> {
        let Some(path) = self.tree_path(&member.path)? else {
            return match member.kind {
                MemberKind::Directory => Ok(None),
                _ => Err(self.refused("the root is not a directory")),
            };
        };
        if member.mtime >= MAX_MTIME {
            return Err(self.refused(&format!("{path} has a modification time that is out of range")));
        }
        let format = self.control.metadata.format;
        if format == Format::Apk && path.as_bytes().starts_with(b".") && path.parent().is_none() {
            return Err(self.refused(&format!("{path} is named like a control file, which is never installed")));
        }
        let kind = match member.kind {
            MemberKind::Directory => Kind::Directory,
            MemberKind::File => {
                self.files.insert(path.clone());
                Kind::File
            }
            MemberKind::Symlink(target) if target.is_empty() || target.contains(&0) => {
                return Err(self.refused(&format!("{path} is a symbolic link without a usable target")));
            }
            MemberKind::Symlink(target) => Kind::Symlink(target),
            MemberKind::HardLink(target) => Kind::HardLink(self.link_target(&path, &target)?),
            _ if format == Format::Deb => {
                return Err(self.refused(&format!("{path} is a device or a pipe, which a .deb must not hold")));
            }
            MemberKind::CharDevice(major, minor) => Kind::CharDevice(major, minor),
            MemberKind::BlockDevice(major, minor) => Kind::BlockDevice(major, minor),
            MemberKind::Fifo => Kind::Fifo,
        };
        match (&kind, member.sha1) {
            (Kind::File, Some(expected)) => self.sha1 = Some((expected, Sha1::new(), path.clone())),
            (Kind::Symlink(target), Some(expected)) => {
                check_sha1(expected, Sha1::new_with_prefix(target), &path)?;
            }
            _ => {}
        }
        let meta = Meta { mode: member.mode, uid: member.uid, gid: member.gid, mtime: member.mtime };
        Ok(Some(Header { path, kind, meta, size: member.size, xattrs: member.xattrs, sha1: member.sha1 }))
    }

    /// Finds the file that a hard link names: one that came before, through other links if need be.
    fn link_target(&mut self, path: &TreePath, target: &[u8]) -> Result<TreePath, PackageError> {
        let named = self.tree_path(target)?;
        let file = named
            .and_then(|named| if self.files.contains(&named) { Some(named) } else { self.links.get(&named).cloned() });
        let Some(file) = file.filter(|file| file != path) else {
            let shown = Escaped::bytes(target);
            return Err(
                self.refused(&format!("{path} is a hard link to {shown}, which is not a file that comes before it"))
            );
        };
        self.links.insert(path.clone(), file.clone());
        Ok(file)
    }

    fn tree_path(&self, written: &[u8]) -> Result<Option<TreePath>, PackageError> {
        TreePath::from_archive(written).map_err(|error| self.refused(&error.to_string()))
    }

    fn refused(&self, why: &str) -> PackageError {
        PackageError::Content(format!("{}: {why}", self.archive))
    }
}

fn check_sha1(expected: [u8; 20], hasher: Sha1, path: &TreePath) -> Result<(), PackageError> {
    if <[u8; 20]>::from(hasher.finalize()) == expected {
        return Ok(());
    }
    Err(PackageError::Content(format!("{path} does not have the SHA-1 that the archive states for it")))
}

fn expect(good: bool, what: &str, start: &[u8]) -> Result<(), PackageError> {
    if good {
        return Ok(());
    }
    Err(PackageError::Format(match sniff::describe(start) {
        Some(found) => format!("not {what}, but {found}"),
        None => format!("not {what}: it does not begin like one"),
    }))
}

fn open_tar<'a>(file_name: &str, start: &[u8], input: Input<'a>, limits: &Limits) -> Result<Opened<'a>, PackageError> {
    let shown = || Escaped::text(file_name).to_string();
    let file = file_name.rsplit('/').next().unwrap_or_default();
    let Some((name, extension)) = file.rsplit_once(".tar") else {
        return Err(PackageError::Format(format!(
            "{}: a tar is named .tar, .tar.gz, .tar.xz, .tar.zst or .tar.bz2",
            shown()
        )));
    };
    let named = match extension {
        "" => Some(Compression::None),
        _ => extension
            .strip_prefix('.')
            .and_then(Compression::from_extension)
            .filter(|found| !matches!(found, Compression::None | Compression::Lzma)),
    };
    let Some(named) = named else {
        return Err(PackageError::Format(format!("{}: an unknown compression", shown())));
    };
    let good = match named {
        Compression::None => sniff::is_tar(start),
        compressed => Compression::from_magic(start) == Some(compressed),
    };
    expect(good, &format!("a {}", &file[name.len()..]), start)?;
    let name = grammar::name(Format::Tar, "the name of the tar", name)?;
    let control = Control { metadata: Metadata::of_tar(name), members: std::collections::BTreeMap::new() };
    let archive = "the tar".to_owned();
    let mut held = Held::default();
    let decoder = held.decode(&archive, named, BufReader::with_capacity(BUFFER, input), limits)?;
    Ok(Opened { control, source: Source::Tar(decoder), archive, held })
}
