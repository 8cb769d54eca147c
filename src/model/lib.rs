//! The model: what every floor above speaks of, and nothing that reads or writes.
//!
//! Small validated types: digests that are never mixed up, paths that cannot leave a tree, trees with
//! one canonical encoding, architectures, versions. Parse once, at the edge; from here on up the type is
//! the proof. Nothing in this crate opens a file, asks the clock or prints.

#![forbid(unsafe_code)]

pub mod arch;
pub mod config;
pub mod diagnose;
pub mod digest;
pub mod encoding;
pub mod escape;
pub mod format;
pub mod generation;
pub mod glob;
pub mod likeness;
pub mod name;
pub mod package;
pub mod path;
pub mod quantity;
pub mod relation;
pub mod shown;
pub mod tree;
pub mod version;
