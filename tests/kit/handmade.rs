//! Images made by hand, blob by blob: as other tools make them, or as nobody should.
//!
//! [`Handmade`] collects blobs and gives descriptors of them; what is put together is written as a layout or as a tar. A
//! test changes any of it in between.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::Path;

use dlstore_formats::package::fixture::{TarEntry, TarWriter};
use serde_json::{Value, json};

use crate::files::sha256;

/// Blobs of images, by the digits of their names.
#[derive(Debug, Clone, Default)]
pub struct Handmade {
    /// Digits and bytes; whether they fit is up to the test.
    pub blobs: BTreeMap<String, Vec<u8>>,
}

/// How a layer is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// Not at all.
    Raw,
    /// With gzip.
    Gzip,
    /// With zstd.
    Zstd,
}

impl Packing {
    /// Compresses.
    pub fn pack(self, raw: &[u8]) -> Vec<u8> {
        match self {
            Self::Raw => raw.to_vec(),
            Self::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
                encoder.write_all(raw).unwrap();
                encoder.finish().unwrap()
            }
            Self::Zstd => zstd::encode_all(raw, 1).unwrap(),
        }
    }

    /// What OCI calls such a layer.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Raw => "application/vnd.oci.image.layer.v1.tar",
            Self::Gzip => "application/vnd.oci.image.layer.v1.tar+gzip",
            Self::Zstd => "application/vnd.oci.image.layer.v1.tar+zstd",
        }
    }
}

/// OCI's name of a manifest.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// OCI's name of an index.
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";

impl Handmade {
    /// Takes a blob and describes it.
    pub fn blob(&mut self, media_type: &str, bytes: Vec<u8>) -> Value {
        let digits = sha256(&bytes);
        let described = json!({"mediaType": media_type, "digest": format!("sha256:{digits}"), "size": bytes.len()});
        self.blobs.insert(digits, bytes);
        described
    }

    /// Takes a document and describes it.
    pub fn document(&mut self, media_type: &str, document: &Value) -> Value {
        self.blob(media_type, document.to_string().into_bytes())
    }

    /// Makes an image for an architecture of raw layers, and describes its manifest.
    pub fn image(&mut self, arch: &str, layers: &[Vec<u8>], packing: Packing, run: &Value) -> Value {
        let diff_ids: Vec<String> = layers.iter().map(|raw| format!("sha256:{}", sha256(raw))).collect();
        let config = json!({"architecture": arch, "os": "linux", "config": run,
            "rootfs": {"type": "layers", "diff_ids": diff_ids}});
        let config = self.document("application/vnd.oci.image.config.v1+json", &config);
        let layers: Vec<Value> = layers.iter().map(|raw| self.blob(packing.media_type(), packing.pack(raw))).collect();
        let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers});
        let mut described = self.document(MANIFEST, &manifest);
        described["platform"] = json!({"architecture": arch, "os": "linux"});
        described
    }

    /// Makes an index of manifests, and describes it.
    pub fn index(&mut self, manifests: &[Value]) -> Value {
        self.document(INDEX, &json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}))
    }

    /// All files of a layout that has these entries, by path.
    pub fn files(&self, entries: &[Value]) -> BTreeMap<String, Vec<u8>> {
        let top = json!({"schemaVersion": 2, "manifests": entries});
        let blobs = self.blobs.iter().map(|(digits, bytes)| (format!("blobs/sha256/{digits}"), bytes.clone()));
        let rest = [
            ("index.json".to_owned(), top.to_string().into_bytes()),
            ("oci-layout".to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()),
        ];
        blobs.chain(rest).collect()
    }

    /// Writes a layout.
    pub fn write(&self, directory: &Path, entries: &[Value]) {
        for (path, bytes) in self.files(entries) {
            let path = directory.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
    }
}

/// An entry with a tag.
pub fn tagged(mut descriptor: Value, tag: &str) -> Value {
    descriptor["annotations"] = json!({"org.opencontainers.image.ref.name": tag});
    descriptor
}

/// A tar of files.
pub fn archive(files: &BTreeMap<String, Vec<u8>>) -> Vec<u8> {
    let mut tar = TarWriter::default();
    for (path, bytes) in files {
        tar.entry(&TarEntry::new(b'0', path.as_str()), bytes);
    }
    tar.finish()
}

/// A layer of lines: `PATH/` is a directory, `PATH -> TARGET` a symbolic link, `PATH = TARGET` a hard link, `PATH: TEXT` a
/// file with that text.
pub fn layer(lines: &[&str]) -> Vec<u8> {
    let mut tar = TarWriter::default();
    for line in lines {
        if let Some((path, target)) = line.split_once(" -> ") {
            tar.entry(&TarEntry::link(b'2', path, target), b"");
        } else if let Some((path, target)) = line.split_once(" = ") {
            tar.entry(&TarEntry::link(b'1', path, target), b"");
        } else if let Some((path, text)) = line.split_once(": ") {
            tar.entry(&TarEntry::new(b'0', path), text.as_bytes());
        } else if line.ends_with('/') {
            tar.entry(&TarEntry::new(b'5', *line), b"");
        } else {
            tar.entry(&TarEntry::new(b'0', *line), b"");
        }
    }
    tar.finish()
}
