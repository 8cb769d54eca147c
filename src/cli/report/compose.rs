//! What composing came to: a reference with its digest for each image, and what to type next.
//!
//! stdout has a line for each image and nothing else. What holds for all images is said once.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use crate::cli::exit;
use crate::cli::output::{Output, count, size};
use crate::cli::settings::now;
use crate::command::compose::plan;
use crate::command::compose::report::{Failed, Image, Report, Written};
use dlstore_image::check::Weight;
use dlstore_image::embedded;
use dlstore_model::escape::Escaped;
use dlstore_oci::output::Target;

/// Days after which the data that is built into the program is called old.
const OLD: u64 = 180;

pub(in crate::cli) fn print(
    out: &Output,
    report: &Report,
    as_json: bool,
    begun: Instant,
    store: Option<&Path>,
) -> anyhow::Result<ExitCode> {
    for one in &report.loaded {
        out.say(&format!("loaded {} ({}) into {}", one.name, one.architecture, one.program));
    }
    if as_json {
        out.json(report)?;
    } else {
        for image in &report.images {
            let line = format!("{}@{}", image.name, image.digest);
            if report.outputs.iter().any(|one| one.target.is_stdout()) { out.say(&line) } else { out.result(&line)? }
        }
    }
    summarize(out, report, begun);
    written(out, report);
    Ok(failed(out, &report.failed, store))
}

/// Says which images failed, and why.
fn failed(out: &Output, failed: &[Failed], store: Option<&Path>) -> ExitCode {
    for one in failed {
        let _ = exit::report(out, &one.error, store, &format!("{}: ", one.reference));
    }
    if failed.is_empty() {
        return ExitCode::SUCCESS;
    }
    let (undelivered, uncomposed): (Vec<&Failed>, Vec<&Failed>) = failed.iter().partition(|one| one.digest.is_some());
    for (what, failed) in [("not composed", uncomposed), ("composed, but not delivered to all places", undelivered)] {
        let names: Vec<&str> = failed.iter().map(|one| one.reference.as_str()).collect();
        if !names.is_empty() {
            out.say(&format!("{} {what}: {}", count(names.len(), "image"), names.join(", ")));
        }
    }
    ExitCode::FAILURE
}

/// Prints what would be made: for each architecture its layers, and what they are made of.
pub(in crate::cli) fn print_plan(
    out: &Output,
    report: &plan::Report,
    as_json: bool,
    store: Option<&Path>,
) -> anyhow::Result<ExitCode> {
    if as_json {
        out.json(report)?;
        return Ok(failed(out, &report.failed, store));
    }
    for image in &report.images {
        for platform in &image.platforms {
            let new = platform.layers.iter().filter(|layer| !layer.is_known).count();
            let layers = count(platform.layers.len(), "layer");
            out.result(&format!("{} {}: {layers}, {new} to make", image.reference, platform.architecture))?;
            for layer in &platform.layers {
                let state = if layer.is_known { "known" } else { "new" };
                out.result(&format!("  {state:5}  {}", Escaped::text(&layer.title)))?;
                for one in &layer.components {
                    let files = count(usize::try_from(one.files).unwrap_or(usize::MAX), "file");
                    out.result(&format!("         {} ({files}, {})", Escaped::text(&one.origin), size(one.bytes)))?;
                }
            }
        }
        for note in &image.notes {
            out.note(note);
        }
    }
    Ok(failed(out, &report.failed, store))
}

fn summarize(out: &Output, report: &Report, begun: Instant) {
    let time = format!(" in {:.2} s", begun.elapsed().as_secs_f64());
    for image in &report.images {
        said(out, image, if report.images.len() == 1 { &time } else { "" });
        for note in &image.notes {
            match note.weight {
                Weight::Accepted => out.detail(&note.text),
                Weight::Note => out.note(&note.text),
                Weight::Warning => out.warn(&note.text),
            }
        }
    }
    if report.images.len() > 1 {
        out.say(&format!("composed {}{time}", count(report.images.len(), "image")));
    }
    if report.other_than_defined {
        out.note("command-line flags changed the digest");
    }
    if report.has_embedded {
        let age = embedded::age_days(now());
        let old = if age > OLD { ": out of date; use a newer dlstore or another flavor" } else { "" };
        out.say(&format!("embedded data: {}, {age} days old{old}", embedded::describe()));
    }
}

fn said(out: &Output, image: &Image, time: &str) {
    let sizes = image.platforms.iter().map(|one| one.layers.iter().map(|layer| layer.size).sum::<u64>());
    let (least, most) = (sizes.clone().min().unwrap_or(0), sizes.max().unwrap_or(0));
    let (least, most) = (size(least), size(most));
    let each = if least == most { most } else { format!("{least} to {most}") };
    let (cached, added) = (image.packages.cached, image.packages.added);
    let from = match cached + added {
        0 => "no packages".to_owned(),
        packages => format!("{}: {cached} cached, {added} added", count(packages, "package")),
    };
    let (reused, made) = (image.layers.reused, image.layers.made);
    out.say(&format!(
        "composed {} ({}){time} · {from} · {}: {reused} reused, {made} made · {each} compressed",
        image.reference,
        count(image.platforms.len(), "architecture"),
        count(reused + made, "layer"),
    ));
}

/// Says where the images are and what to type next.
fn written(out: &Output, report: &Report) {
    let mut seen = BTreeSet::new();
    for one in report.outputs.iter().filter(|one| one.is_default) {
        if let Target::Layout { dir, .. } = &one.target
            && seen.insert(dir)
        {
            out.say(&format!("written to {}", Escaped::path(dir)));
        }
    }
    if let Some(first) = report.outputs.first().filter(|one| one.is_default) {
        next(out, first);
    }
    for one in report.outputs.iter().filter(|one| !one.is_default && !one.target.is_stdout()) {
        out.say(&format!("written to {}", Escaped::whole(one.target.to_string().as_bytes())));
        next(out, one);
    }
}

/// Says what can be done with a layout: an image that starts something is pushed or run, others are built upon.
fn next(out: &Output, written: &Written) {
    let Target::Layout { dir, tag } = &written.target else { return };
    let shown = Escaped::path(dir).to_string();
    let command = match &written.pushed {
        Some(name) if written.has_command => {
            let (from, to) = (format!("oci:{shown}:{tag}"), format!("docker://{name}"));
            format!("skopeo copy --all {} {}", quoted(&from), quoted(&to))
        }
        None if written.has_command => format!("podman run --rm {}", quoted(&format!("oci:{shown}:{tag}"))),
        _ => {
            let dir = std::path::absolute(dir).unwrap_or_else(|_| dir.clone());
            let layout = format!("{}=oci-layout://{}:{tag}", written.image, Escaped::path(&dir));
            format!("docker buildx build --build-context {} .   # FROM {}", quoted(&layout), written.image)
        }
    };
    out.say(&format!("next: {command}"));
}

/// Writes a word as a shell takes it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@+,".contains(c);
    if word.chars().all(is_plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}
