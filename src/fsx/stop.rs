//! Named points at which a test ends the process, as a power cut would.
//!
//! The environment variable `DLSTORE_TEST_STOP` names a point, and with `name:3` its third visit; a
//! process that gets there aborts: no destructor runs, no buffer is flushed. In builds without debug assertions and without the
//! feature `stop-points` a point is nothing at all.

/// The variable that names the point to stop at.
pub const VARIABLE: &str = "DLSTORE_TEST_STOP";

/// All points, so that a test can go through them. In the order of a store's life.
pub const POINTS: &[&str] = &[
    "create.directories",
    "create.index",
    "create.format",
    "lease.created",
    "lease.locked",
    "lease.staged",
    "reserve.made",
    "publish.begun",
    "publish.synced",
    "publish.locked",
    "publish.quarantined",
    "publish.renamed",
    "publish.inserted",
    "publish.directories-synced",
    "journal.appended",
    "publish.committed",
    "publish.swept",
    "release.stage-removed",
    "release.rows-deleted",
    "release.unlinked",
    "gc.begun",
    "gc.lease-rows-deleted",
    "gc.lease-stage-removed",
    "gc.lease-unlinked",
    "gc.marked",
    "gc.mark-committed",
    "gc.unlinked",
    "gc.rows-deleted",
    "gc.batch-committed",
    "gc.orphan-unlinked",
    "gc.shrunk",
    "journal.written",
    "journal.compacted",
    "rebuild.begun",
    "rebuild.adopted",
    "rebuild.decoded",
    "rebuild.moved",
    "rebuild.renamed",
];

/// Aborts the process when a test asked for it at this point.
#[cfg(any(debug_assertions, feature = "stop-points"))]
pub fn point(name: &'static str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};
    static WANTED: OnceLock<Option<(String, u32)>> = OnceLock::new();
    static VISITS: AtomicU32 = AtomicU32::new(0);
    debug_assert!(POINTS.contains(&name), "{name} is not in the list of stop points");
    let wanted = WANTED.get_or_init(|| {
        let text = std::env::var(VARIABLE).ok()?;
        let (name, visit) = text.split_once(':').unwrap_or((&text, "1"));
        Some((name.to_owned(), visit.parse().ok()?))
    });
    let visit = wanted.as_ref().filter(|(wanted, _)| wanted == name).map(|(_, visit)| *visit);
    if visit.is_some_and(|visit| VISITS.fetch_add(1, Ordering::Relaxed) + 1 == visit) {
        std::process::abort();
    }
}

/// Does nothing: this build has no stop points.
#[cfg(not(any(debug_assertions, feature = "stop-points")))]
#[inline(always)]
pub const fn point(_name: &'static str) {}

/// Reads a number that a test sets in the environment, to run the program as one of another day.
#[cfg(any(debug_assertions, feature = "stop-points"))]
#[must_use]
pub fn number(variable: &str) -> Option<u32> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Gives nothing: this build takes no such numbers.
#[cfg(not(any(debug_assertions, feature = "stop-points")))]
#[must_use]
#[inline(always)]
pub const fn number(_variable: &str) -> Option<u32> {
    None
}
