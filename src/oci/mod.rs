//! STUB interface: OCI documents and layouts.
use std::collections::BTreeMap;

use crate::arch::Arch;
use crate::definition::Config;
use crate::digest::OciDigest;
use crate::layer::Codec;

/// One layer of one architecture's image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    pub codec: Codec,
    pub blob: OciDigest,
    pub size: u64,
    pub diff_id: OciDigest,
    /// For the config's history: `static:debian, all architectures`.
    pub title: String,
}

/// One architecture of an image, ready to be written down.
#[derive(Debug, Clone, PartialEq)]
pub struct Platform {
    pub arch: Arch,
    pub layers: Vec<Layer>,
    pub config: Config,
}

/// An image over its architectures.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageContent {
    pub created: u64,
    pub annotations: BTreeMap<String, String>,
    pub platforms: Vec<Platform>,
}

/// A JSON document as a blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    pub media_type: String,
    pub digest: OciDigest,
    pub data: Vec<u8>,
}

/// All documents of an image: per platform config and manifest, and the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Documents {
    pub platforms: Vec<PlatformDocuments>,
    pub index: Document,
}
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlatformDocuments {
    pub arch: Arch,
    pub config: Document,
    pub manifest: Document,
    pub layers: Vec<Layer>,
}
