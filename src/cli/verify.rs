//! `dlstore store verify`: damage is named, and with `--repair` healed from what the store keeps.
//!
//! Findings are results and go to stdout with exit code 1; notes are for people, and harmless. A repair looks, heals
//! and looks again, until nothing is found or nothing changes any more: what is made again can bring to light what
//! lay behind it.

use std::collections::BTreeSet;
use std::fs::File;
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::Global;
use super::failure::Usage;
use super::output::{Output, count};
use super::progress::Progress;
use dlstore_formats::layer::{self, PackInfo, StoredPack};
use dlstore_image::compose::remembered;
use dlstore_ingest::{Landed, rebuild, recall};
use dlstore_model::tree::Tree;
use dlstore_store::session::Session;
use dlstore_store::{
    Access, Depth, FactsOf, Finding, FindingKind, Kind, NoteKind, ObjectRef, PackageRecord, Part, Reading, Store,
    Unhealed, VerifyOptions, VerifyReport,
};

/// A healing can bring damage to light that lay behind other damage, but not often.
const ROUNDS: usize = 4;

/// What `store verify` is told.
#[derive(Args)]
pub(super) struct VerifyArgs {
    /// Hash every pack and source again, and decode packs against their layer trees
    #[arg(long)]
    full: bool,
    /// Check only the n-th of m parts: a slice for each night
    #[arg(long, value_name = "N/M", requires = "full")]
    part: Option<String>,
    /// Heal what is found, from the kept sources; looks at every byte, as --full
    #[arg(long, conflicts_with = "part")]
    repair: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// What verifying and healing came to.
#[derive(Default)]
struct Outcome {
    report: VerifyReport,
    healed: Vec<Finding>,
    lost: BTreeSet<String>,
    notes: BTreeSet<String>,
}

pub(super) fn run(global: &Global, out: &Output, arguments: &VerifyArgs) -> anyhow::Result<ExitCode> {
    let part = arguments.part.as_deref().map(part).transpose()?;
    let store = global.open(Access::Existing)?;
    let progress = Progress::new(global, 0, "verifying");
    let depth = if arguments.full || arguments.repair { Depth::Full } else { Depth::Quick };
    let look = || look(&store, &progress, depth, part);
    let outcome =
        if arguments.repair { repair(&store, &look)? } else { Outcome { report: look()?, ..Outcome::default() } };
    progress.finish();
    print(out, &outcome, arguments)?;
    Ok(ExitCode::from(u8::from(!outcome.report.findings.is_empty() || !outcome.lost.is_empty())))
}

/// Says what an outcome names; those of other programs are not known here.
fn named_by(kind: &str, value: &[u8]) -> Option<Vec<ObjectRef>> {
    match kind {
        "root" | "image" => remembered::names(kind, value),
        "landed" => Landed::names(value),
        _ => Some(Vec::new()),
    }
}

const fn reading() -> Reading<'static> {
    Reading { action: &named_by, package: &|_: &PackageRecord, fact: FactsOf<'_>| recall::stated(fact) }
}

fn look(store: &Store, progress: &Progress, depth: Depth, part: Option<Part>) -> anyhow::Result<VerifyReport> {
    let check = |info: &PackInfo, file: File, parts: &[Tree]| {
        layer::verify_pack(parts, &StoredPack { info: info.clone(), file }).unwrap_or(false)
    };
    let step = |kind: Kind, total: usize| progress.advance(kind.name(), total);
    let options =
        VerifyOptions { depth, part, check_pack: Some(&check), reading: Some(reading()), progress: Some(&step) };
    Ok(store.verify(&options)?)
}

fn repair(store: &Store, look: &dyn Fn() -> anyhow::Result<VerifyReport>) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome { report: look()?, ..Outcome::default() };
    let mut found: BTreeSet<Finding> = outcome.report.findings.iter().cloned().collect();
    for _ in 0..ROUNDS {
        // Roots that the index lost without a trace are known to the journal.
        let differs = outcome.report.notes.iter().any(|note| note.kind == NoteKind::RootsJournal);
        if outcome.report.findings.is_empty() && !differs {
            break;
        }
        let healing = match store.heal(&outcome.report.findings, reading()) {
            // The findings say so, and what helps then.
            Err(error) if error.is_damage() => break,
            healing => healing?,
        };
        let session = Session::new(store, "store verify --repair");
        let lost = rebuild::heal(store, &session, &healing)?;
        outcome.notes.extend(session.notes());
        session.finish()?;
        outcome.lost.extend(lost.iter().map(|package| format!("{}: add it again", described(package))));
        let without = healing.without_source.iter();
        outcome.lost.extend(
            without.map(|package| {
                format!("the kept source of {} is lost: add it again to have it back", described(package))
            }),
        );
        let nameless = healing.nameless.iter();
        outcome.lost.extend(nameless.map(|key| format!("the package {key}, of which nothing else is known")));
        let roots = healing.roots.iter();
        outcome.notes.extend(roots.map(|root| format!("{root} lost what it kept: compose it again")));
        let before = std::mem::replace(&mut outcome.report, look()?);
        if before.findings == outcome.report.findings && before.notes == outcome.report.notes {
            break;
        }
        found.extend(outcome.report.findings.iter().cloned());
    }
    outcome.healed = found.into_iter().filter(|one| !outcome.report.findings.contains(one)).collect();
    Ok(outcome)
}

fn described(package: &Unhealed) -> String {
    let version = if package.version.is_empty() { String::new() } else { format!(" {}", package.version) };
    format!("{}{version} ({}, {})", package.name, package.format.name(), package.source)
}

fn print(out: &Output, outcome: &Outcome, arguments: &VerifyArgs) -> anyhow::Result<()> {
    let Outcome { report, healed, lost, notes } = outcome;
    if arguments.json {
        let findings = |all: &[Finding]| -> Vec<Value> {
            let one = |one: &Finding| json!({"kind": one.kind.name(), "object": one.object.map(|object| object.to_string()), "detail": one.detail});
            all.iter().map(one).collect()
        };
        let leftovers: Vec<_> =
            report.notes.iter().map(|one| json!({"kind": one.kind.name(), "detail": one.detail})).collect();
        let mut value = json!({
            "checked": report.checked, "findings": findings(&report.findings), "notes": leftovers,
        });
        if arguments.repair {
            value["healed"] = findings(healed).into();
            value["lost"] = json!(lost);
        }
        return out.json(value);
    }
    let line = |one: &Finding| {
        let object = one.object.map(|object| format!(" {object}")).unwrap_or_default();
        format!("{}{object}: {}", one.kind.name(), one.detail)
    };
    for one in healed {
        out.result(&format!("healed {}", line(one)))?;
    }
    for one in &report.findings {
        out.result(&line(one))?;
    }
    for one in lost {
        out.result(&format!("lost {one}"))?;
    }
    for one in &report.notes {
        out.note(&format!("{}: {}", one.kind.name(), one.detail));
    }
    for one in notes {
        out.note(one);
    }
    let found =
        if report.findings.is_empty() { "no findings".to_owned() } else { count(report.findings.len(), "finding") };
    let repaired = if arguments.repair { format!(", {} healed", healed.len()) } else { String::new() };
    let checked = count(usize::try_from(report.checked).unwrap_or(usize::MAX), "object");
    out.say(&format!("checked {checked}: {found}{repaired}"));
    if report.findings.iter().any(|one| one.kind == FindingKind::IndexDamaged) {
        out.error("hint:", "dlstore store rebuild");
    } else if !report.findings.is_empty() && !arguments.repair {
        out.error("hint:", "dlstore store verify --repair");
    }
    Ok(())
}

/// Reads `n/m`.
fn part(text: &str) -> Result<Part, Usage> {
    let parsed = text.split_once('/').and_then(|(n, m)| Some((n.parse::<u32>().ok()?, m.parse::<u32>().ok()?)));
    match parsed {
        Some((number, count)) if (1..=count).contains(&number) => Ok(Part { number, count }),
        _ => Err(Usage(format!("--part wants N/M with 1 <= N <= M, not {text:?}"))),
    }
}
