//! What is there instead of a package that could not be chosen: versions, similar names, files that could not be read.
//!
//! It is looked for only when choosing has failed, and only where the user said that packages come from: those of other
//! places would not be found next time either. Where nothing was said the store is asked, for the hint to say
//! `--from store` only if that is enough.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap};

use super::ChoiceError;
use super::package_source::{PackageSource, Requirement, Unread, fits};
use super::unmet::{Like, Reason, Requested, Searched, Unmet, UnmetPackage};
use crate::definition::PackageRequirement;
use dlstore_formats::package::Format;
use dlstore_ingest::IngestError;
use dlstore_model::arch::Arch;
use dlstore_model::diagnose::one_line;
use dlstore_model::likeness::closest;
use dlstore_model::shown::MOST_SHOWN;
use dlstore_model::version;
use dlstore_store::session::Session;

/// A requirement that was not met, and why, where that is known already: two are equally good.
pub(super) type Failed<'w> = (&'w Requirement<'w>, Option<Reason>);

/// Explains why requirements of an image were not met; `image` is its name and flavor, as `NAME:FLAVOR`.
///
/// # Errors
/// When the store cannot be read.
pub(super) fn explain(
    session: &Session<'_>,
    package_source: &PackageSource,
    image: &str,
    requirements: &[Requirement<'_>],
    mut unmet: Vec<Failed<'_>>,
) -> Result<Unmet, ChoiceError> {
    let mut groups: Vec<(Requested, Option<Reason>)> = Vec::new();
    // Numbers of groups, by the package's name.
    let mut places: HashMap<&str, Vec<usize>> = HashMap::new();
    // In the order of the definitions, whichever architecture lacks it first.
    unmet
        .sort_by_key(|(requirement, _)| (requirement.level, requirement.package.line.as_ref().map(|line| line.number)));
    for (requirement, reason) in unmet {
        let reason = reason.or_else(|| unread(package_source.unread(), requirement));
        let called = places.entry(&requirement.package.name).or_default();
        let is_same = |at: &&usize| groups[**at].0.requirement == *requirement.package && groups[**at].1 == reason;
        if let Some(at) = called.iter().find(is_same) {
            groups[*at].0.archs.push(requirement.arch);
        } else {
            called.push(groups.len());
            groups.push((requested_by(image, requirement), reason));
        }
    }
    let alternatives = Alternatives { session, package_source, requirements };
    let place = match package_source {
        PackageSource::Nothing => Searched::Nowhere { in_store: alternatives.has_all(&groups)? },
        PackageSource::Store => Searched::Store,
        PackageSource::Files(_) => Searched::Paths,
    };
    let mut packages = Vec::with_capacity(groups.len());
    for (requested, reason) in groups {
        let reason = match reason {
            Some(reason) => reason,
            // Of more than are shown nobody asks what is like them, and each may be held against all of a store.
            None if packages.len() >= MOST_SHOWN => Reason::Nothing { like: None },
            None => alternatives.instead(&requested)?,
        };
        packages.push(UnmetPackage { requested, reason });
    }
    Ok(Unmet::new(place, packages))
}

fn requested_by(image: &str, requirement: &Requirement<'_>) -> Requested {
    Requested {
        requirement: requirement.package.clone(),
        format: requirement.format,
        images: vec![image.to_owned()],
        archs: vec![requirement.arch],
    }
}

/// Finds a file that seems to be what is requested, and could not be read.
fn unread(files: &[Unread], requirement: &Requirement<'_>) -> Option<Reason> {
    let Unread { path, error } =
        files.iter().find(|file| file.is_called(&requirement.package.name, requirement.format, requirement.arch))?;
    let (why, is_closed) = match error {
        IngestError::Read { source, .. } => (source.to_string(), true),
        error => (one_line(error), false),
    };
    Some(Reason::Unread { path: path.clone(), why, is_closed })
}

/// What is there in the place that was asked.
struct Alternatives<'t> {
    session: &'t Session<'t>,
    package_source: &'t PackageSource,
    /// All that the image wants.
    requirements: &'t [Requirement<'t>],
}

impl Alternatives<'_> {
    /// Gives version and architecture of the packages of a name.
    fn called(&self, format: Format, name: &str) -> Result<Vec<(String, String)>, ChoiceError> {
        match self.package_source {
            PackageSource::Nothing => Ok(Vec::new()),
            PackageSource::Store => self.in_store(format, name),
            PackageSource::Files(_) => {
                let all = self.package_source.files().iter().map(|file| &file.identity);
                let called = all.filter(|one| one.format == format && one.name == name);
                Ok(called.map(|one| (one.version.clone(), one.architecture.clone())).collect())
            }
        }
    }

    fn in_store(&self, format: Format, name: &str) -> Result<Vec<(String, String)>, ChoiceError> {
        let candidates = self.session.candidates(format, name)?.into_iter().filter_map(|one| one.record);
        let called = candidates.filter(|record| record.name == name);
        Ok(called.map(|record| (record.version, record.architecture)).collect())
    }

    /// Gives the names of packages that fit all of some architectures.
    fn names(&self, format: Format, archs: &[Arch]) -> Result<BTreeSet<String>, ChoiceError> {
        let all: Vec<(String, String)> = match self.package_source {
            PackageSource::Nothing => Vec::new(),
            PackageSource::Store => {
                let packages = self.session.store().packages()?.packages.into_iter();
                packages.filter(|one| one.format == format).map(|one| (one.name, one.architecture)).collect()
            }
            PackageSource::Files(_) => {
                let all =
                    self.package_source.files().iter().map(|file| &file.identity).filter(|one| one.format == format);
                all.map(|one| (one.name.clone(), one.architecture.clone())).collect()
            }
        };
        let of = |arch: &Arch| -> BTreeSet<String> {
            all.iter().filter(|(_, said)| fits(said, format, *arch)).map(|(name, _)| name.clone()).collect()
        };
        let all = archs.iter().map(of).reduce(|a, b| a.intersection(&b).cloned().collect());
        Ok(all.unwrap_or_default())
    }

    /// Says what is there instead of what is requested.
    fn instead(&self, requested: &Requested) -> Result<Reason, ChoiceError> {
        let Requested { requirement, format, .. } = requested;
        let there = self.called(*format, &requirement.name)?;
        // What is proposed must do for all architectures that the word is meant for, not only for those that lack it.
        let archs: Vec<Arch> =
            self.requirements.iter().filter(|one| one.package == requirement).map(|one| one.arch).collect();
        if there.is_empty() {
            let names = self.names(*format, &archs)?;
            let is_listed = |name: &str| self.requirements.iter().any(|one| one.package.name == name);
            let like = closest(&requirement.name, names.iter().map(String::as_str));
            let like = like.map(|name| Like { name: name.to_owned(), is_listed: is_listed(name) });
            return Ok(Reason::Nothing { like });
        }
        let mut versions: Vec<(String, Vec<String>)> = Vec::new();
        for (version, architecture) in there {
            match versions.iter_mut().find(|(known, _)| *known == version) {
                Some((_, archs)) if archs.contains(&architecture) => {}
                Some((_, archs)) => archs.push(architecture),
                None => versions.push((version, vec![architecture])),
            }
        }
        for (_, archs) in &mut versions {
            archs.sort();
        }
        versions.sort_by(|(a, _), (b, _)| version::compare(*format, b, a).then_with(|| a.cmp(b)));
        let fits_all = |(_, there): &&(String, Vec<String>)| {
            archs.iter().all(|arch| there.iter().any(|said| fits(said, *format, *arch)))
        };
        let fitting = versions.iter().find(fits_all).map(|(version, _)| version.clone());
        Ok(Reason::Others { versions, fitting })
    }

    /// Says whether the store has all that is requested.
    fn has_all(&self, groups: &[(Requested, Option<Reason>)]) -> Result<bool, ChoiceError> {
        for (Requested { requirement, format, archs, .. }, _) in groups {
            let there = self.session.candidates(*format, &requirement.name)?.into_iter().filter_map(|one| one.record);
            let there: Vec<_> =
                there.filter(|record| is_meant(requirement, *format, &record.version, record.source)).collect();
            if !archs.iter().all(|arch| there.iter().any(|record| fits(&record.architecture, *format, *arch))) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Says whether a version and source are what a requirement pins.
fn is_meant(
    requirement: &PackageRequirement,
    format: Format,
    version: &str,
    source: dlstore_model::digest::OciDigest,
) -> bool {
    requirement.sha256.is_none_or(|requested| requested == source)
        && requirement
            .version
            .as_ref()
            .is_none_or(|requested| version::compare(format, version, requested) == Ordering::Equal)
}
