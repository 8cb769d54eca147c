//! Layers as bytes: the tar rule, pieces, encoders, packs.
//!
//! A *pack* is a layer tree as bytes, and byte for byte an OCI layer blob. Its raw tar depends on
//! the tree and on [`TAR_RULE`] only, its compressed form on the [`Codec`] as well: no clock, no
//! machine and no number of threads moves a byte. The page `store-schema/TAR-RULE.md` says all of
//! it so exactly that a stranger could write the same bytes.
//!
//! ```text
//! rule     order and headers of entries          walk    the last block of a deflate stream
//! piece    where the raw tar is cut              gzip    pieces that can be joined
//! pack     writing: pieces -> blob               zstd    frames
//! merge    joining stored packs                  stored  reading pieces of a stored pack
//! verify   a stored pack against its trees       info    what is known of a pack, encoded
//! ordered  work in parallel, results in order    ahead   pieces that are guessed while a package is read
//! ```
//!
//! Nothing here knows where packs are kept. Every byte of content that goes into a layer is hashed
//! on its way and must be what the tree says; every byte that is copied out of a stored pack is
//! checked. Memory is bounded: about 24 MiB of raw bytes per pack, however large the files are.

mod ahead;
mod gzip;
mod info;
mod merge;
mod ordered;
mod pack;
mod piece;
mod rule;
mod stored;
mod verify;
mod walk;
mod zstd;

/// Reads any bytes as what is known of a pack: what a fuzzer calls.
///
/// # Panics
/// When what was read is not written the same way.
#[doc(hidden)]
pub fn fuzz_pack(data: &[u8]) {
    if let Ok(info) = PackInfo::decode(data) {
        assert_eq!(info.encode(), data, "what is known of a pack has one encoding");
    }
}

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs::File;
use std::io;

pub use self::ahead::{Ahead, Busy};
pub use self::info::PackInfo;
pub use self::merge::{merge_each, merge_packs};
pub use self::pack::{write_pack, write_tar};
pub use self::verify::verify_pack;
use dlstore_model::digest::{ActionKey, Digest, KeyBuilder, OciDigest};
use dlstore_model::path::TreePath;

/// How a layer's raw tar is compressed.
///
/// The names are our own and are bumped when golden bytes change, whatever the versions of the
/// encoders are: a patch release of a crate must not empty every cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Codec {
    /// One gzip member of libdeflate level 6 pieces: `gzip-1`. Runs everywhere.
    Gzip,
    /// zstd level 3: `zstd-1`. Smaller and faster, unknown to older runtimes.
    Zstd,
}

impl Codec {
    /// Gives the name under which packs of this codec are kept.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip-1",
            Self::Zstd => "zstd-1",
        }
    }

    /// Finds a codec by its name. `None`: this version does not write it.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Gzip, Self::Zstd].into_iter().find(|codec| codec.name() == name)
    }

    /// Gives the OCI media type of such a layer (image specification, layer.md).
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Gzip => "application/vnd.oci.image.layer.v1.tar+gzip",
            Self::Zstd => "application/vnd.oci.image.layer.v1.tar+zstd",
        }
    }
}

/// The tar rule in force; part of every pack key.
pub const TAR_RULE: u32 = 1;

/// What a piece of a pack holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PieceKind {
    /// Directories; a merged layer has its own.
    Directories,
    /// Everything else; a merged layer copies it.
    Body,
    /// The two zero blocks.
    End,
}

/// One independently compressed run of the raw tar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// What it holds.
    pub kind: PieceKind,
    /// Its length in the raw tar, in bytes.
    pub raw: u64,
    /// Its length in the blob, in bytes. In zstd packs the last piece of a frame has the frame's
    /// length, the others 0.
    pub packed: u64,
    /// CRC-32 of its raw bytes.
    pub crc32: u32,
    /// CRC-32 of its bytes in the blob (0 when it has none of its own).
    pub packed_crc32: u32,
}

/// Where the content of a tree's files is read from while a pack is made.
///
/// It is asked from several threads at once, each file's parts in no fixed order.
pub trait Contents: Sync {
    /// Fills `buffer` with the bytes of `path` (whose content is `content`) from `offset` on.
    ///
    /// # Errors
    /// When the bytes cannot be read, or there are fewer.
    fn read_at(&self, path: &TreePath, content: &Digest, offset: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// Gives what a piece of these raw bytes is compressed to in a gzip pack, if that was found out before.
    fn packed(&self, raw: &[u8]) -> Option<Vec<u8>> {
        let _ = raw;
        None
    }
}

/// Contents that lie in memory.
impl Contents for BTreeMap<Digest, Vec<u8>> {
    fn read_at(&self, _path: &TreePath, content: &Digest, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let bytes = self.get(content).ok_or(io::ErrorKind::NotFound)?;
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        let wanted = bytes.get(start..start + buffer.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(wanted);
        Ok(())
    }
}

/// Tells why a layer was not made.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// The content of a file cannot be read.
    #[error("cannot read the content of {path}")]
    Content {
        /// Whose content.
        path: TreePath,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The content of a file is not what its tree says.
    #[error("the content of {0} changed while it was read")]
    Changed(TreePath),
    /// The sink of the layer failed.
    #[error("cannot write the layer")]
    Write(#[source] io::Error),
    /// The file of a stored pack cannot be read.
    #[error("cannot read a stored layer")]
    Stored(#[source] io::Error),
    /// A stored pack is not what its piece table says.
    #[error("the stored layer {0} is damaged")]
    Damaged(OciDigest),
}

/// Gives the key of a pack: which layer trees, in which order, by which rule and codec.
#[must_use]
pub fn pack_key(codec: Codec, parts: &[Digest]) -> ActionKey {
    let mut key = KeyBuilder::new("pack 1");
    key.number(u64::from(TAR_RULE)).bytes(codec.name().as_bytes()).number(parts.len() as u64);
    for part in parts {
        key.bytes(part.as_bytes());
    }
    key.finish()
}

/// One stored pack, opened.
pub struct StoredPack {
    /// What the index knows of it.
    pub info: PackInfo,
    /// Its bytes, read by position.
    pub file: File,
}
