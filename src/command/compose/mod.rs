//! Images from definitions, into layouts, archives and engines.
//!
//! ```text
//! read definitions ► what outputs and engines can take ► packages' places ► compose ► deliver ► report
//! ```
//! What was asked for is checked whole before any work is done. What was remembered and turns out to be gone, or whose
//! bytes are bad, is made again by the next attempt.

mod deliver;
pub(crate) mod names;
pub(crate) mod plan;
pub(crate) mod report;

use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::attempt::{may_pass, persistently};
use super::context::Context;
use super::diagnose;
use super::error::Error;
use super::request::{self, Ready, full_name};
use super::value;
use deliver::Delivered;
use dlstore_formats::layer::Codec;
use dlstore_image::choice::{ChoiceError, PackageSource};
use dlstore_image::compose::{
    AfterAnError, CachePolicy, ComposeError, Composed, Finished, Request, compose_all, unmet_of_all,
};
use dlstore_image::definition::{self, Image, Said};
use dlstore_model::diagnose::{Diagnose as _, Kind};
use dlstore_model::escape::Escaped;
use dlstore_oci::delivery::Manner;
use dlstore_oci::load::{self, Loader};
use dlstore_oci::output::{self, Output, OutputError, Tags};
use dlstore_store::Access;
use dlstore_store::session::Session;
use names::Tag;
use report::{Failed, Report};

/// Which images, how, and where they go.
pub(crate) struct Settings {
    /// Which.
    pub(crate) images: Images,
    /// What happens to the others when one cannot be composed.
    pub(crate) after: AfterAnError,
    /// Of what they are made.
    pub(crate) image: request::Settings,
    /// Where they go; empty, and nothing to load: layouts that are named like the images.
    pub(crate) outputs: Vec<Output>,
    /// How they are handed to an engine, when they are.
    pub(crate) load: Option<Load>,
    /// What is said of the images on top of their definitions.
    pub(crate) said: Said,
    /// What the image is called; nothing: as its definition says.
    pub(crate) tags: Vec<Tag>,
    /// How many tags an output gets.
    pub(crate) how_many: Tags,
    /// How outputs are written.
    pub(crate) manner: Manner,
    /// Where an archive goes that is for stdout.
    pub(crate) stdout: Mutex<Box<dyn Write + Send>>,
    /// The date of `created` when it is not that of the packages, in seconds since 1970.
    pub(crate) date: Option<u64>,
}

/// Which images are composed.
pub(crate) enum Images {
    /// Those that were named.
    Named(Vec<String>),
    /// Every image of the project, in its default flavor.
    All,
    /// Every flavor of every image of the project.
    AllFlavors,
}

/// An engine that takes the image for this machine.
pub(crate) struct Load {
    /// Which one.
    pub(crate) loader: Loader,
    /// This process's environment: what says where the engine is, and how long it is waited for.
    pub(crate) environment: Vec<(OsString, OsString)>,
}

/// An image by the word that asks for it.
type Named = (String, Ready);

/// An image that was composed.
struct Job<'r> {
    reference: &'r str,
    ready: &'r Ready,
    composed: Composed,
}

/// Composes images.
///
/// # Errors
/// When what was asked for cannot be, or an image cannot be composed and the others are not wanted without it.
pub(crate) fn run(context: &Context, settings: &Settings) -> Result<Report, Error> {
    if let Some(load) = &settings.load {
        load::patience(&load.environment)?;
    }
    let (ready, unread) = read_all(context, settings)?;
    ready.iter().try_for_each(|(_, ready)| check_codec(settings, ready.codec))?;
    let names: Vec<String> = ready.iter().map(|(_, ready)| ready.short_name()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    // An image has the same name in an output whether or not the others can be read.
    let asked = ready.len() + unread.len();
    if asked > 1 && !settings.tags.is_empty() {
        return Err(Error::Usage(format!("--tag names one image, but {asked} were requested")));
    }
    settings.outputs.iter().try_for_each(|output| output.check(&names, asked, settings.manner.has_arch_tags))?;
    if settings.how_many == Tags::All {
        ready.iter().try_for_each(|(_, ready)| check_all_tags(settings, ready))?;
    }
    let source = settings.image.source()?;
    let store = context.open(Access::Create)?;
    let listener = Arc::clone(&context.listener);
    let taken = move |path: &Path| listener.within(&Escaped::path(path).to_string());
    let package_source = source.package_source(context, &store)?.when_taken(taken);
    output::check_places(&settings.outputs, context.place()?)?;

    let (jobs, failed, delivered) = persistently(context, &store, "compose", |session, policy| {
        package_source.remember(session);
        context.listener.begin("composing", ready.len());
        let finished = |image: &Image| context.listener.step(full_name(image));
        let composed = all(session, settings, &ready, &package_source, policy, &finished);
        context.listener.end();
        let (jobs, failed) = composed?;
        session.publish()?;
        // What a collector took meanwhile, or is bad, is made by the next attempt.
        let again = |error: &Error| policy == CachePolicy::Trust && diagnose::kinds(error).any(may_pass);
        match deliver::all(&store, settings, &jobs, asked, &again) {
            Ok(delivered) => Ok((jobs, failed, delivered)),
            Err(error) => {
                if diagnose::kinds(&error).any(|kind| kind == Kind::Damaged) {
                    deliver::distrust_all(&store, &jobs)?;
                }
                Err(error)
            }
        }
    })?;
    let Delivered { images, outputs, loaded } = delivered;
    let (mut composed, mut undelivered) = (Vec::new(), Vec::new());
    for (job, delivered) in jobs.iter().zip(images) {
        match delivered {
            Ok(names) => composed.push(report::image(job, &names, settings.date)),
            Err(error) => undelivered.push(Failed::undelivered(job, error)),
        }
    }
    Ok(Report {
        store: value::path(store.root()),
        other_than_defined: settings.image.compression.is_some()
            || !settings.said.is_empty()
            || jobs.iter().any(|job| job.ready.layering != job.ready.image.layers),
        has_embedded: jobs.iter().flat_map(|job| &job.ready.image.levels).any(|level| level.embedded),
        images: composed,
        failed: unread.into_iter().chain(failed).chain(undelivered).collect(),
        outputs,
        loaded,
    })
}

/// Refuses what an output or an engine cannot take, before any package is read.
fn check_codec(settings: &Settings, codec: Codec) -> Result<(), OutputError> {
    match &settings.load {
        // An engine is handed a docker-archive.
        Some(_) if codec == Codec::Zstd => Err(OutputError::Zstd("--load".to_owned())),
        _ => settings.outputs.iter().try_for_each(|output| output.check_codec(codec)),
    }
}

/// Refuses names of the command line of which an output would drop one.
fn check_all_tags(settings: &Settings, ready: &Ready) -> Result<(), Error> {
    let names = names::full_names(ready, &settings.tags)?;
    Ok(deliver::outputs(settings, ready).iter().try_for_each(|output| output.check_all_tags(&names))?)
}

/// Reads the definitions of all images that are asked for. One that cannot be read ends the command, unless it is told
/// to keep going.
fn read_all(context: &Context, settings: &Settings) -> Result<(Vec<Named>, Vec<Failed>), Error> {
    let (mut ready, mut failed) = (Vec::new(), Vec::new());
    let references = references(settings)?;
    if !matches!(settings.images, Images::Named(_)) {
        for (reference, error) in definition::misnamed(settings.image.project.here()) {
            if settings.after == AfterAnError::Stop {
                return Err(error.into());
            }
            failed.push(Failed::uncomposed(reference, error.into()));
        }
    }
    let read = settings.image.ready_all(context, &references);
    for (reference, one) in references.into_iter().zip(read) {
        let with_said = one.map(|mut one| {
            settings.said.put_into(&mut one.image);
            one
        });
        match with_said {
            Ok(one) => ready.push((reference, one)),
            Err(error) if settings.after == AfterAnError::GoOn => failed.push(Failed::uncomposed(reference, error)),
            Err(error) => return Err(error),
        }
    }
    Ok((ready, failed))
}

/// Names the images.
fn references(settings: &Settings) -> Result<Vec<String>, Error> {
    let wants_flavors = match &settings.images {
        Images::Named(named) => return Ok(named.clone()),
        Images::All => false,
        Images::AllFlavors => true,
    };
    let known = definition::of_project(settings.image.project.here());
    if known.is_empty() && definition::misnamed(settings.image.project.here()).is_empty() {
        return Err(Error::Usage(
            "--all: no images/ directory with definitions here or in any parent directory".to_owned(),
        ));
    }
    let each = known.into_iter().flat_map(|(name, flavors)| match flavors.as_slice() {
        [_, _, ..] if wants_flavors => flavors.iter().map(|flavor| format!("{name}:{flavor}")).collect(),
        _ => vec![name],
    });
    Ok(each.collect())
}

fn requests<'r>(settings: &Settings, ready: &'r [Named], package_source: &'r PackageSource) -> Vec<Request<'r>> {
    let request = |(_, ready): &'r Named| Request {
        image: &ready.image,
        architectures: &ready.architectures,
        package_source,
        layering: ready.layering,
        codec: ready.codec,
        date: settings.date,
    };
    ready.iter().map(request).collect()
}

fn all<'r>(
    session: &Session<'_>,
    settings: &Settings,
    ready: &'r [Named],
    package_source: &'r PackageSource,
    policy: CachePolicy,
    finished: Finished<'_>,
) -> Result<(Vec<Job<'r>>, Vec<Failed>), Error> {
    let requests = requests(settings, ready, package_source);
    let composed = compose_all(session, &requests, policy, settings.after, finished);
    let (done, failed) = sorted(session, &requests, ready, composed, settings.after, policy)?;
    let job = |(at, composed): (usize, Composed)| {
        let (reference, ready): &Named = &ready[at];
        Job { reference, ready, composed }
    };
    Ok((done.into_iter().map(job).collect(), failed))
}

/// What can be used of several images, each with its place among them, and what failed.
type Sorted<T> = (Vec<(usize, T)>, Vec<Failed>);

/// Takes what became of each image apart.
///
/// # Errors
/// What ends the command, or this attempt at it.
fn sorted<T>(
    session: &Session<'_>,
    requests: &[Request<'_>],
    ready: &[Named],
    outcomes: Vec<Result<T, ComposeError>>,
    after: AfterAnError,
    policy: CachePolicy,
) -> Result<Sorted<T>, Error> {
    let (mut done, mut failed) = (Vec::new(), Vec::new());
    for (at, ((reference, _), outcome)) in ready.iter().zip(outcomes).enumerate() {
        match outcome {
            Ok(one) => done.push((at, one)),
            Err(error @ ComposeError::Choice(ChoiceError::Unmet(_)))
                if after == AfterAnError::Stop && requests.len() > 1 =>
            {
                // What the other images lack is said with it, rather than one image at a time.
                return Err(unmet_of_all(session, requests)?.unwrap_or(error).into());
            }
            Err(source) if after == AfterAnError::Stop && requests.len() > 1 => {
                return Err(Error::OfImage { reference: reference.clone(), source: Box::new(source) });
            }
            Err(error) if after == AfterAnError::Stop => return Err(error.into()),
            // What a collector took meanwhile, or is bad, is made by the next attempt.
            Err(error) if policy == CachePolicy::Trust && may_pass(error.kind()) => return Err(error.into()),
            Err(error) => failed.push(Failed::uncomposed(reference.clone(), error.into())),
        }
    }
    Ok((done, failed))
}
