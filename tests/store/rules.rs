//! Rules about the source itself.

use std::path::{Path, PathBuf};

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Lists `file: line` of code outside `allowed` (tests left out) that holds one of `words`.
fn offences(allowed: &str, words: &[&str]) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let mut offences = Vec::new();
    for path in files {
        let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
        let is_test = ["/tests", "peer", "fixture"].iter().any(|part| name.contains(part));
        if name.starts_with(allowed) || is_test {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
        let bad = lines.filter(|line| words.iter().any(|word| line.contains(word)));
        offences.extend(bad.map(|line| format!("{name}: {}", line.trim())));
    }
    offences
}

#[test]
fn effects_that_can_lose_data_are_called_in_one_place() {
    let words = [
        "fs::rename",
        "fs::remove_",
        "remove_file(",
        "remove_dir",
        "sync_all(",
        "sync_data()",
        "syncfs(",
        "try_lock()",
        "flock(",
        "fs::hard_link(",
        "ioctl_ficlone",
        "statfs(",
        "fallocate(",
    ];
    assert_eq!(offences("fsx", &words), Vec::<String>::new());
}

#[test]
fn sql_is_in_one_place() {
    assert_eq!(offences("index", &["rusqlite", "SELECT ", "INSERT ", "DELETE FROM"]), Vec::<String>::new());
}

#[test]
fn the_index_knows_no_files() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/index");
    let mut files = Vec::new();
    sources(&root, &mut files);
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        for word in ["std::fs", "crate::store", "crate::fsx::stop", "crate::fsx::lock"] {
            assert!(!code.contains(word), "{}: {word}", path.display());
        }
    }
}
