//! What is lost alone loses no store: each file of a store and each row of its index goes, and comes back.

#![cfg(test)]

#[path = "recovery/dropped_sources.rs"]
mod dropped_sources;
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
