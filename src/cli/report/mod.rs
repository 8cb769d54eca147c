//! Reports on stdout: as text for people, or as JSON, which is the report itself.
//!
//! One file for each group of commands. A report also decides the exit code here: what was found or failed is 1.

pub(super) mod add;
pub(super) mod compose;
pub(super) mod diff;
pub(super) mod files;
pub(super) mod list;
pub(super) mod needs;
pub(super) mod shell;
pub(super) mod show;
pub(super) mod store;

use std::process::ExitCode;

/// Gives 1 when something is wrong, else 0.
fn code(is_wrong: bool) -> ExitCode {
    ExitCode::from(u8::from(is_wrong))
}
