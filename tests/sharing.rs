//! One store for many: projects, jobs, users, hosts; and a store that can only be read.

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

mod harness;

#[path = "sharing/bounds.rs"]
mod bounds;
#[path = "sharing/places.rs"]
mod places;
#[path = "sharing/read_only.rs"]
mod read_only;
#[path = "sharing/roots.rs"]
mod roots;
#[path = "sharing/users.rs"]
mod users;
#[path = "sharing/waiting.rs"]
mod waiting;

/// Says why a test does nothing here; fails instead where everything has to be tried.
fn skipped(why: &str) {
    assert!(std::env::var("DLSTORE_REQUIRE_PEERS").as_deref() != Ok("1"), "{why}");
    println!("skipped: {why}");
}
