//! The program as its users run it: a child process in a place of its own.
//!
//! ```text
//! PLACE/project   the current directory of every command, with images/NAME/image.toml
//!       home      HOME
//!       store     DLSTORE_ROOT
//!       packages  package files that the tests make
//! ```
//! Nothing of the test's own environment reaches it, but for the PATH.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::command::{Done, finish};
use crate::files::names;

/// A directory of one's own for a store, a project and packages, and the program that works in it.
#[derive(Debug)]
pub struct Place {
    program: PathBuf,
    path: PathBuf,
    /// A directory that was made for this and goes with it.
    temporary: Option<tempfile::TempDir>,
}

impl Place {
    /// A new place for a program; [`place!`](crate::place) is the shorter way to it.
    pub fn new(program: &str) -> Self {
        Self::within(program, &std::env::temp_dir())
    }

    /// A new place below a given directory, for instance on another file system.
    pub fn within(program: &str, parent: &Path) -> Self {
        let directory = tempfile::Builder::new().prefix("dlstore-test").tempdir_in(parent).unwrap();
        let mut place = Self::at(program, directory.path());
        place.temporary = Some(directory);
        place
    }

    /// A place that is a given directory, which stays.
    pub fn at(program: &str, directory: &Path) -> Self {
        for name in ["project", "home", "packages"] {
            fs::create_dir_all(directory.join(name)).unwrap();
        }
        Self { program: program.into(), path: directory.to_owned(), temporary: None }
    }

    /// Where all of it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The store, which may not be there yet.
    pub fn store(&self) -> PathBuf {
        self.path.join("store")
    }

    /// The current directory of commands.
    pub fn project(&self) -> PathBuf {
        self.path.join("project")
    }

    /// The directory of package files: `../packages` in commands.
    pub fn packages(&self) -> PathBuf {
        self.path.join("packages")
    }

    /// Writes a package file and gives its path.
    pub fn package(&self, name: &str, bytes: &[u8]) -> PathBuf {
        write(self.packages().join(name), bytes)
    }

    /// Writes the definition of an image.
    pub fn image(&self, name: &str, text: &str) {
        self.project_file(&format!("images/{name}/image.toml"), text.as_bytes());
    }

    /// Writes a file of the project.
    pub fn project_file(&self, path: &str, bytes: &[u8]) {
        write(self.project().join(path), bytes);
    }

    /// The program with nothing of the test's own environment.
    pub fn command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments);
        self.surround(&mut command);
        command
    }

    /// Gives any command the surroundings that the program has here.
    pub fn surround(&self, command: &mut Command) {
        command.current_dir(self.project()).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.path.join("home")).env("DLSTORE_ROOT", self.store());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    }

    /// Opens the index as SQLite sees it: to look at its rows, or to damage them.
    pub fn index(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.store().join("index.db")).unwrap()
    }

    /// Runs the program to its end.
    pub fn run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Done {
        finish(self.command(arguments))
    }

    /// Runs the program, which must succeed, and gives its stdout.
    #[track_caller]
    pub fn ok<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> String {
        self.run(arguments).ok().out
    }

    /// Runs the program with `--json`, and reads the answer.
    #[track_caller]
    pub fn json(&self, arguments: &[&str]) -> Value {
        let done = self.run(arguments.iter().chain(&["--json"])).ok();
        serde_json::from_str(&done.out).unwrap_or_else(|error| panic!("{arguments:?}: {error}\n{}", done.out))
    }

    /// What `store verify --full` finds and what it notes, as their kinds.
    #[track_caller]
    pub fn verified(&self) -> (Vec<String>, Vec<String>) {
        let done = self.run(["store", "verify", "--full", "--json"]);
        let report: Value = serde_json::from_str(&done.out).unwrap_or_else(|_| panic!("verify: {done:?}"));
        let lines = |key: &str| {
            let items = report[key].as_array().unwrap().iter();
            items.map(|item| format!("{} {}", item["kind"].as_str().unwrap(), item["detail"])).collect()
        };
        (lines("findings"), lines("notes"))
    }

    /// Gives the one root whose name begins so: the rest says which source, which project.
    #[track_caller]
    pub fn root(&self, beginning: &str) -> String {
        let roots = self.ok(["store", "roots", "list"]);
        let mut found = roots.lines().filter(|name| name.starts_with(beginning));
        let root = found.next().unwrap_or_else(|| panic!("no root {beginning} in\n{roots}"));
        assert_eq!(found.next(), None, "{beginning}");
        root.to_owned()
    }

    /// Lets go of everything, collects, and says what is left in the store's directories.
    #[track_caller]
    pub fn emptied(&self) -> BTreeMap<&'static str, Vec<String>> {
        let roots = self.json(&["store", "roots", "list"]);
        let names: Vec<&str> =
            roots["roots"].as_array().unwrap().iter().map(|root| root["name"].as_str().unwrap()).collect();
        if !names.is_empty() {
            self.ok(["store", "roots", "remove"].into_iter().chain(names));
        }
        self.ok(["store", "gc", "--grace", "0", "--orphan-sources"]);
        self.left()
    }

    /// Names in the store's directories, of those that are not empty.
    pub fn left(&self) -> BTreeMap<&'static str, Vec<String>> {
        ["packs", "sources", "stage", "leases"]
            .into_iter()
            .map(|directory| (directory, names(&self.store().join(directory))))
            .filter(|(_, names)| !names.is_empty())
            .collect()
    }
}

fn write(path: PathBuf, bytes: &[u8]) -> PathBuf {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, bytes).unwrap();
    path
}
