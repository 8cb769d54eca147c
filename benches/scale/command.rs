//! Running the program on a store: from start to exit, in an environment that holds nothing of ours.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

/// A directory with a store, a project and packages.
pub(crate) struct Place(PathBuf);

/// How a command went.
pub(crate) struct Run {
    /// From start to exit, in seconds.
    pub(crate) seconds: f64,
    /// The most memory that it held, in bytes.
    pub(crate) peak: u64,
}

impl Place {
    /// Makes an empty place.
    pub(crate) fn new(directory: PathBuf) -> anyhow::Result<Self> {
        for name in ["project/images", "home", "packages"] {
            fs::create_dir_all(directory.join(name))?;
        }
        Ok(Self(directory))
    }

    /// Gives the directory of the store, which may not be there yet.
    pub(crate) fn store(&self) -> PathBuf {
        self.0.join("store")
    }

    /// Gives the directory of package files.
    pub(crate) fn packages(&self) -> PathBuf {
        self.0.join("packages")
    }

    /// Writes the definition of an image.
    pub(crate) fn image(&self, name: &str, text: &str) -> anyhow::Result<()> {
        Ok(fs::write(self.0.join(format!("project/images/{name}.toml")), format!("schema = 1\n{text}"))?)
    }

    fn prepare(&self, mut command: Command, arguments: &[&str]) -> Command {
        command.args(arguments).current_dir(self.0.join("project")).env_clear();
        command.env("PATH", "/usr/bin:/bin").env("HOME", self.0.join("home")).env("DLSTORE_ROOT", self.store());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    fn spawn(&self, arguments: &[&str]) -> anyhow::Result<Child> {
        let command = Command::new(env!("CARGO_BIN_EXE_dlstore"));
        self.prepare(command, arguments).spawn().context("cannot start the program")
    }

    /// Runs it to its end, which must be this exit code, and gives its time in seconds.
    pub(crate) fn time(&self, arguments: &[&str], code: i32) -> anyhow::Result<f64> {
        let begun = Instant::now();
        let output = self.spawn(arguments)?.wait_with_output()?;
        let seconds = begun.elapsed().as_secs_f64();
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.code() == Some(code), "{}: {}\n{said}", arguments.join(" "), output.status);
        Ok(seconds)
    }

    /// Runs it to its end, which must be a good one, and reads its peak of memory (`VmHWM`, which never falls)
    /// while it lives. It says little: that fits the pipe.
    pub(crate) fn measure(&self, arguments: &[&str]) -> anyhow::Result<Run> {
        let begun = Instant::now();
        let mut child = self.spawn(arguments)?;
        let (file, mut peak) = (format!("/proc/{}/status", child.id()), 0);
        while child.try_wait()?.is_none() {
            peak = peak.max(fs::read_to_string(&file).ok().as_deref().and_then(high_water).unwrap_or(0));
            std::thread::sleep(Duration::from_micros(300));
        }
        let seconds = begun.elapsed().as_secs_f64();
        let output = child.wait_with_output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{}: {}\n{said}", arguments.join(" "), output.status);
        Ok(Run { seconds, peak })
    }

    /// Counts the calls that bring something to the disk; `None` where there is no strace.
    pub(crate) fn syncs(&self, arguments: &[&str]) -> anyhow::Result<Option<u64>> {
        let trace = self.0.join("trace");
        let mut strace = Command::new("strace");
        strace.args([
            "-f",
            "-qq",
            "-e",
            "trace=fsync,fdatasync,syncfs,sync,sync_file_range",
            "-e",
            "signal=none",
            "-o",
        ]);
        strace.arg(&trace).arg(env!("CARGO_BIN_EXE_dlstore"));
        let Ok(child) = self.prepare(strace, arguments).spawn() else { return Ok(None) };
        let output = child.wait_with_output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "strace {}: {}\n{said}", arguments.join(" "), output.status);
        let text = fs::read_to_string(trace)?;
        Ok(Some(text.lines().filter(|line| line.contains("sync") && !line.contains("resumed")).count() as u64))
    }

    /// Adds new packages one by one as long as something else runs, and gives the longest time of one.
    pub(crate) fn longest_add(
        &self,
        mut next: impl FnMut() -> anyhow::Result<PathBuf>,
        is_over: impl Fn() -> bool,
    ) -> anyhow::Result<f64> {
        let mut longest = 0.0_f64;
        while !is_over() {
            longest = longest.max(self.time(&["add", text(&next()?)?], 0)?);
        }
        Ok(longest)
    }
}

/// Gives a path that is text, as all of ours are.
pub(crate) fn text(path: &Path) -> anyhow::Result<&str> {
    OsStr::to_str(path.as_os_str()).with_context(|| format!("{} is not text", path.display()))
}

fn high_water(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes << 10)
}
