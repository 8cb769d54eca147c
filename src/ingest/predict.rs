//! Predicting: what the images known here would take of a package, packed in the pass that decodes it.
//!
//! A prediction depends on the definitions at hand, so it is no part of the package. What came of it is a mapping
//! of its own, *landed*: (package, selection, usr-merge, tar rule, codec) -> layer tree and pack. Composing asks
//! for the pack by its own key and reads and writes the same mapping; a wrong prediction costs one more decoding,
//! never a wrong byte.

use std::fs::File;
use std::sync::Arc;

use dlstore_formats::layer::{self, Codec, Contents, PackInfo, TAR_RULE};
use dlstore_formats::package::Format;
use dlstore_model::arch::Arch;
use dlstore_model::digest::{ActionKey, Digest, KeyBuilder, PackageKey};
use dlstore_model::encoding::{DecodeError, Decoder, Encoder};
use dlstore_model::package::Metadata;
use dlstore_model::path::TreePath;
use dlstore_model::tree::Tree;
use dlstore_store::session::Session;
use dlstore_store::{NewAction, ObjectRef};

use super::IngestError;
use super::select::layer_tree::{layer_tree, resolve_owned};
use super::select::merged_usr::MergedUsr;
use super::select::select_owned;

/// Says of a path whether an image keeps it.
pub type Keeps = Arc<dyn Fn(&TreePath) -> bool + Send + Sync>;

/// What an image keeps of a package, and the key of the words that say so.
#[derive(Clone)]
pub struct Selection {
    /// Says of a path whether it is kept.
    pub keeps: Keeps,
    /// Key of the patterns and their rules.
    pub key: ActionKey,
}

/// The kind of the mapping, with the version of its value.
const KIND: &str = "landed 1";

/// What a package becomes in the images that have a selection, under usual links.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Landed {
    /// Its layer tree.
    pub layer_tree: Digest,
    /// The pack of that alone; `None` when nothing of the package is kept.
    pub pack: Option<ActionKey>,
}

impl Landed {
    /// Gives the key of the mapping. The page is `store-schema/KEYS.md`.
    #[must_use]
    pub fn key(package: &PackageKey, selection: &ActionKey, merged: &MergedUsr, codec: Codec) -> ActionKey {
        let mut key = KeyBuilder::new(KIND);
        key.bytes(package.as_bytes()).bytes(selection.as_bytes());
        merged.add_to_key(&mut key);
        key.number(u64::from(TAR_RULE)).text(codec.name());
        key.finish()
    }

    fn encode(self) -> Vec<u8> {
        let mut out = Encoder::new("landed 1\n");
        out.raw(self.layer_tree.as_bytes()).u8(u8::from(self.pack.is_some()));
        if let Some(pack) = self.pack {
            out.raw(pack.as_bytes());
        }
        out.finish()
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Decoder::new(bytes, "landed 1\n")?;
        let layer_tree = Digest::from_bytes(input.digest()?);
        let pack = match input.u8()? {
            0 => None,
            1 => Some(ActionKey::from_bytes(input.digest()?)),
            _ => return Err(DecodeError("neither with nor without a pack")),
        };
        input.finish()?;
        Ok(Self { layer_tree, pack })
    }

    /// Gives what a remembered value names; `None` when it cannot be read.
    #[must_use]
    pub fn names(value: &[u8]) -> Option<Vec<ObjectRef>> {
        let landed = Self::decode(value).ok()?;
        Some([ObjectRef::Tree(landed.layer_tree)].into_iter().chain(landed.pack.map(ObjectRef::Pack)).collect())
    }

    /// Remembers this under a key; tree and pack are live or pending.
    pub fn remember(self, session: &Session<'_>, key: ActionKey) {
        let mut refs = vec![ObjectRef::Tree(self.layer_tree)];
        refs.extend(self.pack.map(ObjectRef::Pack));
        session.add_action(NewAction { key, kind: "landed".into(), value: self.encode(), refs });
    }
}

/// The prediction for one package: the key to remember it under, and its layer tree.
pub(super) struct Prediction {
    pub(super) key: ActionKey,
    pub(super) tree: Arc<Tree>,
}

/// Gives the usr-merge links that a root of this package usually has.
fn usual(metadata: &Metadata) -> MergedUsr {
    let arch = match metadata.format {
        Format::Deb => Arch::from_debian(&metadata.architecture),
        Format::Apk => Arch::from_apk(&metadata.architecture),
        Format::Tar => None,
    };
    MergedUsr::usual(metadata.format, arch)
}

/// Gives the key under which the prediction for a package is remembered.
pub(super) fn key(metadata: &Metadata, package: &PackageKey, selection: &Selection, codec: Codec) -> ActionKey {
    Landed::key(package, &selection.key, &usual(metadata), codec)
}

/// Gives the layer tree that an image with this selection and the usual root asks for; the tree is used up.
pub(super) fn predict(
    metadata: &Metadata,
    package: &PackageKey,
    tree: Tree,
    selection: &Selection,
    codec: Codec,
) -> Result<Prediction, IngestError> {
    let merged = usual(metadata);
    // Each step uses the one before up: it is as large as the tree.
    let selected = select_owned(tree, &|path| (selection.keeps)(path)).map_err(IngestError::Tree)?;
    let landed = resolve_owned(selected, &merged).map_err(IngestError::Tree)?;
    let tree = Arc::new(layer_tree(landed, &|_| None).map_err(IngestError::Tree)?);
    Ok(Prediction { key: Landed::key(package, &selection.key, &merged, codec), tree })
}

/// Makes the pack of a prediction and remembers it; gives the pack's size when there is one.
pub(super) fn keep(
    session: &Session<'_>,
    prediction: &Prediction,
    contents: &dyn Contents,
    codec: Codec,
) -> Result<Option<u64>, IngestError> {
    let tree = &prediction.tree;
    if tree.is_empty() {
        let layer_tree = session.add_tree(tree);
        Landed { layer_tree, pack: None }.remember(session, prediction.key);
        return Ok(None);
    }
    let (pack, info) = write_pack(session, tree, contents, codec)?;
    Landed { layer_tree: tree.digest(), pack: Some(pack) }.remember(session, prediction.key);
    Ok(Some(info.size))
}

/// Writes the pack of a layer tree into the stage, unless it is known and its bytes are there and good.
///
/// # Errors
/// When content is missing or the stage cannot be written.
pub fn write_pack(
    session: &Session<'_>,
    tree: &Arc<Tree>,
    contents: &dyn Contents,
    codec: Codec,
) -> Result<(ActionKey, PackInfo), IngestError> {
    let part = tree.digest();
    let key = layer::pack_key(codec, &[part]);
    if let Some(info) = session.pack(&key)?
        && session.open_pack(&key, &info)?.is_some()
        && session.tree(&part)?.is_some()
    {
        return Ok((key, info));
    }
    let staged = session.stage_path()?;
    let mut file = File::create_new(&staged)?;
    let info = layer::write_pack(tree, contents, codec, &mut file)?;
    session.add_tree(tree);
    session.add_pack(key, vec![part], info.clone(), staged);
    Ok((key, info))
}
