//! Decompressors with bounded memory, each a plain [`Read`] over a single pass of its input.
//!
//! Two promises hold for every one of them:
//! - **memory**: a dictionary or window larger than the given bound is refused before it is
//!   allocated (liblzma's memory limit, zstd's greatest window; gzip and bzip2 need little by
//!   nature). A few bytes can claim a window of gigabytes;
//! - **all of the input counts**: it must be whole, and nothing may follow the compressed data. Xz,
//!   gzip, zstd and bzip2 may consist of several streams, which are joined as their own tools do;
//!   bytes that begin no further stream are an error, since other tools would not see them.
//!
//! xz and lzma are decoded by liblzma, whose share of reading a `.deb` is nearly all of it.

use std::io::{self, BufRead, Read};

use bzip2::bufread::MultiBzDecoder;
use flate2::bufread::MultiGzDecoder;
use liblzma::bufread::XzDecoder;
use liblzma::stream::{CONCATENATED, Stream};

use super::ArchiveError;

/// Greatest window of zstd that is accepted, as a power of two: 64 MiB.
const ZSTD_WINDOW: u32 = 26;

/// The compressions that packages come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Stored as it is.
    None,
    /// RFC 1952, one member or several.
    Gzip,
    /// The xz format, one stream or several.
    Xz,
    /// The older `.lzma` format.
    Lzma,
    /// RFC 8878, one frame or several.
    Zstd,
    /// bzip2, one stream or several.
    Bzip2,
}

impl Compression {
    /// Finds the compression that a file name's last extension stands for: `gz`, `xz`, `lzma`,
    /// `zst`, `bz2`, or nothing for none.
    #[must_use]
    pub fn from_extension(extension: &str) -> Option<Self> {
        match extension {
            "" => Some(Self::None),
            "gz" => Some(Self::Gzip),
            "xz" => Some(Self::Xz),
            "lzma" => Some(Self::Lzma),
            "zst" => Some(Self::Zstd),
            "bz2" => Some(Self::Bzip2),
            _ => None,
        }
    }

    /// Finds the compression that bytes begin with. Lzma has no magic and is never found.
    #[must_use]
    pub fn from_magic(bytes: &[u8]) -> Option<Self> {
        let magics: [(&[u8], Self); 4] = [
            (b"\x1f\x8b", Self::Gzip),
            (b"\xfd7zXZ\0", Self::Xz),
            (b"\x28\xb5\x2f\xfd", Self::Zstd),
            (b"BZh", Self::Bzip2),
        ];
        magics.into_iter().find(|(magic, _)| bytes.starts_with(magic)).map(|(_, found)| found)
    }
}

/// Memory that any dictionary of up to 8 MiB fits into: what `xz -6` and `zstd -19` use.
const USUAL: u64 = 10 << 20;
/// Memory of a decoder beside its dictionary or window.
const STATE: u64 = 1 << 20;

/// Says how much memory a decompressor needs for input that begins with `start`, in bytes, and never
/// less than what the usual dictionaries need: a later stream may be another than the first. `None`
/// where the start does not say it.
#[must_use]
pub fn memory_of(compression: Compression, start: &[u8]) -> Option<u64> {
    let window = match compression {
        Compression::None | Compression::Gzip => return Some(STATE),
        Compression::Bzip2 => return Some(USUAL),
        Compression::Xz => xz_dictionary(start)?,
        Compression::Lzma => u64::from(u32::from_le_bytes(start.get(1..5)?.try_into().ok()?)),
        Compression::Zstd => zstd_window(start)?.checked_next_power_of_two()?,
    };
    Some(window.saturating_add(STATE).max(USUAL))
}

/// Finds the dictionary of the first block of an xz stream (xz file format 1.2, sections 3.1 and 5.3.1).
fn xz_dictionary(start: &[u8]) -> Option<u64> {
    let flags = *start.get(13)?;
    let mut rest = start.get(14..)?;
    let number = |rest: &mut &[u8]| {
        let length = rest.iter().take(9).position(|byte| byte & 0x80 == 0)? + 1;
        let value = rest[..length].iter().rev().fold(0_u64, |value, byte| value << 7 | u64::from(byte & 0x7f));
        *rest = &rest[length..];
        Some(value)
    };
    // Lengths before and after compression may stand before the filters.
    for bit in [0x40, 0x80] {
        if flags & bit != 0 {
            number(&mut rest)?;
        }
    }
    for _ in 0..=flags & 3 {
        let (id, length) = (number(&mut rest)?, number(&mut rest)?);
        let properties = rest.get(..usize::try_from(length).ok()?)?;
        if id == 0x21 {
            let bits = *properties.first()?;
            return (bits < 40).then(|| (2 | u64::from(bits & 1)) << (bits / 2 + 11));
        }
        rest = &rest[properties.len()..];
    }
    None
}

/// Finds the window of the first zstd frame (RFC 8878, 3.1.1.1).
fn zstd_window(start: &[u8]) -> Option<u64> {
    let (magic, descriptor) = (start.get(..4)?, *start.get(4)?);
    if magic != b"\x28\xb5\x2f\xfd" {
        return None;
    }
    if descriptor & 0x20 == 0 {
        let bits = *start.get(5)?;
        let base = 1_u64.checked_shl(10 + u32::from(bits >> 3))?;
        return Some(base + base / 8 * u64::from(bits & 7));
    }
    // A single segment: the window is the length of the content.
    let at = 5 + [0, 1, 2, 4][usize::from(descriptor & 3)];
    let length = [1, 2, 4, 8][usize::from(descriptor >> 6)];
    let field = start.get(at..at + length)?;
    let value = field.iter().rev().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
    Some(if length == 2 { value + 256 } else { value })
}

/// Gives the raw bytes of compressed input.
pub struct Decoder<R: BufRead>(Inner<R>);

enum Inner<R: BufRead> {
    None(R),
    Gzip(MultiGzDecoder<R>),
    Xz(XzDecoder<R>),
    Lzma(XzDecoder<R>),
    Zstd(zstd::stream::read::Decoder<'static, R>),
    Bzip2(MultiBzDecoder<R>),
}

impl<R: BufRead> Decoder<R> {
    /// Starts decoding; `memory` bounds the dictionary or window, in bytes.
    ///
    /// # Errors
    /// When the decoder cannot be set up.
    pub fn new(compression: Compression, input: R, memory: u64) -> Result<Self, ArchiveError> {
        Ok(Self(match compression {
            Compression::None => Inner::None(input),
            Compression::Gzip => Inner::Gzip(MultiGzDecoder::new(input)),
            Compression::Xz => {
                let stream = Stream::new_stream_decoder(memory, CONCATENATED).map_err(io::Error::from)?;
                Inner::Xz(XzDecoder::new_stream(input, stream))
            }
            Compression::Lzma => {
                let stream = Stream::new_lzma_decoder(memory).map_err(io::Error::from)?;
                Inner::Lzma(XzDecoder::new_stream(input, stream))
            }
            Compression::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(input)?;
                decoder.window_log_max(memory.max(1).ilog2().clamp(10, ZSTD_WINDOW))?;
                Inner::Zstd(decoder)
            }
            Compression::Bzip2 => Inner::Bzip2(MultiBzDecoder::new(input)),
        }))
    }

    /// Gives back the input. Bytes that were not decoded yet are still in it.
    pub fn get_ref(&self) -> &R {
        match &self.0 {
            Inner::None(input) => input,
            Inner::Gzip(decoder) => decoder.get_ref(),
            Inner::Xz(decoder) | Inner::Lzma(decoder) => decoder.get_ref(),
            Inner::Zstd(decoder) => decoder.get_ref(),
            Inner::Bzip2(decoder) => decoder.get_ref(),
        }
    }
}

impl<R: BufRead> Read for Decoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.0 {
            Inner::None(input) => input.read(buffer),
            Inner::Gzip(decoder) => decoder.read(buffer),
            Inner::Xz(decoder) => decoder.read(buffer),
            Inner::Lzma(decoder) => {
                let read = decoder.read(buffer)?;
                // Alone among the formats, lzma knows no second stream: liblzma stops and is content.
                if read == 0 && !buffer.is_empty() && !decoder.get_mut().fill_buf()?.is_empty() {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "bytes follow the lzma data"));
                }
                Ok(read)
            }
            Inner::Zstd(decoder) => decoder.read(buffer),
            Inner::Bzip2(decoder) => decoder.read(buffer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    const ALL: [Compression; 6] = [
        Compression::None,
        Compression::Gzip,
        Compression::Xz,
        Compression::Lzma,
        Compression::Zstd,
        Compression::Bzip2,
    ];
    const MEMORY: u64 = 80 << 20;

    fn encode(compression: Compression, raw: &[u8]) -> Vec<u8> {
        match compression {
            Compression::None => raw.to_vec(),
            Compression::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(raw).unwrap();
                encoder.finish().unwrap()
            }
            Compression::Xz => liblzma::encode_all(raw, 1).unwrap(),
            Compression::Lzma => {
                let options = liblzma::stream::LzmaOptions::new_preset(1).unwrap();
                let stream = Stream::new_lzma_encoder(&options).unwrap();
                let mut encoder = liblzma::read::XzEncoder::new_stream(raw, stream);
                let mut bytes = Vec::new();
                encoder.read_to_end(&mut bytes).unwrap();
                bytes
            }
            Compression::Zstd => zstd::encode_all(raw, 1).unwrap(),
            Compression::Bzip2 => {
                let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
                encoder.write_all(raw).unwrap();
                encoder.finish().unwrap()
            }
        }
    }

    fn decode(compression: Compression, bytes: &[u8], memory: u64) -> Result<Vec<u8>, ArchiveError> {
        let mut raw = Vec::new();
        // A buffer of three bytes: every seam between two refills is met.
        let input = io::BufReader::with_capacity(3, bytes);
        Decoder::new(compression, input, memory)?.read_to_end(&mut raw)?;
        Ok(raw)
    }

    #[test]
    fn every_compression_gives_back_what_went_in() {
        let raw: Vec<u8> = (0..70_000_u32).flat_map(u32::to_le_bytes).collect();
        for compression in ALL {
            let bytes = encode(compression, &raw);
            assert_eq!(decode(compression, &bytes, MEMORY).unwrap(), raw, "{compression:?}");
            let magic = Compression::from_magic(&bytes);
            let has_magic = !matches!(compression, Compression::None | Compression::Lzma);
            assert_eq!(magic, has_magic.then_some(compression));
        }
    }

    #[test]
    fn joined_streams_are_one_and_other_bytes_behind_are_an_error() {
        for compression in ALL.into_iter().skip(1) {
            let bytes = encode(compression, b"one");
            for garbage in [&b"\0"[..], b"x", b"\0\0\0\0\0garbage", &bytes[..bytes.len() - 1]] {
                let joined = [&bytes, garbage].concat();
                assert!(decode(compression, &joined, MEMORY).is_err(), "{compression:?} {garbage:?}");
            }
            if compression != Compression::Lzma {
                let joined = [bytes, encode(compression, b" two")].concat();
                assert_eq!(decode(compression, &joined, MEMORY).unwrap(), b"one two", "{compression:?}");
            }
        }
    }

    #[test]
    fn input_that_ends_early_is_an_error_at_every_byte() {
        for compression in ALL.into_iter().skip(1) {
            let bytes = encode(compression, b"some text, some text, some text");
            for end in 0..bytes.len() {
                // An empty zstd input is zero frames; what reads the result misses its end.
                if !(compression == Compression::Zstd && end == 0) {
                    assert!(decode(compression, &bytes[..end], MEMORY).is_err(), "{compression:?} {end}");
                }
            }
        }
    }

    #[test]
    fn the_memory_that_a_start_claims_is_enough_and_no_less_fits_a_larger_dictionary() {
        let raw: Vec<u8> = (0..70_000_u32).flat_map(u32::to_le_bytes).collect();
        for compression in ALL {
            let bytes = encode(compression, &raw);
            let memory = memory_of(compression, &bytes).unwrap();
            assert!(memory <= USUAL, "{compression:?} {memory}");
            assert_eq!(decode(compression, &bytes, memory).unwrap(), raw, "{compression:?}");
            if matches!(compression, Compression::Xz | Compression::Lzma | Compression::Zstd) {
                assert_eq!(memory_of(compression, &bytes[..4]), None, "{compression:?}");
            }
        }
        for (level, dictionary) in [(6, 8), (7, 16), (8, 32), (9, 64)] {
            let bytes = liblzma::encode_all(&b"x"[..], level).unwrap();
            let memory = memory_of(Compression::Xz, &bytes).unwrap();
            assert_eq!(memory, ((dictionary + 1) << 20).max(USUAL));
            assert_eq!(decode(Compression::Xz, &bytes, memory).unwrap(), b"x");
        }
        // A window of 12 MiB: between two powers of two.
        let frame = b"\x28\xb5\x2f\xfd\x00\x6c\x09\0\0x";
        let memory = memory_of(Compression::Zstd, frame).unwrap();
        assert_eq!(memory, 17 << 20);
        assert_eq!(decode(Compression::Zstd, frame, memory).unwrap(), b"x");
    }

    #[test]
    fn a_dictionary_beyond_the_bound_is_refused() {
        let xz = {
            let mut options = liblzma::stream::LzmaOptions::new_preset(0).unwrap();
            options.dict_size(1 << 30);
            let mut filters = liblzma::stream::Filters::new();
            filters.lzma2(&options);
            // Encoding with a large dictionary would need it too: the header alone is changed.
            let small = encode(Compression::Xz, b"x");
            let mut bytes = small;
            bytes[16] = 36; // dictionary of 1 GiB (xz format, 5.3.1)
            let crc = crc32fast::hash(&bytes[12..20]);
            bytes[20..24].copy_from_slice(&crc.to_le_bytes());
            bytes
        };
        assert!(decode(Compression::Xz, &xz, MEMORY).is_err());
        assert_eq!(decode(Compression::Xz, &xz, 2 << 30).unwrap(), b"x", "only the bound was in the way");

        let mut lzma = encode(Compression::Lzma, b"x");
        lzma[1..5].copy_from_slice(&(1_u32 << 30).to_le_bytes());
        assert!(decode(Compression::Lzma, &lzma, MEMORY).is_err());

        // A frame header with a window of 2 GiB and one raw block "x" (RFC 8878, 3.1.1.1.2).
        let zstd = |window_log: u8| [b"\x28\xb5\x2f\xfd\x00", &[(window_log - 10) << 3][..], b"\x09\0\0x"].concat();
        assert!(decode(Compression::Zstd, &zstd(31), MEMORY).is_err());
        assert!(decode(Compression::Zstd, &zstd(27), MEMORY).is_err());
        assert_eq!(decode(Compression::Zstd, &zstd(26), MEMORY).unwrap(), b"x");
    }
}
