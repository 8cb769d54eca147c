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
use std::collections::HashMap;

use oci_spec::image::{ANNOTATION_REF_NAME, Descriptor, MediaType, SCHEMA_VERSION};
use serde_json::Value;

use super::documents::{canonical, index_of, platform, sorted};
use super::{Document, Documents};
use dlstore_model::arch::Arch;
use dlstore_model::digest::OciDigest;

/// Where containerd, and docker on top of it, look for an image's full name.
pub(super) const ANNOTATION_CONTAINERD_NAME: &str = "io.containerd.image.name";

/// Names a document in an `index.json`; `containerd` is its full name where it has one.
pub(super) fn named(document: &Document, arch: Option<Arch>, name: &str, containerd: Option<String>) -> Descriptor {
    let mut annotations = HashMap::from([(ANNOTATION_REF_NAME.to_owned(), name.to_owned())]);
    annotations.extend(containerd.map(|full| (ANNOTATION_CONTAINERD_NAME.to_owned(), full)));
    let mut entry = document.descriptor();
    entry.set_annotations(Some(annotations)).set_platform(arch.map(platform));
    entry
}

/// Gives all entries of one tag. The order of [`Arch`] is that of the names.
pub(super) fn of_tag(tag: &str, documents: &Documents) -> Vec<Descriptor> {
    let platforms = documents.platforms.iter().map(|documents| {
        named(&documents.manifest, Some(documents.arch), &format!("{tag}-{}", documents.arch.tag()), None)
    });
    std::iter::once(named(&documents.index, None, tag, None)).chain(platforms).collect()
}

/// Writes an `index.json` with these entries and nothing else.
pub(super) fn index_json(entries: Vec<Descriptor>) -> Vec<u8> {
    canonical(&sorted(&index_of(entries)))
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
///
/// It is kept as the JSON that it is: what others wrote has to survive, and `oci-spec`'s types lose it. They drop
/// fields that they do not know, among them `os.version` and `os.features` of a platform (they call them `os_version`
/// and `os_features`), and refuse the whole index for one digest that they cannot read.
pub(super) struct Existing {
    index: Value,
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
            return Ok(Self::new(sorted(&index_of(Vec::new()))));
        }
        if has_too_many_values(bytes) {
            return Err(Some(serde::de::Error::custom("it has more values than an index of thousands of images")));
        }
        let index: Value = serde_json::from_slice(bytes).map_err(Some)?;
        let is_index = index.is_object() && index.get("manifests").is_none_or(Value::is_array);
        if is_index { Ok(Self::new(index)) } else { Err(None) }
    }

    fn new(index: Value) -> Self {
        let mut places: HashMap<String, Vec<usize>> = HashMap::new();
        for (at, entry) in entries(&index).iter().enumerate() {
            if let Some(name) = ref_name(entry) {
                places.entry(name.to_owned()).or_default().push(at);
            }
        }
        Self { index, places }
    }

    /// Says whether it names this image by this tag, wholly, and nothing else by it.
    pub(super) fn agrees(&self, tag: &str, documents: &Documents) -> bool {
        let mut own: Vec<usize> = names_of(tag).filter_map(|name| self.places.get(&name)).flatten().copied().collect();
        own.sort_unstable();
        let ours: Vec<Value> = of_tag(tag, documents).iter().map(sorted).collect();
        let entries = entries(&self.index);
        own.into_iter().map(|at| &entries[at]).eq(&ours)
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
            entries(&self.index).iter().filter(|entry| !is_replaced(entry, None)).cloned().collect();
        for (at, (tag, documents)) in images.iter().enumerate() {
            merged.extend(of_tag(tag, documents).iter().map(sorted).filter(|entry| !is_replaced(entry, Some(at))));
        }
        merged.sort_by(|one, other| ref_name(one).cmp(&ref_name(other)));
        self.index["schemaVersion"] = SCHEMA_VERSION.into();
        self.index["mediaType"] = MediaType::ImageIndex.as_ref().into();
        self.index["manifests"] = merged.into();
        canonical(&self.index)
    }
}

fn entries(index: &Value) -> &[Value] {
    index.get("manifests").and_then(Value::as_array).map_or(&[], Vec::as_slice)
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

/// Reads any bytes as an `index.json` and names an image in it: what a fuzzer calls.
pub(super) fn fuzz(data: &[u8]) {
    let (media_type, digest) = (MediaType::ImageIndex.to_string(), OciDigest::of(b"{}"));
    let index = Document { media_type, digest, data: b"{}".to_vec() };
    let documents = Documents { platforms: Vec::new(), index };
    if let Ok(existing) = Existing::read(data) {
        let _ = existing.agrees("latest", &documents);
        let merged = existing.merge(&[("latest", &documents)]);
        let again = Existing::read(&merged);
        assert!(again.is_ok_and(|again| again.agrees("latest", &documents)), "what is written is read back");
    }
}
