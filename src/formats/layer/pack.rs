//! Writing a pack: pieces in, blob out.
//!
//! Pieces are filled and compressed in parallel; everything that depends on the order (digests of
//! the whole, content of files that several pieces share, the output itself) is done as they come
//! out in order. A gzip pack is compressed piece by piece, a zstd pack in frames of whole pieces.

use std::io::Write;

use sha2::{Digest as _, Sha256};

use super::info::PackInfo;
use super::ordered::in_order;
use super::piece::{Cut, Plan, Shared, SharedContent};
use super::stored::Fetched;
use super::{Codec, Contents, LayerError, Piece, PieceKind, gzip, zstd};
use dlstore_model::digest::OciDigest;
use dlstore_model::tree::Tree;

/// Writes one layer tree (all parents present) as a pack.
///
/// The bytes depend on the tree and the codec only. Contents are read once, hashed, and compared
/// with the tree.
///
/// # Errors
/// When content cannot be read or is not what the tree says, or `out` fails. What was written to
/// `out` until then is no pack.
pub fn write_pack(
    tree: &Tree,
    contents: &dyn Contents,
    codec: Codec,
    out: &mut dyn Write,
) -> Result<PackInfo, LayerError> {
    let plan = Plan::whole(std::slice::from_ref(tree));
    let pieces = plan.pieces().chain([Cut::end()]).map(|cut| Ok(Source::Planned(cut, contents)));
    assemble(codec, pieces, out)
}

/// Writes a tree as plain canonical tar (the source of a directory): the raw bytes of its pack.
///
/// # Errors
/// As [`write_pack`].
pub fn write_tar(tree: &Tree, contents: &dyn Contents, out: &mut dyn Write) -> Result<(), LayerError> {
    let mut shared = SharedContent::default();
    for cut in Plan::whole(std::slice::from_ref(tree)).pieces().chain([Cut::end()]) {
        let raw = cut.fill(contents)?;
        if let Some(path) = shared.take(&cut.into_shared(), &raw) {
            return Err(LayerError::Changed(path.clone()));
        }
        out.write_all(&raw).map_err(LayerError::Write)?;
    }
    out.flush().map_err(LayerError::Write)
}

/// Where the raw bytes of a piece come from.
pub(super) enum Source<'a> {
    /// From entries and contents.
    Planned(Cut, &'a dyn Contents),
    /// They are here.
    Loaded(PieceKind, Vec<u8>),
    /// From a piece of a stored gzip pack, whose compressed bytes are copied.
    Copied(Fetched),
}

impl Source<'_> {
    fn raw(&self) -> u64 {
        match self {
            Self::Planned(cut, _) => cut.raw,
            Self::Loaded(_, raw) => raw.len() as u64,
            Self::Copied(run) => run.raw(),
        }
    }

    fn load(self, codec: Codec) -> Result<Filled, LayerError> {
        match self {
            Self::Planned(cut, contents) => {
                let raw = cut.fill(contents)?;
                let (kind, crc32) = (cut.kind, crc32fast::hash(&raw));
                let packed = if codec == Codec::Gzip { contents.packed(&raw) } else { None };
                Ok(Filled { kind, crc32, raw, shared: cut.into_shared(), packed })
            }
            Self::Loaded(kind, raw) => {
                Ok(Filled { kind, crc32: crc32fast::hash(&raw), raw, shared: Shared::new(), packed: None })
            }
            Self::Copied(run) => {
                let Piece { kind, crc32, .. } = run.pieces[0];
                let loaded = run.load()?;
                Ok(Filled { kind, crc32, raw: loaded.raw, shared: Shared::new(), packed: Some(loaded.packed) })
            }
        }
    }
}

/// A piece with its raw bytes.
struct Filled {
    kind: PieceKind,
    raw: Vec<u8>,
    crc32: u32,
    /// The parts of it that other pieces share.
    shared: Shared,
    /// The compressed bytes, when they are copied or known.
    packed: Option<Vec<u8>>,
}

/// Pieces that are compressed together, and what came of it.
struct Packed {
    pieces: Vec<Filled>,
    bytes: Vec<u8>,
    crc32: u32,
}

/// Makes a pack out of its pieces.
///
/// # Errors
/// The first error of a source in order, or of `out`.
pub(super) fn assemble<'a>(
    codec: Codec,
    sources: impl Iterator<Item = Result<Source<'a>, LayerError>>,
    out: &mut dyn Write,
) -> Result<PackInfo, LayerError> {
    let most = match codec {
        Codec::Gzip => 1,
        Codec::Zstd => zstd::MAX_FRAME,
    };
    let mut assembly = Assembly::new(codec, out);
    if codec == Codec::Gzip {
        assembly.put(&gzip::HEADER)?;
    }
    let weight = |run: &Vec<Source<'_>>| run.iter().map(Source::raw).sum();
    in_order(Runs { sources, most, open: None }, weight, |run| compress(codec, run), |packed| assembly.take(packed))?;
    assembly.finish()
}

/// Groups sources into runs of up to `most` raw bytes, at least one each.
struct Runs<'a, S> {
    sources: S,
    most: u64,
    open: Option<Source<'a>>,
}

impl<'a, S: Iterator<Item = Result<Source<'a>, LayerError>>> Iterator for Runs<'a, S> {
    type Item = Result<Vec<Source<'a>>, LayerError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut run = Vec::new();
        let mut raw = 0;
        loop {
            let source = match self.open.take().map(Ok).or_else(|| self.sources.next()) {
                Some(Ok(source)) => source,
                Some(Err(error)) => return Some(Err(error)),
                None => return (!run.is_empty()).then_some(Ok(run)),
            };
            if !run.is_empty() && raw + source.raw() > self.most {
                self.open = Some(source);
                return Some(Ok(run));
            }
            raw += source.raw();
            run.push(source);
        }
    }
}

fn compress(codec: Codec, run: Vec<Source<'_>>) -> Result<Packed, LayerError> {
    let mut pieces: Vec<Filled> = run.into_iter().map(|source| source.load(codec)).collect::<Result<_, _>>()?;
    let bytes = match codec {
        Codec::Gzip => {
            let own = |piece: &mut Filled| piece.packed.take().unwrap_or_else(|| gzip::compress(&piece.raw));
            let mut joined = pieces.iter_mut().map(own);
            let mut bytes = joined.next().unwrap_or_default();
            joined.for_each(|more| bytes.extend_from_slice(&more));
            bytes
        }
        Codec::Zstd => zstd::compress(pieces.iter().map(|piece| piece.raw.as_slice())).map_err(LayerError::Write)?,
    };
    Ok(Packed { crc32: crc32fast::hash(&bytes), pieces, bytes })
}

/// Everything of a pack that depends on the order of its pieces.
struct Assembly<'o> {
    codec: Codec,
    out: &'o mut dyn Write,
    blob: Sha256,
    size: u64,
    diff_id: Sha256,
    raw_size: u64,
    crc32: crc32fast::Hasher,
    pieces: Vec<Piece>,
    shared: SharedContent,
}

impl<'o> Assembly<'o> {
    fn new(codec: Codec, out: &'o mut dyn Write) -> Self {
        Self {
            codec,
            out,
            blob: Sha256::new(),
            size: 0,
            diff_id: Sha256::new(),
            raw_size: 0,
            crc32: crc32fast::Hasher::new(),
            pieces: Vec::new(),
            shared: SharedContent::default(),
        }
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), LayerError> {
        self.blob.update(bytes);
        self.size += bytes.len() as u64;
        self.out.write_all(bytes).map_err(LayerError::Write)
    }

    fn take(&mut self, run: Packed) -> Result<(), LayerError> {
        let last = run.pieces.len() - 1;
        for (at, piece) in run.pieces.into_iter().enumerate() {
            if let Some(path) = self.shared.take(&piece.shared, &piece.raw) {
                return Err(LayerError::Changed(path.clone()));
            }
            let raw = piece.raw.len() as u64;
            self.diff_id.update(&piece.raw);
            self.raw_size += raw;
            self.crc32.combine(&crc32fast::Hasher::new_with_initial_len(piece.crc32, raw));
            let (packed, packed_crc32) = if at == last { (run.bytes.len() as u64, run.crc32) } else { (0, 0) };
            self.pieces.push(Piece { kind: piece.kind, raw, packed, crc32: piece.crc32, packed_crc32 });
        }
        self.put(&run.bytes)
    }

    fn finish(mut self) -> Result<PackInfo, LayerError> {
        if self.codec == Codec::Gzip {
            let trailer = gzip::trailer(self.crc32.clone().finalize(), self.raw_size);
            self.put(&trailer)?;
        }
        self.out.flush().map_err(LayerError::Write)?;
        Ok(PackInfo {
            codec: self.codec,
            blob: OciDigest::from_hasher(self.blob),
            size: self.size,
            diff_id: OciDigest::from_hasher(self.diff_id),
            raw_size: self.raw_size,
            pieces: self.pieces,
        })
    }
}
