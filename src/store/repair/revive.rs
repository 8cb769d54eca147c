//! Reviving: an object whose row says another kind or state than its content is what its content says it is.
//!
//! Where the object's row is gone altogether, a tree, a fact or a package that is left says which object it was.
//!
//! All but sources prove themselves, by their names, by a checksum, or by the bytes of their file. So where only the
//! number beside them was damaged, nothing has to be made again, and what has no source any more is not lost. A dead one
//! is revived only if something keeps it: a collection marks what nobody keeps.

use super::Healer;
use crate::StoreError;
use crate::index::{Kind, Misfiled, ObjectRef, Stray};
use crate::tree_row;
use crate::whole::{is_whole, is_whole_fact, is_whole_tree};
use dlstore_model::digest::{ActionKey, Digest, OciDigest, PackageKey};

impl Healer<'_> {
    /// Sets the kind and the state of all objects right whose content proves itself.
    pub(super) fn revive(&self) -> Result<(), StoreError> {
        self.name_strays()?;
        // What something is made of comes first.
        for kind in [Kind::Tree, Kind::Fact, Kind::Package, Kind::Pack, Kind::Blob, Kind::Action] {
            for misfiled in self.writer.misfiled(kind)? {
                self.revive_one(kind, &misfiled)?;
            }
        }
        Ok(())
    }

    /// Says the objects again of trees, facts and packages that prove themselves and whose object is gone.
    fn name_strays(&self) -> Result<(), StoreError> {
        let strays = self.writer.strays()?;
        let mut packages = Vec::new();
        for (id, stray) in &strays {
            let (object, size) = match stray {
                Stray::Tree(row) => match tree_row::name_of(row) {
                    Some(name) => (ObjectRef::Tree(name), row.data.len() as u64),
                    None => continue,
                },
                Stray::Fact(data) => (ObjectRef::Fact(Digest::of(data)), data.len() as u64),
                Stray::Package(record) => (record.object(), 0),
            };
            if self.writer.name_again(*id, &object, size, self.origin, self.now)?
                && matches!(object, ObjectRef::Package(_))
            {
                packages.push((object, *id));
            }
        }
        // What they refer to may be among the others.
        packages.iter().try_for_each(|(object, id)| self.join(object, *id))
    }

    fn revive_one(&self, kind: Kind, misfiled: &Misfiled) -> Result<(), StoreError> {
        // Another object may have its name.
        if !self.writer.refile(misfiled.id, kind)? {
            return Ok(());
        }
        let is_right = match kind {
            Kind::Tree => is_whole_tree(self.writer, &Digest::from_bytes(misfiled.key))?,
            Kind::Fact => is_whole_fact(self.writer, &Digest::from_bytes(misfiled.key))?,
            Kind::Pack => self.adopt_pack(&ActionKey::from_bytes(misfiled.key))?,
            Kind::Blob => {
                let digest = OciDigest::from_bytes(misfiled.key);
                self.writer.blob(&digest)?.is_some_and(|data| OciDigest::of(&data) == digest)
            }
            Kind::Action => self.is_whole_outcome(&ActionKey::from_bytes(misfiled.key))?,
            Kind::Source | Kind::Package => is_whole(self.writer, &PackageKey::from_bytes(misfiled.key))?,
        };
        if !is_right {
            self.writer.put_back(misfiled)?;
        }
        Ok(())
    }

    /// Says whether an outcome's row proves itself, and all that it names is here.
    fn is_whole_outcome(&self, key: &ActionKey) -> Result<bool, StoreError> {
        let Some(row) = self.writer.action(key)? else { return Ok(false) };
        for name in &row.names {
            if self.writer.live(name)?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
