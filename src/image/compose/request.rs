//! What is asked for, and what comes of it.
//!
//! A request is made once, by whoever knows definitions and flags, and borrowed by everything below.

use std::collections::{BTreeMap, BTreeSet};

use super::kept;
use crate::check::Note;
use crate::choice::PackageSource;
use crate::definition::{Image, Layering};
use dlstore_formats::layer::Codec;
use dlstore_model::arch::Arch;
use dlstore_model::digest::{ActionKey, OciDigest};
use dlstore_oci::Documents;

/// What is asked for.
pub struct Request<'r> {
    /// The definition, with what flags changed of it already in place.
    pub image: &'r Image,
    /// The architectures, in their order.
    pub architectures: &'r [Arch],
    /// Where packages come from.
    pub package_source: &'r PackageSource,
    /// How layers are cut.
    pub layering: Layering,
    /// Their codec.
    pub codec: Codec,
    /// The date of `created` when the user gives one, in seconds.
    pub date: Option<u64>,
}

impl Request<'_> {
    /// Gives the name of the root that keeps what is asked for.
    pub(super) fn root_name(&self) -> String {
        kept::root_name(self.image, self.architectures, self.layering, self.codec, self.date)
    }

    /// Says whether it is for all architectures of the image.
    pub(super) fn is_for_all(&self) -> bool {
        self.architectures.len() == self.image.architectures.len()
    }
}

/// What was made.
pub struct Composed {
    /// All documents.
    pub documents: Documents,
    /// Layers by their digest: key of the pack, for whoever needs the bytes.
    pub packs: BTreeMap<OciDigest, ActionKey>,
    /// Those of them that were made now, and that no image before it in the command has.
    pub made: BTreeSet<ActionKey>,
    /// Newest date of what went in, in seconds.
    pub date: u64,
    /// Packages: how many, and how many of them were new.
    pub packages: (usize, usize),
    /// Versions by package name, of the first architecture, for tags.
    pub versions: BTreeMap<String, String>,
    /// What people should know.
    pub notes: Vec<Note>,
}

/// Whether remembered outcomes are trusted, or looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CachePolicy {
    /// An image that is remembered is there.
    Trust,
    /// The bytes of every layer are looked for, and made again when they are gone or bad.
    Verify,
}

/// What happens to the other images when one of them cannot be composed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterAnError {
    /// Those behind it are not begun.
    Stop,
    /// They are composed.
    GoOn,
}
