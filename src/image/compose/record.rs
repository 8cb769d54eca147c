//! What is remembered of an image, and of the root of one architecture: values of outcomes, written and read.
//!
//! The page is `store-schema/KEYS.md`. A value lists everything that it references, so that verifying can compare
//! that with the edges of the index.

use std::collections::{BTreeMap, BTreeSet};

use super::ComposeError;
use super::gather::Gathered;
use super::packs;
use super::plan::PlatformPlan;
use crate::check::{Note, Weight};
use dlstore_formats::layer::Codec;
use dlstore_model::digest::{ActionKey, Digest, OciDigest, PackageKey};
use dlstore_model::encoding::{DecodeError, Decoder, Encoder, decode_list, encode_list};
use dlstore_oci::{Document, Documents, Layer, PlatformDocuments};
use dlstore_store::ObjectRef;
use dlstore_store::session::Session;

/// What is remembered of a planned root.
#[derive(Clone)]
pub(super) struct RootfsRecord {
    pub(super) layers: Vec<(ActionKey, String)>,
    pub(super) date: u64,
    pub(super) notes: Vec<Note>,
    /// The base that it stands on, when it was planned on one: that stays as long as this.
    pub(super) base: Option<ActionKey>,
}

/// What is remembered of what images extend.
pub(super) struct BaseRecord {
    /// Its layers.
    pub(super) rootfs: RootfsRecord,
    /// What stands where.
    pub(super) tree: Digest,
    /// How many entries its parts have.
    pub(super) entries: u64,
    /// Says whether a file that is added could change what is known of it.
    pub(super) is_open: bool,
    /// Near what files were left out of which packages have sums: the first two names of their paths, sorted.
    pub(super) left_out: Vec<Vec<u8>>,
}

impl BaseRecord {
    const MAGIC: &'static str = "base 2\n";

    /// Reads what is remembered under a key; `None` when it is not known, or the bytes of a layer are lost.
    pub(super) fn recall(session: &Session<'_>, key: &ActionKey) -> Result<Option<Self>, ComposeError> {
        let known = session.action(key)?.and_then(|value| Self::decode(&value).ok());
        let Some(known) = known else { return Ok(None) };
        Ok(if known.rootfs.is_here(session)? { Some(known) } else { None })
    }

    /// Gives all that has to live as long as the base.
    pub(super) fn names(&self) -> impl Iterator<Item = ObjectRef> {
        self.rootfs.names().chain([ObjectRef::Tree(self.tree)])
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::new(Self::MAGIC);
        self.rootfs.write(&mut out);
        out.raw(self.tree.as_bytes()).u64(self.entries).u8(u8::from(self.is_open));
        encode_list(&mut out, self.left_out.iter(), |out, near| {
            out.bytes(near);
        });
        out.finish()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Decoder::new(bytes, Self::MAGIC)?;
        let rootfs = RootfsRecord::read(&mut input)?;
        let tree = Digest::from_bytes(input.digest()?);
        let entries = input.u64()?;
        let is_open = match input.u8()? {
            0 => false,
            1 => true,
            _ => return Err(DecodeError("neither open nor closed")),
        };
        let left_out = decode_list(&mut input, |input| Ok(input.bytes()?.to_vec()))?;
        input.finish()?;
        Ok(Self { rootfs, tree, entries, is_open, left_out })
    }
}

impl RootfsRecord {
    const MAGIC: &'static str = "root 4\n";

    /// Takes what is to be remembered of a plan.
    pub(super) fn of(plan: PlatformPlan, notes: Vec<Note>) -> Self {
        let layers = plan.layers.into_iter().map(|layer| (layer.pack, layer.title)).collect();
        Self { layers, date: plan.date, notes, base: None }
    }

    /// Gives all that has to live as long as the root.
    pub(super) fn names(&self) -> impl Iterator<Item = ObjectRef> {
        let layers = self.layers.iter().map(|(key, _)| ObjectRef::Pack(*key));
        layers.chain(self.base.map(ObjectRef::Action))
    }

    fn is_here(&self, session: &Session<'_>) -> Result<bool, ComposeError> {
        for (layer, _) in &self.layers {
            if !packs::is_here(session, layer)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Reads what is remembered under a key; `None` when it is not known, or the bytes of a layer are lost.
    pub(super) fn recall(session: &Session<'_>, key: &ActionKey) -> Result<Option<Self>, ComposeError> {
        let known = session.action(key)?.and_then(|value| Self::decode(&value).ok());
        let Some(known) = known else { return Ok(None) };
        Ok(if known.is_here(session)? { Some(known) } else { None })
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::new(Self::MAGIC);
        self.write(&mut out);
        out.finish()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Decoder::new(bytes, Self::MAGIC)?;
        let read = Self::read(&mut input)?;
        input.finish()?;
        Ok(read)
    }

    fn write(&self, out: &mut Encoder) {
        out.u64(self.date).u8(u8::from(self.base.is_some()));
        if let Some(base) = self.base {
            out.raw(base.as_bytes());
        }
        encode_list(out, self.layers.iter(), |out, (key, title)| {
            out.raw(key.as_bytes()).bytes(title.as_bytes());
        });
        encode_notes(out, &self.notes);
    }

    fn read(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let date = input.u64()?;
        let base = match input.u8()? {
            0 => None,
            1 => Some(ActionKey::from_bytes(input.digest()?)),
            _ => return Err(DecodeError("neither with nor without a base")),
        };
        let layers = decode_list(input, |input| Ok((ActionKey::from_bytes(input.digest()?), input.text()?)))?;
        let notes = decode_list(input, decode_note)?;
        Ok(Self { layers, date, notes, base })
    }
}

fn encode_notes(out: &mut Encoder, notes: &[Note]) {
    encode_list(out, notes.iter(), |out, note| {
        out.bytes(note.text.as_bytes()).u8(note.weight as u8);
    });
}

fn decode_note(input: &mut Decoder<'_>) -> Result<Note, DecodeError> {
    let text = input.text()?;
    let weight = Weight::from_number(input.u8()?).ok_or(DecodeError("a note has an unknown weight"))?;
    Ok(Note { text, weight })
}

/// What is remembered of an image.
pub(super) struct ImageRecord {
    pub(super) documents: Documents,
    pub(super) packs: BTreeMap<OciDigest, ActionKey>,
    pub(super) date: u64,
    pub(super) notes: Vec<Note>,
    pub(super) made_of: MadeOf,
}

/// What an image was made of, sorted: it stays as long as the image.
#[derive(Default)]
pub(super) struct MadeOf {
    roots: Vec<ActionKey>,
    packages: Vec<PackageKey>,
}

impl MadeOf {
    pub(super) fn new(root_keys: &[ActionKey], gathered: &Gathered<'_>) -> Self {
        let mut roots = root_keys.to_vec();
        let packages =
            gathered.platforms.iter().flat_map(|platform| &platform.packages).map(|package| package.record.key());
        let packages: BTreeSet<PackageKey> = packages.collect();
        roots.sort_unstable();
        roots.dedup();
        Self { roots, packages: packages.into_iter().collect() }
    }
}

/// Gives what a remembered value of this module names, by the kind of its action; `None` when it cannot be read.
#[must_use]
pub fn names(kind: &str, value: &[u8]) -> Option<Vec<ObjectRef>> {
    let ours = match kind {
        "base" => BaseRecord::MAGIC,
        "root" => RootfsRecord::MAGIC,
        _ => ImageRecord::MAGIC,
    };
    if is_of_another_version(value, ours) {
        // Nobody here reads it, and it is made anew when it is wanted.
        return Some(Vec::new());
    }
    Some(match kind {
        "base" => BaseRecord::decode(value).ok()?.names().collect(),
        "root" => RootfsRecord::decode(value).ok()?.names().collect(),
        _ => ImageRecord::decode(value).ok()?.names().collect(),
    })
}

pub(super) fn all_documents(documents: &Documents) -> impl Iterator<Item = &Document> {
    let platforms = documents.platforms.iter().flat_map(|platform| [&platform.config, &platform.manifest]);
    platforms.chain([&documents.index])
}

impl ImageRecord {
    const MAGIC: &'static str = "image 4\n";

    /// Gives all that has to live as long as the image.
    pub(super) fn names(&self) -> impl Iterator<Item = ObjectRef> {
        let documents = all_documents(&self.documents).map(|document| ObjectRef::Blob(document.digest));
        let made_of = self.made_of.roots.iter().map(|key| ObjectRef::Action(*key));
        let packages = self.made_of.packages.iter().map(|key| ObjectRef::Package(*key));
        documents.chain(self.packs.values().map(|key| ObjectRef::Pack(*key))).chain(made_of).chain(packages)
    }

    /// Writes what is remembered. Documents are named by their digests: their bytes are content of the store.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::new(Self::MAGIC);
        out.u64(self.date);
        encode_notes(&mut out, &self.notes);
        encode_list(&mut out, self.packs.iter(), |out, (digest, key)| {
            out.raw(digest.as_bytes()).raw(key.as_bytes());
        });
        encode_document(&mut out, &self.documents.index);
        encode_list(&mut out, self.documents.platforms.iter(), |out, platform| {
            out.bytes(platform.arch.to_string().as_bytes());
            encode_document(out, &platform.config);
            encode_document(out, &platform.manifest);
            encode_list(out, platform.layers.iter(), |out, layer| {
                out.bytes(layer.codec.name().as_bytes()).raw(layer.blob.as_bytes()).u64(layer.size);
                out.raw(layer.diff_id.as_bytes()).bytes(layer.title.as_bytes());
            });
        });
        encode_list(&mut out, self.made_of.roots.iter(), |out, key| {
            out.raw(key.as_bytes());
        });
        encode_list(&mut out, self.made_of.packages.iter(), |out, key| {
            out.raw(key.as_bytes());
        });
        out.finish()
    }

    /// Reads what is remembered, with the documents that it names; `None` when any of it is lost.
    pub(super) fn recall(session: &Session<'_>, bytes: &[u8]) -> Result<Option<Self>, ComposeError> {
        let Ok(named) = Self::decode(bytes) else { return Ok(None) };
        let Self { mut documents, packs, date, notes, made_of } = named;
        let platforms = documents.platforms.iter_mut();
        let both = platforms.flat_map(|platform| [&mut platform.config, &mut platform.manifest]);
        for document in both.chain([&mut documents.index]) {
            match session.blob(&document.digest)? {
                Some(data) => document.data = data,
                None => return Ok(None),
            }
        }
        Ok(Some(Self { documents, packs, date, notes, made_of }))
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Decoder::new(bytes, Self::MAGIC)?;
        let date = input.u64()?;
        let notes = decode_list(&mut input, decode_note)?;
        let packs = decode_list(&mut input, |input| {
            Ok((OciDigest::from_bytes(input.digest()?), ActionKey::from_bytes(input.digest()?)))
        })?;
        let index = decode_document(&mut input)?;
        let platforms = decode_list(&mut input, |input| {
            let arch = input.text()?.parse().map_err(|_| DecodeError("unknown architecture"))?;
            let (config, manifest) = (decode_document(input)?, decode_document(input)?);
            let layers = decode_list(input, |input| {
                Ok(Layer {
                    codec: Codec::from_name(&input.text()?).ok_or(DecodeError("unknown codec"))?,
                    blob: OciDigest::from_bytes(input.digest()?),
                    size: input.u64()?,
                    diff_id: OciDigest::from_bytes(input.digest()?),
                    title: input.text()?,
                })
            })?;
            Ok(PlatformDocuments { arch, config, manifest, layers })
        })?;
        let roots = decode_list(&mut input, |input| Ok(ActionKey::from_bytes(input.digest()?)))?;
        let packages = decode_list(&mut input, |input| Ok(PackageKey::from_bytes(input.digest()?)))?;
        input.finish()?;
        let (documents, packs) = (Documents { platforms, index }, packs.into_iter().collect());
        Ok(Self { documents, packs, date, notes, made_of: MadeOf { roots, packages } })
    }
}

fn encode_document(out: &mut Encoder, document: &Document) {
    out.bytes(document.media_type.as_bytes()).raw(document.digest.as_bytes());
}

/// Reads the name of a document; its bytes are read by [`ImageRecord::recall`].
fn decode_document(input: &mut Decoder<'_>) -> Result<Document, DecodeError> {
    let media_type = input.text()?;
    let digest = OciDigest::from_bytes(input.digest()?);
    Ok(Document { media_type, digest, data: Vec::new() })
}

/// Says whether a value begins as one of its kind does, with another number: `image 3` where ours is `image 4`.
fn is_of_another_version(value: &[u8], ours: &str) -> bool {
    let Some((kind, _)) = ours.split_once(' ') else { return false };
    let rest = value.strip_prefix(kind.as_bytes()).and_then(|rest| rest.strip_prefix(b" "));
    let Some(rest) = rest else { return false };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (1..=9).contains(&digits) && rest.get(digits) == Some(&b'\n') && !value.starts_with(ours.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_another_version_names_nothing_and_is_no_damage() {
        assert_eq!(names("image", b"image 3\nwhatever"), Some(Vec::new()));
        assert_eq!(names("root", b"root 1\nwhatever"), Some(Vec::new()));
        for damaged in [&b"image 4\nwhatever"[..], b"image \n", b"imag", b"image 3", b""] {
            assert_eq!(names("image", damaged), None, "{damaged:?}");
        }
    }
}
