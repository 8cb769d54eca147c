//! The reference for users against the parser.

use std::collections::BTreeSet;

use super::*;

/// The TOML blocks of a text.
fn blocks(text: &str) -> Vec<&str> {
    text.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

/// Reads a block, with the schema when it is not there.
fn read(block: &str) -> toml::Table {
    let text = if block.contains("schema") { block.to_owned() } else { format!("schema = 1\n{block}") };
    parse::definition(&text).unwrap_or_else(|bad| panic!("{}\n{block}", bad.at("page", &text)));
    text.parse().unwrap()
}

#[test]
fn every_key_is_documented_with_an_example_that_parses_and_no_other_key_is() {
    let sections: Vec<(&str, &str)> =
        PAGE.split("\n### `").skip(1).map(|section| section.split_once("`\n").unwrap()).collect();
    let documented: BTreeSet<&str> = sections.iter().map(|(key, _)| *key).collect();
    let known: BTreeSet<&str> = parse::KEYS.iter().copied().chain(["schema", "flavors"]).collect();
    assert_eq!(documented, known);
    for (key, section) in sections {
        let section = section.split("\n#").next().unwrap();
        let examples: Vec<toml::Table> = blocks(section).into_iter().map(read).collect();
        assert!(examples.iter().any(|example| example.contains_key(key)), "{key} has an example");
        let inner = match key {
            "files" => parse::FILE_KEYS,
            "accounts" => parse::ACCOUNT_KEYS,
            "arch" => parse::ARCH_KEYS,
            "skip" => &Fixup::names(),
            _ => continue,
        };
        for inner in inner {
            assert!(section.contains(inner), "{key}: {inner}");
        }
    }
    for block in blocks(PAGE) {
        read(block);
    }
}

#[test]
fn every_known_key_is_read() {
    for key in parse::KEYS {
        for text in
            [format!("schema = 1\n{key} = 1979-05-27\n"), format!("schema = 1\n[flavors.a]\n{key} = 1979-05-27\n")]
        {
            let bad = parse::definition(&text).unwrap_err();
            assert!(bad.sentence.starts_with("expected "), "{key}: {}", bad.sentence);
        }
    }
}
