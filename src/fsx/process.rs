//! Settings of the process that decide what effects on files do: made once, before the first thread and the first file.
//!
//! - **The umask** takes no bit from the owner: a store or an output that its own maker cannot read again is of use
//!   to nobody, and what the group and others may do stays as the user said.
//! - **A limit on file sizes** (`ulimit -f`, setrlimit(2)) sends a signal that ends a process without a word. With a
//!   handler in its place the write fails with `EFBIG`, which is an error like others. A program that is started
//!   from here gets the signal's own effect again: execve(2) resets handlers.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rustix::fs::Mode;

/// Says whether there is a limit on the sizes of files.
#[must_use]
pub fn limits_files() -> bool {
    rustix::process::getrlimit(rustix::process::Resource::Fsize).current.is_some()
}

/// Makes these settings.
///
/// # Errors
/// When the system takes no handler for a signal: nothing else is changed by that.
pub fn settle() -> io::Result<()> {
    let umask = rustix::process::umask(Mode::RWXU);
    rustix::process::umask(umask - Mode::RWXU);
    // Nobody asks the flag: that the signal is taken is all.
    signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::new(AtomicBool::new(false))).map(|_| ())
}
