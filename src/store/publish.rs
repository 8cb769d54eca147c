//! Publishing: the write protocol.
//!
//! 1. Look, without a lock: which staged files and trees are new?
//! 2. Bring the bytes of the new files to the disk; compress new trees.
//! 3. Under the write lock: rename files into place, insert or revive rows, content before what
//!    refers to it, hold everything under the lease; sync the directories; commit.
//! 4. Remove staged files that were not needed.
//!
//! A process that dies before the commit leaves staged files and, at worst, whole files without a
//! row. One that dies after it leaves a lease whose lock anybody can take.

use std::collections::BTreeSet;
use std::sync::Arc;

use rayon::prelude::*;

use super::journal::Change;
use super::place::Staged;
use super::root_name::check_name;
use super::{Batch, Inner, Lease, Named, NewPackage, NewTree, ObjectRef, Store, StoreError, generator, now, tree_row};
use crate::index::{ActionRow, Commit, Directory, NewObject, PackRow, PackageRecord, State, TreeRow, Writer};
use dlstore_fsx::{file, stop};
use dlstore_model::digest::{Digest, OciDigest};

impl Store {
    /// Publishes by the write protocol of this module; on return everything in the batch is durable,
    /// visible and held by the lease.
    ///
    /// What is known already is held, and revived or healed where needed. The names of staged files
    /// are believed: whoever wrote them hashed while writing.
    ///
    /// # Errors
    /// [`StoreError::Gone`] when something that the batch refers to is neither in it nor in the store
    /// (any more); others when bytes do not fit their names, or a step fails. Nothing is visible then.
    #[expect(clippy::needless_pass_by_value, reason = "staged files are gone afterwards: a batch is used once")]
    pub fn publish(&self, lease: &Lease, batch: Batch) -> Result<(), StoreError> {
        self.0.check_writable()?;
        lease.check_store(&self.0)?;
        for (name, _) in &batch.roots {
            check_name(name)?;
        }
        stop::point("publish.begun");
        let prepared = Prepared::new(&self.0, lease, &batch)?;
        stop::point("publish.synced");
        let published = self.0.index.write(Commit::Durable, |writer| {
            stop::point("publish.locked");
            let (lease, origin) = (lease.row(writer)?, writer.origin("", &generator())?);
            Publication { store: &self.0, writer, lease, origin, now: now() }.run(&batch, &prepared)
        });
        let files = || prepared.sources.iter().chain(&prepared.packs);
        if let Err(error) = published {
            if error.is_full() {
                // What cannot be removed now is an orphan, for the collector.
                let _ = self.0.unplace(files());
            }
            return Err(error);
        }
        stop::point("publish.committed");
        for staged in files() {
            file::unlink(&staged.path)?;
        }
        stop::point("publish.swept");
        Ok(())
    }
}

/// What could be done before the lock was taken.
struct Prepared {
    sources: Vec<Staged>,
    packs: Vec<Staged>,
    /// Rows of trees, `None` where a good one was there.
    trees: Vec<Option<Arc<TreeRow>>>,
}

impl Prepared {
    fn new(store: &Inner, lease: &Lease, batch: &Batch) -> Result<Self, StoreError> {
        for fact in &batch.facts {
            if Digest::of(&fact.data) != fact.digest {
                return Err(StoreError::WrongDigest(ObjectRef::Fact(fact.digest)));
            }
        }
        for blob in &batch.blobs {
            if OciDigest::of(&blob.data) != blob.digest {
                return Err(StoreError::WrongDigest(ObjectRef::Blob(blob.digest)));
            }
        }
        let mut sources = Vec::with_capacity(batch.sources.len());
        for new in &batch.sources {
            sources.push(store.stage_file(Directory::Sources, new.sha256, new.size, &new.staged)?);
        }
        let mut packs = Vec::with_capacity(batch.packs.len());
        for new in &batch.packs {
            packs.push(store.stage_file(Directory::Packs, new.info.blob, new.info.size, &new.staged)?);
        }
        let mut needed: Vec<&mut Staged> =
            sources.iter_mut().chain(&mut packs).filter(|(_, needed)| *needed).map(|(staged, _)| staged).collect();
        store.sync_staged(lease.stage(), &mut needed)?;
        // Threads are started only when there is work for them: rayon starts them for an empty list too.
        let trees = match batch.trees.as_slice() {
            few @ ([] | [_]) => few.iter().map(|new| store.prepare_tree(new)).collect::<Result<_, _>>()?,
            many => many.par_iter().map(|new| store.prepare_tree(new)).collect::<Result<_, _>>()?,
        };
        let only_staged = |files: Vec<(Staged, bool)>| files.into_iter().map(|(staged, _)| staged).collect();
        Ok(Self { sources: only_staged(sources), packs: only_staged(packs), trees })
    }
}

impl Inner {
    fn prepare_tree(&self, new: &NewTree) -> Result<Option<Arc<TreeRow>>, StoreError> {
        if !tree_row::is_of(&new.row, &new.digest) {
            return Err(StoreError::WrongDigest(ObjectRef::Tree(new.digest)));
        }
        let known = self.index.read(|reader| reader.tree(&new.digest))?;
        if known.is_some_and(|row| tree_row::is_of(&row, &new.digest)) {
            return Ok(None);
        }
        Ok(Some(Arc::clone(&new.row)))
    }
}

/// One batch on its way in, under the write lock.
struct Publication<'a> {
    store: &'a Inner,
    writer: &'a Writer<'a>,
    lease: i64,
    /// The row that says who made this.
    origin: i64,
    now: u64,
}

impl Publication<'_> {
    fn run(&self, batch: &Batch, prepared: &Prepared) -> Result<(), StoreError> {
        let mut directories = BTreeSet::new();
        for staged in &prepared.sources {
            let file = self.store.place(self.writer, staged)?;
            directories.insert(staged.directory);
            self.put(&ObjectRef::Source(staged.sha256), staged.size, Some(file))?;
        }
        for (new, row) in batch.trees.iter().zip(&prepared.trees) {
            self.tree(new, row.as_deref())?;
        }
        for new in &batch.facts {
            let id = self.put(&ObjectRef::Fact(new.digest), new.data.len() as u64, None)?;
            self.writer.put_fact(&new.digest, id, &new.data)?;
        }
        for (new, staged) in batch.packs.iter().zip(&prepared.packs) {
            let file = self.store.place(self.writer, staged)?;
            directories.insert(staged.directory);
            let id = self.put(&ObjectRef::Pack(new.key), staged.size, Some(file))?;
            let row = PackRow { parts: new.parts.clone(), raw_size: new.info.raw_size, info: new.info.encode() };
            self.writer.put_pack(&new.key, id, &row)?;
            // Its layer trees stay with it, so that it can be decoded against them.
            let mut refers = Vec::with_capacity(new.parts.len());
            for part in &new.parts {
                refers.extend(self.writer.live(&ObjectRef::Tree(*part))?.map(|row| row.id));
            }
            self.writer.set_edges(id, &refers)?;
        }
        for new in &batch.blobs {
            let id = self.put(&ObjectRef::Blob(new.digest), new.data.len() as u64, None)?;
            self.writer.put_blob(&new.digest, id, &new.media_type, &new.data)?;
        }
        for new in &batch.packages {
            self.package(new)?;
        }
        for new in &batch.actions {
            let refers = new.refs.iter().map(|object| self.live(object)).collect::<Result<Vec<_>, _>>()?;
            let id = self.put(&ObjectRef::Action(new.key), new.value.len() as u64, None)?;
            let mut names = new.refs.clone();
            names.sort_unstable();
            names.dedup();
            let row = ActionRow { kind: new.kind.clone(), value: new.value.clone(), names };
            self.writer.put_action(&new.key, id, &row)?;
            self.writer.set_edges(id, &refers)?;
        }
        let mut changes = Vec::new();
        for (name, objects) in &batch.roots {
            let targets = objects
                .iter()
                .map(|object| Ok((*object, self.live(object)?)))
                .collect::<Result<Vec<_>, StoreError>>()?;
            if self.writer.set_root(name, &targets, self.now)? {
                changes.push(Change::Set(name, objects));
            }
        }
        stop::point("publish.inserted");
        for directory in directories {
            file::sync_directory(&self.store.layout.directory(directory))?;
        }
        stop::point("publish.directories-synced");
        self.store.write_journal(self.writer, self.now, &changes)
    }

    fn package(&self, new: &NewPackage) -> Result<(), StoreError> {
        let record = &new.record;
        let mut refers = vec![self.live(&ObjectRef::Tree(record.tree))?];
        for fact in &record.facts {
            refers.push(self.live(&ObjectRef::Fact(fact.digest))?);
        }
        refers.extend(self.source_of(record)?);
        // The list first, also before a dead one is revived: a package that is here and on no list is damage.
        self.writer.put_name(record.format, &record.name, Named { key: record.key(), source: record.source })?;
        let id = self.put(&record.object(), 0, None)?;
        self.writer.put_package(id, record, &new.sonames)?;
        self.writer.set_edges(id, &refers)?;
        self.share_source(record)
    }

    /// Lets all packages that came in the source of one refer to it: those that another decoder made, or that have another
    /// name, may have been without it.
    fn share_source(&self, record: &PackageRecord) -> Result<(), StoreError> {
        let Some(source) = self.writer.live(&ObjectRef::Source(record.source))? else { return Ok(()) };
        for row in self.writer.packages_of(&record.source)? {
            if let Some(package) = self.writer.live(&row.object())? {
                self.writer.add_edge(package.id, source.id)?;
            }
        }
        Ok(())
    }

    /// Holds the source of a package that is kept; one that a collector has marked and not removed yet is revived: the
    /// package was made again from it.
    fn source_of(&self, record: &PackageRecord) -> Result<Option<i64>, StoreError> {
        let source = ObjectRef::Source(record.source);
        let Some(row) = self.writer.object(&source)? else { return Ok(None) };
        let is_here = match row.state {
            State::Live => true,
            State::Dead => self.store.has_file(self.writer, &source, &row)?,
            State::Damaged => false,
        };
        if is_here { self.put(&source, row.size, row.file).map(Some) } else { Ok(None) }
    }

    fn tree(&self, new: &NewTree, prepared: Option<&TreeRow>) -> Result<(), StoreError> {
        let object = ObjectRef::Tree(new.digest);
        match (prepared, self.writer.object(&object)?) {
            (Some(row), _) => {
                let id = self.put(&object, row.data.len() as u64, None)?;
                Ok(self.writer.put_tree(id, row)?)
            }
            // It was there and good, and its row leaves only together with its object.
            (None, Some(known)) => self.put(&object, known.size, None).map(|_| ()),
            // It has been collected since.
            (None, None) => {
                let id = self.put(&object, new.row.data.len() as u64, None)?;
                Ok(self.writer.put_tree(id, &new.row)?)
            }
        }
    }

    fn put(&self, object: &ObjectRef, size: u64, file: Option<i64>) -> Result<i64, StoreError> {
        let id = self.writer.put_object(object, NewObject { size, file, origin: self.origin, now: self.now })?;
        self.writer.hold(self.lease, id)?;
        Ok(id)
    }

    fn live(&self, object: &ObjectRef) -> Result<i64, StoreError> {
        self.writer.live(object)?.map(|row| row.id).ok_or(StoreError::Gone(*object))
    }
}
