//! The program as its users run it: a child process in a place of its own.
//!
//! ```text
//! PLACE/project   the current directory of every command, with images/NAME/image.toml
//!       home      HOME
//!       store     DLSTORE_ROOT
//!       packages  package files that the tests make
//! ```
#![allow(dead_code, reason = "each test program uses some of it")]

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

pub(crate) mod dice;
pub(crate) mod elf;
pub(crate) mod many;
pub(crate) mod packages;

/// A directory of one's own for a store, a project and packages.
pub(crate) struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self::within(&std::env::temp_dir())
    }

    /// A place below a given directory, for instance on another file system.
    pub(crate) fn within(parent: &Path) -> Self {
        let directory = tempfile::Builder::new().prefix("dlstore-test").tempdir_in(parent).unwrap();
        for name in ["project", "home", "packages"] {
            fs::create_dir(directory.path().join(name)).unwrap();
        }
        Self { directory }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.path().join("store")
    }

    pub(crate) fn project(&self) -> PathBuf {
        self.path().join("project")
    }

    pub(crate) fn packages(&self) -> PathBuf {
        self.path().join("packages")
    }

    /// Writes a package file and gives its path.
    pub(crate) fn package(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.packages().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    /// Writes the definition of an image.
    pub(crate) fn image(&self, name: &str, text: &str) {
        self.project_file(&format!("images/{name}/image.toml"), text.as_bytes());
    }

    /// Writes a file of the project.
    pub(crate) fn project_file(&self, path: &str, bytes: &[u8]) {
        let path = self.project().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// The program with nothing of the test's own environment.
    pub(crate) fn command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dlstore"));
        command.args(arguments).current_dir(self.project()).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.path().join("home")).env("DLSTORE_ROOT", self.store());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs the program to its end.
    pub(crate) fn run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Done {
        finish(self.command(arguments))
    }

    /// Runs the program, which must succeed, and gives its stdout.
    #[track_caller]
    pub(crate) fn ok<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> String {
        self.run(arguments).ok().out
    }

    /// Runs the program with `--json`, and reads the answer.
    #[track_caller]
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let done = self.run(arguments.iter().chain(&["--json"])).ok();
        serde_json::from_str(&done.out).unwrap_or_else(|error| panic!("{arguments:?}: {error}\n{}", done.out))
    }

    /// What `store verify --full` finds and what it notes, as their kinds.
    #[track_caller]
    pub(crate) fn verified(&self) -> (Vec<String>, Vec<String>) {
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
    pub(crate) fn root(&self, beginning: &str) -> String {
        let roots = self.ok(["store", "roots", "list"]);
        let mut found = roots.lines().filter(|name| name.starts_with(beginning));
        let root = found.next().unwrap_or_else(|| panic!("no root {beginning} in\n{roots}"));
        assert_eq!(found.next(), None, "{beginning}");
        root.to_owned()
    }

    /// Lets go of everything, collects, and says what is left in the store's directories.
    #[track_caller]
    pub(crate) fn emptied(&self) -> BTreeMap<&'static str, Vec<String>> {
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
    pub(crate) fn left(&self) -> BTreeMap<&'static str, Vec<String>> {
        ["packs", "sources", "stage", "leases"]
            .into_iter()
            .map(|directory| (directory, names(&self.store().join(directory))))
            .filter(|(_, names)| !names.is_empty())
            .collect()
    }
}

/// How a command ended and what it said.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) status: ExitStatus,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Done {
    pub(crate) fn code(&self) -> Option<i32> {
        self.status.code()
    }

    pub(crate) fn signal(&self) -> Option<i32> {
        self.status.signal()
    }

    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert!(self.status.success(), "{:?}\n{}\n{}", self.status, self.out, self.err);
        self
    }

    /// Gives the lines of stderr that begin with a label, without it.
    pub(crate) fn lines(&self, label: &str) -> Vec<&str> {
        self.err.lines().filter_map(|line| line.strip_prefix(label)).map(str::trim).collect()
    }

    /// Asserts a failure (exit code 1) and gives the sentence.
    #[track_caller]
    pub(crate) fn error(&self) -> String {
        assert_eq!(self.code(), Some(1), "{self:?}");
        let errors = self.lines("error:");
        assert_eq!(errors.len(), 1, "{self:?}");
        errors[0].to_owned()
    }
}

pub(crate) fn finish(mut command: Command) -> Done {
    done(command.output().unwrap())
}

/// Reads what a child left that has ended.
pub(crate) fn done(output: std::process::Output) -> Done {
    Done {
        status: output.status,
        out: String::from_utf8(output.stdout).expect("stdout is text"),
        err: String::from_utf8(output.stderr).expect("stderr is text"),
    }
}

/// Runs a command and gives the most memory that it held, in bytes, as the kernel says it (`VmHWM`).
pub(crate) fn finish_measured(mut command: Command) -> (Done, u64) {
    let mut child = command.spawn().unwrap();
    let status_file = format!("/proc/{}/status", child.id());
    let read = |mut pipe: Box<dyn std::io::Read + Send>| {
        std::thread::spawn(move || {
            let mut text = String::new();
            pipe.read_to_string(&mut text).unwrap();
            text
        })
    };
    let out = read(Box::new(child.stdout.take().unwrap()));
    let err = read(Box::new(child.stderr.take().unwrap()));
    let mut most = 0;
    let status = loop {
        if let Ok(text) = fs::read_to_string(&status_file) {
            let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
            most = most.max(kib.unwrap_or(0) << 10);
        }
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    (Done { status, out: out.join().unwrap(), err: err.join().unwrap() }, most)
}

pub(crate) fn names(directory: &Path) -> Vec<String> {
    let Ok(items) = fs::read_dir(directory) else { return Vec::new() };
    let mut names: Vec<String> = items.map(|item| item.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Everything below a directory: kind and mode, size and content of each path.
pub(crate) fn snapshot(directory: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(next) = directories.pop() {
        for item in fs::read_dir(&next).unwrap() {
            let path = item.unwrap().path();
            let meta = fs::symlink_metadata(&path).unwrap();
            let content = if meta.is_dir() {
                directories.push(path.clone());
                String::new()
            } else if meta.is_symlink() {
                fs::read_link(&path).unwrap().display().to_string()
            } else if meta.is_file() {
                hex(&Sha256::digest(fs::read(&path).unwrap()))
            } else {
                "special".into()
            };
            found.insert(path.strip_prefix(directory).unwrap().to_owned(), format!("{:o} {content}", meta.mode()));
        }
    }
    found
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An OCI layout on disk.
pub(crate) struct Layout(pub(crate) PathBuf);

impl Layout {
    pub(crate) fn blob(&self, digest: &str) -> Vec<u8> {
        let hex = digest.strip_prefix("sha256:").unwrap();
        let bytes = fs::read(self.0.join("blobs/sha256").join(hex)).unwrap();
        assert_eq!(self::hex(&Sha256::digest(&bytes)), hex, "a blob is what its name says");
        bytes
    }

    pub(crate) fn document(&self, digest: &str) -> Value {
        serde_json::from_slice(&self.blob(digest)).unwrap()
    }

    /// The image index that a tag names.
    pub(crate) fn index(&self, tag: &str) -> (String, Value) {
        let top: Value = serde_json::from_slice(&fs::read(self.0.join("index.json")).unwrap()).unwrap();
        let found = top["manifests"].as_array().unwrap().iter();
        let mut found = found.filter(|one| one["annotations"]["org.opencontainers.image.ref.name"] == tag);
        let digest = found.next().unwrap_or_else(|| panic!("no {tag} in {top}"))["digest"].as_str().unwrap().to_owned();
        assert!(found.next().is_none(), "{tag} is there once");
        let index = self.document(&digest);
        (digest, index)
    }

    /// Manifest and configuration of an architecture.
    pub(crate) fn image(&self, tag: &str, arch: &str) -> (Value, Value) {
        let (_, index) = self.index(tag);
        let of = |one: &&Value| one["platform"]["architecture"] == arch;
        let one = index["manifests"].as_array().unwrap().iter().find(of).unwrap_or_else(|| panic!("no {arch}"));
        let manifest = self.document(one["digest"].as_str().unwrap());
        let config = self.document(manifest["config"]["digest"].as_str().unwrap());
        (manifest, config)
    }

    /// Headers and contents of all layers of an architecture, lowest first, by path without slashes.
    pub(crate) fn files(&self, tag: &str, arch: &str) -> BTreeMap<String, (tar::Header, Vec<u8>)> {
        use std::io::Read as _;
        let (manifest, _) = self.image(tag, arch);
        let mut files = BTreeMap::new();
        for layer in manifest["layers"].as_array().unwrap() {
            let bytes = self.blob(layer["digest"].as_str().unwrap());
            let raw: Box<dyn std::io::Read> = if layer["mediaType"].as_str().unwrap().ends_with("zstd") {
                Box::new(zstd::Decoder::new(std::io::Cursor::new(bytes)).unwrap())
            } else {
                Box::new(flate2::read::GzDecoder::new(std::io::Cursor::new(bytes)))
            };
            let mut archive = tar::Archive::new(raw);
            for entry in archive.entries().unwrap() {
                let mut entry = entry.unwrap();
                let path = String::from_utf8_lossy(&entry.path_bytes()).trim_matches('/').to_owned();
                let header = entry.header().clone();
                let mut content = Vec::new();
                entry.read_to_end(&mut content).unwrap();
                files.insert(path, (header, content));
            }
        }
        files
    }
}
