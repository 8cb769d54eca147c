//! Any command, run to its end: how it ended, what it said, how much memory it held.
//!
//! Whoever expects success takes [`succeed`] or [`Done::ok`], which show what was said when it comes otherwise.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, ExitStatus, Output};
use std::time::Duration;

/// How a command ended and what it said.
#[derive(Debug)]
pub struct Done {
    /// How it ended.
    pub status: ExitStatus,
    /// All of stdout, which is text.
    pub out: String,
    /// All of stderr, which is text.
    pub err: String,
}

impl Done {
    /// The exit code, unless a signal ended it.
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// The signal that ended it.
    pub fn signal(&self) -> Option<i32> {
        self.status.signal()
    }

    /// Asserts success.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert!(self.status.success(), "{:?}\n{}\n{}", self.status, self.out, self.err);
        self
    }

    /// Gives the lines of stderr that begin with a label, without it.
    pub fn lines(&self, label: &str) -> Vec<&str> {
        self.err.lines().filter_map(|line| line.strip_prefix(label)).map(str::trim).collect()
    }

    /// Asserts a failure (exit code 1) and gives the sentence.
    #[track_caller]
    pub fn error(&self) -> String {
        assert_eq!(self.code(), Some(1), "{self:?}");
        let errors = self.lines("error:");
        assert_eq!(errors.len(), 1, "{self:?}");
        errors[0].to_owned()
    }

    /// Gives the sentence of a failure without the lines of definitions that it names: for tests of what it says otherwise.
    #[track_caller]
    pub fn sentence(&self) -> String {
        without_lines(&self.error())
    }
}

/// Takes `images/demo/image.toml:3: ` out of a sentence, and ` (images/demo/image.toml:3: files."/run")` behind an origin.
pub fn without_lines(text: &str) -> String {
    let number = |rest: &str| rest.find(|c: char| !c.is_ascii_digit()).filter(|end| *end > 0);
    let mut left = text.to_owned();
    while let Some(at) = left.find(".toml:") {
        let (before, rest) = (&left[..at], &left[at + ".toml:".len()..]);
        let Some(behind) = number(rest).and_then(|end| rest[end..].strip_prefix(": ")) else { break };
        left = match before.rfind(" (").filter(|open| !before[open + 2..].contains(' ')) {
            Some(open) => format!("{}{}", &before[..open], behind.split_once(')').map_or("", |(_, behind)| behind)),
            None => format!("{}{behind}", &before[..before.rfind([' ', '\n']).map_or(0, |space| space + 1)]),
        };
    }
    left
}

/// Runs a command, whose output is captured, to its end.
pub fn finish(mut command: Command) -> Done {
    done(command.output().unwrap())
}

/// Reads what a child left that has ended.
pub fn done(output: Output) -> Done {
    Done {
        status: output.status,
        out: String::from_utf8(output.stdout).expect("stdout is text"),
        err: String::from_utf8(output.stderr).expect("stderr is text"),
    }
}

/// Runs a command that has to succeed, and gives what it printed.
#[track_caller]
pub fn succeed(command: &mut Command) -> String {
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

/// Runs a command and gives the most memory that it held, in bytes. stdout and stderr are pipes.
pub fn finish_measured(mut command: Command) -> (Done, u64) {
    let mut child = command.spawn().unwrap();
    let read = |mut pipe: Box<dyn std::io::Read + Send>| {
        std::thread::spawn(move || {
            let mut text = String::new();
            pipe.read_to_string(&mut text).unwrap();
            text
        })
    };
    let out = read(Box::new(child.stdout.take().unwrap()));
    let err = read(Box::new(child.stderr.take().unwrap()));
    let (status, most) = watched(&mut child).unwrap();
    (Done { status, out: out.join().unwrap(), err: err.join().unwrap() }, most)
}

/// Waits for a child and gives how it ended and its peak of resident memory in bytes (`VmHWM`).
///
/// The kernel's own peak is read again and again while the process lives: it never falls, so that only what is first
/// touched in the last fraction of a millisecond can be missed. (`ru_maxrss` is no alternative: a child that shares its
/// parent's memory until it calls `exec` inherits the peak of the parent.) Somebody has to read what the child says, if
/// that does not fit its pipes.
pub fn watched(child: &mut Child) -> std::io::Result<(ExitStatus, u64)> {
    let file = format!("/proc/{}/status", child.id());
    let mut most = 0;
    loop {
        if let Some(now) = fs::read_to_string(&file).ok().as_deref().and_then(high_water) {
            most = most.max(now);
        }
        if let Some(status) = child.try_wait()? {
            return Ok((status, most));
        }
        std::thread::sleep(Duration::from_micros(200));
    }
}

fn high_water(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes << 10)
}
