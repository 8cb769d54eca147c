//! gzip: pieces of deflate that can be joined, and the one member around them.
//!
//! ```text
//! 1f 8b 08 00 00000000 00 ff     header: no name, no time, XFL 0, OS 255
//! piece piece ...                each ends on a byte, none has a final block
//! 03 00                          an empty final block
//! CRC-32, raw length mod 2^32    little-endian
//! ```
//!
//! A piece is what libdeflate makes of its raw bytes at level 6, with the final bit of its last
//! block cleared and an empty stored block behind it, which ends on a byte. There is one member
//! and not one per piece, because several readers stop after the first member. Each piece refers to
//! nothing outside itself, so it means the same wherever it is copied.
//!
//! Sources: RFC 1951 and RFC 1952 (<https://www.rfc-editor.org/rfc/rfc1952>).

use std::cell::RefCell;

use libdeflater::{CompressionLvl, Compressor, Decompressor};

use super::walk::{self, LastBlock};

/// What every gzip layer begins with.
pub(super) const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
/// Length of what every gzip layer ends with.
pub(super) const TRAILER: u64 = 10;

/// Put behind a piece to be inflated: a final stored block that says one byte. It comes out only if
/// the piece before it ended on a byte and without a final block.
const PROBE: [u8; 6] = [1, 1, 0, 0xfe, 0xff, PROBE_SAYS];
const PROBE_SAYS: u8 = 0xa5;

/// Longest run in a stored block.
const MAX_STORED: usize = 0xffff;

thread_local! {
    static COMPRESSOR: RefCell<Deflate> = RefCell::new(Deflate::new());
    static DECOMPRESSOR: RefCell<Decompressor> = RefCell::new(Decompressor::new());
}

struct Deflate {
    compressor: Compressor,
    buffer: Vec<u8>,
}

impl Deflate {
    fn new() -> Self {
        Self { compressor: Compressor::new(CompressionLvl::default()), buffer: Vec::new() }
    }

    fn piece(&mut self, raw: &[u8]) -> Option<Vec<u8>> {
        let bound = self.compressor.deflate_compress_bound(raw.len());
        if self.buffer.len() < bound + walk::SLACK {
            self.buffer.resize(bound + walk::SLACK, 0);
        }
        let length = self.compressor.deflate_compress(raw, &mut self.buffer[..bound]).ok()?;
        self.buffer[length..length + walk::SLACK].fill(0);
        let last = walk::last_block(&self.buffer, length, raw.len())?;
        Some(open(&self.buffer[..length], &last))
    }
}

/// Compresses a piece so that it can be joined.
///
/// The bytes depend on `raw` alone. Should libdeflate ever write what the walk does not accept, the
/// piece is stored: a layer may grow, but it is never wrong.
pub(super) fn compress(raw: &[u8]) -> Vec<u8> {
    COMPRESSOR.with_borrow_mut(|deflate| deflate.piece(raw)).unwrap_or_else(|| store(raw))
}

/// Clears the final bit and appends an empty stored block.
fn open(stream: &[u8], last: &LastBlock) -> Vec<u8> {
    let mut out = Vec::with_capacity(stream.len() + 5);
    out.extend_from_slice(stream);
    out[last.final_bit / 8] &= !(1 << (last.final_bit % 8));
    // Three zero bits of block header must fit behind the last block.
    if !(1..=5).contains(&(last.end % 8)) {
        out.push(0);
    }
    out.extend_from_slice(&[0, 0, 0xff, 0xff]);
    out
}

/// Writes a piece as stored blocks, an empty one at the end.
fn store(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len() + 5 * (raw.len() / MAX_STORED + 2));
    for run in raw.chunks(MAX_STORED).chain([[].as_slice()]) {
        let length = run.len() as u16;
        out.push(0);
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&(!length).to_le_bytes());
        out.extend_from_slice(run);
    }
    out
}

/// Gives the greatest length of a compressed piece, to bound what is read.
pub(super) const fn bound(raw: u64) -> u64 {
    raw + raw / 1000 + 64
}

/// Inflates a joined piece of known raw length; `packed` has the same bytes afterwards.
///
/// `None` when it says fewer or more bytes or cannot stand between other pieces.
pub(super) fn inflate(packed: &mut Vec<u8>, raw: usize) -> Option<Vec<u8>> {
    let length = packed.len();
    packed.extend_from_slice(&PROBE);
    let mut out = vec![0; raw + 1];
    let written = DECOMPRESSOR.with_borrow_mut(|inflate| inflate.deflate_decompress(packed, &mut out)).ok();
    packed.truncate(length);
    let whole = written == Some(raw + 1) && out.pop() == Some(PROBE_SAYS);
    whole.then_some(out)
}

/// Writes what ends a layer: the final block, the CRC-32 and the length of all raw bytes.
pub(super) fn trailer(crc32: u32, raw: u64) -> [u8; TRAILER as usize] {
    let mut out = [3, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    out[2..6].copy_from_slice(&crc32.to_le_bytes());
    out[6..].copy_from_slice(&(raw as u32).to_le_bytes());
    out
}

#[cfg(test)]
mod tests {
    use super::super::walk::{SLACK, last_block};
    use super::*;
    use proptest::prelude::*;
    use std::io::Read;

    /// Bytes of all characters: noise, text, runs, tiny alphabets.
    fn samples() -> impl Strategy<Value = Vec<u8>> {
        let noise = proptest::collection::vec(any::<u8>(), 0..70_000);
        let few = proptest::collection::vec(0_u8..4, 0..70_000);
        let words = proptest::collection::vec("[a-f]{1,9}", 0..6000).prop_map(|words| words.join(" ").into_bytes());
        let run = (any::<u8>(), 0..300_000_usize).prop_map(|(byte, length)| vec![byte; length]);
        let one = prop_oneof![noise, few, words, run];
        proptest::collection::vec(one, 1..4).prop_map(|parts| parts.concat())
    }

    fn member(pieces: &[Vec<u8>], raw: &[u8]) -> Vec<u8> {
        [HEADER.to_vec(), pieces.concat(), trailer(crc32fast::hash(raw), raw.len() as u64).to_vec()].concat()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn joined_pieces_are_one_member_that_other_readers_read(raws in proptest::collection::vec(samples(), 1..4)) {
            let mut pieces: Vec<Vec<u8>> = raws.iter().map(|raw| compress(raw)).collect();
            let mut read = Vec::new();
            flate2::read::GzDecoder::new(member(&pieces, &raws.concat()).as_slice()).read_to_end(&mut read).unwrap();
            prop_assert_eq!(&read, &raws.concat());
            for (piece, raw) in pieces.iter_mut().zip(&raws) {
                prop_assert!(piece.len() as u64 <= bound(raw.len() as u64));
                prop_assert_eq!(inflate(piece, raw.len()), Some(raw.clone()));
                prop_assert_eq!(inflate(piece, raw.len() + 1), None);
                prop_assert_eq!(raw.len().checked_sub(1).and_then(|less| inflate(piece, less)), None);
            }
        }

        #[test]
        fn the_walk_accepts_other_encoders_and_nothing_cut_or_lengthened(raw in samples(), level in 0_u32..10) {
            let mut stream = Vec::new();
            flate2::read::DeflateEncoder::new(raw.as_slice(), flate2::Compression::new(level))
                .read_to_end(&mut stream)
                .unwrap();
            let padded = |stream: &[u8]| [stream, &[0; SLACK]].concat();
            prop_assert!(last_block(&padded(&stream), stream.len(), raw.len()).is_some());
            prop_assert_eq!(last_block(&padded(&stream), stream.len(), raw.len() + 1), None);
            prop_assert_eq!(last_block(&padded(&stream), stream.len() + 1, raw.len()), None);
            let shorter = &stream[..stream.len() - 1];
            prop_assert_eq!(last_block(&padded(shorter), shorter.len(), raw.len()), None);
        }

        #[test]
        fn the_walk_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..400), raw in 0_usize..1000) {
            let padded = [bytes.as_slice(), &[0; SLACK]].concat();
            if last_block(&padded, bytes.len(), raw).is_some() {
                let mut out = vec![0; raw];
                let read = Decompressor::new().deflate_decompress(&bytes, &mut out);
                prop_assert_eq!(read, Ok(raw));
            }
        }
    }

    #[test]
    fn a_stored_piece_is_a_piece() {
        for length in [0, 1, 65_535, 65_536, 200_000] {
            let raw: Vec<u8> = (0..length).map(|at: u32| (at % 251) as u8).collect();
            assert_eq!(inflate(&mut store(&raw), raw.len()), Some(raw));
        }
    }

    #[test]
    fn a_piece_that_ends_the_stream_is_refused() {
        let raw = b"some bytes that are said twice, some bytes that are said twice";
        let mut last = compress(raw);
        assert!(inflate(&mut last, raw.len()).is_some());
        let at = last.len() - 4;
        for closed in [&[1, 0, 0, 0xff, 0xff][..], &[3, 0], &[0]] {
            let mut other = [&last[..at], &[0, 0, 0xff, 0xff], closed].concat();
            assert_eq!(inflate(&mut other, raw.len()), None);
        }
    }
}
