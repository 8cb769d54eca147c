//! Collecting, counting and looking up in stores: what goes, what stays, and how long anybody waits.

#![cfg(test)]

#[path = "store_gc/collecting.rs"]
mod collecting;
#[path = "store_gc/counting.rs"]
mod counting;
#[path = "store_gc/full_disk.rs"]
mod full_disk;
#[path = "store_gc/large.rs"]
mod large;
#[path = "store_gc/leases.rs"]
mod leases;
#[path = "store_gc/leftovers.rs"]
mod leftovers;
#[path = "store_gc/plans.rs"]
mod plans;
#[path = "store_gc/support.rs"]
mod support;
#[path = "store_gc/waiting.rs"]
mod waiting;
