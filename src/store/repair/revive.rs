//! Reviving: an object whose row says another kind or state than its content is what its content says it is.
//!
//! All but sources prove themselves, by their names, by a checksum, or by the bytes of their file. So where only the
//! number beside them was damaged, nothing has to be made again, and what has no source any more is not lost. A dead one
//! is revived only if something keeps it: a collection marks what nobody keeps.

use super::Healer;
use crate::StoreError;
use crate::index::{Kind, Misfiled};
use crate::whole::{is_whole, is_whole_fact, is_whole_tree};
use dlstore_model::digest::{ActionKey, Digest, OciDigest, PackageKey};

impl Healer<'_> {
    /// Sets the kind and the state of all objects right whose content proves itself.
    pub(super) fn revive(&self) -> Result<(), StoreError> {
        // What something is made of comes first.
        for kind in [Kind::Tree, Kind::Fact, Kind::Package, Kind::Pack, Kind::Blob, Kind::Action] {
            for misfiled in self.writer.misfiled(kind)? {
                self.revive_one(kind, &misfiled)?;
            }
        }
        Ok(())
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
