//! Choosing packages: the highest version of a name, format and architecture that the package source has.
//!
//! A tie between two different sources is no choice, and neither is nothing: all requirements of an image that cannot be met
//! are one error (`unmet`). What was chosen is brought into the session, each file once.

use std::cmp::{Ordering, Reverse};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::{Path, PathBuf};

use super::ChoiceError;
use super::alternatives::{self, Failed};
use super::package_source::{PackageFile, PackageSource, Requirement, fits};
use super::unmet::{Reason, Tied};
use dlstore_formats::layer::Codec;
use dlstore_formats::package::{Format, Limits};
use dlstore_ingest::repair::Lost;
use dlstore_ingest::{Added, Expected, KeepSources, Options, parallel};
use dlstore_model::digest::OciDigest;
use dlstore_model::escape::Escaped;
use dlstore_model::name::Architecture;
use dlstore_model::package::Metadata;
use dlstore_model::version;
use dlstore_store::PackageRecord;
use dlstore_store::session::Session;

/// A candidate for a requirement.
#[derive(Clone)]
enum Candidate<'s> {
    Record(PackageRecord),
    /// A record that another version of the decoder wrote: its source has to be decoded again.
    Stale(PackageRecord),
    File(&'s PackageFile),
}

/// What a choice came to.
enum Choice<'s> {
    One(Box<Candidate<'s>>),
    Tie(Box<[Candidate<'s>; 2]>),
    Nothing,
}

impl Candidate<'_> {
    fn version(&self) -> &str {
        match self {
            Self::Record(record) | Self::Stale(record) => &record.version,
            Self::File(file) => &file.identity.version,
        }
    }

    fn tied(&self, session: &Session<'_>) -> Tied {
        let (shown, sha256, architecture) = match self {
            Self::Record(record) | Self::Stale(record) => {
                (format!("source {}", record.source), Some(record.source), record.architecture.as_str())
            }
            Self::File(file) => {
                let path = &file.input.path;
                let shown = Escaped::path(path).to_string();
                (shown, file.sha256(session), file.identity.architecture.as_str())
            }
        };
        Tied { shown, sha256, is_for_all: Architecture::means_all(architecture) }
    }
}

impl PackageSource {
    /// Finds the package for each requirement and brings it into the session, each file once and all of them
    /// in parallel; records come in the order of `requirements`.
    ///
    /// # Errors
    /// When requirements cannot be met, all of them; or when a package cannot be added.
    pub(crate) fn take_all(
        &self,
        session: &Session<'_>,
        image: &str,
        requirements: &[Requirement<'_>],
        codec: Codec,
    ) -> Result<Vec<Added>, ChoiceError> {
        let mut found = self.choose_all(session, image, requirements)?;
        for (candidate, requirement) in found.iter_mut().zip(requirements) {
            if let Candidate::File(file) = candidate
                && let Some(record) = file.record(session)?
                && requirement.package.sha256.is_none_or(|pinned| pinned == record.source)
            {
                *candidate = Candidate::Record(record);
            }
        }
        for candidate in &found {
            if let Candidate::Record(record) = candidate
                && !session.keep(record.object())?
            {
                return Err(ChoiceError::Gone(record.name.clone()));
            }
        }
        let mut files: BTreeMap<&Path, (&PackageFile, &Requirement<'_>)> = BTreeMap::new();
        for (candidate, requirement) in found.iter().zip(requirements) {
            if let Candidate::File(file) = candidate {
                let entry = files.entry(&file.input.path).or_insert((file, requirement));
                // If several requirements want the same file, it is checked against the one that pins a digest.
                if requirement.package.sha256.is_some() {
                    *entry = (file, requirement);
                }
            }
        }
        let mut order: Vec<_> = files.into_values().collect();
        order.sort_by_key(|(file, _)| Reverse(file.input.size));
        let one = |(file, requirement): &(&PackageFile, &Requirement<'_>)| -> Result<_, ChoiceError> {
            let added = add(session, file, requirement, codec)?;
            self.took(&file.input.path);
            Ok((file.input.path.clone(), added))
        };
        // Threads are started only when there is work for them: a hit must cost nothing.
        let added: BTreeMap<PathBuf, Added> = match order.len() {
            0 => BTreeMap::new(),
            _ => parallel::map(&order, one).into_iter().collect::<Result<_, _>>()?,
        };
        Ok(found
            .into_iter()
            .map(|candidate| match candidate {
                Candidate::Record(record) | Candidate::Stale(record) => {
                    Added { record, was_known: true, packed: None, landed: None, notes: Vec::new() }
                }
                Candidate::File(file) => added[&file.input.path].clone(),
            })
            .collect())
    }

    /// Says whether all requirements of an image can be met, and brings nothing in.
    ///
    /// # Errors
    /// As [`PackageSource::take_all`].
    pub(crate) fn has_all(
        &self,
        session: &Session<'_>,
        image: &str,
        requirements: &[Requirement<'_>],
    ) -> Result<(), ChoiceError> {
        self.choose_all(session, image, requirements).map(|_| ())
    }

    fn choose_all<'s>(
        &'s self,
        session: &Session<'_>,
        image: &str,
        requirements: &[Requirement<'_>],
    ) -> Result<Vec<Candidate<'s>>, ChoiceError> {
        let mut by_name = ByName::new();
        let mut chosen = Vec::with_capacity(requirements.len());
        let mut unmet: Vec<Failed<'_>> = Vec::new();
        for requirement in requirements {
            match self.choose(session, &mut by_name, requirement)? {
                Choice::One(candidate) => chosen.push(*candidate),
                Choice::Tie(both) => {
                    let [first, second] = &*both;
                    let (version, first, second) =
                        (first.version().to_owned(), first.tied(session), second.tied(session));
                    unmet.push((requirement, Some(Reason::Tie { version, first, second })));
                }
                Choice::Nothing => unmet.push((requirement, None)),
            }
        }
        if unmet.is_empty() {
            return Ok(chosen);
        }
        Err(ChoiceError::Unmet(Box::new(alternatives::explain(session, self, image, requirements, unmet)?)))
    }

    /// Chooses the package for a requirement. A chosen record of another decoder is made again from its source; should it
    /// then say something else of itself, the choice is made once more.
    fn choose<'s>(
        &'s self,
        session: &Session<'_>,
        by_name: &mut ByName<'s>,
        requirement: &Requirement<'_>,
    ) -> Result<Choice<'s>, ChoiceError> {
        loop {
            let chosen = self.find(session, by_name, requirement)?;
            let Choice::One(one) = &chosen else { return Ok(chosen) };
            let Candidate::Stale(stale) = &**one else { return Ok(chosen) };
            let record = dlstore_ingest::remake(session, &Lost::record(stale))?;
            let of_name = by_name.get_mut(&requirement.package.name).into_iter().flatten();
            for candidate in of_name {
                if matches!(candidate, Candidate::Stale(other) if other.source == record.source) {
                    *candidate = Candidate::Record(record.clone());
                }
            }
        }
    }

    /// Finds the best candidate for a requirement; `by_name` are the store's packages by name, read once for
    /// all architectures.
    fn find<'s>(
        &'s self,
        session: &Session<'_>,
        by_name: &mut ByName<'s>,
        requirement: &Requirement<'_>,
    ) -> Result<Choice<'s>, ChoiceError> {
        let (format, arch) = (requirement.format, requirement.arch);
        let requirement = requirement.package;
        let candidates: Vec<Candidate<'_>> = match self {
            Self::Nothing => Vec::new(),
            Self::Store => {
                let records = match by_name.entry(requirement.name.clone()) {
                    Entry::Occupied(entry) => entry.into_mut(),
                    Entry::Vacant(entry) => entry.insert(of_store(session, format, &requirement.name)?),
                };
                let fits = |candidate: &&Candidate<'_>| match candidate {
                    Candidate::Record(record) | Candidate::Stale(record) => {
                        record.name == requirement.name
                            && fits(&record.architecture, format, arch)
                            && requirement.sha256.is_none_or(|pinned| pinned == record.source)
                    }
                    Candidate::File(_) => false,
                };
                records.iter().filter(fits).cloned().collect()
            }
            Self::Files(_) => self
                .files()
                .iter()
                .filter(|file| file.identity.format == format && file.identity.name == requirement.name)
                .filter(|file| fits(&file.identity.architecture, format, arch))
                .filter(|file| requirement.sha256.is_none_or(|pinned| file.sha256(session) == Some(pinned)))
                .map(Candidate::File)
                .collect(),
        };
        let candidates = candidates.into_iter().filter(|candidate| {
            requirement
                .version
                .as_deref()
                .is_none_or(|pinned| version::compare(format, candidate.version(), pinned) == Ordering::Equal)
        });
        let mut best: Option<Candidate<'_>> = None;
        let mut tie: Option<Candidate<'_>> = None;
        for candidate in candidates {
            let order = best
                .as_ref()
                .map_or(Ordering::Greater, |best| version::compare(format, candidate.version(), best.version()));
            match order {
                Ordering::Greater => (best, tie) = (Some(candidate), None),
                Ordering::Equal if !best.as_ref().is_some_and(|best| same_source(session, best, &candidate)) => {
                    tie = Some(candidate);
                }
                _ => {}
            }
        }
        Ok(match (best, tie) {
            (Some(best), Some(tie)) => Choice::Tie(Box::new([best, tie])),
            (Some(best), None) => Choice::One(Box::new(best)),
            (None, _) => Choice::Nothing,
        })
    }
}

/// The packages of the store by name.
type ByName<'s> = BTreeMap<String, Vec<Candidate<'s>>>;

/// Lists the packages of a name, each source once. What is damaged is made again first: a choice among what is left
/// would be another image.
fn of_store<'s>(session: &Session<'_>, format: Format, name: &str) -> Result<Vec<Candidate<'s>>, ChoiceError> {
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

fn add(
    session: &Session<'_>,
    file: &PackageFile,
    requirement: &Requirement<'_>,
    codec: Codec,
) -> Result<Added, ChoiceError> {
    let selection = |_: &Metadata| requirement.selection.clone();
    let options = Options { selection: &selection, codec, keep_sources: KeepSources::Yes, limits: Limits::default() };
    let expected = Expected { sha256: requirement.package.sha256, identity: Some(&file.identity) };
    let added = dlstore_ingest::add(session, &file.input, &options, &expected)
        .map_err(|source| ChoiceError::Add { path: file.input.path.clone(), source })?;
    file.became(&added.record);
    Ok(added)
}

fn same_source(session: &Session<'_>, a: &Candidate<'_>, b: &Candidate<'_>) -> bool {
    match (a, b) {
        (Candidate::Record(a) | Candidate::Stale(a), Candidate::Record(b) | Candidate::Stale(b)) => {
            a.source == b.source
        }
        (Candidate::File(a), Candidate::File(b)) => {
            let sha256 = |file: &PackageFile| file.sha256(session);
            a.input.size == b.input.size && sha256(a).is_some_and(|a| Some(a) == sha256(b))
        }
        _ => false,
    }
}
