//! Reading a pack back and comparing it with the trees that it should hold.
//!
//! Every byte is looked at: compressed ones make the blob's digest, raw ones the diff ID, headers
//! and padding are compared with those that the tar rule gives, contents are hashed. Pieces are
//! decoded one by one as the table says and must come out whole, which is more than a reader of
//! the stream asks for.

use sha2::{Digest as _, Sha256};

use super::ordered::in_order;
use super::piece::{Cut, Plan, Shared, SharedContent};
use super::stored::{Loaded, Run, read, runs};
use super::{Codec, LayerError, StoredPack, gzip};
use dlstore_model::digest::OciDigest;
use dlstore_model::tree::Tree;

/// Decodes a pack whole and compares it with what it should hold. `Ok(false)`: it differs.
///
/// `parts` are the layer trees in order; for more than one it is the pack that
/// [`merge_packs`](super::merge_packs) makes of them and the union of their directories.
///
/// # Errors
/// Only when the file cannot be read; damage is `Ok(false)`.
pub fn verify_pack(parts: &[Tree], pack: &StoredPack) -> Result<bool, LayerError> {
    match compare(parts, pack) {
        Ok(()) => Ok(true),
        Err(LayerError::Damaged(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// A run with the pieces that it should hold.
struct Expected<'a> {
    run: Run<'a>,
    cuts: Vec<Cut>,
}

/// A run that was compared, with what only all runs together can tell.
struct Compared<'a> {
    run: Run<'a>,
    shared: Vec<Shared>,
    loaded: Loaded,
}

impl<'a> Expected<'a> {
    /// Reads the run and compares it, as far as one run can tell.
    fn load(self, damaged: impl Fn() -> LayerError) -> Result<Compared<'a>, LayerError> {
        let Self { run, cuts } = self;
        let loaded = run.load()?;
        if !run.split(&loaded.raw).zip(&cuts).all(|((_, raw), cut)| cut.matches(raw)) {
            return Err(damaged());
        }
        Ok(Compared { run, shared: cuts.into_iter().map(Cut::into_shared).collect(), loaded })
    }
}

fn compare(parts: &[Tree], pack: &StoredPack) -> Result<(), LayerError> {
    let info = &pack.info;
    let damaged = || LayerError::Damaged(info.blob);
    let mut plan = Plan::whole(parts).pieces().chain([Cut::end()]);
    let jobs = runs(pack)?.map(|run| {
        let cuts: Vec<Cut> = plan.by_ref().take(run.pieces.len()).collect();
        let same =
            run.pieces.iter().map(|piece| (piece.kind, piece.raw)).eq(cuts.iter().map(|cut| (cut.kind, cut.raw)));
        if same { Ok(Expected { run, cuts }) } else { Err(damaged()) }
    });
    let mut blob = Sha256::new();
    let mut diff_id = Sha256::new();
    let mut crc32 = crc32fast::Hasher::new();
    let mut shared = SharedContent::default();
    if info.codec == Codec::Gzip {
        let header = read(pack, 0, gzip::HEADER.len())?;
        blob.update(&header);
        if header != gzip::HEADER {
            return Err(damaged());
        }
    }
    in_order(
        jobs,
        |expected| expected.run.raw(),
        |expected| expected.load(damaged),
        |Compared { run, shared: parts, loaded }| {
            blob.update(&loaded.packed);
            diff_id.update(&loaded.raw);
            for ((piece, raw), parts) in run.split(&loaded.raw).zip(&parts) {
                crc32.combine(&crc32fast::Hasher::new_with_initial_len(piece.crc32, piece.raw));
                if shared.take(parts, raw).is_some() {
                    return Err(damaged());
                }
            }
            Ok(())
        },
    )?;
    if info.codec == Codec::Gzip {
        let trailer = read(pack, info.size - gzip::TRAILER, gzip::TRAILER as usize)?;
        blob.update(&trailer);
        if trailer != gzip::trailer(crc32.finalize(), info.raw_size) {
            return Err(damaged());
        }
    }
    let same = plan.next().is_none()
        && OciDigest::from_hasher(blob) == info.blob
        && OciDigest::from_hasher(diff_id) == info.diff_id;
    if same { Ok(()) } else { Err(damaged()) }
}
