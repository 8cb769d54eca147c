//! The united tree of an image on one architecture.
//!
//! ```text
//! package, own         parts: what each brings, at the paths where it lands      part: what they have in common
//! generated            content that is made                                      reserved: who may bring which path at all
//! selection            what a level keeps of its packages
//! union                a rootfs: which part has each path
//! listing              its paths for people
//! view                 the same as a process inside sees it: links followed, once
//! ```
//!
//! Nothing here makes a pack or asks for one. What stands where is decided by names and declarations, so it is the same
//! whatever else is composed beside it.

mod error;
pub(crate) mod generated;
mod listing;
pub(crate) mod own;
pub(crate) mod package;
pub(crate) mod part;
pub(crate) mod reserved;
pub(crate) mod selection;
pub(crate) mod union;
pub(crate) mod view;

pub use error::RootfsError;
pub(crate) use generated::Generated;
pub use listing::{Listed, ListedPackage};
pub(crate) use listing::{listing, packages};
pub use part::Reach;
pub(crate) use part::{Origin, Part};
pub(crate) use union::Rootfs;
pub(crate) use view::View;
