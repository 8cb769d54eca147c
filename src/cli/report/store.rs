//! What the commands below `store` came to.
//!
//! Findings are results and go to stdout with exit code 1; notes are for people, and harmless. Of many notes of one kind
//! the first are written out and the rest counted.

use std::collections::BTreeMap;
use std::process::ExitCode;

use super::code;
use crate::cli::output::{Output, count, size};
use crate::command::store::{Finding, Named};
use crate::command::store::{gc, info, init, rebuild, roots, verify};
use dlstore_model::escape::Escaped;
use dlstore_model::shown::Shown;

pub(in crate::cli) fn init(out: &Output, report: &init::Report, as_json: bool) -> anyhow::Result<ExitCode> {
    let store = Escaped::path(&report.store);
    if as_json {
        out.json(report)?;
    } else if report.is_new {
        out.say(&format!("made the store {store}"));
    } else {
        out.say(&format!("the store {store} already exists"));
    }
    Ok(ExitCode::SUCCESS)
}

pub(in crate::cli) fn info(out: &Output, report: &info::Report, as_json: bool) -> anyhow::Result<ExitCode> {
    if as_json {
        out.json(report)?;
        return Ok(ExitCode::SUCCESS);
    }
    let (left, quarantined) = (size(report.dead_stages_size), size(report.quarantined_size));
    for (name, value) in [
        ("store", report.path.clone()),
        ("logical", format!("{} in {}", size(report.logical_size), plural(report.packages, "package"))),
        ("unique", size(report.unique_size)),
        (
            "stored",
            format!(
                "{}: {} in {}, {} of sources, {} of index",
                size(report.stored_size),
                size(report.pack_files_size),
                plural(report.packs, "pack"),
                size(report.source_files_size),
                size(report.index_size)
            ),
        ),
        ("left", format!("{left} by killed commands, {quarantined} in quarantine")),
        ("roots", report.roots.to_string()),
        ("damaged", report.damaged.to_string()),
    ] {
        out.result(&format!("{name:<8} {value}"))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn plural(number: u64, noun: &str) -> String {
    count(usize::try_from(number).unwrap_or(usize::MAX), noun)
}

pub(in crate::cli) fn verify(out: &Output, report: &verify::Report, as_json: bool) -> anyhow::Result<ExitCode> {
    let exit = code(!report.findings.is_empty() || report.lost.as_ref().is_some_and(|lost| !lost.is_empty()));
    if as_json {
        out.json(report)?;
        return Ok(exit);
    }
    for one in report.healed.iter().flatten() {
        out.result(&format!("healed {}", line(one)))?;
    }
    for one in &report.findings {
        out.result(&line(one))?;
    }
    for one in report.lost.iter().flatten() {
        out.result(&format!("lost {one}"))?;
    }
    let mut notes: BTreeMap<&str, Shown<String>> = BTreeMap::new();
    for one in &report.notes {
        notes.entry(one.kind).or_default().push(|| format!("{}: {}", one.kind, one.detail));
    }
    for (kind, shown) in notes {
        for note in shown.with_rest(&format!("of kind {kind}")) {
            out.note(&note);
        }
    }
    for one in &report.said {
        out.note(one);
    }
    let found =
        if report.findings.is_empty() { "no findings".to_owned() } else { count(report.findings.len(), "finding") };
    let healed = report.healed.as_ref().map(|healed| format!(", {} healed", healed.len())).unwrap_or_default();
    out.say(&format!("checked {}: {found}{healed}", plural(report.checked, "object")));
    if report.is_index_damaged {
        out.error("hint:", "dlstore store rebuild");
    } else if !report.findings.is_empty() && report.healed.is_none() {
        out.error("hint:", "dlstore store verify --repair");
    }
    Ok(exit)
}

fn line(one: &Finding) -> String {
    let object = one.object.as_ref().map(|object| format!(" {object}")).unwrap_or_default();
    format!("{}{object}: {}", one.kind, one.detail)
}

pub(in crate::cli) fn rebuild(out: &Output, report: &rebuild::Report, as_json: bool) -> anyhow::Result<ExitCode> {
    let exit = code(!report.lost.is_empty());
    if as_json {
        out.json(report)?;
        return Ok(exit);
    }
    out.table(&report.packages, |package| {
        let (name, version) = (package.name.to_string(), package.version.to_string());
        [package.format.to_owned(), name, version, package.architecture.to_string()]
    })?;
    for one in &report.lost {
        out.result(&format!("lost {one}"))?;
    }
    for root in &report.compose_again {
        out.note(&format!("compose its image again to restore the root {root}"));
    }
    out.say(&format!("restored {}, {} lost", count(report.packages.len(), "package"), report.lost.len()));
    Ok(exit)
}

pub(in crate::cli) fn gc(out: &Output, report: &gc::Report, as_json: bool) -> anyhow::Result<ExitCode> {
    let exit = match report {
        gc::Report::Collected(done) => code(!done.findings.is_empty()),
        gc::Report::Planned(_) => ExitCode::SUCCESS,
    };
    match report {
        _ if as_json => out.json(report)?,
        gc::Report::Collected(done) => collected(out, done)?,
        gc::Report::Planned(plan) => planned(out, plan)?,
    }
    Ok(exit)
}

fn collected(out: &Output, done: &gc::Collected) -> anyhow::Result<()> {
    for one in &done.findings {
        out.result(&format!("{}: {}", one.kind, one.detail))?;
    }
    unused_sources(out, done.unused_sources);
    out.say(&format!(
        "deleted {} and {}, freed {}",
        plural(done.objects, "object"),
        plural(done.files, "file"),
        size(done.freed_size)
    ));
    Ok(())
}

/// Says how many package files stay that somebody asked to delete.
fn unused_sources(out: &Output, unused: u64) {
    if unused > 0 {
        let files = plural(unused, "package file");
        out.note(&format!("kept {files} still needed to make layers"));
    }
}

fn planned(out: &Output, plan: &gc::Planned) -> anyhow::Result<()> {
    for root in &plan.roots {
        out.result(&format!("root {}", root.name))?;
    }
    for one in &plan.objects {
        out.result(&format!("{} {}", Named(one.object), size(one.bytes)))?;
    }
    for (word, files) in [("orphan", &plan.orphans), ("quarantined", &plan.quarantined)] {
        for one in files {
            out.result(&format!("{word} {} {}", one.path, size(one.size)))?;
        }
    }
    for one in &plan.findings {
        out.result(&format!("{}: {}", one.kind, one.detail))?;
    }
    unused_sources(out, plan.unused_sources);
    if plan.staged_size > 0 {
        out.result(&format!("left by killed commands {}", size(plan.staged_size)))?;
    }
    out.say(&format!(
        "would delete {} ({} kept), freeing {}",
        count(plan.objects.len(), "object"),
        plan.kept,
        size(plan.freed_size)
    ));
    Ok(())
}

pub(in crate::cli) fn roots(out: &Output, report: &roots::Report, as_json: bool) -> anyhow::Result<ExitCode> {
    if as_json {
        out.json(report)?;
    } else {
        for root in &report.roots {
            out.result(&root.name)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub(in crate::cli) fn root_added(out: &Output, report: &roots::Added, as_json: bool) -> anyhow::Result<ExitCode> {
    if as_json {
        out.json(report)?;
    } else {
        out.say(&format!("{} keeps {}", report.name, count(report.keeps.len(), "object")));
    }
    Ok(ExitCode::SUCCESS)
}

pub(in crate::cli) fn roots_removed(out: &Output, report: &roots::Removed, as_json: bool) -> anyhow::Result<ExitCode> {
    if as_json {
        out.json(report)?;
    } else {
        out.say(&format!("removed {}", count(report.removed.len(), "root")));
    }
    Ok(ExitCode::SUCCESS)
}
