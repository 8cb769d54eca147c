//! Progress: a line that moves on a terminal, lines or JSON for whoever asks, and a word now and then on CI.
//!
//! It never touches stdout, and says nothing when told to be quiet. What it shows is for the eye, or for a program that
//! draws it: the closing lines of a command are printed by the command. Of what is only counted, objects that are verified
//! say, there may be millions: a line is printed for each tenth of it, an object of JSON for each hundredth.

use std::io::IsTerminal as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::args::{Global, ProgressArg};
use super::output::{Output, harmless};
use crate::command::context::{Listener, Progress};

/// Who listens to a use case: notes become lines, steps are shown.
pub(super) struct Console {
    out: Output,
    shows: Shows,
    work: Mutex<Option<Work>>,
}

/// What is shown of steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shows {
    /// A line that moves.
    Moving,
    /// A line for each step.
    Plain,
    /// A line now and then: a log is kept.
    Sparse,
    /// An object for each step.
    Json,
    Nothing,
}

/// Plain lines that are printed for steps that are only counted, however many they are.
const LINES: usize = 10;
/// Objects of JSON for the same.
const OBJECTS: usize = 100;

/// Time between two lines in a log.
const PACE: Duration = Duration::from_secs(5);

/// What is being done.
struct Work {
    verb: &'static str,
    /// As many steps as are known, else 0.
    total: usize,
    done: usize,
    bar: Option<ProgressBar>,
    /// When a line was last printed; at first when it began.
    told: Instant,
}

impl Work {
    /// Says whether the last step ended one of so many parts of the whole.
    const fn ends_part(&self, parts: usize) -> bool {
        self.total > 0 && self.done * parts / self.total > (self.done - 1) * parts / self.total
    }

    /// Says whether it is time for a line again.
    fn is_time(&mut self, now: Instant) -> bool {
        let is_time = now.duration_since(self.told) >= PACE;
        if is_time {
            self.told = now;
        }
        is_time
    }

    /// `adding 3/20 one.deb`.
    fn line(&self, name: &str) -> String {
        let of = if self.total > 0 { format!("/{}", self.total) } else { String::new() };
        format!("{} {}{of} {name}", self.verb, self.done)
    }
}

impl Console {
    pub(super) fn new(global: &Global, out: &Output) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        let shows = match global.progress {
            _ if global.quiet => Shows::Nothing,
            // Lines of a log would break the one that moves.
            ProgressArg::Auto if is_terminal && global.verbose == 0 => Shows::Moving,
            ProgressArg::Auto if !is_terminal && global.is_ci() => Shows::Sparse,
            ProgressArg::Auto | ProgressArg::None => Shows::Nothing,
            ProgressArg::Plain => Shows::Plain,
            ProgressArg::Json => Shows::Json,
        };
        Self { out: out.clone(), shows, work: Mutex::new(None) }
    }

    fn work(&self) -> MutexGuard<'_, Option<Work>> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows that so many steps are done; `total` says of how many, where they are only counted.
    fn moved(&self, steps: usize, name: &str, total: Option<usize>) {
        // Held until it is printed: steps end side by side, and their numbers rise.
        let mut work = self.work();
        let Some(work) = work.as_mut() else { return };
        work.done += steps;
        work.total = total.unwrap_or(work.total);
        let is_named = total.is_none();
        match self.shows {
            Shows::Moving => {
                let Some(bar) = &work.bar else { return };
                bar.set_length(work.total as u64);
                bar.set_message(harmless(name));
                bar.inc(steps as u64);
            }
            Shows::Plain if is_named || work.ends_part(LINES) => self.out.say(&work.line(name)),
            Shows::Sparse if work.is_time(Instant::now()) => self.out.say(&work.line(name)),
            Shows::Json if is_named || work.ends_part(OBJECTS) => self.out.event(&Progress {
                reason: "progress",
                verb: work.verb,
                done: work.done,
                total: (work.total > 0).then_some(work.total),
                name,
            }),
            Shows::Plain | Shows::Sparse | Shows::Json | Shows::Nothing => {}
        }
    }
}

impl Listener for Console {
    fn note(&self, line: &str) {
        self.out.note(line);
    }

    fn begin(&self, verb: &'static str, steps: usize) {
        let bar = (self.shows == Shows::Moving).then(|| {
            let bar = ProgressBar::with_draw_target(Some(steps as u64), ProgressDrawTarget::stderr_with_hz(10));
            let style = ProgressStyle::with_template("{spinner} {prefix} {pos}/{len} {wide_msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.set_prefix(verb);
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        *self.work() = Some(Work { verb, total: steps, done: 0, bar, told: Instant::now() });
    }

    fn within(&self, name: &str) {
        self.moved(0, name, None);
    }

    fn step(&self, name: &str) {
        self.moved(1, name, None);
    }

    fn advance(&self, name: &'static str, total: usize) {
        self.moved(1, name, Some(total));
    }

    fn end(&self) {
        if let Some(bar) = self.work().take().and_then(|work| work.bar) {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn work(total: usize) -> Work {
        Work { verb: "verifying", total, done: 0, bar: None, told: Instant::now() }
    }

    #[test]
    fn of_what_is_only_counted_each_part_is_told_once() {
        for (total, parts, told) in [(1_000_000, 10, 10), (1_000_000, 100, 100), (7, 10, 7), (1, 10, 1), (0, 10, 0)] {
            let mut work = work(total);
            let steps = (1..=if total == 0 { 3 } else { total }).filter(|done| {
                work.done = *done;
                work.ends_part(parts)
            });
            let steps: Vec<usize> = steps.collect();
            assert_eq!((steps.len(), steps.last().copied().unwrap_or(0)), (told, total), "{parts} parts of {total}");
        }
    }

    #[test]
    fn a_log_gets_a_line_each_five_seconds_at_most_however_many_steps_there_are() {
        let mut work = work(0);
        let begun = work.told;
        let steps = (0..20_000).map(Duration::from_millis);
        let told: Vec<Duration> = steps.filter(|at| work.is_time(begun + *at)).collect();
        assert_eq!(told, [5, 10, 15].map(Duration::from_secs));
    }

    #[test]
    fn a_line_says_what_is_done_and_of_how_much() {
        let at = |total| Work { done: 3, ..work(total) };
        assert_eq!((at(20).line("a"), at(0).line("a")), ("verifying 3/20 a".to_owned(), "verifying 3 a".to_owned()));
    }
}
