//! Config, manifest and index: the JSON that makes layers an image.
//!
//! The documents are `oci-spec`'s types. Their bytes are canonical: keys sorted, no white space, no newline at the
//! end, and nothing in them but what the content says. The types hold annotations, labels, ports and volumes in hash
//! maps, whose order changes from run to run; so they are never serialised directly, but all by way of `sorted` and
//! `canonical`: `serde_json::Value` keeps its keys sorted. What has no value is left out, never written as `null`.
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
use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, UNIX_EPOCH};

use oci_spec::image::{
    Config as RunConfig, Descriptor, Digest, History, ImageConfiguration, ImageIndex, ImageManifest,
    ImageManifestBuilder, MediaType, OciLayout, OciLayoutBuilder, Os, Platform as PlatformName, RootFs, SCHEMA_VERSION,
};
use serde::Serialize;
use serde_json::Value;

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
/// When there is no architecture or one twice, when one has more than `MAX_LAYERS` layers, or when
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

fn image_config(Platform { arch, layers, config, .. }: &Platform, created: &str) -> ImageConfiguration {
    let mut rootfs = RootFs::default();
    rootfs.set_diff_ids(layers.iter().map(|layer| layer.diff_id.to_string()).collect());
    // One entry for each layer: their number must be equal.
    let history = layers.iter().map(|layer| {
        let mut entry = History::default();
        entry.set_created(Some(created.into())).set_created_by(Some(format!("dlstore {}", layer.title)));
        entry
    });
    // The default's architecture and system are the host's.
    let mut image = ImageConfiguration::default();
    image.set_architecture(arch.oci().into()).set_os(Os::Linux).set_variant(arch.variant().map(Into::into));
    image.set_config(Some(run_config(config))).set_created(Some(created.into()));
    image.set_history(Some(history.collect())).set_rootfs(rootfs);
    image
}

/// The runtime part of the config, `Env` in the order of its keys.
fn run_config(config: &Config) -> RunConfig {
    let env = config.env.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let mut run = RunConfig::default();
    run.set_user(filled(user(config.user.as_deref()).to_owned())).set_env(filled(env));
    run.set_working_dir(config.workdir.clone()).set_stop_signal(config.stop_signal.clone());
    run.set_entrypoint(filled(config.entrypoint.clone())).set_cmd(filled(config.cmd.clone()));
    run.set_exposed_ports(filled(config.exposed_ports.clone())).set_volumes(filled(config.volumes.clone()));
    run.set_labels(filled(unordered(&config.labels)));
    run
}

fn user(written: Option<&str>) -> &str {
    match written {
        None | Some("root") => "",
        Some("nonroot") => NONROOT,
        Some(other) => other,
    }
}

fn manifest(config: &Document, layers: &[Layer], annotations: &BTreeMap<String, String>) -> ImageManifest {
    let layer = |layer: &Layer| descriptor(layer.codec.media_type(), &layer.blob, layer.size);
    let mut manifest = ImageManifestBuilder::default()
        .schema_version(SCHEMA_VERSION)
        .media_type(MediaType::ImageManifest)
        .config(config.descriptor())
        .layers(layers.iter().map(layer).collect::<Vec<_>>())
        .build()
        .expect("all that a manifest must have is set");
    manifest.set_annotations(filled(unordered(annotations)));
    manifest
}

fn index(platforms: &[PlatformDocuments], annotations: &BTreeMap<String, String>) -> ImageIndex {
    let manifests = platforms.iter().map(|documents| {
        let mut entry = documents.manifest.descriptor();
        entry.set_platform(Some(platform(documents.arch)));
        entry
    });
    let mut index = index_of(manifests.collect());
    index.set_annotations(filled(unordered(annotations)));
    index
}

/// An index of these manifests.
pub(super) fn index_of(manifests: Vec<Descriptor>) -> ImageIndex {
    let mut index = ImageIndex::default();
    index.set_media_type(Some(MediaType::ImageIndex)).set_manifests(manifests);
    index
}

/// `{"architecture": ..., "os": "linux", "variant": ...}`.
pub(super) fn platform(arch: Arch) -> PlatformName {
    let mut name = PlatformName::default();
    name.set_architecture(arch.oci().into()).set_os(Os::Linux).set_variant(arch.variant().map(Into::into));
    name
}

/// What the file `oci-layout` says.
pub(super) fn oci_layout() -> OciLayout {
    let layout = OciLayoutBuilder::default().image_layout_version("1.0.0");
    layout.build().expect("a layout is its version")
}

/// Gives what is not empty; the rest is left out of a document.
fn filled<T: Default + PartialEq>(value: T) -> Option<T> {
    (value != T::default()).then_some(value)
}

/// Gives a map as the types of `oci-spec` hold it.
fn unordered(map: &BTreeMap<String, String>) -> HashMap<String, String> {
    map.clone().into_iter().collect()
}

/// Gives a document as JSON whose keys are sorted.
pub(super) fn sorted(document: &impl Serialize) -> Value {
    serde_json::to_value(document).expect("strings and numbers under keys that are strings are JSON")
}

/// Writes JSON in its one form.
pub(super) fn canonical(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

fn descriptor(media_type: &str, digest: &OciDigest, size: u64) -> Descriptor {
    let digest = Digest::try_from(digest.to_string()).expect("both are written as the specification has it");
    Descriptor::new(media_type.into(), size, digest)
}

fn document(media_type: &MediaType, document: &impl Serialize) -> Document {
    let data = canonical(&sorted(document));
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
    pub fn descriptor(&self) -> Descriptor {
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

    fn read<T: serde::de::DeserializeOwned>(document: &Document) -> T {
        serde_json::from_slice(&document.data).unwrap()
    }

    #[test]
    fn what_is_written_is_read_back_as_the_types_that_it_was() {
        let documents = documents(&pinned()).unwrap();
        let index: ImageIndex = read(&documents.index);
        assert_eq!(canonical(&sorted(&index)), documents.index.data);
        for (entry, platform) in index.manifests().iter().zip(&documents.platforms) {
            let manifest: ImageManifest = read(&platform.manifest);
            let config: ImageConfiguration = read(&platform.config);
            assert_eq!(entry.digest().to_string(), platform.manifest.digest.to_string());
            assert_eq!(manifest.config(), &platform.config.descriptor());
            let name = entry.platform().as_ref().unwrap();
            assert_eq!((config.architecture(), config.variant()), (name.architecture(), name.variant()));
            assert_eq!(config.rootfs().diff_ids().len(), manifest.layers().len());
            assert_eq!(canonical(&sorted(&manifest)), platform.manifest.data);
            assert_eq!(canonical(&sorted(&config)), platform.config.data);
        }
        assert_eq!(index.manifests().len(), documents.platforms.len());
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
        assert_eq!(
            with(|content| content.platforms[0].arch = Arch::Arm64),
            Err("arm64 is listed twice in the image".into())
        );
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
        let manifest: ImageManifest = read(&documents(&content).unwrap().platforms[0].manifest);
        let types: Vec<&MediaType> = manifest.layers().iter().map(Descriptor::media_type).collect();
        assert_eq!(types, [&MediaType::ImageLayerZstd, &MediaType::ImageLayerGzip]);
    }
}
