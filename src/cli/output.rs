//! Printing: the only place that writes to stdout and stderr.
//!
//! A result that cannot be written is a failure, whatever was done. Two ways not to want it are none: once a reader went
//! away nothing more is printed to it, and the command goes on to its errors and its own exit code; and a stdout that was
//! closed before the program began is `/dev/null` to it, as to git (`sanitize_stdfds` in its `setup.c`) and to cargo
//! (Rust's runtime opens it).
//!
//! Foreign names in a result cannot steer a terminal, nor the service that runs a job and reads commands out of its
//! log. JSON always carries the version of its shape.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;

use dlstore_model::diagnose::Kind;
use dlstore_model::escape::is_hostile;
use dlstore_model::quantity::Size;

/// How much is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Loudness {
    /// Results and errors.
    Quiet,
    /// What people want to know.
    Normal,
    /// What the curious want to know too.
    Verbose,
}

/// Where a command's words go.
#[derive(Debug, Clone)]
pub(super) struct Output {
    loudness: Loudness,
    color: bool,
}

impl Output {
    pub(super) fn new(loudness: Loudness) -> Self {
        let color = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { loudness, color }
    }

    /// Prints one line of the result, while there is a reader.
    #[expect(clippy::unused_self, reason = "results are printed by whoever holds the output")]
    pub(super) fn result(&self, line: &str) -> anyhow::Result<()> {
        to_reader(&format!("{}\n", harmless(line).replace('\n', "\\u{a}"))).map_err(unwritten)
    }

    /// Prints bytes as they are: what another program reads.
    #[expect(clippy::unused_self, reason = "results are printed by whoever holds the output")]
    pub(super) fn raw(&self, bytes: &[u8]) -> anyhow::Result<()> {
        match io::stdout().lock().write_all(bytes) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            outcome => outcome.map_err(unwritten),
        }
    }

    /// Prints a table, a row for each item: columns lined up, the last one ragged. Cells are made twice, once for their
    /// widths, because there may be 100,000 rows.
    pub(super) fn table<T, const N: usize>(
        &self,
        items: &[T],
        cells: impl Fn(&T) -> [String; N],
    ) -> anyhow::Result<()> {
        let mut widths = [0_usize; N];
        for cells in items.iter().map(&cells) {
            for (width, cell) in widths.iter_mut().zip(cells) {
                *width = (*width).max(cell.chars().count());
            }
        }
        items.iter().map(cells).try_for_each(|cells| {
            let mut line = String::new();
            for (at, (cell, width)) in cells.iter().zip(widths).enumerate() {
                line.push_str(cell);
                // A width of `format!` has sixteen bits, and a name may be longer.
                let padding = if at + 1 < N { width.saturating_sub(cell.chars().count()) + 2 } else { 0 };
                line.extend(std::iter::repeat_n(' ', padding));
            }
            self.result(line.trim_end())
        })
    }

    /// Prints a report as JSON, line by line while it is made, with the version of its shape.
    #[expect(clippy::unused_self, reason = "results are printed by whoever holds the output")]
    pub(super) fn json(&self, report: &impl Serialize) -> anyhow::Result<()> {
        let mut lines = Lines::default();
        serde_json::to_writer_pretty(&mut lines, &Versioned { schema: SCHEMA, report })
            .map_err(|error| unwritten(error.into()))?;
        lines.write_all(b"\n").and_then(|()| lines.flush()).map_err(unwritten)
    }

    /// Prints an object of JSON on a line of stderr, for a program that shows what is going on.
    pub(super) fn event(&self, event: &impl Serialize) {
        if self.loudness >= Loudness::Normal
            && let Ok(line) = serde_json::to_string(event)
        {
            // Nothing can be done about a stderr that is closed.
            let _ = writeln!(io::stderr().lock(), "{}", harmless_json(&line));
        }
    }

    /// Says something to people.
    pub(super) fn say(&self, line: &str) {
        if self.loudness >= Loudness::Normal {
            self.error_line("", line);
        }
    }

    /// Says something that only the curious want to know.
    pub(super) fn detail(&self, line: &str) {
        if self.loudness >= Loudness::Verbose {
            self.error_line("", line);
        }
    }

    /// Says something to take note of.
    pub(super) fn note(&self, line: &str) {
        if self.loudness >= Loudness::Normal {
            self.error_line(&format!("{} ", self.paint("note:", "36")), line);
        }
    }

    /// Says something that is probably a mistake.
    pub(super) fn warn(&self, line: &str) {
        if self.loudness >= Loudness::Normal {
            self.error_line(&format!("{} ", self.paint("warning:", "33")), line);
        }
    }

    /// Prints an error's line.
    pub(super) fn error(&self, label: &str, line: &str) {
        let label = self.paint(label, if label == "error:" { "1;31" } else { "1" });
        self.error_line(&format!("{label} "), line);
    }

    /// Says whether stderr takes colours.
    pub(super) const fn has_color(&self) -> bool {
        self.color
    }

    fn paint(&self, text: &str, code: &str) -> String {
        if self.color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    #[expect(clippy::unused_self, reason = "one way to stderr")]
    fn error_line(&self, label: &str, line: &str) {
        // Nothing can be done about a stderr that is closed.
        let _ = writeln!(io::stderr().lock(), "{label}{}", harmless(line));
    }
}

/// Says that a result could not be written.
pub(super) fn unwritten(error: io::Error) -> anyhow::Error {
    let is_full = Kind::of_io(&error) == Kind::Full;
    anyhow::Error::new(error).context(if is_full { "no space left for stdout" } else { "cannot write to stdout" })
}

/// Whoever read stdout went away: there is one stdout, however many outputs.
static IS_UNREAD: AtomicBool = AtomicBool::new(false);

/// Writes to stdout while somebody reads it. That nobody does is no failure, and hides none.
fn to_reader(text: &str) -> io::Result<()> {
    if IS_UNREAD.load(Ordering::Relaxed) {
        return Ok(());
    }
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
            IS_UNREAD.store(true, Ordering::Relaxed);
            Ok(())
        }
        outcome => outcome,
    }
}

/// The version of the shapes of reports in JSON.
const SCHEMA: u32 = 1;

/// A report with the version of its shape.
#[derive(Serialize)]
struct Versioned<'r, R: Serialize> {
    schema: u32,
    #[serde(flatten)]
    report: &'r R,
}

/// Prints JSON, each line made harmless, in pieces: a long answer is neither held whole nor written line by line. No
/// string of JSON has a line break in it.
#[derive(Default)]
struct Lines {
    line: Vec<u8>,
    ready: String,
}

/// Bytes of JSON that are written at once.
const PIECE: usize = 64 << 10;

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let end = bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |end| end + 1);
        self.line.extend_from_slice(&bytes[..end]);
        if self.line.last() == Some(&b'\n') {
            self.ready.push_str(&harmless_json(&String::from_utf8_lossy(&self.line)));
            self.line.clear();
            if self.ready.len() >= PIECE {
                self.flush()?;
            }
        }
        Ok(end)
    }

    fn flush(&mut self) -> io::Result<()> {
        to_reader(&self.ready)?;
        self.ready.clear();
        Ok(())
    }
}

/// Foreign names may stand in a line; a control character in one must not steer the terminal, and what a
/// CI service takes for a command of its own is written so that it is none.
pub(super) fn harmless(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for (at, line) in text.split('\n').enumerate() {
        shown.push_str(if at > 0 { "\n" } else { "" });
        let start = line.len() - line.trim_start().len();
        let is_command = line[start..].starts_with("::");
        for (at, c) in line.char_indices() {
            let is_hidden = c != '\t' && is_hostile(c);
            if is_hidden || (is_command && at == start) || begins_log_command(&line[at..]) {
                shown.extend(c.escape_unicode());
            } else {
                shown.push(c);
            }
        }
    }
    shown
}

/// Says whether this is a command that a service reads out of a log wherever it stands: `##[group]` (GitHub,
/// Azure), `##vso[task.setvariable ...]` (Azure), `##teamcity[...]`. Those that begin a line,
/// `::set-output ...` (GitHub), are seen to where lines are.
///
/// <https://learn.microsoft.com/azure/devops/pipelines/scripts/logging-commands>,
/// <https://docs.github.com/actions/reference/workflow-commands-for-github-actions>
fn begins_log_command(text: &str) -> bool {
    let behind = text.strip_prefix("##").map(|text| text.trim_start_matches(|c: char| c.is_ascii_alphabetic()));
    behind.is_some_and(|text| text.starts_with('['))
}

/// Writes hostile characters, which stand only within strings, as JSON itself can say them. No line of
/// JSON begins with a colon.
fn harmless_json(text: &str) -> String {
    use std::fmt::Write as _;
    let mut units = [0; 2];
    let mut escaped = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        if c == '\n' || !(is_hostile(c) || begins_log_command(&text[at..])) {
            escaped.push(c);
        } else {
            for unit in c.encode_utf16(&mut units) {
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        }
    }
    escaped
}

/// Writes a number of bytes for people: `475 kB`, `4.07 MB`.
#[must_use]
pub(super) fn size(bytes: u64) -> String {
    Size(bytes).to_string()
}

/// Writes a count with its noun: `1 package`, `3 packages`.
#[must_use]
pub(super) fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_of_foreign_text_is_a_command_of_a_ci_service() {
        for (text, shown) in [
            ("a ##[error]b", "a \\u{23}#[error]b"),
            ("##vso[task.setvariable variable=x]y", "\\u{23}#vso[task.setvariable variable=x]y"),
            ("###[x]##teamcity[y]", "#\\u{23}#[x]\\u{23}#teamcity[y]"),
            ("::set-output name=x::y", "\\u{3a}:set-output name=x::y"),
            ("fine\n  ::error::x", "fine\n  \\u{3a}:error::x"),
            ("a\tb\r::x", "a\tb\\u{d}::x"),
            ("std::fmt, ## heading, #[test], a::b", "std::fmt, ## heading, #[test], a::b"),
            ("x\u{200b}\u{e0041}\u{ad}", "x\\u{200b}\\u{e0041}\\u{ad}"),
        ] {
            assert_eq!(harmless(text), shown);
        }
    }

    #[test]
    fn json_says_the_same_and_prints_no_command() {
        let value = serde_json::json!({"##[a]": "::b\n##vso[c]\u{e0041}\u{7f}\\x01"});
        let text = harmless_json(&serde_json::to_string_pretty(&value).unwrap());
        assert!(!text.contains("##") && text.is_ascii(), "{text}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }
}
