//! Packages brought back: all of them after the index was lost, or those that a healing names.
//!
//! A package is a function of its source, the decoder and, for a plain tar, the name that it gets from outside. The
//! sources lie in the store; the names stand in the roots' journal. A .deb and an .apk say their names themselves and
//! need no journal; what is neither and that no journal names stays where it is, and is said.
//!
//! Everything that is brought back gets a root: the images that may have kept it are not known any more, and a
//! collection would take it otherwise.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;

use super::add::{pend, spool};
use super::repair::{Lost, read_again, remake};
use super::{IngestError, root_name};
use dlstore_formats::package::Format;
use dlstore_model::diagnose::{Diagnose as _, Kind};
use dlstore_model::digest::OciDigest;
use dlstore_store::session::Session;
use dlstore_store::{Adopted, Healing, Journal, Kept, KeptPackage, ObjectRef, PackageRecord, Rebuild, Store, Unhealed};

/// Sources that are decoded between two publications: a kill loses no more, and so many trees fit into memory.
const BATCH: usize = 64;

/// What came of a rebuild.
#[derive(Debug, Default)]
pub struct Restored {
    /// Packages that are back.
    pub packages: Vec<PackageRecord>,
    /// What is not, each in a sentence.
    pub lost: Vec<String>,
    /// Roots of images: composing them again sets them.
    pub images: Vec<String>,
}

/// Brings the packages of all kept sources back, and the roots that kept packages; `step` hears of each source.
///
/// # Errors
/// When the store cannot be written. What is wrong with one source keeps none of the others out.
pub fn restore(rebuild: &Rebuild, adopted: &Adopted, step: &(dyn Fn(&str) + Sync)) -> Result<Restored, IngestError> {
    let session = Session::new(rebuild.store(), "store rebuild");
    let nothing = Journal::default();
    let journal = rebuild.journal().unwrap_or(&nothing);
    let mut names: BTreeMap<OciDigest, Vec<&KeptPackage>> = BTreeMap::new();
    for package in &journal.packages {
        let known = names.entry(package.source).or_default();
        if !known.iter().any(|one| (one.format, &one.given) == (package.format, &package.given)) {
            known.push(package);
        }
    }
    let mut restored = Restored::default();
    restored.lost.extend(adopted.bad.iter().map(|name| format!("the source {name} is damaged, and is in quarantine")));
    for batch in adopted.sources.chunks(BATCH) {
        let brought: Vec<Vec<Result<PackageRecord, String>>> = batch
            .par_iter()
            .with_max_len(1)
            .map(|source| {
                let brought = bring_back(&session, source, names.get(source).map_or(&[], Vec::as_slice));
                step(&source.to_hex());
                brought
            })
            .collect::<Result<_, _>>()?;
        for outcome in brought.into_iter().flatten() {
            match outcome {
                Ok(record) => restored.packages.push(record),
                Err(lost) => restored.lost.push(lost),
            }
        }
        session.publish()?;
    }
    set_roots(&session, journal, adopted, &mut restored);
    session.finish()?;
    let back: BTreeSet<&OciDigest> = restored.packages.iter().map(|record| &record.source).collect();
    let left: Vec<OciDigest> = adopted.sources.iter().filter(|source| !back.contains(source)).copied().collect();
    rebuild.leave(&left)?;
    restored.packages.sort_by_cached_key(root_name);
    restored.lost.sort();
    restored.lost.dedup();
    Ok(restored)
}

/// Decodes one source under every name that it is known by.
fn bring_back(
    session: &Session<'_>,
    source: &OciDigest,
    names: &[&KeptPackage],
) -> Result<Vec<Result<PackageRecord, String>>, IngestError> {
    let attempts: Vec<(Format, &str)> = match names {
        [] => match sniff(session, source)? {
            Some(format) => vec![(format, "package")],
            None => return Ok(vec![Err(unnamed(source))]),
        },
        names => {
            names.iter().map(|one| (one.format, if one.given.is_empty() { &*one.name } else { &*one.given })).collect()
        }
    };
    let mut outcomes = Vec::with_capacity(attempts.len());
    for (format, name) in attempts {
        let lost = Lost { source: *source, format, name, version: "" };
        outcomes.push(match read_again(session, &lost, &|_| false, &mut spool(session)?) {
            Ok((control, decoded, size)) => Ok(pend(session, &control, (*source, size), &decoded, None)),
            Err(error) if is_of_the_store(&error) => return Err(error),
            Err(_) if names.is_empty() => Err(unnamed(source)),
            Err(error) => Err(format!("{} {name} ({source}) cannot be read: {error}", format.name())),
        });
    }
    Ok(outcomes)
}

fn unnamed(source: &OciDigest) -> String {
    format!(
        "the source {source} is neither a .deb nor an .apk, and nothing says the name that it was added under: add it again"
    )
}

/// Says what a source is that nothing names; a plain tar has no name without one from outside.
fn sniff(session: &Session<'_>, source: &OciDigest) -> Result<Option<Format>, IngestError> {
    use std::os::unix::fs::FileExt as _;
    let Some(file) = session.open_source(source)? else { return Ok(None) };
    let mut start = [0; 8];
    let length = file.read_at(&mut start, 0).map_err(IngestError::Stage)?;
    Ok(match &start[..length] {
        b"!<arch>\n" => Some(Format::Deb),
        // A compressed tar begins like this as well, and is none when it is opened.
        [0x1f, 0x8b, ..] => Some(Format::Apk),
        _ => None,
    })
}

/// Says whether an error is not about the package: going on would fail for every other one too.
fn is_of_the_store(error: &IngestError) -> bool {
    matches!(error, IngestError::Store(_) | IngestError::Stage(_)) || error.kind() == Kind::StoreFull
}

/// Says of a package that it cannot be had from what is here.
fn lost(package: &KeptPackage) -> String {
    let (format, source) = (package.format.name(), package.source);
    format!("{format} {} ({source}): its source is missing; add the package again", package.name)
}

/// Makes the roots pending: those of the journal that kept packages or sources, and one for each package.
fn set_roots(session: &Session<'_>, journal: &Journal, adopted: &Adopted, restored: &mut Restored) {
    let known: BTreeMap<(OciDigest, &str), ObjectRef> =
        restored.packages.iter().map(|record| ((record.source, record.given.as_str()), record.object())).collect();
    let sources: BTreeSet<&OciDigest> = adopted.sources.iter().collect();
    let is_missing = |package: &KeptPackage, known: &BTreeMap<(OciDigest, &str), ObjectRef>| {
        !known.contains_key(&(package.source, package.given.as_str())) && !sources.contains(&package.source)
    };
    let mut roots: BTreeMap<String, Vec<ObjectRef>> = BTreeMap::new();
    for (name, keeps) in &journal.roots {
        let mut is_image = !keeps.is_empty();
        // What an image is made of is named with it, and may be kept by nothing else.
        let of_images = keeps.iter().flat_map(|kept| &kept.packages).filter_map(Kept::package);
        restored.lost.extend(of_images.filter(|package| is_missing(package, &known)).map(|package| lost(&package)));
        for kept in keeps {
            let found = match (kept.package(), kept.object()) {
                (Some(package), _) => {
                    is_image = false;
                    let found = known.get(&(package.source, package.given.as_str())).copied();
                    if is_missing(&package, &known) {
                        restored.lost.push(lost(&package));
                    }
                    found
                }
                (None, Some(ObjectRef::Source(source))) => {
                    is_image = false;
                    sources.contains(&source).then_some(ObjectRef::Source(source))
                }
                _ => None,
            };
            if let Some(object) = found {
                roots.entry(name.clone()).or_default().push(object);
            }
        }
        if is_image {
            restored.images.push(name.clone());
        }
    }
    for record in &restored.packages {
        let keeps = roots.entry(root_name(record)).or_default();
        if !keeps.contains(&record.object()) {
            keeps.push(record.object());
        }
    }
    for (name, keeps) in roots {
        session.add_root(name, keeps);
    }
}

/// Makes the packages that a healing names again, and gives up those whose source is lost; gives what is lost.
///
/// One that cannot be read though its source is right stays as it is, marked, and is said with the session's notes:
/// another version of the program may read it.
///
/// # Errors
/// When the store cannot be written.
pub fn heal(store: &Store, session: &Session<'_>, healing: &Healing) -> Result<Vec<Unhealed>, IngestError> {
    let mut lost = Vec::new();
    let mut replaced = Vec::new();
    for batch in healing.packages.iter().collect::<Vec<_>>().chunks(BATCH) {
        let outcomes: Vec<(&Unhealed, Result<PackageRecord, IngestError>)> = batch
            .par_iter()
            .with_max_len(1)
            .map(|package| {
                let name = if package.format == Format::Tar { &package.given } else { &package.name };
                let version = &package.version;
                (*package, remake(session, &Lost { source: package.source, format: package.format, name, version }))
            })
            .collect();
        for (package, outcome) in outcomes {
            match outcome {
                Ok(record) => replaced.push((package, record)),
                Err(error) if is_of_the_store(&error) => return Err(error),
                Err(IngestError::NoSource { .. }) => lost.push(package.clone()),
                Err(error) => {
                    let (format, name) = (package.format.name(), &package.name);
                    session.note(format!("{format} {name} ({}) cannot be read: {error}", package.source));
                }
            }
        }
        session.publish()?;
    }
    for (old, new) in replaced {
        store.supersede(old, &new.key())?;
    }
    for package in &lost {
        store.give_up(package)?;
    }
    Ok(lost)
}
