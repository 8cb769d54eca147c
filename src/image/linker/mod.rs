//! Who finds which library: loaders, the directories that they look through, and what stands there.
//!
//! `machine` says for which machine a file is, `libraries` what the loaders of a rootfs find and what they would not,
//! `provided` which of the built-in images has which library.

pub mod libraries;
pub mod machine;
pub mod provided;
