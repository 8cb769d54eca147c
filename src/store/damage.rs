//! Stating damage: bad bytes leave for quarantine, and nobody sees the object until it is healed.
//!
//! Healing is publishing again. This is the last resort, after the kept source and the remotes.

use super::gc::reach;
use super::{ObjectRef, Store, StoreError};
use crate::index::{Commit, State};
use dlstore_fsx::file;
use dlstore_fsx::file::Stamp;

impl Store {
    /// Marks an object, and all that lie in the same file, as damaged, and names the roots that reach
    /// one of them.
    ///
    /// # Errors
    /// [`StoreError::Gone`] when there is no such object; others when a step fails.
    pub fn mark_damaged(&self, object: &ObjectRef) -> Result<Vec<String>, StoreError> {
        self.0.check_writable()?;
        self.0.index.write(Commit::Durable, |writer| {
            let row = writer.object(object)?.filter(|row| row.state != State::Dead).ok_or(StoreError::Gone(*object))?;
            let mut damaged = vec![row.id];
            if let Some(file) = row.file {
                damaged = writer.objects_in(file)?;
                if let Some(row) = writer.file_by_id(file)? {
                    let path = self.0.layout.file(row.folder, &row.sha256);
                    if Stamp::at(&path)?.is_some() {
                        self.0.quarantine(&path)?;
                        file::sync_folder(&self.0.layout.folder(row.folder))?;
                    }
                }
            }
            for id in &damaged {
                writer.set_state(*id, State::Damaged)?;
            }
            let graph = writer.graph()?;
            let mut affected = Vec::new();
            for root in &graph.roots {
                let reached =
                    reach(&graph, root.targets.iter().filter_map(|id| graph.position(*id)).collect(), |_, _| true);
                if damaged.iter().filter_map(|id| graph.position(*id)).any(|at| reached[at]) {
                    affected.push(root.name.clone());
                }
            }
            Ok(affected)
        })
    }
}
