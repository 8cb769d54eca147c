//! Running the program: from start to exit, in an environment that holds nothing of ours.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, ensure};
use dlstore_kit::{program, watched};

/// The program that is measured, in a project that has no images of its own.
pub(crate) struct Program {
    project: PathBuf,
    home: PathBuf,
}

impl Program {
    /// Makes the project's directory beneath `directory`.
    pub(crate) fn new(directory: &Path) -> anyhow::Result<Self> {
        let (project, home) = (directory.join("project"), directory.join("home"));
        fs::create_dir_all(project.join("images"))?;
        fs::create_dir_all(&home)?;
        Ok(Self { project, home })
    }

    /// Gives the project's directory, the current one of every command.
    pub(crate) fn project(&self) -> &Path {
        &self.project
    }

    /// Gives the directory that everything lies in.
    pub(crate) fn directory(&self) -> &Path {
        self.project.parent().unwrap_or(&self.project)
    }

    /// Gives the command for a store.
    pub(crate) fn on(&self, store: &Path, arguments: Vec<OsString>) -> Call {
        Call {
            program: program!().into(),
            arguments,
            project: self.project.clone(),
            variables: vec![("DLSTORE_ROOT".into(), store.into()), ("HOME".into(), self.home.clone().into())],
        }
    }
}

/// One command.
pub(crate) struct Call {
    program: PathBuf,
    arguments: Vec<OsString>,
    project: PathBuf,
    variables: Vec<(OsString, OsString)>,
}

impl Call {
    /// Gives the call of another program.
    pub(crate) fn of(program: impl Into<PathBuf>, arguments: Vec<OsString>) -> Self {
        Self { program: program.into(), arguments, project: "/".into(), variables: Vec::new() }
    }

    fn spawn(&self, errors: Stdio) -> anyhow::Result<Child> {
        Command::new(&self.program)
            .args(&self.arguments)
            .current_dir(&self.project)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(errors)
            .spawn()
            .with_context(|| format!("cannot start {}", self.program.display()))
    }

    fn describe(&self) -> String {
        let words: Vec<_> = self.arguments.iter().map(|word| word.to_string_lossy()).collect();
        format!("{} {}", self.program.display(), words.join(" "))
    }

    /// Runs it to its end, which must be a good one. What it says is dropped.
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let status = self.spawn(Stdio::null())?.wait()?;
        ensure!(status.success(), "{}: {status}", self.describe());
        Ok(())
    }

    /// Runs it for its effect; when it fails, what it said is in the error.
    pub(crate) fn run_once(&self) -> anyhow::Result<()> {
        let output = self.spawn(Stdio::piped())?.wait_with_output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{}: {}\n{said}", self.describe(), output.status);
        Ok(())
    }

    /// Runs it and gives its peak of resident memory in bytes.
    pub(crate) fn peak(&self) -> anyhow::Result<u64> {
        // What it says off a terminal is a few lines: they fit the pipe.
        let mut child = self.spawn(Stdio::piped())?;
        let (status, peak) = watched(&mut child)?;
        let said = String::from_utf8_lossy(&child.wait_with_output()?.stderr).into_owned();
        ensure!(status.success(), "{}: {status}\n{said}", self.describe());
        Ok(peak)
    }
}
