//! What a machine may lack: packages, peers, rights. A test says what it needs and is skipped without
//! it; with `DLSTORE_REQUIRE_PEERS=1`, as in CI, it fails. Only the Alpine packages beside the
//! project may always be missing.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::{command, workspace};

/// A file under `tests/`, which need not be there yet.
pub fn script(name: &str) -> PathBuf {
    workspace::root().join("tests").join(name)
}

/// Says that a test is skipped, or fails where nothing may be missing.
pub fn missing<T>(what: &str) -> Option<T> {
    assert!(std::env::var_os("DLSTORE_REQUIRE_PEERS").is_none_or(|value| value != "1"), "{what}");
    println!("skipped: {what}");
    None
}

/// The directory of real Debian packages that `tests/fetch-debs` makes.
pub fn debs() -> Option<PathBuf> {
    let directory = setting("DLSTORE_TEST_DEBS").or_else(|| setting("DLSTORE_DEBS"));
    let directory = directory.unwrap_or_else(|| script("cache/debs"));
    if directory.is_dir() {
        return Some(directory);
    }
    missing(&format!("no Debian packages in {} (tests/fetch-debs makes them)", directory.display()))
}

/// Real Alpine packages, a directory for each of apk's architectures.
pub fn apks() -> Option<PathBuf> {
    given_or_shared("DLSTORE_TEST_APKS", "data/apk/alpine/v3.20")
}

/// The real apk-tools.
pub fn apk_tool() -> Option<PathBuf> {
    given_or_shared("DLSTORE_TEST_APK", "bin/apk")
}

/// A path that the environment gives.
fn setting(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

fn given_or_shared(name: &str, path: &str) -> Option<PathBuf> {
    let Some(path) = setting(name) else { return workspace::shared(path) };
    if path.exists() {
        return Some(path);
    }
    println!("skipped: there is no {}", path.display());
    None
}

/// Looks for a program of the machine, also where only root looks.
pub fn found(program: &str) -> Option<PathBuf> {
    let search = std::env::var_os("PATH").unwrap_or_default();
    let directories = std::env::split_paths(&search).chain(["/usr/sbin".into(), "/sbin".into()]);
    directories.map(|directory| directory.join(program)).find(|path| path.is_file())
}

/// Asks for a program of the machine.
pub fn peer(program: &str) -> Option<()> {
    found(program).map(drop).or_else(|| missing(&format!("{program} is not installed (tests/install-peers)")))
}

/// Asks to be root: other roots, owners and daemons need it.
pub fn superuser() -> Option<()> {
    if rustix::process::geteuid().is_root() { Some(()) } else { missing("only root can do this") }
}

/// The programs for all architectures that `tests/foreign-programs` makes.
pub fn programs() -> Option<&'static Path> {
    static MADE: OnceLock<Option<PathBuf>> = OnceLock::new();
    MADE.get_or_init(|| {
        peer("s390x-linux-gnu-gcc")?;
        peer("qemu-s390x-static")?;
        let directory = script("cache/programs");
        let mut command = Command::new(script("foreign-programs"));
        command.arg(debs()?).arg(&directory).args(apks());
        command::succeed(&mut command);
        Some(directory)
    })
    .as_deref()
}
