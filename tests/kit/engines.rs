//! Container engines of the tests' own: a docker daemon, and a podman with its own storage.
//!
//! Neither is what the machine may have running: images of tests stay out of that, and its settings out of the tests.
//! Both end with the test binary.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::OnceLock;

use crate::command::succeed;
use crate::{inputs, lifetime};

/// The daemon of `$DOCKER_HOST`, else one that is started and ends with this test binary.
#[derive(Debug)]
pub struct Docker {
    host: String,
    /// Keeps the daemon until the binary ends.
    _caretaker: Option<Child>,
}

/// Gives the one daemon of a test binary, if there can be one.
pub fn docker() -> Option<&'static Docker> {
    static DOCKER: OnceLock<Option<Docker>> = OnceLock::new();
    DOCKER
        .get_or_init(|| {
            inputs::superuser()?;
            inputs::peer("docker")?;
            if let Some(host) = std::env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty()) {
                return Some(Docker { host, _caretaker: None });
            }
            inputs::peer("dockerd")?;
            inputs::peer("curl")?;
            // Not under the project: a socket's path has at most 107 bytes.
            let directory = PathBuf::from(format!("/tmp/dlstore-docker-{}", std::process::id()));
            let script = inputs::script("dockerd");
            let caretaker = lifetime::at_end(r#""$1" stop "$2""#, &[&script, &directory]);
            let host = succeed(Command::new(&script).arg("start").arg(&directory)).trim().to_owned();
            Some(Docker { host, _caretaker: Some(caretaker) })
        })
        .as_ref()
}

impl Docker {
    /// A command that speaks to this daemon, and to no other settings.
    pub fn aim<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command.env("DOCKER_HOST", &self.host).env("DOCKER_BUILDKIT", "0").env_remove("DOCKER_CONTEXT")
    }

    /// Runs a command of docker, which must succeed, and gives what it printed.
    pub fn run(&self, arguments: &[&str]) -> String {
        succeed(self.aim(Command::new("docker").args(arguments)))
    }

    /// Runs a program in a new container, and gives what it printed.
    pub fn container(&self, arguments: &[&str]) -> String {
        self.run(&[&["run", "--rm", "--network", "none"], arguments].concat())
    }

    /// Builds a directory with a Dockerfile as its readers would.
    pub fn build(&self, tag: &str, directory: &Path) {
        self.run(&["build", "--network", "none", "--quiet", "--tag", tag, directory.to_str().unwrap()]);
    }

    /// Makes the images that the examples compile in, once.
    pub fn builders(&self) {
        static MADE: OnceLock<()> = OnceLock::new();
        MADE.get_or_init(|| {
            succeed(self.aim(&mut Command::new(inputs::script("builder-images"))));
        });
    }
}

/// A podman with a storage of its own.
#[derive(Debug)]
pub struct Podman(tempfile::TempDir);

impl Podman {
    /// One with an empty storage, if the machine has what it takes.
    pub fn new() -> Option<Self> {
        inputs::superuser()?;
        inputs::peer("podman")?;
        inputs::peer("runc")?;
        // Not under the project: its paths have at most 50 bytes.
        Some(Self(tempfile::tempdir().unwrap()))
    }

    /// Where its storage lies.
    pub fn directory(&self) -> &Path {
        self.0.path()
    }

    /// Runs a command of podman, which must succeed, and gives what it printed.
    pub fn run(&self, arguments: &[&str]) -> String {
        succeed(Command::new(inputs::script("podman")).arg(self.0.path()).args(arguments))
    }

    /// Runs a program in a new container, and gives what it printed.
    pub fn container(&self, arguments: &[&str]) -> String {
        self.run(&[&["run", "--rm"], arguments].concat())
    }
}
