//! What others make of the images: skopeo and umoci read every output, crane pushes them, docker and podman run them,
//! examples are built on top as they are printed, and programs of the seven foreign architectures run
//! in their roots under emulation. And what they make on top of the images is read.

#![cfg(test)]

#[path = "peers/buildkit.rs"]
mod buildkit;
#[path = "peers/crane.rs"]
mod crane;
#[path = "peers/docker.rs"]
mod docker;
#[path = "peers/emulated.rs"]
mod emulated;
#[path = "peers/ko.rs"]
mod ko;
#[path = "peers/made.rs"]
mod made;
#[path = "peers/podman.rs"]
mod podman;
#[path = "peers/registry.rs"]
mod registry;
#[path = "peers/skopeo.rs"]
mod skopeo;
#[path = "peers/syft.rs"]
mod syft;
#[path = "peers/umoci.rs"]
mod umoci;
