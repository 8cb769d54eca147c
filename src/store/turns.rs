//! Turns: the collector's way to hold the write lock.
//!
//! A collection may have a million things to do, and each of them under SQLite's write lock. It takes the lock for
//! a turn of some hundredths of a second, commits, and then leaves it alone for longer than anybody who waits
//! sleeps between two tries. So a writer waits for a turn or two, whatever is collected.
//!
//! A turn that fails because the disk is full is taken back, the reserve is spent, and it is tried again with few
//! things in it.

use std::time::{Duration, Instant};

use super::{Inner, StoreError};
use crate::index::{ASK_AGAIN, Commit, Writer};

/// How long a turn lasts, about.
const TURN: Duration = Duration::from_millis(40);

/// How long the lock is left alone between two turns.
const PAUSE: Duration = Duration::from_millis(10);

const _: () = assert!(PAUSE.as_millis() > 2 * ASK_AGAIN.as_millis(), "who waits asks at least twice in a pause");

/// Pages of the database that are given back in a turn: each may have to be moved.
const PAGES: u32 = 512;

/// Things that are done in a turn while the disk is full, at first.
const FEW: usize = 16;

impl Inner {
    /// Does a step for each item under the write lock, in turns, and tells of each outcome after its commit.
    ///
    /// The commits may be taken back by a power cut ([`Commit::Relaxed`]). A step may run twice for an item, when
    /// the first run was taken back.
    pub(super) fn in_turns<T, R>(
        &self,
        items: &[T],
        step: impl FnMut(&Writer<'_>, &T) -> Result<R, StoreError>,
        done: impl FnMut(R),
    ) -> Result<(), StoreError> {
        self.in_closed_turns(items, step, |_, _| Ok(()), done)
    }

    /// As [`Inner::in_turns`]; `close` is run at the end of each turn on its outcomes, before its commit: for what
    /// costs as much once as many times.
    pub(super) fn in_closed_turns<T, R>(
        &self,
        items: &[T],
        mut step: impl FnMut(&Writer<'_>, &T) -> Result<R, StoreError>,
        mut close: impl FnMut(&Writer<'_>, &[R]) -> Result<(), StoreError>,
        mut done: impl FnMut(R),
    ) -> Result<(), StoreError> {
        let mut rest = items;
        while !rest.is_empty() {
            let outcomes = self.with_reserve(Commit::Relaxed, |writer, most| {
                let begun = Instant::now();
                let mut outcomes = Vec::new();
                for item in rest.iter().take(most) {
                    outcomes.push(step(writer, item)?);
                    if begun.elapsed() > TURN {
                        break;
                    }
                }
                close(writer, &outcomes)?;
                Ok(outcomes)
            })?;
            rest = &rest[outcomes.len()..];
            outcomes.into_iter().for_each(&mut done);
            self.pause(!rest.is_empty());
        }
        Ok(())
    }

    /// Writes, and if the disk is full, spends the reserve and tries again; the step is told how much it may do.
    pub(super) fn with_reserve<R>(
        &self,
        commit: Commit,
        mut step: impl FnMut(&Writer<'_>, usize) -> Result<R, StoreError>,
    ) -> Result<R, StoreError> {
        for most in [usize::MAX, FEW, 1] {
            match self.index.write(commit, |writer| step(writer, most)) {
                Err(error) if error.is_full() => self.spend_reserve()?,
                outcome => return outcome,
            }
        }
        self.index.write(commit, |writer| step(writer, 1))
    }

    /// Gives the pages of removed rows back, in turns, and empties the log.
    pub(super) fn shrink(&self) -> Result<(), StoreError> {
        loop {
            match self.index.shrink(PAGES) {
                Ok(true) => self.pause(true),
                Ok(false) => break,
                // What was removed is removed; the next collection gives its pages back.
                Err(error) if error.is_full() => break,
                Err(error) => return Err(error.into()),
            }
        }
        match self.index.fold() {
            Err(error) if error.is_full() => Ok(()),
            outcome => Ok(outcome?),
        }
    }

    #[expect(clippy::unused_self, reason = "it is the store whose lock is left alone")]
    pub(super) fn pause(&self, there_is_more: bool) {
        if there_is_more {
            std::thread::sleep(PAUSE);
        }
    }
}
