//! Waiting for the write lock, and saying for whom.
//!
//! SQLite does not say who holds its lock. Whoever works on a store has a lease, and the lease's lock file says what
//! for: so those are named that could hold it. The rows of leases would not do, because they are written in the very
//! transaction that others wait for.

use std::path::Path;
use std::time::{Duration, SystemTime};

use super::Store;
use super::layout::lease_of_lock;
use crate::index::LeaseName;
use dlstore_fsx::{file, lock};
use dlstore_model::quantity::Span;

/// Names that fit into a sentence.
const NAMED: usize = 3;

impl Store {
    /// Calls `tell` with a sentence whenever a write has waited for two seconds. The first call of this counts.
    pub fn when_waiting(&self, tell: impl Fn(&str) + Send + Sync + 'static) {
        let (leases, own) = (self.0.layout.leases(), std::sync::Arc::clone(&self.0.own_leases));
        self.0.index.when_waiting(move || {
            let own = own.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
            tell(&sentence(&holders(&leases, |name| own.contains(&name))));
        });
    }
}

/// What others are at work with, and for how long.
fn holders(leases: &Path, is_own: impl Fn(LeaseName) -> bool) -> Vec<(String, Duration)> {
    // What cannot be looked at just now is not named: the wait goes on all the same.
    let names = file::list(leases).unwrap_or_default();
    let mut found: Vec<(String, Duration)> = names
        .iter()
        .filter(|name| lease_of_lock(name).is_some_and(|lease| !is_own(lease)))
        .filter_map(|name| lock::holder(&leases.join(name)).ok()?)
        .map(|(note, since)| (note, SystemTime::now().duration_since(since).unwrap_or_default()))
        .collect();
    found.sort_by_key(|(_, age)| std::cmp::Reverse(*age));
    found
}

fn sentence(holders: &[(String, Duration)]) -> String {
    let begin = "waiting for the write lock of the store";
    if holders.is_empty() {
        return format!("{begin}, which another process holds");
    }
    let mut named: Vec<String> = holders
        .iter()
        .take(NAMED)
        .map(|(note, age)| {
            let note = if note.is_empty() { "another command" } else { note };
            format!("{note} (for {})", Span(*age))
        })
        .collect();
    if holders.len() > NAMED {
        named.push(format!("{} more", holders.len() - NAMED));
    }
    format!("{begin}, which is in use by: {}", named.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_names_the_longest_at_work_and_counts_the_rest() {
        let at = |note: &str, seconds| (note.to_owned(), Duration::from_secs(seconds));
        assert_eq!(sentence(&[]), "waiting for the write lock of the store, which another process holds");
        let some = [at("add", 7300), at("", 130)];
        let all = [at("add", 7300), at("compose", 130), at("add", 3), at("add", 2), at("files", 1)];
        let begin = "waiting for the write lock of the store, which is in use by: ";
        assert_eq!(sentence(&some), format!("{begin}add (for 2 h), another command (for 2 min)"));
        assert_eq!(sentence(&all), format!("{begin}add (for 2 h), compose (for 2 min), add (for 3 s), 2 more"));
    }
}
