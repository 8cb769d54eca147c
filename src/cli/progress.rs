//! Progress: a line that moves on a terminal, plain lines or nothing elsewhere.
//!
//! It never touches stdout, and says nothing when told to be quiet. What it shows is for the eye only:
//! the closing lines of a command are printed by the command.

use std::io::{IsTerminal, Write as _};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::args::{Global, ProgressArg};
use super::output::{Output, harmless};
use crate::command::context::Listener;

/// Who listens to a use case: notes become lines, steps move a line on or are lines themselves.
pub(super) struct Console {
    out: Output,
    shows: Shows,
    bar: Mutex<Option<ProgressBar>>,
}

/// What is shown of steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shows {
    Moving,
    Plain,
    Nothing,
}

impl Console {
    pub(super) fn new(global: &Global, out: &Output) -> Self {
        // Lines of a log would break the one that moves.
        let moves = global.verbose == 0 && std::io::stderr().is_terminal();
        let shows = match global.progress {
            _ if global.quiet => Shows::Nothing,
            ProgressArg::Auto if moves => Shows::Moving,
            ProgressArg::Plain => Shows::Plain,
            ProgressArg::Auto | ProgressArg::None => Shows::Nothing,
        };
        Self { out: out.clone(), shows, bar: Mutex::new(None) }
    }

    fn with_bar(&self, use_it: impl FnOnce(&ProgressBar)) {
        if let Some(bar) = self.bar.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            use_it(bar);
        }
    }
}

impl Listener for Console {
    fn note(&self, line: &str) {
        self.out.note(line);
    }

    fn begin(&self, verb: &'static str, steps: usize) {
        if self.shows == Shows::Moving {
            let bar = ProgressBar::with_draw_target(Some(steps as u64), ProgressDrawTarget::stderr_with_hz(10));
            let style = ProgressStyle::with_template("{spinner} {prefix} {pos}/{len} {wide_msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.set_prefix(verb);
            bar.enable_steady_tick(Duration::from_millis(200));
            *self.bar.lock().unwrap_or_else(PoisonError::into_inner) = Some(bar);
        }
    }

    fn step(&self, name: &str) {
        if self.shows == Shows::Plain {
            // Nothing can be done about a stderr that is closed.
            let _ = writeln!(std::io::stderr().lock(), "{}", harmless(name));
        }
        self.with_bar(|bar| {
            bar.set_message(harmless(name));
            bar.inc(1);
        });
    }

    fn advance(&self, name: &'static str, total: usize) {
        self.with_bar(|bar| {
            bar.set_length(total as u64);
            bar.set_message(name);
            bar.inc(1);
        });
    }

    fn end(&self) {
        if let Some(bar) = self.bar.lock().unwrap_or_else(PoisonError::into_inner).take() {
            bar.finish_and_clear();
        }
    }
}
