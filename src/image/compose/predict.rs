//! What `add` predicts with: the selection that the images known here want of a package.
//!
//! A wrong prediction costs one more decoding of a package and never a byte, so a definition that cannot be read is
//! passed over here: whoever composes it hears what is wrong. Definitions are read once, and only when a package is new.

use std::collections::HashMap;
use std::sync::OnceLock;

use crate::definition::{self, Here, Level};
use crate::rootfs::selection::selection;
use dlstore_formats::package::Format;
use dlstore_ingest::Selection;
use dlstore_model::package::Metadata;

/// Selections by package, of the images that are known somewhere.
pub struct Predictions<'h> {
    here: Here<'h>,
    known: OnceLock<Known>,
}

/// Selections by format and name of a package, and the one of all others.
struct Known {
    of_packages: HashMap<(Format, String), Selection>,
    default: Selection,
}

impl<'h> Predictions<'h> {
    /// Predicts with the images that are known where a person stands.
    #[must_use]
    pub const fn of(here: Here<'h>) -> Self {
        Self { here, known: OnceLock::new() }
    }

    /// Gives the selection that an image wants of a package, else the default one.
    #[must_use]
    pub fn selection(&self, package: &Metadata) -> Selection {
        let Known { of_packages, default } = self.known.get_or_init(|| Known::of(self.here));
        of_packages.get(&(package.format, package.name.to_string())).unwrap_or(default).clone()
    }
}

impl Known {
    fn of(here: Here<'_>) -> Self {
        let mut of_packages = HashMap::new();
        for (name, flavors) in definition::known(here) {
            for flavor in flavors {
                let Ok(image) = definition::load(here, &format!("{name}:{flavor}")) else { continue };
                let Some(format) = image.format else { continue };
                for level in &image.levels {
                    for requirement in level.packages.iter().chain(level.arch_packages.values().flatten()) {
                        of_packages.entry((format, requirement.name.clone())).or_insert_with(|| selection(level));
                    }
                }
            }
        }
        Self { of_packages, default: selection(&Level { slim: true, ..Level::default() }) }
    }
}
