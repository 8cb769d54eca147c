//! Images that are already made, whoever made them: a layout, or one tar of skopeo, umoci, docker, podman or this program.
//!
//! ```text
//! source    what a person says: oci:DIR:TAG, a path          documents  indexes, manifests, configurations
//! blobs     files of a directory, members of a tar           layout     which entry of index.json, its manifests
//! names     paths as archives spell them                     saved      which entry of manifest.json
//! layer     one blob, from its bytes to its entries          rootfs     layers over one another
//! platform  what a configuration says, its layers           image      all of it
//! ```
//!
//! Everything that is read is foreign. A blob is held against its digest and its length, a layer against its diff ID too,
//! while it is read and before anything of it is believed. What a layout or an archive names lies in it: links and `..` lead
//! nowhere else. Lengths, entries, depths and documents are bounded, and no content of files is held but that of package databases. Nothing is
//! unpacked to disk.

mod blobs;
mod documents;
mod error;
mod image;
mod layer;
mod layout;
mod names;
mod platform;
mod rootfs;
mod saved;
mod source;

pub use error::ReadError;
pub use image::Image;
pub use layer::Budget;
pub use platform::{Layer, Platform};
pub use rootfs::{File, Rootfs};
pub use source::Source;
