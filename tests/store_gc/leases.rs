//! Names of leases: what has another name is named, and is never followed to a place.

use std::fs;

use dlstore_store::{Depth, FindingKind, VerifyOptions};

use crate::support::*;

/// Text that a damaged row may have for the name of a lease, `VICTIM` for a directory elsewhere.
const STRANGE: &[&str] =
    &["", ".", "..", "../sources", "../../store", "VICTIM", "0123456789ABCDEF0123456789ABCDEF", "0"];

#[test]
fn a_row_with_a_strange_name_is_a_finding_and_no_path() {
    for name in STRANGE {
        let place = Place::new();
        let store = place.open();
        publish(&store, 1, true);
        let victim = tempfile::tempdir().unwrap();
        fs::write(victim.path().join("kept"), "kept").unwrap();
        let name = name.replace("VICTIM", victim.path().to_str().unwrap());
        let row = "INSERT INTO lease(name, note, born) VALUES (?1, 'add', 1)";
        place.index().execute(row, [&name]).unwrap();
        for depth in [Depth::Quick, Depth::Full] {
            let found = store.verify(&VerifyOptions::new(depth)).unwrap().findings;
            let kinds: Vec<_> = found.iter().map(|one| one.kind).collect();
            assert_eq!(kinds, [FindingKind::RowDamaged], "{name:?} {found:?}");
        }
        assert_eq!(store.plan_gc(&gc_now()).unwrap().leases, Vec::<String>::new(), "{name:?}");
        let report = store.gc(&gc_now()).unwrap();
        assert_eq!((report.leases, report.findings.len()), (0, 1), "{name:?} {report:?}");
        assert!(is_whole(&store, 1) && victim.path().join("kept").exists(), "{name:?}");
        assert!(place.path().join("stage").exists(), "{name:?}");
        publish(&store, 2, true);
    }
}

#[test]
fn what_a_row_with_a_strange_name_holds_stays() {
    let place = Place::new();
    let store = place.open();
    publish(&store, 1, false);
    let index = place.index();
    index.execute("INSERT INTO lease(name, note, born) VALUES (CAST(x'b031' AS TEXT), 'add', 1)", []).unwrap();
    index.execute("INSERT INTO held SELECT last_insert_rowid(), id FROM object", []).unwrap();
    let report = store.gc(&gc_now()).unwrap();
    assert_eq!((report.objects, report.findings.len()), (0, 1), "{report:?}");
    assert!(is_whole(&store, 1), "nobody knows whether its owner lives");
}

#[test]
fn a_strange_name_among_locks_and_stages_is_a_finding_and_removes_nothing() {
    for strange in
        ["leases/.lock", "leases/...lock", "leases/notes", "leases/0123.lock", "stage/left", "stage/0123.lock"]
    {
        let place = Place::new();
        let store = place.open();
        publish(&store, 1, true);
        let living = store.lease("living").unwrap();
        let staged = living.stage_path();
        fs::write(&staged, "staged").unwrap();
        fs::write(place.path().join(strange), "").unwrap();
        let found = store.verify(&VerifyOptions::new(Depth::Quick)).unwrap().findings;
        assert!(
            matches!(&found[..], [one] if one.kind == FindingKind::StrangeName && one.detail.contains(strange)),
            "{found:?}"
        );
        let report = store.gc(&gc_now()).unwrap();
        assert_eq!((report.leases, report.findings), (0, found), "{strange}");
        assert!(place.path().join(strange).exists() && staged.exists() && is_whole(&store, 1), "{strange}");
        living.release().unwrap();
    }
}

#[test]
fn what_lies_in_quarantine_goes_whatever_its_name_is() {
    use std::os::unix::ffi::OsStrExt as _;
    let place = Place::new();
    let store = place.open();
    let name = std::ffi::OsStr::from_bytes(b"no \xff text");
    fs::write(place.path().join("quarantine").join(name), "bad").unwrap();
    let all = dlstore_store::GcOptions { quarantine: dlstore_store::Leftover::Remove, ..gc_now() };
    assert_eq!(store.gc(&all).unwrap().files, 1);
    assert_eq!(fs::read_dir(place.path().join("quarantine")).unwrap().count(), 0);
}
