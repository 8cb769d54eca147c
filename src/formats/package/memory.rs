//! One budget of memory for all packages that a process reads at once, however many threads do it.
//!
//! ```text
//! control   1 turn    a control archive of more than SMALL_CONTROL bytes
//! decoder   80 MiB    dictionaries and windows, as the compressed data claim them
//! large     1 turn    a package of more than SMALL_ENTRIES entries
//! pack      48 MiB    content on its way through the threads that compress it
//! ```
//!
//! What a small package needs is not counted. What is counted is waited for in this order and in no
//! other, so nobody waits for somebody who waits for them: who writes a pack waits for nothing more, who
//! holds the turn of large packages waits at most for that, and so on. A decoder that alone is
//! larger than the budget waits until it is alone. A share is given back when its [`Share`] is dropped.
//!
//! Who holds a share must not run other packages' work on its own thread while it waits for a part of
//! its own work, as a thread of a work-stealing pool does: it might then wait for itself.

use std::sync::{Condvar, Mutex, PoisonError};

/// Bytes of a control archive up to which it needs no turn; that of nearly every package is smaller.
pub(super) const SMALL_CONTROL: u64 = 256 << 10;
/// Entries of a package up to which it needs no turn.
pub(super) const SMALL_ENTRIES: usize = 10_000;

static CONTROL: Budget = Budget::new(1);
static DECODERS: Budget = Budget::new(80 << 20);
static LARGE: Budget = Budget::new(1);
static PACKS: Budget = Budget::new(48 << 20);
/// Most content of one pack that is on its way at once.
const PACK: u64 = 24 << 20;

/// So much may be held at once.
struct Budget {
    total: u64,
    held: Mutex<u64>,
    freed: Condvar,
}

/// A part of the budget, held until it is dropped.
pub struct Share {
    budget: &'static Budget,
    amount: u64,
}

/// Waits for the turn of large control archives.
pub(super) fn control_turn() -> Share {
    CONTROL.take(1)
}

/// Waits for memory of a decompressor.
pub(super) fn decoder(bytes: u64) -> Share {
    DECODERS.take(bytes)
}

/// Waits for the turn of packages with many entries.
pub(super) fn large_turn() -> Share {
    LARGE.take(1)
}

/// Waits for memory to write the pack of so much content.
#[must_use]
pub fn pack(content: u64) -> Share {
    PACKS.take(content.min(PACK))
}

impl Budget {
    const fn new(total: u64) -> Self {
        Self { total, held: Mutex::new(0), freed: Condvar::new() }
    }

    fn take(&'static self, amount: u64) -> Share {
        // More than there is can only mean all of it.
        let amount = amount.min(self.total);
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let mut held =
            self.freed.wait_while(held, |held| *held + amount > self.total).unwrap_or_else(PoisonError::into_inner);
        *held += amount;
        Share { budget: self, amount }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut held = self.budget.held.lock().unwrap_or_else(PoisonError::into_inner);
        *held -= self.amount;
        drop(held);
        self.budget.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[test]
    fn what_is_held_never_exceeds_the_budget_and_one_that_is_larger_still_gets_through() {
        static BUDGET: Budget = Budget::new(10);
        static NOW: AtomicU64 = AtomicU64::new(0);
        static MOST: AtomicU64 = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for amount in [1, 4, 100, 6, 10, 3, 7, 100] {
                scope.spawn(move || {
                    for _ in 0..50 {
                        let share = BUDGET.take(amount);
                        let now = NOW.fetch_add(amount.min(10), Ordering::SeqCst) + amount.min(10);
                        MOST.fetch_max(now, Ordering::SeqCst);
                        std::thread::yield_now();
                        NOW.fetch_sub(amount.min(10), Ordering::SeqCst);
                        drop(share);
                    }
                });
            }
        });
        assert_eq!(*BUDGET.held.lock().unwrap(), 0);
        assert_eq!(MOST.load(Ordering::SeqCst), 10);
    }
}
