//! The few effects on the file system that outputs need: make, link, copy, replace, lock.
//!
//! Nothing is ever visible under its final name before it is whole: bytes go into a file without a
//! name, or one of a random name, that is put in place at the end. An existing file is replaced, never written into, so a longer
//! one leaves no tail and a hard link to the store is never edited. Outputs are not flushed to disk:
//! they can be made again, and whoever looks at one compares sizes first.
//!
//! A blob comes from the store by the cheapest way that works: a hard link (not across file systems,
//! not when the kernel protects links to foreign files, not beyond the file system's number of links),
//! else a reflink, else a copy.
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, Mode, OFlags};

use super::FsError;

/// Says whether an output may share files with the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Placement {
    /// Hard links where the file system allows them. They are read-only, and `chown` or an edit in
    /// place would reach the store.
    #[default]
    Link,
    /// Files of their own, always; their blocks are shared where the file system can do that.
    Copy,
}

/// Says how a file came to its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placed {
    /// It was there already.
    Kept,
    /// A hard link was made.
    Linked,
    /// A file of its own was made that shares its blocks.
    Reflinked,
    /// Its bytes were copied.
    Copied,
}

/// How the names of temporary files begin; 16 hex digits follow.
const TEMPORARY: &str = ".dlstore-";
/// How many random bytes are in the name of a temporary file.
const RANDOM: usize = 8;

trait Context<T> {
    fn attempt(self, attempt: &'static str, path: &Path) -> Result<T, FsError>;
}

impl<T, E: Into<io::Error>> Context<T> for Result<T, E> {
    fn attempt(self, attempt: &'static str, path: &Path) -> Result<T, FsError> {
        self.map_err(|source| FsError::new(attempt, path, source))
    }
}

/// Directories that were not there before, the lowest first.
#[derive(Debug)]
pub struct NewDirectories(Vec<PathBuf>);

impl NewDirectories {
    /// Makes a directory and those above it. Where that fails, those that were made go again.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn make(path: &Path) -> Result<Self, FsError> {
        let is_missing = |one: &&Path| !one.as_os_str().is_empty() && one.symlink_metadata().is_err();
        let new = Self(path.ancestors().take_while(is_missing).map(Path::to_owned).collect());
        match fs::create_dir_all(path).attempt("make the directory", path) {
            Ok(()) => Ok(new),
            Err(error) => {
                new.remove();
                Err(error)
            }
        }
    }

    /// Says whether a directory is one of them.
    #[must_use]
    pub fn has(&self, path: &Path) -> bool {
        self.0.iter().any(|new| new == path)
    }

    /// Removes those that nothing is in.
    pub fn remove(&self) {
        for path in &self.0 {
            // What somebody put something into stays.
            let _ = fs::remove_dir(path);
        }
    }
}

/// A directory that one process at a time writes into.
#[derive(Debug)]
pub struct LockedDirectory {
    /// Unlocked when it is closed; `None` on file systems that lock no directories.
    _lock: Option<File>,
}

impl LockedDirectory {
    /// Waits for the directory, then removes what killed processes left in it.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn new(path: &Path) -> Result<Self, FsError> {
        let file = File::open(path).attempt("open the directory", path)?;
        // NFS locks only what is open for writing, and a directory never is: there, two processes that
        // write one layout at the same moment may each lose the other's tags, but nothing is torn.
        let lock = file.lock().is_ok().then_some(file);
        if lock.is_some() {
            for entry in fs::read_dir(path).attempt("list", path)?.flatten() {
                if is_leftover(&entry) {
                    let _ = fs::remove_file(entry.path());
                }
            }
        }
        Ok(Self { _lock: lock })
    }
}

/// Says whether this is a temporary file of a process that was killed: a regular file of our own user with a
/// name that only [`with_new_name`] gives. The directory is the user's, and so is every other name in it.
fn is_leftover(entry: &fs::DirEntry) -> bool {
    let name = entry.file_name();
    let is_hex = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let has_name = name
        .as_encoded_bytes()
        .strip_prefix(TEMPORARY.as_bytes())
        .is_some_and(|random| random.len() == 2 * RANDOM && random.iter().all(is_hex));
    // The entry's own metadata: links are not followed.
    has_name
        && entry.metadata().is_ok_and(|found| found.is_file() && found.uid() == rustix::process::geteuid().as_raw())
}

/// A file that is not there yet: without a name where the file system can do that, so that a killed
/// process leaves nothing; else under a temporary name that goes when it is dropped.
#[derive(Debug)]
pub struct Temporary {
    directory: PathBuf,
    file: File,
    name: Option<PathBuf>,
}

impl Temporary {
    /// Opens a new file in `directory`, 0644 less the process's umask.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new(directory: &Path) -> Result<Self, FsError> {
        let open = |path: &Path| OpenOptions::new().write(true).create_new(true).mode(0o644).open(path);
        let (name, file) = if let Some(file) = open_nameless(directory) {
            (None, file)
        } else {
            let (path, file) = with_new_name(directory, open)?;
            (Some(path), file)
        };
        Ok(Self { directory: directory.to_owned(), file, name })
    }

    /// Gives the open file.
    pub fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Puts the file where it belongs, in place of what was there.
    ///
    /// # Errors
    /// When it cannot be named so; what was there stays, and the temporary file goes.
    pub fn publish(mut self, target: &Path) -> Result<(), FsError> {
        if self.name.is_none() {
            match name_file(&self.file, target) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                named => return named.attempt("write", target),
            }
            let (name, ()) = with_new_name(&self.directory, |path| name_file(&self.file, path))?;
            self.name = Some(name);
        }
        match &self.name {
            Some(name) => fs::rename(name, target).attempt("write", target),
            None => Ok(()),
        }
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            // After `publish` it is gone already.
            let _ = fs::remove_file(name);
        }
    }
}

/// Opens a file without a name (`O_TMPFILE`, open(2)); `None` where there is no such thing, or no
/// `/proc` to name it by later.
fn open_nameless(directory: &Path) -> Option<File> {
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    let file = rustix::fs::open(directory, flags, Mode::from_raw_mode(0o644)).ok()?;
    rustix::fs::access(by_descriptor(&file), Access::EXISTS).ok()?;
    Some(file.into())
}

fn name_file(file: &File, path: &Path) -> io::Result<()> {
    Ok(rustix::fs::linkat(CWD, by_descriptor(file), CWD, path, AtFlags::SYMLINK_FOLLOW)?)
}

fn by_descriptor(file: &impl AsRawFd) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

/// Writes a small file whole, with `directory` (on the same file system) for its temporary name.
///
/// # Errors
/// When it cannot be written.
pub fn write(directory: &Path, target: &Path, bytes: &[u8]) -> Result<(), FsError> {
    let mut temporary = Temporary::new(directory)?;
    temporary.file().write_all(bytes).attempt("write", target)?;
    temporary.publish(target)
}

/// Says whether `target` is a regular file of that size, and one of its own when that is asked for.
#[must_use]
pub fn is_placed(target: &Path, size: u64, placement: Placement) -> bool {
    fs::symlink_metadata(target).is_ok_and(|found| {
        found.is_file() && found.len() == size && (placement == Placement::Link || found.nlink() == 1)
    })
}

/// Makes `target` a link to `source` in place of what is there; `false` when that is not possible here.
#[must_use]
pub fn link_over(directory: &Path, source: &Path, target: &Path) -> bool {
    link(directory, source, target)
}

/// Removes an output that turned out bad.
///
/// # Errors
/// When it stays.
pub fn remove(target: &Path) -> Result<(), FsError> {
    match fs::remove_file(target) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(FsError::new("remove", target, error)),
        _ => Ok(()),
    }
}

/// Brings the file `source` to `target`, in place of what is there, with `directory` for temporary names.
///
/// # Errors
/// When the file cannot be read or written.
pub fn replace(directory: &Path, source: &Path, target: &Path, placement: Placement) -> Result<Placed, FsError> {
    if placement == Placement::Link && link(directory, source, target) {
        return Ok(Placed::Linked);
    }
    let mut from = File::open(source).attempt("read", source)?;
    let mut temporary = Temporary::new(directory)?;
    let placed = if rustix::fs::ioctl_ficlone(temporary.file(), &from).is_ok() {
        Placed::Reflinked
    } else {
        io::copy(&mut from, temporary.file()).attempt("write", target)?;
        Placed::Copied
    };
    temporary.publish(target)?;
    Ok(placed)
}

/// Makes a hard link, in place of what was there; `false` when that is not possible here.
fn link(directory: &Path, source: &Path, target: &Path) -> bool {
    match fs::hard_link(source, target) {
        Ok(()) => true,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let Ok((path, ())) = with_new_name(directory, |path| fs::hard_link(source, path)) else { return false };
            let renamed = fs::rename(&path, target).is_ok();
            // A rename between two names of one file does nothing (rename(2)): the name would stay.
            let _ = fs::remove_file(&path);
            renamed
        }
        Err(_) => false,
    }
}

/// Makes something under a name that nobody has.
fn with_new_name<T>(directory: &Path, make: impl Fn(&Path) -> io::Result<T>) -> Result<(PathBuf, T), FsError> {
    loop {
        let mut random = [0; RANDOM];
        rustix::rand::getrandom(&mut random[..], rustix::rand::GetRandomFlags::empty())
            .attempt("find a name in", directory)?;
        let path = directory.join(format!("{TEMPORARY}{}", dlstore_model::digest::to_hex(&random)));
        match make(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            outcome => return outcome.map(|made| (path.clone(), made)).attempt("write", &path),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Place {
        directory: tempfile::TempDir,
        source: PathBuf,
        target: PathBuf,
    }

    fn a_place() -> Place {
        let directory = tempfile::tempdir().unwrap();
        let [source, target] = ["source", "target"].map(|name| directory.path().join(name));
        fs::write(&source, b"bytes").unwrap();
        Place { directory, source, target }
    }

    impl Place {
        fn place(&self, placement: Placement) -> Placed {
            replace(self.directory.path(), &self.source, &self.target, placement).unwrap()
        }
        fn is_shared(&self) -> bool {
            fs::metadata(&self.source).unwrap().ino() == fs::metadata(&self.target).unwrap().ino()
        }
        /// Everything is as it should be, and no temporary file is left.
        fn check(&self) {
            assert_eq!(fs::read(&self.target).unwrap(), b"bytes");
            assert_eq!(fs::read_dir(self.directory.path()).unwrap().count(), 2);
        }
    }

    #[test]
    fn a_blob_is_linked_however_often() {
        let place = a_place();
        assert_eq!(place.place(Placement::Link), Placed::Linked);
        assert_eq!(place.place(Placement::Link), Placed::Linked);
        assert!(place.is_shared());
        place.check();
    }

    #[test]
    fn a_longer_file_is_replaced_and_not_written_into() {
        for placement in [Placement::Link, Placement::Copy] {
            let place = a_place();
            let other = place.directory.path().join("target");
            fs::write(&other, b"a longer file").unwrap();
            let held = File::open(&other).unwrap();
            assert_ne!(place.place(placement), Placed::Kept);
            place.check();
            assert_eq!(io::read_to_string(held).unwrap(), "a longer file");
        }
    }

    #[test]
    fn a_copy_shares_nothing_and_takes_the_place_of_a_link() {
        let place = a_place();
        place.place(Placement::Link);
        assert!(matches!(place.place(Placement::Copy), Placed::Copied | Placed::Reflinked));
        assert!(!place.is_shared());
        assert!(is_placed(&place.target, 5, Placement::Copy));
        place.check();
    }

    #[test]
    fn a_file_with_a_temporary_name_is_published_as_well() {
        let place = a_place();
        for bytes in [&b"a longer one"[..], b"bytes"] {
            let (path, file) = with_new_name(place.directory.path(), |path| File::create_new(path)).unwrap();
            let directory = place.directory.path().to_owned();
            let mut named = Temporary { directory: directory.clone(), file, name: Some(path) };
            named.file().write_all(bytes).unwrap();
            named.publish(&place.target).unwrap();
            write(&directory, &place.target, bytes).unwrap();
        }
        drop(Temporary::new(place.directory.path()).unwrap());
        place.check();
    }

    #[test]
    fn directories_that_were_made_go_again_where_nothing_is_in_them() {
        let above = tempfile::tempdir().unwrap();
        let at = |name: &str| above.path().join(name);
        let new = NewDirectories::make(&at("a/b/c")).unwrap();
        assert!(new.has(&at("a")) && new.has(&at("a/b/c")) && !new.has(above.path()));
        fs::write(at("a/own"), b"").unwrap();
        new.remove();
        assert_eq!((at("a/b").exists(), at("a/own").exists()), (false, true));
        // One that was there is nobody's to remove, and one that cannot be made leaves none.
        NewDirectories::make(&at("a")).unwrap().remove();
        assert!(at("a").exists());
        let name = "x".repeat(300);
        NewDirectories::make(&at("d/e").join(name)).unwrap_err();
        assert!(!at("d").exists());
    }

    #[test]
    fn a_directory_in_the_way_is_an_error_and_leaves_nothing() {
        let place = a_place();
        fs::create_dir(&place.target).unwrap();
        fs::write(place.target.join("x"), b"").unwrap();
        assert!(write(place.directory.path(), &place.target, b"bytes").is_err());
        assert_eq!(fs::read_dir(place.directory.path()).unwrap().count(), 2);
    }

    #[test]
    fn across_file_systems_a_link_becomes_a_copy() {
        let place = a_place();
        let Ok(elsewhere) = tempfile::tempdir_in("/dev/shm") else { return };
        if fs::metadata(elsewhere.path()).unwrap().dev() == fs::metadata(place.directory.path()).unwrap().dev() {
            return;
        }
        let target = elsewhere.path().join("target");
        assert_eq!(super::replace(elsewhere.path(), &place.source, &target, Placement::Link).unwrap(), Placed::Copied);
        assert_eq!(fs::read(target).unwrap(), b"bytes");
    }

    #[test]
    fn a_lock_removes_leftovers_and_nothing_that_is_the_users() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let (leftover, _) = with_new_name(directory.path(), |path| File::create_new(path)).unwrap();
        let kept = [
            ".dlstore-0123",
            ".dlstore-0123456789ABCDEF",
            ".dlstore-0123456789abcdef0",
            ".dlstore-notes",
            ".dlstore-notes-notes-xx",
            "index.json",
        ];
        for name in kept {
            fs::write(at(name), b"").unwrap();
        }
        fs::create_dir(at(".dlstore-00000000000000aa")).unwrap();
        std::os::unix::fs::symlink("index.json", at(".dlstore-00000000000000bb")).unwrap();
        let is_root = rustix::process::geteuid().is_root();
        if is_root {
            fs::write(at(".dlstore-00000000000000cc"), b"").unwrap();
            std::os::unix::fs::chown(at(".dlstore-00000000000000cc"), Some(4711), None).unwrap();
        }
        let lock = LockedDirectory::new(directory.path()).unwrap();
        assert!(!leftover.exists());
        assert!(kept.iter().all(|name| at(name).exists()));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), kept.len() + 2 + usize::from(is_root));
        assert!(File::open(directory.path()).unwrap().try_lock().is_err());
        drop(lock);
        assert!(File::open(directory.path()).unwrap().try_lock().is_ok());
    }
}
