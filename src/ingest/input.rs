//! What a person names on the command line, turned into a list of things to add.
//!
//! A path is a package by its name's ending, a directory full of packages, or a directory that is itself
//! to be one. A directory counts as full of packages when any `.deb` or `.apk` lies in it or below, or a `.tar` in it
//! itself; then only those are taken. A repository also holds indexes, signatures and sources, and what stands in it
//! beside packages is none of them: `APKINDEX.tar.gz`, `NAME.orig.tar.xz`. A directory in which nothing lies is none of
//! the three. The list is sorted, so the order of a directory never matters.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::IngestError;
use dlstore_formats::package::Format;

/// Deepest nesting of directories that is searched for packages.
const MAX_DEPTH: usize = 16;

/// One thing to add.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Input {
    /// Where it lies.
    pub path: PathBuf,
    /// How it is read.
    pub kind: InputKind,
    /// Bytes of the file (0 for a directory): the largest are begun first.
    pub size: u64,
}

/// How a thing to add is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum InputKind {
    /// A package file of this format.
    Package(Format),
    /// A directory that becomes a package.
    Directory,
}

/// Says which format a file name stands for.
#[must_use]
pub fn format_of(name: &OsStr) -> Option<Format> {
    let name = name.as_bytes();
    let ends = |ending: &str| name.ends_with(ending.as_bytes());
    if ends(".deb") || ends(".udeb") {
        Some(Format::Deb)
    } else if ends(".apk") {
        Some(Format::Apk)
    } else if [".tar", ".tar.gz", ".tar.xz", ".tar.zst", ".tar.bz2"].into_iter().any(ends) {
        Some(Format::Tar)
    } else {
        None
    }
}

/// Turns paths into things to add, sorted, each once. An empty directory gives none.
///
/// # Errors
/// When a path does not exist, cannot be read, or is nothing that can be added.
pub fn collect(paths: &[PathBuf]) -> Result<Vec<Input>, IngestError> {
    let mut inputs = Vec::new();
    for path in paths {
        let meta = fs::metadata(path).map_err(|source| IngestError::Read { path: path.clone(), source })?;
        if meta.is_dir() {
            let before = inputs.len();
            search(path, 0, &mut inputs)?;
            if inputs.len() == before && !is_empty(path)? {
                inputs.push(Input { path: path.clone(), kind: InputKind::Directory, size: 0 });
            }
        } else if let Some(format) = path.file_name().and_then(format_of) {
            inputs.push(Input { path: path.clone(), kind: InputKind::Package(format), size: meta.len() });
        } else {
            return Err(IngestError::Unknown(path.clone()));
        }
    }
    inputs.sort();
    inputs.dedup();
    Ok(inputs)
}

fn search(directory: &Path, depth: usize, inputs: &mut Vec<Input>) -> Result<(), IngestError> {
    let failed = |source| IngestError::Read { path: directory.to_owned(), source };
    for item in fs::read_dir(directory).map_err(failed)? {
        let item = item.map_err(failed)?;
        let kind = item.file_type().map_err(failed)?;
        let path = item.path();
        if kind.is_dir() && depth < MAX_DEPTH {
            search(&path, depth + 1, inputs)?;
        } else if let Some(format) = format_of(&item.file_name())
            && (format != Format::Tar || depth == 0 && !is_beside_packages(&item.file_name()))
            && let Ok(meta) = fs::metadata(&path)
            && meta.is_file()
        {
            inputs.push(Input { path, kind: InputKind::Package(format), size: meta.len() });
        }
    }
    Ok(())
}

fn is_empty(directory: &Path) -> Result<bool, IngestError> {
    let failed = |source| IngestError::Read { path: directory.to_owned(), source };
    Ok(fs::read_dir(directory).map_err(failed)?.next().is_none())
}

/// Says whether an archive is what a repository has beside its packages: Alpine's index, or one of the parts of a source
/// package of Debian (`dsc(5)`).
fn is_beside_packages(name: &OsStr) -> bool {
    let name = name.as_bytes();
    let has = |part: &[u8]| name.windows(part.len()).any(|window| window == part);
    name.starts_with(b"APKINDEX.") || [b".orig.tar".as_slice(), b".orig-", b".debian.tar"].into_iter().any(has)
}

/// Gives the part of a package's key that its bytes do not say: the name of a plain tar.
pub(super) fn given_name(format: Format, file_name: &str) -> &str {
    match format {
        Format::Tar => file_name.rsplit_once(".tar").map_or(file_name, |(name, _)| name),
        Format::Deb | Format::Apk => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_of_packages_gives_its_packages_and_another_one_itself() {
        let directory = tempfile::tempdir().unwrap();
        let repository = directory.path().join("repo/x86_64");
        let plain = directory.path().join("plain");
        fs::create_dir_all(&repository).unwrap();
        fs::create_dir_all(&plain).unwrap();
        for name in ["b.apk", "a.deb", "APKINDEX.tar.gz", "notes.txt"] {
            fs::write(repository.join(name), name).unwrap();
        }
        fs::write(plain.join("hello"), "x").unwrap();
        let found = collect(&[directory.path().join("repo"), plain.clone(), repository.join("a.deb")]).unwrap();
        let kinds: Vec<_> = found.iter().map(|input| (input.path.clone(), input.kind)).collect();
        assert_eq!(
            kinds,
            [
                (plain, InputKind::Directory),
                (repository.join("a.deb"), InputKind::Package(Format::Deb)),
                (repository.join("b.apk"), InputKind::Package(Format::Apk)),
            ]
        );
        assert!(collect(&[repository.join("notes.txt")]).is_err());
        assert_eq!(collect(&[repository.parent().unwrap().join("x86_64")]).unwrap().len(), 2);
        assert!(collect(&[directory.path().join("absent")]).is_err());
    }
}
