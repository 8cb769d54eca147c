//! What lies in directories: lists and pictures of them to compare, and files that are damaged on purpose.
//!
//! Nothing here knows what a store or a layout is. Lists are sorted, because directories are not.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

/// Bytes as lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes everything");
        text
    })
}

/// The SHA-256 of bytes, as hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Names in a directory, none when it is not there.
pub fn names(directory: &Path) -> Vec<String> {
    let Ok(items) = fs::read_dir(directory) else { return Vec::new() };
    let mut names: Vec<String> = items.map(|item| item.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Paths of what is in a directory.
pub fn paths(directory: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(directory).unwrap().map(|item| item.unwrap().path()).collect();
    paths.sort();
    paths
}

/// Everything below a directory that is no directory itself, links not followed.
pub fn below(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in paths(directory) {
        if fs::symlink_metadata(&path).unwrap().is_dir() {
            found.extend(below(&path));
        } else {
            found.push(path);
        }
    }
    found
}

/// Files below a directory whose names end in a dot and this.
pub fn with_extension(directory: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = below(directory);
    found.retain(|path| path.extension().is_some_and(|own| own == extension));
    found
}

/// Everything below a directory: kind and mode, size and content of each path.
pub fn snapshot(directory: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(next) = directories.pop() {
        for path in paths(&next) {
            let meta = fs::symlink_metadata(&path).unwrap();
            let content = if meta.is_dir() {
                directories.push(path.clone());
                String::new()
            } else if meta.is_symlink() {
                fs::read_link(&path).unwrap().display().to_string()
            } else if meta.is_file() {
                sha256(&fs::read(&path).unwrap())
            } else {
                "special".into()
            };
            found.insert(path.strip_prefix(directory).unwrap().to_owned(), format!("{:o} {content}", meta.mode()));
        }
    }
    found
}

/// Overwrites a file, whatever its mode, which stays.
pub fn rewrite(path: &Path, bytes: &[u8]) {
    let mode = fs::metadata(path).unwrap().permissions();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path, mode).unwrap();
}

/// Flips the lowest bit in the middle of a file, whose mode stays.
pub fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    rewrite(path, &bytes);
}

/// Flips a bit, and gives the file its time back.
pub fn flip_in_silence(path: &Path) {
    let time = fs::metadata(path).unwrap().modified().unwrap();
    flip(path);
    fs::File::open(path).unwrap().set_modified(time).unwrap();
}
