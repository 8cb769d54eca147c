//! What docs/definition.md shows, composed of real packages.

use std::path::Path;

use dlstore_kit::inputs::{apks, debs};
use dlstore_kit::{place, workspace};

/// The first example of a key, as the page has it.
fn example<'p>(page: &'p str, key: &str) -> &'p str {
    let (_, section) = page.split_once(&format!("\n### `{key}`\n")).unwrap();
    let (_, rest) = section.split_once("```toml\n").unwrap();
    rest.split_once("```").unwrap().0
}

/// The version of the package of a file, as a definition writes it.
fn version(packages: &Path, name: &str) -> String {
    let files = std::fs::read_dir(packages).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut versions =
        files.filter_map(|file| Some(file.strip_prefix(&format!("{name}_"))?.split_once('_')?.0.to_owned()));
    versions.next().unwrap().replace("%3a", ":")
}

#[test]
fn the_examples_of_tags_packages_and_accounts_from_compose_as_they_stand() {
    let (Some(debs), Some(apks)) = (debs(), apks()) else { return };
    let page = std::fs::read_to_string(workspace::own("docs/definition.md")).unwrap();
    let place = place!();
    for (key, packages) in [("tags", &debs), ("packages", &debs), ("accounts-from", &apks)] {
        let mut text = example(&page, key).to_owned();
        // Mirrors have other versions than the page after a while.
        if let Some((before, pinned)) = text.split_once("zlib1g=") {
            let (_, after) = pinned.split_once('"').unwrap();
            text = format!("{before}zlib1g={}\"{after}", version(&debs, "zlib1g"));
        }
        place.image(key, &format!("schema = 1\n{text}"));
        let composed = place.ok(["compose", key, "--arch", "amd64", "--from", packages.to_str().unwrap()]);
        assert!(composed.starts_with(&format!("{key}@sha256:")), "{composed}");
    }
}
