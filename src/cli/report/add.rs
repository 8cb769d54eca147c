//! What `add` came to: a row for each package, and what is wrong with the others.
//!
//! Rows are printed when all is done, lined up; errors and notes go to stderr before them.

use std::process::ExitCode;
use std::time::Instant;

use super::code;
use crate::cli::output::{Output, count, size};
use crate::command::add::{AddedPackage, Report};
use crate::command::failure::MAKE_ROOM;

pub(in crate::cli) fn print(out: &Output, report: &Report, as_json: bool, begun: Instant) -> anyhow::Result<ExitCode> {
    for note in report.added.iter().flat_map(|one| &one.notes) {
        out.note(note);
    }
    for one in &report.failed {
        out.error("error:", &one.sentence);
    }
    if report.full.is_some() {
        out.error("hint:", MAKE_ROOM);
    }
    if as_json {
        out.json(report)?;
    } else {
        out.table(&report.added, cells)?;
    }
    let new: Vec<&AddedPackage> = report.added.iter().filter(|one| !one.known).collect();
    let bytes = size(new.iter().map(|one| one.package.source_size).sum());
    let (packages, known) = (count(new.len(), "package"), report.added.len() - new.len());
    let failed = report.failed.len();
    let also = if failed > 0 { format!(", {failed} failed") } else { String::new() };
    out.say(&format!("added {packages} ({bytes}), {known} known{also} in {:.2} s", begun.elapsed().as_secs_f64()));
    Ok(code(failed > 0))
}

fn cells(AddedPackage { package, known, .. }: &AddedPackage) -> [String; 7] {
    [
        package.name.to_string(),
        package.version.to_string(),
        package.architecture.to_string(),
        package.tree.to_string()[..12].to_owned(),
        size(package.source_size),
        size(package.content_size),
        if *known { "known" } else { "added" }.to_owned(),
    ]
}
