//! Paths that belong to fix-ups: what is about accounts, certificates, the loader or the databases of packages.
//!
//! It is looked for in the whole package, where its entries would land: facts are taken before anything is selected.
//! Who may ship such a path is an image's to say.

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
    const ALL: [Self; 7] = [
        Self::Accounts,
        Self::GroupPasswords,
        Self::Certificates,
        Self::Loader,
        Self::MuslLoader,
        Self::DpkgDatabase,
        Self::ApkDatabase,
    ];

    /// Gives the number that stands for it in what is remembered.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// Reads such a number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

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
const OWNED: [(&str, Matter); 14] = [
    ("etc/passwd", Matter::Accounts),
    ("etc/group", Matter::Accounts),
    ("etc/shadow", Matter::Accounts),
    ("etc/gshadow", Matter::GroupPasswords),
    ("etc/ssl/certs", Matter::Certificates),
    ("etc/ssl/cert.pem", Matter::Certificates),
    ("etc/pki/tls/certs/ca-bundle.crt", Matter::Certificates),
    ("usr/share/ca-certificates", Matter::Certificates),
    ("usr/local/share/ca-certificates", Matter::Certificates),
    ("etc/ld.so.*", Matter::Loader),
    ("etc/ld-musl-*", Matter::MuslLoader),
    ("var/lib/dpkg", Matter::DpkgDatabase),
    ("lib/apk", Matter::ApkDatabase),
    ("usr/lib/apk", Matter::ApkDatabase),
];

/// Says what an entry at a path is about, when that belongs to fix-ups.
#[must_use]
pub fn matter(path: &TreePath, entry: &Entry) -> Option<Matter> {
    if entry.is_directory() {
        return None;
    }
    let is_link = matches!(entry.node, Node::Symlink { .. }) && !merges_usr(path, entry);
    let path = path.as_bytes();
    let (_, matter) = OWNED.iter().find(|(owned, _)| match owned.strip_suffix('*') {
        Some(start) => path.starts_with(start.as_bytes()),
        None => is_within(path, owned.as_bytes()) || is_link && is_above(path, owned.as_bytes()),
    })?;
    Some(*matter)
}

fn is_within(path: &[u8], directory: &[u8]) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.first().is_none_or(|byte| *byte == b'/'))
}

/// Says whether a link at `path` would put the owned path somewhere else.
fn is_above(path: &[u8], owned: &[u8]) -> bool {
    owned.strip_prefix(path).is_some_and(|rest| rest.first() == Some(&b'/'))
}

/// Says whether an entry is a link of a merged `/usr`: at the top, to the directory of its own name there. What lies
/// below it is what lies below that.
#[must_use]
pub fn merges_usr(path: &TreePath, entry: &Entry) -> bool {
    let Node::Symlink { target } = &entry.node else { return false };
    let twin = path.resolve_target(target);
    twin.is_some_and(|twin| twin.as_bytes().strip_prefix(b"usr/") == Some(path.as_bytes()))
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
        let directory = Entry::new(Node::Directory, Meta::DIRECTORY);
        for (path, by_file, by_link) in [
            ("etc/passwd", Some(Matter::Accounts), Some(Matter::Accounts)),
            ("etc/passwd.d/x", None, None),
            ("etc/ld.so.preload", Some(Matter::Loader), Some(Matter::Loader)),
            ("etc/ld.so.conf.d/x.conf", Some(Matter::Loader), Some(Matter::Loader)),
            ("etc/ld.sofa", None, None),
            ("etc/ssl/certs", Some(Matter::Certificates), Some(Matter::Certificates)),
            ("etc/ssl/certs/x/y.pem", Some(Matter::Certificates), Some(Matter::Certificates)),
            ("etc/ssl", None, Some(Matter::Certificates)),
            ("var/lib", None, Some(Matter::DpkgDatabase)),
            ("var/lib/dpkg/status.d/x", Some(Matter::DpkgDatabase), Some(Matter::DpkgDatabase)),
            ("lib", None, Some(Matter::ApkDatabase)),
            ("lib64", None, None),
            ("etc/ssl/cert.pem", Some(Matter::Certificates), Some(Matter::Certificates)),
            ("etc/ssl/cert.pem.d/x", None, None),
            ("etc/pki/tls/certs/ca-bundle.crt", Some(Matter::Certificates), Some(Matter::Certificates)),
            ("etc/pki/tls/certs/x.crt", None, None),
            ("etc/pki", None, Some(Matter::Certificates)),
            ("usr/local/share/ca-certificates/x.crt", Some(Matter::Certificates), Some(Matter::Certificates)),
            ("usr/local", None, Some(Matter::Certificates)),
            ("usr/lib/apk/db/installed", Some(Matter::ApkDatabase), Some(Matter::ApkDatabase)),
        ] {
            let at = TreePath::new(path.as_bytes()).unwrap();
            assert_eq!(matter(&at, &file), by_file, "{path}");
            assert_eq!(matter(&at, &link), by_link, "{path} as a link");
            assert_eq!(matter(&at, &directory), None, "{path} as a directory");
        }
        let lib = TreePath::new(b"lib").unwrap();
        for (target, by_link) in [
            ("usr/lib", None),
            ("/usr/lib", None),
            ("./usr/lib/", None),
            ("opt/x", Some(Matter::ApkDatabase)),
            ("usr/lib/x", Some(Matter::ApkDatabase)),
            ("usr", Some(Matter::ApkDatabase)),
            ("/", Some(Matter::ApkDatabase)),
        ] {
            let link = Entry::new(Node::Symlink { target: target.as_bytes().to_vec() }, Meta::LINK);
            assert_eq!(matter(&lib, &link), by_link, "lib -> {target}");
        }
    }
}
