//! The fix-ups by name: what `skip` takes, and all that is to be known of one without running it.
//!
//! Each is one row here and one file in `fixup`, which makes what it is for. The order of the rows is the order in
//! which they run. Whoever changes what one makes raises its version, which is part of every key that it can change;
//! golden tests beside each fix-up hold that. A row that is forgotten somewhere does not compile: nobody matches on
//! names.

use std::fmt;

use serde::{Serialize, Serializer};

/// Makes the enum, the list of all of them and their properties out of one table.
macro_rules! fixups {
    ($($(#[$doc:meta])+ $variant:ident: $name:literal, version $version:literal, $replaces:ident;)+) => {
        /// A fix-up.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Fixup {
            $($(#[$doc])+ $variant,)+
        }

        impl Fixup {
            /// All of them, in the order in which they run.
            pub(crate) const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Gives the name that definitions and origins have for it.
            pub(crate) const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// Gives the version of what it makes.
            pub(crate) const fn version(self) -> u32 {
                match self { $(Self::$variant => $version,)+ }
            }

            /// Says what of the packages' own files may give way to what it makes.
            pub(crate) const fn replaces(self) -> Replaces {
                match self { $(Self::$variant => Replaces::$replaces,)+ }
            }
        }
    };
}

fixups! {
    /// `/etc/passwd`, `/etc/group`, home directories and `/tmp`.
    Accounts: "accounts", version 2, Nothing;
    /// The bundle of certificates.
    CaBundle: "ca-bundle", version 2, WhatItExtends;
    /// `/etc/os-release`, and `/etc/alpine-release` with it.
    OsRelease: "os-release", version 3, WhatItExtends;
    /// `/etc/nsswitch.conf`.
    Nsswitch: "nsswitch", version 1, Nothing;
    /// Where Debian's musl looks for libraries.
    LdMuslPath: "ld-musl-path", version 1, Nothing;
    /// The links of a merged `/usr`.
    UsrMerge: "usr-merge", version 2, Nothing;
    /// The cache of glibc's loader.
    LdSoCache: "ld-so-cache", version 1, Nothing;
    /// What scanners read of Debian packages.
    DpkgDatabase: "dpkg-database", version 1, Nothing;
    /// What scanners read of apk packages.
    ApkDatabase: "apk-database", version 3, Nothing;
}

/// What of the packages' own files may give way to what a fix-up makes at the same path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Replaces {
    /// Nothing: one path with two makers is an error.
    Nothing,
    /// The file that it was given and adds to.
    WhatItExtends,
}

impl Fixup {
    /// Finds one by its name.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|one| one.name() == name)
    }

    /// Gives all names in their order.
    pub(crate) fn names() -> Vec<&'static str> {
        Self::ALL.iter().map(|one| one.name()).collect()
    }
}

/// As its name.
impl Serialize for Fixup {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl fmt::Display for Fixup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_leads_back_to_its_fix_up_and_no_other_does() {
        for (at, fixup) in Fixup::ALL.iter().enumerate() {
            assert_eq!(Fixup::from_name(fixup.name()), Some(*fixup));
            assert_eq!(Fixup::ALL.iter().position(|other| other.name() == fixup.name()), Some(at));
            assert!(fixup.version() > 0);
        }
        assert_eq!(Fixup::from_name("ldconfig"), None);
    }

    #[test]
    fn what_needs_the_outcome_of_another_one_runs_behind_it() {
        // The cache has what the links of usr-merge lead to; the database leaves out what others made.
        let place = |fixup| Fixup::ALL.iter().position(|one| *one == fixup).unwrap();
        assert!(place(Fixup::UsrMerge) < place(Fixup::LdSoCache));
        for fixup in
            [Fixup::Accounts, Fixup::CaBundle, Fixup::OsRelease, Fixup::Nsswitch, Fixup::LdMuslPath, Fixup::LdSoCache]
        {
            assert!(place(fixup) < place(Fixup::DpkgDatabase), "{fixup}");
        }
        assert!(Fixup::ALL.is_sorted(), "outcomes are kept in the order in which they were made");
    }
}
