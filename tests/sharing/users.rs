//! Users: a group that shares a store, and a user who may only read one.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use dlstore_kit::inputs::missing;
use dlstore_kit::{Done, Place, finish, packages, place, program};

/// Numbers of users and a group that no host gives to anybody.
const ANN: u32 = 47_001;
const BOB: u32 = 47_002;
const TEAM: u32 = 47_100;

/// A place that other users may enter, with a program that they may run.
struct Shared {
    place: Place,
    program: PathBuf,
}

impl Shared {
    /// `None` where the test may not act as other users.
    fn new() -> Option<Self> {
        let mut probe = Command::new("setpriv");
        probe.args(["--reuid", "47001", "--regid", "47001", "--clear-groups", "true"]).stderr(Stdio::null());
        if !probe.status().is_ok_and(|status| status.success()) {
            return missing("no right to act as other users: shared stores are not tried");
        }
        let place = place!();
        for directory in [place.path().to_owned(), place.packages()] {
            fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let program = place.path().join("dlstore");
        fs::copy(program!(), &program).unwrap();
        for user in [ANN, BOB] {
            let home = place.path().join(user.to_string());
            fs::create_dir(&home).unwrap();
            std::os::unix::fs::chown(&home, Some(user), Some(user)).unwrap();
        }
        Some(Self { place, program })
    }

    fn run(&self, user: u32, arguments: &[&str], environment: &[(&str, &str)]) -> Done {
        let home = self.place.path().join(user.to_string());
        let (id, team) = (user.to_string(), TEAM.to_string());
        let mut command = Command::new("setpriv");
        command.args(["--reuid", &id, "--regid", &id, "--groups", &team]).arg(&self.program).args(arguments);
        command.current_dir(&home).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        command.env("HOME", &home).env("TMPDIR", &home).env("DLSTORE_ROOT", self.place.store());
        command.envs(environment.iter().copied()).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        finish(command)
    }
}

fn modes(store: &Path, below: &str) -> (u32, u32) {
    let found = fs::metadata(store.join(below)).unwrap();
    (found.mode() & 0o7777, found.gid())
}

#[test]
fn a_group_shares_a_store_when_its_members_say_so() {
    let Some(shared) = Shared::new() else { return };
    let store = shared.place.store();
    shared.place.package("one.deb", &packages::deb("one", 1, "amd64").build());
    shared.place.package("two.deb", &packages::deb("two", 2, "amd64").build());
    let packages = shared.place.packages();
    let package = |name: &str| packages.join(name).to_str().unwrap().to_owned();
    fs::set_permissions(shared.place.path(), fs::Permissions::from_mode(0o777)).unwrap();
    shared.run(ANN, &["store", "init", "--shared", &TEAM.to_string()], &[]).ok();
    fs::set_permissions(shared.place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    for below in ["", "packs", "stage", "leases"] {
        assert_eq!(modes(&store, below), (0o2770, TEAM), "{below:?}");
    }
    assert_eq!(modes(&store, "index.db"), (0o660, TEAM));
    let again = shared.run(ANN, &["store", "init", "--shared"], &[]).ok();
    assert!(again.err.contains("already exists"), "{again:?}");

    shared.run(ANN, &["add", &package("one.deb")], &[]).ok();
    let refused = shared.run(BOB, &["list"], &[]);
    assert_eq!(refused.error(), format!("the store {} belongs to another user", store.display()));
    assert_eq!(
        refused.lines("hint:"),
        ["--trust-owner, or DLSTORE_TRUST_OWNER=1, if its owner and the members of its group are trusted"]
    );
    shared.run(BOB, &["add", &package("two.deb"), "--trust-owner"], &[]).ok();
    let trust = [("DLSTORE_TRUST_OWNER", "1")];
    let image = shared.run(BOB, &["compose", "static", "--arch", "all"], &trust).ok().out;
    assert_eq!(shared.run(ANN, &["compose", "static", "--arch", "all"], &[]).ok().out, image);
    assert!(shared.run(ANN, &["list"], &[]).ok().out.contains("two"));
    shared.run(BOB, &["store", "gc", "--grace", "0"], &trust).ok();
    shared.run(ANN, &["store", "verify", "--full"], &[]).ok();
}

#[test]
fn a_private_store_is_not_made_shared_later() {
    let place = place!();
    place.ok(["store", "init"]);
    let refused = place.run(["store", "init", "--shared"]);
    assert!(
        refused
            .error()
            .ends_with("was made for one user: make a shared one in another directory, and add the packages there")
    );
    assert_eq!(place.run(["store", "init", "--shared", "no-such-group"]).code(), Some(2));
}

#[test]
fn a_user_who_may_only_read_is_served() {
    let Some(shared) = Shared::new() else { return };
    let (place, store) = (&shared.place, shared.place.store());
    place.package("one.deb", &packages::deb("one", 1, "amd64").build());
    place.ok(["add", "../packages"]);
    let image = place.ok(["compose", "static", "--arch", "amd64"]);
    assert_eq!(shared.run(ANN, &["list"], &[]).code(), Some(1), "it cannot even be entered");
    assert!(Command::new("chmod").args(["-R", "a+rX,go-w"]).arg(&store).status().unwrap().success());
    assert!(shared.run(ANN, &["list"], &[]).ok().out.contains("one"));
    assert_eq!(shared.run(ANN, &["compose", "static", "--arch", "amd64"], &[]).ok().out, image);
    assert_eq!(
        shared.run(ANN, &["compose", "static", "--arch", "arm64"], &[]).error(),
        format!(
            "this user may not write to the store {}: its contents can be used, but nothing can be added",
            store.display()
        )
    );
    // A writer at work does not disturb who reads.
    place.ok(["compose", "static", "--arch", "arm64"]);
    assert!(Command::new("chmod").args(["-R", "a+rX,go-w"]).arg(&store).status().unwrap().success());
    shared.run(ANN, &["compose", "static", "--arch", "arm64"], &[]).ok();
    // Nor does a collection, which writes the journal anew.
    place.ok(["store", "roots", "add", "mine/one", "one"]);
    place.ok(["store", "roots", "remove", "mine/one"]);
    place.ok(["store", "gc"]);
    assert!(!fs::read_to_string(store.join("roots.journal")).unwrap().contains("mine/one"));
    shared.run(ANN, &["list"], &[]).ok();
    // Nor does the lock of somebody who may live, which cannot be looked at.
    let lock = store.join("leases").join(format!("{}.lock", "5".repeat(32)));
    fs::write(&lock, "compose").unwrap();
    fs::set_permissions(&lock, fs::Permissions::from_mode(0o600)).unwrap();
    for arguments in [&["store", "verify"][..], &["store", "info"]] {
        shared.run(ANN, arguments, &[]).ok();
    }
}
