//! What was probably meant: the known word that is most like one that nobody knows.
//!
//! Names of images, flavors, keys, fix-ups and packages are all measured here, so that a word is never like another in
//! one message and unlike it in the next. Case and the two ways to join words do not count.

/// Longest word that is measured, in bytes: the measure takes the product of both lengths, and a longer one is like none.
const LONGEST: usize = 100;

/// One letter of so many of the longer word may be another, be missing, or have changed places with its neighbour.
const LETTERS_PER_MISTAKE: usize = 3;

/// Finds the known word most like the given one, if one is like it at all; of two that are equally like it the later.
pub fn closest<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if given.len() > LONGEST {
        return None;
    }
    let given = given.to_lowercase().replace('_', "-");
    let measured = known.into_iter().map(|word| (strsim::jaro_winkler(&given, word), word));
    let like = measured.filter(|(likeness, word)| *likeness > 0.8 && is_mistyped(&given, word));
    like.max_by(|(a, _), (b, _)| a.total_cmp(b)).map(|(_, word)| word)
}

/// Says whether what was given can come of a word, or of its beginning, by few mistakes: that many letters are the same, as
/// in all names that begin with `lib`, is not enough.
fn is_mistyped(given: &str, word: &str) -> bool {
    let letters = given.chars().count();
    let beginning: String = word.chars().take(letters).collect();
    let few = |word: &str| {
        let longer = letters.max(word.chars().count());
        strsim::osa_distance(given, word) <= (longer / LETTERS_PER_MISTAKE).max(1)
    };
    few(word) || few(&beginning)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_like_a_known_word_is_found_and_nothing_else() {
        let known = ["entrypoint", "certificates-from", "static", "statics", "libgcc-s1", "libstdc++6", "musl-dynamic"];
        let long = "static".repeat(20);
        for (given, expected) in [
            ("entrypont", Some("entrypoint")),
            ("Certificates_From", Some("certificates-from")),
            ("statik", Some("static")),
            ("staticss", Some("statics")),
            ("certificates", Some("certificates-from")),
            ("msul-dynamik", Some("musl-dynamic")),
            ("musll", Some("musl-dynamic")),
            ("libgccs1", Some("libgcc-s1")),
            ("libcaca0", None),
            ("libc66", None),
            ("zzz", None),
            ("", None),
            (&long, None),
        ] {
            assert_eq!(closest(given, known), expected, "{given}");
        }
    }
}
