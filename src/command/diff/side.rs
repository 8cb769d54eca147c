//! The two sides of a comparison, and the architectures that both have.
//!
//! An image definition is planned for those that are compared, a built image is unpacked for them, and of packages
//! there must be one for each.

use std::collections::{BTreeMap, BTreeSet};

use crate::command::context::Context;
use crate::command::error::Error;
use crate::command::made;
use crate::command::request::{Ready, Settings, named};
use crate::command::subject::{self, Subject};
use dlstore_image::choice::fits;
use dlstore_image::compose::{ListedRootfs, config_of};
use dlstore_image::rootfs::Listed;
use dlstore_model::arch::Arch;
use dlstore_model::config::Config;
use dlstore_oci::reading::{Budget, Image};
use dlstore_store::{PackageRecord, Store};

/// What one thing is on one architecture.
pub(super) struct Side {
    /// What a container starts with; a package has none.
    pub(super) config: Option<Config>,
    /// Settings that this program has no word for, where the image may have them.
    pub(super) others: BTreeMap<String, String>,
    /// Annotations of the manifest, where there is one.
    pub(super) annotations: Option<BTreeMap<String, String>>,
    /// When it was made, where that is said.
    pub(super) created: Option<String>,
    /// Versions of its packages by name.
    pub(super) packages: BTreeMap<String, BTreeSet<String>>,
    /// Its paths, sorted.
    pub(super) files: Vec<Listed>,
}

/// The two sides.
pub(super) struct Sides<'w> {
    names: [&'w str; 2],
    subjects: [Subject; 2],
    /// The architectures that are compared, in order.
    architectures: Vec<String>,
    /// Those that only one of them has, where all are asked for.
    pub(super) only: [Vec<String>; 2],
}

impl<'w> Sides<'w> {
    /// Finds what is compared, and for which architectures.
    pub(super) fn find(context: &Context, settings: &Settings, names: [&'w str; 2]) -> Result<Self, Error> {
        // Which of them are compared is known once both are.
        let all = Settings { architectures: Some("all".to_owned()), ..settings.clone() };
        let subjects = [subject::find(context, &all, names[0])?, subject::find(context, &all, names[1])?];
        let architectures = common(context, settings.architectures.as_deref(), names, &subjects)?;
        let only = match settings.architectures.as_deref() {
            Some("all") => {
                let has = subjects.each_ref().map(self::architectures);
                has.map(|has| has.into_iter().filter(|name| !architectures.contains(name)).collect())
            }
            _ => [Vec::new(), Vec::new()],
        };
        Ok(Self { names, subjects, architectures, only })
    }

    /// Plans, unpacks or lists both sides; each architecture with the two.
    pub(super) fn load(self, context: &Context, settings: &Settings) -> Result<Vec<(String, Side, Side)>, Error> {
        let [old, new] = self.subjects;
        let of = |name, subject| load(context, settings, name, subject, &self.architectures);
        let (old, new) = (of(self.names[0], old)?, of(self.names[1], new)?);
        let both = self.architectures.iter().cloned().zip(old).zip(new);
        Ok(both.map(|((architecture, old), new)| (architecture, old, new)).collect())
    }
}

/// Gives the architectures of a subject, in order.
fn architectures(subject: &Subject) -> Vec<String> {
    match subject {
        Subject::Packages(_, found) => {
            let has = |arch: &&Arch| found.iter().any(|record| fits(&record.architecture, record.format, **arch));
            Arch::ALL.iter().filter(has).map(ToString::to_string).collect()
        }
        Subject::Image(ready) => ready.architectures.iter().map(ToString::to_string).collect(),
        Subject::Made(image) => image.platforms.iter().map(|platform| platform.name.clone()).collect(),
    }
}

/// Finds out which architectures are compared.
fn common(
    context: &Context,
    asked: Option<&str>,
    names: [&str; 2],
    subjects: &[Subject; 2],
) -> Result<Vec<String>, Error> {
    let has = subjects.each_ref().map(architectures);
    let both: Vec<String> = has[0].iter().filter(|name| has[1].contains(name)).cloned().collect();
    if both.is_empty() {
        let [old, new] = has.map(|has| has.join(" "));
        return Err(Error::NothingInCommon { old: names[0].into(), old_has: old, new: names[1].into(), new_has: new });
    }
    let only_packages = subjects.iter().all(|subject| matches!(subject, Subject::Packages(..)));
    match asked {
        Some("all") => Ok(both),
        Some(asked) => {
            let wanted = named(asked, &Arch::ALL)?;
            for arch in &wanted {
                if let Some(at) = (0..2).find(|at| !has[*at].contains(&arch.to_string())) {
                    let (image, offered) = (names[at].to_owned(), has[at].join(","));
                    return Err(Error::NotFor { image, arch: *arch, offered });
                }
            }
            Ok(wanted.iter().map(ToString::to_string).collect())
        }
        None => {
            let host = Arch::host().map(|host| host.to_string());
            let shown = host.filter(|host| both.contains(host)).unwrap_or_else(|| both[0].clone());
            let others: Vec<String> = both.into_iter().filter(|name| *name != shown).collect();
            if !others.is_empty() && !only_packages {
                context.note(&format!("both are also available for {}; --arch all compares them", others.join(", ")));
            }
            Ok(vec![shown])
        }
    }
}

fn load(
    context: &Context,
    settings: &Settings,
    name: &str,
    subject: Subject,
    architectures: &[String],
) -> Result<Vec<Side>, Error> {
    match subject {
        Subject::Packages(store, found) => {
            architectures.iter().map(|architecture| of_package(&store, name, &found, architecture)).collect()
        }
        Subject::Image(ready) => of_definition(context, settings, *ready, architectures),
        Subject::Made(image) => {
            let mut budget = Budget::default();
            architectures.iter().map(|architecture| of_made(&image, architecture, &mut budget)).collect()
        }
    }
}

fn of_package(store: &Store, name: &str, found: &[PackageRecord], architecture: &str) -> Result<Side, Error> {
    let arch: Option<Arch> = architecture.parse().ok();
    let is_for = |record: &&PackageRecord| arch.is_some_and(|arch| fits(&record.architecture, record.format, arch));
    let fitting: Vec<&PackageRecord> = found.iter().filter(is_for).collect();
    let [record] = fitting.as_slice() else {
        let has: Vec<String> = fitting.into_iter().map(subject::name_of).collect();
        return Err(Error::SeveralPackages { what: name.to_owned(), has: has.join(", ") });
    };
    let packages = versions([(record.name.clone(), record.version.clone())]);
    let files = subject::files_of(store, record)?;
    Ok(Side { config: None, others: BTreeMap::new(), annotations: None, created: None, packages, files })
}

fn of_definition(
    context: &Context,
    settings: &Settings,
    mut ready: Ready,
    architectures: &[String],
) -> Result<Vec<Side>, Error> {
    ready.architectures.retain(|arch| architectures.contains(&arch.to_string()));
    let config = config_of(&ready.image)?;
    let rootfs = subject::plan(context, settings, &ready)?;
    let side = |one: ListedRootfs| Side {
        config: Some(config.clone()),
        others: BTreeMap::new(),
        annotations: Some(ready.image.annotations.clone()),
        created: None,
        // A database names no tar.
        packages: versions(
            one.packages.into_iter().filter(|one| one.format != "tar").map(|one| (one.name, one.version)),
        ),
        files: one.files,
    };
    Ok(rootfs.into_iter().map(side).collect())
}

fn of_made(image: &Image, architecture: &str, budget: &mut Budget) -> Result<Side, Error> {
    let platform = image.platforms.iter().find(|platform| platform.name == architecture);
    let platform = platform.expect("it is one of those that both have");
    let unpacked = made::unpack(image, platform, budget)?;
    Ok(Side {
        config: Some(platform.config.clone()),
        others: platform.others.clone(),
        annotations: platform.manifest.map(|_| platform.annotations.clone()),
        created: platform.created.clone(),
        packages: versions(unpacked.packages.into_iter().map(|(_, one)| (one.name, one.version))),
        files: unpacked.files,
    })
}

fn versions(packages: impl IntoIterator<Item = (String, String)>) -> BTreeMap<String, BTreeSet<String>> {
    let mut by_name: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (name, version) in packages {
        by_name.entry(name).or_default().insert(version);
    }
    by_name
}
