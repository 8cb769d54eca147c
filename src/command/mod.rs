//! Use cases: one module for each thing that a user can do, settings in, report out.
//!
//! ```text
//! cli::args ► cli::settings ► command::X::run(context, settings) ► Report ► cli::report
//! ```
//! Nothing here prints, reads the environment or the clock, or knows how arguments are written. A report is plain data:
//! what `--json` prints is its fields and nothing else ([`value`] says how digests and dates are written), and the page
//! `docs/commands.md` is held against them (`schema`). What people should hear while the work goes on is told to the
//! [`Listener`](context::Listener) of the context.

pub(crate) mod add;
mod attempt;
pub(crate) mod compose;
pub(crate) mod context;
pub(crate) mod diagnose;
pub(crate) mod diff;
pub(crate) mod error;
pub(crate) mod failure;
pub(crate) mod files;
mod find;
pub(crate) mod list;
mod made;
pub(crate) mod needs;
pub(crate) mod package;
pub(crate) mod request;
#[cfg(test)]
mod schema;
pub(crate) mod show;
pub(crate) mod store;
mod subject;
pub(crate) mod tree;
pub(crate) mod value;
