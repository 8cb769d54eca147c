//! Landed: what a package becomes in the images that select it alike, kept as a mapping of its own.
//!
//! ```text
//! (package, selection, usr-merge, tar rule, codec) ► layer tree · pack, when one was made ahead
//!                                                    what else a plan asks of the whole package (`Aside`)
//! ```
//!
//! `add` writes it for the images that are known, and composing for those that were not. Later plans use it
//! instead of selecting from the whole tree again. The value is a function of what the key names, so a
//! value that is lost or cannot be read is only a miss.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dlstore_formats::layer::{Codec, TAR_RULE};
use dlstore_model::digest::{ActionKey, Digest, KeyBuilder, PackageKey};
use dlstore_model::encoding::{DecodeError, Decoder, Encoder, decode_list, encode_list};
use dlstore_model::glob::{Pattern, Unmatched};
use dlstore_model::path::TreePath;
use dlstore_model::tree::{Entry, Meta, Tree};
use dlstore_store::session::Session;
use dlstore_store::{NewAction, ObjectRef};

use super::IngestError;
use super::select::layer_tree::{is_relinked, layer_tree, missing_directories, resolve_owned};
use super::select::matter::{Matter, matter};
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
    /// The patterns in the order in which they are numbered; one that is none is left out.
    pub patterns: Arc<[(usize, Pattern)]>,
}

/// The kind of the mapping, with the version of its value. It covers the list of [`matter`] too.
const KIND: &str = "landed 3";

/// First line of a value.
const MAGIC: &str = "landed 3\n";

/// Claims above which nothing is remembered: no real package comes close.
const MOST_CLAIMS: usize = 20_000;

/// A path that belongs to fix-ups, which a package ships there, whether or not it is selected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Where, by the package's own name.
    pub path: TreePath,
    /// What it is about.
    pub matter: Matter,
    /// Mode, owner and date of what is shipped.
    pub meta: Meta,
}

/// What a plan asks of the whole package, beside the tree of what is left.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Aside {
    /// Directories of the layer tree that the package does not list, by their numbers there.
    implied: Vec<u32>,
    /// Files whose own name was not selected, with the name of their hard-link group that became the file.
    pub moved: BTreeMap<TreePath, TreePath>,
    /// What it ships at paths that belong to fix-ups.
    pub claims: Vec<Claim>,
    /// Numbers of the patterns that match none of its paths.
    pub unmatched: BTreeSet<usize>,
}

/// What a package becomes: as it is planned with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Landed {
    /// Digest of its layer tree, where nothing else is in the image; `None` if usr-merge changed which name of a
    /// hard-link group is the file.
    pub layer_tree: Option<Digest>,
    /// What is left, where it lands, in path order. Directories have no date.
    pub entries: Vec<(TreePath, Entry)>,
    /// Directories above those which the package does not list.
    pub implied: Vec<TreePath>,
    /// What a plan asks beside.
    pub aside: Aside,
}

/// What a value says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    /// The layer tree.
    pub layer_tree: Digest,
    /// Its pack, when one was made ahead.
    pub pack: Option<ActionKey>,
    /// What else there is to know; `None` when this package has to be looked at as a whole.
    aside: Option<Aside>,
}

/// Gives the key of the mapping. The page is `store-schema/KEYS.md`.
#[must_use]
pub fn key(package: &PackageKey, selection: &Selection, merged: &MergedUsr, codec: Codec) -> ActionKey {
    let mut key = KeyBuilder::new(KIND);
    key.bytes(package.as_bytes()).bytes(selection.key.as_bytes());
    merged.add_to_key(&mut key);
    key.number(u64::from(TAR_RULE)).text(codec.name());
    key.finish()
}

/// Lands a whole package: selects, moves to where entries stand under usr-merge, and makes the layer tree. The tree is
/// used up, since a large one must not be there twice.
///
/// # Errors
/// When two entries land on one path and differ.
pub fn land(whole: Tree, selection: &Selection, merged: &MergedUsr) -> Result<(Remembered, Tree), IngestError> {
    let (entries, mut aside) = arrive(whole, selection, merged)?;
    let relinked = is_relinked(&entries);
    let mut implied = Vec::new();
    missing_directories(&entries, |path| {
        implied.push(path);
        true
    });
    let tree = layer_tree(entries, &|_| None).map_err(IngestError::Tree)?;
    let number = |path: &TreePath| tree.iter().as_slice().binary_search_by(|(probe, _)| probe.cmp(path));
    let numbers = implied.iter().filter_map(|path| u32::try_from(number(path).ok()?).ok());
    aside.implied = numbers.collect();
    aside.implied.sort_unstable();
    let is_kept = !relinked && aside.claims.len() <= MOST_CLAIMS;
    Ok((Remembered { layer_tree: tree.digest(), pack: None, aside: is_kept.then_some(aside) }, tree))
}

/// Lands a whole package as [`land`] does, for planning with it now.
///
/// # Errors
/// As [`land`].
pub fn land_here(whole: Tree, selection: &Selection, merged: &MergedUsr) -> Result<Landed, IngestError> {
    let (entries, aside) = arrive(whole, selection, merged)?;
    let mut implied = Vec::new();
    missing_directories(&entries, |path| {
        implied.push(path);
        true
    });
    implied.sort();
    Ok(Landed { layer_tree: None, entries, implied, aside })
}

/// Holds what is recalled of a package against what landing it anew gives.
///
/// # Panics
/// When they differ.
#[doc(hidden)]
pub fn check_recall(remembered: &Remembered, layer: &Tree, whole: Tree, selection: &Selection, merged: &MergedUsr) {
    assert_eq!(Remembered::decode(&remembered.encode()).as_ref(), Ok(remembered));
    let Some(aside) = remembered.aside.clone() else { return };
    let recalled = aside.with(remembered.layer_tree, layer).expect("its numbers are of its tree");
    let anew = land_here(whole, selection, merged).expect("it landed before");
    assert_eq!(recalled.entries, anew.entries);
    assert_eq!(recalled.implied, anew.implied);
    assert_eq!(Aside { implied: Vec::new(), ..recalled.aside }, anew.aside);
}

/// Entries where they land, and all of what is aside but the implied directories.
fn arrive(
    whole: Tree,
    selection: &Selection,
    merged: &MergedUsr,
) -> Result<(Vec<(TreePath, Entry)>, Aside), IngestError> {
    let mut unmatched = Unmatched::new(selection.patterns.iter().cloned());
    let mut claims = Vec::new();
    for (path, entry) in &whole {
        unmatched.meet(path, |_| {});
        if let Some(matter) = matter(&merged.resolve_name(path), entry) {
            claims.push(Claim { path: path.clone(), matter, meta: entry.meta });
        }
    }
    let (selected, moved) = select_owned(whole, &|path| (selection.keeps)(path)).map_err(IngestError::Tree)?;
    let mut entries = resolve_owned(selected, merged).map_err(IngestError::Tree)?;
    for (_, entry) in entries.iter_mut().filter(|(_, entry)| entry.is_directory()) {
        entry.meta.mtime = 0;
    }
    Ok((entries, Aside { implied: Vec::new(), moved, claims, unmatched: unmatched.left() }))
}

/// Finds what a package becomes, as it was remembered; `None` is a miss.
///
/// # Errors
/// When the store cannot be read.
pub fn find(session: &Session<'_>, key: &ActionKey) -> Result<Option<Landed>, IngestError> {
    let Some(remembered) = session.action(key)?.and_then(|value| Remembered::decode(&value).ok()) else {
        return Ok(None);
    };
    let Some(aside) = remembered.aside else { return Ok(None) };
    let Some(tree) = session.tree(&remembered.layer_tree)? else { return Ok(None) };
    Ok(aside.with(remembered.layer_tree, &tree))
}

impl Aside {
    /// Puts the entries back that the layer tree of the package was made of.
    fn with(self, digest: Digest, tree: &Tree) -> Option<Landed> {
        let mut entries = Vec::with_capacity(tree.len());
        let mut implied = Vec::with_capacity(self.implied.len());
        let mut left = self.implied.iter().peekable();
        for (at, (path, entry)) in tree.iter().enumerate() {
            if left.next_if(|number| **number as usize == at).is_some() {
                implied.push(path.clone());
            } else {
                entries.push((path.clone(), entry.clone()));
            }
        }
        // A number that is not of this tree: another one's words.
        left.peek().is_none().then_some(Landed { layer_tree: Some(digest), entries, implied, aside: self })
    }
}

impl Remembered {
    /// Gives what a remembered value names; `None` when it cannot be read.
    #[must_use]
    pub fn names(value: &[u8]) -> Option<Vec<ObjectRef>> {
        let landed = Self::decode(value).ok()?;
        Some([ObjectRef::Tree(landed.layer_tree)].into_iter().chain(landed.pack.map(ObjectRef::Pack)).collect())
    }

    /// The same with the pack that was made ahead.
    #[must_use]
    pub fn packed(self, pack: ActionKey) -> Self {
        Self { pack: Some(pack), ..self }
    }

    /// Remembers this under a key; tree and pack are live or pending.
    pub fn keep(&self, session: &Session<'_>, key: ActionKey) {
        let mut refs = vec![ObjectRef::Tree(self.layer_tree)];
        refs.extend(self.pack.map(ObjectRef::Pack));
        session.add_action(NewAction { key, kind: "landed".into(), value: self.encode(), refs });
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::new(MAGIC);
        out.raw(self.layer_tree.as_bytes()).u8(u8::from(self.pack.is_some()));
        if let Some(pack) = self.pack {
            out.raw(pack.as_bytes());
        }
        out.u8(u8::from(self.aside.is_some()));
        let Some(aside) = &self.aside else { return out.finish() };
        encode_list(&mut out, aside.implied.iter(), |out, at| {
            out.u32(*at);
        });
        encode_list(&mut out, aside.moved.iter(), |out, (from, to)| {
            out.bytes(from.as_bytes()).bytes(to.as_bytes());
        });
        encode_list(&mut out, aside.claims.iter(), |out, Claim { path, matter, meta }| {
            out.bytes(path.as_bytes()).u8(matter.number()).u16(meta.mode).u32(meta.uid).u32(meta.gid).u64(meta.mtime);
        });
        encode_list(&mut out, aside.unmatched.iter(), |out, number| {
            out.u32(u32::try_from(*number).unwrap_or(u32::MAX));
        });
        out.finish()
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Decoder::new(bytes, MAGIC)?;
        let layer_tree = Digest::from_bytes(input.digest()?);
        let pack = flag(&mut input)?.then(|| Ok(ActionKey::from_bytes(input.digest()?))).transpose()?;
        let aside = flag(&mut input)?.then(|| decode_aside(&mut input)).transpose()?;
        input.finish()?;
        Ok(Self { layer_tree, pack, aside })
    }
}

fn flag(input: &mut Decoder<'_>) -> Result<bool, DecodeError> {
    match input.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(DecodeError("neither there nor absent")),
    }
}

fn decode_aside(input: &mut Decoder<'_>) -> Result<Aside, DecodeError> {
    let path = |input: &mut Decoder<'_>| TreePath::new(input.bytes()?).map_err(|_| DecodeError("no path"));
    let implied = decode_list(input, Decoder::u32)?;
    let moved = decode_list(input, |input| Ok((path(input)?, path(input)?)))?.into_iter().collect();
    let claims = decode_list(input, |input| {
        let path = path(input)?;
        let matter = Matter::from_number(input.u8()?).ok_or(DecodeError("unknown matter"))?;
        let meta = Meta { mode: input.u16()?, uid: input.u32()?, gid: input.u32()?, mtime: input.u64()? };
        Ok(Claim { path, matter, meta })
    })?;
    let unmatched = decode_list(input, |input| Ok(input.u32()? as usize))?.into_iter().collect();
    Ok(Aside { implied, moved, claims, unmatched })
}

#[cfg(test)]
mod tests {
    use super::*;
    use dlstore_formats::package::Format;
    use dlstore_model::arch::Arch;
    use dlstore_model::tree::Node;

    fn path(text: &str) -> TreePath {
        TreePath::new(text.as_bytes()).unwrap()
    }

    fn selection(leaves_out: &'static str) -> Selection {
        let pattern = Pattern::new(leaves_out).unwrap();
        let patterns = [(0, pattern.clone()), (1, Pattern::new("/nowhere").unwrap())];
        Selection {
            keeps: Arc::new(move |path| !pattern.matches(path)),
            key: KeyBuilder::new("test").finish(),
            patterns: patterns.into_iter().collect(),
        }
    }

    fn package(entries: &[(&str, Node)]) -> Tree {
        let entry = |(at, node): &(&str, Node)| {
            let meta = if *node == Node::Directory { Meta { mtime: 7, ..Meta::DIRECTORY } } else { Meta::FILE };
            (path(at), Entry::new(node.clone(), meta))
        };
        Tree::new(entries.iter().map(entry).collect()).unwrap()
    }

    fn file() -> Node {
        Node::File { content: Digest::of(b"x"), size: 1 }
    }

    #[test]
    fn what_is_recalled_is_what_landing_gives() {
        let link = |to: &str| Node::HardLink { target: path(to) };
        let whole = package(&[
            ("lib", Node::Directory),
            ("lib/x/libx.so", file()),
            ("lib/x/other", link("lib/x/libx.so")),
            ("etc/passwd", file()),
            ("usr/share", Node::Directory),
        ]);
        let (selection, merged) = (selection("/lib/x/libx.so"), MergedUsr::usual(Format::Deb, Some(Arch::Arm64)));
        let (remembered, layer) = land(whole.clone(), &selection, &merged).unwrap();
        check_recall(&remembered, &layer, whole, &selection, &merged);
        let aside = remembered.aside.clone().unwrap();
        assert_eq!(aside.moved, BTreeMap::from([(path("lib/x/libx.so"), path("lib/x/other"))]));
        let claim = Claim { path: path("etc/passwd"), matter: Matter::Accounts, meta: Meta::FILE };
        assert_eq!((aside.claims.as_slice(), &aside.unmatched), ([claim].as_slice(), &BTreeSet::from([1])));
        let landed = aside.with(remembered.layer_tree, &layer).unwrap();
        assert_eq!(landed.implied, ["etc", "usr", "usr/lib/x"].map(path));
        assert!(landed.entries.iter().all(|(_, entry)| !entry.is_directory() || entry.meta.mtime == 0));
    }

    #[test]
    fn a_group_whose_first_name_moves_behind_another_is_looked_at_as_a_whole() {
        // `bin/a` is the file, lands in `usr/bin`, and `lone` comes before that.
        let whole = package(&[("bin/a", file()), ("lone", Node::HardLink { target: path("bin/a") })]);
        let merged = MergedUsr::usual(Format::Deb, Some(Arch::Arm64));
        let (remembered, _) = land(whole, &selection("/none"), &merged).unwrap();
        assert_eq!(remembered.aside, None);
        assert!(Remembered::names(&remembered.encode()).unwrap().len() == 1);
    }

    #[test]
    fn words_about_another_tree_are_a_miss() {
        let tree = package(&[("a", file())]);
        let aside = Aside { implied: vec![0, 5], ..Aside::default() };
        assert_eq!(aside.with(tree.digest(), &tree), None);
    }
}
