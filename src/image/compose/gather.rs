//! Everything that an image is planned from: its packages brought into the session, its own files read.
//!
//! It chooses and adds packages, and reads own files. What it finds lives as long as the image is composed, and all
//! later steps borrow that and the request.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::ComposeError;
use super::request::Request;
use super::shared::Shared;
use crate::choice::{ChoiceError, Requirement, Unmet};
use crate::definition::{Image, Level};
use crate::embedded;
use crate::rootfs::own::{self, OwnFiles};
use crate::rootfs::selection::selection;
use dlstore_ingest::Added;
use dlstore_ingest::Selection;
use dlstore_model::arch::Arch;
use dlstore_store::PackageRecord;
use dlstore_store::session::Session;

/// A package of a rootfs with the level that wants it.
#[derive(Clone)]
pub(super) struct Resolved {
    /// Index of the level.
    pub(super) level: usize,
    /// The package.
    pub(super) record: PackageRecord,
}

/// What was gathered for one architecture.
pub(super) struct Platform {
    /// The architecture.
    pub(super) arch: Arch,
    /// Its packages, by level and in the definition's order.
    pub(super) packages: Vec<Resolved>,
    /// The definition's own files, by level.
    pub(super) own: Vec<Arc<OwnFiles>>,
}

/// What was gathered for a request.
pub(super) struct Gathered<'r> {
    /// What is asked for.
    pub(super) request: &'r Request<'r>,
    /// What others of the same command share with it.
    pub(super) shared: &'r Shared,
    /// The selection of each level.
    pub(super) selections: Vec<Selection>,
    /// The architectures in their order.
    pub(super) platforms: Vec<Platform>,
    /// Packages: how many, and how many of them were new.
    pub(super) packages: (usize, usize),
}

/// Brings packages in, says of each source once what became of it, and reads own files.
///
/// # Errors
/// When a package is missing or cannot be added, or an own file cannot be read.
pub(super) fn gather<'r>(
    session: &Session<'_>,
    request: &'r Request<'r>,
    shared: &'r Shared,
    say: impl Fn(&Added),
) -> Result<Gathered<'r>, ComposeError> {
    let image = request.image;
    let selections: Vec<Selection> = image.levels.iter().map(|level| shared.selection(level)).collect();
    let requirements = all_requirements(request, &selections);
    let added = request.package_source.take_all(session, called(request), &requirements, request.codec)?;
    let mut all = BTreeSet::new();
    added.iter().filter(|one| all.insert(one.record.source)).for_each(say);
    let mut fresh = BTreeSet::new();
    for one in added.iter().filter(|one| !one.was_known) {
        if fresh.insert(one.record.source) {
            session.add_root(dlstore_ingest::root_name(&one.record), dlstore_ingest::kept_by(one));
        }
    }
    let mut resolved: BTreeMap<Arch, Vec<Resolved>> = BTreeMap::new();
    for (requirement, one) in requirements.iter().zip(added) {
        resolved.entry(requirement.arch).or_default().push(Resolved { level: requirement.level, record: one.record });
    }
    let mut platforms: Vec<Platform> = Vec::new();
    for arch in request.architectures {
        let mut own = Vec::new();
        for (at, level) in image.levels.iter().enumerate() {
            // Files that are the same on all architectures are read once.
            own.push(match platforms.first().filter(|_| !own::differ(level)) {
                Some(first) => Arc::clone(&first.own[at]),
                None => Arc::new(own::read(image, level, *arch)?),
            });
        }
        platforms.push(Platform { arch: *arch, packages: resolved.remove(arch).unwrap_or_default(), own });
    }
    Ok(Gathered { request, shared, selections, platforms, packages: (all.len(), fresh.len()) })
}

/// Says what cannot be chosen for any of several images, of all of them; `None` when that is nothing. For whoever
/// failed at one of them: the others would fail in turn. Nothing is brought in.
///
/// # Errors
/// When the store cannot be read.
pub fn unmet_of_all(session: &Session<'_>, requests: &[Request<'_>]) -> Result<Option<ComposeError>, ComposeError> {
    let mut all: Option<Box<Unmet>> = None;
    for request in requests {
        let selections: Vec<Selection> = request.image.levels.iter().map(selection).collect();
        match (
            request.package_source.has_all(session, called(request), &all_requirements(request, &selections)),
            &mut all,
        ) {
            (Ok(()), _) => {}
            (Err(ChoiceError::Unmet(more)), Some(all)) => all.join(*more),
            (Err(ChoiceError::Unmet(first)), None) => all = Some(first),
            (Err(error), _) => return Err(error.into()),
        }
    }
    Ok(all.map(|all| ChoiceError::Unmet(all).into()))
}

/// Gives what an image is called in sentences: `NAME:FLAVOR`.
fn called<'r>(request: &'r Request<'_>) -> &'r str {
    request.image.levels.last().map_or(request.image.name.as_str(), |level| level.name.as_str())
}

fn all_requirements<'r>(request: &'r Request<'_>, selections: &'r [Selection]) -> Vec<Requirement<'r>> {
    request.architectures.iter().flat_map(|arch| requirements(request.image, *arch, selections)).collect()
}

/// Lists the packages that an image wants on an architecture, each name once, by level. A package that
/// several levels name stands with the first of them; what a later one pins counts.
fn requirements<'w>(image: &'w Image, arch: Arch, selections: &'w [Selection]) -> Vec<Requirement<'w>> {
    let Some(format) = image.format else { return Vec::new() };
    let mut requirements: Vec<Requirement<'w>> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    for (level, one) in image.levels.iter().enumerate() {
        let here = one.arch_packages.get(&arch).into_iter().flatten();
        for package in one.packages.iter().chain(here) {
            let at = *places.entry(&package.name).or_insert(requirements.len());
            match requirements.get_mut(at) {
                Some(known) if package.version.is_some() || package.sha256.is_some() => known.package = package,
                Some(_) => {}
                None => requirements.push(Requirement { level, package, format, arch, selection: &selections[level] }),
            }
        }
    }
    requirements
}

/// What the record of a package takes, in entries.
const RECORD: usize = 8;

impl Gathered<'_> {
    /// Says how much is held for it until it is planned, in entries: own files, and records of packages.
    pub(super) fn held(&self) -> u64 {
        let of = |platform: &Platform| RECORD * platform.packages.len() + platform.own_entries();
        self.platforms.iter().map(of).sum::<usize>() as u64
    }

    /// Gives versions by package name, of the first architecture.
    pub(super) fn versions(&self) -> BTreeMap<String, String> {
        let first = self.platforms.first().into_iter().flat_map(|platform| &platform.packages);
        first.map(|package| (package.record.name.clone(), package.record.version.clone())).collect()
    }
}

impl Platform {
    /// Says how many entries the packages and own files have before anything is selected: about what it takes to
    /// plan the rootfs.
    pub(super) fn weight(&self) -> u64 {
        let packages = self.packages.iter().map(|package| package.record.entries).sum::<u64>();
        packages + self.own_entries() as u64
    }

    fn own_entries(&self) -> usize {
        self.own.iter().map(|own| own.entries()).sum()
    }

    /// Gives what there is of the first levels.
    pub(super) fn below(&self, levels: usize) -> Self {
        let below = self.packages.iter().filter(|package| package.level < levels).cloned();
        Self { arch: self.arch, packages: below.collect(), own: self.own[..levels].to_vec() }
    }

    /// Gives the packages of a level.
    pub(super) fn of_level(&self, level: usize) -> impl Iterator<Item = &Resolved> {
        self.packages.iter().filter(move |package| package.level == level)
    }

    /// Gives the newest package date, or the date of the embedded data where that is all there is.
    pub(super) fn date(&self, levels: &[Level]) -> u64 {
        let packages = self.packages.iter().map(|package| package.record.date).max().unwrap_or(0);
        if levels.iter().any(|level| level.embedded) { packages.max(embedded::DATE) } else { packages }
    }
}
