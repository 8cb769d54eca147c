//! The formats: bytes in, bytes out.
//!
//! Readers of archives, packages and ELF files, whose every size is bounded before memory is taken; and
//! the writer of layers, whose every byte is decided by the tar rule (`store-schema/TAR-RULE.md`). Nothing
//! here knows a store.

#![forbid(unsafe_code)]

pub mod archive;
mod diagnose;
pub mod elf;
pub mod layer;
pub mod package;
