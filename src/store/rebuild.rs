//! Making the index anew: what `store rebuild` does when it is lost.
//!
//! ```text
//! lock of the directory, alone ► index.db.rebuild, empty ► every file of sources/ hashed, and taken over when right
//!   ► (ingest: decoded again, roots set again) ► folded ► index.db ─► quarantine/, index.db.rebuild ─► index.db
//! ```
//!
//! Until the last two renames the store is as it was found; a rebuild that was killed is begun anew by the next one.
//! No source is ever removed: one whose bytes are not what its name says goes to quarantine, like the old index with
//! its log. Packs get no rows: composing makes them again, and the collector sweeps the files that nobody names.
//!
//! The journal of the roots is read and left alone until the new index is in its place, and written anew then.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rayon::prelude::*;

use super::journal::{Even, Journal};
use super::layout::{BESIDE, Layout};
use super::open::{self, OpenOptions, Sharing};
use super::place::PUBLISHED;
use super::{Inner, ObjectRef, Store, StoreError, generator, now};
use crate::index::{Commit, Directory, FileRow, Index, NewObject, Removal, State};
use dlstore_fsx::file::{self, Durability, Found, Stamp};
use dlstore_fsx::{lock, stop};
use dlstore_model::digest::OciDigest;

/// Sources that are hashed between two commits: what they weigh is read from the disk, their rows are few.
const BATCH: usize = 256;

/// An index in the making, beside the one that is lost.
pub struct Rebuild {
    store: Store,
    root: PathBuf,
    sharing: Sharing,
    journal: Option<Journal>,
}

/// What became of the files in `sources/`.
#[derive(Debug, Default)]
pub struct Adopted {
    /// Those whose bytes are what their names say.
    pub sources: Vec<OciDigest>,
    /// Names of those that went to quarantine.
    pub bad: Vec<String>,
}

impl Rebuild {
    /// Begins: takes the store alone, and makes an empty index.
    ///
    /// # Errors
    /// When there is no store, it is in use, or its `format.json` is of another program or format.
    pub fn begin(root: &Path, options: OpenOptions) -> Result<Self, StoreError> {
        let old = Layout::new(root);
        if dlstore_fsx::place::ownership(root)?.is_none() || file::list(root)?.is_empty() {
            return Err(StoreError::Absent(root.to_path_buf()));
        }
        open::check_names(root)?;
        let held = lock::directory_now(root)?.ok_or_else(|| StoreError::InUse(root.to_path_buf()))?;
        let format = open::read_format(&old)?;
        let sharing = match &format {
            Some(format) => format.sharing(),
            None => open::sharing_of(root)?,
        };
        let network = format.map_or(options.network, |format| format.network(options.network));
        open::check_owner(root, sharing, options.sharing, dlstore_fsx::place::Writing::Allowed)?;
        let warnings = open::check_place(root, network)?;
        let journal = Journal::read(&old.journal())?.map(Journal::with_root_names);
        let layout = Layout::rebuilding(root);
        remove_index(&layout, sharing)?;
        file::write_new(&layout.index(), sharing.file_mode(), b"", Durability::Eventual)?;
        Index::create(&layout.index())?;
        stop::point("rebuild.begun");
        let index = Index::open(&layout.index())?;
        let store = Store(Arc::new(Inner {
            layout,
            index,
            sharing,
            warnings,
            read_only: None,
            has_journal: false,
            tail: Mutex::default(),
            journal_when_copied: None,
            held,
            hashed: Mutex::default(),
            own_leases: Arc::default(),
            copy: None,
        }));
        // Nobody else is here: what lies in the place of a directory can be moved.
        store.0.heal_places()?;
        Ok(Self { store, root: root.to_path_buf(), sharing, journal })
    }

    /// Gives the store with the index in the making: what is published into it is there after [`Rebuild::finish`].
    #[must_use]
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// Gives what the roots' journal says; `None` when it is lost too.
    #[must_use]
    pub const fn journal(&self) -> Option<&Journal> {
        self.journal.as_ref()
    }

    /// Hashes every file of `sources/` and takes over those that are right; `step` hears of each.
    ///
    /// # Errors
    /// When a file cannot be read or the index cannot be written.
    pub fn adopt(&self, step: &(dyn Fn(&str) + Sync)) -> Result<Adopted, StoreError> {
        let store = &self.store.0;
        let mut adopted = Adopted::default();
        for names in file::list(&store.layout.directory(Directory::Sources))?.chunks(BATCH) {
            let looked: Vec<(&PathBuf, Option<(OciDigest, Stamp)>)> = names
                .par_iter()
                .filter_map(|name| {
                    // Names that no store makes are left where they are.
                    let sha256 = OciDigest::from_hex(name.to_str()?).ok()?;
                    let path = store.layout.file(Directory::Sources, &sha256);
                    step(&sha256.to_hex());
                    Some(stamp_of_right(&path, &sha256).map(|stamp| (name, stamp.map(|stamp| (sha256, stamp)))))
                })
                .collect::<Result<_, _>>()?;
            store.index.write(Commit::Durable, |writer| {
                let origin = writer.origin("", &generator())?;
                for (name, found) in looked {
                    let Some((sha256, stamp)) = found else {
                        store.quarantine(&store.layout.directory(Directory::Sources).join(name))?;
                        adopted.bad.push(name.to_string_lossy().into_owned());
                        continue;
                    };
                    let path = store.layout.file(Directory::Sources, &sha256);
                    let row = FileRow { id: 0, directory: Directory::Sources, sha256, stamp };
                    if store.restamp(writer, &row, &path, stamp)?.is_none() {
                        continue;
                    }
                    let Some(row) = writer.file(Directory::Sources, &sha256)? else { continue };
                    debug_assert_eq!(row.stamp.mode, PUBLISHED);
                    let new = NewObject { size: row.stamp.size, file: Some(row.id), origin, now: now() };
                    writer.put_object(&ObjectRef::Source(sha256), new)?;
                    adopted.sources.push(sha256);
                }
                Ok::<_, StoreError>(())
            })?;
        }
        stop::point("rebuild.adopted");
        Ok(adopted)
    }

    /// Leaves sources where they are without a row: nothing came of them, nothing keeps them, and a collection takes what
    /// is known and not kept. What a root or a package has stays known.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn leave(&self, sources: &[OciDigest]) -> Result<(), StoreError> {
        self.store.0.index.write(Commit::Durable, |writer| {
            for sha256 in sources {
                let Some(row) = writer.live(&ObjectRef::Source(*sha256))? else { continue };
                writer.set_state(row.id, State::Dead)?;
                match writer.remove_dead(row.id)? {
                    Removal::Gone(Some(file)) => writer.remove_file_row(file.id)?,
                    Removal::Gone(None) => {}
                    Removal::Claimed | Removal::Revived => writer.set_state(row.id, State::Live)?,
                }
            }
            Ok(())
        })
    }

    /// Puts the new index in the place of the old one, which goes to quarantine, and writes the journal anew.
    ///
    /// # Errors
    /// When a step fails; the next rebuild begins anew then.
    pub fn finish(self) -> Result<(), StoreError> {
        let Self { store, root, sharing, .. } = self;
        stop::point("rebuild.decoded");
        let (old, new) = (Layout::new(&root), Layout::rebuilding(&root));
        // Everything into the one file, so that only that is renamed.
        store.0.index.fold()?;
        let held = store.0.close()?;
        for ending in BESIDE {
            let path = new.beside_index(ending);
            if ending == "-wal" && Stamp::at(&path)?.is_some_and(|stamp| stamp.size > 0) {
                return Err(StoreError::InUse(root));
            }
            file::unlink(&path)?;
        }
        file::sync_data(&new.index())?;
        set_index_aside(&old)?;
        // The old log must be out of the way on the disk before the new database comes: it would be read as its own.
        file::sync_directory(&root)?;
        stop::point("rebuild.moved");
        file::rename(&new.index(), &old.index())?;
        file::sync_directory(&root)?;
        stop::point("rebuild.renamed");
        if open::read_format(&old)?.is_none() {
            open::restore_format(&old, sharing)?;
        }
        // The lock stays ours: nobody else has seen the new index yet.
        let index = Index::open(&old.index())?;
        let (warnings, hashed) = (Vec::new(), Mutex::default());
        let whole = Inner {
            layout: old,
            index,
            sharing,
            warnings,
            read_only: None,
            has_journal: true,
            tail: Mutex::default(),
            journal_when_copied: None,
            held,
            hashed,
            own_leases: Arc::default(),
            copy: None,
        };
        whole.compact_journal(Even::Sound)
    }
}

impl Inner {
    /// Closes the index for good and gives the lock of the directory back.
    fn close(self: &Arc<Self>) -> Result<std::fs::File, StoreError> {
        self.index.close();
        let failed = |source| dlstore_fsx::FsError::new("keep the lock of", &self.layout.root, source);
        Ok(self.held.try_clone().map_err(failed)?)
    }
}

fn stamp_of_right(path: &Path, sha256: &OciDigest) -> Result<Option<Stamp>, StoreError> {
    let Found::File(opened) = file::open_regular(path)? else { return Ok(None) };
    let stamp = Stamp::of(&opened, path)?;
    Ok((file::sha256(&opened, path)? == *sha256).then_some(stamp))
}

/// Removes what an earlier rebuild left, and moves what else lies in its place out of the way.
fn remove_index(layout: &Layout, sharing: Sharing) -> Result<(), StoreError> {
    open::clear(layout, &layout.index(), sharing)?;
    BESIDE.iter().try_for_each(|ending| open::clear(layout, &layout.beside_index(ending), sharing))
}

/// Moves an index with its log to quarantine, whatever lies under their names; the log last, so that a database is
/// never without its log under its own name.
fn set_index_aside(layout: &Layout) -> Result<(), StoreError> {
    let name = format!("index.db.{}", file::random_name()?);
    let aside = |path: &Path, ending: &str| -> Result<(), StoreError> {
        if file::exists(path)? {
            file::rename(path, &layout.quarantine().join(format!("{name}{ending}")))?;
        }
        Ok(())
    };
    aside(&layout.index(), "")?;
    BESIDE.iter().try_for_each(|ending| aside(&layout.beside_index(ending), ending))
}
