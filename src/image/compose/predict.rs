//! What `add` predicts with: the selection that the images known here want of a package.
//!
//! A wrong prediction costs one more decoding of a package and never a byte, so a definition that cannot be read is
//! passed over here: whoever composes it hears what is wrong.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::definition::{self, Level};
use crate::rootfs::selection::selection;
use dlstore_formats::package::Format;
use dlstore_ingest::Selection;
use dlstore_model::package::Metadata;

/// Selections by format and name of a package.
type ByPackage = HashMap<(Format, String), Selection>;

/// Gives the selection that the images known here want of a package, else the default one: what `add`
/// predicts with.
#[must_use]
pub fn default_selection(package: &Metadata) -> Selection {
    static KNOWN: LazyLock<(ByPackage, Selection)> = LazyLock::new(|| {
        let mut known = ByPackage::new();
        let here = std::env::current_dir().unwrap_or_default();
        for (name, flavors) in definition::known(&here) {
            for flavor in flavors {
                let Ok(image) = definition::load(&here, &format!("{name}:{flavor}")) else { continue };
                let Some(format) = image.format else { continue };
                for level in &image.levels {
                    for requirement in level.packages.iter().chain(level.arch_packages.values().flatten()) {
                        known.entry((format, requirement.name.clone())).or_insert_with(|| selection(level));
                    }
                }
            }
        }
        let plain = Level { slim: true, ..Level::default() };
        (known, selection(&plain))
    });
    let (known, plain) = &*KNOWN;
    known.get(&(package.format, package.name.to_string())).unwrap_or(plain).clone()
}
