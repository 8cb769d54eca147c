//! The store as its users see it: real stores in temporary directories, threads, and killed processes.

#![cfg(test)]

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
