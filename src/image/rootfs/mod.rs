//! The united tree of an image on one architecture.
//!
//! Parts are what it is made of: packages, own files, embedded data, what fix-ups made (`part`). Which entry stands at
//! each path, and whose it is, says their `union`; where a path leads when links are followed, `follow`; who may
//! bring which path at all, `owned`.

pub mod follow;
pub mod owned;
pub mod part;
pub mod union;
