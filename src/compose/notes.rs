//! Notes of an image, out of those of its architectures; and the ones among them that are warnings.
//!
//! What is odd on every architecture that is composed is worth a warning. What is odd on one of them only has its use on
//! another: a pattern that names the directory of one architecture's libraries, a waiver for a package of one.

use std::fmt::Write as _;

use dlstore_model::arch::Arch;

/// How a note begins that is said without being asked for.
const WARNING: &str = "warning: ";

/// Makes a warning of a sentence.
#[must_use]
pub fn warning(sentence: &str) -> String {
    format!("{WARNING}{sentence}")
}

/// Gives the sentence of a note that is a warning.
#[must_use]
pub fn as_warning(note: &str) -> Option<&str> {
    note.strip_prefix(WARNING)
}

/// Joins the notes of architectures, of all those that the image has when `is_all`.
#[must_use]
pub fn joined(notes: &[&[String]], archs: &[Arch], is_all: bool) -> Vec<String> {
    let everywhere = |note: &String| as_warning(note).is_none() || notes.iter().all(|one| one.contains(note));
    let mut joined: Vec<String> =
        notes.iter().flat_map(|one| one.iter()).filter(|note| everywhere(note)).cloned().collect();
    joined.sort();
    joined.dedup();
    if !is_all {
        let on = archs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        for note in joined.iter_mut().filter(|note| as_warning(note).is_some()) {
            let _ = write!(note, " (looked at: {on})");
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_what_all_architectures_warn_of() {
        let (a, b) = (warning("a"), warning("b"));
        let of = |notes: &[&str]| notes.iter().map(|note| (*note).to_owned()).collect::<Vec<_>>();
        let (one, two) = (of(&[&b, &a, "note"]), of(&["other", &a]));
        let archs = [Arch::Amd64, Arch::Arm64];
        assert_eq!(joined(&[&one, &two], &archs, true), ["note", "other", "warning: a"]);
        assert_eq!(joined(&[&two], &archs[..1], false), ["other", "warning: a (looked at: amd64)"]);
    }
}
