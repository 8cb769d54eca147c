//! The command line as people and scripts meet it.

mod harness;

#[path = "cli/healing.rs"]
mod healing;
#[path = "cli/looking.rs"]
mod looking;
#[path = "cli/manners.rs"]
mod manners;
#[path = "cli/outputs.rs"]
mod outputs;
#[path = "cli/roots.rs"]
mod roots;
