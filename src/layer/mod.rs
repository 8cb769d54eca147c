//! Layers as bytes: the tar rule, pieces, encoders, packs.
//! STUB: interface
use std::fs::File;
use std::io::{self, Write};

use crate::digest::{ActionKey, Digest, OciDigest};
use crate::path::TreePath;
use crate::tree::Tree;

/// How a layer's raw tar is compressed. The names are our own and are bumped when golden bytes change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Codec {
    /// One gzip member of libdeflate level 6 pieces: `gzip-1`.
    Gzip,
    /// zstd level 3: `zstd-1`.
    Zstd,
}

impl Codec {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip-1",
            Self::Zstd => "zstd-1",
        }
    }
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Gzip, Self::Zstd].into_iter().find(|codec| codec.name() == name)
    }
    /// The OCI media type of such a layer.
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
    Folders,
    Body,
    End,
}

/// One independently compressed run of the raw tar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    pub kind: PieceKind,
    pub raw: u64,
    pub packed: u64,
    pub crc32: u32,
}

/// Everything that is known of a pack beside its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackInfo {
    pub codec: Codec,
    pub blob: OciDigest,
    pub size: u64,
    pub diff_id: OciDigest,
    pub raw_size: u64,
    pub pieces: Vec<Piece>,
}

impl PackInfo {
    pub fn encode(&self) -> Vec<u8> {
        todo!()
    }
    pub fn decode(_bytes: &[u8]) -> Result<Self, crate::encoding::DecodeError> {
        todo!()
    }
}

/// Where the content of a tree's files is read from while a pack is made.
pub trait Contents: Sync {
    /// Fills `buffer` with the bytes of `path` (whose content is `content`) from `offset` on.
    fn read_at(&self, path: &TreePath, content: &Digest, offset: u64, buffer: &mut [u8]) -> io::Result<()>;
}

#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    #[error("cannot read the content of {path}")]
    Content {
        path: TreePath,
        #[source]
        source: io::Error,
    },
    #[error("the content of {0} changed while it was read")]
    Changed(TreePath),
    #[error("cannot write the layer")]
    Write(#[source] io::Error),
    #[error("cannot read a stored layer")]
    Stored(#[source] io::Error),
    #[error("the stored layer {0} is damaged")]
    Damaged(OciDigest),
}

/// The key of a pack: which layer trees, in which order, by which rule and codec.
pub fn pack_key(_codec: Codec, _parts: &[Digest]) -> ActionKey {
    todo!()
}

/// Writes one layer tree (all parents present) as a pack.
pub fn write_pack(
    _tree: &Tree,
    _contents: &dyn Contents,
    _codec: Codec,
    _out: &mut dyn Write,
) -> Result<PackInfo, LayerError> {
    todo!()
}

/// One stored pack, opened.
pub struct StoredPack {
    pub info: PackInfo,
    pub file: File,
}

/// Joins packs into one: the folders of all of them united, then their bodies in order, verbatim.
pub fn merge_packs(
    _folders: &Tree,
    _parts: &[StoredPack],
    _codec: Codec,
    _out: &mut dyn Write,
) -> Result<PackInfo, LayerError> {
    todo!()
}

/// Decodes a pack whole and compares it with what it should hold. Ok(false): it differs.
pub fn verify_pack(_parts: &[Tree], _pack: &StoredPack) -> Result<bool, LayerError> {
    todo!()
}

/// Writes a tree as plain canonical tar (the source of a folder).
pub fn write_tar(_tree: &Tree, _contents: &dyn Contents, _out: &mut dyn Write) -> Result<(), LayerError> {
    todo!()
}
