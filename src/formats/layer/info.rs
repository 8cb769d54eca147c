//! What is known of a pack beside its bytes, as the index keeps it.
//!
//! Encoding, with the primitives of [`crate::encoding`]:
//! ```text
//! "dlstore pack 1\n"  codec name (text)  blob (32)  size u64  diff ID (32)  raw size u64
//! number of pieces u32, then for each: kind u8 (0 directories, 1 body, 2 end), raw u64, packed u64,
//! CRC-32 of the raw bytes u32, CRC-32 of the packed bytes u32
//! ```
//! A table that is read is checked as a whole, so that a reader of the blob can trust its lengths:
//! they add up to the sizes, and none asks for more memory than a piece may take.

use super::piece::MAX_PIECE;
use super::{Codec, Piece, PieceKind, gzip, rule, zstd};
use dlstore_model::digest::OciDigest;
use dlstore_model::encoding::{DecodeError, Decoder, Encoder};

const MAGIC: &str = "dlstore pack 1\n";
/// Encoded length of a piece.
const PIECE: usize = 25;

/// Everything that is known of a pack beside its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackInfo {
    /// How it is compressed.
    pub codec: Codec,
    /// SHA-256 of the blob.
    pub blob: OciDigest,
    /// Length of the blob in bytes.
    pub size: u64,
    /// SHA-256 of the raw tar.
    pub diff_id: OciDigest,
    /// Length of the raw tar in bytes.
    pub raw_size: u64,
    /// The pieces in order.
    pub pieces: Vec<Piece>,
}

impl PackInfo {
    /// Writes the encoding that the index keeps.
    ///
    /// # Panics
    /// When there are 2^32 pieces; each stands for bytes that were written.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::new(MAGIC);
        out.bytes(self.codec.name().as_bytes()).raw(self.blob.as_bytes()).u64(self.size);
        out.raw(self.diff_id.as_bytes()).u64(self.raw_size);
        out.u32(u32::try_from(self.pieces.len()).expect("a layer has far less than 2^32 pieces"));
        for piece in &self.pieces {
            let kind = match piece.kind {
                PieceKind::Directories => 0,
                PieceKind::Body => 1,
                PieceKind::End => 2,
            };
            out.u8(kind).u64(piece.raw).u64(piece.packed).u32(piece.crc32).u32(piece.packed_crc32);
        }
        out.finish()
    }

    /// Reads what [`PackInfo::encode`] wrote.
    ///
    /// # Errors
    /// When the bytes follow another encoding, name an unknown codec, or the pieces cannot be those
    /// of a pack of that size.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Decoder::new(bytes, MAGIC)?;
        let codec = Codec::from_name(&input.text()?).ok_or(DecodeError("unknown codec"))?;
        let blob = OciDigest::from_bytes(input.digest()?);
        let size = input.u64()?;
        let diff_id = OciDigest::from_bytes(input.digest()?);
        let raw_size = input.u64()?;
        let count = input.u32()? as usize;
        if count > input.left() / PIECE {
            return Err(DecodeError("more pieces than bytes"));
        }
        let mut pieces = Vec::with_capacity(count);
        for _ in 0..count {
            let kind = match input.u8()? {
                0 => PieceKind::Directories,
                1 => PieceKind::Body,
                2 => PieceKind::End,
                _ => return Err(DecodeError("unknown kind of piece")),
            };
            pieces.push(Piece {
                kind,
                raw: input.u64()?,
                packed: input.u64()?,
                crc32: input.u32()?,
                packed_crc32: input.u32()?,
            });
        }
        input.finish()?;
        let info = Self { codec, blob, size, diff_id, raw_size, pieces };
        if info.is_sound() { Ok(info) } else { Err(DecodeError("pieces that do not make a pack")) }
    }

    /// Says whether the pieces can be those of a pack of this size and codec.
    pub(super) fn is_sound(&self) -> bool {
        let sum = |of: fn(&Piece) -> u64| self.pieces.iter().map(of).try_fold(0, u64::checked_add);
        let around = match self.codec {
            Codec::Gzip => gzip::HEADER.len() as u64 + gzip::TRAILER,
            Codec::Zstd => 0,
        };
        let kinds = self.pieces.iter().map(|piece| piece.kind as u8);
        kinds.is_sorted()
            && self.pieces.iter().filter(|piece| piece.kind == PieceKind::End).count() == 1
            && self.pieces.last().is_some_and(|last| last.raw == rule::END)
            && self.pieces.iter().all(|piece| (1..=MAX_PIECE).contains(&piece.raw))
            && sum(|piece| piece.raw) == Some(self.raw_size)
            && sum(|piece| piece.packed).and_then(|packed| packed.checked_add(around)) == Some(self.size)
            && self.runs().all(|run| self.is_sound_run(run))
    }

    /// Gives the pieces that are compressed together: each of a gzip pack, a frame's of a zstd pack.
    pub(super) fn runs(&self) -> impl Iterator<Item = &[Piece]> {
        self.runs_from(0)
    }

    /// Gives the runs from the one that begins with a piece.
    pub(super) fn runs_from(&self, at: usize) -> impl Iterator<Item = &[Piece]> {
        let together = self.codec == Codec::Zstd;
        self.pieces.get(at..).unwrap_or_default().chunk_by(move |piece, _| together && piece.packed == 0)
    }

    fn is_sound_run(&self, run: &[Piece]) -> bool {
        // Each length is at most MAX_PIECE here, so the sum cannot overflow.
        let raw: u64 = run.iter().map(|piece| piece.raw).sum();
        let (most, bound) = match self.codec {
            Codec::Gzip => (MAX_PIECE, gzip::bound(raw)),
            Codec::Zstd => (zstd::MAX_FRAME, zstd::bound(raw)),
        };
        let lone = run.iter().all(|piece| piece.packed > 0 || piece.packed_crc32 == 0);
        raw <= most && lone && run.last().is_some_and(|last| (1..=bound).contains(&last.packed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(codec: Codec) -> PackInfo {
        let piece = |kind, raw, packed| Piece { kind, raw, packed, crc32: 7, packed_crc32: u32::from(packed > 0) };
        let frame = if codec == Codec::Zstd { 0 } else { 40 };
        PackInfo {
            codec,
            blob: OciDigest::of(b"blob"),
            size: if codec == Codec::Zstd { 60 } else { 160 },
            diff_id: OciDigest::of(b"raw"),
            raw_size: 1024 + 512 + 4096,
            pieces: vec![
                piece(PieceKind::Directories, 512, frame),
                piece(PieceKind::Body, 4096, frame),
                piece(PieceKind::End, 1024, 60),
            ],
        }
    }

    #[test]
    fn the_encoding_gives_back_the_info_and_only_whole() {
        for codec in [Codec::Gzip, Codec::Zstd] {
            let info = sample(codec);
            let bytes = info.encode();
            assert_eq!(PackInfo::decode(&bytes), Ok(info));
            for end in 0..bytes.len() {
                assert!(PackInfo::decode(&bytes[..end]).is_err());
            }
        }
    }

    #[test]
    fn tables_that_no_pack_has_are_refused() {
        let changes: [fn(&mut PackInfo); 9] = [
            |info| info.size += 1,
            |info| info.raw_size -= 1,
            |info| info.pieces.swap(0, 1),
            |info| info.pieces[2].kind = PieceKind::Body,
            |info| info.pieces[1].kind = PieceKind::End,
            |info| (info.pieces[1].raw, info.raw_size) = (MAX_PIECE + 1, 1536 + MAX_PIECE + 1),
            |info| (info.pieces[2].packed, info.size) = (1 << 40, (1 << 40) + info.size - 60),
            |info| (info.pieces[1].raw, info.raw_size) = (0, 1536),
            |info| (info.pieces[0].packed, info.pieces[2].packed) = (u64::MAX, 61),
        ];
        for (at, change) in changes.iter().enumerate() {
            for codec in [Codec::Gzip, Codec::Zstd] {
                let mut info = sample(codec);
                change(&mut info);
                assert!(PackInfo::decode(&info.encode()).is_err(), "{at} {codec:?}");
            }
        }
    }
}
