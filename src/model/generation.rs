//! Versions of what makes things, as keys and rows carry them.
//!
//! The version of the program is none of them: a release that changes no bytes must not empty anybody's cache.

/// The version of the decoder: of what a source becomes as tree and facts of every kind, all in one.
///
/// It goes up whenever any package would give another tree, another fact or one more kind of fact. Records of
/// another version are then no candidates, and kept sources are decoded again when they are used.
pub const DECODER: u32 = 6;

/// The version of what composes: of documents, and of all that no other version covers.
///
/// It goes up whenever the same inputs would give another image and no narrower version says so (fix-ups, the tar
/// rule, codecs and the decoder have their own).
pub const GENERATOR: u32 = 3;
