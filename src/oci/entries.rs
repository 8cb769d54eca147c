//! What the `index.json` of a layout says about one tag, and how that is merged with the rest of it.
//!
//! ```text
//! latest         the image's index
//! latest-386     its manifest for that architecture, and so on: umoci, among others, cannot follow
//! latest-amd64   an index that lies inside an index
//! ```
//!
//! A tag owns its own name and that name with any of the eight architectures behind it, so composing
//! fewer architectures leaves none of the old ones. All other entries are kept as they are, and all
//! are sorted by name; entries without a name come first, in the order in which they were.
use std::collections::{BTreeMap, HashMap};

use oci_spec::image::ANNOTATION_REF_NAME;
use serde_json::{Map, Value};

use super::documents::{annotate, canonical, empty_index, platform};
use super::{Document, Documents, PlatformDocuments};
use dlstore_model::arch::Arch;
use dlstore_model::digest::OciDigest;

/// Where containerd, and docker on top of it, look for an image's full name.
pub(super) const ANNOTATION_CONTAINERD_NAME: &str = "io.containerd.image.name";

/// Names a document in an `index.json`; `containerd` is its full name where it has one.
pub(super) fn named(document: &Document, arch: Option<Arch>, name: &str, containerd: Option<String>) -> Value {
    let mut entry = document.descriptor();
    let mut annotations = BTreeMap::from([(ANNOTATION_REF_NAME.to_owned(), name.to_owned())]);
    annotations.extend(containerd.map(|full| (ANNOTATION_CONTAINERD_NAME.to_owned(), full)));
    annotate(&mut entry, &annotations);
    if let Some(arch) = arch {
        entry.insert("platform".into(), platform(arch).into());
    }
    entry.into()
}

/// Gives all entries of one tag, sorted.
pub(super) fn of_tag(tag: &str, documents: &Documents) -> Vec<Value> {
    let platform = |documents: &PlatformDocuments| {
        named(&documents.manifest, Some(documents.arch), &format!("{tag}-{}", documents.arch.tag()), None)
    };
    let mut entries = vec![named(&documents.index, None, tag, None)];
    entries.extend(documents.platforms.iter().map(platform));
    sort(&mut entries);
    entries
}

/// Writes an `index.json` with these entries and nothing else.
pub(super) fn index_json(entries: Vec<Value>) -> Vec<u8> {
    let mut object = empty_index();
    object.insert("manifests".into(), entries.into());
    canonical(&object.into())
}

/// Longest `index.json` that is read: that of 1,000 images for 8 architectures has 4 MB.
pub(super) const MAX_INDEX: u64 = 16 << 20;
/// Most values in it, about: each takes a hundred bytes of memory or more, however short its text is. Those
/// 1,000 images have 200,000.
const MAX_VALUES: usize = 1_000_000;

/// Says whether a text of JSON has more values than are read. Each but the first has a comma, a colon or a
/// bracket before it; those within strings are counted too, which only makes the limit stricter.
fn has_too_many_values(bytes: &[u8]) -> bool {
    bytes.iter().filter(|byte| matches!(byte, b',' | b':' | b'[' | b'{')).count() > MAX_VALUES
}

/// An `index.json` that was there before.
pub(super) struct Existing {
    object: Map<String, Value>,
    /// Where entries stand, by name.
    places: HashMap<String, Vec<usize>>,
}

impl Existing {
    /// Reads one. An empty file is an empty index: what a power cut may leave of a new one.
    ///
    /// # Errors
    /// `Some` says why it is not JSON, `None` that it is JSON of another kind.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Option<serde_json::Error>> {
        // Empty or zeros: what a power cut leaves of a file that was not on the disk yet.
        if bytes.iter().all(|byte| *byte == 0) {
            return Ok(Self::new(empty_index()));
        }
        if has_too_many_values(bytes) {
            return Err(Some(serde::de::Error::custom("it has more values than an index of thousands of images")));
        }
        match serde_json::from_slice(bytes).map_err(Some)? {
            Value::Object(object) if object.get("manifests").is_none_or(Value::is_array) => Ok(Self::new(object)),
            _ => Err(None),
        }
    }

    fn new(object: Map<String, Value>) -> Self {
        let mut places: HashMap<String, Vec<usize>> = HashMap::new();
        for (at, entry) in entries(&object).iter().enumerate() {
            if let Some(name) = ref_name(entry) {
                places.entry(name.to_owned()).or_default().push(at);
            }
        }
        Self { object, places }
    }

    /// Says whether it names this image by this tag, wholly, and nothing else by it.
    pub(super) fn agrees(&self, tag: &str, documents: &Documents) -> bool {
        let mut own: Vec<usize> = names_of(tag).filter_map(|name| self.places.get(&name)).flatten().copied().collect();
        own.sort_unstable();
        let entries = entries(&self.object);
        own.into_iter().map(|at| &entries[at]).eq(&of_tag(tag, documents))
    }

    /// Replaces what the tags say, in turn, keeps the rest, and writes the outcome.
    pub(super) fn merge(mut self, images: &[(&str, &Documents)]) -> Vec<u8> {
        let turns: HashMap<&str, usize> = images.iter().enumerate().map(|(at, (tag, _))| (*tag, at)).collect();
        // A tag owns its own name and those with an architecture behind it: whoever comes last has them.
        let is_replaced = |entry: &Value, turn: Option<usize>| {
            let owners = ref_name(entry).into_iter().flat_map(owners);
            owners.filter_map(|owner| turns.get(owner)).any(|last| turn.is_none_or(|turn| *last > turn))
        };
        let mut merged: Vec<Value> =
            entries(&self.object).iter().filter(|entry| !is_replaced(entry, None)).cloned().collect();
        for (at, (tag, documents)) in images.iter().enumerate() {
            merged.extend(of_tag(tag, documents).into_iter().filter(|entry| !is_replaced(entry, Some(at))));
        }
        sort(&mut merged);
        self.object.extend(empty_index());
        self.object.insert("manifests".into(), merged.into());
        canonical(&self.object.into())
    }
}

fn entries(object: &Map<String, Value>) -> &[Value] {
    object.get("manifests").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Gives the names that a tag owns.
fn names_of(tag: &str) -> impl Iterator<Item = String> {
    std::iter::once(tag.to_owned()).chain(Arch::ALL.into_iter().map(move |arch| format!("{tag}-{}", arch.tag())))
}

/// Gives the tags that own a name.
fn owners(name: &str) -> impl Iterator<Item = &str> {
    let with_arch = move |arch: Arch| name.strip_suffix(arch.tag().as_str())?.strip_suffix('-');
    std::iter::once(name).chain(Arch::ALL.into_iter().filter_map(with_arch))
}

fn ref_name(entry: &Value) -> Option<&str> {
    entry.get("annotations")?.get(ANNOTATION_REF_NAME)?.as_str()
}

fn sort(entries: &mut [Value]) {
    entries.sort_by(|one, other| ref_name(one).cmp(&ref_name(other)));
}

/// Reads any bytes as an `index.json` and names an image in it: what a fuzzer calls.
pub(super) fn fuzz(data: &[u8]) {
    let (media_type, digest) = ("application/vnd.oci.image.index.v1+json".to_owned(), OciDigest::of(b"{}"));
    let index = Document { media_type, digest, data: b"{}".to_vec() };
    let documents = Documents { platforms: Vec::new(), index };
    if let Ok(existing) = Existing::read(data) {
        let _ = existing.agrees("latest", &documents);
        let merged = existing.merge(&[("latest", &documents)]);
        let again = Existing::read(&merged);
        assert!(again.is_ok_and(|again| again.agrees("latest", &documents)), "what is written is read back");
    }
}
