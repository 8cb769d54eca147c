//! Definitions as claims.

mod built_in;
mod hostile;
mod locating;
mod merging;
mod page;

use super::*;

/// The reference for users.
const PAGE: &str = include_str!("../../../../docs/definition.md");

/// A project in a temporary directory: paths and texts.
fn project(files: &[(&str, &str)]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = directory.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    directory
}

/// Loads `app` of a project with that one definition, the schema put before it.
fn load_text(reference: &str, text: &str) -> Result<Image, DefinitionError> {
    let directory = project(&[("images/app/image.toml", &format!("schema = 1\n{text}"))]);
    load(directory.path(), reference)
}

/// An error as a person reads it: the sentence, then the causes, each after `cause:`.
fn said(error: &DefinitionError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}\ncause: {error}");
        cause = error.source();
    }
    text
}

fn names(requirements: &[PackageRequirement]) -> Vec<&str> {
    requirements.iter().map(|requirement| requirement.name.as_str()).collect()
}

fn paths(image: &Image) -> Vec<String> {
    image.levels.iter().flat_map(|level| level.files.iter().map(|file| file.path.to_string())).collect()
}

#[test]
fn mistakes_are_said_with_their_place() {
    let cases = include_str!("mistakes.txt");
    let mut now = String::new();
    for case in cases.split("=== ").skip(1) {
        let (title, rest) = case.split_once('\n').unwrap();
        let (text, _) = rest.split_once("--- says\n").unwrap();
        let directory = project(&[
            ("images/app/image.toml", text),
            ("images/arm.toml", "schema = 1\narchitectures = [\"arm/v6\", \"arm/v7\"]\n"),
            ("images/back.toml", "schema = 1\nextends = \"app\"\n"),
        ]);
        let answer = match load(directory.path(), "app") {
            Ok(_) => panic!("{title}: no mistake was found"),
            Err(error) => said(&error),
        };
        now = format!("{now}=== {title}\n{text}--- says\n{answer}\n");
    }
    let before = &cases[cases.find("=== ").unwrap()..];
    if let Ok(file) = std::env::var("DLSTORE_GOLDEN") {
        std::fs::write(file, &now).unwrap();
    }
    for (now, before) in now.split("=== ").zip(before.split("=== ")) {
        assert_eq!(now, before);
    }
    assert_eq!(now, before);
}

#[test]
fn a_line_with_hostile_characters_is_shown_harmlessly() {
    let error = load_text("app", "\"a\u{202e}b\" = \"\u{9b}\"\t# \u{202e}\r\n").unwrap_err();
    let shown = r#"images/app/image.toml:2:1: unknown key `a\u{202e}b`
  |
2 | "a\u{202e}b" = "\u{9b}"\u{9}# \u{202e}
  | ^^^^^^^^^^^^"#;
    assert_eq!(error.to_string(), shown);
    let error = load_text("app:\u{1b}[31m", "").unwrap_err();
    assert_eq!(error.to_string(), "`app` has no flavor `\\u{1b}[31m`; it has default");
}
