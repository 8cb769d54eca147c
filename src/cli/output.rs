//! Printing: the only place that writes to stdout and stderr.
//!
//! A result that nobody reads any more ends the program quietly, and foreign names in one cannot steer
//! a terminal. JSON always carries the version of its shape.

use std::io::{self, IsTerminal, Write};

use serde_json::Value;

use super::Global;
use dlstore_model::escape::is_hostile;

/// How much is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Quiet,
    Normal,
    Verbose,
}

/// Where a command's words go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Output {
    level: Level,
    color: bool,
}

impl Output {
    pub(super) fn new(global: &Global) -> Self {
        let level = match (global.quiet, global.verbose) {
            (true, _) => Level::Quiet,
            (_, true) => Level::Verbose,
            _ => Level::Normal,
        };
        let color = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { level, color }
    }

    /// Prints one line of the result. A reader that went away ends the program quietly.
    #[expect(clippy::unused_self, reason = "results are printed by whoever holds the output")]
    pub(super) fn result(&self, line: &str) -> anyhow::Result<()> {
        Self::print(&harmless(line).replace('\n', "\\u{a}"))
    }

    fn print(text: &str) -> anyhow::Result<()> {
        let mut stdout = io::stdout().lock();
        match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
            other => Ok(other?),
        }
    }

    /// Prints a result as JSON, with the version of its shape.
    #[expect(clippy::unused_self, reason = "results are printed by whoever holds the output")]
    pub(super) fn json(&self, mut value: Value) -> anyhow::Result<()> {
        if let Value::Object(map) = &mut value {
            map.insert("schema".into(), Value::from(1));
        }
        Self::print(&harmless_json(&serde_json::to_string_pretty(&value)?))
    }

    /// Says something to people.
    pub(super) fn say(&self, line: &str) {
        if self.level >= Level::Normal {
            self.error_line("", line);
        }
    }

    /// Says something that only the curious want to know.
    pub(super) fn detail(&self, line: &str) {
        if self.level >= Level::Verbose {
            self.error_line("", line);
        }
    }

    /// Says something to take note of.
    pub(super) fn note(&self, line: &str) {
        if self.level >= Level::Normal {
            self.error_line(&format!("{} ", self.paint("note:", "36")), line);
        }
    }

    /// Prints an error's line.
    pub(super) fn error(&self, label: &str, line: &str) {
        let label = self.paint(label, if label == "error:" { "1;31" } else { "1" });
        self.error_line(&format!("{label} "), line);
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

/// Foreign names may stand in a line; a control character in one must not steer the terminal.
fn harmless(line: &str) -> String {
    let keep = |c: char| c == '\n' || c == '\t' || !is_hostile(c);
    line.chars().flat_map(|c| if keep(c) { vec![c] } else { c.escape_unicode().collect() }).collect()
}

/// Writes hostile characters, which stand only within strings, as JSON itself can say them.
fn harmless_json(text: &str) -> String {
    use std::fmt::Write as _;
    let mut units = [0; 2];
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if c == '\n' || !is_hostile(c) {
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
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let value = bytes as f64;
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.0} kB", value / 1e3),
        1_000_000..1_000_000_000 => format!("{:.2} MB", value / 1e6),
        _ => format!("{:.2} GB", value / 1e9),
    }
}

/// Writes a count with its noun: `1 package`, `3 packages`.
#[must_use]
pub(super) fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// Lines up columns, the last one ragged.
#[must_use]
pub(super) fn table(rows: &[Vec<String>]) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|at| rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max().unwrap_or(0))
        .collect();
    rows.iter()
        .map(|row| {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        })
        .collect()
}
