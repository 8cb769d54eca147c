//! What a package says of itself, the same for every format.
//!
//! Names, versions and relations are proofs: who reads a [`Metadata`] checks nothing again. What only one
//! format knows is a field of its own that the others leave empty (`replaces_priority`,
//! `apk_identity`), never an invented file.

use crate::format::Format;
use crate::name::{Architecture, PackageName};
use crate::relation::Relation;
use crate::version::Version;

/// What a package says of itself, whatever its format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// Its format: how names and versions are to be read.
    pub format: Format,
    /// Its name.
    pub name: PackageName,
    /// Its version.
    pub version: Version,
    /// Its architecture in the format's own words.
    pub architecture: Architecture,
    /// The source package or origin; the name itself when nothing is said.
    pub origin: PackageName,
    /// Packages whose files it may overwrite.
    pub replaces: Vec<Relation>,
    /// apk's `replaces_priority`, else 0.
    pub replaces_priority: u64,
    /// The SHA-1 of an apk's control member, by which indexes and the installed database name it
    /// (`C:Q1...`). `None` for other formats.
    pub apk_identity: Option<[u8; 20]>,
}

impl Metadata {
    /// Gives what is known of a tar or a directory, which say nothing of themselves: the name that it
    /// got from outside, version `0`, every architecture.
    #[must_use]
    pub fn of_tar(name: PackageName) -> Self {
        Self {
            format: Format::Tar,
            origin: name.clone(),
            name,
            version: Version::new(Format::Tar, "0").expect("a digit is a version"),
            architecture: Architecture::new("all").expect("a lower-case word is an architecture"),
            replaces: Vec::new(),
            replaces_priority: 0,
            apk_identity: None,
        }
    }

    /// Says whether it may overwrite files of `other`: a relation in `replaces` names it and is met.
    ///
    /// A relation's architecture is not looked at: an image holds packages of one.
    #[must_use]
    pub fn replaces(&self, other: &Self) -> bool {
        self.format == other.format
            && self
                .replaces
                .iter()
                .any(|relation| relation.name == other.name && relation.is_met_by(self.format, &other.version))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_replaces_what_its_relations_name_and_nothing_else() {
        let named = |name: &str| Metadata::of_tar(PackageName::new(Format::Tar, name).unwrap());
        let mut new = named("new");
        new.replaces =
            vec![Relation { name: PackageName::new(Format::Tar, "old").unwrap(), arch: None, constraint: None }];
        assert!(new.replaces(&named("old")));
        assert!(!new.replaces(&named("other")));
        assert!(!named("old").replaces(&new));
        let other_format = Metadata { format: Format::Apk, ..named("old") };
        assert!(!new.replaces(&other_format));
    }
}
