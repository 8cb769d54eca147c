//! Strange things: names and numbers that no program of ours writes, found, named, and set right.
//!
//! What lies among the locks and stages and has no lease's name is nobody's: it is never followed, and a repair moves it
//! to quarantine. A row with such a name keeps what it holds until a repair removes it, because nobody knows whether
//! its owner lives. A root whose name is lost gets the one back that the journal has for what it keeps, else one of
//! its row. Numbers of objects near the last one are given anew.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::finding::{Finding, FindingKind};
use super::journal::Journal;
use super::layout::{lease_of_lock, lease_of_stage};
use super::root_name::check_name;
use super::{Inner, ObjectRef, StoreError};
use crate::index::{Reader, Writer};
use dlstore_fsx::file;
use dlstore_model::escape::Escaped;

/// What a root is called whose name is lost and that no line of the journal tells: this and its row.
const FOUND: &str = "found";

impl Inner {
    /// Lists what lies among the locks and the stages of leases and has a name that no lease can have: it is nobody's,
    /// and nothing is made or removed by its name.
    fn strange_files(&self) -> Result<Vec<PathBuf>, StoreError> {
        let mut strange = Vec::new();
        for (directory, lease_of) in
            [(self.layout.leases(), lease_of_lock as fn(&Path) -> _), (self.layout.stages(), lease_of_stage)]
        {
            let names = file::list(&directory)?.into_iter();
            strange.extend(names.filter(|name| lease_of(name).is_none()).map(|name| directory.join(name)));
        }
        Ok(strange)
    }

    /// Names them.
    pub(super) fn name_strange_files(&self) -> Result<Vec<Finding>, StoreError> {
        let finding = |path: PathBuf| {
            let below = path.strip_prefix(&self.layout.root).unwrap_or(&path);
            let detail = format!("{} has a name that no lease can have", Escaped::path(below));
            Finding { kind: FindingKind::StrangeName, object: None, detail }
        };
        Ok(self.strange_files()?.into_iter().map(finding).collect())
    }

    /// Moves them to quarantine, unless a link leads there: then they may be somebody else's.
    pub(super) fn move_strange_files(&self) -> Result<(), StoreError> {
        let is_ours = |path: &&PathBuf| {
            path.parent().is_some_and(|above| !std::fs::symlink_metadata(above).is_ok_and(|above| above.is_symlink()))
        };
        self.strange_files()?.iter().filter(is_ours).try_for_each(|path| self.quarantine(path))
    }
}

/// Names rows of leases and roots with names that none can have, and numbers of objects that are used up.
pub(super) fn strange_rows(reader: &Reader<'_>) -> Result<Vec<Finding>, StoreError> {
    let mut found = name_strange_leases(reader)?;
    found.extend(name_strange_roots(reader)?);
    found.extend(reader.garbled_rows()?.into_iter().map(|(table, id)| damaged(table, id, "text")));
    if reader.has_strange_numbers()? {
        let detail = "the numbers of objects are not given in order, or used up".to_owned();
        found.push(Finding { kind: FindingKind::RowDamaged, object: None, detail });
    }
    Ok(found)
}

/// Names rows of leases with names that no lease can have, and such whose notes are no text.
pub(super) fn name_strange_leases(reader: &Reader<'_>) -> Result<Vec<Finding>, StoreError> {
    let rows = reader.leases()?.into_iter();
    let found = rows.filter_map(|row| match (row.name, row.has_note) {
        (None, _) => Some(damaged("lease", row.id, "name")),
        (Some(_), false) => Some(damaged("lease", row.id, "note")),
        (Some(_), true) => None,
    });
    Ok(found.collect())
}

/// Names rows of roots with names that no root can have.
pub(super) fn name_strange_roots(reader: &Reader<'_>) -> Result<Vec<Finding>, StoreError> {
    Ok(reader.strange_roots(is_root_name)?.into_iter().map(|id| damaged("root", id, "name")).collect())
}

fn damaged(table: &str, id: i64, what: &str) -> Finding {
    let detail = format!("the row {id} of {table} has a {what} that none can have");
    Finding { kind: FindingKind::RowDamaged, object: None, detail }
}

/// Sets right what [`strange_rows`] finds.
pub(super) fn mend_rows(writer: &Writer<'_>, journal: &Journal) -> Result<(), StoreError> {
    writer.mend_leases()?;
    writer.mend_garbled()?;
    for id in writer.strange_roots(is_root_name)? {
        rename(writer, journal, id)?;
    }
    if writer.has_strange_numbers()? {
        writer.number_anew()?;
    }
    Ok(())
}

fn is_root_name(name: &str) -> bool {
    check_name(name).is_ok()
}

/// Gives a root a name again: the one under which the journal keeps the same and the index keeps nothing.
fn rename(writer: &Writer<'_>, journal: &Journal, id: i64) -> Result<(), StoreError> {
    let keeps = writer.root_targets(id)?;
    let known = writer.root_names()?;
    let is_it = |said: &Vec<super::Kept>| {
        let said: BTreeSet<ObjectRef> = said.iter().filter_map(super::Kept::object).collect();
        !keeps.is_empty() && said.into_iter().eq(keeps.iter().copied())
    };
    let mut lost = journal.roots.iter().filter(|(name, said)| !known.contains(*name) && is_it(said));
    let name = match lost.next() {
        Some((name, _)) if is_root_name(name) => name.clone(),
        _ => format!("{FOUND}/{id}"),
    };
    Ok(writer.rename_root(id, &name)?)
}
