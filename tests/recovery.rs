//! What is lost alone loses no store: each file of a store and each row of its index goes, and comes back.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::type_complexity,
    clippy::format_collect,
    reason = "a test fails by panicking, says what it skips, and reads as a claim"
)]

mod harness;

#[path = "recovery/files.rs"]
mod files;
#[path = "recovery/journal.rs"]
mod journal;
#[path = "recovery/lost_rows.rs"]
mod lost_rows;
#[path = "recovery/repair.rs"]
mod repair;
#[path = "recovery/state.rs"]
mod state;
#[path = "recovery/strange.rs"]
mod strange;
#[path = "recovery/verify.rs"]
mod verify;
