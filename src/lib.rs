//! dlstore: a content-addressed package store and a composer of reproducible base images.
//!
//! The way of the data is one direction: packages ► `dlstore-ingest` ► `dlstore-store` ► `dlstore-image` ►
//! `dlstore-oci`, with `command` (use cases) and `cli` on top. `docs/architecture.md` says what stands on which
//! floor, and why; the crates guard the floors, `tests/floors.rs` what is inside them.

#![forbid(unsafe_code)]

pub mod cli;
mod command;
