//! Joining stored packs into one layer.
//!
//! ```text
//! directories of all parts, united    compressed now
//! bodies of part 1, part 2, ...   copied verbatim
//! end                             compressed now
//! ```
//!
//! What is copied is inflated all the same, because the diff ID is the SHA-256 of the raw bytes and
//! cannot be put together from parts; so every piece is checked on its way. When the stored pack and
//! the new one are not both gzip, bodies are compressed anew from their raw bytes: zstd frames cannot
//! be joined so that every reader reads them. The outcome is the same either way: merging the pack
//! of one tree with that tree's directories gives that pack again.

use std::borrow::Borrow;
use std::collections::VecDeque;
use std::io::{self, Write};

use super::info::PackInfo;
use super::pack::{Source, assemble};
use super::piece::{Cut, Plan};
use super::stored::{Cursor, Run};
use super::{Codec, Contents, LayerError, PieceKind, StoredPack};
use dlstore_model::digest::Digest;
use dlstore_model::path::TreePath;
use dlstore_model::tree::Tree;

/// Joins packs into one: the directories of all of them united, then their bodies in order, verbatim.
///
/// Only the directories of `directories` are used. The result does not depend on the number of threads, nor
/// on the codecs of the parts.
///
/// # Errors
/// When a part is damaged or cannot be read, or `out` fails. What was written to `out` until then
/// is no pack.
pub fn merge_packs(
    directories: &Tree,
    parts: &[StoredPack],
    codec: Codec,
    out: &mut dyn Write,
) -> Result<PackInfo, LayerError> {
    merge_each(directories, parts.iter().map(Ok::<_, LayerError>), codec, out)
}

/// Joins packs as [`merge_packs`] does, each opened when its turn comes and closed before the next one: a layer may
/// have more parts than a process may open files.
///
/// # Errors
/// As [`merge_packs`], and the first error of `parts`.
pub fn merge_each<P: Borrow<StoredPack>, E: From<LayerError>>(
    directories: &Tree,
    parts: impl Iterator<Item = Result<P, E>>,
    codec: Codec,
    out: &mut dyn Write,
) -> Result<PackInfo, E> {
    let directories = Plan::directories(directories.iter().filter(|item| item.1.is_directory())).pieces();
    let directories = directories.map(|cut| Ok(Source::Planned(cut, &NoContents)));
    let mut failed = None;
    // An error of `parts` has a type of its own: it ends the bodies here and is given back below.
    let opened = parts.map_while(|part| part.map_err(|error| failed = Some(error)).ok());
    let bodies = opened.flat_map(|part| match Cursor::new(part) {
        Ok(cursor) => Bodies::Runs { cursor, to: codec, ready: VecDeque::new() },
        Err(error) => Bodies::Broken(Some(error)),
    });
    let made = assemble(codec, directories.chain(bodies).chain([Ok(Source::Planned(Cut::end(), &NoContents))]), out);
    match failed {
        Some(error) => Err(error),
        None => Ok(made?),
    }
}

/// The bodies of one part, or why there are none.
enum Bodies<'a, P> {
    Runs { cursor: Cursor<P>, to: Codec, ready: VecDeque<Result<Source<'a>, LayerError>> },
    Broken(Option<LayerError>),
}

impl<'a, P: Borrow<StoredPack>> Iterator for Bodies<'a, P> {
    type Item = Result<Source<'a>, LayerError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Runs { cursor, to, ready } => loop {
                if let Some(source) = ready.pop_front() {
                    return Some(source);
                }
                ready.extend(body(&cursor.next()?, *to));
            },
            Self::Broken(error) => error.take().map(Err),
        }
    }
}

/// Gives the body pieces of a run.
fn body<'a>(run: &Run<'_>, to: Codec) -> Vec<Result<Source<'a>, LayerError>> {
    if run.pieces.iter().all(|piece| piece.kind != PieceKind::Body) {
        return Vec::new();
    }
    if (run.codec(), to) == (Codec::Gzip, Codec::Gzip) {
        return vec![run.fetch().map(Source::Copied)];
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

/// Directories and the end have no content.
struct NoContents;

impl Contents for NoContents {
    fn read_at(&self, _: &TreePath, _: &Digest, _: u64, _: &mut [u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
