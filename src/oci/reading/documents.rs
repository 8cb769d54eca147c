//! Indexes, manifests and configurations as others write them.
//!
//! The types are wider than `oci-spec`'s on purpose: docker writes `null` where it means nothing, leaves fields out that the
//! specification wants, and an index may list what is no image at all. What counts is taken strictly: a digest is
//! `sha256:` and 64 digits before anything is looked up by it, a length is known before anything is read, and a document
//! is of one kind, not of two at once.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::{DeserializeOwned, Error as _};
use serde_json::Value;

use super::blobs::Piece;
use super::error::ReadError;
use crate::entries::has_too_many_values;
use dlstore_model::config::Config;
use dlstore_model::digest::OciDigest;

/// Longest manifest, index or configuration: registries refuse manifests above 4 MiB, and configurations are of that order.
pub(super) const MAX_DOCUMENT: u64 = 4 << 20;

/// A reference to a blob.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Descriptor {
    pub(super) media_type: Option<String>,
    pub(super) digest: String,
    pub(super) size: u64,
    pub(super) platform: Option<PlatformName>,
    pub(super) artifact_type: Option<String>,
    pub(super) annotations: Option<BTreeMap<String, String>>,
}

/// For which machines something is.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct PlatformName {
    #[serde(default)]
    pub(super) os: String,
    #[serde(default)]
    pub(super) architecture: String,
    pub(super) variant: Option<String>,
}

/// A manifest or an index, before it is known which.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Either {
    media_type: Option<String>,
    manifests: Option<Vec<Descriptor>>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    annotations: Option<BTreeMap<String, String>>,
}

/// What a descriptor leads to.
pub(super) enum Document {
    /// Images for several platforms.
    Index {
        /// One for each, and what else belongs to them.
        manifests: Vec<Descriptor>,
        /// Its annotations.
        annotations: BTreeMap<String, String>,
    },
    /// One image.
    Manifest {
        /// Its configuration.
        config: Descriptor,
        /// Its layers, lowest first.
        layers: Vec<Descriptor>,
        /// Its annotations.
        annotations: BTreeMap<String, String>,
    },
}

/// A configuration.
#[derive(Debug, Deserialize)]
pub(super) struct Configuration {
    #[serde(flatten)]
    pub(super) platform: PlatformName,
    pub(super) created: Option<String>,
    config: Option<Run>,
    rootfs: Option<RootFs>,
    history: Option<Vec<Step>>,
}

#[derive(Debug, Deserialize)]
struct RootFs {
    diff_ids: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
struct Step {
    created_by: Option<String>,
    empty_layer: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Run {
    user: Option<String>,
    env: Option<Vec<String>>,
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    working_dir: Option<String>,
    stop_signal: Option<String>,
    labels: Option<BTreeMap<String, String>>,
    exposed_ports: Option<BTreeMap<String, Value>>,
    volumes: Option<BTreeMap<String, Value>>,
    /// What docker and others put there beside that: `Healthcheck`, `OnBuild`, `Shell`.
    #[serde(flatten)]
    others: BTreeMap<String, Value>,
}

/// An image of the `manifest.json` that `docker save` writes.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Saved {
    pub(super) config: String,
    pub(super) repo_tags: Option<Vec<String>>,
    pub(super) layers: Option<Vec<String>>,
}

impl Descriptor {
    /// Gives the digest, checked before anything is done with it.
    pub(super) fn digest(&self, place: &str) -> Result<OciDigest, ReadError> {
        digest(&self.digest, place)
    }

    /// Gives an annotation.
    pub(super) fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.as_ref()?.get(key).map(String::as_str)
    }

    /// Says whether it leads to something that belongs to images and is none: what builders attest, what signers sign.
    pub(super) fn is_aside(&self) -> bool {
        let is_unknown = |one: &PlatformName| one.os == "unknown" && one.architecture == "unknown";
        self.platform.as_ref().is_some_and(is_unknown)
            || self.artifact_type.is_some()
            || self.annotation("vnd.docker.reference.type").is_some()
    }
}

/// Reads a digest.
pub(super) fn digest(text: &str, place: &str) -> Result<OciDigest, ReadError> {
    let why = |error| format!("{error}");
    text.parse().map_err(|error| ReadError::Content { place: place.to_owned(), why: why(error) })
}

/// Reads JSON of bounded size.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8], place: &str) -> Result<T, ReadError> {
    let failed = |source| ReadError::Json { place: place.to_owned(), source };
    if has_too_many_values(bytes) {
        return Err(failed(serde_json::Error::custom("it has more than a million values")));
    }
    serde_json::from_slice(bytes).map_err(failed)
}

/// Reads a manifest or an index whose bytes have been held against their digest.
pub(super) fn document(bytes: &[u8], said: Option<&str>, piece: &Piece) -> Result<Document, ReadError> {
    let place = &piece.place;
    let wrong = |why: &str| Err(ReadError::Content { place: place.clone(), why: why.to_owned() });
    let Either { media_type, manifests, config, layers, annotations } = parse(bytes, place)?;
    if media_type.as_deref().zip(said).is_some_and(|(own, said)| own != said) {
        return wrong("it has another media type than the descriptor that leads to it");
    }
    let annotations = annotations.unwrap_or_default();
    match (manifests, config, layers) {
        (Some(manifests), None, None) => Ok(Document::Index { manifests, annotations }),
        (None, Some(config), Some(layers)) => Ok(Document::Manifest { config, layers, annotations }),
        (Some(_), _, _) => wrong("it is an index and a manifest at once"),
        (None, _, _) => wrong("it is neither an index nor the manifest of an image"),
    }
}

impl Configuration {
    /// Gives the diff IDs, lowest first.
    pub(super) fn diff_ids(&self, place: &str) -> Result<Vec<OciDigest>, ReadError> {
        let ids = self.rootfs.as_ref().and_then(|rootfs| rootfs.diff_ids.as_deref()).unwrap_or_default();
        ids.iter().map(|id| digest(id, place)).collect()
    }

    /// Gives what made each layer, as far as that is said.
    pub(super) fn titles(&self) -> Vec<String> {
        let steps = self.history.iter().flatten().filter(|step| step.empty_layer != Some(true));
        steps.map(|step| title(step.created_by.as_deref().unwrap_or_default())).collect()
    }

    /// Gives the settings that this program has no word for, each as JSON; those that are off or empty are none.
    pub(super) fn others(&self) -> BTreeMap<String, String> {
        let is_nothing = |value: &Value| match value {
            Value::Null | Value::Bool(false) => true,
            Value::String(text) => text.is_empty(),
            Value::Array(list) => list.is_empty(),
            Value::Object(map) => map.is_empty(),
            Value::Bool(true) | Value::Number(_) => false,
        };
        let others = self.config.iter().flat_map(|run| &run.others).filter(|(_, value)| !is_nothing(value));
        others.map(|(key, value)| (key.clone(), value.to_string())).collect()
    }

    /// Gives what a container starts with.
    pub(super) fn runtime(self) -> Config {
        let run = self.config.unwrap_or_default();
        let some = |text: Option<String>| text.filter(|text| !text.is_empty());
        let keys = |map: Option<BTreeMap<String, Value>>| map.unwrap_or_default().into_keys().collect();
        let pair = |text: String| match text.split_once('=') {
            Some((key, value)) => (key.to_owned(), value.to_owned()),
            None => (text, String::new()),
        };
        Config {
            env: run.env.unwrap_or_default().into_iter().map(pair).collect(),
            user: some(run.user),
            workdir: some(run.working_dir),
            entrypoint: run.entrypoint.unwrap_or_default(),
            cmd: run.cmd.unwrap_or_default(),
            stop_signal: some(run.stop_signal),
            labels: run.labels.unwrap_or_default(),
            exposed_ports: keys(run.exposed_ports),
            volumes: keys(run.volumes),
        }
    }
}

/// Letters of what made a layer, or of what it is called, that are kept: builders put whole scripts there, and each file
/// of a layer bears its title.
const TITLE: usize = 60;

/// Shortens what made a layer, or what it is called, to a title of one line.
pub(super) fn title(said: &str) -> String {
    let said = said.strip_prefix("dlstore ").unwrap_or(said);
    let mut line = String::new();
    for word in said.split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        if let Some((at, _)) = line.char_indices().nth(TITLE) {
            line.truncate(at);
            return line + "...";
        }
    }
    line
}
