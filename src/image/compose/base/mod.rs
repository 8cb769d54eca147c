//! The united base that images extend, planned once: an image that only adds files is planned on top of it.
//!
//! ```text
//! levels below the last ─► planned, made ─► Base: its layers, and what stands where ─┐  remembered: `base`
//!                                                                                    ├► the base's layers, and one more
//! own files of the last level ─► can they change nothing that the base decided? ─────┘
//! ```
//!
//! This gives what planning the whole image gives, or `None`: then the image is planned as a whole. So every condition
//! here errs on the side of `None`. The last level may bring own files and say what is run, and nothing else. Its files
//! are where the base has nothing, in directories that the base has the same, and where no fix-up, loader, or search
//! for a command looks. A base with dangling links is never used, because an added file could resolve one: so the base
//! has the same notes, whatever is added to it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

mod extension;

pub(super) use extension::Extension;

use super::ComposeError;
use super::batches;
use super::gather::{Gathered, Platform};
use super::layering;
use super::packs;
use super::record::{BaseRecord, RootfsRecord};
use super::request::Request;
use super::rootfs_plan::{self, Planned};
use super::shared::Shared;
use super::side_by_side::each;
use crate::check;
use crate::definition::Image;
use crate::fixup;
use crate::linker::configuration;
use crate::rootfs::part::Bytes;
use crate::rootfs::union::MOST_ENTRIES;
use crate::rootfs::{Part, Rootfs};
use dlstore_formats::layer;
use dlstore_ingest::parallel;
use dlstore_ingest::select::layer_tree::{layer_tree, relink};
use dlstore_ingest::select::matter::{Matter, matter};
use dlstore_model::arch::Arch;
use dlstore_model::digest::ActionKey;
use dlstore_model::path::TreePath;
use dlstore_model::tree::{Entry, Meta, Node, Tree};
use dlstore_store::session::Session;
use dlstore_store::{NewAction, ObjectRef};

/// A base that was planned and made.
struct Base {
    key: ActionKey,
    known: BaseRecord,
    /// What stands where.
    tree: Arc<Tree>,
}

/// The bases of one command, by key; `None` for one that cannot be planned by itself.
#[derive(Default)]
pub(super) struct Bases(BTreeMap<ActionKey, Option<Base>>);

/// What an image wants a base for.
pub(super) type Wanted<'g> = (&'g Gathered<'g>, &'g Platform, &'g Extension);

impl Bases {
    /// Forgets the bases when they have more entries than one rootfs may have: images of a command may stand on bases
    /// without end.
    pub(super) fn make_room(&mut self) {
        if !self.has_room() {
            self.0.clear();
        }
    }

    /// Says whether more bases may be taken in beside those that are here.
    fn has_room(&self) -> bool {
        batches::fits(self.0.values().flatten().map(|base| base.tree.len() as u64).sum())
    }

    /// Says whether a base is here, or is known to be none.
    pub(super) fn has(&self, key: &ActionKey) -> bool {
        self.0.contains_key(key)
    }

    /// Recalls the bases of some images that are not here yet, or plans and makes them: as many as there is room for, and
    /// at least one after [`Bases::make_room`]. Of a base only its tree stays, so the next ones are planned with the memory
    /// that planning it took.
    pub(super) fn prepare<'g>(&mut self, session: &Session<'_>, wanted: impl Iterator<Item = Wanted<'g>>) {
        let mut missing: BTreeMap<ActionKey, Wanted<'g>> = BTreeMap::new();
        for one in wanted.filter(|(_, _, extension)| !self.has(&extension.key)) {
            missing.entry(one.2.key).or_insert(one);
        }
        let unknown = self.recall(session, missing);
        let turns = batches::turns(unknown, |(_, (_, platform, _))| platform.weight());
        let is_all_at_once = turns.len() < 2;
        for turn in turns {
            if !self.has_room() {
                return;
            }
            let shared = turn.first().filter(|_| !is_all_at_once).map(|(_, (gathered, ..))| gathered.shared);
            self.plan(session, turn);
            shared.into_iter().for_each(Shared::forget_parts);
        }
    }

    /// Takes in what is remembered of bases, while there is room, and gives those of which nothing is. Their trees are as
    /// large as what was selected for them, not as their packages.
    fn recall<'g>(
        &mut self,
        session: &Session<'_>,
        missing: BTreeMap<ActionKey, Wanted<'g>>,
    ) -> Vec<(ActionKey, Wanted<'g>)> {
        // What cannot be read is planned; an error of the store is said then.
        let look_up = |(key, wanted)| (key, wanted, BaseRecord::recall(session, &key).ok().flatten());
        let mut unknown = Vec::new();
        let mut remembered = Vec::new();
        for (key, wanted, known) in each(missing.into_iter().collect(), look_up) {
            match known {
                Some(known) => remembered.push((key, wanted, known)),
                None => unknown.push((key, wanted)),
            }
        }
        for turn in batches::turns(remembered, |(_, _, known)| known.entries) {
            if !self.has_room() {
                break;
            }
            let read = |(key, wanted, known): (_, _, BaseRecord)| {
                let tree = session.tree(&known.tree).ok().flatten();
                (key, wanted, tree.map(|tree| Base { key, known, tree }))
            };
            for (key, wanted, base) in each(turn, read) {
                match base {
                    Some(base) => _ = self.0.insert(key, Some(base)),
                    None => unknown.push((key, wanted)),
                }
            }
        }
        unknown
    }

    /// Plans and makes bases: small ones side by side, large ones one after the other.
    fn plan(&mut self, session: &Session<'_>, turn: Vec<(ActionKey, Wanted<'_>)>) {
        // An error of a base is said by whoever plans the image as a whole.
        let one = |(key, (gathered, platform, extension)): (ActionKey, Wanted<'_>)| {
            (key, Base::plan(session, gathered, platform, extension).ok().flatten())
        };
        let (large, small): (Vec<_>, Vec<_>) =
            turn.into_iter().partition(|(_, (_, platform, _))| batches::is_large(platform.weight()));
        self.0.extend(each(small, one));
        for wanted in large {
            self.0.extend([parallel::one_by_one(|| one(wanted))]);
        }
    }

    /// Plans an image on its base, and makes what its files need. `None` when it has to be planned as a whole.
    ///
    /// # Errors
    /// When the files cannot be read or the layer cannot be written.
    pub(super) fn extend(
        &self,
        session: &Session<'_>,
        gathered: &Gathered<'_>,
        platform: &Platform,
        extension: &Extension,
    ) -> Result<Option<RootfsRecord>, ComposeError> {
        let Some(base) = self.0.get(&extension.key).and_then(Option::as_ref) else { return Ok(None) };
        if !base.carries(gathered.request, platform.arch, extension) {
            return Ok(None);
        }
        let mut rootfs = base.known.rootfs.clone();
        rootfs.base = Some(base.key);
        let Some(part) = &extension.part else { return Ok(Some(rootfs)) };

        let directory = |path: &TreePath| {
            let entry = base.tree.get(path).filter(|entry| entry.is_directory())?;
            Some((entry.meta, entry.xattrs.clone()))
        };
        let Ok(tree) = layer_tree(part.entries.iter().cloned(), &directory) else { return Ok(None) };
        let codec = gathered.request.codec;
        let pack = layer::pack_key(codec, &[tree.digest()]);
        if !packs::is_here(session, &pack)? {
            let Bytes::Host(files) = &part.bytes else { return Ok(None) };
            dlstore_ingest::write_pack(session, &Arc::new(tree), files.as_ref(), codec)?;
        }
        rootfs.layers.push((pack, layering::title(gathered.request, platform.arch, part)));
        Ok(Some(rootfs))
    }
}

impl Base {
    /// Plans and makes a base; `None` when it is none to stand on.
    fn plan(
        session: &Session<'_>,
        gathered: &Gathered<'_>,
        platform: &Platform,
        extension: &Extension,
    ) -> Result<Option<Self>, ComposeError> {
        let key = extension.key;
        let request = gathered.request;
        let levels = request.image.levels.len() - 1;
        tracing::debug!("planning what {} extends, for {}", request.image.name, platform.arch);
        let image = Image {
            levels: request.image.levels[..levels].to_vec(),
            config: extension.config.clone(),
            ..request.image.clone()
        };
        let request = Request { image: &image, architectures: &[platform.arch], ..*request };
        let gathered = Gathered {
            request: &request,
            shared: gathered.shared,
            selections: gathered.selections[..levels].to_vec(),
            platforms: vec![platform.below(levels)],
            packages: gathered.packages,
        };
        let planned = rootfs_plan::plan(session, &gathered, &gathered.platforms[0])?;
        packs::make(session, &[(&planned.rootfs, planned.plan.layers.as_slice())], request.codec)?;
        let Some((known, tree)) = united(planned) else { return Ok(None) };
        let tree = Arc::new(tree);
        session.add_tree(&tree);
        known.keep(session, key);
        Ok(Some(Self { key, known, tree }))
    }

    /// Says whether the files of an image stand on this base without touching anything of it.
    fn carries(&self, request: &Request<'_>, arch: Arch, extension: &Extension) -> bool {
        let layers = &self.known.rootfs.layers;
        // With more, the last ones become one that has the image's own name.
        if layers.len() >= layering::BUDGET {
            return false;
        }
        let Some(part) = &extension.part else { return true };
        let is_own_layer = layers.last().is_none_or(|(_, last)| *last != layering::title(request, arch, part));
        let entries = self.known.entries as usize + part.entries.len();
        !self.known.is_open
            && is_own_layer
            && entries <= MOST_ENTRIES
            && part.entries.iter().all(|(path, entry)| self.is_free_for(path, entry))
            && extension.searched.iter().all(|directory| self.is_without_links(directory))
            && extension.reached.iter().all(|path| self.is_reached(request.image, part, path))
    }

    /// Says whether a directory is where it is written: the base has no link on the way. A merged `/usr` has, to where
    /// no extension brings files.
    fn is_without_links(&self, directory: &TreePath) -> bool {
        let is_link = |path: &TreePath| match self.tree.get(path).map(|entry| &entry.node) {
            Some(Node::Symlink { target }) => {
                let is_merged = matches!(
                    (path.as_bytes(), target.as_slice()),
                    (b"bin", b"usr/bin") | (b"sbin", b"usr/sbin" | b"usr/bin")
                );
                !is_merged
            }
            _ => false,
        };
        !is_link(directory) && !directory.ancestors().any(|above| is_link(&above))
    }

    /// Says whether an entry changes nothing for any other: nothing stands there, or the same directory does; and no
    /// package that lost something near there would have its sums of it weighed again.
    fn is_free_for(&self, path: &TreePath, entry: &Entry) -> bool {
        if self.known.left_out.binary_search_by(|near| near.as_slice().cmp(near_of(path).as_slice())).is_ok() {
            return false;
        }
        let meta = Meta { mtime: 0, ..entry.meta };
        let is_same = |known: &Entry| {
            known.is_directory()
                && entry.is_directory()
                && known.xattrs.is_empty()
                && Meta { mtime: 0, ..known.meta } == meta
        };
        let stands = match self.tree.get(path) {
            Some(known) => is_same(known),
            // Something lies below it: then it is a directory that nobody described.
            None if self.has_below(path) => entry.is_directory() && meta == Meta::DIRECTORY,
            None => true,
        };
        stands && path.ancestors().all(|above| self.tree.get(&above).is_none_or(Entry::is_directory))
    }

    fn has_below(&self, path: &TreePath) -> bool {
        let entries = self.tree.iter().as_slice();
        let prefix = [path.as_bytes(), b"/"].concat();
        let at = entries.partition_point(|(known, _)| known.as_bytes() < prefix.as_slice());
        entries.get(at).is_some_and(|(known, _)| known.as_bytes().starts_with(&prefix))
    }

    /// Says whether the user of an image may run a file of its own, or enter a directory.
    fn is_reached(&self, image: &Image, part: &Part, path: &TreePath) -> bool {
        let Some(user) = image.config.user.as_ref().map_or(Some((0, 0)), |name| image.user_ids(name)) else {
            return false;
        };
        let own = |path: &TreePath| part.entries.iter().find(|(known, _)| known == path).map(|(_, entry)| entry);
        let may = |path: &TreePath| {
            let meta = self.tree.get(path).or_else(|| own(path)).map_or(Meta::DIRECTORY, |entry| entry.meta);
            check::may_execute(user, meta)
        };
        may(path) && path.ancestors().all(|above| may(&above))
    }
}

/// Takes what is to be remembered of a base, and what stands where; `None` when that is no tree.
fn united(planned: Planned) -> Option<(BaseRecord, Tree)> {
    let Planned { rootfs, plan, notes } = planned;
    let mut entries: Vec<(TreePath, Entry)> =
        rootfs.iter().map(|(path, slot)| (path.clone(), slot.entry.clone())).collect();
    relink(&mut entries);
    let tree = Tree::new(entries).ok()?;
    let is_open = check::has_open_ends(&rootfs) || check::may_look_elsewhere(&rootfs) || reads_elsewhere(&rootfs);
    let left_out: BTreeSet<Vec<u8>> = fixup::left_out(&rootfs).iter().map(near_of).collect();
    let known = BaseRecord {
        rootfs: RootfsRecord::of(plan, notes),
        tree: tree.digest(),
        entries: rootfs.entries() as u64,
        is_open,
        left_out: left_out.into_iter().collect(),
    };
    Some((known, tree))
}

/// Gives where something is, roughly: the first two names of its path.
fn near_of(path: &TreePath) -> Vec<u8> {
    path.components().take(2).collect::<Vec<_>>().join(&b'/')
}

/// What the loader's settings include on every distribution: no extension brings files there.
const USUAL_INCLUDE: &[u8] = b"/etc/ld.so.conf.d/*.conf";

/// Says whether the loader's settings may have others included from where the last level may bring files.
fn reads_elsewhere(rootfs: &Rootfs) -> bool {
    rootfs.iter().any(|(path, slot)| {
        let is_loaders = matter(path, slot.entry) == Some(Matter::Loader);
        let part = &rootfs.parts()[slot.owner];
        let text = || match &part.package {
            Some(package) => package.texts.get(path).cloned(),
            None => part.bytes.small_text(path, slot.entry),
        };
        let is_plain = |text: &[u8]| configuration::included(text).all(|pattern| pattern == USUAL_INCLUDE);
        is_loaders && path.name() != b"ld.so.cache" && !text().is_some_and(|text| is_plain(&text))
    })
}

impl BaseRecord {
    /// Remembers this under a key; layers and tree are live or pending.
    fn keep(&self, session: &Session<'_>, key: ActionKey) {
        let mut refs: Vec<ObjectRef> = self.names().collect();
        refs.sort();
        refs.dedup();
        session.add_action(NewAction { key, kind: "base".into(), value: self.encode(), refs });
    }
}
