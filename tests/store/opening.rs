//! Where a store may lie, whose it may be, and which ones are refused.

use std::ffi::OsString;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use dlstore_store::{Access, OpenOptions, Sharing, Store, StoreError, Warning, default_root};

use crate::support::*;

#[test]
fn a_store_is_made_only_when_asked_and_only_for_its_user() {
    let place = Place::new();
    assert!(matches!(Store::open(&place.path(), Access::Existing), Err(StoreError::Absent(_))));
    drop(place.open());
    assert!(Store::open(&place.path(), Access::Existing).is_ok());
    let mode = |name: &str| std::fs::metadata(place.path().join(name)).unwrap().mode() & 0o7777;
    assert_eq!((mode(""), mode("packs"), mode("index.db"), mode("format.json")), (0o700, 0o700, 0o600, 0o600));
    assert_eq!(
        names(&place.path()),
        [
            "format.json",
            "index.db",
            "index.db-shm",
            "index.db-wal",
            "leases",
            "packs",
            "quarantine",
            "roots.journal",
            "sources",
            "stage"
        ]
    );
}

#[test]
fn a_shared_store_is_the_groups() {
    let place = Place::new();
    let options = OpenOptions { sharing: Sharing::Group, ..OpenOptions::new(Access::Create) };
    let store = Store::open_with(&place.path(), options).unwrap();
    publish(&store, 1, true);
    let mode = |name: &str| std::fs::metadata(place.path().join(name)).unwrap().mode() & 0o7777;
    assert_eq!((mode(""), mode("stage"), mode("index.db"), mode("index.db-wal")), (0o2770, 0o2770, 0o660, 0o660));
    assert!(Store::open(&place.path(), Access::Existing).is_ok());
}

#[test]
fn a_store_that_others_may_write_to_is_refused() {
    let place = Place::new();
    drop(place.open());
    for mode in [0o770, 0o707, 0o777] {
        std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(mode)).unwrap();
        assert!(matches!(Store::open(&place.path(), Access::Existing), Err(StoreError::Exposed(_))), "{mode:o}");
    }
}

#[test]
fn a_directory_with_other_things_in_it_is_not_made_a_store() {
    let place = Place::new();
    std::fs::create_dir(place.path()).unwrap();
    std::fs::write(place.path().join("thesis.tex"), "x").unwrap();
    let Err(StoreError::Occupied { found, .. }) = Store::open(&place.path(), Access::Create) else { panic!() };
    assert_eq!(found, PathBuf::from("thesis.tex"));
}

#[test]
fn formats_of_newer_programs_are_refused_by_name() {
    let place = Place::new();
    let path = place.path().join("format.json");
    drop(place.open());
    let format = |version: u32, feature: &str| {
        let text = format!(r#"{{"format":"dlstore","version":{version},"features":{{{feature}}}}}"#);
        std::fs::write(&path, text).unwrap();
        Store::open(&place.path(), Access::Existing)
    };
    let error = format(7, "").err().unwrap().to_string();
    assert!(error.contains("format 7") && error.contains("up to 2"), "{error}");
    let error = format(1, "").err().unwrap().to_string();
    assert!(error.contains("format 1, which this program no longer reads"), "{error}");
    let error = format(2, r#""incompatible":["chunks"]"#).err().unwrap().to_string();
    assert!(error.contains("chunks"), "{error}");
    let store = format(2, r#""read_only_compatible":["leaves"]"#).unwrap();
    assert_eq!(store.packages().unwrap().packages, []);
    assert!(matches!(store.lease("test"), Err(StoreError::ReadOnly { .. })));
    assert!(format(2, r#""compatible":["colour"]"#).unwrap().lease("test").is_ok());
    std::fs::write(&path, "{").unwrap();
    assert!(matches!(Store::open(&place.path(), Access::Create), Err(StoreError::Format { .. })));
}

#[test]
fn a_format_json_that_is_lost_while_others_have_the_store_open_keeps_nobody_waiting() {
    let place = Place::new();
    let open = place.open();
    publish(&open, 1, true);
    let path = place.path().join("format.json");
    let text = std::fs::read(&path).unwrap();
    let ways: [fn(&Path); 2] = [|path| std::fs::remove_file(path).unwrap(), |path| std::fs::write(path, "").unwrap()];
    for lose in ways {
        lose(&path);
        std::thread::scope(|scope| {
            let opened: Vec<_> = (0..4).map(|_| scope.spawn(|| place.open())).collect();
            let restored = opened.into_iter().map(|one| one.join().unwrap());
            assert!(restored.filter(|store| store.warnings() == [Warning::FormatRestored]).count() >= 1);
        });
        assert_eq!(std::fs::read(&path).unwrap(), text);
    }
    assert_spotless(&open);
}

#[test]
fn many_make_the_same_store_at_once() {
    let place = Place::new();
    std::thread::scope(|scope| {
        for number in 0..8 {
            let place = &place;
            scope.spawn(move || publish(&place.open(), number, true));
        }
    });
    assert_eq!(place.open().packages().unwrap().packages.len(), 8);
    assert_spotless(&place.open());
}

#[test]
fn the_default_place_follows_the_platform() {
    let root = |pairs: &'static [(&str, &str)]| {
        default_root(move |name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value)))
    };
    assert_eq!(root(&[("DLSTORE_ROOT", "here"), ("HOME", "/h")]), Some("here".into()));
    assert_eq!(root(&[("DLSTORE_ROOT", ""), ("XDG_DATA_HOME", "/d"), ("HOME", "/h")]), Some("/d/dlstore".into()));
    assert_eq!(root(&[("XDG_DATA_HOME", "relative"), ("HOME", "/h")]), Some("/h/.local/share/dlstore".into()));
    assert_eq!(root(&[]), None);
}
