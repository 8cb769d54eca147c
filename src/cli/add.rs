//! `dlstore add`: packages and folders into the store.
//!
//! Everything is collected before the store is opened. Results are published in batches, so that a
//! killed command loses little; what is wrong with one package fails that package alone.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::Args;
use serde_json::{Value, json};

use super::Global;
use super::attempt::persistently;
use super::failure::{MAKE_ROOM, no_space, one_line};
use super::output::{Output, Rows, count, size};
use super::progress::Progress;
use dlstore_formats::layer::Codec;
use dlstore_formats::package::Limits;
use dlstore_image::compose::image::Memory;
use dlstore_image::fixup::run;
use dlstore_ingest::input::{Input, collect};
use dlstore_ingest::{Added, IngestError, KeepSources, Options};
use dlstore_model::diagnose::{Diagnose as _, Kind};
use dlstore_model::escape::Escaped;
use dlstore_store::Access;

/// Raw bytes of sources after which what was added so far is published.
const PUBLISH_BYTES: u64 = 256 << 20;

/// Packages after which it is: their trees and facts wait in memory, and a killed command adds them again.
const PUBLISH_PACKAGES: usize = 1_000;

/// What `add` is told.
#[derive(Args)]
pub(super) struct AddArgs {
    /// .deb, .apk, .tar[.gz|.xz|.zst|.bz2], folders full of packages, or folders to take as a package
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    /// Do not keep the package files themselves
    #[arg(long)]
    no_keep_sources: bool,
    /// Accept packages whose content is up to SIZE (500MB, 8GiB), whatever their size promises
    ///
    /// Without it content above 64 MiB may be at most 200 times as large as the package file, and at most
    /// twice what the package declares.
    #[arg(long, value_name = "SIZE", value_parser = super::quantity::size)]
    max_size: Option<u64>,
}

pub(super) fn run(global: &Global, out: &Output, arguments: &AddArgs) -> anyhow::Result<ExitCode> {
    let begun = Instant::now();
    let (inputs, mut refused) = inputs(&arguments.paths);
    if inputs.is_empty()
        && refused.len() == 1
        && let Some((_, error)) = refused.pop()
    {
        return Err(error.into());
    }
    let store = global.open(Access::Create)?;
    let options = Options {
        selection: &run::default_selection,
        codec: Codec::Gzip,
        keep_sources: if arguments.no_keep_sources { KeepSources::No } else { KeepSources::Yes },
        limits: Limits { max_size: arguments.max_size, ..Limits::default() },
    };
    let progress = Progress::new(global, inputs.len(), "adding");
    let mut report = Report { as_json: arguments.json, store: store.root().to_path_buf(), ..Report::default() };
    for batch in batches(&inputs) {
        let added = persistently(out, &store, "add", |session, memory| {
            let added = dlstore_ingest::add_all(session, batch, &options, &|input, _| {
                // Only the first attempt counts.
                if memory == Memory::Believed {
                    progress.step(&Escaped::path(&input.path).to_string());
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
            report.take(&input.path, result);
        }
    }
    progress.finish();
    for (path, error) in refused {
        report.refuse(&path, &error, "");
    }
    report.print(out, begun)
}

/// Turns the paths into things to add; what is none of them does not keep the others out.
fn inputs(paths: &[PathBuf]) -> (Vec<Input>, Vec<(PathBuf, IngestError)>) {
    let (mut inputs, mut refused) = (Vec::new(), Vec::new());
    for path in paths {
        match collect(std::slice::from_ref(path)) {
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

/// What will be said, as far as it is known: little of each package, because there may be 100,000 of them.
#[derive(Default)]
struct Report {
    as_json: bool,
    store: PathBuf,
    /// Whether the store has no room left.
    is_full: bool,
    rows: Rows,
    added: Vec<Value>,
    failed: Vec<Value>,
    notes: Vec<String>,
    errors: Vec<String>,
    new: usize,
    known: usize,
    /// Bytes of the sources that are new.
    bytes: u64,
}

impl Report {
    fn take(&mut self, path: &Path, result: Result<Added, IngestError>) {
        let one = match result {
            Ok(one) => one,
            Err(error) => return self.refuse(path, &error, &format!("{}: ", Escaped::path(path))),
        };
        let record = &one.record;
        if one.was_known {
            self.known += 1;
        } else {
            self.new += 1;
            self.bytes += record.source_size;
        }
        if self.as_json {
            self.added.push(json!({
                "path": path.display().to_string(),
                "format": record.format.name(), "name": record.name, "version": record.version,
                "architecture": record.architecture, "tree": record.tree.to_hex(),
                "source": record.source.to_string(), "source_size": record.source_size,
                "content_size": record.content_size, "entries": record.entries,
                "packed_size": one.packed, "known": one.was_known, "notes": one.notes,
            }));
        } else {
            self.rows.push(&[
                &record.name,
                &record.version,
                &record.architecture,
                &record.tree.to_hex()[..12],
                &size(record.source_size),
                &size(record.content_size),
                if one.was_known { "known" } else { "added" },
            ]);
        }
        self.notes.extend(one.notes);
    }

    fn refuse(&mut self, path: &Path, error: &IngestError, label: &str) {
        let mut line = one_line(error);
        if error.kind() == Kind::StoreFull {
            // It is not about the package.
            self.is_full = true;
            let full = no_space(&self.store);
            self.errors.push(format!("{full}; {} was not added: {line}", Escaped::path(path)));
            line = format!("{full}: {line}");
        } else {
            self.errors.push(format!("{label}{line}"));
        }
        self.failed.push(json!({"path": path.display().to_string(), "error": line}));
    }

    fn print(self, out: &Output, begun: Instant) -> anyhow::Result<ExitCode> {
        for note in &self.notes {
            out.note(note);
        }
        for error in &self.errors {
            out.error("error:", error);
        }
        if self.is_full {
            out.error("hint:", MAKE_ROOM);
        }
        let failed = self.failed.len();
        if self.as_json {
            out.json(json!({"added": self.added, "failed": self.failed}))?;
        } else {
            for line in self.rows.lines() {
                out.result(&line)?;
            }
        }
        let (new, bytes, known) = (count(self.new, "package"), size(self.bytes), self.known);
        let also = if failed > 0 { format!(", {failed} failed") } else { String::new() };
        out.say(&format!("added {new} ({bytes}), {known} known{also} in {:.2} s", begun.elapsed().as_secs_f64()));
        Ok(ExitCode::from(u8::from(failed > 0)))
    }
}
