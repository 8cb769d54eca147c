//! What composing an image comes to, before any of it is made: plain data.
//!
//! ```text
//! image ► platforms ► layers ► components
//!         created     title    origin, reach, files, bytes
//!                     pack     layer tree, pack
//! ```
//!
//! A component is what one part of a rootfs brings to a layer; the pack of a layer is made of the packs of its
//! components. `compose` makes what a plan says is missing, `compose --dry-run` prints the plan, and two plans can be
//! compared. What is here now may be gone when it is made: a plan is no promise of the store.

use std::fmt::Display;

use serde::{Serialize, Serializer};

use crate::check::Note;
use crate::rootfs::Reach;
use dlstore_model::arch::Arch;
use dlstore_model::digest::{ActionKey, Digest};

/// The plan of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ComposePlan {
    /// The image's name.
    pub image: String,
    /// Its flavor.
    pub flavor: String,
    /// The codec of its layers.
    pub codec: &'static str,
    /// What it is for, in the order of the request.
    pub platforms: Vec<PlatformPlan>,
    /// What people should know, of all platforms.
    pub notes: Vec<Note>,
}

/// The plan of one architecture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlatformPlan {
    /// The architecture.
    #[serde(serialize_with = "shown")]
    pub architecture: Arch,
    /// Newest date of what goes in, in seconds since 1970.
    pub date: u64,
    /// Its layers, lowest first.
    pub layers: Vec<LayerPlan>,
}

/// The plan of one layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LayerPlan {
    /// For people: `static:debian, all architectures`.
    pub title: String,
    /// Key of its pack.
    #[serde(serialize_with = "shown")]
    pub pack: ActionKey,
    /// Whether that is here.
    pub state: PackState,
    /// What it is made of, in order.
    pub components: Vec<ComponentPlan>,
}

/// What one part of a rootfs brings to a layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ComponentPlan {
    /// Which part of the rootfs it is, from 0.
    pub part: usize,
    /// Who brings it: `deb:libc6=2.41-12/amd64`, `definition:app`, `embedded`, `fixup:accounts+nsswitch`.
    pub origin: String,
    /// Whether it is the same on all architectures.
    pub reach: Reach,
    /// How many files it has in the image, other names of one file not counted.
    pub files: usize,
    /// The bytes of those.
    pub bytes: u64,
    /// Name of its layer tree.
    #[serde(serialize_with = "shown")]
    pub tree: Digest,
    /// Key of its pack.
    #[serde(serialize_with = "shown")]
    pub pack: ActionKey,
    /// Whether that is here.
    pub state: PackState,
}

/// Whether the bytes of a pack are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PackState {
    /// They are.
    Here,
    /// They are not, and are to be made.
    Missing,
    /// Nobody asked: the layer that it belongs to is here.
    Unneeded,
}

impl ComposePlan {
    /// Gives the layers of all platforms.
    pub fn layers(&self) -> impl Iterator<Item = &LayerPlan> {
        self.platforms.iter().flat_map(|platform| &platform.layers)
    }

    /// Says whether nothing is to be made.
    #[must_use]
    pub fn is_here(&self) -> bool {
        self.layers().all(|layer| layer.state == PackState::Here)
    }
}

fn shown<S: Serializer>(value: &impl Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}
