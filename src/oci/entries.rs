//! What the `index.json` of a layout says about an image, and how that is merged with the rest of it.
//!
//! ```text
//! latest         the image: its index, or the manifest of its only architecture
//! latest-386     when asked for, the manifest of each architecture: umoci, among others, cannot follow
//! latest-amd64   an index that lies inside an index
//! ```
//!
//! An image has one entry, under one tag: most tools take a layout of one entry without being told which, and refuse
//! several or push something else. Each entry says in an annotation which image of which definition it is
//! ([`ANNOTATION_IMAGE`]): a tag that belongs to another one is not taken away from it by accident. The entries of single
//! architectures say which tag they belong to ([`ANNOTATION_TAG`]), and go with it. All other entries are kept as they
//! are, and all are sorted by name; entries without a name come first, in the order in which they were.
use std::collections::HashMap;

use oci_spec::image::{ANNOTATION_REF_NAME, Descriptor, MediaType, SCHEMA_VERSION};
use serde_json::Value;

use super::documents::{canonical, index_of, platform, sorted};
use super::name::ImageName;
use super::{Document, Documents, PlatformDocuments};
use dlstore_model::arch::Arch;
use dlstore_model::digest::OciDigest;

/// Of which definition an entry is: its name, with that of its project in front where it has one.
const ANNOTATION_IMAGE: &str = "dev.dlstore.image";

/// To which tag the entry of a single architecture belongs.
const ANNOTATION_TAG: &str = "dev.dlstore.tag";

/// Where containerd, and docker on top of it, look for an image's full name.
pub(super) const ANNOTATION_CONTAINERD_NAME: &str = "io.containerd.image.name";

/// Names a document in an `index.json`; `containerd` is its full name where it has one.
pub(super) fn named(document: &Document, arch: Option<Arch>, name: &str, containerd: Option<String>) -> Descriptor {
    annotated(document, arch, &[(ANNOTATION_REF_NAME, name)], containerd)
}

fn annotated(
    document: &Document,
    arch: Option<Arch>,
    annotations: &[(&str, &str)],
    containerd: Option<String>,
) -> Descriptor {
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    let mut annotations: HashMap<String, String> = annotations.iter().map(owned).collect();
    annotations.extend(containerd.map(|full| (ANNOTATION_CONTAINERD_NAME.to_owned(), full)));
    let mut entry = document.descriptor();
    entry.set_annotations(Some(annotations)).set_platform(arch.map(platform));
    entry
}

/// An image, and what a layout calls it.
#[derive(Clone, Copy)]
pub(crate) struct Named<'i> {
    /// The tag.
    pub(crate) tag: &'i str,
    /// The full name, where the image has a repository.
    pub(crate) full: Option<&'i ImageName>,
    /// Of which definition it is.
    pub(crate) image: &'i str,
    /// Whether each architecture has an entry of its own too.
    pub(crate) has_arch_tags: bool,
    /// What it is.
    pub(crate) documents: &'i Documents,
}

/// Gives all entries of an image. The order of [`Arch`] is that of the names.
pub(super) fn entries_of(image: &Named<'_>) -> Vec<Descriptor> {
    let of_platform = |one: &PlatformDocuments| {
        let tag = format!("{}-{}", image.tag, one.arch.tag());
        let annotations =
            [(ANNOTATION_REF_NAME, tag.as_str()), (ANNOTATION_IMAGE, image.image), (ANNOTATION_TAG, image.tag)];
        annotated(&one.manifest, Some(one.arch), &annotations, None)
    };
    let only = image.documents.only().map(|only| only.arch);
    let annotations = [(ANNOTATION_REF_NAME, image.tag), (ANNOTATION_IMAGE, image.image)];
    let first = annotated(image.documents.image(), only, &annotations, image.full.map(ImageName::containerd));
    let platforms = image.documents.platforms.iter().filter(|_| image.has_arch_tags).map(of_platform);
    std::iter::once(first).chain(platforms).collect()
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
pub(super) fn has_too_many_values(bytes: &[u8]) -> bool {
    bytes.iter().filter(|byte| matches!(byte, b',' | b':' | b'[' | b'{')).count() > MAX_VALUES
}

/// An `index.json` that was there before.
///
/// It is kept as the JSON that it is: what others wrote has to survive, and `oci-spec`'s types lose it. They drop
/// fields that they do not know, among them `os.version` and `os.features` of a platform (they call them `os_version`
/// and `os_features`), and refuse the whole index for one digest that they cannot read.
pub(super) struct Existing {
    index: Value,
    /// Where entries stand, by the tag that they are or belong to.
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
            for tag in tags_of(entry) {
                places.entry(tag.to_owned()).or_default().push(at);
            }
        }
        Self { index, places }
    }

    fn at(&self, tag: &str) -> impl Iterator<Item = &Value> {
        let entries = entries(&self.index);
        self.places.get(tag).into_iter().flatten().map(|at| &entries[*at])
    }

    /// Says whether it names this image by its tag, wholly, and nothing else by it.
    pub(super) fn agrees(&self, image: &Named<'_>) -> bool {
        self.at(image.tag).eq(&entries_of(image).iter().map(sorted).collect::<Vec<Value>>())
    }

    /// Gives a tag that this image would have and that belongs to another one, with that one; where it is known.
    pub(super) fn taken(&self, image: &Named<'_>) -> Option<(String, String)> {
        names_of(image).find_map(|name| {
            let owners = self.at(&name).filter_map(|entry| annotation(entry, ANNOTATION_IMAGE));
            let other = owners.into_iter().find(|owner| is_other(owner, image.image))?.to_owned();
            Some((name, other))
        })
    }

    /// Replaces what the tags say, in turn, keeps the rest, and writes the outcome.
    pub(super) fn merge(mut self, images: &[Named<'_>]) -> Vec<u8> {
        let turns: HashMap<String, usize> =
            images.iter().enumerate().flat_map(|(at, image)| names_of(image).map(move |name| (name, at))).collect();
        // A tag owns its own entry and those of its architectures: whoever comes last has them.
        let is_replaced = |entry: &Value, turn: Option<usize>| {
            tags_of(entry).filter_map(|tag| turns.get(tag)).any(|last| turn.is_none_or(|turn| *last > turn))
        };
        let mut merged: Vec<Value> =
            entries(&self.index).iter().filter(|entry| !is_replaced(entry, None)).cloned().collect();
        for (at, image) in images.iter().enumerate() {
            merged.extend(entries_of(image).iter().map(sorted).filter(|entry| !is_replaced(entry, Some(at))));
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

/// Says whether two definitions are different ones. A project that got its name later, or has none here, is the same.
fn is_other(one: &str, other: &str) -> bool {
    fn parts(text: &str) -> (Option<&str>, &str) {
        text.rsplit_once('/').map_or((None, text), |(project, name)| (Some(project), name))
    }
    let ((project, name), (other_project, other_name)) = (parts(one), parts(other));
    name != other_name || project.zip(other_project).is_some_and(|(one, other)| one != other)
}

/// Gives the names that an image's entries have.
fn names_of(image: &Named<'_>) -> impl Iterator<Item = String> {
    let of_arch = |one: &PlatformDocuments| format!("{}-{}", image.tag, one.arch.tag());
    let platforms = image.documents.platforms.iter().filter(|_| image.has_arch_tags).map(of_arch);
    std::iter::once(image.tag.to_owned()).chain(platforms)
}

/// Gives the tag that an entry is, and that to which it belongs. Tools that give an entry another name leave the other
/// annotations as they are: it is theirs then.
fn tags_of(entry: &Value) -> impl Iterator<Item = &str> {
    let name = ref_name(entry);
    let is_of_arch = |tag: &&str| {
        let arch = name.and_then(|name| name.strip_prefix(*tag)?.strip_prefix('-'));
        arch.is_some_and(|arch| Arch::ALL.into_iter().any(|known| known.tag() == arch))
    };
    [name, annotation(entry, ANNOTATION_TAG).filter(is_of_arch)].into_iter().flatten()
}

fn ref_name(entry: &Value) -> Option<&str> {
    annotation(entry, ANNOTATION_REF_NAME)
}

fn annotation<'e>(entry: &'e Value, key: &str) -> Option<&'e str> {
    entry.get("annotations")?.get(key)?.as_str()
}

/// Reads any bytes as an `index.json` and names an image in it: what a fuzzer calls.
pub(super) fn fuzz(data: &[u8]) {
    let (media_type, digest) = (MediaType::ImageIndex.to_string(), OciDigest::of(b"{}"));
    let index = Document { media_type, digest, data: b"{}".to_vec() };
    let documents = Documents { platforms: Vec::new(), index };
    let image = Named { tag: "latest", full: None, image: "x:y", has_arch_tags: true, documents: &documents };
    if let Ok(existing) = Existing::read(data) {
        let _ = (existing.agrees(&image), existing.taken(&image));
        let merged = existing.merge(&[image]);
        let again = Existing::read(&merged);
        assert!(again.is_ok_and(|again| again.agrees(&image)), "what is written is read back");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_definition_is_another_by_its_name_or_by_the_names_of_both_projects() {
        for (one, other, is_so) in [
            ("app", "app", false),
            ("app", "api", true),
            ("app", "acme/app", false),
            ("acme/app", "acme/app", false),
            ("acme/app", "other/app", true),
            ("acme/x/app", "acme/y/app", true),
            ("acme/app", "acme/api", true),
        ] {
            assert_eq!((is_other(one, other), is_other(other, one)), (is_so, is_so), "{one} {other}");
        }
    }
}
