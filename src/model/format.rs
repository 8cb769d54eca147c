//! The formats of packages, by name.
//!
//! What a format means for versions and relations is known here, how its bytes are read only in
//! `dlstore-formats`.

/// The kinds of packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// Debian's binary package, version 2.0 (`deb(5)`).
    Deb,
    /// Alpine's package, version 2: gzip members.
    Apk,
    /// A plain tar, compressed or not. A directory becomes one: its source is its canonical tar.
    Tar,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Deb, Self::Apk, Self::Tar];

    /// Gives the name that the index, root names and definitions use: `deb`, `apk` or `tar`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Deb => "deb",
            Self::Apk => "apk",
            Self::Tar => "tar",
        }
    }

    /// Finds the format of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }
}
