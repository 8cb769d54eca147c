//! zstd: a frame for each run of pieces up to 8 MiB raw.
//!
//! Level 3 through the streaming API, without worker threads, without a checksum: these bytes are
//! the same on every machine, those of the one-shot API and of worker threads are others. Frames do
//! not say their raw length (the streaming API does not know it). There is never a skippable frame:
//! runtimes refuse a layer that begins with one.
//!
//! Source: RFC 8878 (<https://www.rfc-editor.org/rfc/rfc8878>).

use std::io::{self, Write};

use zstd::stream::raw::{Decoder, Operation};

/// Greatest raw length of a frame.
pub(super) const MAX_FRAME: u64 = 8 << 20;
const LEVEL: i32 = 3;

/// Compresses a run of pieces into one frame.
///
/// # Errors
/// When zstd has no memory.
pub(super) fn compress<'p>(pieces: impl Iterator<Item = &'p [u8]>) -> io::Result<Vec<u8>> {
    let mut encoder = ::zstd::stream::write::Encoder::new(Vec::new(), LEVEL)?;
    for piece in pieces {
        encoder.write_all(piece)?;
    }
    encoder.finish()
}

/// Gives the greatest length of a frame, to bound what is read.
pub(super) const fn bound(raw: u64) -> u64 {
    raw + raw / 128 + 1024
}

/// Decodes one frame of known raw length. `None` when it is something else, or not alone.
pub(super) fn decompress(packed: &[u8], raw: usize) -> Option<Vec<u8>> {
    let mut decoder = Decoder::new().ok()?;
    let mut out = vec![0; raw];
    let (mut read, mut written) = (0, 0);
    loop {
        let status = decoder.run_on_buffers(&packed[read..], &mut out[written..]).ok()?;
        read += status.bytes_read;
        written += status.bytes_written;
        if status.remaining == 0 {
            return (read == packed.len() && written == raw).then_some(out);
        }
        if status.bytes_read == 0 && status.bytes_written == 0 {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_comes_back_only_whole_and_alone() {
        let raw: Vec<u8> = (0..3_000_000_u32).flat_map(|at| (at / 7).to_le_bytes()).take(5_000_000).collect();
        let frame = compress([&raw[..4 << 20], &raw[4 << 20..]].into_iter()).unwrap();
        assert_eq!(decompress(&frame, raw.len()).as_ref(), Some(&raw));
        assert!(frame.len() as u64 <= bound(raw.len() as u64));
        assert_eq!(frame[..4], [0x28, 0xb5, 0x2f, 0xfd]);
        let skippable = [0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0];
        for bad in [&frame[..frame.len() - 1], &[&frame[..], &frame].concat(), &[&skippable[..], &frame].concat()] {
            assert_eq!(decompress(bad, raw.len()), None);
        }
        assert_eq!(decompress(&frame, raw.len() - 1), None);
        assert_eq!(decompress(&frame, raw.len() + 1), None);
    }
}
