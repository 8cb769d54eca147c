//! The program, run as its users run it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// Runs a command that has to succeed, and gives what it printed.
pub(crate) fn succeed(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// A directory with a store and a directory to work in.
#[derive(Debug)]
pub(crate) struct Place {
    directory: PathBuf,
}

impl Place {
    /// Takes a directory, which exists.
    pub(crate) fn new(directory: &Path) -> Self {
        std::fs::create_dir_all(directory.join("work")).unwrap();
        Self { directory: directory.to_owned() }
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.directory.join("store")
    }

    pub(crate) fn work(&self) -> PathBuf {
        self.directory.join("work")
    }

    /// A command of the program, with nothing of the caller's settings.
    pub(crate) fn command<S: AsRef<std::ffi::OsStr>>(&self, arguments: &[S]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dlstore"));
        let settings = std::env::vars_os().map(|(name, _)| name);
        for name in settings.filter(|name| name.to_string_lossy().starts_with("DLSTORE_")) {
            command.env_remove(name);
        }
        command.env_remove("SOURCE_DATE_EPOCH");
        command.args(arguments).env("DLSTORE_ROOT", self.store()).current_dir(self.work());
        command
    }

    /// Runs it, whatever comes of it.
    pub(crate) fn attempt<S: AsRef<std::ffi::OsStr>>(&self, arguments: &[S]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs what has to succeed, and gives its standard output.
    pub(crate) fn run<S: AsRef<std::ffi::OsStr>>(&self, arguments: &[S]) -> String {
        succeed(&mut self.command(arguments))
    }

    /// Runs what has to succeed and prints JSON.
    pub(crate) fn json<S: AsRef<std::ffi::OsStr>>(&self, arguments: &[S]) -> Value {
        serde_json::from_str(&self.run(arguments)).unwrap()
    }
}
