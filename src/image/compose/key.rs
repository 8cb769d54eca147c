//! Keys of what is remembered of images: all that decides an outcome, field by field.
//!
//! The pages are in `store-schema/KEYS.md`. Whoever changes what an outcome depends on changes its key here, and raises
//! the number in its name.

use super::gather::{Gathered, Platform};
use crate::definition::Fixup;
use crate::embedded;
use crate::rootfs::own;
use dlstore_formats::layer::TAR_RULE;
use dlstore_formats::package::Format;
use dlstore_model::config::Config;
use dlstore_model::digest::{ActionKey, KeyBuilder};
use dlstore_model::generation::GENERATOR;

/// Gives the key of a planned rootfs: everything that decides its layers.
pub(super) fn of_rootfs(gathered: &Gathered<'_>, platform: &Platform) -> ActionKey {
    let image = gathered.request.image;
    of_levels(gathered, platform, image.levels.len(), &image.name, &image.config)
}

/// Gives the key that a rootfs of the first levels of an image would have, under another name and with other words on
/// what it is to run.
pub(super) fn of_levels(
    gathered: &Gathered<'_>,
    platform: &Platform,
    levels: usize,
    name: &str,
    config: &Config,
) -> ActionKey {
    let request = gathered.request;
    let image = request.image;
    let mut key = KeyBuilder::new("rootfs 8");
    key.list(Fixup::ALL, |key, fixup| {
        key.text(fixup.name()).number(u64::from(fixup.version()));
    });
    key.number(u64::from(TAR_RULE)).number(u64::from(embedded::VERSION));
    key.number(u64::from(GENERATOR));
    key.text(name).text(image.format.map_or("", Format::name));
    key.text(&platform.arch.to_string()).text(request.codec.name()).number(request.layering as u64);
    key.list(image.levels[..levels].iter().enumerate(), |key, (at, level)| {
        key.text(&level.name).number(u64::from(level.embedded)).bytes(gathered.selections[at].key.as_bytes());
        let packages: Vec<_> = platform.of_level(at).collect();
        key.list(packages, |key, package| {
            key.bytes(package.record.key().as_bytes());
        });
        own::add_to_key(&platform.own[at], key);
        level.add_to_key(key);
        // Warnings are given only for definitions of the user.
        key.number(u64::from(level.is_own()));
    });
    config.add_start_to_key(&mut key);
    key.finish()
}
