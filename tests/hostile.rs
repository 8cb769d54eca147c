//! What others made and did not mean well: packages, names, and content that an image must not have.

mod harness;

#[path = "hostile/bad_packages.rs"]
mod bad_packages;
#[path = "hostile/definitions.rs"]
mod definitions;
#[path = "hostile/names.rs"]
mod names;
#[path = "hostile/refusals.rs"]
mod refusals;
#[path = "hostile/run_time.rs"]
mod run_time;
