//! Trees in rows: compressed, and believed only when they hash to their name.
//!
//! The checksum in the name is of the encoding, not of the compressed bytes, so the compression may
//! change without any tree changing its name.

use std::io::Write as _;

use crate::index::TreeRow;
use dlstore_model::digest::Digest;
use dlstore_model::tree::Tree;

/// zstd 3: 214 KB of 2,000 entries become 69 KB, and are read back in 0.05 ms.
const LEVEL: i32 = 3;

/// Longest encoding that is read: twice what the limits of package readers let through.
const LONGEST: u64 = 256 << 20;

/// Entries of a tree up to which its encoding is made as a whole, which is faster.
const WHOLE: usize = 10_000;

/// Compresses the encoding of a tree, and gives its name. These bytes decide no digest.
pub(super) fn pack(tree: &Tree) -> std::io::Result<(Digest, TreeRow)> {
    if tree.len() <= WHOLE {
        let encoded = tree.encode();
        let row = TreeRow { raw_size: encoded.len() as u64, data: zstd::bulk::compress(&encoded, LEVEL)? };
        return Ok((Digest::of(&encoded), row));
    }
    let mut hasher = blake3::Hasher::new();
    let mut out = zstd::stream::write::Encoder::new(Vec::new(), LEVEL)?;
    let mut raw_size = 0;
    let mut written = Ok(());
    tree.encode_to(|bytes| {
        raw_size += bytes.len() as u64;
        hasher.update(bytes);
        if written.is_ok() {
            written = out.write_all(bytes);
        }
    });
    written?;
    let mut data = out.finish()?;
    data.shrink_to_fit();
    Ok((Digest::from_hasher(&hasher), TreeRow { raw_size, data }))
}

/// Gives the encoding back if it is what the name says.
pub(super) fn unpack(row: &TreeRow, name: &Digest) -> Option<Vec<u8>> {
    let length = usize::try_from(row.raw_size).ok().filter(|_| row.raw_size <= LONGEST)?;
    let encoded = zstd::bulk::decompress(&row.data, length).ok()?;
    (Digest::of(&encoded) == *name).then_some(encoded)
}

/// Says whether the encoding is what the name says, without having all of it in memory.
pub(super) fn is_of(row: &TreeRow, name: &Digest) -> bool {
    name_of(row).is_some_and(|found| found == *name)
}

/// Gives the name that the encoding has, if it is as long as the row says.
pub(super) fn name_of(row: &TreeRow) -> Option<Digest> {
    let mut hasher = blake3::Hasher::new();
    let raw = zstd::stream::read::Decoder::with_buffer(row.data.as_slice()).ok()?;
    let length = std::io::copy(&mut std::io::Read::take(raw, LONGEST), &mut hasher).ok()?;
    (length == row.raw_size).then(|| Digest::from_hasher(&hasher))
}

/// Gives the tree back if it is what the name says.
pub(super) fn read(row: &TreeRow, name: &Digest) -> Option<Tree> {
    Tree::decode(&unpack(row, name)?).ok()
}

/// Says whether the row holds a tree at all, of whatever name.
pub(super) fn is_readable(row: &TreeRow) -> bool {
    let length = usize::try_from(row.raw_size).ok().filter(|_| row.raw_size <= LONGEST);
    let encoded = length.and_then(|length| zstd::bulk::decompress(&row.data, length).ok());
    encoded.is_some_and(|encoded| Tree::decode(&encoded).is_ok())
}
