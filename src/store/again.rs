//! Looking again: what somebody who may only read does in the place of taking the write lock.
//!
//! A writer is between a file and its row for a moment, and nobody can be asked to wait for him. An index that had to be
//! copied stays as it was, while files come and go. So what looks bad is looked at some times more, in an index that
//! is copied anew, and only what is found each time is damage.

use std::time::Duration;

use super::finding::{Finding, as_finding};
use super::{Inner, ObjectRef, StoreError};
use crate::index::Reader;

/// How long is waited before each of the looks.
pub(super) const PAUSES: [Duration; 3] =
    [Duration::from_millis(20), Duration::from_millis(150), Duration::from_millis(600)];

/// Looks at one object.
type Look<'l> = &'l dyn Fn(&Reader<'_>, &ObjectRef) -> Result<Vec<Finding>, StoreError>;

impl Inner {
    /// Gives what is found each time that objects are looked at.
    pub(super) fn look_again(&self, objects: &[ObjectRef], look: Look<'_>) -> Result<Vec<Finding>, StoreError> {
        let mut left = Vec::new();
        for object in objects {
            let found = as_finding(self.index.read(|reader| look(reader, object)), Some(*object))?;
            left.extend((!found.is_empty()).then_some((*object, found)));
        }
        for pause in PAUSES {
            if left.is_empty() {
                break;
            }
            std::thread::sleep(pause);
            // Where no copy can be had now, the old one has to do.
            let anew = self.index_anew().unwrap_or_default();
            let index = anew.as_ref().map_or(&self.index, |(index, _)| index);
            for (object, found) in &mut left {
                let again = as_finding(index.read(|reader| look(reader, object)), Some(*object))?;
                found.retain(|one| again.contains(one));
            }
            left.retain(|(_, found)| !found.is_empty());
        }
        Ok(left.into_iter().flat_map(|(_, found)| found).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::super::finding::FindingKind;
    use super::super::{Access, Store};
    use super::*;
    use dlstore_model::digest::Digest;

    #[test]
    fn what_is_not_seen_each_time_is_no_damage() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path(), Access::Create).unwrap();
        let [stays, goes] = [b"stays", b"goes "].map(|name| ObjectRef::Tree(Digest::of(name)));
        let finding = |object: &ObjectRef| Finding {
            kind: FindingKind::ObjectMissing,
            object: Some(*object),
            detail: String::new(),
        };
        let looks = Cell::new(0);
        let found = store.0.look_again(&[stays, goes], &|_, object| {
            looks.set(looks.get() + 1);
            Ok(if *object == stays || looks.get() <= 2 { vec![finding(object)] } else { Vec::new() })
        });
        assert_eq!(found.unwrap(), [finding(&stays)]);
        assert_eq!(looks.get(), 2 + 2 + (PAUSES.len() - 1), "one of them is asked twice");
    }
}
