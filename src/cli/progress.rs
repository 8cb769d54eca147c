//! Progress: a line that moves on a terminal, plain lines or nothing elsewhere.
//!
//! It never touches stdout, and says nothing when told to be quiet. What it shows is for the eye only:
//! the closing lines of a command are printed by the command.

use std::io::{IsTerminal, Write as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Global;
use super::output::harmless;

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Kind {
    /// A moving line on a terminal, else nothing but the closing lines.
    Auto,
    /// One plain line for each finished step.
    Plain,
    /// Nothing.
    None,
}

/// Shows how far a command is.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    plain: bool,
}

impl Progress {
    pub(super) fn new(global: &Global, total: usize, verb: &'static str) -> Self {
        // Lines of a log would break the one that moves.
        let is_silent = global.quiet || global.verbose > 0;
        let moving = global.progress == Kind::Auto && !is_silent && std::io::stderr().is_terminal();
        let bar = moving.then(|| {
            let bar = ProgressBar::with_draw_target(Some(total as u64), ProgressDrawTarget::stderr_with_hz(10));
            let style = ProgressStyle::with_template("{spinner} {prefix} {pos}/{len} {wide_msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.set_prefix(verb);
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        Self { bar, plain: global.progress == Kind::Plain && !global.quiet }
    }

    /// Takes note of a finished step.
    pub(super) fn step(&self, name: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(harmless(name));
            bar.inc(1);
        } else if self.plain {
            // Nothing can be done about a stderr that is closed.
            let _ = writeln!(std::io::stderr().lock(), "{}", harmless(name));
        }
    }

    /// Moves on by one of a number that is known only now; nothing but a moving line shows it.
    pub(super) fn advance(&self, name: &'static str, total: usize) {
        if let Some(bar) = &self.bar {
            bar.set_length(total as u64);
            bar.set_message(name);
            bar.inc(1);
        }
    }

    /// Removes the moving line.
    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
