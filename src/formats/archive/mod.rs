//! Containers and compressions that packages are made of: `ar`, `tar`, and the decompressors.
//!
//! Everything here is pure, over [`std::io::Read`], in one pass, and assumes that the input is
//! hostile:
//! - a length that the input claims is compared with a bound before anything is allocated for it;
//! - input that ends early is an error, never a shorter result;
//! - where readers of the world disagree about what bytes mean, the bytes are refused: an archive
//!   that two programs unpack differently is an archive that hides something.
//!
//! ```text
//! .deb   ar ──┬─ control.tar.*  ── decompress ── tar
//!             └─ data.tar.*     ── decompress ── tar
//! .apk   gzip members ──────────────────────────tar segments
//! .tar.* decompress ── tar
//! ```
//!
//! What an entry means for a package (paths, owners, which types are allowed) is decided one floor
//! higher, in [`crate::package`].

pub mod ar;
pub mod decompress;
pub mod tar;

use std::io;

use dlstore_model::quantity::Size;

/// Tells why an archive cannot be read on.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The input failed, ended early, or its compression is damaged.
    #[error("cannot read the archive")]
    Read(#[from] io::Error),
    /// A rule of the archive's format is broken; the sentence says which.
    #[error("{0}")]
    Malformed(String),
    /// A bound is exceeded.
    #[error("{what} exceeds the limit of {limit}")]
    Limit {
        /// What is too large.
        what: &'static str,
        /// The bound.
        limit: u64,
    },
    /// There is more content than the archive's size justifies.
    #[error("the content is longer than {}", Size(*limit))]
    Size {
        /// The bound in bytes.
        limit: u64,
    },
}

impl ArchiveError {
    /// Makes the error of input that ends where more was promised.
    pub(crate) fn truncated(what: &str) -> Self {
        Self::Read(io::Error::new(io::ErrorKind::UnexpectedEof, format!("the input ends inside {what}")))
    }
}
