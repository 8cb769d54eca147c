//! Paths that belong to fix-ups: who else may ship something there.
//!
//! Accounts, certificates, the loader's configuration and the databases of packages say what an image is and whom it
//! trusts. Fix-ups make them out of what a few packages ship, so no other package may speak there: not in a path that
//! a fix-up would read or replace, and not in one that the fix-up leaves free today.
//!
//! | paths | who may ship them |
//! |---|---|
//! | `/etc/passwd`, `group`, `shadow` | the package of `accounts-from` |
//! | `/etc/gshadow` | nobody: no fix-up reads it |
//! | below `/etc/ssl/certs` and `/usr/share/ca-certificates` | the packages of `certificates-from` |
//! | `/etc/ld.so.*` and below | `libc6`, `libc-bin`, `glibc` |
//! | `/etc/ld-musl-*` | `musl` |
//! | below `/var/lib/dpkg` | `dpkg` |
//! | below `/lib/apk` and `/usr/lib/apk` | `apk-tools` |
//!
//! Directories are nobody's. A link in the place of a directory of these paths counts as what it leads to. What the
//! package's definition leaves out by `overrides` or `exclude` is not in the image, and is nobody's word; what `slim`
//! leaves out by itself is one all the same, for certificates are read before that.

use crate::compose::ComposeError;
use crate::definition::{self, Level};
use dlstore_formats::package::Format;
use dlstore_model::glob::{Pattern, PatternSet, Selection};
use dlstore_model::path::TreePath;
use dlstore_model::tree::{Entry, Node};

/// What a path that belongs to fix-ups is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Matter {
    /// Users and groups.
    Accounts,
    /// Group passwords, which no fix-up reads.
    GroupPasswords,
    /// Certificates that programs trust.
    Certificates,
    /// Where the loader looks, and what it loads first.
    Loader,
    /// The same of musl's.
    MuslLoader,
    /// The database of Debian packages.
    DpkgDatabase,
    /// The database of apk packages.
    ApkDatabase,
}

impl Matter {
    /// Says what it is, as the subject of a sentence.
    #[must_use]
    pub const fn plural(self) -> &'static str {
        match self {
            Self::Accounts => "accounts",
            Self::GroupPasswords => "group passwords",
            Self::Certificates => "certificates",
            Self::Loader => "settings of the loader",
            Self::MuslLoader => "settings of musl's loader",
            Self::DpkgDatabase => "entries of dpkg's database",
            Self::ApkDatabase => "entries of apk's database",
        }
    }
}

/// The paths, each with all that lies below it; an asterisk at the end stands for any ending.
const OWNED: [(&str, Matter); 11] = [
    ("etc/passwd", Matter::Accounts),
    ("etc/group", Matter::Accounts),
    ("etc/shadow", Matter::Accounts),
    ("etc/gshadow", Matter::GroupPasswords),
    ("etc/ssl/certs", Matter::Certificates),
    ("usr/share/ca-certificates", Matter::Certificates),
    ("etc/ld.so.*", Matter::Loader),
    ("etc/ld-musl-*", Matter::MuslLoader),
    ("var/lib/dpkg", Matter::DpkgDatabase),
    ("lib/apk", Matter::ApkDatabase),
    ("usr/lib/apk", Matter::ApkDatabase),
];

/// Says what an entry at a path is about, when that belongs to fix-ups.
#[must_use]
pub fn matter(path: &TreePath, entry: &Entry) -> Option<Matter> {
    if entry.is_folder() {
        return None;
    }
    let is_link = matches!(entry.node, Node::Symlink { .. });
    let path = path.as_bytes();
    let (_, matter) = OWNED.iter().find(|(owned, _)| match owned.strip_suffix('*') {
        Some(start) => path.starts_with(start.as_bytes()),
        None => is_within(path, owned.as_bytes()) || is_link && is_above(path, owned.as_bytes()),
    })?;
    Some(*matter)
}

fn is_within(path: &[u8], folder: &[u8]) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.first().is_none_or(|byte| *byte == b'/'))
}

/// Says whether a link at `path` would put the owned path somewhere else. Links at the top, such as `lib`, are those of
/// a merged `/usr`.
fn is_above(path: &[u8], owned: &[u8]) -> bool {
    let leads_on = owned.strip_prefix(path).is_some_and(|rest| rest.first() == Some(&b'/'));
    leads_on && (path.contains(&b'/') || [b"etc".as_slice(), b"usr", b"var"].contains(&path))
}

/// Who may speak of what in an image.
pub struct Voices<'l> {
    levels: &'l [Level],
    /// The package whose account files are the first ones.
    pub accounts: Option<&'l str>,
    /// The packages whose certificates are taken.
    pub certificates: Vec<&'l str>,
}

impl<'l> Voices<'l> {
    /// Reads it from the levels of an image; `has` says whether a package is in it.
    #[must_use]
    pub fn of(levels: &'l [Level], format: Option<Format>, has: impl Fn(&str) -> bool) -> Self {
        let accounts = definition::accounts_from(levels, format, has);
        Self { levels, accounts, certificates: definition::certificates_from(levels) }
    }

    /// Gives the packages that may ship what is about something.
    #[must_use]
    pub fn may(&self, matter: Matter) -> Vec<&'l str> {
        match matter {
            Matter::Accounts => self.accounts.into_iter().collect(),
            Matter::GroupPasswords => Vec::new(),
            Matter::Certificates => self.certificates.clone(),
            Matter::Loader => vec!["libc6", "libc-bin", "glibc"],
            Matter::MuslLoader => vec!["musl"],
            Matter::DpkgDatabase => vec!["dpkg"],
            Matter::ApkDatabase => vec!["apk-tools"],
        }
    }

    /// Checks what a package ships, before anything is selected of it but what `level` leaves out in words of its own.
    ///
    /// # Errors
    /// When it ships what is others' to say.
    pub fn check<'t>(
        &self,
        package: &str,
        origin: &dyn std::fmt::Display,
        level: usize,
        claims: impl IntoIterator<Item = &'t (TreePath, Matter)>,
    ) -> Result<(), ComposeError> {
        let Some(level) = self.levels.get(level) else { return Ok(()) };
        let mut left_out: Option<(PatternSet, Option<Selection>)> = None;
        for (path, matter) in claims {
            let may = self.may(*matter);
            if may.contains(&package) {
                continue;
            }
            // Few packages have such a path, and most of those may.
            let (overrides, own) = left_out.get_or_insert_with(|| {
                let patterns = level.overrides.iter().filter_map(|text| Pattern::new(text).ok());
                let rules = level.selection.iter().map(|(keeps, pattern)| (*keeps, pattern.as_str()));
                (PatternSet::new(patterns.enumerate()), Selection::new(rules).ok())
            });
            if overrides.first(path).is_some() || own.as_ref().is_some_and(|own| !own.selects(path)) {
                continue;
            }
            return Err(ComposeError::Foreign {
                path: path.clone(),
                origin: origin.to_string(),
                package: package.to_owned(),
                matter: *matter,
                may: may.into_iter().map(str::to_owned).collect(),
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dlstore_model::digest::Digest;
    use dlstore_model::tree::Meta;

    #[test]
    fn paths_of_fix_ups_are_known_by_what_stands_there() {
        let file = Entry::new(Node::File { content: Digest::of(b""), size: 0 }, Meta::FILE);
        let link = Entry::new(Node::Symlink { target: b"/opt".to_vec() }, Meta::LINK);
        let folder = Entry::new(Node::Folder, Meta::FOLDER);
        for (path, by_file, by_link) in [
            ("etc/passwd", Some(Matter::Accounts), Some(Matter::Accounts)),
            ("etc/passwd.d/x", None, None),
            ("etc/ld.so.preload", Some(Matter::Loader), Some(Matter::Loader)),
            ("etc/ld.so.conf.d/x.conf", Some(Matter::Loader), Some(Matter::Loader)),
            ("etc/ld.sofa", None, None),
            ("etc/ssl/certs", Some(Matter::Certificates), Some(Matter::Certificates)),
            ("etc/ssl/certs/x/y.pem", Some(Matter::Certificates), Some(Matter::Certificates)),
            ("etc/ssl/cert.pem", None, None),
            ("etc/ssl", None, Some(Matter::Certificates)),
            ("var/lib", None, Some(Matter::DpkgDatabase)),
            ("var/lib/dpkg/status.d/x", Some(Matter::DpkgDatabase), Some(Matter::DpkgDatabase)),
            ("lib", None, None),
            ("usr/lib/apk/db/installed", Some(Matter::ApkDatabase), Some(Matter::ApkDatabase)),
        ] {
            let at = TreePath::new(path.as_bytes()).unwrap();
            assert_eq!(matter(&at, &file), by_file, "{path}");
            assert_eq!(matter(&at, &link), by_link, "{path} as a link");
            assert_eq!(matter(&at, &folder), None, "{path} as a folder");
        }
    }
}
