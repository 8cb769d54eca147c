//! Roots: what keeps things from being collected.
//!
//! `add` and `compose` set their own, whose names begin with `package/` and `image/`; a person sets others.

use serde::Serialize;

use super::Named;
use crate::command::context::Context;
use crate::command::error::Error;
use crate::command::find::{find, like};
use crate::command::value::{self, Date, Text};
use dlstore_store::{Access, PackageRecord};

/// What the names of roots begin with that the program sets itself.
const OWN_ROOTS: [&str; 2] = ["image/", "package/"];

/// The roots of a store.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Report {
    /// The roots, by name.
    pub(crate) roots: Vec<Root>,
}

/// A root.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Root {
    /// Its name.
    pub(crate) name: String,
    /// When it was last set to something else.
    pub(crate) set_at: Date,
    /// When it was last used, up to a day too early.
    pub(crate) used_at: Date,
    /// Kinds and digests of what it keeps.
    pub(crate) keeps: Vec<Text<Named>>,
}

/// A root that was set.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Added {
    /// The store's directory.
    pub(crate) store: String,
    /// The name of the root.
    pub(crate) name: String,
    /// Kinds and digests of what it keeps.
    pub(crate) keeps: Vec<Text<Named>>,
}

/// Roots that are gone.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Removed {
    /// The store's directory.
    pub(crate) store: String,
    /// Their names.
    pub(crate) removed: Vec<String>,
}

/// Lists the roots.
///
/// # Errors
/// When there is no store, or it cannot be read.
pub(crate) fn list(context: &Context) -> Result<Report, Error> {
    let roots = context.open(Access::Existing)?.roots()?;
    let root = |root: dlstore_store::RootRow| Root {
        keeps: root.targets.into_iter().map(|object| Text(Named(object))).collect(),
        name: root.name,
        set_at: Date(root.set_at),
        used_at: Date(root.used_at),
    };
    Ok(Report { roots: roots.into_iter().map(root).collect() })
}

/// Sets a root on packages, or on what another root keeps.
///
/// # Errors
/// When the name is not a person's, or there is nothing of the other name.
pub(crate) fn add(context: &Context, name: &str, what: &str) -> Result<Added, Error> {
    let store = context.open(Access::Existing)?;
    if let Some(own) = OWN_ROOTS.iter().find(|own| name.starts_with(**own)) {
        let message = format!("root names beginning with {own} are reserved for `add` and `compose`: choose another");
        return Err(Error::Usage(message));
    }
    // An older index would give what the root kept then.
    store.check_root(what)?;
    let mut targets = store.root_target(what)?.unwrap_or_default();
    if targets.is_empty() {
        targets = find(&store, what)?.iter().map(PackageRecord::object).collect();
    }
    if targets.is_empty() {
        return Err(Error::NothingNamed { what: what.to_owned(), package: like(&store, what)? });
    }
    store.set_root(name, &targets)?;
    let keeps = targets.into_iter().map(|object| Text(Named(object))).collect();
    Ok(Added { store: value::path(store.root()), name: name.to_owned(), keeps })
}

/// Removes roots.
///
/// # Errors
/// When there is none of a name; those before it are removed.
pub(crate) fn remove(context: &Context, names: &[String]) -> Result<Removed, Error> {
    let store = context.open(Access::Existing)?;
    for name in names {
        if !store.remove_root(name)? {
            return Err(Error::NoRoot(name.clone()));
        }
    }
    Ok(Removed { store: value::path(store.root()), removed: names.to_vec() })
}
