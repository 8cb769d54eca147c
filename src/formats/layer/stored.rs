//! Reading the pieces of a stored pack.
//!
//! Nothing is believed: lengths of the table are checked before memory is taken, compressed bytes
//! by their CRC-32, raw bytes by length and theirs. Whatever does not fit is
//! [`LayerError::Damaged`]; only a failing disk is [`LayerError::Stored`].

use std::io::ErrorKind;
use std::os::unix::fs::FileExt;

use super::{Codec, LayerError, Piece, StoredPack, gzip, zstd};

/// Pieces of a stored pack that are compressed together: one of a gzip pack, a frame's of a zstd
/// pack.
pub(super) struct Run<'a> {
    pack: &'a StoredPack,
    /// Where the compressed bytes begin in the file.
    offset: u64,
    pub(super) pieces: &'a [Piece],
}

/// What a run holds, checked.
pub(super) struct Loaded {
    pub(super) packed: Vec<u8>,
    /// The raw bytes of all pieces of the run.
    pub(super) raw: Vec<u8>,
}

/// Lists the runs of a pack in order.
///
/// # Errors
/// When the table or the length of the file cannot be those of a pack.
pub(super) fn runs(pack: &StoredPack) -> Result<impl Iterator<Item = Run<'_>>, LayerError> {
    let length = pack.file.metadata().map_err(LayerError::Stored)?.len();
    if !pack.info.is_sound() || length != pack.info.size {
        return Err(LayerError::Damaged(pack.info.blob));
    }
    let mut offset = match pack.info.codec {
        Codec::Gzip => gzip::HEADER.len() as u64,
        Codec::Zstd => 0,
    };
    Ok(pack.info.runs().map(move |pieces| {
        let run = Run { pack, offset, pieces };
        offset += run.packed();
        run
    }))
}

/// Reads bytes of a pack's file.
///
/// # Errors
/// `Damaged` when the file is too short, else `Stored`.
pub(super) fn read(pack: &StoredPack, offset: u64, length: usize) -> Result<Vec<u8>, LayerError> {
    let mut bytes = vec![0; length];
    pack.file.read_exact_at(&mut bytes, offset).map_err(|error| match error.kind() {
        ErrorKind::UnexpectedEof => LayerError::Damaged(pack.info.blob),
        _ => LayerError::Stored(error),
    })?;
    Ok(bytes)
}

impl Run<'_> {
    /// Gives the raw length of all pieces.
    pub(super) fn raw(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.raw).sum()
    }

    fn packed(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.packed).sum()
    }

    /// Reads, decodes and checks the run.
    ///
    /// # Errors
    /// When it is damaged or cannot be read.
    pub(super) fn load(&self) -> Result<Loaded, LayerError> {
        let damaged = || LayerError::Damaged(self.pack.info.blob);
        let mut packed = read(self.pack, self.offset, self.packed() as usize)?;
        if self.pieces.last().is_none_or(|last| last.packed_crc32 != crc32fast::hash(&packed)) {
            return Err(damaged());
        }
        let length = self.raw() as usize;
        let raw = match self.pack.info.codec {
            Codec::Gzip => gzip::inflate(&mut packed, length),
            Codec::Zstd => zstd::decompress(&packed, length),
        };
        let loaded = Loaded { packed, raw: raw.ok_or_else(damaged)? };
        let whole = self.split(&loaded.raw).all(|(piece, raw)| crc32fast::hash(raw) == piece.crc32);
        if whole { Ok(loaded) } else { Err(damaged()) }
    }

    /// Gives each piece with its raw bytes.
    pub(super) fn split<'r>(&self, raw: &'r [u8]) -> impl Iterator<Item = (&Piece, &'r [u8])> {
        let mut rest = raw;
        self.pieces.iter().map(move |piece| {
            let (own, behind) = rest.split_at(piece.raw as usize);
            rest = behind;
            (piece, own)
        })
    }
}
