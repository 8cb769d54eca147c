//! Work in parallel, results in order, memory bounded: the one place of parallelism in layers.
//!
//! Jobs are given to rayon's threads while less than [`BUDGET`] raw bytes are under way. The calling
//! thread takes results in the order of the jobs (that is where digests of the whole are made) and
//! helps with the work while the next result is not there. So results never depend on the number
//! of threads, one thread is enough, and nested use in a pool cannot block it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};

use rayon::Yield;

/// Raw bytes under way: six pieces of full length, or three zstd frames.
const BUDGET: u64 = 24 << 20;

/// Runs `work` on every job and gives the results to `take` in order.
///
/// `weight` says how many raw bytes a job holds. The first error, in order of the jobs, ends it.
///
/// # Errors
/// Whatever `jobs`, `work` or `take` fail with.
pub(super) fn in_order<J: Send, R: Send, E: Send>(
    jobs: impl Iterator<Item = Result<J, E>>,
    weight: impl Fn(&J) -> u64,
    work: impl Fn(J) -> Result<R, E> + Sync,
    mut take: impl FnMut(R) -> Result<(), E>,
) -> Result<(), E> {
    let waiting = AtomicUsize::new(0);
    let (waiting, work) = (&waiting, &work);
    rayon::in_place_scope_fifo(|scope| {
        let mut jobs = jobs.fuse();
        let mut line: VecDeque<(u64, Receiver<Result<R, E>>)> = VecDeque::new();
        let mut held = 0;
        let mut next: Option<(u64, J)> = None;
        loop {
            loop {
                if next.is_none() {
                    next = jobs.next().transpose()?.map(|job| (weight(&job), job));
                }
                let Some((weight, job)) = next.take_if(|next| line.is_empty() || held + next.0 <= BUDGET) else {
                    break;
                };
                let (sender, receiver) = sync_channel(1);
                waiting.fetch_add(1, Ordering::Relaxed);
                scope.spawn_fifo(move |_| {
                    waiting.fetch_sub(1, Ordering::Relaxed);
                    // Nobody listens any more when an earlier job failed.
                    let _ = sender.send(work(job));
                });
                line.push_back((weight, receiver));
                held += weight;
            }
            let Some((weight, receiver)) = line.pop_front() else { return Ok(()) };
            // A job that panicked has no result; the scope hands its panic on.
            let Some(result) = wait(&receiver, waiting) else { return Ok(()) };
            take(result?)?;
            held -= weight;
        }
    })
}

/// Waits for a result; meanwhile this thread, if it is one of the pool, does other jobs.
fn wait<T>(receiver: &Receiver<T>, waiting: &AtomicUsize) -> Option<T> {
    loop {
        match receiver.try_recv() {
            Ok(value) => return Some(value),
            Err(TryRecvError::Disconnected) => return None,
            Err(TryRecvError::Empty) => {}
        }
        if waiting.load(Ordering::Relaxed) == 0 {
            // All jobs have a thread: this one's will finish it.
            return receiver.recv().ok();
        }
        match rayon::yield_local() {
            Some(Yield::Executed) => {}
            Some(Yield::Idle) => std::thread::yield_now(),
            None => return receiver.recv().ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn squares(jobs: &[u64], weight: u64) -> Result<Vec<u64>, u64> {
        let mut out = Vec::new();
        let work = |job: u64| if job == 13 { Err(job) } else { Ok(job * job) };
        in_order(
            jobs.iter().map(|job| Ok(*job)),
            |_| weight,
            work,
            |square| {
                out.push(square);
                Ok(())
            },
        )?;
        Ok(out)
    }

    #[test]
    fn results_come_in_order_with_any_number_of_threads_and_weight() {
        let jobs: Vec<u64> = (100..400).collect();
        let expected: Vec<u64> = jobs.iter().map(|job| job * job).collect();
        for threads in [1, 2, 5] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            for weight in [1, BUDGET / 3, BUDGET + 1] {
                assert_eq!(pool.install(|| squares(&jobs, weight)).as_ref(), Ok(&expected));
            }
        }
        assert_eq!(squares(&jobs, 1 << 20), Ok(expected));
    }

    #[test]
    fn the_first_error_in_order_is_the_outcome() {
        assert_eq!(squares(&[1, 13, 2], 1), Err(13));
        let failing = in_order([Ok(1), Err(7), Ok(2)].into_iter(), |_| 1, Ok::<u64, u64>, |_| Ok(()));
        assert_eq!(failing, Err(7));
    }

    #[test]
    fn many_at_once_in_one_pool_do_not_block_it() {
        use rayon::prelude::*;
        let jobs: Vec<u64> = (100..200).collect();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
        let sums: Vec<_> = pool.install(|| (0..40).into_par_iter().map(|_| squares(&jobs, 9 << 20)).collect());
        assert!(sums.iter().all(|sum| sum.as_ref().is_ok_and(|squares| squares.len() == 100)));
    }
}
