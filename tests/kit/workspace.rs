//! Where the workspace lies, and what lies beside it.
//!
//! `CARGO_MANIFEST_DIR` is the directory of the crate under test, which is not that of the workspace once
//! a crate lies below it. A test that builds a path on it and skips what is absent would then skip in
//! silence. So nobody builds one: the root is searched for, and what must be there is.

use std::path::{Path, PathBuf};

/// Gives the directory of the workspace.
#[track_caller]
pub fn root() -> PathBuf {
    let from = Path::new(env!("CARGO_MANIFEST_DIR"));
    let is_workspace = |directory: &&Path| {
        std::fs::read_to_string(directory.join("Cargo.toml")).is_ok_and(|text| text.contains("[workspace]"))
    };
    from.ancestors().find(is_workspace).expect("a workspace lies above every crate").to_owned()
}

/// Gives a file or directory of the workspace, which must be there.
#[track_caller]
pub fn own(path: &str) -> PathBuf {
    let found = root().join(path);
    assert!(found.exists(), "{} is not there: the path in the test is wrong", found.display());
    found
}

/// Gives a file or directory of `../shared`, where big inputs and foreign programs lie. When all of
/// `../shared` is absent the test says what it skips; when only this path is, the test is wrong.
#[track_caller]
pub fn shared(path: &str) -> Option<PathBuf> {
    let shared = root().parent().expect("a workspace has a directory above it").join("shared");
    if !shared.exists() {
        eprintln!("skipped: {} is absent, and {path} with it", shared.display());
        return None;
    }
    let found = shared.join(path);
    assert!(found.exists(), "{} is not there: the path in the test is wrong", found.display());
    Some(found)
}
