//! Joining stored packs into one layer.
//!
//! ```text
//! folders of all parts, united    compressed now
//! bodies of part 1, part 2, ...   copied verbatim
//! end                             compressed now
//! ```
//!
//! What is copied is inflated all the same, because the diff ID is the SHA-256 of the raw bytes and
//! cannot be put together from parts; so every piece is checked on its way. When the stored pack and
//! the new one are not both gzip, bodies are compressed anew from their raw bytes: zstd frames cannot
//! be joined so that every reader reads them. The outcome is the same either way: merging the pack
//! of one tree with that tree's folders gives that pack again.

use std::io::{self, Write};

use super::info::PackInfo;
use super::pack::{Source, assemble};
use super::piece::{Cut, Plan};
use super::stored::{Run, runs};
use super::{Codec, Contents, LayerError, PieceKind, StoredPack};
use dlstore_model::digest::Digest;
use dlstore_model::path::TreePath;
use dlstore_model::tree::Tree;

/// Joins packs into one: the folders of all of them united, then their bodies in order, verbatim.
///
/// Only the folders of `folders` are used. The result does not depend on the number of threads, nor
/// on the codecs of the parts.
///
/// # Errors
/// When a part is damaged or cannot be read, or `out` fails. What was written to `out` until then
/// is no pack.
pub fn merge_packs(
    folders: &Tree,
    parts: &[StoredPack],
    codec: Codec,
    out: &mut dyn Write,
) -> Result<PackInfo, LayerError> {
    let folders = Plan::folders(folders.iter().filter(|item| item.1.is_folder())).pieces();
    let folders = folders.map(|cut| Ok(Source::Planned(cut, &NoContents)));
    let bodies = parts.iter().flat_map(|part| match runs(part) {
        Ok(runs) => Bodies::Runs(runs.flat_map(move |run| body(run, part.info.codec, codec))),
        Err(error) => Bodies::Broken(Some(error)),
    });
    assemble(codec, folders.chain(bodies).chain([Ok(Source::Planned(Cut::end(), &NoContents))]), out)
}

/// The bodies of one part, or why there are none.
enum Bodies<I> {
    Runs(I),
    Broken(Option<LayerError>),
}

impl<'a, I: Iterator<Item = Result<Source<'a>, LayerError>>> Iterator for Bodies<I> {
    type Item = I::Item;

    fn next(&mut self) -> Option<I::Item> {
        match self {
            Self::Runs(runs) => runs.next(),
            Self::Broken(error) => error.take().map(Err),
        }
    }
}

/// Gives the body pieces of a run.
fn body(run: Run<'_>, from: Codec, to: Codec) -> Vec<Result<Source<'_>, LayerError>> {
    if run.pieces.iter().all(|piece| piece.kind != PieceKind::Body) {
        return Vec::new();
    }
    if (from, to) == (Codec::Gzip, Codec::Gzip) {
        return vec![Ok(Source::Copied(run))];
    }
    match run.load() {
        Ok(loaded) => run
            .split(&loaded.raw)
            .filter(|(piece, _)| piece.kind == PieceKind::Body)
            .map(|(piece, raw)| Ok(Source::Loaded(piece.kind, raw.to_vec())))
            .collect(),
        Err(error) => vec![Err(error)],
    }
}

/// Folders and the end have no content.
struct NoContents;

impl Contents for NoContents {
    fn read_at(&self, _: &TreePath, _: &Digest, _: u64, _: &mut [u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
