//! A session: one command's view of the store, with what it has made but not yet published.
//!
//! A command decodes packages, makes trees and packs, and publishes all of it in one transaction at
//! its end: one `syncfs` and one commit instead of one for each package. Until then its own results
//! must be found by its later steps. So every look-up goes through here: first what is pending, then
//! the store. Nothing pending is visible to another process, and a killed command leaves only its
//! stage behind.
//!
//! A session that only looks things up takes no lease and writes nothing but the use of roots. What it found may
//! therefore be collected before it is used; then the command starts over with a *holding* session,
//! which holds under its lease whatever it finds, so that a collector cannot be faster a second time.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;

use crate::index::TreeRow;
use crate::place::SYNCED_SINGLY;
use crate::{
    Batch, Candidate, Lease, NewAction, NewBlob, NewFact, NewPack, NewPackage, NewSource, NewTree, ObjectRef,
    PackageRecord, Store, StoreError, StoredFile, tree_row,
};
use dlstore_formats::layer::{PackInfo, Piece};
use dlstore_fsx::{FsError, file};
use dlstore_model::digest::{ActionKey, Digest, OciDigest, PackageKey};
use dlstore_model::format::Format;
use dlstore_model::tree::Tree;

/// Bytes of facts, rows of trees and tables of packs that wait in memory before they are published. Those of 70 ordinary
/// packages take 10 MiB; a single one may have control members of as much.
const MOST_WAITING: usize = 32 << 20;

/// Entries of all trees that a session remembers as trees: about 20 MiB. The others are read from their rows, which
/// takes 0.05 ms for 2,000 entries.
const MOST_REMEMBERED: usize = 100_000;

/// One command's look-ups and pending results.
pub struct Session<'s> {
    store: &'s Store,
    note: String,
    finds: Finds,
    held: Mutex<HashSet<ObjectRef>>,
    lease: OnceLock<Lease>,
    leasing: Mutex<()>,
    pending: Mutex<Pending>,
    trees: Mutex<Remembered>,
    packs: Mutex<HashMap<ActionKey, PackInfo>>,
    made: Mutex<HashSet<ActionKey>>,
    notes: Mutex<Vec<String>>,
    syncing: Mutex<Option<JoinHandle<Result<(), FsError>>>>,
}

/// What happens to things that a session finds in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Finds {
    /// Nothing: a collector may take them.
    Free,
    /// They are held, or else not found.
    Held,
}

/// Trees that were asked for or made lately.
#[derive(Default)]
struct Remembered {
    trees: HashMap<Digest, Arc<Tree>>,
    entries: usize,
}

#[derive(Default)]
struct Pending {
    batch: Batch,
    packs: HashMap<ActionKey, (PackInfo, PathBuf)>,
    trees: HashMap<Digest, Arc<TreeRow>>,
    facts: HashMap<Digest, Arc<Vec<u8>>>,
    packages: HashMap<PackageKey, PackageRecord>,
    sources: HashMap<OciDigest, PathBuf>,
    actions: HashMap<ActionKey, Vec<u8>>,
    /// Bytes that wait in memory.
    waiting: usize,
}

impl<'s> Session<'s> {
    /// Starts a session; `note` names the command in the lease that it may take.
    #[must_use]
    pub fn new(store: &'s Store, note: &str) -> Self {
        Self::start(store, note, Finds::Free)
    }

    /// Starts a session that holds what it finds.
    #[must_use]
    pub fn holding(store: &'s Store, note: &str) -> Self {
        Self::start(store, note, Finds::Held)
    }

    fn start(store: &'s Store, note: &str, finds: Finds) -> Self {
        Self {
            store,
            note: note.to_owned(),
            finds,
            held: Mutex::default(),
            lease: OnceLock::new(),
            leasing: Mutex::new(()),
            pending: Mutex::default(),
            trees: Mutex::default(),
            packs: Mutex::default(),
            made: Mutex::default(),
            notes: Mutex::default(),
            syncing: Mutex::default(),
        }
    }

    /// Keeps a sentence for people: what was healed, what was left out.
    pub fn note(&self, sentence: String) {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        if !notes.contains(&sentence) {
            notes.push(sentence);
        }
    }

    /// Gives the sentences that were kept, sorted: threads keep them in any order.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner).clone();
        notes.sort();
        notes
    }

    /// Gives the store below.
    #[must_use]
    pub const fn store(&self) -> &'s Store {
        self.store
    }

    /// Says whether it holds what it finds: it was started because something that was found before was gone or bad.
    #[must_use]
    pub fn is_holding(&self) -> bool {
        self.finds == Finds::Held
    }

    /// Gives a fresh path in the stage, taking the lease first when there is none.
    ///
    /// # Errors
    /// When the lease cannot be taken.
    pub fn stage_path(&self) -> Result<PathBuf, StoreError> {
        Ok(self.lease()?.stage_path())
    }

    fn lease(&self) -> Result<&Lease, StoreError> {
        if let Some(lease) = self.lease.get() {
            return Ok(lease);
        }
        let _one_at_a_time = self.leasing.lock().unwrap_or_else(PoisonError::into_inner);
        if self.lease.get().is_none() {
            let lease = self.store.lease(&self.note)?;
            let _ = self.lease.set(lease);
        }
        Ok(self.lease.get().expect("it was set while the lock was held"))
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        // Every change below is one insertion, so a panicking thread leaves nothing half-done.
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // ---- look-ups

    /// Says whether something found in the store can be relied on: always in a session that holds
    /// nothing, else when it could be held.
    ///
    /// # Errors
    /// When the lease cannot be taken or the index cannot be written.
    pub fn keep(&self, object: ObjectRef) -> Result<bool, StoreError> {
        let waits = |pending: &Pending| match &object {
            ObjectRef::Package(key) => pending.packages.contains_key(key),
            ObjectRef::Pack(key) => pending.packs.contains_key(key),
            ObjectRef::Action(key) => pending.actions.contains_key(key),
            _ => false,
        };
        if waits(&self.pending()) {
            return Ok(true);
        }
        let held = || self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if self.finds == Finds::Free || held().contains(&object) {
            return Ok(true);
        }
        if !self.store.hold(self.lease()?, &[object])? {
            return Ok(false);
        }
        held().insert(object);
        Ok(true)
    }

    fn kept<T>(&self, found: Option<T>, object: ObjectRef) -> Result<Option<T>, StoreError> {
        match found {
            Some(found) if self.keep(object)? => Ok(Some(found)),
            _ => Ok(None),
        }
    }

    /// Finds a package; `None` when it is not there or its row is damaged.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn package(&self, key: &PackageKey) -> Result<Option<PackageRecord>, StoreError> {
        if let Some(record) = self.pending().packages.get(key) {
            return Ok(Some(record.clone()));
        }
        self.kept(self.store.package(key)?, ObjectRef::Package(*key))
    }

    /// Gives every package of the store that a choice by name is made from. A list that is damaged is made again
    /// from the packages that are here, and an index that is older than the roots' journal catches up with it.
    ///
    /// # Errors
    /// When the index cannot be read or the list cannot be made again.
    pub fn candidates(&self, format: Format, name: &str) -> Result<Vec<Candidate>, StoreError> {
        match self.store.candidates(format, name) {
            Err(StoreError::DamagedName { .. }) => {
                self.store.remake_names(format, name)?;
                self.note(format!("the list of packages named {name} was damaged, and was made again"));
                self.store.candidates(format, name)
            }
            Err(error @ StoreError::Behind { .. }) => {
                if !self.store.is_writable() {
                    return Err(error);
                }
                self.store.catch_up()?;
                self.note(format!("the index was older than roots.journal: packages named {name} were brought back"));
                self.store.candidates(format, name)
            }
            outcome => outcome,
        }
    }

    /// Finds a tree.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn tree(&self, digest: &Digest) -> Result<Option<Arc<Tree>>, StoreError> {
        if let Some(tree) = self.trees.lock().unwrap_or_else(PoisonError::into_inner).trees.get(digest) {
            return Ok(Some(Arc::clone(tree)));
        }
        let waiting = self.pending().trees.get(digest).cloned();
        let found = match waiting {
            Some(row) => tree_row::read(&row, digest),
            None => self.kept(self.store.tree(digest)?, ObjectRef::Tree(*digest))?,
        };
        let Some(tree) = found.map(Arc::new) else { return Ok(None) };
        self.remember(*digest, &tree);
        Ok(Some(tree))
    }

    /// Keeps a tree for the next who asks. When there would be too many entries the others are forgotten.
    fn remember(&self, digest: Digest, tree: &Arc<Tree>) {
        let mut known = self.trees.lock().unwrap_or_else(PoisonError::into_inner);
        if known.entries + tree.len() > MOST_REMEMBERED {
            *known = Remembered::default();
        }
        if tree.len() <= MOST_REMEMBERED && known.trees.insert(digest, Arc::clone(tree)).is_none() {
            known.entries += tree.len();
        }
    }

    /// Finds a fact; `None` when it is not there or damaged.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn fact(&self, digest: &Digest) -> Result<Option<Arc<Vec<u8>>>, StoreError> {
        if let Some(data) = self.pending().facts.get(digest) {
            return Ok(Some(Arc::clone(data)));
        }
        Ok(self.store.fact(digest)?.map(Arc::new))
    }

    /// Finds a pack.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn pack(&self, key: &ActionKey) -> Result<Option<PackInfo>, StoreError> {
        if let Some((info, _)) = self.pending().packs.get(key) {
            return Ok(Some(info.clone()));
        }
        if let Some(info) = self.packs.lock().unwrap_or_else(PoisonError::into_inner).get(key) {
            return Ok(Some(info.clone()));
        }
        let found = self.kept(self.store.pack(key)?, ObjectRef::Pack(*key))?;
        if let Some(info) = &found {
            // One layer stands in many architectures: its row is read once.
            self.packs.lock().unwrap_or_else(PoisonError::into_inner).insert(*key, info.clone());
        }
        Ok(found)
    }

    /// Opens the bytes of a pack; `None` when they are gone or bad, which is a miss.
    ///
    /// # Errors
    /// When the file cannot be opened for another reason.
    pub fn open_pack(&self, key: &ActionKey, info: &PackInfo) -> Result<Option<File>, StoreError> {
        let staged = self.pending().packs.get(key).map(|(_, path)| path.clone());
        match staged {
            Some(path) => Ok(File::open(path).ok()),
            None => self.store.open_pack(info),
        }
    }

    /// Opens the bytes of a pack after hashing all of them; bad ones are set aside, which is a miss.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn open_pack_hashed(&self, key: &ActionKey, info: &PackInfo) -> Result<Option<File>, StoreError> {
        if self.pending().packs.contains_key(key) {
            return self.open_pack(key, info);
        }
        let Some(file) = self.store.open_pack(info)? else { return Ok(None) };
        if dlstore_fsx::file::sha256(&file, self.store.root())? == info.blob {
            std::io::Seek::rewind(&mut &file)
                .map_err(|source| dlstore_fsx::FsError::new("read", self.store.root(), source))?;
            return Ok(Some(file));
        }
        self.store.distrust_pack(&info.blob)?;
        self.note(format!("the layer {} was damaged, and was made again", info.blob));
        Ok(None)
    }

    /// Finds the file of a pack that was published; `None` when it is gone or bad, which is a miss.
    ///
    /// # Errors
    /// When the index or the file cannot be read.
    pub fn pack_file(&self, info: &PackInfo) -> Result<Option<StoredFile>, StoreError> {
        self.store.pack_file(info)
    }

    /// Opens a kept source; `None` when it is not kept.
    ///
    /// # Errors
    /// When the file cannot be opened for another reason.
    pub fn open_source(&self, source: &OciDigest) -> Result<Option<File>, StoreError> {
        let staged = self.pending().sources.get(source).cloned();
        match staged {
            Some(path) => Ok(File::open(path).ok()),
            None => self.store.open_source(source),
        }
    }

    /// Says whether a source is kept.
    ///
    /// # Errors
    /// When the index or a file that is there cannot be read.
    pub fn keeps_source(&self, source: &OciDigest) -> Result<bool, StoreError> {
        let is_staged = self.pending().sources.contains_key(source);
        Ok(is_staged || self.store.keeps_source(source)?)
    }

    /// Finds the remembered outcome of an action.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn action(&self, key: &ActionKey) -> Result<Option<Vec<u8>>, StoreError> {
        if let Some(value) = self.pending().actions.get(key) {
            return Ok(Some(value.clone()));
        }
        self.kept(self.store.action(key)?, ObjectRef::Action(*key))
    }

    /// Reads a blob that is no layer; `None` when it is not there or damaged.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn blob(&self, digest: &OciDigest) -> Result<Option<Vec<u8>>, StoreError> {
        let pending = self.pending();
        let waiting = pending.batch.blobs.iter().find(|blob| blob.digest == *digest).map(|blob| blob.data.clone());
        drop(pending);
        match waiting {
            Some(data) => Ok(Some(data)),
            None => self.store.blob(digest),
        }
    }

    // ---- results

    /// Adds a tree.
    pub fn add_tree(&self, tree: &Arc<Tree>) -> Digest {
        let new = NewTree::new(tree);
        self.remember(new.digest, tree);
        self.add_tree_row(new)
    }

    /// Adds a tree that was written down before.
    pub fn add_tree_row(&self, new: NewTree) -> Digest {
        let digest = new.digest;
        let mut pending = self.pending();
        if !pending.trees.contains_key(&digest) {
            pending.waiting += new.row.data.len();
            pending.trees.insert(digest, Arc::clone(&new.row));
            pending.batch.trees.push(new);
        }
        digest
    }

    /// Adds a fact.
    pub fn add_fact(&self, data: Vec<u8>) -> Digest {
        let digest = Digest::of(&data);
        let mut pending = self.pending();
        // Packages have facts in common, the empty ones above all.
        if !pending.facts.contains_key(&digest) {
            let data = Arc::new(data);
            pending.waiting += data.len();
            pending.facts.insert(digest, Arc::clone(&data));
            pending.batch.facts.push(NewFact { digest, data });
        }
        digest
    }

    /// Publishes what is pending if it takes much memory. To be called between two packages, when what is
    /// pending is whole; what nothing roots yet is held by the lease.
    ///
    /// # Errors
    /// When nothing of it could be published.
    pub fn make_room(&self) -> Result<(), StoreError> {
        if self.pending().waiting > MOST_WAITING { self.publish() } else { Ok(()) }
    }

    /// Adds a package whose tree and facts were added, with its staged source and the names of its libraries.
    pub fn add_package(&self, record: PackageRecord, sonames: Vec<Vec<u8>>, source: Option<PathBuf>) {
        let mut pending = self.pending();
        if let Some(staged) = source {
            pending.sources.insert(record.source, staged.clone());
            pending.batch.sources.push(NewSource { sha256: record.source, size: record.source_size, staged });
        }
        pending.packages.insert(record.key(), record.clone());
        pending.batch.packages.push(NewPackage { record, sonames });
    }

    /// Adds a pack whose bytes are staged, complete.
    pub fn add_pack(&self, key: ActionKey, parts: Vec<Digest>, info: PackInfo, staged: PathBuf) {
        self.made().insert(key);
        let mut pending = self.pending();
        pending.waiting += 2 * info.pieces.len() * size_of::<Piece>();
        pending.packs.insert(key, (info.clone(), staged.clone()));
        pending.batch.packs.push(NewPack { key, parts, info, staged });
    }

    fn made(&self) -> MutexGuard<'_, HashSet<ActionKey>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says whether a pack was added in this session, published meanwhile or not: the store did not have it before.
    #[must_use]
    pub fn has_made(&self, key: &ActionKey) -> bool {
        self.made().contains(key)
    }

    /// Adds a small blob.
    pub fn add_blob(&self, blob: NewBlob) {
        self.pending().batch.blobs.push(blob);
    }

    /// Adds the outcome of an action.
    pub fn add_action(&self, action: NewAction) {
        let mut pending = self.pending();
        pending.actions.insert(action.key, action.value.clone());
        pending.batch.actions.push(action);
    }

    /// Adds a root that the next publication sets.
    pub fn add_root(&self, name: String, keeps: Vec<ObjectRef>) {
        self.pending().batch.roots.push((name, keeps));
    }

    /// Keeps what was found under a root: sets it at the next publication when it keeps anything else, and notes
    /// its use. Over a store that cannot be written to, what is there stays as it is.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn keep_under_root(&self, name: String, keeps: Vec<ObjectRef>) -> Result<(), StoreError> {
        let mut wanted = keeps.clone();
        wanted.sort_unstable();
        wanted.dedup();
        if self.store.root_target(&name)?.as_ref() == Some(&wanted) {
            self.store.note_use(&[&name])?;
        } else if self.store.is_writable() {
            self.add_root(name, keeps);
        }
        Ok(())
    }

    /// Says whether anything waits to be published.
    fn has_pending(&self) -> bool {
        let pending = self.pending();
        let batch = &pending.batch;
        !(batch.sources.is_empty()
            && batch.trees.is_empty()
            && batch.facts.is_empty()
            && batch.packages.is_empty()
            && batch.packs.is_empty()
            && batch.blobs.is_empty()
            && batch.actions.is_empty()
            && batch.roots.is_empty())
    }

    /// Begins to bring staged files to the disk, beside whatever the command does next, so that the publication waits for
    /// what is staged from now on. Nothing happens where there are few files, or while this goes on already.
    pub fn begin_sync(&self) {
        let staged = |pending: &Pending| pending.batch.sources.len() + pending.batch.packs.len();
        let Some(lease) = self.lease.get().filter(|_| staged(&self.pending()) > SYNCED_SINGLY) else { return };
        let stage = lease.stage().to_owned();
        let mut syncing = self.syncing.lock().unwrap_or_else(PoisonError::into_inner);
        syncing.get_or_insert_with(|| std::thread::spawn(move || file::sync_file_system(&stage)));
    }

    /// Waits for what was begun. The system tells of bytes that could not be written once, so this must be heard.
    fn end_sync(&self) -> Result<(), StoreError> {
        let begun = self.syncing.lock().unwrap_or_else(PoisonError::into_inner).take();
        match begun.map(JoinHandle::join) {
            None => Ok(()),
            Some(Ok(outcome)) => Ok(outcome?),
            Some(Err(panic)) => std::panic::resume_unwind(panic),
        }
    }

    /// Publishes everything that is pending, in one transaction; afterwards it is found in the store.
    ///
    /// # Errors
    /// When nothing of it could be published.
    pub fn publish(&self) -> Result<(), StoreError> {
        self.end_sync()?;
        if !self.has_pending() {
            return Ok(());
        }
        let pending = std::mem::take(&mut *self.pending());
        self.store.publish(self.lease()?, pending.batch)
    }

    /// Ends the session: publishes the rest and gives the lease back.
    ///
    /// # Errors
    /// When publishing or giving back fails.
    pub fn finish(self) -> Result<(), StoreError> {
        self.publish()?;
        self.lease.into_inner().map_or(Ok(()), Lease::release)
    }
}
