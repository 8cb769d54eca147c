//! What others make of the images: skopeo and umoci read every output, docker and podman run them,
//! examples are built on top as they are printed, and programs of the seven foreign architectures run
//! in their roots under emulation.

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

#[path = "peers/docker.rs"]
mod docker;
#[path = "peers/emulated.rs"]
mod emulated;
#[path = "peers/podman.rs"]
mod podman;
#[path = "peers/skopeo.rs"]
mod skopeo;
#[path = "support/mod.rs"]
mod support;
#[path = "peers/umoci.rs"]
mod umoci;
