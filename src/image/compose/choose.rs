//! Choosing packages: where they come from is always said, never guessed.
//!
//! A *shelf* is what `--from` names: files and folders of the host, whose control parts are read
//! first, so that only what an image wants is added; or the store itself. Of a name, format and
//! architecture the highest version is taken. A tie between two different sources is an error that
//! names both.

use std::cmp::{Ordering, Reverse};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::ComposeError;
use crate::definition::PackageWish;
use dlstore_formats::layer::Codec;
use dlstore_formats::package::{Control, Format, Limits};
use dlstore_ingest::input::{self, Input, InputKind};
use dlstore_ingest::repair::Lost;
use dlstore_ingest::{Added, Expected, IngestError, KeepSources, Options, Selection, parallel};
use dlstore_model::arch::Arch;
use dlstore_model::digest::OciDigest;
use dlstore_model::escape::Escaped;
use dlstore_model::package::Metadata;
use dlstore_model::version;
use dlstore_store::PackageRecord;
use dlstore_store::session::Session;

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
    metadata: Metadata,
}

/// A candidate for a wish.
#[derive(Clone)]
enum Candidate<'s> {
    Record(PackageRecord),
    /// A record of another decoder, which says what to expect and nothing more: its source is decoded again.
    Stale(PackageRecord),
    Item(&'s Item),
}

impl Candidate<'_> {
    fn version(&self) -> &str {
        match self {
            Self::Record(record) | Self::Stale(record) => &record.version,
            Self::Item(item) => &item.metadata.version,
        }
    }

    fn describe(&self) -> String {
        match self {
            Self::Record(record) | Self::Stale(record) => format!("source {}", record.source),
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
                let metadata = match input.kind {
                    InputKind::Package(format) => dlstore_ingest::peek(&input.path, format),
                    InputKind::Folder => dlstore_ingest::folder_metadata_of(&input.path),
                };
                (input, metadata)
            })
            .collect();
        let mut items = Vec::new();
        let mut bad = Vec::new();
        for (input, metadata) in peeked {
            match metadata {
                Ok(metadata) => items.push(Item { input, metadata }),
                Err(error) => bad.push((input.path, error)),
            }
        }
        Ok((Self::Files(items), bad))
    }

    /// Reads what the packages of a format say of themselves, those of an architecture: for whoever looks for more than
    /// names. What cannot be read is left out.
    pub(super) fn controls(&self, format: Format, arch: Arch) -> Vec<Control> {
        let Self::Files(items) = self else { return Vec::new() };
        let of_format = items.par_iter().filter(|item| item.metadata.format == format);
        let fitting = of_format.filter(|item| fits(&item.metadata.architecture, format, arch));
        fitting.filter_map(|item| dlstore_ingest::peek_control(&item.input.path, format).ok()).collect()
    }

    /// Finds the package for each wish and brings it into the session, each file once and all of them
    /// in parallel; records come in the order of `wishes`.
    ///
    /// # Errors
    /// When there is none, when two are equally good, or when one cannot be added.
    pub(super) fn take_all(
        &self,
        session: &Session<'_>,
        wishes: &[Wish<'_>],
        codec: Codec,
    ) -> Result<Vec<Added>, ComposeError> {
        let mut known = Known::new();
        let found: Vec<Candidate<'_>> =
            wishes.iter().map(|wish| self.choose(session, &mut known, wish)).collect::<Result<_, _>>()?;
        for candidate in &found {
            if let Candidate::Record(record) = candidate
                && !session.keep(record.object())?
            {
                return Err(ComposeError::Gone(record.name.clone()));
            }
        }
        let mut files: BTreeMap<&Path, (&Item, &Wish<'_>)> = BTreeMap::new();
        for (candidate, wish) in found.iter().zip(wishes) {
            if let Candidate::Item(item) = candidate {
                let entry = files.entry(&item.input.path).or_insert((item, wish));
                // Of several that want one file, whoever pins it is held against.
                if wish.package.sha256.is_some() {
                    *entry = (item, wish);
                }
            }
        }
        let mut order: Vec<_> = files.into_values().collect();
        order.sort_by_key(|(item, _)| Reverse(item.input.size));
        let one = |(item, wish): &(&Item, &Wish<'_>)| -> Result<_, ComposeError> {
            Ok((item.input.path.clone(), add(session, item, wish, codec)?))
        };
        // Threads are started only when there is work for them: a hit must cost nothing.
        let added: BTreeMap<PathBuf, Added> = match order.len() {
            0 => BTreeMap::new(),
            _ => parallel::map(&order, one).into_iter().collect::<Result<_, _>>()?,
        };
        let taken: Vec<Added> = found
            .into_iter()
            .map(|candidate| match candidate {
                Candidate::Record(record) | Candidate::Stale(record) => {
                    Added { record, was_known: true, packed: None, landed: None, notes: Vec::new() }
                }
                Candidate::Item(item) => added[&item.input.path].clone(),
            })
            .collect();
        let mut said = BTreeSet::new();
        taken.iter().filter(|one| said.insert(one.record.source)).for_each(Added::say);
        Ok(taken)
    }

    /// Chooses the package for a wish. A chosen record of another decoder is made again from its source; should it
    /// then say something else of itself, the choice is made once more.
    fn choose<'s>(
        &'s self,
        session: &Session<'_>,
        known: &mut Known<'s>,
        wish: &Wish<'_>,
    ) -> Result<Candidate<'s>, ComposeError> {
        loop {
            let chosen = self.find(session, known, wish)?;
            let Candidate::Stale(stale) = &chosen else { return Ok(chosen) };
            let record = dlstore_ingest::remake(session, &Lost::record(stale))?;
            let of_name = known.get_mut(&wish.package.name).into_iter().flatten();
            for candidate in of_name {
                if matches!(candidate, Candidate::Stale(other) if other.source == record.source) {
                    *candidate = Candidate::Record(record.clone());
                }
            }
        }
    }

    /// Finds the best candidate for a wish; `known` are the store's packages by name, read once for
    /// all architectures.
    fn find<'s>(
        &'s self,
        session: &Session<'_>,
        known: &mut Known<'s>,
        wish: &Wish<'_>,
    ) -> Result<Candidate<'s>, ComposeError> {
        let (format, arch) = (wish.format, wish.arch);
        let wish = wish.package;
        let candidates: Vec<Candidate<'_>> = match self {
            Self::Nothing => Vec::new(),
            Self::Store => {
                let records = match known.entry(wish.name.clone()) {
                    Entry::Occupied(entry) => entry.into_mut(),
                    Entry::Vacant(entry) => entry.insert(of_store(session, format, &wish.name)?),
                };
                let fits = |candidate: &&Candidate<'_>| match candidate {
                    Candidate::Record(record) | Candidate::Stale(record) => {
                        record.name == wish.name
                            && fits(&record.architecture, format, arch)
                            && wish.sha256.is_none_or(|wanted| wanted == record.source)
                    }
                    Candidate::Item(_) => false,
                };
                records.iter().filter(fits).cloned().collect()
            }
            Self::Files(items) => items
                .iter()
                .filter(|item| item.metadata.format == format && *item.metadata.name == wish.name)
                .filter(|item| fits(&item.metadata.architecture, format, arch))
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
pub(super) struct Wish<'w> {
    /// The level.
    pub(super) level: usize,
    /// The words of the definition.
    pub(super) package: &'w PackageWish,
    /// The format of the image's packages.
    pub(super) format: Format,
    /// The architecture.
    pub(super) arch: Arch,
    /// The level's selection.
    pub(super) selection: &'w Selection,
}

/// The packages of the store by name.
type Known<'s> = BTreeMap<String, Vec<Candidate<'s>>>;

/// Lists the packages of a name, each source once. What is damaged is made again first: a choice among what is left
/// would be another image.
fn of_store<'s>(session: &Session<'_>, format: Format, name: &str) -> Result<Vec<Candidate<'s>>, ComposeError> {
    let ours = dlstore_store::decoder();
    let mut found = session.candidates(format, name)?;
    // Our own records first: what is lost of a source that one of them has read is of no use here.
    found.sort_by_key(|one| one.record.as_ref().is_none_or(|record| record.decoder != ours));
    let mut by_source: BTreeMap<OciDigest, Candidate<'s>> = BTreeMap::new();
    for found in found {
        let source = found.named.source;
        let is_settled = matches!(by_source.get(&source), Some(Candidate::Record(_)));
        let candidate = match found.record {
            Some(record) if record.decoder == ours => Candidate::Record(record),
            _ if is_settled => continue,
            Some(record) => Candidate::Stale(record),
            None => Candidate::Record(dlstore_ingest::remake(session, &Lost::named(&found.named, format, name))?),
        };
        by_source.insert(source, candidate);
    }
    Ok(by_source.into_values().collect())
}

fn add(session: &Session<'_>, item: &Item, wish: &Wish<'_>, codec: Codec) -> Result<Added, ComposeError> {
    let selection = |_: &Metadata| wish.selection.clone();
    let options = Options { selection: &selection, codec, keep_sources: KeepSources::Yes, limits: Limits::default() };
    let expected = Expected { sha256: wish.package.sha256, metadata: Some(&item.metadata) };
    dlstore_ingest::add(session, &item.input, &options, &expected)
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

/// Says whether packages of an architecture are for one of ours.
#[must_use]
pub fn fits(architecture: &str, format: Format, arch: Arch) -> bool {
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
        (Candidate::Record(a) | Candidate::Stale(a), Candidate::Record(b) | Candidate::Stale(b)) => {
            a.source == b.source
        }
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
