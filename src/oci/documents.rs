//! Config, manifest and index: the JSON that makes layers an image.
//!
//! The bytes are canonical: keys sorted, no white space, no newline at the end, and nothing in them
//! but what the content says. Every map here is ordered (`serde_json::Value` keeps its keys sorted);
//! the structs of `oci-spec` hold annotations and labels in hash maps, whose order changes from run
//! to run, so only its names are used. What has no value is left out, never written as `null`.
//!
//! Choices where the specification leaves one:
//! - arm64 carries the variant v8, as Docker's official images have it; some tools refuse it without.
//! - `User` is numeric for `nonroot` (`65532:65532`): an orchestrator that must prove "not root" cannot
//!   read `/etc/passwd`. For `root` it is left out: that is how the specification and docker say
//!   root, and `0:0` would only be a second spelling of it.
//! - `config` is always there, if empty: engines dereference it.
//!
//! Specification: <https://github.com/opencontainers/image-spec/blob/v1.1.1/config.md>, `manifest.md`,
//! `image-index.md`.
use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use oci_spec::image::MediaType;
use serde_json::{Map, Value, json};

use super::{Document, Documents, ImageContent, Layer, OciError, Platform, PlatformDocuments};
use dlstore_model::arch::Arch;
use dlstore_model::config::Config;
use dlstore_model::digest::OciDigest;

/// Most layers an image may have: moby stops at 125 and podman at 128, and a base image leaves room
/// for its users' own.
pub(crate) const MAX_LAYERS: usize = 100;
/// 9999-12-31T23:59:59Z, the last second that RFC 3339 can write.
const LAST_DATE: u64 = 253_402_300_799;
/// What the image's account `nonroot` is in `/etc/passwd`.
const NONROOT: &str = "65532:65532";

/// Writes down an image: per architecture its config and manifest, and the index over all.
///
/// # Errors
/// When there is no architecture or one twice, when one has more than [`MAX_LAYERS`] layers, or when
/// the date lies beyond the year 9999.
pub fn documents(content: &ImageContent) -> Result<Documents, OciError> {
    let mut platforms: Vec<&Platform> = content.platforms.iter().collect();
    platforms.sort_by_key(|platform| platform.arch);
    if platforms.is_empty() {
        return Err(OciError::NoPlatform);
    }
    if let Some(pair) = platforms.windows(2).find(|pair| pair[0].arch == pair[1].arch) {
        return Err(OciError::SamePlatform(pair[0].arch));
    }
    if let Some(Platform { arch, layers, .. }) = platforms.iter().find(|platform| platform.layers.len() > MAX_LAYERS) {
        return Err(OciError::TooManyLayers { arch: *arch, count: layers.len() });
    }
    let platforms: Vec<PlatformDocuments> = platforms
        .into_iter()
        .map(|platform| {
            let created = rfc3339(platform.created)?;
            let config = document(&MediaType::ImageConfig, &image_config(platform, &created));
            let manifest =
                document(&MediaType::ImageManifest, &manifest(&config, &platform.layers, &content.annotations));
            Ok(PlatformDocuments { arch: platform.arch, config, manifest, layers: platform.layers.clone() })
        })
        .collect::<Result<_, OciError>>()?;
    let index = document(&MediaType::ImageIndex, &index(&platforms, &content.annotations));
    Ok(Documents { platforms, index })
}

fn image_config(Platform { arch, layers, config, .. }: &Platform, created: &str) -> Value {
    let diff_ids: Vec<String> = layers.iter().map(|layer| layer.diff_id.to_string()).collect();
    // One entry for each layer: their number must be equal.
    let history: Vec<Value> = layers
        .iter()
        .map(|layer| json!({ "created": created, "created_by": format!("dlstore {}", layer.title) }))
        .collect();
    let mut object = platform(*arch);
    object.insert("config".into(), run_config(config));
    object.insert("created".into(), created.into());
    object.insert("history".into(), history.into());
    object.insert("rootfs".into(), json!({ "type": "layers", "diff_ids": diff_ids }));
    object.into()
}

/// The runtime part of the config, `Env` in the order of its keys.
fn run_config(config: &Config) -> Value {
    let set = |keys: &[String]| -> Map<String, Value> { keys.iter().map(|key| (key.clone(), json!({}))).collect() };
    let env: Vec<String> = config.env.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let mut object = Map::new();
    let mut add = |key: &str, value: Value, is_empty: bool| {
        if !is_empty {
            object.insert(key.to_owned(), value);
        }
    };
    let user = user(config.user.as_deref());
    add("User", user.into(), user.is_empty());
    add("Env", json!(env), env.is_empty());
    add("WorkingDir", json!(config.workdir), config.workdir.is_none());
    add("Entrypoint", json!(config.entrypoint), config.entrypoint.is_empty());
    add("Cmd", json!(config.cmd), config.cmd.is_empty());
    add("Labels", json!(config.labels), config.labels.is_empty());
    add("StopSignal", json!(config.stop_signal), config.stop_signal.is_none());
    add("ExposedPorts", set(&config.exposed_ports).into(), config.exposed_ports.is_empty());
    add("Volumes", set(&config.volumes).into(), config.volumes.is_empty());
    object.into()
}

fn user(written: Option<&str>) -> &str {
    match written {
        None | Some("root") => "",
        Some("nonroot") => NONROOT,
        Some(other) => other,
    }
}

fn manifest(config: &Document, layers: &[Layer], annotations: &BTreeMap<String, String>) -> Value {
    let layers: Vec<Value> =
        layers.iter().map(|layer| descriptor(layer.codec.media_type(), &layer.blob, layer.size).into()).collect();
    let mut object = Map::new();
    object.insert("schemaVersion".into(), 2.into());
    object.insert("mediaType".into(), MediaType::ImageManifest.to_string().into());
    object.insert("config".into(), config.descriptor().into());
    object.insert("layers".into(), layers.into());
    annotate(&mut object, annotations);
    object.into()
}

fn index(platforms: &[PlatformDocuments], annotations: &BTreeMap<String, String>) -> Value {
    let manifests = platforms.iter().map(|documents| {
        let mut entry = documents.manifest.descriptor();
        entry.insert("platform".into(), platform(documents.arch).into());
        Value::from(entry)
    });
    let mut object = empty_index();
    object.insert("manifests".into(), manifests.collect());
    annotate(&mut object, annotations);
    object.into()
}

/// An index without its `manifests`.
pub(super) fn empty_index() -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("schemaVersion".into(), 2.into());
    object.insert("mediaType".into(), MediaType::ImageIndex.to_string().into());
    object
}

/// `{"architecture": ..., "os": "linux", "variant": ...}`.
pub(super) fn platform(arch: Arch) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("architecture".into(), arch.oci().into());
    object.insert("os".into(), "linux".into());
    if let Some(variant) = arch.variant() {
        object.insert("variant".into(), variant.into());
    }
    object
}

/// Adds `annotations` when there are any.
pub(super) fn annotate(object: &mut Map<String, Value>, annotations: &BTreeMap<String, String>) {
    if !annotations.is_empty() {
        object.insert("annotations".into(), json!(annotations));
    }
}

/// Writes JSON in its one form.
pub(super) fn canonical(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

fn descriptor(media_type: &str, digest: &OciDigest, size: u64) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("mediaType".into(), media_type.into());
    object.insert("digest".into(), digest.to_string().into());
    object.insert("size".into(), size.into());
    object
}

fn document(media_type: &MediaType, value: &Value) -> Document {
    let data = canonical(value);
    Document { media_type: media_type.to_string(), digest: OciDigest::of(&data), data }
}

fn rfc3339(seconds: u64) -> Result<String, OciError> {
    if seconds > LAST_DATE {
        return Err(OciError::Date(seconds));
    }
    Ok(humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(seconds)).to_string())
}

impl Document {
    /// Describes this document to another one: media type, digest, size.
    #[must_use]
    pub fn descriptor(&self) -> Map<String, Value> {
        descriptor(&self.media_type, &self.digest, self.data.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::pinned;
    use super::*;
    use dlstore_formats::layer::Codec;

    fn text(document: &Document) -> &str {
        std::str::from_utf8(&document.data).unwrap()
    }

    #[test]
    fn the_bytes_of_config_manifest_and_index_are_these() {
        let documents = documents(&pinned()).unwrap();
        let amd64 = &documents.platforms[0];
        assert_eq!(text(&amd64.config), include_str!("golden/config-amd64.json"));
        assert_eq!(text(&documents.platforms[2].config), include_str!("golden/config-armv6.json"));
        assert_eq!(text(&amd64.manifest), include_str!("golden/manifest-amd64.json"));
        assert_eq!(text(&documents.index), include_str!("golden/index.json"));
        assert_eq!(
            documents.index.digest.to_string(),
            "sha256:4cba7a047d211cd099bc67d29057ead4a6f6c061ea8eaf6679db3d9d4743c0f1"
        );
    }

    #[test]
    fn the_order_of_platforms_and_the_words_of_the_input_do_not_matter() {
        let mut turned = pinned();
        turned.platforms.reverse();
        turned.platforms[0].config.user = Some("65532:65532".into());
        assert_eq!(documents(&turned).unwrap(), documents(&pinned()).unwrap());
    }

    #[test]
    fn keys_are_sorted_and_nothing_is_null_or_spaced() {
        let documents = documents(&pinned()).unwrap();
        for document in documents.all() {
            let value: Value = serde_json::from_slice(&document.data).unwrap();
            check_keys(&value);
            assert_eq!(canonical(&value), document.data);
            assert_eq!(OciDigest::of(&document.data), document.digest);
        }
    }

    fn check_keys(value: &Value) {
        match value {
            Value::Object(object) => {
                assert!(object.keys().is_sorted(), "{object:?}");
                object.values().for_each(check_keys);
            }
            Value::Array(values) => values.iter().for_each(check_keys),
            other => assert!(!other.is_null()),
        }
    }

    #[test]
    fn root_is_left_out_and_nonroot_is_a_number() {
        for (written, stored) in
            [(None, ""), (Some("root"), ""), (Some("nonroot"), NONROOT), (Some("0:0"), "0:0"), (Some("app"), "app")]
        {
            assert_eq!(user(written), stored);
        }
    }

    #[test]
    fn what_runtimes_cannot_take_is_refused() {
        let with = |change: fn(&mut ImageContent)| {
            let mut content = pinned();
            change(&mut content);
            documents(&content).map(|_| ()).map_err(|error| error.to_string())
        };
        assert_eq!(with(|content| content.platforms.clear()), Err("the image has no architecture".into()));
        assert_eq!(with(|content| content.platforms[0].arch = Arch::Arm64), Err("the image has arm64 twice".into()));
        let many = |count: usize| {
            move |content: &mut ImageContent| {
                content.platforms[0].layers = content.platforms[0].layers.iter().cycle().take(count).cloned().collect();
            }
        };
        let mut content = pinned();
        many(100)(&mut content);
        assert!(documents(&content).is_ok());
        many(101)(&mut content);
        let error = documents(&content).unwrap_err();
        assert_eq!(error.to_string(), "the image for arm/v6 has 101 layers; 100 is the most a base image may have");
        assert!(with(|content| content.platforms[0].created = LAST_DATE).is_ok());
        assert!(with(|content| content.platforms[0].created = LAST_DATE + 1).is_err());
        assert!(with(|content| content.platforms[0].created = u64::MAX).is_err());
    }

    #[test]
    fn a_zstd_layer_says_so() {
        let mut content = pinned();
        content.platforms[2].layers[0].codec = Codec::Zstd;
        let manifest: Value = serde_json::from_slice(&documents(&content).unwrap().platforms[0].manifest.data).unwrap();
        assert_eq!(manifest["layers"][0]["mediaType"], MediaType::ImageLayerZstd.to_string());
        assert_eq!(manifest["layers"][1]["mediaType"], MediaType::ImageLayerGzip.to_string());
    }
}
