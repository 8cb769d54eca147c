//! Paths inside a tree: raw bytes, validated once.
//!
//! A [`TreePath`] is relative to the root of an image, has no leading or trailing slash, and each of
//! its components is an *entry name*: not empty, not `.` or `..`, without `/` and NUL, and not
//! beginning with `.wh.` (such a name would delete files of lower layers when a runtime unpacks it;
//! OCI image specification, layer.md, "Whiteouts"). Names are bytes: real packages ship names that
//! are not ASCII, and nothing says that they are UTF-8.
//!
//! The order is bytewise over the whole path, so a directory always comes before what it holds.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// Longest path that is accepted: Linux's own `PATH_MAX`.
pub const MAX_PATH: usize = 4096;
/// Longest component that is accepted: `NAME_MAX` of every Linux file system.
pub const MAX_NAME: usize = 255;

/// Tells why bytes are not a path inside a tree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// The path is the root itself, or nothing.
    #[error("the path is empty")]
    Empty,
    /// The path begins with a slash where only relative ones are allowed.
    #[error("the path {0} is absolute")]
    Absolute(Shown),
    /// A component is `..`.
    #[error("the path {0} leads outside")]
    Parent(Shown),
    /// A component is empty or `.`, or holds NUL.
    #[error("the path {0} has an empty component, \".\" or a NUL byte in it")]
    Component(Shown),
    /// A component begins with `.wh.`.
    #[error("the path {0} has a whiteout name (\".wh.\"), which would delete files of lower layers")]
    Whiteout(Shown),
    /// The path or one of its components is too long.
    #[error("the path {0} is too long")]
    Long(Shown),
}

/// Foreign bytes made printable: control characters and bad UTF-8 are escaped, long ones cut.
#[derive(Clone, PartialEq, Eq)]
pub struct Shown(pub Vec<u8>);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::escape::Escaped::bytes(&self.0).fmt(f)
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A validated path inside a tree. Copies share their bytes: a tree and what is selected of it are
/// many, and their paths the same.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TreePath(Arc<[u8]>);

/// Its order and its hash are those of its bytes.
impl Borrow<[u8]> for TreePath {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl TreePath {
    /// Takes a path that is already in canonical form: no `./`, no trailing slash.
    ///
    /// # Errors
    /// When a rule of this module is broken.
    pub fn new(bytes: &[u8]) -> Result<Self, PathError> {
        check(bytes)?;
        Ok(Self(bytes.into()))
    }

    /// Takes a path as archives write it: leading `./` and trailing slashes are removed. The root
    /// itself (`./`, `.`) is `None`.
    ///
    /// # Errors
    /// When a rule of this module is broken, an absolute path among them.
    pub fn from_archive(bytes: &[u8]) -> Result<Option<Self>, PathError> {
        let mut rest = bytes;
        if rest.is_empty() {
            return Err(PathError::Empty);
        }
        while let Some(shorter) = rest.strip_prefix(b"./") {
            rest = shorter;
        }
        while let Some(shorter) = rest.strip_suffix(b"/") {
            if shorter.is_empty() {
                return Err(PathError::Absolute(Shown(bytes.to_vec())));
            }
            rest = shorter;
        }
        if rest.is_empty() || rest == b"." {
            return Ok(None);
        }
        Self::new(rest).map(Some)
    }

    /// Takes a path as people write it in a definition: with its leading slash.
    ///
    /// # Errors
    /// When a rule of this module is broken, or when the leading slash is missing.
    pub fn from_absolute(text: &str) -> Result<Self, PathError> {
        let rest = text.strip_prefix('/').ok_or_else(|| PathError::Component(Shown(text.as_bytes().to_vec())))?;
        Self::new(rest.strip_suffix('/').unwrap_or(rest).as_bytes())
    }

    /// Gives the raw bytes, without a leading slash.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Gives the components, outermost first.
    #[must_use]
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.0.split(|byte| *byte == b'/')
    }

    /// Gives the last component.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        let start = self.0.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
        &self.0[start..]
    }

    /// Gives the directory that holds this path, or `None` when that is the root.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        let end = self.0.iter().rposition(|byte| *byte == b'/')?;
        Some(Self(self.0[..end].into()))
    }

    /// Gives the directories that hold this path, outermost first, without the root.
    pub fn ancestors(&self) -> impl Iterator<Item = Self> + '_ {
        self.0.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| Self(self.0[..at].into()))
    }

    /// Says whether `self` lies somewhere below the directory `other`.
    #[must_use]
    pub fn is_below(&self, other: &Self) -> bool {
        self.0.len() > other.0.len() && self.0[other.0.len()] == b'/' && self.0.starts_with(&other.0)
    }

    /// Appends a relative path.
    ///
    /// # Errors
    /// When the joined path is too long or `below` breaks a rule.
    pub fn join(&self, below: &[u8]) -> Result<Self, PathError> {
        let mut bytes = Vec::with_capacity(self.0.len() + 1 + below.len());
        bytes.extend_from_slice(&self.0);
        bytes.push(b'/');
        bytes.extend_from_slice(below);
        Self::new(&bytes)
    }

    /// Follows a symbolic link's target as a process inside the image would, but lexically: from
    /// the directory that holds `self`, or from the root when the target is absolute. `..` at the root
    /// stays at the root (`path_resolution(7)`). `None` is the root itself.
    #[must_use]
    pub fn resolve_target(&self, target: &[u8]) -> Option<Self> {
        let mut parts: Vec<&[u8]> = if target.starts_with(b"/") {
            Vec::new()
        } else {
            let mut own: Vec<&[u8]> = self.components().collect();
            own.pop();
            own
        };
        for part in target.split(|byte| *byte == b'/') {
            match part {
                b"" | b"." => {}
                b".." => {
                    parts.pop();
                }
                name => parts.push(name),
            }
        }
        let joined = parts.join(&b'/');
        Self::new(&joined).ok()
    }
}

fn check(bytes: &[u8]) -> Result<(), PathError> {
    let shown = || Shown(bytes.to_vec());
    if bytes.is_empty() {
        return Err(PathError::Empty);
    }
    if bytes[0] == b'/' {
        return Err(PathError::Absolute(shown()));
    }
    if bytes.len() >= MAX_PATH {
        return Err(PathError::Long(shown()));
    }
    for name in bytes.split(|byte| *byte == b'/') {
        match name {
            b".." => return Err(PathError::Parent(shown())),
            b"" | b"." => return Err(PathError::Component(shown())),
            _ if name.contains(&0) => return Err(PathError::Component(shown())),
            _ if name.starts_with(b".wh.") => return Err(PathError::Whiteout(shown())),
            _ if name.len() > MAX_NAME => return Err(PathError::Long(shown())),
            _ => {}
        }
    }
    Ok(())
}

impl fmt::Display for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("/")?;
        crate::escape::Escaped::whole(&self.0).fmt(f)
    }
}

impl fmt::Debug for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archive_spellings_come_to_one_path() {
        for (written, read) in [("./a/b", "a/b"), ("a/b/", "a/b"), ("././a//", "a"), ("a", "a")] {
            assert_eq!(TreePath::from_archive(written.as_bytes()).unwrap().unwrap().as_bytes(), read.as_bytes());
        }
        assert_eq!(TreePath::from_archive(b"./"), Ok(None));
        assert_eq!(TreePath::from_archive(b"."), Ok(None));
    }

    #[test]
    fn what_leads_outside_or_hides_something_is_refused() {
        for bad in ["", "/", "/etc", "..", "a/../b", "a//b", "a/./b", "a\0b", ".wh.a", "a/.wh..wh..opq"] {
            assert!(TreePath::from_archive(bad.as_bytes()).is_err(), "{bad:?}");
        }
        assert!(TreePath::new(&vec![b'a'; 256]).is_err());
        assert!(TreePath::new(&[b'a'; 255]).is_ok());
    }

    #[test]
    fn targets_are_followed_from_their_directory_or_the_root() {
        let link = TreePath::new(b"usr/lib/x").unwrap();
        let to = |target: &[u8]| link.resolve_target(target).map(|path| path.to_string());
        assert_eq!(to(b"y"), Some("/usr/lib/y".into()));
        assert_eq!(to(b"../share/../y"), Some("/usr/y".into()));
        assert_eq!(to(b"/etc/y"), Some("/etc/y".into()));
        assert_eq!(to(b"../../../../y"), Some("/y".into()));
        assert_eq!(to(b"/"), None);
    }

    #[test]
    fn a_directory_comes_before_what_it_holds() {
        let mut paths: Vec<_> = ["a/b", "a-b", "a", "a/b/c"].map(|p| TreePath::new(p.as_bytes()).unwrap()).into();
        paths.sort();
        assert_eq!(paths.iter().map(ToString::to_string).collect::<Vec<_>>(), ["/a", "/a-b", "/a/b", "/a/b/c"]);
        assert!(paths[3].is_below(&paths[0]) && !paths[1].is_below(&paths[0]));
    }
}
