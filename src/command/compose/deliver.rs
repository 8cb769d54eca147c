//! Composed images on their way out: into layouts and archives, and to an engine.
//!
//! Without an output and an engine an image goes into a layout that is named like it, under the tags of its definition.
//! A layout is written once, however many images go into it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::PoisonError;

use super::report::{Loaded, Written};
use super::{Error, Job, Load, Settings, names};
use crate::command::request::Ready;
use crate::command::value::Text;
use dlstore_image::compose::AfterAnError;
use dlstore_model::arch::Arch;
use dlstore_model::digest::{ActionKey, OciDigest};
use dlstore_model::escape::Escaped;
use dlstore_oci::delivery::{self, Delivery};
use dlstore_oci::load;
use dlstore_oci::name::ImageName;
use dlstore_oci::output::{Names, Output, Target};
use dlstore_oci::{BlobError, BlobFile, BlobSource};
use dlstore_store::Store;

/// Where images are now.
pub(super) struct Delivered {
    /// What each is called, or why it is not where it should be.
    pub(super) images: Vec<Result<Names, Error>>,
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
///
/// # Errors
/// When one cannot be written and the others are not wanted without it, or `may_pass` says that another attempt may write
/// it.
pub(super) fn all(
    store: &Store,
    settings: &Settings,
    jobs: &[Job<'_>],
    asked: usize,
    may_pass: &dyn Fn(&Error) -> bool,
) -> Result<Delivered, Error> {
    let blobs: Vec<Blobs<'_>> = jobs.iter().map(|job| Blobs { store, packs: &job.composed.packs }).collect();
    let mut failures = Failures { after: settings.after, may_pass, of: BTreeMap::new() };
    let mut names = BTreeMap::new();
    for (at, job) in jobs.iter().enumerate() {
        names.extend(failures.sift(at, names::of(job, &settings.tags))?.map(|names| (at, names)));
    }
    let targets = targets(settings, jobs, &names, asked);
    // What goes to stdout cannot be taken back, and whatever fails may be tried again: last.
    let (last, first): (Vec<_>, Vec<_>) = targets.iter().partition(|(_, target)| target.is_stdout());
    let mut stdout = settings.stdout.lock().unwrap_or_else(PoisonError::into_inner);
    let images = Images { settings, jobs, names: &names, blobs: &blobs };
    let mut written = images.write(first, &mut **stdout, &mut failures)?;
    let mut loaded = Vec::new();
    if let Some(engine) = &settings.load {
        for (at, names) in &names {
            let handed = hand_over(engine, &jobs[*at], names, &blobs[*at]);
            loaded.extend(failures.sift(*at, handed)?.into_iter().flatten());
        }
    }
    written.extend(images.write(last, &mut **stdout, &mut failures)?);
    let outputs = written.into_iter().map(|(at, target)| described(settings, &jobs[*at], &names[at], target)).collect();
    let image = |at: usize| match failures.of.remove(&at) {
        Some(error) => Err(error),
        None => Ok(names.remove(&at).expect("what did not fail has a name")),
    };
    Ok(Delivered { images: (0..jobs.len()).map(image).collect(), outputs, loaded })
}

/// Composed images, with what each is called and where its layers are.
struct Images<'i> {
    settings: &'i Settings,
    jobs: &'i [Job<'i>],
    names: &'i BTreeMap<usize, Names>,
    blobs: &'i [Blobs<'i>],
}

impl Images<'_> {
    /// Writes images to places, and gives those that were written.
    fn write<'t>(
        &self,
        targets: Vec<&'t (usize, Target)>,
        stdout: &mut dyn Write,
        failures: &mut Failures<'_>,
    ) -> Result<Vec<&'t (usize, Target)>, Error> {
        let delivery = |(at, target): &'t (usize, Target)| Delivery {
            target,
            names: &self.names[at],
            documents: &self.jobs[*at].composed.documents,
            source: &self.blobs[*at],
        };
        let deliveries: Vec<Delivery<'_>> = targets.iter().copied().map(delivery).collect();
        let manner = self.settings.manner;
        if self.settings.after == AfterAnError::Stop {
            delivery::write_all(&deliveries, manner, stdout)?;
            return Ok(targets);
        }
        let outcomes = delivery::write_each(&deliveries, manner, stdout);
        let mut written = Vec::new();
        for (target, outcome) in targets.into_iter().zip(outcomes) {
            written.extend(failures.sift(target.0, outcome.map_err(Error::from))?.map(|()| target));
        }
        Ok(written)
    }
}

/// What went wrong with images, by their place among all.
struct Failures<'f> {
    after: AfterAnError,
    may_pass: &'f dyn Fn(&Error) -> bool,
    of: BTreeMap<usize, Error>,
}

impl Failures<'_> {
    /// Gives what came of an image, or keeps the first thing that went wrong with it.
    ///
    /// # Errors
    /// When that ends the command, or this attempt at it.
    fn sift<T>(&mut self, at: usize, outcome: Result<T, Error>) -> Result<Option<T>, Error> {
        match outcome {
            Ok(done) => Ok(Some(done)),
            Err(error) if self.after == AfterAnError::Stop || (self.may_pass)(&error) => Err(error),
            Err(error) => {
                self.of.entry(at).or_insert(error);
                Ok(None)
            }
        }
    }
}

/// Says what people should know of an image in one place.
fn described(settings: &Settings, job: &Job<'_>, names: &Names, target: &Target) -> Written {
    let config = &job.ready.image.config;
    Written {
        image: job.ready.short_name(),
        target: target.clone(),
        is_default: settings.outputs.is_empty(),
        has_command: !(config.entrypoint.is_empty() && config.cmd.is_empty()),
        pushed: match target {
            Target::Layout { tag, .. } => pushed(&names.full, tag.as_str()).map(ToString::to_string),
            _ => None,
        },
    }
}

/// Finds the name under which an entry of a layout is pushed: the one whose tag it has. An entry that has a tag of its own is
/// pushed under the image's first name that has a registry. What is the tag of a local name only is not pushed.
fn pushed<'n>(full: &'n [ImageName], tag: &str) -> Option<&'n ImageName> {
    let has_tag = |name: &&ImageName| name.tag() == tag;
    let mut remote = full.iter().filter(|name| name.has_registry());
    match remote.clone().find(has_tag) {
        None if !full.iter().any(|name| has_tag(&name)) => remote.next(),
        found => found,
    }
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
fn targets(
    settings: &Settings,
    jobs: &[Job<'_>],
    names: &BTreeMap<usize, Names>,
    asked: usize,
) -> Vec<(usize, Target)> {
    let each = || names.iter().map(|(at, names)| (*at, names));
    if goes_nowhere(settings) {
        let own = |(at, names): (usize, &Names)| {
            // Alone in its own layout.
            let output = own_layout(jobs[at].ready);
            output.targets(names, 1, settings.how_many).into_iter().map(move |target| (at, target))
        };
        return each().flat_map(own).collect();
    }
    let of = |output: &Output| {
        let one = |(at, names): (usize, &Names)| {
            output.targets(names, asked, settings.how_many).into_iter().map(move |one| (at, one))
        };
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

/// Gives the outputs of an image: those that were said, or its own layout.
pub(super) fn outputs<'s>(settings: &'s Settings, ready: &Ready) -> Cow<'s, [Output]> {
    if goes_nowhere(settings) { Cow::Owned(vec![own_layout(ready)]) } else { Cow::Borrowed(&settings.outputs) }
}

/// Says whether nobody said where images go.
const fn goes_nowhere(settings: &Settings) -> bool {
    settings.outputs.is_empty() && settings.load.is_none()
}

/// Gives the layout that is named like an image.
fn own_layout(ready: &Ready) -> Output {
    Output::Layout { dir: Path::new("out").join(ready.short_name()), tag: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_of_a_layout_is_pushed_under_a_name_that_was_asked_for() {
        let both = ["app:1", "ghcr.io/x/y:3", "ghcr.io/z/w:4"];
        for (full, tag, expected) in [
            (&both[..], "1", None),
            (&both, "3", Some("ghcr.io/x/y:3")),
            (&both, "4", Some("ghcr.io/z/w:4")),
            (&both, "of-its-own", Some("ghcr.io/x/y:3")),
            (&["app:3", "ghcr.io/x/y:3"], "3", Some("ghcr.io/x/y:3")),
            (&["app:1"], "of-its-own", None),
        ] {
            let full: Vec<ImageName> = full.iter().map(|name| name.parse().unwrap()).collect();
            assert_eq!(pushed(&full, tag).map(ToString::to_string).as_deref(), expected, "{full:?} {tag}");
        }
    }
}
