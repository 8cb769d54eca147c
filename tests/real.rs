//! The images made of real packages, on all architectures, held against the tools that those packages
//! come with: dpkg, md5sum, Debian's ldconfig, apk. No container runtime is needed for it.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::format_collect,
    clippy::needless_for_each,
    clippy::type_complexity,
    clippy::default_trait_access,
    reason = "a test fails by panicking, says what it skips, and reads as a claim"
)]

#[path = "real/alpine.rs"]
mod alpine;
#[path = "real/content.rs"]
mod content;
#[path = "real/exactness.rs"]
mod exactness;
#[path = "real/layering.rs"]
mod layering;
#[path = "real/libraries.rs"]
mod libraries;
#[path = "real/packages.rs"]
mod packages;
#[path = "support/mod.rs"]
mod support;
