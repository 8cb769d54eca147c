//! Packages side by side, each on a thread of its own that does nothing else until it is done.
//!
//! A thread of a work-stealing pool that waits for the pieces of its own layer begins with other
//! packages meanwhile: their memory adds up, and where it holds a share of the process's memory
//! (`dlstore_formats::package`, `memory`) it would wait for itself. So there are as many plain threads
//! as the pool has, and only the pieces of layers go to the pool.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};

use dlstore_formats::layer::Busy;

/// Does something with each item, the first ones first; results come in the order of the items.
pub fn map<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let threads = rayon::current_num_threads().min(items.len());
    let work = |item: &T| {
        let _busy = Busy::begin();
        work(item)
    };
    if threads <= 1 && rayon::current_thread_index().is_none() {
        return items.iter().map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let at_work = RwLock::new(());
    let mut results: Vec<(usize, R)> = std::thread::scope(|scope| {
        let run = || {
            let mut done = Vec::new();
            let working = at_work.read();
            while let at = next.fetch_add(1, Ordering::Relaxed)
                && let Some(item) = items.get(at)
            {
                done.push((at, work(item)));
            }
            drop(working);
            // All end together: see `one_by_one`.
            drop(at_work.write());
            done
        };
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        let joined = workers.into_iter().map(std::thread::ScopedJoinHandle::join);
        joined.flat_map(|done| done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    });
    if WAS_USED.swap(false, Ordering::Relaxed) {
        end_last(threads);
    }
    results.sort_by_key(|(at, _)| *at);
    results.into_iter().map(|(_, result)| result).collect()
}

/// Whether [`one_by_one`] was at work since it was asked.
static WAS_USED: AtomicBool = AtomicBool::new(false);

/// Lets the pool that [`one_by_one`] left be that of the thread which ended last: it lies below those of `threads` that
/// ended since. As many threads take these, one more takes it, and ends behind them.
fn end_last(threads: usize) {
    let start = || {
        let (begun, has_begun) = std::sync::mpsc::channel();
        let (go, may_end) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            // Memory is asked for: now the thread has its pool.
            let _ = begun.send(Box::new(0_u8));
            let _ = may_end.recv();
        });
        let _ = has_begun.recv();
        (go, thread)
    };
    let begun: Vec<_> = (0..=threads).map(|_| start()).collect();
    for (go, thread) in begun {
        drop(go);
        let _ = thread.join();
    }
}

/// Works on a thread that ends with the work, and only when the one before has ended.
///
/// This is for what takes much memory for a while. The system's allocator has a pool for each thread, and what is freed
/// in a pool is seldom given back to the system: one package after the other, each on another thread, would leave as much
/// behind in every pool. A new thread takes the pool of the one that ended last, which is why those of [`map`] end
/// together.
pub fn one_by_one<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    static LAST: Mutex<()> = Mutex::new(());
    WAS_USED.store(true, Ordering::Relaxed);
    let _last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    std::thread::scope(|scope| scope.spawn(work).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_items_also_from_within_the_pool() {
        let items: Vec<usize> = (0..500).collect();
        let expected: Vec<usize> = items.iter().map(|item| item * 2).collect();
        assert_eq!(map(&items, |item| item * 2), expected);
        assert_eq!(rayon::join(|| map(&items, |item| item * 2), || ()).0, expected);
        assert_eq!(map(&[] as &[usize], |item| *item), Vec::<usize>::new());
    }
}
