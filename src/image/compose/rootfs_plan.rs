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
//! decides it (`key`), so an image whose label changed does not unite its trees again.

use super::ComposeError;
use super::gather::{Gathered, Platform};
use super::layering;
use super::packs;
use super::plan::PlatformPlan;
use super::shared::PartKey;
use crate::check::{self, Note};
use crate::definition::Fixup;
use crate::embedded;
use crate::fixup::inputs::{Inputs, skipped};
use crate::fixup::{self, attribution};
use crate::rootfs::own::{self, OwnCertificate};
use crate::rootfs::reserved::Shippers;
use crate::rootfs::{Rootfs, package};
use dlstore_formats::package::Format;
use dlstore_ingest::select::merged_usr::MergedUsr;
use dlstore_store::session::Session;

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
    let shippers = Shippers::of(levels, image.format, has);
    let mut rootfs = Rootfs::of(levels);
    let mut history = Vec::new();
    let mut certificates: Vec<OwnCertificate> = Vec::new();
    let mut warnings = Vec::new();
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
                shippers.check(&package.control.metadata.name, &part.origin, at, &package.claims)?;
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
            shippers: &shippers,
            bundles: &shared.bundles,
        };
        let skipped = skipped(levels);
        history.push(fixup::run(&inputs, &skipped)?);
        if at + 1 == levels.len() {
            warnings = check::of_fixups(levels, |fixup| fixup::makes_something(fixup, &inputs));
            warnings.extend(fixup::warnings(&inputs, &skipped).into_iter().map(Note::warning));
        }
    }
    for part in attribution::join(&history)? {
        rootfs.add(part)?;
    }
    rootfs.relink();
    rootfs.check_paths()?;
    let mut notes: Vec<Note> = rootfs.take_notes().into_iter().map(Note::told).collect();
    notes.extend(check::root(image, platform.arch, &rootfs)?);
    notes.extend(warnings);
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
