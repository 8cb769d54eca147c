//! Composing: from a definition and packages to an image's layers and documents.
//!
//! ```text
//! Request ─► gather: packages of all architectures (added when they are new), own files
//!         ─► is the whole image known? ──────────────────────────────────► done: a look-up
//!         ─► for each architecture: is its rootfs known? else planned ─► ComposePlan
//!         ─► packs of the layers that the plan says are missing (`packs`)
//!         ─► documents (`dlstore_oci`) ─► remembered
//! ```
//!
//! Three outcomes are remembered: `image`, for everything that decides the image's digests; `root`,
//! for what decides the layers of one architecture; and `base`, for what an image extends. A label that changed
//! asks for the first anew and finds the second; a file that changed finds the third. An architecture's documents
//! never depend on which others are composed.

mod base;
mod batches;
mod error;
mod gather;
mod image;
mod kept;
mod key;
mod layering;
mod many;
mod notes;
mod packs;
mod plan;
mod predict;
mod record;
mod request;
mod rootfs_plan;
mod shared;
mod side_by_side;
mod suggest;

pub use crate::rootfs::Reach;
pub use error::ComposeError;
pub use gather::unmet_of_all;
pub use image::{ListedRootfs, config_of, plan_all, rootfs_of};
pub use many::{Finished, compose_all};
pub use plan::{ComponentPlan, ComposePlan, LayerPlan, PackState, PlatformPlan};
pub use predict::Predictions;
pub use record::names;
pub use request::{AfterAnError, CachePolicy, Composed, Request};
