//! `dlstore compose`: images from definitions, into layouts, archives and engines.
//!
//! What was typed is checked whole before any work is done: outputs, definitions, dates. What was
//! remembered and turns out to be gone, or whose bytes are bad, is made again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Instant, SystemTime};

use anyhow::Context as _;
use clap::Args;
use serde_json::{Value, json};

use super::Global;
use super::attempt::persistently;
use super::diagnose;
use super::failure::{self, Usage, one_line};
use super::output::{Output, count, size};
use super::request::{FromArgs, Ready};
use dlstore_fsx::output::Placement;
use dlstore_image::compose::{
    AfterAnError, ComposeError, Composed, Memory, Request, Shelf, Weight, compose_all, unchosen_of_all,
};
use dlstore_image::definition::tags::{self, Values};
use dlstore_image::embedded;
use dlstore_model::arch::Arch;
use dlstore_model::diagnose::{Diagnose as _, Kind};
use dlstore_model::digest::{ActionKey, OciDigest};
use dlstore_model::escape::Escaped;
use dlstore_oci::load::{self, Loader};
use dlstore_oci::name::{ImageName, RefName};
use dlstore_oci::output::{self, Delivery, Output as Place, Target};
use dlstore_oci::{BlobError, BlobFile, BlobSource};
use dlstore_store::session::Session;
use dlstore_store::{Access, Store};

/// Days after which the data that is built into the program is called old.
const OLD: u64 = 180;

/// What `compose` is told.
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag that is given or not")]
pub(super) struct ComposeArgs {
    /// NAME[:FLAVOR] of an image under images/ or built into the program, or a path to a definition
    #[arg(required_unless_present = "all", value_name = "IMAGE")]
    images: Vec<String>,
    /// Every image that the project defines under images/
    #[arg(long, conflicts_with = "images")]
    all: bool,
    /// With --all, every flavor of each, not only the default one
    #[arg(long, requires = "all", conflicts_with = "images")]
    all_flavors: bool,
    /// Compose what can be composed when an image fails; the exit code is still 1
    #[arg(long)]
    keep_going: bool,
    #[command(flatten)]
    from: FromArgs,
    /// Where it goes: oci:DIR[:TAG], oci-archive:FILE[:NAME], docker-archive:FILE[:NAME:TAG]
    /// (default: oci:out/IMAGE)
    #[arg(short, long, value_name = "OUTPUT")]
    output: Vec<String>,
    /// Hand the image for this machine to docker or podman
    #[arg(long, value_name = "ENGINE", num_args = 0..=1, default_missing_value = "auto")]
    load: Option<String>,
    /// Copy blobs instead of sharing files with the store
    #[arg(long)]
    copy: bool,
    /// Where the date of `created` comes from: `packages`, or `env` for `SOURCE_DATE_EPOCH` (changes
    /// the digest)
    #[arg(long, value_name = "FROM", default_value = "packages")]
    date: DateFrom,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// `--date`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum DateFrom {
    /// The newest package
    Packages,
    /// `SOURCE_DATE_EPOCH`
    Env,
}

const EXAMPLES: &str = "\
Examples:
  dlstore compose static --arch all
  dlstore compose static:debian glibc-dynamic --arch all --from ./debs -o oci:out/images
  dlstore compose musl-dynamic:alpine --from ./apks --load";

/// An image that was composed.
struct Job<'r> {
    /// Its place among the images that are asked for.
    at: usize,
    reference: &'r str,
    ready: &'r Ready,
    composed: Composed,
}

/// An image by the word that asks for it.
type Named = (String, Ready);

/// An image that was not.
struct Failed {
    reference: String,
    error: anyhow::Error,
}

pub(super) fn run(global: &Global, out: &Output, arguments: &ComposeArgs) -> anyhow::Result<ExitCode> {
    let begun = Instant::now();
    let outputs: Vec<Place> = arguments.output.iter().map(|text| Place::parse(text)).collect::<Result<_, _>>()?;
    let loader = arguments.load.as_deref().map(str::parse::<Loader>).transpose()?;
    let environment: Vec<_> = std::env::vars_os().collect();
    load::patience(&environment)?;
    let (ready, unread) = read_all(out, arguments)?;
    let names: Vec<String> = ready.iter().map(|(_, ready)| short_name(ready)).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let plan: Vec<Vec<Target>> = outputs.iter().map(|output| output.targets(&names)).collect::<Result<_, _>>()?;
    let date = date(out, arguments)?;
    let from = arguments.from.place()?;
    let store = global.open(Access::Create)?;
    let shelf = from.shelf(out, &store)?;
    let root = global.store_path()?;
    plan.iter().flatten().try_for_each(|target| target.check_place(&root))?;
    let placement = if arguments.copy { Placement::Copy } else { Placement::Link };

    let (jobs, mut failed) = persistently(out, &store, "compose", |session, memory| {
        shelf.remember(session);
        let (jobs, failed) = all(session, &ready, &shelf, date, memory, arguments.keep_going)?;
        session.publish()?;
        if let Err(error) = write_all(&store, &jobs, &plan, loader, placement, out) {
            if diagnose::kinds(&error).any(|kind| kind == Kind::Damaged) {
                distrust_all(&store, &jobs)?;
            }
            return Err(error);
        }
        Ok((jobs, failed))
    })?;
    failed.splice(0..0, unread);
    report(out, arguments, &jobs, &failed, &plan, begun)?;
    for Failed { reference, error } in &failed {
        let _ = failure::report(out, error, Some(&root), &format!("{reference}: "));
    }
    if failed.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    let names: Vec<&str> = failed.iter().map(|one| one.reference.as_str()).collect();
    out.say(&format!("{} not composed: {}", count(failed.len(), "image"), names.join(", ")));
    Ok(ExitCode::FAILURE)
}

/// Reads the definitions of all images that are asked for. One that cannot be read ends the command, unless it is told
/// to keep going.
fn read_all(out: &Output, arguments: &ComposeArgs) -> anyhow::Result<(Vec<Named>, Vec<Failed>)> {
    let references = if arguments.all { of_project(arguments)? } else { arguments.images.clone() };
    let (mut ready, mut failed) = (Vec::new(), Vec::new());
    for reference in references {
        match arguments.from.ready(out, &reference) {
            Ok(one) => ready.push((reference, one)),
            Err(error) if arguments.keep_going => failed.push(Failed { reference, error }),
            Err(error) => return Err(error),
        }
    }
    Ok((ready, failed))
}

/// Names the images of the project.
fn of_project(arguments: &ComposeArgs) -> anyhow::Result<Vec<String>> {
    let known = arguments.from.project.own()?;
    if known.is_empty() {
        return Err(Usage("--all: no images/ with definitions here or in a directory above".to_owned()).into());
    }
    let each = known.into_iter().flat_map(|(name, flavors)| match flavors.as_slice() {
        [_, _, ..] if arguments.all_flavors => flavors.iter().map(|flavor| format!("{name}:{flavor}")).collect(),
        _ => vec![name],
    });
    Ok(each.collect())
}

fn all<'r>(
    session: &Session<'_>,
    ready: &'r [Named],
    shelf: &Shelf,
    date: Option<u64>,
    memory: Memory,
    keep_going: bool,
) -> anyhow::Result<(Vec<Job<'r>>, Vec<Failed>)> {
    let request = |(_, ready): &'r Named| Request {
        image: &ready.image,
        architectures: &ready.architectures,
        shelf,
        layering: ready.layering,
        codec: ready.codec,
        date,
    };
    let requests: Vec<Request<'_>> = ready.iter().map(request).collect();
    let after = if keep_going { AfterAnError::GoOn } else { AfterAnError::Stop };
    let (mut jobs, mut failed) = (Vec::new(), Vec::new());
    let composed = compose_all(session, &requests, memory, after);
    for (at, ((reference, ready), composed)) in ready.iter().zip(composed).enumerate() {
        match composed {
            Ok(composed) => jobs.push(Job { at, reference, ready, composed }),
            // What a collector took meanwhile, or is bad, is made by the next attempt.
            Err(error @ ComposeError::Unchosen(_)) if !keep_going && requests.len() > 1 => {
                // What the other images lack is said with it, rather than one image at a time.
                return Err(unchosen_of_all(session, &requests)?.unwrap_or(error).into());
            }
            Err(error) if !keep_going || memory == Memory::Believed && is_passing(&error) => return Err(error.into()),
            Err(error) => failed.push(Failed { reference: reference.clone(), error: error.into() }),
        }
    }
    Ok((jobs, failed))
}

fn is_passing(error: &ComposeError) -> bool {
    matches!(error.kind(), Kind::Gone | Kind::Damaged)
}

fn date(out: &Output, arguments: &ComposeArgs) -> anyhow::Result<Option<u64>> {
    const VARIABLE: &str = "SOURCE_DATE_EPOCH";
    let value = std::env::var(VARIABLE).ok();
    match (arguments.date, value) {
        (DateFrom::Env, Some(value)) => {
            out.note("--date env sets `created`, and with it the digest");
            let seconds =
                value.parse().map_err(|_| Usage(format!("{VARIABLE}={value:?} is not a number of seconds")))?;
            Ok(Some(seconds))
        }
        (DateFrom::Env, None) => Err(Usage(format!("--date env, and {VARIABLE} is not set")).into()),
        (DateFrom::Packages, Some(_)) => {
            out.note(&format!("{VARIABLE} is ignored: dates come from the packages (--date env uses it)"));
            Ok(None)
        }
        (DateFrom::Packages, None) => Ok(None),
    }
}

/// `static`, or with another flavor than the default `static-debian`.
fn short_name(ready: &Ready) -> String {
    let image = &ready.image;
    if image.is_default_flavor { image.name.clone() } else { format!("{}-{}", image.name, image.flavor) }
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

fn write_all(
    store: &Store,
    jobs: &[Job<'_>],
    plan: &[Vec<Target>],
    loader: Option<Loader>,
    placement: Placement,
    out: &Output,
) -> anyhow::Result<()> {
    let blobs: Vec<Blobs<'_>> = jobs.iter().map(|job| Blobs { store, packs: &job.composed.packs }).collect();
    let targets = targets(jobs, plan, loader)?;
    let deliveries: Vec<Delivery<'_>> = targets
        .iter()
        .map(|(at, target)| Delivery { target, documents: &jobs[*at].composed.documents, source: &blobs[*at] })
        .collect();
    output::write_all(&deliveries, placement)?;
    let Some(loader) = loader else { return Ok(()) };
    for (job, blobs) in jobs.iter().zip(&blobs) {
        let environment: Vec<_> = std::env::vars_os().collect();
        let name: ImageName = format!("{}:latest", short_name(job.ready)).parse()?;
        let loaded = load::load(&job.composed.documents, &name, blobs, loader, Arch::host(), &environment)
            .with_context(|| format!("cannot load {}", job.reference))?;
        for name in loaded.names {
            out.say(&format!("loaded {name} ({}) into {}", loaded.arch, Escaped::path(&loaded.program)));
        }
    }
    Ok(())
}

/// Gives every place that images go to, each with the place of its image: the outputs, or without any the layouts
/// that are named like the images.
fn targets(jobs: &[Job<'_>], plan: &[Vec<Target>], loader: Option<Loader>) -> anyhow::Result<Vec<(usize, Target)>> {
    let of = |targets: &Vec<Target>| jobs.iter().map(|job| targets[job.at].clone()).enumerate().collect::<Vec<_>>();
    let mut all: Vec<(usize, Target)> = plan.iter().flat_map(of).collect();
    if plan.is_empty() && loader.is_none() {
        for (at, job) in jobs.iter().enumerate() {
            let dir = default_folder(job.ready);
            all.extend(default_tags(job)?.into_iter().map(|tag| (at, Target::Layout { dir: dir.clone(), tag })));
        }
    }
    Ok(all)
}

/// Looks at every layer once one of them was found bad while it was read: where one is bad others are, and the next
/// attempt makes all of them again.
fn distrust_all(store: &Store, jobs: &[Job<'_>]) -> anyhow::Result<()> {
    for blob in jobs.iter().flat_map(|job| job.composed.packs.keys()) {
        store.distrust_pack(blob)?;
    }
    Ok(())
}

fn default_folder(ready: &Ready) -> PathBuf {
    Path::new("out").join(short_name(ready))
}

/// The definition's tags with their values, or `latest`.
fn default_tags(job: &Job<'_>) -> anyhow::Result<Vec<RefName>> {
    let image = &job.ready.image;
    let date =
        humantime::format_rfc3339_seconds(SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(job.composed.date));
    let date: String = date.to_string()[..10].replace('-', "");
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

fn report(
    out: &Output,
    arguments: &ComposeArgs,
    jobs: &[Job<'_>],
    failed: &[Failed],
    plan: &[Vec<Target>],
    begun: Instant,
) -> anyhow::Result<()> {
    let mut results = Vec::new();
    for job in jobs {
        let digest = job.composed.documents.index.digest;
        let name = job.ready.image.repository.clone().unwrap_or_else(|| short_name(job.ready));
        if arguments.json {
            results.push(describe(job, &name));
        } else {
            out.result(&format!("{name}@{digest}"))?;
        }
    }
    if arguments.json {
        let reason = |one: &Failed| json!({"reference": one.reference, "error": one_line(&*one.error)});
        out.json(json!({"images": results, "failed": failed.iter().map(reason).collect::<Vec<_>>()}))?;
    }
    let time = format!(" in {:.2} s", begun.elapsed().as_secs_f64());
    for job in jobs {
        said(out, job, if jobs.len() == 1 { &time } else { "" });
        for note in &job.composed.notes {
            match note.weight {
                Weight::Accepted => out.detail(&note.text),
                Weight::Note => out.note(&note.text),
                Weight::Warning => out.warn(&note.text),
            }
        }
    }
    if jobs.len() > 1 {
        out.say(&format!("composed {}{time}", count(jobs.len(), "image")));
    }
    // What holds for all of them is said once.
    if jobs.iter().any(|job| job.ready.layering != job.ready.image.layers || arguments.from.compression.is_some()) {
        out.note("--layers and --compression give another digest than the definition alone");
    }
    if jobs.iter().flat_map(|job| &job.ready.image.levels).any(|level| level.embedded) {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| now.as_secs());
        let age = embedded::age_days(now);
        let old = if age > OLD { ": old, take a newer dlstore or another flavor" } else { "" };
        out.say(&format!("embedded data: {}, {age} days old{old}", embedded::describe()));
    }
    next(out, jobs, plan, arguments.load.is_some());
    Ok(())
}

fn said(out: &Output, job: &Job<'_>, time: &str) {
    let composed = &job.composed;
    let (packages, fresh) = composed.packages;
    let platforms = &composed.documents.platforms;
    let sizes: Vec<u64> = platforms.iter().map(|one| one.layers.iter().map(|layer| layer.size).sum()).collect();
    let (least, most) = (sizes.iter().min().copied().unwrap_or(0), sizes.iter().max().copied().unwrap_or(0));
    let (least, most) = (size(least), size(most));
    let each = if least == most { most } else { format!("{least} to {most}") };
    let from = if packages == 0 {
        "no packages".to_owned()
    } else {
        format!("{}: {} cached, {fresh} added", count(packages, "package"), packages - fresh)
    };
    out.say(&format!(
        "composed {} ({}){time} · {from} · {}: {} reused, {} made · {each} compressed",
        job.reference,
        count(platforms.len(), "architecture"),
        count(composed.layers.reused + composed.layers.made, "layer"),
        composed.layers.reused,
        composed.layers.made,
    ));
}

/// Says where the images are and what to type next.
fn next(out: &Output, jobs: &[Job<'_>], plan: &[Vec<Target>], loaded: bool) {
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    if plan.is_empty() && !loaded {
        for job in jobs {
            let dir = default_folder(job.ready);
            out.say(&format!("written to {}", Escaped::path(&dir)));
        }
        if let Some(job) = jobs.first() {
            let tag = default_tags(job).ok().and_then(|tags| tags.into_iter().next());
            let tag = tag.map_or_else(|| "latest".to_owned(), |tag| tag.as_str().to_owned());
            let dir = absolute(&default_folder(job.ready));
            out.say(&next_command(&short_name(job.ready), &dir, &tag));
        }
    }
    for (target, job) in plan.iter().flat_map(|targets| jobs.iter().map(|job| (&targets[job.at], job))) {
        out.say(&format!("written to {}", Escaped::whole(target.to_string().as_bytes())));
        if let Target::Layout { dir, tag } = target {
            out.say(&next_command(&short_name(job.ready), &absolute(dir), tag.as_str()));
        }
    }
}

fn next_command(name: &str, dir: &Path, tag: &str) -> String {
    let layout = format!("{name}=oci-layout://{}:{tag}", Escaped::path(dir));
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@+,".contains(c);
    // As a shell takes it.
    let layout = if layout.chars().all(is_plain) { layout } else { format!("'{}'", layout.replace('\'', "'\\''")) };
    format!("next: docker buildx build --build-context {layout} .")
}

fn describe(job: &Job<'_>, name: &str) -> Value {
    let documents = &job.composed.documents;
    let platforms: Vec<Value> = documents
        .platforms
        .iter()
        .map(|platform| {
            let layers: Vec<Value> = platform
                .layers
                .iter()
                .map(|layer| {
                    json!({
                        "digest": layer.blob.to_string(), "size": layer.size,
                        "diff_id": layer.diff_id.to_string(), "title": layer.title,
                    })
                })
                .collect();
            json!({
                "architecture": platform.arch.to_string(), "manifest": platform.manifest.digest.to_string(),
                "config": platform.config.digest.to_string(), "layers": layers,
            })
        })
        .collect();
    json!({
        "reference": job.reference, "name": name, "digest": documents.index.digest.to_string(),
        "created": job.composed.date, "platforms": platforms, "notes": job.composed.notes.iter().map(|note| &note.text).collect::<Vec<_>>(),
        "layers": {"reused": job.composed.layers.reused, "made": job.composed.layers.made},
    })
}
