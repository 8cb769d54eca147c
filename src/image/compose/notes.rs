//! Notes of an image, out of those of its architectures; and the ones among them that are warnings.
//!
//! What is odd on every architecture that is composed is worth a warning. What is odd on one of them only has its use on
//! another: a pattern that names the directory of one architecture's libraries, a waiver for a package of one.

use std::fmt::Write as _;

use crate::check::{Note, Weight};
use dlstore_model::arch::Arch;

/// Joins the notes of architectures, of all those that the image has when `is_all`.
pub(super) fn joined(notes: &[&[Note]], archs: &[Arch], is_all: bool) -> Vec<Note> {
    let everywhere = |note: &Note| note.weight != Weight::Warning || notes.iter().all(|one| one.contains(note));
    let mut joined: Vec<Note> =
        notes.iter().flat_map(|one| one.iter()).filter(|note| everywhere(note)).cloned().collect();
    joined.sort();
    joined.dedup();
    if !is_all {
        let on = archs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        for note in joined.iter_mut().filter(|note| note.weight == Weight::Warning) {
            let _ = write!(note.text, " (checked on: {on})");
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_what_all_architectures_warn_of() {
        let of = |warnings: &[&str], accepted: &str| {
            let warnings = warnings.iter().map(|text| Note::warning((*text).to_owned()));
            warnings.chain([Note::accepted(accepted.to_owned())]).collect::<Vec<_>>()
        };
        let texts = |notes: Vec<Note>| notes.into_iter().map(|note| note.text).collect::<Vec<_>>();
        let (one, two) = (of(&["b", "a"], "note"), of(&["a"], "other"));
        let archs = [Arch::Amd64, Arch::Arm64];
        assert_eq!(texts(joined(&[&one, &two], &archs, true)), ["a", "note", "other"]);
        assert_eq!(texts(joined(&[&two], &archs[..1], false)), ["a (checked on: amd64)", "other"]);
    }
}
