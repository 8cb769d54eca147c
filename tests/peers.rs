//! What others make of the images: skopeo and umoci read every output, crane pushes them, docker and podman run them,
//! examples are built on top as they are printed, and programs of the seven foreign architectures run
//! in their roots under emulation.

#![cfg(test)]

#[path = "peers/crane.rs"]
mod crane;
#[path = "peers/docker.rs"]
mod docker;
#[path = "peers/emulated.rs"]
mod emulated;
#[path = "peers/podman.rs"]
mod podman;
#[path = "peers/skopeo.rs"]
mod skopeo;
#[path = "peers/umoci.rs"]
mod umoci;
