//! Composed images on their way out: into layouts and archives, and to an engine.
//!
//! Without an output and an engine an image goes into a layout that is named like it, under the tags of its definition.
//! A layout is written once, however many images go into it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use super::report::{Loaded, Written};
use super::{Error, Job, Load, Settings, names};
use crate::command::request::Ready;
use crate::command::value::Text;
use dlstore_model::arch::Arch;
use dlstore_model::digest::{ActionKey, OciDigest};
use dlstore_model::escape::Escaped;
use dlstore_oci::delivery::{self, Delivery};
use dlstore_oci::load;
use dlstore_oci::output::{Names, Output, Target};
use dlstore_oci::{BlobError, BlobFile, BlobSource};
use dlstore_store::Store;

/// Where images are now.
pub(super) struct Delivered {
    /// What each is called.
    pub(super) names: Vec<Names>,
    pub(super) outputs: Vec<Written>,
    pub(super) loaded: Vec<Loaded>,
}

/// Layers of the composed images, out of the store.
struct Blobs<'s> {
    store: &'s Store,
    packs: &'s BTreeMap<OciDigest, ActionKey>,
}

impl BlobSource for Blobs<'_> {
    fn file(&self, digest: &OciDigest) -> Result<Option<BlobFile>, BlobError> {
        let Some(key) = self.packs.get(digest) else { return Ok(None) };
        let Some(info) = self.store.pack(key)? else { return Ok(None) };
        Ok(self.store.pack_file(&info)?.map(|file| BlobFile { path: file.path, stamp: file.stamp }))
    }

    fn distrust(&self, digest: &OciDigest) -> Result<(), BlobError> {
        Ok(self.store.distrust_pack(digest)?)
    }
}

/// Writes images to all places that they go to, of `asked` images that were asked for.
pub(super) fn all(store: &Store, settings: &Settings, jobs: &[Job<'_>], asked: usize) -> Result<Delivered, Error> {
    let blobs: Vec<Blobs<'_>> = jobs.iter().map(|job| Blobs { store, packs: &job.composed.packs }).collect();
    let names = jobs.iter().map(|job| names::of(job, &settings.tags)).collect::<Result<Vec<_>, _>>()?;
    let targets = targets(settings, jobs, &names, asked);
    let deliveries = targets.iter().map(|(at, target)| Delivery {
        target,
        names: &names[*at],
        documents: &jobs[*at].composed.documents,
        source: &blobs[*at],
    });
    // What goes to stdout cannot be taken back, and whatever fails may be tried again: last.
    let (last, first): (Vec<_>, Vec<_>) = deliveries.partition(|delivery| delivery.target.is_stdout());
    let mut stdout = settings.stdout.lock().unwrap_or_else(PoisonError::into_inner);
    delivery::write_all(&first, settings.manner, &mut **stdout)?;
    let mut loaded = Vec::new();
    if let Some(engine) = &settings.load {
        for ((job, names), blobs) in jobs.iter().zip(&names).zip(&blobs) {
            loaded.extend(hand_over(engine, job, names, blobs)?);
        }
    }
    delivery::write_all(&last, settings.manner, &mut **stdout)?;
    drop(stdout);
    let is_default = settings.outputs.is_empty();
    let written = |(at, target): (usize, Target)| {
        let config = &jobs[at].ready.image.config;
        let (image, has_command) =
            (jobs[at].ready.short_name(), !(config.entrypoint.is_empty() && config.cmd.is_empty()));
        let registry = names[at].full.iter().find(|name| name.has_registry());
        let pushed = match &target {
            Target::Layout { tag, .. } => registry.map(|name| name.with_tag(tag.as_str())),
            _ => None,
        };
        Written { image, target, is_default, has_command, pushed }
    };
    let outputs = targets.into_iter().map(written).collect();
    Ok(Delivered { names, outputs, loaded })
}

fn hand_over(engine: &Load, job: &Job<'_>, names: &Names, blobs: &Blobs<'_>) -> Result<Vec<Loaded>, Error> {
    let (documents, environment) = (&job.composed.documents, &engine.environment);
    let loaded = load::load(documents, names, blobs, engine.loader, Arch::host(), environment)
        .map_err(|source| Error::Load { reference: job.reference.to_owned(), source })?;
    let program = Escaped::path(&loaded.program).to_string();
    let one = |name| Loaded { name, architecture: Text(loaded.arch), program: program.clone() };
    Ok(loaded.names.into_iter().map(one).collect())
}

/// Gives every place that images go to, each with the place of its image: the outputs, or without any the layouts
/// that are named like the images.
fn targets(settings: &Settings, jobs: &[Job<'_>], names: &[Names], asked: usize) -> Vec<(usize, Target)> {
    let each = || names.iter().enumerate();
    if settings.outputs.is_empty() && settings.load.is_none() {
        let own = |(at, names): (usize, &Names)| {
            let output = Output::Layout { dir: default_directory(jobs[at].ready), tag: None };
            // Alone in its own layout.
            output.targets(names, 1, settings.how_many).into_iter().map(move |target| (at, target))
        };
        return each().flat_map(own).collect();
    }
    let of = |output: &Output| {
        let one = |(at, names)| output.targets(names, asked, settings.how_many).into_iter().map(move |one| (at, one));
        each().flat_map(one).collect::<Vec<_>>()
    };
    settings.outputs.iter().flat_map(of).collect()
}

/// Looks at every layer once one of them was found bad while it was read: where one is bad others are, and the next
/// attempt makes all of them again.
pub(super) fn distrust_all(store: &Store, jobs: &[Job<'_>]) -> Result<(), Error> {
    for blob in jobs.iter().flat_map(|job| job.composed.packs.keys()) {
        store.distrust_pack(blob)?;
    }
    Ok(())
}

fn default_directory(ready: &Ready) -> PathBuf {
    Path::new("out").join(ready.short_name())
}
