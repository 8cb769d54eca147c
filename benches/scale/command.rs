//! Running the program on a store: from start to exit, in an environment that holds nothing of ours.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, ensure};
use dlstore_kit::{Place, program, watched};

/// How a command went.
pub(crate) struct Run {
    /// From start to exit, in seconds.
    pub(crate) seconds: f64,
    /// The most memory that it held, in bytes.
    pub(crate) peak: u64,
}

fn spawn(place: &Place, arguments: &[&str]) -> anyhow::Result<Child> {
    place.command(arguments).stdout(Stdio::null()).spawn().context("cannot start the program")
}

/// Runs it to its end, which must be this exit code, and gives its time in seconds.
pub(crate) fn time(place: &Place, arguments: &[&str], code: i32) -> anyhow::Result<f64> {
    let begun = Instant::now();
    let output = spawn(place, arguments)?.wait_with_output()?;
    let seconds = begun.elapsed().as_secs_f64();
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.code() == Some(code), "{}: {}\n{said}", arguments.join(" "), output.status);
    Ok(seconds)
}

/// Runs it to its end, which must be a good one, and gives its peak of memory too. It says little: that
/// fits the pipe.
pub(crate) fn measure(place: &Place, arguments: &[&str]) -> anyhow::Result<Run> {
    let begun = Instant::now();
    let mut child = spawn(place, arguments)?;
    let (_, peak) = watched(&mut child)?;
    let seconds = begun.elapsed().as_secs_f64();
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {}\n{said}", arguments.join(" "), output.status);
    Ok(Run { seconds, peak })
}

/// Counts the calls that bring something to the disk; `None` where there is no strace.
pub(crate) fn syncs(place: &Place, arguments: &[&str]) -> anyhow::Result<Option<u64>> {
    let trace = place.path().join("trace");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-e", "trace=fsync,fdatasync,syncfs,sync,sync_file_range", "-e", "signal=none", "-o"]);
    strace.arg(&trace).arg(program!()).args(arguments);
    place.surround(&mut strace);
    let Ok(child) = strace.spawn() else { return Ok(None) };
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "strace {}: {}\n{said}", arguments.join(" "), output.status);
    let text = fs::read_to_string(trace)?;
    Ok(Some(text.lines().filter(|line| line.contains("sync") && !line.contains("resumed")).count() as u64))
}

/// The longest of many commands, each in seconds.
#[derive(Clone, Copy, Default)]
pub(crate) struct Longest {
    /// From start to exit.
    pub(crate) time: f64,
    /// For the write lock, as the program's log says.
    pub(crate) wait: f64,
}

/// Adds new packages one by one as long as something else runs, and gives the longest time of one, and the longest
/// wait.
pub(crate) fn longest_add(
    place: &Place,
    next: impl Fn() -> PathBuf,
    is_over: impl Fn() -> bool,
) -> anyhow::Result<Longest> {
    let mut longest = Longest::default();
    while !is_over() {
        let begun = Instant::now();
        let mut command = place.command(["add", text(&next())?]);
        command.env("DLSTORE_LOG", "dlstore_store=debug").stdout(Stdio::null());
        let output = command.spawn().context("cannot start the program")?.wait_with_output()?;
        let seconds = begun.elapsed().as_secs_f64();
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "add: {}\n{said}", output.status);
        let waits = said.lines().filter_map(|line| line.split_once("waited ")?.1.split_once(" ms for the write lock"));
        let wait: f64 = waits.filter_map(|(number, _)| number.parse::<f64>().ok()).sum();
        longest = Longest { time: longest.time.max(seconds), wait: longest.wait.max(wait / 1000.0) };
    }
    Ok(longest)
}

/// Gives a path that is text, as all of ours are.
pub(crate) fn text(path: &Path) -> anyhow::Result<&str> {
    OsStr::to_str(path.as_os_str()).with_context(|| format!("{} is not text", path.display()))
}
