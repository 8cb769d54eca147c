//! The command line as people and scripts meet it.

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
#[path = "kit/hints.rs"]
mod hints;
#[path = "kit/workspace.rs"]
mod workspace;

#[path = "cli/error_hints.rs"]
mod error_hints;
#[path = "cli/healing.rs"]
mod healing;
#[path = "cli/json.rs"]
mod json;
#[path = "cli/looking.rs"]
mod looking;
#[path = "cli/manners.rs"]
mod manners;
#[path = "cli/many.rs"]
mod many;
#[path = "cli/outputs.rs"]
mod outputs;
#[path = "cli/roots.rs"]
mod roots;
#[path = "cli/surroundings.rs"]
mod surroundings;
#[path = "cli/unchanged.rs"]
mod unchanged;
#[path = "cli/verbose.rs"]
mod verbose;
