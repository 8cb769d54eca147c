//! In what order rootfs are planned, and how many at once: as much side by side as memory allows.
//!
//! The architectures of an image are planned at once unless they are large together; then each is planned, used and
//! forgotten before the next one. A large rootfs gets a thread of its own, so that no thread of the pool blocks
//! while it waits for the memory that adding packages has left.

use rayon::prelude::*;

use super::ComposeError;
use super::gather::{Gathered, Platform};
use super::rootfs_plan::{self, Planned};
use super::suggest;
use crate::check::CheckError;
use crate::check::problem::Problems;
use crate::rootfs::union::MOST_ENTRIES;
use dlstore_ingest::parallel;
use dlstore_model::arch::Arch;
use dlstore_store::session::Session;

/// Entries from which a rootfs that is planned alone has a thread of its own.
const LARGE: u64 = 20_000;

/// Says whether so much may be planned at once.
pub(super) const fn fits(weight: u64) -> bool {
    weight <= MOST_ENTRIES as u64
}

/// Says whether a rootfs is so large that it is planned alone.
pub(super) const fn is_large(weight: u64) -> bool {
    weight > LARGE
}

/// Cuts things into turns, in their order: each has as much as may be planned at once, or one thing.
pub(super) fn turns<T>(all: Vec<T>, weight: impl Fn(&T) -> u64) -> Vec<Vec<T>> {
    let mut turns: Vec<Vec<T>> = Vec::new();
    let mut sum = 0;
    for one in all {
        sum += weight(&one);
        if let Some(turn) = turns.last_mut().filter(|_| fits(sum)) {
            turn.push(one);
        } else {
            sum = weight(&one);
            turns.push(vec![one]);
        }
    }
    turns
}

/// Plans the rootfs of all architectures but those that are known, and gives those of each batch to `work`, with `None`
/// for what is known. What would help is looked for once something is wrong.
///
/// # Errors
/// All that is wrong with the architectures of the first batch that has something wrong.
pub(super) fn plan<T: Send>(
    session: &Session<'_>,
    gathered: &Gathered<'_>,
    is_known: impl Fn(usize) -> bool + Sync,
    mut work: impl FnMut(Vec<Option<Planned>>) -> Result<Vec<T>, ComposeError> + Send,
) -> Result<Vec<T>, ComposeError> {
    let platforms = &gathered.platforms;
    let new = || (0..platforms.len()).filter(|at| !is_known(*at));
    let at_once = if fits(new().map(|at| platforms[at].weight()).sum()) { platforms.len() } else { 1 };
    let mut done = Vec::with_capacity(platforms.len());
    for (batch, some) in platforms.chunks(at_once.max(1)).enumerate() {
        let first = batch * at_once;
        let one = |(at, platform): (usize, &Platform)| {
            let wanted = (!is_known(first + at)).then(|| {
                tracing::debug!("planning all of {}, for {}", gathered.request.image.name, platform.arch);
                rootfs_plan::plan(session, gathered, platform)
            });
            (platform.arch, wanted.transpose())
        };
        let new_here = || new().filter(|at| (first..first + some.len()).contains(at));
        let mut all = || -> Result<Vec<T>, ComposeError> {
            // Threads are started only when there is work for them.
            let planned: Vec<_> = if new_here().count() < 2 {
                some.iter().enumerate().map(one).collect()
            } else {
                some.par_iter().enumerate().with_max_len(1).map(one).collect()
            };
            work(joined(planned)?)
        };
        // Many images may be finished in the pool when all that is large of them is known: none of those may wait here.
        let is_alone = new_here().count() == 1 && new_here().all(|at| is_large(platforms[at].weight()));
        let outcome = if is_alone { parallel::one_by_one(all) } else { all() };
        done.extend(outcome.map_err(|error| suggest::suggest(session, gathered, error))?);
        if some.len() < platforms.len() {
            gathered.shared.forget_parts();
        }
    }
    Ok(done)
}

/// Puts together what was planned of several architectures: all of it, or all that is wrong with any of them.
///
/// # Errors
/// The first error that is not about what is missing, else all of those in one.
fn joined<T>(planned: impl IntoIterator<Item = (Arch, Result<T, ComposeError>)>) -> Result<Vec<T>, ComposeError> {
    let (mut good, mut bad) = (Vec::new(), None::<Box<Problems>>);
    let mut spared = Vec::new();
    for (arch, one) in planned {
        match (one, &mut bad) {
            (Ok(one), _) => {
                spared.push(arch);
                good.push(one);
            }
            (Err(ComposeError::Check(CheckError::Problems(problems))), Some(known)) => known.join(*problems),
            (Err(ComposeError::Check(CheckError::Problems(problems))), None) => bad = Some(problems),
            (Err(error), _) => return Err(error),
        }
    }
    let Some(mut bad) = bad else { return Ok(good) };
    for arch in spared {
        bad.spare(arch);
    }
    Err(CheckError::Problems(bad).into())
}
