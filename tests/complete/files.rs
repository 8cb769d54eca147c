//! Every file of a store, damaged in every way.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::template::{APK, COLD, Claim, EMBEDDED, Template, WARM, all, cell};
use dlstore_kit::files::{below, flip, flip_in_silence, rewrite};

type Damage = fn(&Path);

const DAMAGES: [(&str, Damage); 8] = [
    ("flipped", flip),
    ("flipped with its time kept", flip_in_silence),
    ("truncated", |path| {
        let bytes = fs::read(path).unwrap();
        rewrite(path, &bytes[..bytes.len() / 2]);
    }),
    ("extended", |path| {
        let mut bytes = fs::read(path).unwrap();
        bytes.extend(b"more");
        rewrite(path, &bytes);
    }),
    ("deleted", |path| fs::remove_file(path).unwrap()),
    ("replaced by a directory", |path| {
        fs::remove_file(path).unwrap();
        fs::create_dir(path).unwrap();
        fs::write(path.join("inside"), b"x").unwrap();
    }),
    ("replaced by a symbolic link", |path| {
        // To the right bytes: not even those count behind a link.
        let store = path.ancestors().find(|above| above.ends_with("store")).unwrap();
        let aside = store.with_file_name("aside");
        fs::rename(path, &aside).unwrap();
        symlink(aside, path).unwrap();
    }),
    ("replaced by a pipe", |path| {
        fs::remove_file(path).unwrap();
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    }),
];

/// All regular files of a store that are not empty, by their paths below it.
fn files_of(store: &Path) -> Vec<PathBuf> {
    let mut found = below(store);
    found.retain(|path| path.symlink_metadata().unwrap().len() > 0);
    found.into_iter().map(|path| path.strip_prefix(store).unwrap().to_owned()).collect()
}

/// The orders in which a cell composes: what is remembered first, or what is planned anew.
pub(crate) const ORDERS: [&[&str]; 2] = [&[WARM, EMBEDDED, COLD], &[COLD, WARM, APK]];

#[test]
fn no_damage_to_a_file_of_the_store_gives_another_image() {
    let template = Template::get();
    let names = files_of(&template.copy().store());
    assert!(names.iter().any(|name| name == Path::new("format.json")), "{names:?}");
    let mut cells = Vec::new();
    for name in &names {
        for (way, damage) in DAMAGES {
            let is_pack = name.starts_with("packs");
            let claim = if is_pack && way == "flipped with its time kept" { Claim::IntactStamp } else { Claim::Strict };
            cells.extend(ORDERS.map(|order| (name, way, damage, order, claim)));
        }
    }
    all(
        &cells,
        |(name, way, _, order, _)| format!("{} {way}, {order:?}", name.display()),
        |(name, _, damage, order, claim)| {
            let place = template.copy();
            damage(&place.store().join(name));
            cell(&place, order, *claim)
        },
    );
}

#[test]
fn no_damage_to_the_log_of_the_index_gives_another_image() {
    let template = Template::get();
    let with_log = || {
        let place = template.copy();
        // What this writes lies in the log alone until somebody folds it in.
        place.ok(["compose", COLD, "--arch", "amd64", "--from", "store", "-o", "oci:before"]);
        fs::remove_dir_all(place.project().join("before")).unwrap();
        place
    };
    let names: Vec<PathBuf> = files_of(&with_log().store())
        .into_iter()
        .filter(|name| name.to_string_lossy().starts_with("index.db-"))
        .collect();
    println!("{names:?}");
    let mut cells = Vec::new();
    for name in &names {
        for (way, damage) in DAMAGES {
            cells.extend(ORDERS.map(|order| (name, way, damage, order)));
        }
    }
    all(
        &cells,
        |(name, way, _, order)| format!("{} {way}, {order:?}", name.display()),
        |(name, _, damage, order)| {
            let place = with_log();
            damage(&place.store().join(name));
            cell(&place, order, Claim::Strict)
        },
    );
}
