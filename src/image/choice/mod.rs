//! Choosing packages: which ones of those at hand an image is made of, and what to say when some are missing.
//!
//! ```text
//! PackageSource: the store, or files and directories of the host
//!   ─► requirements of the definition ─► one package for each (`choose`), brought into the session
//!                                     ─► or what is there instead (`alternatives`), in sentences (`unmet`)
//! ```
//!
//! What is missing is said at once, of all architectures, and joined over the images of a command.

mod alternatives;
mod choose;
mod error;
mod package_source;
mod unmet;

pub use error::ChoiceError;
pub(crate) use package_source::Requirement;
pub use package_source::{PackageSource, Unread, fits};
pub use unmet::{Reason, Requested, Searched, Tied, Unmet, UnmetPackage};
