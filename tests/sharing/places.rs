//! Where a store may lie: which file systems, which paths; and a store that cannot be opened.

use std::fs;

use dlstore_kit::{Done, Place, finish, place, program};

/// Runs the program as if every path lay on a file system with this number.
fn on(place: &Place, magic: u32, arguments: &[&str]) -> Done {
    let mut command = place.command(arguments);
    command.env("DLSTORE_TEST_MAGIC", magic.to_string());
    finish(command)
}

const NFS: u32 = 0x6969;

#[test]
fn a_network_file_system_is_refused_until_the_user_says_that_one_host_uses_it() {
    for (magic, kind) in [(NFS, "NFS"), (0x00c3_6400, "CephFS"), (0x1983_0326, "BeeGFS"), (0x4750_4653, "GPFS")] {
        let place = place!();
        let compose = ["compose", "static", "--arch", "amd64"];
        let refused = on(&place, magic, &compose);
        assert_eq!(
            refused.error(),
            format!(
                "the store {} lies on {kind}, where locks do not reach other hosts: use a directory on a local disk",
                place.store().display()
            )
        );
        assert_eq!(refused.lines("hint:"), ["dlstore store init --network-file-system, if only this host uses it"]);
        on(&place, magic, &["store", "init", "--network-file-system"]).ok();
        let done = on(&place, magic, &compose).ok();
        let warning = format!("the store lies on {kind}: no other host may use it");
        assert!(done.lines("note:").contains(&warning.as_str()), "each time: {done:?}");
        assert_eq!(done.out, place.ok(compose), "no warning on a local disk, and the same image");
    }
}

#[test]
fn a_store_that_was_moved_to_a_network_file_system_is_refused_until_then_too() {
    let place = place!();
    place.ok(["compose", "static", "--arch", "amd64"]);
    assert_eq!(on(&place, NFS, &["list"]).code(), Some(1));
    let said = on(&place, NFS, &["store", "init", "--network-file-system"]).ok();
    assert!(said.err.contains("already exists"), "{said:?}");
    on(&place, NFS, &["list"]).ok();
    assert_eq!(place.verified().0, Vec::<String>::new());
}

#[test]
fn fuse_and_shared_directories_of_a_virtual_machine_are_said() {
    let place = place!();
    for (magic, words) in [
        (0x6573_5546, "the store is on a FUSE file system: make sure that no other host uses it"),
        (
            0x6a65_6a63,
            "the store is in a directory that the host shares with this virtual machine: \
                       make sure that nothing on the host uses it",
        ),
    ] {
        let done = on(&place, magic, &["compose", "static", "--arch", "amd64"]).ok();
        assert!(done.lines("note:").contains(&words), "{done:?}");
    }
}

#[test]
fn a_store_whose_path_is_too_long_is_refused_with_a_sentence() {
    let place = place!();
    // 504 bytes, with the name of the index in it: 512 less what SQLite adds to that name.
    let mut long = place.path().canonicalize().unwrap();
    let wanted = 504 - "/index.db".len();
    while wanted - long.as_os_str().len() > 250 {
        long.push("d".repeat(100));
    }
    let fits = "s".repeat(wanted - long.as_os_str().len() - 1);
    let run = |name: &str| {
        let mut command = place.command(["compose", "static", "--arch", "amd64"]);
        command.env("DLSTORE_ROOT", long.join(name));
        finish(command)
    };
    run(&fits).ok();
    let refused = run(&format!("{fits}s"));
    assert!(
        refused.error().ends_with("is too long for SQLite, which takes 504 bytes: use a directory with a shorter path"),
        "{refused:?}"
    );
    assert!(!long.join(format!("{fits}s")).exists(), "and nothing is made");
    // A short name that leads to a long path is as long.
    let link = place.path().join("short");
    std::os::unix::fs::symlink(&long, &link).unwrap();
    let mut command = place.command(["list"]);
    command.env("DLSTORE_ROOT", link.join(format!("{fits}s")));
    assert!(finish(command).error().contains("too long for SQLite"));
}

#[test]
fn an_absent_store_is_quiet_and_one_that_cannot_be_opened_is_not() {
    let place = place!();
    let program = program!();
    let quiet = place.run(["show", "static"]).ok();
    assert_eq!(quiet.err, "");
    assert_eq!(place.run(["needs", program]).ok().err, "");
    place.ok(["files", "static", "--arch", "amd64"]);
    fs::write(place.store().join("format.json"), "{").unwrap();
    let sentence = format!("{} does not describe a store", place.store().join("format.json").display());
    for arguments in [["show", "static"], ["needs", program]] {
        let done = place.run(arguments).ok();
        let said = format!("cannot search the store for packages: {sentence}");
        assert!(done.lines("note:").iter().any(|note| note.starts_with(&said)), "{done:?}");
        assert!(!done.out.is_empty());
    }
    let failed = place.run(["files", "static", "--arch", "amd64"]);
    assert_eq!(failed.error(), sentence);
}
