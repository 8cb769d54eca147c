//! What a machine may lack: packages, peers, rights. A test says what it needs and is skipped without
//! it; with `DLSTORE_REQUIRE_PEERS=1`, as in CI, it fails. Only the Alpine packages beside the
//! project may always be missing.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The project's directory.
pub(crate) fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A file under `tests/`.
pub(crate) fn script(name: &str) -> PathBuf {
    project().join("tests").join(name)
}

/// Says that a test is skipped, or fails where nothing may be missing.
fn missing<T>(what: &str) -> Option<T> {
    assert!(std::env::var_os("DLSTORE_REQUIRE_PEERS").is_none_or(|value| value != "1"), "{what}");
    println!("skipped: {what}");
    None
}

/// The directory of real Debian packages that `tests/fetch-debs` makes.
pub(crate) fn debs() -> Option<PathBuf> {
    let directory = setting("DLSTORE_TEST_DEBS").or_else(|| setting("DLSTORE_DEBS"));
    let directory = directory.unwrap_or_else(|| script("cache/debs"));
    if directory.is_dir() {
        return Some(directory);
    }
    missing(&format!("no Debian packages in {} (tests/fetch-debs makes them)", directory.display()))
}

/// Real Alpine packages, a directory for each of apk's architectures.
pub(crate) fn apks() -> Option<PathBuf> {
    beside("DLSTORE_TEST_APKS", "../shared/data/apk/alpine/v3.20")
}

/// The real apk-tools.
pub(crate) fn apk_tool() -> Option<PathBuf> {
    beside("DLSTORE_TEST_APK", "../shared/bin/apk")
}

/// A path that the environment gives.
fn setting(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

fn beside(name: &str, path: &str) -> Option<PathBuf> {
    let path = setting(name).unwrap_or_else(|| project().join(path));
    if path.exists() {
        return Some(path);
    }
    println!("skipped: there is no {}", path.display());
    None
}

/// Asks for a program of the machine.
pub(crate) fn peer(program: &str) -> Option<()> {
    let search = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&search).chain(["/usr/sbin".into()]).any(|dir| dir.join(program).is_file());
    if found { Some(()) } else { missing(&format!("{program} is not installed (tests/install-peers)")) }
}

/// Asks to be root: other roots, owners and daemons need it.
pub(crate) fn superuser() -> Option<()> {
    if rustix::process::geteuid().is_root() { Some(()) } else { missing("only root can do this") }
}

/// The programs for all architectures that `tests/foreign-programs` makes.
pub(crate) fn programs() -> Option<&'static Path> {
    static MADE: OnceLock<Option<PathBuf>> = OnceLock::new();
    MADE.get_or_init(|| {
        peer("s390x-linux-gnu-gcc")?;
        peer("qemu-s390x-static")?;
        let directory = script("cache/programs");
        let mut command = Command::new(script("foreign-programs"));
        command.arg(debs()?).arg(&directory).args(apks());
        super::program::succeed(&mut command);
        Some(directory)
    })
    .as_deref()
}
