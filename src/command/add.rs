//! Packages and directories into the store.
//!
//! Everything is collected before the store is opened. Results are published in batches, so that a
//! killed command loses little; what is wrong with one package fails that package alone.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::attempt::persistently;
use super::context::Context;
use super::error::Error;
use super::failure::no_space;
use super::package::Package;
use super::value;
use dlstore_formats::layer::Codec;
use dlstore_formats::package::Limits;
use dlstore_image::compose::{CachePolicy, Predictions};
use dlstore_image::definition::Here;
use dlstore_ingest::input::{Input, collect};
use dlstore_ingest::{Added, IngestError, KeepSources, Options};
use dlstore_model::diagnose::one_line;
use dlstore_model::diagnose::{Diagnose as _, Kind};
use dlstore_model::escape::Escaped;
use dlstore_model::package::Metadata;
use dlstore_store::Access;

/// Raw bytes of sources after which what was added so far is published.
const PUBLISH_BYTES: u64 = 256 << 20;

/// Packages after which it is: their trees and facts wait in memory, and a killed command adds them again.
const PUBLISH_PACKAGES: usize = 1_000;

/// What is to be added, and how.
pub(crate) struct Settings {
    /// The current directory: definitions that are known there say what is packed ahead.
    pub(crate) current: Option<PathBuf>,
    /// Package files, directories full of them, or directories to take as a package.
    pub(crate) paths: Vec<PathBuf>,
    /// Whether the package files themselves are kept.
    pub(crate) keep_sources: KeepSources,
    /// Bytes of content up to which a package is accepted, whatever its size promises.
    pub(crate) max_size: Option<u64>,
}

/// What became of it.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Report {
    /// The store's directory.
    pub(crate) store: String,
    /// Packages that are in the store now, in the order in which they were found.
    pub(crate) added: Vec<AddedPackage>,
    /// What was not added.
    pub(crate) failed: Vec<Failed>,
    /// Where the store lies, when it has no room left.
    #[serde(skip)]
    pub(crate) full: Option<PathBuf>,
}

/// A package that is in the store now.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct AddedPackage {
    /// The file or directory.
    pub(crate) path: Box<str>,
    #[serde(flatten)]
    pub(crate) package: Package,
    /// Bytes of the layer that was made of it; `null` for what was known.
    pub(crate) packed_size: Option<u64>,
    /// Whether it was there before.
    pub(crate) known: bool,
    /// What was left out of it.
    pub(crate) notes: Vec<String>,
}

/// What was not added.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Failed {
    /// The file or directory.
    pub(crate) path: String,
    /// Why, with all causes.
    pub(crate) error: String,
    /// The sentence for people, which names the file.
    #[serde(skip)]
    pub(crate) sentence: String,
}

/// Adds packages.
///
/// # Errors
/// When the store cannot be used, or the only thing to add is none.
pub(crate) fn run(context: &Context, settings: &Settings) -> Result<Report, Error> {
    let (inputs, mut refused) = inputs(&settings.paths);
    if inputs.is_empty()
        && refused.len() == 1
        && let Some((_, error)) = refused.pop()
    {
        return Err(error.into());
    }
    let store = context.open(Access::Create)?;
    // Where there is no current directory, the images that are built in are known.
    let here = Here { current: settings.current.as_deref().unwrap_or(Path::new("/")), project: None };
    let predictions = Predictions::of(here);
    let selection = |metadata: &Metadata| predictions.selection(metadata);
    let options = Options {
        selection: &selection,
        codec: Codec::Gzip,
        keep_sources: settings.keep_sources,
        limits: Limits { max_size: settings.max_size, ..Limits::default() },
    };
    context.listener.begin("adding", inputs.len());
    let mut report = Report {
        store: value::path(store.root()),
        added: Vec::with_capacity(inputs.len()),
        failed: Vec::new(),
        full: None,
    };
    for batch in batches(&inputs) {
        let added = persistently(context, &store, "add", |session, policy| {
            let added = dlstore_ingest::add_all(session, batch, &options, &|input, _| {
                // Only the first attempt counts.
                if policy == CachePolicy::Trust {
                    context.listener.step(&Escaped::path(&input.path).to_string());
                }
            });
            let mut used = Vec::new();
            for result in added.iter().flatten() {
                let root = dlstore_ingest::root_name(&result.record);
                // Whoever adds what is there wants it kept, also when its root was removed.
                if !result.was_known || store.root_target(&root)?.is_none() {
                    session.add_root(root, dlstore_ingest::kept_by(result));
                } else {
                    used.push(root);
                }
            }
            store.note_use(&used.iter().map(String::as_str).collect::<Vec<_>>())?;
            Ok(added)
        })?;
        for (input, result) in batch.iter().zip(added) {
            report.take(&input.path, result, store.root());
        }
    }
    context.listener.end();
    for (path, error) in refused {
        report.refuse(&path, &error, "", store.root());
    }
    Ok(report)
}

/// Turns the paths into things to add; what is none of them does not keep the others out.
fn inputs(paths: &[PathBuf]) -> (Vec<Input>, Vec<(PathBuf, IngestError)>) {
    let (mut inputs, mut refused) = (Vec::new(), Vec::new());
    for path in paths {
        match collect(std::slice::from_ref(path)) {
            Ok(found) if found.is_empty() => refused.push((path.clone(), IngestError::Empty(path.clone()))),
            Ok(found) => inputs.extend(found),
            Err(error) => refused.push((path.clone(), error)),
        }
    }
    inputs.sort();
    inputs.dedup();
    (inputs, refused)
}

/// Cuts a long list so that a killed command loses little.
fn batches(inputs: &[Input]) -> Vec<&[Input]> {
    let mut batches = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for (at, input) in inputs.iter().enumerate() {
        bytes += input.size;
        if bytes >= PUBLISH_BYTES || at + 1 - start >= PUBLISH_PACKAGES {
            batches.push(&inputs[start..=at]);
            (start, bytes) = (at + 1, 0);
        }
    }
    if start < inputs.len() {
        batches.push(&inputs[start..]);
    }
    batches
}

impl Report {
    fn take(&mut self, path: &Path, result: Result<Added, IngestError>, store: &Path) {
        match result {
            Ok(one) => self.added.push(AddedPackage {
                path: value::path(path).into(),
                package: Package::of(one.record),
                packed_size: one.packed,
                known: one.was_known,
                notes: one.notes,
            }),
            Err(error) => self.refuse(path, &error, &format!("{}: ", Escaped::path(path)), store),
        }
    }

    fn refuse(&mut self, path: &Path, error: &IngestError, label: &str, store: &Path) {
        let line = one_line(error);
        let (sentence, error) = if error.kind() == Kind::StoreFull {
            // It is not about the package.
            self.full = Some(store.to_owned());
            let full = no_space(store);
            (format!("{full}; {} was not added: {line}", Escaped::path(path)), format!("{full}: {line}"))
        } else {
            (format!("{label}{line}"), line)
        };
        self.failed.push(Failed { path: value::path(path), error, sentence });
    }
}
