//! The command line as people and scripts meet it.

#![cfg(test)]

#[path = "cli/diff.rs"]
mod diff;
#[path = "cli/error_hints.rs"]
mod error_hints;
#[path = "cli/healing.rs"]
mod healing;
#[path = "cli/json.rs"]
mod json;
#[path = "cli/looking.rs"]
mod looking;
#[path = "cli/made.rs"]
mod made;
#[path = "cli/manners.rs"]
mod manners;
#[path = "cli/many.rs"]
mod many;
#[path = "cli/outputs.rs"]
mod outputs;
#[path = "cli/progress.rs"]
mod progress;
#[path = "cli/readme.rs"]
mod readme;
#[path = "cli/roots.rs"]
mod roots;
#[path = "cli/surroundings.rs"]
mod surroundings;
#[path = "cli/unchanged.rs"]
mod unchanged;
#[path = "cli/verbose.rs"]
mod verbose;
