//! Choosing packages: where they come from is always said, never guessed.
//!
//! A *shelf* is what `--from` names: files and folders of the host, whose control parts are read
//! first, so that only what an image wants is added; or the store itself. Of a name, format and
//! architecture the highest version is taken. A tie between two different sources is an error that
//! names both.

use std::cmp::{Ordering, Reverse};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::ComposeError;
use crate::definition::PackageWish;
use dlstore_formats::layer::Codec;
use dlstore_formats::package::{Control, Format, Limits};
use dlstore_ingest::input::{self, Input, InputKind};
use dlstore_ingest::{Added, IngestError, KeepSources, Keeps, Options, parallel};
use dlstore_model::arch::Arch;
use dlstore_model::escape::Escaped;
use dlstore_model::version;
use dlstore_store::session::Session;
use dlstore_store::{ObjectRef, PackageRecord};

/// Where packages come from.
pub enum Shelf {
    /// Nothing was said.
    Nothing,
    /// What the store holds.
    Store,
    /// Files of the host, by what they say of themselves.
    Files(Vec<Item>),
}

/// A package file on a shelf.
pub struct Item {
    input: Input,
    control: Control,
}

/// A candidate for a wish.
enum Candidate<'s> {
    Record(PackageRecord),
    Item(&'s Item),
}

impl Candidate<'_> {
    fn version(&self) -> &str {
        match self {
            Self::Record(record) => &record.version,
            Self::Item(item) => &item.control.version,
        }
    }

    fn describe(&self) -> String {
        match self {
            Self::Record(record) => format!("source {}", record.source),
            Self::Item(item) => Escaped::path(&item.input.path).to_string(),
        }
    }
}

impl Shelf {
    /// Reads the control part of every package that the paths name.
    ///
    /// # Errors
    /// When a path cannot be read. A file that is no package is set aside: the list of those comes
    /// back beside the shelf, and one that is needed is then missing by name.
    pub fn from_paths(paths: &[PathBuf]) -> Result<(Self, Vec<(PathBuf, IngestError)>), ComposeError> {
        let inputs = input::collect(paths)?;
        let peeked: Vec<_> = inputs
            .into_par_iter()
            .map(|input| {
                let control = match input.kind {
                    InputKind::Package(format) => dlstore_ingest::peek(&input.path, format),
                    InputKind::Folder => dlstore_ingest::folder_control_of(&input.path),
                };
                (input, control)
            })
            .collect();
        let mut items = Vec::new();
        let mut bad = Vec::new();
        for (input, control) in peeked {
            match control {
                Ok(control) => items.push(Item { input, control }),
                Err(error) => bad.push((input.path, error)),
            }
        }
        Ok((Self::Files(items), bad))
    }

    /// Finds the package for each wish and brings it into the session, each file once and all of them
    /// in parallel; records come in the order of `wishes`.
    ///
    /// # Errors
    /// When there is none, when two are equally good, or when one cannot be added.
    pub fn take_all(
        &self,
        session: &Session<'_>,
        wishes: &[Wish<'_>],
        codec: Codec,
    ) -> Result<Vec<Added>, ComposeError> {
        let mut known = BTreeMap::new();
        let found: Vec<Candidate<'_>> =
            wishes.iter().map(|wish| self.find(session, &mut known, wish)).collect::<Result<_, _>>()?;
        for candidate in &found {
            if let Candidate::Record(record) = candidate
                && !session.keep(ObjectRef::Package(record.source))?
            {
                return Err(ComposeError::Gone(record.name.clone()));
            }
        }
        let mut files: BTreeMap<&Path, (&Item, &Keeps)> = BTreeMap::new();
        for (candidate, wish) in found.iter().zip(wishes) {
            if let Candidate::Item(item) = candidate {
                files.insert(&item.input.path, (item, wish.keeps));
            }
        }
        let mut order: Vec<_> = files.into_values().collect();
        order.sort_by_key(|(item, _)| Reverse(item.input.size));
        let one = |(item, keeps): &(&Item, &Keeps)| -> Result<_, ComposeError> {
            Ok((item.input.path.clone(), add(session, item, keeps, codec)?))
        };
        // Threads are started only when there is work for them: a hit must cost nothing.
        let added: BTreeMap<PathBuf, Added> = match order.len() {
            0 => BTreeMap::new(),
            _ => parallel::map(&order, one).into_iter().collect::<Result<_, _>>()?,
        };
        Ok(found
            .into_iter()
            .map(|candidate| match candidate {
                Candidate::Record(record) => {
                    Added { record, was_known: true, packed: None, pack: None, notes: Vec::new() }
                }
                Candidate::Item(item) => added[&item.input.path].clone(),
            })
            .collect())
    }

    /// Finds the best candidate for a wish; `known` are the store's packages by name, read once for
    /// all architectures.
    fn find(
        &self,
        session: &Session<'_>,
        known: &mut BTreeMap<String, Vec<PackageRecord>>,
        wish: &Wish<'_>,
    ) -> Result<Candidate<'_>, ComposeError> {
        let (format, arch) = (wish.format, wish.arch);
        let wish = wish.package;
        let candidates: Vec<Candidate<'_>> = match self {
            Self::Nothing => Vec::new(),
            Self::Store => {
                let records = match known.entry(wish.name.clone()) {
                    Entry::Occupied(entry) => entry.into_mut(),
                    Entry::Vacant(entry) => entry.insert(session.store().packages_named(format, &wish.name)?),
                };
                records
                    .iter()
                    .filter(|record| fits(&record.architecture, format, arch))
                    .filter(|record| wish.sha256.is_none_or(|wanted| wanted == record.source))
                    .cloned()
                    .map(Candidate::Record)
                    .collect()
            }
            Self::Files(items) => items
                .iter()
                .filter(|item| item.control.format == format && item.control.name == wish.name)
                .filter(|item| fits(&item.control.architecture, format, arch))
                .filter(|item| wish.sha256.is_none_or(|wanted| sha256_is(item, wanted)))
                .map(Candidate::Item)
                .collect(),
        };
        let candidates = candidates.into_iter().filter(|candidate| {
            wish.version
                .as_deref()
                .is_none_or(|wanted| version::compare(format, candidate.version(), wanted) == Ordering::Equal)
        });
        let mut best: Option<Candidate<'_>> = None;
        let mut tie: Option<Candidate<'_>> = None;
        for candidate in candidates {
            let order = best
                .as_ref()
                .map_or(Ordering::Greater, |best| version::compare(format, candidate.version(), best.version()));
            match order {
                Ordering::Greater => (best, tie) = (Some(candidate), None),
                Ordering::Equal if !best.as_ref().is_some_and(|best| same_source(best, &candidate)) => {
                    tie = Some(candidate);
                }
                _ => {}
            }
        }
        match (best, tie) {
            (Some(best), Some(tie)) => Err(ComposeError::Tie {
                name: wish.name.clone(),
                version: best.version().to_owned(),
                first: best.describe(),
                second: tie.describe(),
            }),
            (Some(best), None) => Ok(best),
            (None, _) => Err(self.missing(wish, format, arch)),
        }
    }

    fn missing(&self, wish: &PackageWish, format: Format, arch: Arch) -> ComposeError {
        let architecture = match format {
            Format::Deb => arch.debian(),
            Format::Apk => arch.apk(),
            Format::Tar => "all",
        };
        ComposeError::Missing {
            name: wish.name.clone(),
            version: wish.version.clone(),
            format: format.name(),
            architecture: architecture.to_owned(),
            place: match self {
                Self::Nothing => Place::Nowhere,
                Self::Store => Place::Store,
                Self::Files(_) => Place::Paths,
            },
        }
    }
}

/// A package that a level wants on an architecture.
pub struct Wish<'w> {
    /// The level.
    pub level: usize,
    /// The words of the definition.
    pub package: &'w PackageWish,
    /// The format of the image's packages.
    pub format: Format,
    /// The architecture.
    pub arch: Arch,
    /// The level's selection.
    pub keeps: &'w Keeps,
}

fn add(session: &Session<'_>, item: &Item, keeps: &Keeps, codec: Codec) -> Result<Added, ComposeError> {
    let selection = |_: &Control| Keeps::clone(keeps);
    let options = Options { selection: &selection, codec, keep_sources: KeepSources::Yes, limits: Limits::default() };
    dlstore_ingest::add(session, &item.input, &options)
        .map_err(|source| ComposeError::Add { path: item.input.path.clone(), source })
}

/// Where a package was looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Nothing was said.
    Nowhere,
    /// In the store.
    Store,
    /// Among the paths given.
    Paths,
}

fn fits(architecture: &str, format: Format, arch: Arch) -> bool {
    match format {
        Format::Deb => architecture == "all" || architecture == arch.debian(),
        Format::Apk => architecture == "noarch" || architecture == arch.apk(),
        Format::Tar => true,
    }
}

fn sha256_is(item: &Item, wanted: dlstore_model::digest::OciDigest) -> bool {
    dlstore_ingest::sha256_of(&item.input.path).is_ok_and(|found| found == wanted)
}

fn same_source(a: &Candidate<'_>, b: &Candidate<'_>) -> bool {
    match (a, b) {
        (Candidate::Record(a), Candidate::Record(b)) => a.source == b.source,
        (Candidate::Item(a), Candidate::Item(b)) => {
            a.input.size == b.input.size
                && matches!(
                    (dlstore_ingest::sha256_of(&a.input.path), dlstore_ingest::sha256_of(&b.input.path)),
                    (Ok(a), Ok(b)) if a == b
                )
        }
        _ => false,
    }
}
