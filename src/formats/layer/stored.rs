//! Reading the pieces of a stored pack.
//!
//! Nothing is believed: lengths of the table are checked before memory is taken, compressed bytes
//! by their CRC-32, raw bytes by length and theirs. Whatever does not fit is
//! [`LayerError::Damaged`]; only a failing disk is [`LayerError::Stored`].

use std::borrow::Borrow;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;

use super::{Codec, LayerError, Piece, StoredPack, gzip, zstd};
use dlstore_model::digest::OciDigest;

/// Pieces of a stored pack that are compressed together: one of a gzip pack, a frame's of a zstd
/// pack.
pub(super) struct Run<'a> {
    pack: &'a StoredPack,
    /// Where the compressed bytes begin in the file.
    offset: u64,
    pub(super) pieces: &'a [Piece],
}

/// A run whose compressed bytes were read: it needs its file no more.
pub(super) struct Fetched {
    codec: Codec,
    blob: OciDigest,
    pub(super) pieces: Vec<Piece>,
    packed: Vec<u8>,
}

/// The runs of a pack, one after the other, for as long as the pack is held here: one that was opened for this is
/// closed with the cursor.
pub(super) struct Cursor<P> {
    pack: P,
    /// The first piece of the next run.
    at: usize,
    offset: u64,
}

impl<P: Borrow<StoredPack>> Cursor<P> {
    /// Goes to the first run.
    ///
    /// # Errors
    /// As [`runs`].
    pub(super) fn new(pack: P) -> Result<Self, LayerError> {
        let offset = first(pack.borrow())?;
        Ok(Self { pack, at: 0, offset })
    }

    /// Gives the next run.
    pub(super) fn next(&mut self) -> Option<Run<'_>> {
        let pack = self.pack.borrow();
        let pieces = pack.info.runs_from(self.at).next()?;
        let run = Run { pack, offset: self.offset, pieces };
        self.at += pieces.len();
        self.offset += run.packed();
        Some(run)
    }
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
    let mut offset = first(pack)?;
    Ok(pack.info.runs().map(move |pieces| {
        let run = Run { pack, offset, pieces };
        offset += run.packed();
        run
    }))
}

/// Checks table and length, and gives where the first run begins.
fn first(pack: &StoredPack) -> Result<u64, LayerError> {
    let length = pack.file.metadata().map_err(LayerError::Stored)?.len();
    if !pack.info.is_sound() || length != pack.info.size {
        return Err(LayerError::Damaged(pack.info.blob));
    }
    Ok(match pack.info.codec {
        Codec::Gzip => gzip::HEADER.len() as u64,
        Codec::Zstd => 0,
    })
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

    /// Gives the codec of the pack.
    pub(super) const fn codec(&self) -> Codec {
        self.pack.info.codec
    }

    fn packed(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.packed).sum()
    }

    /// Reads, decodes and checks the run.
    ///
    /// # Errors
    /// When it is damaged or cannot be read.
    pub(super) fn load(&self) -> Result<Loaded, LayerError> {
        self.fetch()?.load()
    }

    /// Reads the compressed bytes, unchecked.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(super) fn fetch(&self) -> Result<Fetched, LayerError> {
        let packed = read(self.pack, self.offset, self.packed() as usize)?;
        Ok(Fetched { codec: self.pack.info.codec, blob: self.pack.info.blob, pieces: self.pieces.to_vec(), packed })
    }

    /// Gives each piece with its raw bytes.
    pub(super) fn split<'r>(&self, raw: &'r [u8]) -> impl Iterator<Item = (&Piece, &'r [u8])> {
        split(self.pieces, raw)
    }
}

impl Fetched {
    /// Gives the raw length of all pieces.
    pub(super) fn raw(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.raw).sum()
    }

    /// Decodes and checks the run.
    ///
    /// # Errors
    /// When it is damaged.
    pub(super) fn load(self) -> Result<Loaded, LayerError> {
        let Self { codec, blob, pieces, mut packed } = self;
        let damaged = || LayerError::Damaged(blob);
        if pieces.last().is_none_or(|last| last.packed_crc32 != crc32fast::hash(&packed)) {
            return Err(damaged());
        }
        let length = pieces.iter().map(|piece| piece.raw).sum::<u64>() as usize;
        let raw = match codec {
            Codec::Gzip => gzip::inflate(&mut packed, length),
            Codec::Zstd => zstd::decompress(&packed, length),
        };
        let loaded = Loaded { packed, raw: raw.ok_or_else(damaged)? };
        let whole = split(&pieces, &loaded.raw).all(|(piece, raw)| crc32fast::hash(raw) == piece.crc32);
        if whole { Ok(loaded) } else { Err(damaged()) }
    }
}

fn split<'p, 'r>(pieces: &'p [Piece], raw: &'r [u8]) -> impl Iterator<Item = (&'p Piece, &'r [u8])> {
    let mut rest = raw;
    pieces.iter().map(move |piece| {
        let (own, behind) = rest.split_at(piece.raw as usize);
        rest = behind;
        (piece, own)
    })
}
