//! The folders that `ldconfig` searches, in order: those of `ld.so.conf`, then the built-in ones.
//!
//! The file has one folder on each line, spelled as it will stand in the cache; `#` begins a comment
//! anywhere; `include` takes patterns, whose matches are read in bytewise order at that place. The
//! built-in folders are Debian's: the multiarch ones first. There is no quoting and no error: what does
//! not exist is passed over, as `ldconfig` does (elf/ldconfig.c, `parse_conf`).

use super::view::{Found, View};
use dlstore_model::arch::Arch;

/// How deep includes may nest and how many files are read: `ldconfig` would recurse until its stack ends.
const MAX_DEPTH: usize = 16;
const MAX_FILES: usize = 1024;
/// Most folders that are taken.
const MAX_FOLDERS: usize = 4096;

/// Lists the folders, as spelled, duplicates included.
pub(super) fn folders(arch: Arch, view: &View<'_>) -> Vec<Vec<u8>> {
    let mut reader = Reader { view, folders: Vec::new(), files: 0 };
    reader.parse(b"/etc/ld.so.conf", 0);
    let triplet = arch.triplet();
    for folder in [format!("/lib/{triplet}"), format!("/usr/lib/{triplet}"), "/lib".into(), "/usr/lib".into()] {
        reader.folders.push(folder.into_bytes());
    }
    reader.folders
}

struct Reader<'r, 'a> {
    view: &'r View<'a>,
    folders: Vec<Vec<u8>>,
    files: usize,
}

impl Reader<'_, '_> {
    fn parse(&mut self, file: &[u8], depth: usize) {
        self.files += 1;
        if depth > MAX_DEPTH || self.files > MAX_FILES {
            return;
        }
        let Some(text) = self.view.text(file) else { return };
        for line in text.split(|byte| *byte == b'\n') {
            let line = line.split(|byte| matches!(byte, b'#' | 0)).next().unwrap_or_default();
            let line = &line[line.iter().position(|byte| !is_space(*byte)).unwrap_or(line.len())..];
            let is_blank = |at: usize| matches!(line.get(at), Some(b' ' | b'\t'));
            if line.starts_with(b"include") && is_blank(7) {
                for pattern in line[8..].split(|byte| matches!(byte, b' ' | b'\t')).filter(|text| !text.is_empty()) {
                    self.include(file, pattern, depth);
                }
                continue;
            }
            let is_hwcap = line.get(..5).is_some_and(|word| word.eq_ignore_ascii_case(b"hwcap")) && is_blank(5);
            let end = line.iter().rposition(|byte| !is_space(*byte)).map_or(0, |at| at + 1);
            let end = line[..end].iter().rposition(|byte| *byte != b'/').map_or(0, |at| at + 1);
            if !is_hwcap && end > 0 && self.folders.len() < MAX_FOLDERS {
                self.folders.push(line[..end].to_vec());
            }
        }
    }

    fn include(&mut self, file: &[u8], pattern: &[u8], depth: usize) {
        // A relative pattern is seen from the folder of the file that it stands in.
        let parent = file.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
        let pattern = if pattern.starts_with(b"/") { pattern.to_vec() } else { [&file[..parent], pattern].concat() };
        for path in expand(self.view, &pattern) {
            self.parse(&path, depth + 1);
        }
    }
}

/// Finds what a pattern means, in bytewise order: `glob(3)` without flags.
fn expand(view: &View<'_>, pattern: &[u8]) -> Vec<Vec<u8>> {
    let mut found: Vec<Vec<u8>> = vec![Vec::new()];
    for part in pattern.split(|byte| *byte == b'/').filter(|part| !part.is_empty()) {
        let mut next = Vec::new();
        for path in found {
            if !part.iter().any(|byte| matches!(byte, b'*' | b'?' | b'[' | b'\\')) {
                next.push([path.as_slice(), b"/", part].concat());
                continue;
            }
            let Some(Found::Folder(folder)) = view.resolve(&path) else { continue };
            for name in view.names(folder.as_ref()) {
                if (name[0] != b'.' || part[0] == b'.') && matches(part, name) {
                    next.push([path.as_slice(), b"/", name].concat());
                }
            }
        }
        found = next;
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
