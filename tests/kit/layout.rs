//! OCI layouts on disk, read by what their documents say.
//!
//! Every blob that is read is held against its name, so a test that reads a layout has checked what it read
//! (OCI Image Layout Specification 1.1, <https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md>).

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::files::sha256;
use crate::layers;

/// An OCI layout on disk.
#[derive(Debug, Clone)]
pub struct Layout(
    /// Its directory.
    pub PathBuf,
);

impl Layout {
    /// Its directory.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The file of a blob, `sha256:...`.
    pub fn file(&self, digest: &str) -> PathBuf {
        self.0.join("blobs").join(digest.replace(':', "/"))
    }

    /// The bytes of a blob, which are what its name says.
    #[track_caller]
    pub fn blob(&self, digest: &str) -> Vec<u8> {
        let bytes = fs::read(self.file(digest)).unwrap();
        assert_eq!(format!("sha256:{}", sha256(&bytes)), digest, "a blob is what its name says");
        bytes
    }

    /// A blob that is JSON.
    #[track_caller]
    pub fn document(&self, digest: &str) -> Value {
        serde_json::from_slice(&self.blob(digest)).unwrap()
    }

    /// The image index that a tag names, and its digest; of an image for one architecture the digest of its manifest, and
    /// the index that it would have.
    #[track_caller]
    pub fn index(&self, tag: &str) -> (String, Value) {
        let top: Value = serde_json::from_slice(&fs::read(self.0.join("index.json")).unwrap()).unwrap();
        let found = top["manifests"].as_array().unwrap().iter();
        let mut found = found.filter(|one| one["annotations"]["org.opencontainers.image.ref.name"] == tag);
        let entry = found.next().unwrap_or_else(|| panic!("no {tag} in {top}"));
        let digest = entry["digest"].as_str().unwrap().to_owned();
        assert!(found.next().is_none(), "{tag} is there once");
        let document = self.document(&digest);
        let is_index = document.get("manifests").is_some();
        (digest, if is_index { document } else { json!({ "manifests": [entry] }) })
    }

    /// Manifest and configuration of an architecture.
    #[track_caller]
    pub fn image(&self, tag: &str, arch: &str) -> (Value, Value) {
        let (_, index) = self.index(tag);
        let of = |one: &&Value| one["platform"]["architecture"] == arch;
        let one = index["manifests"].as_array().unwrap().iter().find(of).unwrap_or_else(|| panic!("no {arch}"));
        let manifest = self.document(one["digest"].as_str().unwrap());
        let config = self.document(manifest["config"]["digest"].as_str().unwrap());
        (manifest, config)
    }

    /// The layers of an architecture, lowest first, each as the bytes of its tar.
    #[track_caller]
    pub fn tars(&self, tag: &str, arch: &str) -> Vec<Vec<u8>> {
        let (manifest, _) = self.image(tag, arch);
        let tar = |layer: &Value| {
            let bytes = self.blob(layer["digest"].as_str().unwrap());
            let is_zstd = layer["mediaType"].as_str().unwrap().ends_with("zstd");
            assert_eq!(is_zstd, bytes.starts_with(&layers::ZSTD), "a layer is what its media type says");
            let mut raw = Vec::new();
            std::io::Read::read_to_end(&mut layers::decompressed(&bytes[..]), &mut raw).unwrap();
            raw
        };
        manifest["layers"].as_array().unwrap().iter().map(tar).collect()
    }

    /// Headers and contents of all layers of an architecture, lowest first, by path without slashes.
    #[track_caller]
    pub fn files(&self, tag: &str, arch: &str) -> BTreeMap<String, (tar::Header, Vec<u8>)> {
        let mut files = BTreeMap::new();
        for tar in self.tars(tag, arch) {
            layers::read(&tar[..], |member| {
                let path = String::from_utf8_lossy(&member.path).trim_matches('/').to_owned();
                files.insert(path, (member.header, member.content));
            });
        }
        files
    }
}
