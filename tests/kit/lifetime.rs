//! What outlives a test but not its binary: one directory, and daemons.
//!
//! A test binary has no last moment of its own: statics are not dropped. So a caretaker waits on a
//! pipe that nobody writes to; the kernel closes it when the binary ends, however it ends, and the
//! caretaker cleans up.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

/// Does `script` (with `arguments` as `$1...`) when this process has ended.
pub fn at_end(script: &str, arguments: &[&Path]) -> Child {
    Command::new("bash")
        .args(["-c", &format!("cat >/dev/null; {script}"), "caretaker"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // A terminal's Ctrl-C ends the tests and not the cleaning.
        .process_group(0)
        .spawn()
        .unwrap()
}

/// The directory of this test binary, gone when it has ended.
pub fn directory() -> &'static Path {
    static DIRECTORY: OnceLock<(PathBuf, Child)> = OnceLock::new();
    &DIRECTORY
        .get_or_init(|| {
            // Beside the binary: what is made is large, and the system's own place may be in memory.
            let binary = std::env::current_exe().unwrap();
            let directory = binary.with_file_name("tmp").join(format!("dlstore-{}", std::process::id()));
            std::fs::create_dir_all(&directory).unwrap();
            let caretaker = at_end(r#"rm -rf -- "$1""#, &[&directory]);
            (directory, caretaker)
        })
        .0
}

/// A new directory inside [`directory`].
pub fn temporary() -> tempfile::TempDir {
    tempfile::tempdir_in(directory()).unwrap()
}
