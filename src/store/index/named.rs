//! What rows name: the second record of who needs what, beside the edges.
//!
//! The row of a package names its source, its tree and its facts; that of an outcome says what its value names; that
//! of a pack the layer trees that it was made of. An edge that is lost leaves those words behind, so whoever takes
//! things away holds what is left of the edges against them.
//!
//! Rows are read without a look at their checksums: one that is damaged names what is there, or nothing that is.

use super::content::decode_names;
use super::package::decode_facts;
use super::{IndexError, Kind, ObjectRef, Reader, failed};
use dlstore_model::digest::{Digest, OciDigest};

impl Reader<'_> {
    /// Hears what the row of each package, outcome and pack names, dead ones too: the row of the object, and all that
    /// it names. Tables whose rows name nothing of the kinds that are wanted are left out.
    ///
    /// # Errors
    /// When a table cannot be read.
    pub fn each_named(
        &self,
        wanted: impl Fn(Kind) -> bool,
        mut step: impl FnMut(i64, &[ObjectRef]),
    ) -> Result<(), IndexError> {
        let read = failed("read what rows name");
        let mut names = Vec::new();
        if [Kind::Source, Kind::Tree, Kind::Fact].into_iter().any(&wanted) {
            let mut query = self.0.prepare("SELECT object, source, tree, facts FROM package").map_err(&read)?;
            let mut rows = query.query([]).map_err(&read)?;
            while let Some(row) = rows.next().map_err(&read)? {
                names.clear();
                // What cannot be read as its type names nothing.
                names.extend(row.get(1).map(|key| ObjectRef::Source(OciDigest::from_bytes(key))));
                names.extend(row.get(2).map(|key| ObjectRef::Tree(Digest::from_bytes(key))));
                let facts = row.get_ref(3).ok().and_then(|facts| decode_facts(facts.as_blob().ok()?).ok());
                names.extend(facts.into_iter().flatten().map(|fact| ObjectRef::Fact(fact.digest)));
                step(row.get(0).map_err(&read)?, &names);
            }
        }
        let mut query = self.0.prepare("SELECT object, names FROM action").map_err(&read)?;
        let mut rows = query.query([]).map_err(&read)?;
        while let Some(row) = rows.next().map_err(&read)? {
            let named = row.get_ref(1).ok().and_then(|named| decode_names(named.as_blob().ok()?));
            step(row.get(0).map_err(&read)?, &named.unwrap_or_default());
        }
        if wanted(Kind::Tree) {
            let mut query = self.0.prepare("SELECT object, parts FROM pack").map_err(&read)?;
            let mut rows = query.query([]).map_err(&read)?;
            while let Some(row) = rows.next().map_err(&read)? {
                names.clear();
                let parts = row.get_ref(1).ok().and_then(|parts| parts.as_blob().ok()).unwrap_or_default();
                names.extend(parts.as_chunks().0.iter().map(|part| ObjectRef::Tree(Digest::from_bytes(*part))));
                step(row.get(0).map_err(&read)?, &names);
            }
        }
        Ok(())
    }
}
