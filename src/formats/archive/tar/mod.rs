//! Pull reader of tar archives: the caller asks for the next member and reads its content, or not.
//!
//! It reads v7, ustar, GNU long names (`L`, `K`) and base-256 numbers, and pax headers (`x`). A pax
//! record counts before a GNU long name, and that before the header block. A pax size belongs to the
//! entry, never to the `L` or `K` header between them: the readers that got this wrong were led to
//! take content for headers (GHSA-3pv8-6f4r-ffg2).
//!
//! It refuses what readers unpack differently: sparse files, contiguous files, volume labels, types
//! that it does not know, sizes on entries that have no content, two extended headers of one kind
//! for one entry, global headers with more than a comment, a lone zero block.
//!
//! An archive ends with two zero blocks, and behind them are only zero bytes. The segments of an
//! `.apk` are pieces of one archive and may end without the blocks: [`End::Optional`].
//!
//! Nothing is allocated per block, and content goes from the decoder into the caller's buffer. Every
//! raw byte is counted against a bound when it is announced, before it is read.

mod header;
mod pax;

use std::io::{self, BufRead, BufReader, Read};

use self::header::{BLOCK, Block};
use self::pax::Extended;
use super::ArchiveError;
use super::ar::fill;
use dlstore_model::tree::Xattrs;

/// Bytes between the decoder and the reader: large, so that decoders work in long runs.
const BUFFER: usize = 128 << 10;
/// Longest GNU long name: sixteen times Linux's own `PATH_MAX`.
const MAX_NAME: u64 = 64 << 10;
/// Longest pax header: extended attributes of 64 KiB each fit in.
const MAX_PAX: u64 = 1 << 20;

/// Says whether an archive may end without its two zero blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Without them the archive is truncated.
    Required,
    /// A segment of an `.apk`; its length is proven by other means.
    Optional,
    /// A layer of an image, which its digest proves. It may lack the blocks; and what follows them is none of its members,
    /// for no runtime reads on: eStargz has its own index there.
    Layer,
}

/// What a member is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemberKind {
    /// A regular file; its content follows.
    File,
    /// A directory.
    Directory,
    /// A symbolic link and its target.
    Symlink(Vec<u8>),
    /// Another name of a member, which the archive's path names.
    HardLink(Vec<u8>),
    /// A character device: major, minor.
    CharDevice(u32, u32),
    /// A block device: major, minor.
    BlockDevice(u32, u32),
    /// A named pipe.
    Fifo,
}

/// One member as the archive describes it; paths are raw bytes that nobody has checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The path as it is written.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: MemberKind,
    /// The twelve permission bits.
    pub mode: u16,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// Whole seconds since 1970.
    pub mtime: u64,
    /// Length of the content in bytes, 0 unless it is a file.
    pub size: u64,
    /// Extended attributes.
    pub xattrs: Xattrs,
    /// The content's SHA-1 as apk states it.
    pub sha1: Option<[u8; 20]>,
}

/// Reads a tar member by member.
pub struct TarReader<R> {
    input: BufReader<R>,
    /// Content of the current member that nobody has read yet.
    left: u64,
    /// Bytes that fill its last block.
    padding: u64,
    /// Raw bytes that may still be announced.
    allowed: u64,
    limit: u64,
    /// Bytes of content that are allowed, and those that were announced.
    content: Option<(u64, u64)>,
    end: End,
    ended: bool,
}

/// The extended headers that stand before one entry.
#[derive(Default)]
struct Before {
    pax: Option<Extended>,
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
}

impl<R: Read> TarReader<R> {
    /// Starts at the archive's first byte; `limit` bounds its raw length.
    pub fn new(input: R, limit: u64, end: End) -> Self {
        let input = BufReader::with_capacity(BUFFER, input);
        Self { input, left: 0, padding: 0, allowed: limit, limit, content: None, end, ended: false }
    }

    /// Bounds the content: what is announced, less what [`Self::forgive`] takes off.
    pub fn limit_content(&mut self, limit: u64) {
        self.content = Some((limit, 0));
    }

    /// Takes off what a member costs beside its content.
    pub fn forgive(&mut self, bytes: u64) {
        if let Some((_, announced)) = &mut self.content {
            *announced = announced.saturating_sub(bytes);
        }
    }

    /// Gives what the archive is read from.
    pub fn get_ref(&self) -> &R {
        self.input.get_ref()
    }

    /// Says how many bytes of the archive lie behind the reader: right after a member was stepped to, where its content
    /// begins.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.limit - self.allowed - self.left - self.padding
    }

    /// Steps to the next member, skipping what is left of the current one. At the end of the archive
    /// the input has been read to its own end.
    ///
    /// # Errors
    /// When the archive is damaged, truncated, or breaks a rule of this module.
    pub fn next_member(&mut self) -> Result<Option<Member>, ArchiveError> {
        if self.ended {
            return Ok(None);
        }
        self.drain(|_| {})?;
        let mut before = Before::default();
        loop {
            let Some(block) = self.block()? else {
                if before.is_some() {
                    return Err(ArchiveError::Malformed("the tar ends after an extended header".into()));
                }
                self.ended = true;
                return Ok(None);
            };
            match block.kind() {
                b'x' => {
                    let body = self.body(&block, "the length of a pax header", MAX_PAX)?;
                    only(&mut before.pax, Extended::parse(&body)?)?;
                }
                b'g' => pax::check_global(&self.body(&block, "the length of a pax header", MAX_PAX)?)?,
                b'L' => only(&mut before.path, self.long_name(&block)?)?,
                b'K' => only(&mut before.link, self.long_name(&block)?)?,
                _ => return self.member(&block, before).map(Some),
            }
        }
    }

    /// Reads content of the current member; 0 at its end.
    ///
    /// # Errors
    /// When the input fails or ends before the content does.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ArchiveError> {
        if self.left == 0 || buffer.is_empty() {
            return Ok(0);
        }
        let most = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let read = retry(|| self.input.read(&mut buffer[..most]))?;
        if read == 0 {
            return Err(ArchiveError::truncated("a tar entry"));
        }
        self.left -= read as u64;
        Ok(read)
    }

    /// Passes what is left of the current content to `see`, without copying it.
    ///
    /// # Errors
    /// When the input fails or ends before the content does.
    pub fn drain(&mut self, mut see: impl FnMut(&[u8])) -> Result<(), ArchiveError> {
        while self.left + self.padding > 0 {
            let bytes = match self.input.fill_buf() {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            if bytes.is_empty() {
                // umoci writes layers whose last file is not filled up to a block.
                if self.left == 0 && self.end == End::Layer {
                    self.padding = 0;
                    break;
                }
                return Err(ArchiveError::truncated("a tar entry"));
            }
            let content = bytes.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
            see(&bytes[..content]);
            self.left -= content as u64;
            let filling = (bytes.len() - content).min(usize::try_from(self.padding).unwrap_or(usize::MAX));
            self.padding -= filling as u64;
            self.input.consume(content + filling);
        }
        Ok(())
    }

    /// Reads the next header block; `None` when the archive ends there.
    fn block(&mut self) -> Result<Option<Block>, ArchiveError> {
        let mut block = Block([0; BLOCK]);
        match fill(&mut self.input, &mut block.0)? {
            BLOCK => {}
            0 if self.end != End::Required => return Ok(None),
            0 => return Err(ArchiveError::truncated("a tar: its end blocks are missing")),
            _ => return Err(ArchiveError::truncated("a tar header")),
        }
        self.announce(BLOCK as u64)?;
        if block.is_zero() {
            self.finish()?;
            return Ok(None);
        }
        block.check()?;
        Ok(Some(block))
    }

    /// Reads what follows the first zero block: one more at least, and zero bytes to the end; of a layer anything.
    fn finish(&mut self) -> Result<(), ArchiveError> {
        let mut length = 0_u64;
        loop {
            let bytes = match self.input.fill_buf() {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            if bytes.is_empty() {
                break;
            }
            let block = BLOCK.saturating_sub(usize::try_from(length).unwrap_or(BLOCK));
            let zeros = if self.end == End::Layer { bytes.len().min(block) } else { bytes.len() };
            if let Some(at) = bytes[..zeros].iter().position(|byte| *byte != 0) {
                let place =
                    if length + (at as u64) < BLOCK as u64 { "a lone zero block" } else { "the end of the tar" };
                return Err(ArchiveError::Malformed(format!("data follow {place}")));
            }
            let here = bytes.len();
            length += here as u64;
            self.input.consume(here);
            self.announce(here as u64)?;
        }
        if length < BLOCK as u64 && self.end == End::Required {
            return Err(ArchiveError::truncated("a tar: its second end block is missing"));
        }
        Ok(())
    }

    fn member(&mut self, block: &Block, before: Before) -> Result<Member, ArchiveError> {
        let pax = before.pax.unwrap_or_default();
        let path = pax.path.or(before.path).unwrap_or_else(|| block.path());
        let link = pax.link.or(before.link).unwrap_or_else(|| block.link());
        let kind = match block.kind() {
            // Before POSIX a directory was a file whose name ends in a slash; GNU tar still reads it so.
            b'0' | 0 if path.ends_with(b"/") => MemberKind::Directory,
            b'0' | 0 => MemberKind::File,
            b'1' => MemberKind::HardLink(link),
            b'2' => MemberKind::Symlink(link),
            b'3' | b'4' => {
                let (major, minor) = block.device()?;
                if block.kind() == b'3' {
                    MemberKind::CharDevice(major, minor)
                } else {
                    MemberKind::BlockDevice(major, minor)
                }
            }
            b'5' => MemberKind::Directory,
            b'6' => MemberKind::Fifo,
            other => {
                let shown = other.escape_ascii();
                return Err(ArchiveError::Malformed(format!("a tar entry of the type '{shown}', which is not read")));
            }
        };
        let header_size = block.size()?;
        let size = pax.size.unwrap_or(header_size);
        if kind == MemberKind::File {
            self.content(size)?;
        } else if size != 0 {
            return Err(ArchiveError::Malformed("a tar entry that is not a file has content".into()));
        }
        Ok(Member {
            path,
            kind,
            mode: u16::try_from(block.mode()? & 0o7777).unwrap_or_default(),
            uid: owner("uid", pax.uid, block.uid())?,
            gid: owner("gid", pax.gid, block.gid())?,
            mtime: pax.mtime.map_or_else(|| block.mtime(), Ok)?,
            size,
            xattrs: pax.xattrs,
            sha1: pax.sha1,
        })
    }

    /// Announces content and the padding of its last block.
    fn content(&mut self, size: u64) -> Result<(), ArchiveError> {
        self.announce(size)?;
        self.padding = (BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64;
        self.left = size;
        self.announce(self.padding)
    }

    fn announce(&mut self, bytes: u64) -> Result<(), ArchiveError> {
        let what = "the raw length of the archive";
        self.allowed = self.allowed.checked_sub(bytes).ok_or(ArchiveError::Limit { what, limit: self.limit })?;
        match &mut self.content {
            Some((limit, announced)) => {
                *announced = announced.saturating_add(bytes);
                if announced > limit { Err(ArchiveError::Size { limit: *limit }) } else { Ok(()) }
            }
            None => Ok(()),
        }
    }

    /// Reads the body of an extended header whole.
    fn body(&mut self, block: &Block, what: &'static str, limit: u64) -> Result<Vec<u8>, ArchiveError> {
        let size = block.size()?;
        if size > limit {
            return Err(ArchiveError::Limit { what, limit });
        }
        self.content(size)?;
        let mut body = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
        self.drain(|bytes| body.extend_from_slice(bytes))?;
        Ok(body)
    }

    /// Reads the body of an `L` or `K` header: a name and the NUL that ends it.
    fn long_name(&mut self, block: &Block) -> Result<Vec<u8>, ArchiveError> {
        let mut name = self.body(block, "the length of a path", MAX_NAME)?;
        let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
        if end == 0 || name[end..].iter().any(|byte| *byte != 0) {
            return Err(ArchiveError::Malformed("a GNU long name is empty or has a NUL byte in it".into()));
        }
        name.truncate(end);
        Ok(name)
    }
}

impl Before {
    const fn is_some(&self) -> bool {
        self.pax.is_some() || self.path.is_some() || self.link.is_some()
    }
}

fn only<T>(slot: &mut Option<T>, value: T) -> Result<(), ArchiveError> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(ArchiveError::Malformed("two extended headers of one kind for one tar entry".into())),
    }
}

fn owner(what: &str, pax: Option<u64>, block: Result<u64, ArchiveError>) -> Result<u32, ArchiveError> {
    let value = pax.map_or(block, Ok)?;
    u32::try_from(value).map_err(|_| ArchiveError::Malformed(format!("a tar entry has the {what} {value}")))
}

fn retry<T>(mut read: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match read() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

#[cfg(test)]
mod tests;
