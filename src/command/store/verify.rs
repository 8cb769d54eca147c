//! Damage is named, and on demand healed from what the store keeps.
//!
//! A repair looks, heals and looks again, until nothing is found or nothing changes any more: what is made again can
//! bring to light what lay behind it.

use std::collections::BTreeSet;
use std::fs::File;

use serde::Serialize;

use super::Finding;
use crate::command::context::Context;
use crate::command::error::Error;
use crate::command::value;
use dlstore_formats::layer::{self, PackInfo, StoredPack};
use dlstore_image::compose;
use dlstore_ingest::{landed, rebuild, recall};
use dlstore_model::tree::Tree;
use dlstore_store::session::Session;
use dlstore_store::{
    Access, Depth, FactsOf, FindingKind, Kind, NoteKind, ObjectRef, PackageRecord, Part, Reading, Store, Unhealed,
    VerifyOptions, VerifyReport,
};

/// A healing can bring damage to light that lay behind other damage, but not often.
const ROUNDS: usize = 4;

/// How closely is looked, and what is done then.
pub(crate) struct Settings {
    /// How closely; a repair looks at every byte.
    pub(crate) depth: Depth,
    /// A slice of all.
    pub(crate) part: Option<Part>,
    /// Whether what is found is healed.
    pub(crate) repair: bool,
}

/// What verifying and healing came to.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Report {
    /// The store's directory.
    pub(crate) store: String,
    /// How many objects were looked at.
    pub(crate) checked: u64,
    /// Damage, sorted; empty when the store is sound.
    pub(crate) findings: Vec<Finding>,
    /// Leftovers, which the next collection takes.
    pub(crate) notes: Vec<Note>,
    /// Damage that is no more; only with `--repair`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) healed: Option<Vec<Finding>>,
    /// What cannot be made again, a sentence for each; only with `--repair`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) lost: Option<BTreeSet<String>>,
    /// What was noted while it was healed.
    #[serde(skip)]
    pub(crate) said: BTreeSet<String>,
    /// The index itself is damaged, which no repair heals.
    #[serde(skip)]
    pub(crate) is_index_damaged: bool,
}

/// A leftover.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Note {
    /// Of which kind: a stable name.
    pub(crate) kind: &'static str,
    /// Which, for people.
    pub(crate) detail: String,
}

/// What is known while it is healed.
#[derive(Default)]
struct Outcome {
    report: VerifyReport,
    healed: Vec<dlstore_store::Finding>,
    lost: BTreeSet<String>,
    notes: BTreeSet<String>,
}

/// Looks, and heals when that is asked for.
///
/// # Errors
/// When there is no store, or it cannot be read.
pub(crate) fn run(context: &Context, settings: &Settings) -> Result<Report, Error> {
    let store = context.open(Access::Existing)?;
    let look = || {
        context.listener.begin("verifying", 0);
        let looked = look(context, &store, settings);
        context.listener.end();
        looked
    };
    let outcome =
        if settings.repair { repair(&store, &look)? } else { Outcome { report: look()?, ..Outcome::default() } };
    let Outcome { report, healed, lost, notes } = outcome;
    let note = |note: &dlstore_store::Note| Note { kind: note.kind.name(), detail: note.detail.clone() };
    Ok(Report {
        store: value::path(store.root()),
        checked: report.checked,
        is_index_damaged: report.findings.iter().any(|one| one.kind == FindingKind::IndexDamaged),
        findings: report.findings.iter().map(Finding::of).collect(),
        notes: report.notes.iter().map(note).collect(),
        healed: settings.repair.then(|| healed.iter().map(Finding::of).collect()),
        lost: settings.repair.then_some(lost),
        said: notes,
    })
}

/// Says what an outcome names; those of other programs are not known here.
fn named_by(kind: &str, value: &[u8]) -> Option<Vec<ObjectRef>> {
    match kind {
        "base" | "root" | "image" => compose::names(kind, value),
        "landed" => landed::Remembered::names(value),
        _ => Some(Vec::new()),
    }
}

const fn reading() -> Reading<'static> {
    Reading { action: &named_by, package: &|_: &PackageRecord, fact: FactsOf<'_>| recall::stated(fact) }
}

fn look(context: &Context, store: &Store, settings: &Settings) -> Result<VerifyReport, Error> {
    let check = |info: &PackInfo, file: File, parts: &[Tree]| {
        layer::verify_pack(parts, &StoredPack { info: info.clone(), file }).unwrap_or(false)
    };
    let step = |kind: Kind, total: usize| context.listener.advance(kind.name(), total);
    let options = VerifyOptions {
        depth: settings.depth,
        part: settings.part,
        check_pack: Some(&check),
        reading: Some(reading()),
        progress: Some(&step),
    };
    Ok(store.verify(&options)?)
}

fn repair(store: &Store, look: &dyn Fn() -> Result<VerifyReport, Error>) -> Result<Outcome, Error> {
    let mut outcome = Outcome { report: look()?, ..Outcome::default() };
    let mut found: BTreeSet<dlstore_store::Finding> = outcome.report.findings.iter().cloned().collect();
    for _ in 0..ROUNDS {
        // Roots that the index lost without a trace are known to the journal, and sources lie where they lay.
        let differs = outcome.report.notes.iter().any(|note| note.kind == NoteKind::RootsJournal);
        if outcome.report.findings.is_empty() && !differs && !store.has_adoptable()? {
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
                format!("the kept source of {} is lost: add it again to restore it", described(package))
            }),
        );
        let nameless = healing.nameless.iter();
        outcome.lost.extend(nameless.map(|key| format!("the package {key} (nothing else is known about it)")));
        let roots = healing.roots.iter();
        outcome
            .notes
            .extend(roots.map(|root| format!("the root {root} has lost its contents: compose its image again")));
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
