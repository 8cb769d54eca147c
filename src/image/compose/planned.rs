//! One architecture's rootfs: parts united, made content added, checked, cut into layers.
//!
//! ```text
//! levels ► packages, own files ► selection ► landed entries ─┐
//!                                                            ├► union ► fix-ups ► union ► checks
//! definition ────────────────────────────────────────────────┘                 │
//!                                      layers: lists of layer trees ◄──────────┘
//! ```
//!
//! Everything here is planning: no pack is made. The outcome is remembered under a key of all that
//! decides it, so an image whose label changed does not unite its trees again.

use std::collections::BTreeMap;

use super::ComposeError;
use super::check;
use super::gather::{Gathered, Platform};
use super::layering;
use super::notes::Note;
use super::packs;
use super::plan::PlatformPlan;
use super::shared::PartKey;
use crate::definition::Fixup;
use crate::embedded;
use crate::fixup::inputs::{Inputs, skipped};
use crate::fixup::{self, attribution};
use crate::rootfs::owned::Voices;
use crate::rootfs::{Origin, Rootfs, own, package};
use dlstore_formats::layer::TAR_RULE;
use dlstore_formats::package::Format;
use dlstore_ingest::select::layer_tree::relink;
use dlstore_ingest::select::merged_usr::MergedUsr;
use dlstore_model::config::Config;
use dlstore_model::digest::{ActionKey, KeyBuilder};
use dlstore_model::generation::GENERATOR;
use dlstore_model::path::TreePath;
use dlstore_model::tree::{Entry, Meta, Node};
use dlstore_store::session::Session;

/// One path of a planned rootfs, for people.
pub struct Listed {
    /// The path.
    pub path: TreePath,
    /// What stands there.
    pub entry: Entry,
    /// Who brought it.
    pub origin: String,
    /// The packages that a fix-up made it of.
    pub of: Vec<String>,
}

/// A planned rootfs.
pub(super) struct Planned {
    /// What stands where.
    pub(super) rootfs: Rootfs,
    /// Its layers.
    pub(super) plan: PlatformPlan,
    /// What people should know.
    pub(super) notes: Vec<Note>,
}

/// Plans the rootfs of one architecture.
///
/// # Errors
/// When parts conflict, something is missing at run time, or content is not allowed.
pub(super) fn plan(
    session: &Session<'_>,
    gathered: &Gathered<'_>,
    platform: &Platform,
) -> Result<Planned, ComposeError> {
    let (image, shared) = (gathered.request.image, gathered.shared);
    let levels = &image.levels;
    let merged = merged_usr(session, gathered, platform)?;
    let has = |name: &str| platform.packages.iter().any(|package| package.record.name == name);
    let voices = Voices::of(levels, image.format, has);
    let mut rootfs = Rootfs::of(levels);
    let mut history = Vec::new();
    let mut certificates: Vec<(String, Vec<u8>)> = Vec::new();
    let mut useless = Vec::new();
    for (at, level) in levels.iter().enumerate() {
        if level.embedded {
            rootfs.add(shared.part(PartKey::Embedded(at), || Ok(embedded::part(at)))?)?;
        }
        let selected = &gathered.selections[at];
        for resolved in platform.of_level(at) {
            let key = PartKey::Package(resolved.record.key(), selected.key, at, merged.clone());
            let codec = gathered.request.codec;
            let make = || package::part(session, &resolved.record, (at, level), &merged, selected, codec);
            let part = shared.part(key, make)?;
            if let Some(package) = &part.package {
                voices.check(&package.control.metadata.name, &part.origin, at, &package.claims)?;
            }
            rootfs.add(part)?;
        }
        for part in own::parts(&platform.own[at], at, level, &merged)? {
            rootfs.add(part)?;
        }
        rootfs.relink();
        certificates.extend(platform.own[at].certificates.iter().cloned());
        let inputs = Inputs {
            image,
            levels: &levels[..=at],
            arch: platform.arch,
            rootfs: &rootfs,
            certificates: &certificates,
            voices: &voices,
            bundles: &shared.bundles,
        };
        history.push(fixup::run(&inputs, &skipped(levels))?);
        if at + 1 == levels.len() {
            useless = check::unused::of_fixups(levels, |fixup| fixup::makes_something(fixup, &inputs));
        }
    }
    for part in attribution::join(&history)? {
        rootfs.add(part)?;
    }
    rootfs.relink();
    rootfs.check_paths()?;
    let mut notes: Vec<Note> = rootfs.take_notes().into_iter().map(Note::told).collect();
    notes.extend(check::root(image, platform.arch, &rootfs)?);
    notes.extend(useless);
    let mut layers = layering::plan(gathered.request, platform.arch, &rootfs)?;
    packs::look_up(session, &mut layers)?;
    let plan = PlatformPlan { architecture: platform.arch, date: platform.date(levels), layers };
    Ok(Planned { rootfs, plan, notes })
}

/// The usr-merge links of a rootfs: those that packages ship, and those that the fix-up will make.
fn merged_usr(session: &Session<'_>, gathered: &Gathered<'_>, platform: &Platform) -> Result<MergedUsr, ComposeError> {
    let image = gathered.request.image;
    let made = !skipped(&image.levels).contains(&Fixup::UsrMerge);
    if image.format == Some(Format::Deb) && made {
        return Ok(MergedUsr::usual(Format::Deb, Some(platform.arch)));
    }
    let whole = |record| package::whole(session, record);
    let trees = platform.packages.iter().map(|package| whole(&package.record)).collect::<Result<Vec<_>, _>>()?;
    Ok(MergedUsr::of(trees.iter().map(AsRef::as_ref)))
}

/// Gives the key of a planned rootfs: everything that decides its layers. The page is `store-schema/KEYS.md`.
pub(super) fn key(gathered: &Gathered<'_>, platform: &Platform) -> ActionKey {
    let image = gathered.request.image;
    key_of(gathered, platform, image.levels.len(), &image.name, &image.config)
}

/// Gives the key that a rootfs of the first levels of an image would have, under another name and with other words on
/// what it is to run.
pub(super) fn key_of(
    gathered: &Gathered<'_>,
    platform: &Platform,
    levels: usize,
    name: &str,
    config: &Config,
) -> ActionKey {
    let request = gathered.request;
    let image = request.image;
    let mut key = KeyBuilder::new("rootfs 6");
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

/// Lists every path of a rootfs with its entry and who brought it. Directories that nobody lists but
/// that hold something are there too, as the runtime will see them.
pub(super) fn files(rootfs: &Rootfs) -> Vec<Listed> {
    let mut all: BTreeMap<TreePath, (Entry, String, Vec<String>)> = BTreeMap::new();
    for (path, slot) in rootfs.iter() {
        let maker = rootfs.parts()[slot.owner].origin_of(path);
        let origin = maker.to_string();
        for parent in path.ancestors() {
            all.entry(parent)
                .or_insert_with(|| (Entry::new(Node::Directory, Meta::DIRECTORY), origin.clone(), Vec::new()));
        }
        let mut entry = slot.entry.clone();
        if entry.is_directory() {
            entry.meta.mtime = 0;
        }
        let of = if let Origin::Fixup(_, packages) = maker { packages.clone() } else { Vec::new() };
        all.insert(path.clone(), (entry, origin, of));
    }
    // As in a layer, the first name of a file is the file.
    let mut entries: Vec<_> = all.iter_mut().map(|(path, (entry, ..))| (path.clone(), entry.clone())).collect();
    relink(&mut entries);
    let both = all.into_values().zip(entries);
    both.map(|((_, origin, of), (path, entry))| Listed { path, entry, origin, of }).collect()
}
