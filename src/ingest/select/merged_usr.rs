//! usr-merge: the links at the root of an image that lead into `/usr`.
//!
//! A distribution with merged `/usr` has `bin -> usr/bin`, `sbin -> usr/sbin`, `lib -> usr/lib` and
//! on some machines `lib64 -> usr/lib64`, shipped by one package, while others may still ship files
//! below `/lib`. Those files land in `/usr/lib`: these links, and no others, are followed when paths
//! are resolved. Where the fix-up makes directories of `/lib` and `/lib64` (it says why), the packages' links
//! of these names are left out. A directory of that name in a layer would hide the link of a lower layer, so it becomes
//! the directory that the link leads to.

use std::collections::BTreeSet;

use dlstore_formats::package::Format;
use dlstore_model::arch::Arch;
use dlstore_model::digest::KeyBuilder;
use dlstore_model::path::TreePath;
use dlstore_model::tree::{Entry, Node, Tree};

/// Names at the root that may be usr-merge links.
pub const NAMES: [&str; 7] = ["bin", "sbin", "lib", "lib32", "lib64", "libo32", "libx32"];

/// The usr-merge names of one root.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct MergedUsr {
    names: BTreeSet<&'static str>,
    /// Says whether the fix-up makes directories of `/lib` and its like, in place of packages' links.
    makes_directories: bool,
}

impl MergedUsr {
    /// Gives the links that a root of this format usually has: what `add` predicts with.
    #[must_use]
    pub fn usual(format: Format, arch: Option<Arch>) -> Self {
        match format {
            Format::Deb => {
                let mut names = BTreeSet::from(["bin", "sbin", "lib"]);
                if matches!(arch, Some(Arch::Amd64 | Arch::Ppc64le)) {
                    names.insert("lib64");
                }
                Self { names, makes_directories: true }
            }
            Format::Apk | Format::Tar => Self::default(),
        }
    }

    /// Finds the links in what a root is made of.
    pub fn of<'t>(trees: impl IntoIterator<Item = &'t Tree>) -> Self {
        let mut names = BTreeSet::new();
        for tree in trees {
            for name in NAMES {
                let path = TreePath::new(name.as_bytes()).expect("the names are valid paths");
                if tree.get(&path).is_some_and(|entry| is_link(name, entry)) {
                    names.insert(name);
                }
            }
        }
        Self { names, makes_directories: false }
    }

    /// Adds all that it decides to a key.
    pub fn add_to_key(&self, key: &mut KeyBuilder) {
        key.list(&self.names, |key, name| {
            key.text(name);
        });
        key.number(u64::from(self.makes_directories));
    }

    /// Says whether an entry is a package's own link that the fix-up makes a directory of.
    #[must_use]
    pub fn replaces(&self, path: &TreePath, entry: &Entry) -> bool {
        self.makes_directories
            && path.as_bytes().starts_with(b"lib")
            && self.names.iter().any(|name| name.as_bytes() == path.as_bytes() && is_link(name, entry))
    }

    /// Gives the path where an entry really lands.
    #[must_use]
    pub fn resolve(&self, path: &TreePath, entry: &Entry) -> TreePath {
        let bytes = path.as_bytes();
        let first = bytes.split(|byte| *byte == b'/').next().unwrap_or(bytes);
        let Some(name) = self.names.iter().find(|name| name.as_bytes() == first) else { return path.clone() };
        if first.len() == bytes.len() && is_link(name, entry) {
            return path.clone();
        }
        self.below_usr(path)
    }

    /// Gives the path where a name below such a link really lies.
    #[must_use]
    pub fn resolve_name(&self, path: &TreePath) -> TreePath {
        let bytes = path.as_bytes();
        match bytes.iter().position(|byte| *byte == b'/') {
            Some(end) if self.names.iter().any(|name| name.as_bytes() == &bytes[..end]) => self.below_usr(path),
            _ => path.clone(),
        }
    }

    #[expect(clippy::unused_self, reason = "only a root with links may rewrite paths")]
    fn below_usr(&self, path: &TreePath) -> TreePath {
        let mut moved = b"usr/".to_vec();
        moved.extend_from_slice(path.as_bytes());
        TreePath::new(&moved).unwrap_or_else(|_| path.clone())
    }
}

fn is_link(name: &str, entry: &Entry) -> bool {
    match &entry.node {
        Node::Symlink { target } => {
            let target = target.strip_prefix(b"/").unwrap_or(target);
            target.strip_prefix(b"usr/") == Some(name.as_bytes())
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dlstore_model::tree::Meta;

    #[test]
    fn only_what_lies_below_a_merged_name_moves() {
        let merged = MergedUsr::usual(Format::Deb, Some(Arch::Arm64));
        let directory = Entry::new(Node::Directory, Meta::DIRECTORY);
        let link = Entry::new(Node::Symlink { target: b"usr/lib".to_vec() }, Meta::LINK);
        let to =
            |text: &str, entry: &Entry| merged.resolve(&TreePath::new(text.as_bytes()).unwrap(), entry).to_string();
        assert_eq!(to("lib/x/y", &directory), "/usr/lib/x/y");
        assert_eq!(to("lib", &directory), "/usr/lib");
        assert_eq!(to("lib", &link), "/lib");
        assert_eq!(to("lib64/ld.so", &directory), "/lib64/ld.so");
        assert_eq!(to("library/x", &directory), "/library/x");
        assert_eq!(to("usr/lib/x", &directory), "/usr/lib/x");
    }
}
