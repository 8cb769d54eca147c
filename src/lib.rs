//! dlstore: a content-addressed package store and a composer of reproducible base images.
//!
//! The way of the data is one direction: `package` ► `ingest` ► `store` ► `compose` ► `oci`, and `cli`
//! on top. `docs/architecture.md` says what stands on which floor, and why; `tests/floors.rs` holds
//! the modules against it.

pub mod arch;
pub mod archive;
pub mod cli;
pub mod compose;
pub mod definition;
pub mod digest;
pub mod elf;
pub mod embedded;
pub mod encoding;
pub mod escape;
pub mod fsx;
pub mod glob;
pub mod index;
pub mod ingest;
pub mod layer;
pub mod oci;
pub mod package;
pub mod path;
pub mod select;
pub mod session;
pub mod store;
pub mod tree;
pub mod version;
