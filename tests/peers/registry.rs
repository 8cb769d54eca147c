//! A registry for a test, and what lies in it.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use dlstore_kit::succeed;

/// A registry of crane's own, in memory, on a free port of this machine.
pub(crate) struct Registry {
    child: Child,
    /// Host and port.
    pub(crate) address: String,
}

impl Registry {
    /// Starts it; it ends with the value.
    pub(crate) fn start() -> Self {
        let mut command = Command::new("crane");
        command.args(["registry", "serve", "--address", "127.0.0.1:0"]).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        let port = line.trim_end().rsplit(' ').next().unwrap().to_owned();
        assert!(port.parse::<u16>().is_ok(), "{line}");
        // It speaks of every request; nobody reads it.
        std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        Self { child, address: format!("127.0.0.1:{port}") }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a command of crane, which must succeed, and gives what it printed.
pub(crate) fn crane(arguments: &[&str]) -> String {
    succeed(Command::new("crane").args(arguments).arg("--insecure"))
}
