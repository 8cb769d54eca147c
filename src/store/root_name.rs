//! Names of roots: words of printable characters with slashes between them.
//!
//! They are shown, written into the journal and compared, and are no paths; but a word that could climb out of a
//! directory is none all the same. A name from a row or a line that is no such name is damage.

use super::StoreError;

/// Longest name, in bytes: room for the longest names and versions that package formats allow.
const LONGEST: usize = 1024;

/// Refuses what cannot be the name of a root.
pub(super) fn check_name(name: &str) -> Result<(), StoreError> {
    let is_word = |word: &str| {
        !matches!(word, "" | "." | "..")
            && word.chars().all(|character| !character.is_whitespace() && !dlstore_model::escape::is_hostile(character))
    };
    if name.len() <= LONGEST && name.split('/').all(is_word) {
        Ok(())
    } else {
        Err(StoreError::RootName(name.chars().take(80).collect()))
    }
}
