//! Texts that nobody means well.

use super::*;
use proptest::prelude::*;

#[test]
fn deep_nesting_is_a_mistake_and_not_a_crash() {
    for text in [
        format!("a = {}", "[".repeat(100_000)),
        format!("a = {}", "{a=".repeat(100_000)),
        format!("[{}a]", "a.".repeat(100_000)),
    ] {
        let text = format!("schema = 1\n{text}\n");
        assert!(parse::definition(&text).map_err(|bad| bad.at("x", &text).to_string()).is_err());
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(cut in 0..PAGE.len(), length in 0..400_usize, insert in "\\PC{0,6}|[\\[\\]{}\"'=.,\n]{0,6}", at in 0..400_usize) {
        let inner: String = PAGE.chars().skip(cut).take(length).collect();
        let example = PAGE.split("```").nth(1 + 2 * (cut % 40)).unwrap_or(&inner);
        for base in [inner.as_str(), example.trim_start_matches("toml")] {
            let at = at.min(base.chars().count());
            let text: String = base.chars().take(at).chain(insert.chars()).chain(base.chars().skip(at)).collect();
            let text = format!("schema = 1\n{text}");
            if let Err(bad) = parse::definition(&text) {
                prop_assert!(!bad.at("x", &text).to_string().is_empty());
            }
        }
    }
}
