//! What every use case is given: where the store lies, who may use it, and who listens.
//!
//! The store is opened here and nowhere else, so that warnings about it, and a word on whom a command waits for, are said
//! by every command alike.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use super::error::Error;
use dlstore_model::diagnose::{Diagnose as _, Kind};
use dlstore_store::{Access, OpenOptions, Sharing, Store, StoreError};

/// A step that is done.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Progress<'p> {
    /// `progress`.
    pub(crate) reason: &'static str,
    /// What is being done: `adding`, `composing`, `verifying`, `deleting`, `hashing`, `decoding`.
    pub(crate) verb: &'static str,
    /// How many steps are done.
    pub(crate) done: usize,
    /// Of how many; `null` when that is not known.
    pub(crate) total: Option<usize>,
    /// What is done now: a file, an image, or of which kind the object was. While images are composed, packages that are
    /// added for them too, which count for nothing.
    pub(crate) name: &'p str,
}

/// Hears what a use case has to say while it works.
pub(crate) trait Listener: Send + Sync {
    /// Something that people should take note of.
    fn note(&self, line: &str);

    /// Steps begin; as many as are known, else 0.
    fn begin(&self, verb: &'static str, steps: usize);

    /// Something is done that one of them takes.
    fn within(&self, name: &str);

    /// One of them is done.
    fn step(&self, name: &str);

    /// One of a number is done that is known only now.
    fn advance(&self, name: &'static str, total: usize);

    /// They are at their end.
    fn end(&self);
}

/// What every use case is given.
pub(crate) struct Context {
    /// Where the store lies; none when nothing says it.
    pub(crate) store: Option<PathBuf>,
    /// Whether a store may belong to another user.
    pub(crate) sharing: Sharing,
    /// Who listens.
    pub(crate) listener: Arc<dyn Listener>,
}

impl Context {
    /// Says where the store lies.
    pub(super) fn place(&self) -> Result<&Path, Error> {
        self.store.as_deref().ok_or(Error::NoPlace)
    }

    /// Says how to open a store that is there.
    pub(super) fn existing(&self) -> OpenOptions {
        OpenOptions { sharing: self.sharing, ..OpenOptions::new(Access::Existing) }
    }

    /// Opens the store.
    pub(super) fn open(&self, access: Access) -> Result<Store, Error> {
        let path = self.place()?;
        let store = match Store::open_with(path, self.existing()) {
            // Trusting another's store says nothing about one that is made now.
            Err(StoreError::Absent(_)) if access == Access::Create => Store::open(path, access).map_err(unmade)?,
            outcome => outcome?,
        };
        for warning in store.warnings() {
            self.note(&warning.to_string());
        }
        let listener = Arc::clone(&self.listener);
        store.when_waiting(move |sentence| listener.note(sentence));
        Ok(store)
    }

    /// Opens the store if there is one.
    pub(super) fn open_if_there(&self) -> Result<Option<Store>, Error> {
        match self.open(Access::Existing) {
            Ok(store) => Ok(Some(store)),
            Err(Error::Store(StoreError::Absent(_))) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) fn note(&self, line: &str) {
        self.listener.note(line);
    }
}

/// Tells a place where nothing may be made from other reasons.
fn unmade(error: StoreError) -> Error {
    match &error {
        StoreError::File(effect)
            if matches!(effect.source.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem) =>
        {
            Error::Unmade(error)
        }
        // There is nothing in it that could be collected.
        full if full.kind() == Kind::StoreFull => Error::Unmade(error),
        _ => Error::Store(error),
    }
}
