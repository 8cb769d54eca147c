//! The directories that `ldconfig` searches, in order: those of `ld.so.conf`, then the built-in ones.
//!
//! The file has one directory on each line, spelled as it will stand in the cache; `#` begins a comment
//! anywhere; `include` takes patterns, whose matches are read in bytewise order at that place. The
//! built-in directories are Debian's: the multiarch ones first. There is no quoting and no error: what does
//! not exist is passed over, as `ldconfig` does (elf/ldconfig.c, `parse_conf`).
//!
//! How much is read is decided by packages, so all of it is bounded, and a bound that is met is an error:
//! a cache that lacks directories without a word is one with which programs do not start. A file is read once
//! for each directory that it is reached through, for what it adds a second time changes nothing (the scan
//! takes each directory once); so links in a circle and includes in a circle end by themselves.

use std::collections::{BTreeMap, BTreeSet};

use crate::rootfs::View;
use crate::rootfs::view::Found;
use dlstore_model::arch::Arch;
use dlstore_model::path::{MAX_PATH, TreePath};

/// How deep includes may nest. `ldconfig` has no limit but that of open files; Debian nests once.
const MAX_DEPTH: usize = 16;
/// How many files are read, `ld.so.conf` among them. Debian has three.
const MAX_FILES: usize = 1024;
/// Most directories that are taken: each is looked through for every library that a program of the image
/// names, by the loader too where the cache has none. Debian has four, CUDA adds two.
const MAX_DIRECTORYS: usize = 64;

/// Tells what of a root is more than is looked at: it is no list of libraries, but a way to keep others
/// busy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TooMuch {
    /// Directories of the configuration.
    #[error("/etc/ld.so.conf and what it includes name more than {0} directories")]
    Directories(usize),
    /// Files of the configuration.
    #[error("/etc/ld.so.conf includes more than {0} files")]
    Files(usize),
    /// Includes within includes.
    #[error("the includes of /etc/ld.so.conf are nested more than {0} deep")]
    Depth(usize),
    /// Steps of all look-ups.
    #[error("searching the directories of /etc/ld.so.conf takes too many lookups")]
    Steps,
}

/// Lists the directories, as spelled: those of the configuration, each spelling once, then the built-in ones.
pub(crate) fn directories(arch: Arch, view: &View<'_>) -> Result<Vec<Vec<u8>>, TooMuch> {
    let mut reader = Reader { view, directories: Vec::new(), spelled: BTreeSet::new(), read: BTreeSet::new() };
    reader.parse(b"/etc/ld.so.conf", 0)?;
    let triplet = arch.triplet();
    for directory in [format!("/lib/{triplet}"), format!("/usr/lib/{triplet}"), "/lib".into(), "/usr/lib".into()] {
        reader.directories.push(directory.into_bytes());
    }
    Ok(reader.directories)
}

/// What a line of the configuration says.
enum Line<'t> {
    /// Patterns of files that are read at this place.
    Include(&'t [u8]),
    /// A directory, as spelled.
    Directory(&'t [u8]),
    /// Nothing: a comment, or what loaders no longer look at.
    Nothing,
}

fn lines(text: &[u8]) -> impl Iterator<Item = Line<'_>> {
    text.split(|byte| *byte == b'\n').map(|line| {
        let line = line.split(|byte| matches!(byte, b'#' | 0)).next().unwrap_or_default();
        let line = &line[line.iter().position(|byte| !is_space(*byte)).unwrap_or(line.len())..];
        let is_blank = |at: usize| matches!(line.get(at), Some(b' ' | b'\t'));
        if line.starts_with(b"include") && is_blank(7) {
            return Line::Include(&line[8..]);
        }
        let is_hwcap = line.get(..5).is_some_and(|word| word.eq_ignore_ascii_case(b"hwcap")) && is_blank(5);
        let end = line.iter().rposition(|byte| !is_space(*byte)).map_or(0, |at| at + 1);
        let end = line[..end].iter().rposition(|byte| *byte != b'/').map_or(0, |at| at + 1);
        if is_hwcap || end == 0 || end >= MAX_PATH { Line::Nothing } else { Line::Directory(&line[..end]) }
    })
}

fn words(patterns: &[u8]) -> impl Iterator<Item = &[u8]> {
    patterns.split(|byte| matches!(byte, b' ' | b'\t')).filter(|text| !text.is_empty())
}

/// Gives the patterns of the files that a text of the configuration has included.
pub(crate) fn included(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    lines(text).flat_map(|line| words(if let Line::Include(patterns) = line { patterns } else { b"" }))
}

struct Reader<'r, 'a> {
    view: &'r View<'a>,
    directories: Vec<Vec<u8>>,
    /// The same, to tell what is new.
    spelled: BTreeSet<Vec<u8>>,
    /// Files that were read, with the directory that a relative pattern in them is seen from.
    read: BTreeSet<(Option<TreePath>, TreePath)>,
}

impl Reader<'_, '_> {
    fn parse(&mut self, file: &[u8], depth: usize) -> Result<(), TooMuch> {
        let Some(Found::File(real)) = self.view.resolve(file) else { return self.spent() };
        let parent = match self.view.resolve(directory_of(file)) {
            Some(Found::Directory(directory)) => directory,
            _ => None,
        };
        if !self.read.insert((parent, real)) {
            return Ok(());
        }
        if depth > MAX_DEPTH {
            return Err(TooMuch::Depth(MAX_DEPTH));
        }
        if self.read.len() > MAX_FILES {
            return Err(TooMuch::Files(MAX_FILES));
        }
        let Some(text) = self.view.text(file) else { return self.spent() };
        for line in lines(&text) {
            match line {
                Line::Include(patterns) => {
                    for pattern in words(patterns) {
                        self.include(file, pattern, depth)?;
                    }
                }
                Line::Directory(directory) if self.spelled.insert(directory.to_vec()) => {
                    if self.directories.len() == MAX_DIRECTORYS {
                        return Err(TooMuch::Directories(MAX_DIRECTORYS));
                    }
                    self.directories.push(directory.to_vec());
                }
                Line::Directory(_) | Line::Nothing => {}
            }
        }
        Ok(())
    }

    fn include(&mut self, file: &[u8], pattern: &[u8], depth: usize) -> Result<(), TooMuch> {
        // A relative pattern is seen from the directory of the file that it stands in.
        let pattern = if pattern.starts_with(b"/") { pattern.to_vec() } else { [directory_of(file), pattern].concat() };
        // No path is longer, so a longer pattern has no match.
        if pattern.len() < MAX_PATH {
            for path in expand(self.view, &pattern) {
                self.parse(&path, depth + 1)?;
            }
        }
        self.spent()
    }

    fn spent(&self) -> Result<(), TooMuch> {
        if self.view.is_spent() { Err(TooMuch::Steps) } else { Ok(()) }
    }
}

/// The directory part of a file's path, its slash included.
fn directory_of(file: &[u8]) -> &[u8] {
    &file[..file.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1)]
}

/// Finds what a pattern means, in bytewise order: `glob(3)` without flags. Of several spellings of one
/// directory, which links make, the first in that order stands for all: they hold the same files.
fn expand(view: &View<'_>, pattern: &[u8]) -> Vec<Vec<u8>> {
    // Each with a slash at its end, so that the order is that of what they become.
    let mut found: Vec<Vec<u8>> = vec![b"/".to_vec()];
    let parts: Vec<&[u8]> = pattern.split(|byte| *byte == b'/').filter(|part| !part.is_empty()).collect();
    for part in parts {
        if !part.iter().any(|byte| matches!(byte, b'*' | b'?' | b'[' | b'\\')) {
            for path in &mut found {
                view.spend(1 + (path.len() + part.len()) / 16);
                if view.is_spent() {
                    return Vec::new();
                }
                path.extend_from_slice(part);
                path.push(b'/');
            }
            continue;
        }
        let mut directories: BTreeMap<Option<TreePath>, Vec<u8>> = BTreeMap::new();
        for path in found {
            let Some(Found::Directory(directory)) = view.resolve(&path) else { continue };
            let first = directories.entry(directory).or_insert_with(|| path.clone());
            if path < *first {
                *first = path;
            }
        }
        found = Vec::new();
        for (directory, path) in directories {
            for name in view.names(directory.as_ref()).iter() {
                view.spend(1 + part.len() * name.len() / 256);
                if view.is_spent() {
                    return Vec::new();
                }
                if (name[0] != b'.' || part[0] == b'.') && matches(part, name) {
                    view.spend(path.len() / 16);
                    found.push([path.as_slice(), name, b"/"].concat());
                }
            }
        }
    }
    for path in &mut found {
        path.pop();
    }
    found.retain(|path| matches!(view.resolve(path), Some(Found::File(_))));
    found.sort_unstable();
    found
}

/// Says whether a name matches a pattern of `*`, `?`, `[set]` and `\`. Never backtracks further than to
/// the last star, so the time is bounded by pattern times name.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut done) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while done < name.len() {
        if pattern.get(at) == Some(&b'*') {
            star = Some((at + 1, done));
            at += 1;
        } else if let Some(used) = matches_one(&pattern[at..], name[done]) {
            at += used;
            done += 1;
        } else if let Some((behind, from)) = star {
            star = Some((behind, from + 1));
            (at, done) = (behind, from + 1);
        } else {
            return false;
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

/// Matches one byte, and says how much of the pattern that took.
fn matches_one(pattern: &[u8], byte: u8) -> Option<usize> {
    match pattern {
        [b'?', ..] => Some(1),
        [b'\\', literal, ..] => (*literal == byte).then_some(2),
        [b'[', set @ ..] => {
            let negated = matches!(set.first(), Some(b'!' | b'^'));
            let start = usize::from(negated);
            // A bracket that stands first belongs to the set.
            let Some(length) = set.iter().skip(start + 1).position(|byte| *byte == b']') else {
                return (byte == b'[').then_some(1);
            };
            let end = start + 1 + length;
            let mut members = &set[start..end];
            let mut is_member = false;
            while let [first, rest @ ..] = members {
                if let [b'-', last, rest @ ..] = rest {
                    is_member |= (*first..=*last).contains(&byte);
                    members = rest;
                } else {
                    is_member |= *first == byte;
                    members = rest;
                }
            }
            (is_member != negated).then_some(end + 2)
        }
        [literal, ..] => (*literal == byte).then_some(1),
        [] => None,
    }
}

const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r')
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns_match_as_glob_does() {
        for (pattern, name, expected) in [
            ("*.conf", "libc.conf", true),
            ("*.conf", "libc.conf.bak", false),
            ("*", "", true),
            ("a*b*c", "aXbXbc", true),
            ("a*b*c", "aXbXb", false),
            ("?.c", "é.c", false),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[]]x", "]x", true),
            ("[x", "[x", true),
            (r"\*", "*", true),
            (r"\*", "a", false),
        ] {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
        }
    }
}
