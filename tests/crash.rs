//! The program killed at every named point, at random, and on a full disk: the store stays sound and
//! the same command finishes with the same result.

mod harness;

#[path = "crash/full_disk.rs"]
mod full_disk;
#[path = "crash/points.rs"]
mod points;
#[path = "crash/random.rs"]
mod random;
