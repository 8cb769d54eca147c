//! Names in archives and layers, as all tools spell them: `./a`, `/a`, `a/`, `a//b`.
//!
//! They come to one [`TreePath`] or to an error. No `..` is ever followed up out of anything, so what a name says is
//! below the top of its archive or rootfs.

use dlstore_model::path::{PathError, TreePath};

/// Takes a name; the top itself is `None`.
///
/// # Errors
/// When it has a component that no path can have: `..`, a NUL byte, `.wh.`, one that is too long.
pub(super) fn of(written: &[u8]) -> Result<Option<TreePath>, PathError> {
    let parts: Vec<&[u8]> =
        written.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".").collect();
    match parts.as_slice() {
        [] if written.is_empty() => Err(PathError::Empty),
        [] => Ok(None),
        parts => TreePath::new(&parts.join(&b'/')).map(Some),
    }
}

/// Follows a link from where it stands; `None` when it leads above the top, or to it.
pub(super) fn beside(link: &TreePath, target: &[u8]) -> Option<TreePath> {
    let mut parts: Vec<&[u8]> = link.components().collect();
    parts.pop();
    if target.starts_with(b"/") {
        return None;
    }
    for part in target.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop()?),
            name => parts.push(name),
        }
    }
    TreePath::new(&parts.join(&b'/')).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_come_to_one_path_and_none_leads_upwards() {
        for written in ["a/b", "./a/b", "/a/b", "a//b/", "a/./b", "//a/b"] {
            assert_eq!(of(written.as_bytes()).unwrap().unwrap().as_bytes(), b"a/b", "{written}");
        }
        for top in ["/", ".", "./", "//."] {
            assert_eq!(of(top.as_bytes()), Ok(None), "{top}");
        }
        for bad in ["", "..", "a/../b", "/../a", "a/.wh.b/c", "a\0b"] {
            assert!(of(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn links_of_archives_stay_inside() {
        let link = TreePath::new(b"one/layer.tar").unwrap();
        assert_eq!(beside(&link, b"../two/layer.tar"), TreePath::new(b"two/layer.tar").ok());
        for out in [&b"../../x"[..], b"/etc/passwd", b".."] {
            assert_eq!(beside(&link, out), None, "{out:?}");
        }
        assert_eq!(beside(&link, b""), TreePath::new(b"one").ok());
    }
}
