//! Composed images on their way out: into layouts and archives, and to an engine.
//!
//! Without an output and an engine an image goes into a layout that is named like it, under the tags of its definition.
//! A layout is written once, however many images go into it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::report::{Loaded, Written};
use super::{Error, Job, Load, Settings};
use crate::command::request::Ready;
use crate::command::value::{Date, Text};
use dlstore_image::definition::tags::{self, Values};
use dlstore_model::arch::Arch;
use dlstore_model::digest::{ActionKey, OciDigest};
use dlstore_model::escape::Escaped;
use dlstore_oci::load;
use dlstore_oci::name::{ImageName, RefName};
use dlstore_oci::output::{self, Delivery, Target};
use dlstore_oci::{BlobError, BlobFile, BlobSource};
use dlstore_store::Store;

/// Where images are now.
pub(super) struct Delivered {
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

/// Writes images to all places that they go to.
pub(super) fn all(
    store: &Store,
    settings: &Settings,
    jobs: &[Job<'_>],
    plan: &[Vec<Target>],
) -> Result<Delivered, Error> {
    let blobs: Vec<Blobs<'_>> = jobs.iter().map(|job| Blobs { store, packs: &job.composed.packs }).collect();
    let targets = targets(settings, jobs, plan)?;
    let deliveries: Vec<Delivery<'_>> = targets
        .iter()
        .map(|(at, target)| Delivery { target, documents: &jobs[*at].composed.documents, source: &blobs[*at] })
        .collect();
    output::write_all(&deliveries, settings.placement)?;
    let mut loaded = Vec::new();
    if let Some(engine) = &settings.load {
        for (job, blobs) in jobs.iter().zip(&blobs) {
            loaded.extend(hand_over(engine, job, blobs)?);
        }
    }
    let is_default = plan.is_empty();
    let written = |(at, target): (usize, Target)| Written { image: jobs[at].ready.short_name(), target, is_default };
    Ok(Delivered { outputs: targets.into_iter().map(written).collect(), loaded })
}

fn hand_over(engine: &Load, job: &Job<'_>, blobs: &Blobs<'_>) -> Result<Vec<Loaded>, Error> {
    let name: ImageName = format!("{}:latest", job.ready.short_name()).parse()?;
    let (documents, environment) = (&job.composed.documents, &engine.environment);
    let loaded = load::load(documents, &name, blobs, engine.loader, Arch::host(), environment)
        .map_err(|source| Error::Load { reference: job.reference.to_owned(), source })?;
    let program = Escaped::path(&loaded.program).to_string();
    let one = |name| Loaded { name, architecture: Text(loaded.arch), program: program.clone() };
    Ok(loaded.names.into_iter().map(one).collect())
}

/// Gives every place that images go to, each with the place of its image: the outputs, or without any the layouts
/// that are named like the images.
fn targets(settings: &Settings, jobs: &[Job<'_>], plan: &[Vec<Target>]) -> Result<Vec<(usize, Target)>, Error> {
    let of = |targets: &Vec<Target>| jobs.iter().map(|job| targets[job.at].clone()).enumerate().collect::<Vec<_>>();
    let mut all: Vec<(usize, Target)> = plan.iter().flat_map(of).collect();
    if plan.is_empty() && settings.load.is_none() {
        for (at, job) in jobs.iter().enumerate() {
            let dir = default_directory(job.ready);
            all.extend(default_tags(job)?.into_iter().map(|tag| (at, Target::Layout { dir: dir.clone(), tag })));
        }
    }
    Ok(all)
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

/// The definition's tags with their values, or `latest`.
fn default_tags(job: &Job<'_>) -> Result<Vec<RefName>, Error> {
    let image = &job.ready.image;
    let date = Date(job.composed.date).to_string()[..10].replace('-', "");
    let versions = &job.composed.versions;
    let arch = job.ready.architectures.iter().map(|arch| arch.tag()).collect::<Vec<_>>().join("-");
    let values = Values { version: &|name| versions.get(name).cloned(), date: &date, arch: &arch };
    let mut found = Vec::new();
    for template in &image.tags {
        let tag: RefName = tags::expand(template, &values)?.parse()?;
        if !found.contains(&tag) {
            found.push(tag);
        }
    }
    if found.is_empty() {
        found.push("latest".parse()?);
    }
    Ok(found)
}
