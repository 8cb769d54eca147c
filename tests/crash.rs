//! The program killed at every named point, at random, in a crowd, by a power cut, and on a full disk: the
//! store stays sound and the same command finishes with the same result.

#![cfg(test)]

#[path = "crash/full_disk.rs"]
mod full_disk;
#[path = "crash/ledger.rs"]
mod ledger;
#[path = "crash/points.rs"]
mod points;
#[path = "crash/power_cut.rs"]
mod power_cut;
#[path = "crash/random.rs"]
mod random;
#[path = "crash/stress.rs"]
mod stress;
