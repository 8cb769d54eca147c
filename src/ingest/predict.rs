//! Predicting: what the images known here would take of a package, packed in the pass that decodes it.
//!
//! A prediction depends on the definitions at hand, so it is no part of the package. What came of it is a mapping
//! of its own (`landed`), which composing reads. A wrong prediction costs one more decoding, never a wrong byte.

use std::fs::File;
use std::sync::Arc;

use dlstore_formats::layer::{self, Codec, Contents, PackInfo};
use dlstore_formats::package::Format;
use dlstore_model::arch::Arch;
use dlstore_model::digest::{ActionKey, PackageKey};
use dlstore_model::package::Metadata;
use dlstore_model::tree::Tree;
use dlstore_store::session::Session;

use super::IngestError;
use super::landed::{self, Remembered, Selection};
use super::select::merged_usr::MergedUsr;

/// The prediction for one package: the key to remember it under, and its layer tree.
pub(super) struct Prediction {
    pub(super) key: ActionKey,
    pub(super) tree: Arc<Tree>,
    landed: Remembered,
}

/// Gives the usr-merge links that a root of this package usually has.
pub(super) fn usual(metadata: &Metadata) -> MergedUsr {
    let arch = match metadata.format {
        Format::Deb => Arch::from_debian(&metadata.architecture),
        Format::Apk => Arch::from_apk(&metadata.architecture),
        Format::Tar => None,
    };
    MergedUsr::usual(metadata.format, arch)
}

/// Gives the key under which the prediction for a package is remembered.
pub(super) fn key(metadata: &Metadata, package: &PackageKey, selection: &Selection, codec: Codec) -> ActionKey {
    landed::key(package, selection, &usual(metadata), codec)
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
    let (landed, tree) = landed::land(tree, selection, &merged)?;
    let key = landed::key(package, selection, &merged, codec);
    Ok(Prediction { key, tree: Arc::new(tree), landed })
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
        session.add_tree(tree);
        prediction.landed.keep(session, prediction.key);
        return Ok(None);
    }
    let (pack, info) = write_pack(session, tree, contents, codec)?;
    prediction.landed.clone().packed(pack).keep(session, prediction.key);
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
