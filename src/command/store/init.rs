//! Making a store that is more than a private one on a local disk.
//!
//! Every command that needs a store makes a private one. This one says who else may use it and where it may lie; it can
//! be said again, and then changes nothing.

use std::path::PathBuf;

use serde::Serialize;

use crate::command::context::Context;
use crate::command::error::Error;
use crate::command::value;
use dlstore_store::{Access, Initialized, Network, OpenOptions, Sharing, Store};

/// Who uses it, and where it may lie.
pub(crate) struct Settings {
    /// Whether a group shares it.
    pub(crate) sharing: Sharing,
    /// Name or number of the group; none: that which the system gives a new directory.
    pub(crate) group: Option<String>,
    /// What to do on a network file system.
    pub(crate) network: Network,
}

/// What became of it.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Report {
    /// The store's directory.
    #[serde(serialize_with = "value::of_path")]
    #[cfg_attr(test, schemars(with = "String"))]
    pub(crate) store: PathBuf,
    /// Whether it was made now.
    pub(crate) is_new: bool,
}

/// Makes a store, or says that it is there.
///
/// # Errors
/// When there is no such group, or the place cannot be one.
pub(crate) fn run(context: &Context, settings: &Settings) -> Result<Report, Error> {
    let group = settings.group.as_deref().map(number).transpose()?;
    let (sharing, network) = (settings.sharing, settings.network);
    let options = OpenOptions { sharing, network, group, ..OpenOptions::new(Access::Create) };
    let (store, what) = Store::init(context.place()?, options)?;
    for warning in store.warnings() {
        context.note(&warning.to_string());
    }
    Ok(Report { store: store.root().to_owned(), is_new: what == Initialized::Made })
}

/// Finds the number of a group in the table of this host (group(5)).
fn number(name: &str) -> Result<u32, Error> {
    if let Ok(number) = name.parse() {
        return Ok(number);
    }
    let table = std::fs::read_to_string("/etc/group").unwrap_or_default();
    let found = table.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok()).flatten()
    });
    let unknown = || format!("no group {name} in /etc/group: give its number (`getent group {name}`)");
    found.ok_or_else(|| Error::Usage(unknown()))
}
