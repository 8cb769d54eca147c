//! dlstore: a content-addressed package store and a composer of reproducible base images.
//!
//! The way of the data is one direction: packages ► `dlstore-ingest` ► `dlstore-store` ► `compose` ► `oci`,
//! and `cli` on top. `docs/architecture.md` says what stands on which floor, and why; the crates guard the
//! lower floors, `tests/floors.rs` the rest.

pub mod cli;
pub mod compose;
pub mod definition;
pub mod embedded;
pub mod oci;
