//! The store as its users see it: real stores in temporary directories, threads, and killed processes.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::format_collect,
    clippy::needless_for_each,
    clippy::type_complexity,
    clippy::default_trait_access,
    reason = "a test fails by panicking, says what it skips, and reads as a claim"
)]

#[path = "kit/content.rs"]
mod content;
#[path = "store/contract.rs"]
mod contract;
#[path = "store/corruption.rs"]
mod corruption;
#[path = "store/crash.rs"]
mod crash;
#[path = "store/full_disk.rs"]
mod full_disk;
#[path = "store/measure.rs"]
mod measure;
#[path = "store/migration.rs"]
mod migration;
#[path = "store/model.rs"]
mod model;
#[path = "store/opening.rs"]
mod opening;
#[path = "store/support.rs"]
mod support;
#[path = "store/threads.rs"]
mod threads;
